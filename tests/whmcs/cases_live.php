<?php
/**
 * Against a running Billhook in sandbox mode; the head of run.php says what it needs.
 */

use WHMCS\Module\Server\Billhook\Installation;
use WHMCS\Module\Server\Billhook\Patience;

final class Live
{
    /** @var int|null the last number that was given out */
    private static $number = null;

    public static function source()
    {
        return getenv('BILLHOOK_SOURCE') ?: 'whmcs';
    }

    /** The first variable that is missing for a test; empty when all are there. */
    public static function lacks(array $names)
    {
        foreach ($names as $name) {
            if ((string) getenv($name) === '') {
                return $name;
            }
        }
        return '';
    }

    /** An id that no earlier test or run has used. */
    public static function id()
    {
        if (self::$number === null) {
            self::$number = random_int(1000000, 2000000000);
        }
        return ++self::$number;
    }

    /** The server's part of what WHMCS hands to a module. To a source all these tests are one WHMCS. */
    public static function server()
    {
        self::installation('tests');
        $url = parse_url(getenv('BILLHOOK_URL'));
        $secure = isset($url['scheme']) && $url['scheme'] === 'https';
        return [
            'host' => trim($url['host'], '[]'), 'secure' => $secure,
            'port' => isset($url['port']) ? $url['port'] : ($secure ? 443 : 80),
        ];
    }

    public static function installation($id)
    {
        Whmcs::setting(Installation::SETTING, json_encode(['id' => $id]));
    }

    /** Parameters of a service of product 42 (hostname, options and fields as its catalogue entry likes them). */
    public static function params($service, $customer, array $others = [])
    {
        $server = self::server();
        $model = service(['id' => $service, 'billingcycle' => 'Monthly', 'orderid' => $service, 'qty' => 1]);
        return params($others + [
            'serviceid' => $service, 'userid' => $customer, 'domain' => 'srv' . $service . '.example.com', 'model' => $model,
            'serverhostname' => $server['host'], 'serversecure' => $server['secure'],
            'clientsdetails' => [
                'userid' => $customer, 'firstname' => 'Ann', 'lastname' => 'Lee', 'companyname' => 'Lee &amp; Sons',
                'email' => 'ann' . $customer . '@example.com', 'password' => 'LEAK-client',
            ],
            'configoptions' => ['Location' => 'TPA1', 'Operating System' => 'Ubuntu 22.04'], 'customfields' => [],
        ], self::source(), $server['port'], getenv('BILLHOOK_SECRET'));
    }

    /** The record that hooks read. */
    public static function record()
    {
        $server = self::server();
        serverRecord([
            'hostname' => $server['host'], 'port' => $server['port'], 'secure' => $server['secure'] ? 'on' : '',
            'username' => self::source(), 'accesshash' => getenv('BILLHOOK_SECRET'),
        ]);
    }

    /** A read from the admin API: [status, decoded body]. */
    public static function get($path)
    {
        $handle = curl_init(rtrim(getenv('BILLHOOK_URL'), '/') . '/api/v1' . $path);
        curl_setopt_array($handle, [
            CURLOPT_RETURNTRANSFER => true, CURLOPT_TIMEOUT => 20,
            CURLOPT_HTTPHEADER => ['Authorization: Bearer ' . getenv('BILLHOOK_ADMIN_TOKEN')],
        ]);
        $text = curl_exec($handle);
        return [curl_getinfo($handle, CURLINFO_RESPONSE_CODE), json_decode((string) $text, true)];
    }

    public static function service($service)
    {
        list($status, $body) = self::get('/services/' . rawurlencode(self::source()) . '/' . $service);
        return $status === 200 && is_array($body) ? $body : [];
    }

    /** Every run of a service or customer, newest or oldest first as the API gives them. */
    public static function runs($filter)
    {
        list($status, $body) = self::get('/runs?limit=100&source=' . rawurlencode(self::source()) . '&' . $filter);
        same(200, $status, 'GET /runs');
        return $body['items'];
    }

    /** Asks until the answer pleases; fails with what came last. */
    public static function until($what, $ask)
    {
        $patience = (int) (getenv('BILLHOOK_PATIENCE') ?: 120);
        $end = time() + $patience;
        do {
            list($done, $last) = $ask();
            if ($done) {
                return $last;
            }
            usleep(300000);
        } while (time() < $end);
        throw new Failed('waited ' . $patience . ' seconds for ' . $what . ', last: ' . substr((string) json_encode($last), 0, 1500));
    }

    public static function untilStatus($service, $status)
    {
        return self::until('service ' . $service . ' to be ' . $status, function () use ($service, $status) {
            $now = self::service($service);
            return [isset($now['status']) && $now['status'] === $status, $now];
        });
    }

    /** Until so many runs of a service or customer ended well. */
    public static function untilDone($filter, $count)
    {
        return self::until($count . ' runs of ' . $filter . ' to end well', function () use ($filter, $count) {
            $runs = self::runs($filter);
            $done = array_filter($runs, function ($run) {
                return in_array($run['status'], ['succeeded', 'superseded'], true);
            });
            return [count($runs) >= $count && count($done) === count($runs), $runs];
        });
    }
}

/** A call that sends; none of its answers may show a secret. */
function live($function, array $params)
{
    $answer = Whmcs::call($function, $params);
    check(is_string($answer), 'a module function must give text');
    lacks('LEAK', $answer);
    lacks(substr($params['serveraccesshash'], 6), $answer);
    return $answer;
}

$sending = Live::lacks(['BILLHOOK_URL', 'BILLHOOK_SECRET']);
$reading = Live::lacks(['BILLHOOK_URL', 'BILLHOOK_SECRET', 'BILLHOOK_ADMIN_TOKEN']);

test('live: the connection test succeeds', function () {
    same(['success' => true, 'error' => ''], billhook_TestConnection(Live::params(Live::id(), Live::id())));
}, $sending);

test('live: the connection test tries the way back', function () {
    $tested = function ($mood) {
        $params = Live::params(Live::id(), Live::id(), ['serverusername' => getenv('BILLHOOK_BACK') . $mood]);
        return billhook_TestConnection($params);
    };
    same(['success' => true, 'error' => ''], $tested('takes'));
    foreach ([
        'refuses' => 'add 198.51.100.7 in WHMCS under General Settings', 'page' => 'report.url', 'hangs' => 'no answer within 10s',
    ] as $mood => $words) {
        $answer = $tested($mood);
        same(false, $answer['success'], $mood);
        contains('Billhook cannot report back to WHMCS: ', sentence($answer['error']));
        contains($words, $answer['error']);
        lacks('LEAK', $answer['error']);
    }
}, Live::lacks(['BILLHOOK_URL', 'BILLHOOK_SECRET', 'BILLHOOK_BACK']));

test('live: a wrong secret is told without being shown', function () {
    $wrong = 'whsec_' . base64_encode(random_bytes(24));
    $params = Live::params(Live::id(), Live::id(), ['serveraccesshash' => $wrong]);
    foreach ([live('CreateAccount', $params), billhook_TestConnection($params)['error']] as $text) {
        sentence($text);
        contains('HTTP 401', $text);
        contains('secret', $text);
        lacks(substr($wrong, 6), $text);
        lacks(substr(getenv('BILLHOOK_SECRET'), 6), $text);
    }
}, $sending);

test('live: an unknown source is told', function () {
    $params = Live::params(Live::id(), Live::id(), ['serverusername' => 'no-such-source']);
    foreach ([live('CreateAccount', $params), billhook_TestConnection($params)['error']] as $text) {
        contains('HTTP 404', sentence($text));
        contains('no-such-source', $text);
    }
}, $sending);

test('live: a product that is not in the catalogue is no success', function () {
    $text = sentence(live('CreateAccount', Live::params(Live::id(), Live::id(), ['pid' => 900001])));
    contains('did nothing', $text);
}, $sending);

test('live: texts that are not UTF-8 are taken', function () {
    $client = ['firstname' => "J\xF6rg", 'lastname' => 'M', 'email' => 'j' . Live::id() . '@example.com'];
    same('success', live('CreateAccount', Live::params(Live::id(), Live::id(), ['clientsdetails' => $client])));
}, $sending);

test('live: create is taken, and the service comes up', function () {
    $service = Live::id();
    same('success', live('CreateAccount', Live::params($service, Live::id())));
    $state = Live::untilStatus($service, 'active');
    check(!empty($state['device_id']), 'no device_id: ' . json_encode($state));
    check(!empty($state['ip']), 'no ip: ' . json_encode($state));
}, $reading);

test('live: create twice builds once', function () {
    $service = Live::id();
    $params = Live::params($service, Live::id());
    same('success', live('CreateAccount', $params));
    same('success', live('CreateAccount', $params));
    Live::untilDone('service=' . $service, 2);
    $first = Live::untilStatus($service, 'active');
    same('success', live('CreateAccount', $params));
    Live::untilDone('service=' . $service, 3);
    $second = Live::service($service);
    check(!empty($first['device_id']), 'no device_id');
    same($first['device_id'], $second['device_id'], 'device_id');
    same('active', $second['status']);
}, $reading);

test('live: suspend, unsuspend and terminate give the real outcome', function () {
    $service = Live::id();
    $params = Live::params($service, Live::id());
    Whmcs::insert('tblhosting', ['id' => $service, 'domainstatus' => 'Pending']);
    same('success', live('CreateAccount', $params));
    Live::untilStatus($service, 'active');
    same('Active', Whmcs::status($service));
    // No waiting from here on: success has to mean that it happened.
    same('success', live('SuspendAccount', $params));
    same('suspended', Live::service($service)['status']);
    same('Suspended', Whmcs::status($service));
    same('success', live('SuspendAccount', $params), 'suspend twice');
    same('suspended', Live::service($service)['status']);
    same('success', live('UnsuspendAccount', $params));
    same('active', Live::service($service)['status']);
    same('success', live('TerminateAccount', $params));
    same('terminated', Live::service($service)['status']);
    same('Terminated', Whmcs::status($service));
    same('success', live('TerminateAccount', $params), 'terminate twice');
    same('terminated', Live::service($service)['status']);
}, $reading);

test('live: calls within one moment end in the state of the last', function () {
    $service = Live::id();
    $params = Live::params($service, Live::id());
    same('success', live('CreateAccount', $params));
    Live::untilStatus($service, 'active');
    foreach (['SuspendAccount', 'UnsuspendAccount', 'SuspendAccount', 'UnsuspendAccount'] as $function) {
        same('success', live($function, $params), $function);
    }
    same('active', Live::service($service)['status']);
}, $reading);

test('live: what Billhook keeps has no secret of WHMCS', function () {
    $service = Live::id();
    same('success', live('CreateAccount', Live::params($service, Live::id())));
    list($status, $list) = Live::get('/deliveries?service=' . $service . '&source=' . rawurlencode(Live::source()));
    same(200, $status);
    same(1, count($list['items']), 'deliveries');
    list($status, $delivery) = Live::get('/deliveries/' . rawurlencode($list['items'][0]['id']));
    same(200, $status);
    same('accepted', $list['items'][0]['verdict']);
    $body = json_decode($delivery['body'], true);
    same('order.paid', $body['type']);
    same((string) $service, $body['services'][0]['id']);
    $all = json_encode($delivery, JSON_UNESCAPED_SLASHES);
    lacks('LEAK', $all);
    lacks(substr(getenv('BILLHOOK_SECRET'), 6), $all);
}, $reading);

test('live: a paid order of another module is built, and the client\'s changes are taken', function () {
    list($customer, $order, $ours, $theirs, $others) = [Live::id(), Live::id(), Live::id(), Live::id(), Live::id()];
    Live::record();
    Whmcs::insert('tblclients', [
        'id' => $customer, 'firstname' => 'Bo', 'lastname' => 'Ek', 'companyname' => '', 'email' => "bo$customer@example.com",
    ]);
    Whmcs::insert('tblorders', ['id' => $order, 'userid' => $customer]);
    Whmcs::insert('tblproducts', ['id' => 42, 'servertype' => 'cpanel']);
    Whmcs::insert('tblproducts', ['id' => 43, 'servertype' => 'autorelease']);
    Whmcs::insert('tblproducts', ['id' => 900002, 'servertype' => 'billhook']);
    foreach ([[$ours, 900002], [$theirs, 43], [$others, 42]] as $row) {
        Whmcs::insert('tblhosting', [
            'id' => $row[0], 'userid' => $customer, 'orderid' => $order, 'packageid' => $row[1],
            'domain' => 'srv' . $row[0] . '.example.com', 'billingcycle' => 'Monthly', 'domainstatus' => $row[0] === $ours ? 'Active' : 'Pending',
        ]);
    }
    Whmcs::runHook('OrderPaid', ['orderId' => $order, 'userId' => $customer, 'invoiceId' => 1]);
    same([], Whmcs::$activity);
    Live::untilStatus($theirs, 'active');
    same([], Live::service($ours), 'the service of our own module');
    same([], Live::service($others), 'a product whose number is one of the catalogue\'s');

    Whmcs::runHook('ClientEdit', ['userid' => $customer, 'firstname' => 'Bob', 'email' => "bob$customer@example.com"]);
    Whmcs::runHook('ClientClose', ['userid' => $customer]);
    same([], Whmcs::$activity);
    same([], Whmcs::$thrown);
    $types = Live::until('the runs of customer ' . $customer, function () use ($customer) {
        $types = [];
        foreach (Live::runs('customer=' . $customer) as $run) {
            if (in_array($run['status'], ['succeeded', 'superseded'], true)) {
                $types[] = $run['type'];
            }
        }
        sort($types);
        return [$types === ['customer.closed', 'customer.updated', 'order.paid'], $types];
    });
    same(3, count($types));
    same(200, Live::get('/customers/' . rawurlencode(Live::source()) . '/' . $customer)[0]);
}, $reading);

test('live: a hook with a wrong secret logs it and lets the request go on', function () {
    Live::record();
    Whmcs::$database->exec("UPDATE tblservers SET accesshash = 'whsec_" . base64_encode(random_bytes(24)) . "'");
    seedOrder();
    Whmcs::runHook('ClientClose', ['userid' => 77]);
    same([], Whmcs::$thrown);
    same(1, count(Whmcs::$activity));
    contains('HTTP 401', Whmcs::$activity[0][0]);
    lacks('whsec_', Whmcs::$activity[0][0]);
}, $sending);

test('live: what cannot be built is no success, and is once it is corrected', function () {
    foreach ([
        ['domain' => 'SRV One'], ['domain' => ''], ['model' => service(['billingcycle' => 'Monthly', 'orderid' => 1, 'qty' => 3])],
    ] as $wrong) {
        $service = Live::id();
        $customer = Live::id();
        $text = sentence(live('CreateAccount', Live::params($service, $customer, $wrong)));
        contains('is paused', $text);
        contains('What to do: ', $text);
        same('success', live('CreateAccount', Live::params($service, $customer)));
        Live::untilStatus($service, 'active');
    }
}, $reading);

test('live: a wrong field is named', function () {
    $text = sentence(live('SuspendAccount', Live::params(Live::id(), Live::id(), ['domain' => "srv\x01.example.com"])));
    contains('HTTP 422', $text);
    contains('the field services[0].hostname is wrong', $text);
}, $sending);

test('live: what was never created is terminated, and is a sentence for everything else', function () {
    $service = Live::id();
    $params = Live::params($service, Live::id());
    foreach (['SuspendAccount', 'UnsuspendAccount', 'ChangePackage'] as $function) {
        contains('was never ordered through Billhook', sentence(live($function, $params)));
    }
    same('success', live('TerminateAccount', $params));
}, $sending);

test('live: a service that was created at another source is left alone', function () {
    $service = Live::id();
    $params = Live::params($service, Live::id());
    same('success', live('CreateAccount', $params));
    Live::untilStatus($service, 'active');
    $elsewhere = ['serverusername' => getenv('BILLHOOK_BACK') . 'takes'] + $params;
    foreach (['SuspendAccount', 'UnsuspendAccount', 'TerminateAccount', 'ChangePackage'] as $function) {
        contains('Nothing was sent', sentence(live($function, $elsewhere)));
    }
    same('active', Live::service($service)['status']);
    // As if it had been created there: that place does not know it.
    $model = $params['model'];
    $model->serviceProperties->save(['Billhook' => 'source=' . $elsewhere['serverusername'] . ' installation= server=3']);
    contains('although WHMCS noted its creation', sentence(live('TerminateAccount', $elsewhere)));
    same('active', Live::service($service)['status']);
}, Live::lacks(['BILLHOOK_URL', 'BILLHOOK_SECRET', 'BILLHOOK_ADMIN_TOKEN', 'BILLHOOK_BACK']));

test('live: another WHMCS with the same secret is refused, and told what to do', function () {
    $service = Live::id();
    $params = Live::params($service, Live::id());
    same('success', live('CreateAccount', $params));
    Live::untilStatus($service, 'active');
    Live::installation('copy');
    Whmcs::$database->exec('DELETE FROM tblcustomfieldsvalues');
    foreach (['SuspendAccount', 'UnsuspendAccount', 'TerminateAccount', 'ChangePackage'] as $function) {
        $text = sentence(live($function, $params));
        contains('comes from installation copy', $text);
        contains('installation = "copy"', $text);
    }
    same(false, billhook_TestConnection($params)['success']);
    same('active', Live::service($service)['status']);
}, $reading);

test('live: why a service is suspended is shown in Billhook', function () {
    $service = Live::id();
    $params = Live::params($service, Live::id(), ['suspendreason' => 'Abuse &amp; spam']);
    same('success', live('CreateAccount', $params));
    Live::untilStatus($service, 'active');
    same('success', live('SuspendAccount', $params));
    contains('Abuse & spam', json_encode(Live::service($service)));
    $runs = array_filter(Live::runs('service=' . $service), function ($run) {
        return $run['type'] === 'service.suspended';
    });
    contains('suspended for: Abuse & spam', json_encode(array_values($runs)));
}, $reading);

test('live: three clicks on Create at once build one server and are all success', function () {
    $service = Live::id();
    $file = tempnam(sys_get_temp_dir(), 'billhook-clicks-');
    Whmcs::reset($file);
    $code = 'require ' . var_export(__DIR__ . '/imitation.php', true) . '; Whmcs::reset(' . var_export($file, true) . '); require '
        . var_export(HOOKS . '/modules/servers/billhook/billhook.php', true) . '; echo billhook_CreateAccount(unserialize(base64_decode('
        . var_export(base64_encode(serialize(Live::params($service, Live::id()))), true) . '))), "\n";';
    $outputs = [];
    foreach ([1, 2, 3] as $click) {
        $outputs[] = Runner::start([PHP_BINARY, '-r', $code], [], true);
    }
    foreach ($outputs as $output) {
        same("success\n", stream_get_contents($output));
    }
    Live::untilDone('service=' . $service, 3);
    Live::untilStatus($service, 'active');
    unlink($file);
}, $reading);

/** The names in an answer and what kind of value each has, as the last call's log shows it. */
function shape()
{
    $entry = end(Whmcs::$moduleLog);
    list($status, $body) = explode("\n\n", $entry['response'], 2);
    $describe = function ($value) use (&$describe) {
        if (!is_array($value)) {
            return is_string($value) || $value === null ? 'text' : gettype($value);
        }
        $value = array_map($describe, $value);
        unset($value['note']); // only where there is something to note
        ksort($value);
        return $value;
    };
    return [$status, $describe(json_decode($body, true))];
}

test('live: the stand-in answers as Billhook does', function () {
    $service = Live::id();
    $params = Live::params($service, Live::id());
    $cases = [
        'progress' => ['CreateAccount', $params], 'whmcs' => ['SuspendAccount', $params],
        'pausedbare' => ['CreateAccount', Live::params(Live::id(), Live::id(), ['domain' => ''])],
        'ignored' => ['CreateAccount', Live::params(Live::id(), Live::id(), ['pid' => 900001])],
        'unknown' => ['UnsuspendAccount', Live::params(Live::id(), Live::id())],
        'invalid' => ['SuspendAccount', Live::params(Live::id(), Live::id(), ['domain' => "a\x01b"])],
        'otherinstallation' => ['SuspendAccount', $params],
        'unsigned' => ['SuspendAccount', Live::params(Live::id(), Live::id(), ['serveraccesshash' => VECTOR_SECRET])],
    ];
    foreach ($cases as $scenario => $case) {
        if ($scenario === 'progress') {
            // Without a wait Billhook has only taken it.
            Patience::note('a.example:1', true, Patience::BUDGET);
        } elseif ($scenario === 'whmcs') {
            Runner::forget();
            Live::untilStatus($service, 'active');
        }
        Live::installation($scenario === 'otherinstallation' ? 'copy' : 'tests');
        live($case[0], $case[1]);
        $real = shape();
        Whmcs::$database->exec('DELETE FROM tblcustomfieldsvalues');
        Whmcs::call($case[0], params([], $scenario));
        same(shape(), $real, $scenario);
        Whmcs::$database->exec('DELETE FROM tblcustomfieldsvalues');
    }
}, $reading);
