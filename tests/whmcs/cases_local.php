<?php
/**
 * What can be told without a real Billhook: what leaves WHMCS, and what each answer becomes.
 */

use WHMCS\Module\Server\Billhook\Client;
use WHMCS\Module\Server\Billhook\Installation;
use WHMCS\Module\Server\Billhook\Settings;

/** An order of client 77 with three services: ours, another module's, and one of no module. */
function seedOrder()
{
    Whmcs::insert('tblclients', [
        'id' => 77, 'firstname' => 'Ann', 'lastname' => 'Lee', 'companyname' => 'Lee &amp; Sons', 'email' => 'ann@example.com',
        'password' => 'LEAK-hash', 'status' => 'Active',
    ]);
    Whmcs::insert('tblorders', ['id' => 1001, 'userid' => 77, 'invoiceid' => 9, 'status' => 'Pending']);
    foreach ([[42, 'billhook'], [43, 'cpanel'], [44, '']] as $product) {
        Whmcs::insert('tblproducts', ['id' => $product[0], 'name' => 'P', 'servertype' => $product[1]]);
    }
    foreach ([[501, 42, 1001], [502, 43, 1001], [503, 44, 1001], [504, 43, 2002]] as $service) {
        Whmcs::insert('tblhosting', [
            'id' => $service[0], 'userid' => 77, 'orderid' => $service[2], 'packageid' => $service[1],
            'domain' => 'srv' . $service[0] . '.example.com', 'billingcycle' => 'Monthly',
            'domainstatus' => $service[1] === 42 ? 'Active' : 'Pending', 'username' => 'LEAK-username', 'password' => 'LEAK-service', 'qty' => $service[0] === 503 ? 3 : 1,
        ]);
    }
    foreach ([[1, 'Location|Data centre', 1], [2, 'Extra IPs', 4], [3, 'Backup', 3]] as $option) {
        Whmcs::insert('tblproductconfigoptions', [
            'id' => $option[0], 'gid' => 1, 'optionname' => $option[1], 'optiontype' => $option[2],
        ]);
    }
    Whmcs::insert('tblproductconfigoptionssub', ['id' => 11, 'configid' => 1, 'optionname' => 'TPA1|Tampa, FL']);
    foreach ([[1, 11, 0], [2, 0, 5], [3, 0, 1]] as $chosen) {
        Whmcs::insert('tblhostingconfigoptions', [
            'relid' => 502, 'configid' => $chosen[0], 'optionid' => $chosen[1], 'qty' => $chosen[2],
        ]);
    }
    foreach ([[1, 43, 'ssh|SSH Key', 'text'], [2, 43, 'Root', 'password'], [3, 42, 'pw|Root', 'password']] as $field) {
        Whmcs::insert('tblcustomfields', [
            'id' => $field[0], 'type' => 'product', 'relid' => $field[1], 'fieldname' => $field[2], 'fieldtype' => $field[3],
        ]);
    }
    Whmcs::insert('tblcustomfieldsvalues', ['fieldid' => 1, 'relid' => 502, 'value' => 'ssh-ed25519 AAAA']);
    Whmcs::insert('tblcustomfieldsvalues', ['fieldid' => 2, 'relid' => 502, 'value' => 'LEAK-field']);
}

/** The one request that came, with its body decoded into objects. */
function onlyRequest()
{
    $requests = Fake::requests();
    same(1, count($requests), 'requests');
    $requests[0]['event'] = json_decode($requests[0]['body']);
    check(is_object($requests[0]['event']), 'the body is not a JSON object: ' . show($requests[0]['body']));
    return $requests[0];
}

/** The one entry of the activity log: its text. */
function onlyActivity()
{
    same(1, count(Whmcs::$activity), 'entries in the activity log');
    return sentenceLike(Whmcs::$activity[0][0]);
}

function sentenceLike($text)
{
    check(preg_match('/^[^\x00-\x1f<>]+$/', $text) === 1, 'not plain: ' . show($text));
    lacks('LEAK', $text);
    lacks(substr(VECTOR_SECRET, 6), $text);
    return $text;
}

/** A module call against an answer of the stand-in. */
function answered($source, $function = 'SuspendAccount', array $others = [])
{
    Fake::requests();
    // Each scenario is a source, and what was created at one is not sent to another.
    Whmcs::$database->exec("DELETE FROM tblcustomfieldsvalues WHERE value LIKE 'source=%'");
    $answer = Whmcs::call($function, params($others, $source));
    check(is_string($answer), 'a module function must give text');
    lacks(VECTOR_SECRET, $answer);
    lacks(substr(VECTOR_SECRET, 6), $answer);
    lacks('LEAK', $answer);
    return $answer;
}

// What the files say of themselves

test('every function WHMCS looks for is there', function () {
    foreach ([
        'MetaData', 'ConfigOptions', 'CreateAccount', 'SuspendAccount', 'UnsuspendAccount', 'TerminateAccount',
        'ChangePackage', 'TestConnection',
    ] as $name) {
        check(function_exists('billhook_' . $name), $name);
    }
    $meta = billhook_MetaData();
    same('1.1', $meta['APIVersion']);
    same(true, $meta['RequiresServer']);
    same(['Catalogue product id', 'Custom fields to send'], array_keys(billhook_ConfigOptions()));
    foreach (['OrderPaid', 'ClientEdit', 'ClientClose'] as $point) {
        same(1, count(Whmcs::$hooks[$point]), $point);
    }
});

test('no file does anything when it is opened directly', function () {
    $files = new RecursiveIteratorIterator(new RecursiveDirectoryIterator(HOOKS, FilesystemIterator::SKIP_DOTS));
    $seen = 0;
    foreach ($files as $file) {
        if ($file->getExtension() !== 'php' || in_array($file->getFilename(), ['resend.php', 'installation.php'], true)) {
            continue;
        }
        $seen++;
        same('This file cannot be opened directly.', shell_exec(escapeshellarg(PHP_BINARY) . ' '
            . escapeshellarg($file->getPathname()) . ' 2>&1'), $file->getFilename());
    }
    check($seen >= 6, 'too few files');
});

// Custom fields

test('only the custom fields that the setting names leave, in whatever form, and never a password', function () {
    $table = [
        ['ssh|SSH Key', 'text'], ['Notes &amp; More', 'textarea'], ['Owner&#039;s root pw', 'password'], ['pw|Root Password', 'password'],
        ['os|System', 'dropdown'], ['IPMI', 'text'], ['IPMI', 'password'],
    ];
    foreach ($table as $row) {
        Whmcs::insert('tblcustomfields', ['type' => 'product', 'relid' => 42, 'fieldname' => $row[0], 'fieldtype' => $row[1]]);
    }
    $given = [
        'ssh' => 'a|b', 'Notes & More' => 'n', 'Owner\'s root pw' => 'LEAK-1', 'OWNER&#039;S  ROOT PW ' => 'LEAK-2', 'pw' => 'LEAK-3',
        'Root Password' => 'LEAK-4', 'os' => 'u22|Ubuntu', 'IPMI' => 'LEAK-5', 'not in the table' => 'LEAK-6',
    ];
    $all = implode(',', array_keys($given)) . ', system, Owner\'s Root PW, root password';
    foreach ([
        ['', '{}'], [' , ', '{}'], ['ssh', '{"ssh":"a|b"}'], [' SSH  key ,', '{"ssh":"a|b"}'],
        ["Notes\u{00a0}&amp; more", '{"Notes & More":"n"}'], ['owner&#039;s root pw', '{}'], ['System', '{"os":"u22"}'],
        [$all, '{"ssh":"a|b","Notes & More":"n","os":"u22"}'],
    ] as $case) {
        Fake::requests();
        same('success', Whmcs::call('CreateAccount', params(['customfields' => $given, 'configoption2' => $case[0]])));
        contains('"fields":' . $case[1] . '}', onlyRequest()['body']);
        lacks('LEAK', json_encode(Whmcs::$moduleLog));
    }
});

test('no custom field leaves where the types cannot be read', function () {
    Whmcs::$database->exec('DROP TABLE tblcustomfields');
    Fake::requests();
    same('success', billhook_CreateAccount(params(['configoption2' => 'SSH Key'])));
    contains('"fields":{}', onlyRequest()['body']);
});

test('options that come as key and label are sent by their keys', function () {
    Fake::requests();
    $options = ['Location|Data centre' => 'TPA1|Tampa, FL', 'Drives' => 4];
    same('success', Whmcs::call('CreateAccount', params(['configoptions' => $options])));
    contains('"options":{"Location":"TPA1","Drives":"4"}', onlyRequest()['body']);
});

test('why a service is suspended is told, and only then', function () {
    foreach (['SuspendAccount' => 'Abuse &amp; spam', 'UnsuspendAccount' => null] as $function => $reason) {
        Fake::requests();
        same('success', Whmcs::call($function, params(['suspendreason' => 'Abuse &amp; spam'])));
        $event = onlyRequest()['event'];
        same($reason, isset($event->reason) ? $event->reason : null, $function);
    }
});

// Signature

test('the signature is that of the public example', function () {
    $settings = new Settings('billhook.example', '', true, '', VECTOR_SECRET);
    $client = new Client($settings);
    same('v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=', $client->signature(
        'msg_27UH4WbU6Z5A5EzD8u03UvzRbpk',
        '1649367553',
        '{"email":"test@example.com","username":"test_user"}'
    ));
    same('https://billhook.example:443/webhooks/whmcs', $settings->url());
});

test('the request is signed over the bytes that were sent', function () {
    Fake::requests();
    same('success', Whmcs::call('CreateAccount', params()));
    $request = onlyRequest();
    same('POST', $request['method']);
    same('/webhooks/whmcs', $request['path']);
    same('application/json', $request['headers']['content-type']);
    check(preg_match('/^msg_[0-9a-f]{32}$/', $request['headers']['webhook-id']) === 1, 'webhook-id');
    check(abs((int) $request['headers']['webhook-timestamp'] - time()) < 5, 'webhook-timestamp');
    $signed = $request['headers']['webhook-id'] . '.' . $request['headers']['webhook-timestamp'] . '.' . $request['body'];
    $key = base64_decode(substr(VECTOR_SECRET, 6));
    $right = 'v1,' . base64_encode(hash_hmac('sha256', $signed, $key, true));
    same($right, $request['headers']['webhook-signature']);
});

test('every call has an id and a time of its own, in order', function () {
    Fake::requests();
    same('success', Whmcs::call('SuspendAccount', params()));
    same('success', Whmcs::call('UnsuspendAccount', params()));
    list($first, $second) = Fake::requests();
    check($first['headers']['webhook-id'] !== $second['headers']['webhook-id'], 'the ids are equal');
    $times = [json_decode($first['body'])->occurred_at, json_decode($second['body'])->occurred_at];
    foreach ($times as $time) {
        check(preg_match('/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/', $time) === 1, $time);
        check(abs(strtotime($time) - time()) < 5, 'not now in UTC: ' . $time);
    }
    check($times[0] < $times[1], 'not in order: ' . implode(' ', $times));
});

// The event

test('the event has exactly the members of the interface', function () {
    Fake::requests();
    same('success', Whmcs::call('CreateAccount', params()));
    $request = onlyRequest();
    $event = json_decode($request['body'], true);
    $time = $event['occurred_at'];
    same([
        'type' => 'order.paid', 'installation' => Installation::id(), 'occurred_at' => $time, 'order_id' => '1001',
        'customer' => ['id' => '77', 'email' => 'ann@example.com', 'name' => 'Ann Lee', 'company' => 'Lee &amp; Sons'],
        'services' => [[
            'id' => '501', 'product_id' => '42', 'hostname' => 'srv1.example.com', 'billing_cycle' => 'Semi-Annually',
            'quantity' => 2, 'options' => ['Location' => 'TPA1', 'Drives' => '4'], 'fields' => [],
        ]],
    ], $event);
});

test('nothing outside the list leaves, and no secret is logged', function () {
    Fake::requests();
    seedOrder();
    $others = ['customfields' => ['pw' => 'LEAK-field', 'Root' => 'LEAK-root', 'x' => ['LEAK-array'], 'y' => new stdClass()]];
    $others['configoption2'] = 'pw, Root, x, y, username, password';
    foreach (['CreateAccount', 'SuspendAccount', 'UnsuspendAccount', 'TerminateAccount', 'ChangePackage'] as $function) {
        same('success', Whmcs::call($function, params($others)), $function);
    }
    serverRecord();
    Whmcs::runHook('OrderPaid', ['orderId' => 1001, 'userId' => 77, 'invoiceId' => 9]);
    Whmcs::runHook('ClientEdit', ['userid' => 77, 'password' => 'LEAK-hook', 'email' => 'a@b.example',
        'olddata' => ['password' => 'LEAK-old', 'email' => 'ann@example.com']]);
    $requests = Fake::requests();
    same(7, count($requests), 'requests');
    $signatures = [];
    foreach ($requests as $request) {
        $all = json_encode($request['headers']) . $request['body'] . $request['path'];
        lacks('LEAK', $all);
        lacks(substr(VECTOR_SECRET, 6), stripslashes($all));
        $signatures[] = substr($request['headers']['webhook-signature'], 3);
    }
    same(7, count(Whmcs::$moduleLog), 'entries in the module log');
    $log = json_encode(Whmcs::$moduleLog, JSON_UNESCAPED_SLASHES);
    lacks('LEAK', $log);
    lacks(substr(VECTOR_SECRET, 6), $log);
    foreach ($signatures as $signature) {
        lacks($signature, $log);
    }
    contains('webhook-signature: ********', $log);
    contains('order.paid', $log);
});

test('empty options and fields are objects', function () {
    Fake::requests();
    same('success', Whmcs::call('CreateAccount', params(['configoptions' => [], 'customfields' => ''])));
    $request = onlyRequest();
    contains('"options":{}', $request['body']);
    contains('"fields":{}', $request['body']);
});

test('options named by numbers are an object still, and values are text', function () {
    Fake::requests();
    $options = ['0' => 'a', '1' => 2, 'on' => true, 'off' => false, 'none' => null, 'half' => 0.5];
    same('success', Whmcs::call('CreateAccount', params(['configoptions' => $options])));
    contains(
        '"options":{"0":"a","1":"2","on":"1","off":"","none":"","half":"0.5"}',
        onlyRequest()['body']
    );
});

test('invalid UTF-8 and NUL bytes do not empty the body', function () {
    Fake::requests();
    $client = ['firstname' => "J\xF6rg", 'lastname' => 'Müller', 'email' => 'j@example.com'];
    $others = ['clientsdetails' => $client, 'domain' => "srv\0.example.com", 'configoptions' => ["\xFF\0n" => "\xC3"]];
    same('success', Whmcs::call('CreateAccount', params($others)));
    $event = onlyRequest()['event'];
    same("J\u{FFFD}rg Müller", $event->customer->name);
    same('srv.example.com', $event->services[0]->hostname);
    same("\u{FFFD}", $event->services[0]->options->{"\u{FFFD}n"});
});

test('the module setting goes before the product id of WHMCS', function () {
    Fake::requests();
    same('success', Whmcs::call('CreateAccount', params(['configoption1' => ' metal-1 '])));
    same('metal-1', onlyRequest()['event']->services[0]->product_id);
});

test('without a service object the cycle comes from the table', function () {
    Fake::requests();
    seedOrder();
    same('success', Whmcs::call('CreateAccount', params(['model' => null])));
    $event = onlyRequest()['event'];
    same('Monthly', $event->services[0]->billing_cycle);
    same('1001', $event->order_id);
    same(1, $event->services[0]->quantity);
});

test('a service object without a quantity leaves it to the table', function () {
    Fake::requests();
    seedOrder();
    Whmcs::$database->exec('UPDATE tblhosting SET qty = 3 WHERE id = 501');
    $model = service(['billingcycle' => 'Monthly', 'orderid' => 1001]);
    same('success', Whmcs::call('CreateAccount', params(['model' => $model])));
    same(3, onlyRequest()['event']->services[0]->quantity);
});

test('a service created without an order has no order id', function () {
    Fake::requests();
    $model = (object) ['billingcycle' => 'Free Account', 'orderid' => 0, 'qty' => 0];
    same('success', Whmcs::call('CreateAccount', params(['model' => $model])));
    $event = onlyRequest()['event'];
    check(!isset($event->order_id), 'order_id is there');
    same(1, $event->services[0]->quantity);
});

test('a service object that throws is no obstacle', function () {
    Fake::requests();
    $model = new class {
        public function __isset($name)
        {
            return true;
        }

        public function __get($name)
        {
            throw new RuntimeException('LEAK');
        }
    };
    same('success', Whmcs::call('CreateAccount', params(['model' => $model])));
    same('', onlyRequest()['event']->services[0]->billing_cycle);
});

test('a broken database is no obstacle to a module call', function () {
    Fake::requests();
    Whmcs::$database->exec('DROP TABLE tblhosting');
    Whmcs::$database->exec('DROP TABLE tblcustomfields');
    same('success', billhook_CreateAccount(params(['model' => null])));
    same('', onlyRequest()['event']->services[0]->billing_cycle);
});

test('calls ask for the outcome, Create for a short while', function () {
    $expected = [
        'CreateAccount' => ['wait=3', 'order.paid'], 'SuspendAccount' => ['wait=20', 'service.suspended'],
        'UnsuspendAccount' => ['wait=20', 'service.unsuspended'], 'TerminateAccount' => ['wait=20', 'service.terminated'],
        'ChangePackage' => ['wait=20', 'service.package_changed'],
    ];
    foreach ($expected as $function => $what) {
        Fake::requests();
        same('success', Whmcs::call($function, params()), $function);
        $request = onlyRequest();
        same($what[0], isset($request['headers']['prefer']) ? $request['headers']['prefer'] : null, $function);
        same($what[1], $request['event']->type);
    }
});

test('an addon never acts on the service it belongs to', function () {
    Fake::requests();
    contains('addon', sentence(Whmcs::call('TerminateAccount', params(['addonId' => 5]))));
    same([], Fake::requests());
});

test('without a service id nothing is sent', function () {
    Fake::requests();
    sentence(Whmcs::call('SuspendAccount', params(['serviceid' => 0])));
    same([], Fake::requests());
});

// Answers

test('what is under way is success for create, and no outcome for the others', function () {
    foreach (['progress', 'duplicate', 'behindbuild', 'orderedagain'] as $source) {
        same('success', answered($source, 'CreateAccount'), $source);
    }
    $text = sentence(answered('progress', 'SuspendAccount'));
    contains('still in progress after 20 seconds', $text);
    contains('r_77', $text);
    contains('try again', $text);
    $text = sentence(answered('behindbuild', 'SuspendAccount'));
    contains('behind run r_70 (waiting for Hivelocity to build the device)', $text);
    sentence(answered('duplicate', 'TerminateAccount'));
});

test('what waits behind a person is no success, for create either', function () {
    foreach (['CreateAccount', 'SuspendAccount', 'TerminateAccount'] as $function) {
        $text = sentence(answered('behindpause', $function));
        contains('r_70, which is paused: the host name b SRV One /b is no host name.', $text);
        contains('billhook runs show r_70', $text);
        lacks('goes on with it', $text);
    }
});

test('a create that stands still is a sentence', function () {
    foreach ([
        'paused' => 'billhook runs retry r_9', 'pausedbare' => 'billhook runs retry r_9', 'cancelled' => 'cancelled',
        'duplicatepaused' => 'no stock', 'superseded' => 'superseded', 'unmatched' => 'not in the catalogue',
        'ignored' => 'not in the catalogue', 'unknown' => 'never ordered',
    ] as $source => $words) {
        contains($words, sentence(answered($source, 'CreateAccount')));
    }
});

test('a service that Billhook does not know is no success, unless it is terminated', function () {
    foreach (['SuspendAccount', 'UnsuspendAccount', 'ChangePackage'] as $function) {
        $text = sentence(answered('unknown', $function));
        contains('was never ordered through Billhook', $text);
        contains('server record', $text);
    }
    same('success', answered('unknown', 'TerminateAccount'));
});

test('the status in WHMCS follows the answer', function () {
    seedOrder();
    same('success', answered('whmcs', 'CreateAccount'));
    same('Active', Whmcs::status(501));
    sentence(answered('paused', 'SuspendAccount'));
    same('Active', Whmcs::status(501));
    same('success', answered('whmcs', 'SuspendAccount'));
    same('Suspended', Whmcs::status(501));
});

test('a dry run is never success', function () {
    foreach (['dryrun', 'dryaccepted'] as $scenario) {
        foreach (['CreateAccount', 'SuspendAccount', 'TerminateAccount'] as $function) {
            contains('policy.dry_run', sentence(answered($scenario, $function)));
        }
    }
});

test('superseded is told, since the service may be in another state', function () {
    $text = sentence(answered('superseded'));
    contains('a newer event of 2026-11-29T00:58:56Z that made the service active', $text);
    contains('r_1', $text);
    contains('superseded', sentence(answered('orderedagain', 'TerminateAccount')));
});

test('ignored is no success, since nothing would be there', function () {
    foreach (['CreateAccount', 'TerminateAccount'] as $function) {
        contains('product 9 is not in the catalogue', sentence(answered('ignored', $function)));
    }
});

test('a paused run gives its error and its id', function () {
    $text = sentence(answered('paused', 'TerminateAccount'));
    contains('Hivelocity said 403: b key /b revoked', $text);
    contains('r_9', $text);
    contains('terminate service 501', $text);
    contains('put the cause right, then billhook runs retry r_9, or end it: billhook runs cancel r_9', $text);
});

test('a cancelled run is no success', function () {
    $text = sentence(answered('cancelled'));
    contains('cancelled', $text);
    contains('r_9', $text);
});

test('a status of a later version is no success', function () {
    contains('postponed', sentence(answered('novel', 'CreateAccount')));
});

test('a refused signature names the secret to check', function () {
    $text = sentence(answered('unsigned', 'CreateAccount'));
    contains('HTTP 401', $text);
    contains('no signature of this message matches', $text);
    contains('secret', $text);
});

test('each refusal names its status, its detail and what to do', function () {
    $expected = [
        'forbidden' => ['HTTP 403', '192.0.2.1 is not allowed', 'address'],
        'nosource' => ['HTTP 404', 'no source of this name', 'Username'],
        'invalid' => ['HTTP 422', 'the field services[0].hostname is wrong: must not contain control characters', 'correct'],
        'otherinstallation' => ['HTTP 409', 'belongs to installation 7f3c', 'write installation = "1a2b"', 'Nothing was done'],
        'sameid' => ['HTTP 409', 'the same id came with another body', 'try again'],
        'busy' => ['HTTP 503', 'the store is down', 'in 7 seconds'],
    ];
    foreach ($expected as $source => $words) {
        $text = sentence(answered($source, 'CreateAccount'));
        foreach ($words as $word) {
            contains($word, $text);
        }
    }
});

test('a secret that an answer quotes is masked, markup is taken out', function () {
    $text = sentence(answered('echo', 'CreateAccount'));
    contains('***', $text);
    lacks('<', $text);
});

test('answers that are not of Billhook are no success', function () {
    $expected = [
        'html502' => 'HTTP 502', 'html404' => 'HTTP 404', 'html200' => 'HTTP 200', 'garbage' => 'HTTP 200', 'huge' => 'HTTP 200',
    ];
    foreach ($expected as $source => $status) {
        foreach (['CreateAccount', 'SuspendAccount'] as $function) {
            $text = sentence(answered($source, $function));
            contains($status, $text);
            contains('not as Billhook does', $text);
        }
    }
});

test('a redirect is not followed', function () {
    $text = sentence(answered('redirect', 'CreateAccount'));
    contains('HTTP 307', $text);
    same(1, count(Fake::requests()), 'requests');
    contains('tick Secure', sentence(answered('tohttps', 'CreateAccount')));
});

test('a stopped Billhook is named with host and port', function () {
    $port = closedPort();
    foreach (['CreateAccount', 'SuspendAccount'] as $function) {
        $text = sentence(Whmcs::call($function, params([], 'whmcs', $port)));
        contains('127.0.0.1:' . $port, $text);
        contains('Check that Billhook runs', $text);
        lacks(VECTOR_SECRET, $text);
    }
});

test('a name that does not resolve is named', function () {
    $text = sentence(Whmcs::call('CreateAccount', params(['serverhostname' => 'http://billhook.invalid'], 'whmcs', 8080)));
    contains('billhook.invalid:8080', $text);
});

test('a certificate counts only when it is trusted and of that name', function () {
    $file = tempnam(sys_get_temp_dir(), 'billhook-tls-');
    $port = (int) fgets(Runner::start([PHP_BINARY, __DIR__ . '/fake_socket.php', 'tls', $file], [], true));
    $text = sentence(Whmcs::call('CreateAccount', params(['serversecure' => 'on'], 'whmcs', $port)));
    contains('TLS', $text);
    contains('certificate', $text);
    contains('127.0.0.1:' . $port, $text);
    $test = billhook_TestConnection(params(['serversecure' => true, 'serverhostname' => 'localhost'], 'whmcs', $port));
    same(false, $test['success']);
    contains('TLS', sentence($test['error']));

    // In a PHP that trusts it.
    $trusting = function ($host) use ($file, $port) {
        $code = 'require ' . var_export(__DIR__ . '/imitation.php', true) . '; Whmcs::reset(); require '
            . var_export(HOOKS . '/modules/servers/billhook/billhook.php', true) . '; echo json_encode(billhook_TestConnection('
            . var_export(['serverhostname' => $host, 'serverport' => $port, 'serversecure' => true,
                'serveraccesshash' => VECTOR_SECRET], true) . '));';
        $command = escapeshellarg(PHP_BINARY) . ' -d curl.cainfo=' . escapeshellarg($file) . ' -r ' . escapeshellarg($code);
        return json_decode(shell_exec($command . ' 2>&1'), true);
    };
    same(['success' => true, 'error' => ''], $trusting('localhost'));
    $other = $trusting('127.0.0.1');
    same(false, $other['success']);
    contains('TLS', $other['error']);
    unlink($file);
});

test('https to a port that speaks http is a matter of TLS', function () {
    contains('TLS', sentence(Whmcs::call('CreateAccount', params(['serversecure' => 'on']))));
});

test('a connection that breaks leaves it open whether the event arrived', function () {
    $port = (int) fgets(Runner::start([PHP_BINARY, __DIR__ . '/fake_socket.php', 'reset'], [], true));
    $text = sentence(Whmcs::call('CreateAccount', params([], 'whmcs', $port)));
    contains('not known whether the event arrived', $text);
    contains('running this again is safe', $text);
});

// Settings

test('settings that cannot work are told before anything is sent', function () {
    Fake::requests();
    foreach ([
        [['serverhostname' => '', 'serverip' => ''], 'Hostname'],
        [['serverhostname' => 'http://billhook.example/webhooks'], 'without a path'],
        [['serverhostname' => 'ftp://billhook.example'], 'Hostname'],
        [['serverhostname' => 'http://'], 'Hostname'],
        [['serverhostname' => 'http://127.0.0.1', 'serversecure' => 'on'], 'contradicts itself'],
        [['serverhostname' => ':'], 'Hostname'],
        [['serverhostname' => 'abc.de:'], 'Hostname'],
        [['serverhostname' => 'abc.de:80:80'], 'Hostname'],
        [['serverhostname' => '[abc.de]:80'], 'Hostname'],
        [['serverhostname' => 'fe80::xyz'], 'Hostname'],
        [['serverhostname' => 'bücher.example'], 'Hostname'],
        [['serverhostname' => '127.0.0.1:70000', 'serverport' => ''], 'Port'],
        [['serverhostname' => '127.0.0.1:9', 'serverport' => '10'], 'two ports: 9 in its Hostname and 10 in its Port'],
        [['serverhostname' => 'billhook.example'], 'without encryption'],
        [['serverhostname' => '127.0.0.1.example'], 'without encryption'],
        [['serverhostname' => '10.0.0.5'], 'http://10.0.0.5'],
        [['serverhostname' => '2001:db8::1'], 'http://[2001:db8::1]'],
        [['serverhostname' => "a\r\nHost: b"], 'Hostname'],
        [['serverport' => '80a'], 'Port'],
        [['serverport' => '70000'], 'Port'],
        [['serveraccesshash' => ''], 'Access Hash'],
        [['serveraccesshash' => 'LEAK-hash'], 'whsec_'],
        [['serveraccesshash' => 'whsec_'], 'whsec_'],
        [['serveraccesshash' => 'whsec_LEAK*'], 'whsec_'],
    ] as $case) {
        $text = sentence(Whmcs::call('CreateAccount', params($case[0])));
        contains($case[1], $text);
        lacks('LEAK', $text);
    }
    same([], Fake::requests());
});

test('host, port and scheme are understood in whatever form', function () {
    foreach ([
        [['serverport' => ''], 'http://127.0.0.1:8080/webhooks/whmcs'],
        [['serverport' => '', 'serversecure' => true], 'https://127.0.0.1:443/webhooks/whmcs'],
        [['serverport' => '9', 'serverhostname' => '::1'], 'http://[::1]:9/webhooks/whmcs'],
        [['serverport' => '9', 'serverhostname' => '0:0:0:0:0:0:0:1'], 'http://[0:0:0:0:0:0:0:1]:9/webhooks/whmcs'],
        [['serverport' => '9', 'serverhostname' => '', 'serverip' => '127.0.0.2'], 'http://127.0.0.2:9/webhooks/whmcs'],
        [['serverport' => '9', 'serverusername' => 'a/b c'], 'http://127.0.0.1:9/webhooks/a%2Fb%20c'],
        [['serverport' => '9', 'serverusername' => ''], 'http://127.0.0.1:9/webhooks/whmcs'],
        [['serverport' => '9', 'serverhostname' => 'LocalHost'], 'http://LocalHost:9/webhooks/whmcs'],
        [['serverport' => '', 'serverhostname' => '127.0.0.1:9'], 'http://127.0.0.1:9/webhooks/whmcs'],
        [['serverport' => '8080', 'serverhostname' => '127.0.0.1:9'], 'http://127.0.0.1:9/webhooks/whmcs'],
        [['serverport' => '9', 'serverhostname' => '127.0.0.1:9'], 'http://127.0.0.1:9/webhooks/whmcs'],
        [['serverport' => '', 'serverhostname' => '[::1]:9'], 'http://[::1]:9/webhooks/whmcs'],
        [['serverport' => '9', 'serverhostname' => '[::1]'], 'http://[::1]:9/webhooks/whmcs'],
        [['serverport' => '', 'serverhostname' => 'https://abc.de/'], 'https://abc.de:443/webhooks/whmcs'],
        [['serverport' => '', 'serverhostname' => 'https://abc.de:8443'], 'https://abc.de:8443/webhooks/whmcs'],
        [['serverport' => '443', 'serverhostname' => 'abc.de:8443', 'serversecure' => 'on'], 'https://abc.de:8443/webhooks/whmcs'],
        [['serverport' => '', 'serverhostname' => 'http://10.0.0.5'], 'http://10.0.0.5:8080/webhooks/whmcs'],
    ] as $case) {
        $settings = Settings::fromParams(params($case[0]));
        same(null, $settings->error(), $case[1]);
        same($case[1], $settings->url());
    }
});

test('a proxy in the environment is not used', function () {
    Fake::requests();
    $closed = closedPort();
    foreach (['http_proxy', 'all_proxy'] as $name) {
        putenv($name . '=http://127.0.0.1:' . $closed);
    }
    try {
        same('success', Whmcs::call('CreateAccount', params()));
    } finally {
        putenv('http_proxy');
        putenv('all_proxy');
    }
    onlyRequest();
});

test('the secret may be broken into lines or kept encrypted', function () {
    $signed = function ($stored) {
        $client = new Client(Settings::fromParams(params(['serveraccesshash' => $stored])));
        return $client->signature('a', '1', '{}');
    };
    $right = $signed(VECTOR_SECRET);
    check(is_string($right), 'no signature');
    same($right, $signed(" whsec_C2FVsBQIhrscChlQ\r\nIMV+b5sSYspob7oD \n"));
    Whmcs::$encrypted['c2VhbGVk'] = VECTOR_SECRET;
    same($right, $signed('c2VhbGVk'));
});

// Test connection

test('the connection test tells what is right and what is wrong', function () {
    Fake::requests();
    same(['success' => true, 'error' => ''], billhook_TestConnection(params()));
    same('test.ping', onlyRequest()['event']->type);
    same(true, billhook_TestConnection(params([], 'ignored'))['success']);
    foreach ([
        'unsigned' => 'secret', 'nosource' => 'source', 'html200' => 'not as Billhook does', 'busy' => 'try again',
        'redirect' => 'redirect', 'novel' => 'postponed',
    ] as $source => $word) {
        $answer = billhook_TestConnection(params([], $source));
        same(false, $answer['success'], $source);
        contains($word, sentence($answer['error']));
    }
    $port = closedPort();
    $answer = billhook_TestConnection(params([], 'whmcs', $port));
    same(false, $answer['success']);
    contains('127.0.0.1:' . $port, sentence($answer['error']));
});

test('the connection test is right only where the way back works or is not wanted', function () {
    Fake::requests();
    same(['success' => true, 'error' => ''], billhook_TestConnection(params([], 'back')));
    same('wait=10', onlyRequest()['headers']['prefer']);
    same(['success' => true, 'error' => ''], billhook_TestConnection(params([], 'noback')));
    foreach ([
        'backrefused' => 'add 198.51.100.7 in WHMCS under General Settings → Security → API IP Access Restriction.',
        'backpage' => 'a web page', 'backhangs' => 'no answer within 10s', 'backstops' => 'try again',
        'backmute' => 'no reason', 'backecho' => '***',
    ] as $source => $word) {
        $answer = billhook_TestConnection(params([], $source));
        same(false, $answer['success'], $source);
        contains('Billhook cannot report back to WHMCS: ', sentence($answer['error']));
        contains($word, $answer['error']);
        lacks(substr(VECTOR_SECRET, 6), $answer['error']);
    }
});

// Hooks

test('a paid order tells only of services that other modules have', function () {
    seedOrder();
    serverRecord();
    Fake::requests();
    Whmcs::runHook('OrderPaid', ['orderId' => 1001, 'userId' => 77, 'invoiceId' => 9]);
    $request = onlyRequest();
    check(!isset($request['headers']['prefer']), 'a hook must not wait');
    $event = json_decode($request['body'], true);
    same('order.paid', $event['type']);
    same('1001', $event['order_id']);
    same(['id' => '77', 'email' => 'ann@example.com', 'name' => 'Ann Lee', 'company' => 'Lee &amp; Sons'], $event['customer']);
    same([
        [
            'id' => '502', 'product_id' => 'pid:43', 'hostname' => 'srv502.example.com', 'billing_cycle' => 'Monthly',
            'quantity' => 1, 'options' => ['Location' => 'TPA1', 'Extra IPs' => '5', 'Backup' => '1'],
            'fields' => [],
        ],
        [
            'id' => '503', 'product_id' => 'pid:44', 'hostname' => 'srv503.example.com', 'billing_cycle' => 'Monthly',
            'quantity' => 3, 'options' => [], 'fields' => [],
        ],
    ], $event['services']);
    contains('"options":{}', $request['body']);
    same([], Whmcs::$activity);
});

test('a paid order of nothing but our own products tells nothing', function () {
    seedOrder();
    serverRecord();
    Whmcs::$database->exec('UPDATE tblproducts SET servertype = "billhook"');
    Fake::requests();
    Whmcs::runHook('OrderPaid', ['orderId' => 1001, 'userId' => 77, 'invoiceId' => 9]);
    same([], Fake::requests());
    same([], Whmcs::$activity);
});

test('a service whose product is gone is nobody\'s to order', function () {
    seedOrder();
    serverRecord();
    Whmcs::$database->exec('DELETE FROM tblproducts WHERE id = 43');
    Fake::requests();
    Whmcs::runHook('OrderPaid', ['orderId' => 1001]);
    $services = onlyRequest()['event']->services;
    same(['503'], array_column($services, 'id'));
});

test('services given up since are not ordered', function () {
    seedOrder();
    serverRecord();
    Whmcs::$database->exec("UPDATE tblhosting SET domainstatus = 'Terminated' WHERE id = 502");
    Fake::requests();
    Whmcs::runHook('OrderPaid', ['orderId' => 1001]);
    $event = onlyRequest()['event'];
    same(1, count($event->services));
    same('503', $event->services[0]->id);
    same('77', $event->customer->id);
});

test('a WHMCS without quantities has one of each', function () {
    seedOrder();
    serverRecord();
    Whmcs::$database->exec('ALTER TABLE tblhosting RENAME COLUMN qty TO other');
    Fake::requests();
    Whmcs::runHook('OrderPaid', ['orderId' => 1001, 'userId' => 77]);
    same([1, 1], array_column(json_decode(onlyRequest()['body'], true)['services'], 'quantity'));
});

test('an edited client is told with what the hook says', function () {
    seedOrder();
    serverRecord();
    Fake::requests();
    Whmcs::runHook('ClientEdit', [
        'userid' => 77, 'uuid' => 'u', 'firstname' => 'Anna', 'lastname' => 'Lee', 'email' => 'anna@example.com',
        'olddata' => ['email' => 'ann@example.com'],
    ]);
    $event = json_decode(onlyRequest()['body'], true);
    unset($event['occurred_at']);
    same([
        'type' => 'customer.updated', 'installation' => Installation::id(),
        'customer' => ['id' => '77', 'email' => 'anna@example.com', 'name' => 'Anna Lee', 'company' => 'Lee &amp; Sons'],
    ], $event);
});

test('a closed client is told', function () {
    seedOrder();
    serverRecord();
    Fake::requests();
    Whmcs::runHook('ClientClose', ['userid' => 77]);
    $event = onlyRequest()['event'];
    same('customer.closed', $event->type);
    same('77', $event->customer->id);
    same('ann@example.com', $event->customer->email);
});

test('clients of whom Billhook has no service, and changes it does not use, are not told', function () {
    seedOrder();
    serverRecord();
    $old = ['firstname' => 'Ann', 'lastname' => 'Lee', 'companyname' => 'Lee &amp; Sons', 'email' => 'ann@example.com', 'status' => 'Active'];
    foreach ([
        'a note' => [['notes' => 'x', 'address1' => 'Other Street 1'] + $old, $old, []],
        'another escaping' => [['companyname' => 'Lee & Sons'] + $old, $old, []],
        'inactive' => [['status' => 'Inactive'] + $old, $old, []],
        'the address' => [['email' => 'a@b.example'] + $old, $old, ['customer.updated']],
        'the company' => [['companyname' => ''] + $old, $old, ['customer.updated']],
        'not what was before' => [$old, null, ['customer.updated']],
        'closed' => [['status' => 'Closed'] + $old, $old, ['customer.closed']],
        'reopened' => [$old, ['status' => 'Closed'] + $old, ['customer.reopened']],
        'renamed and closed' => [['lastname' => 'Li', 'status' => 'Closed'] + $old, $old, ['customer.updated', 'customer.closed']],
    ] as $what => $case) {
        foreach (['Active', 'Suspended', 'Terminated', 'Pending', 'Cancelled', 'Fraud'] as $status) {
            Runner::forget();
            Whmcs::$database->exec("UPDATE tblhosting SET domainstatus = '$status' WHERE id = 501");
            Fake::requests();
            Whmcs::runHook('ClientEdit', ['userid' => 77] + $case[0] + ($case[1] === null ? [] : ['olddata' => $case[1]]));
            $types = array_map(function ($request) {
                return json_decode($request['body'])->type;
            }, Fake::requests());
            $created = !in_array($status, ['Pending', 'Cancelled', 'Fraud'], true);
            same($created ? $case[2] : [], $types, $what . ', service ' . $status);
        }
    }
    Whmcs::$database->exec("UPDATE tblhosting SET domainstatus = 'Active'");
    Whmcs::$database->exec('UPDATE tblhosting SET packageid = 43');
    Whmcs::runHook('ClientEdit', ['userid' => 77] + $old);
    Whmcs::runHook('ClientClose', ['userid' => 77]);
    same([], Fake::requests(), 'a client of another module only');
    same([], Whmcs::$activity);
});

test('the status comes from the table where the hook has none', function () {
    seedOrder();
    serverRecord();
    Whmcs::$database->exec("UPDATE tblclients SET status = 'Closed'");
    Fake::requests();
    Whmcs::runHook('ClientEdit', ['userid' => 77, 'olddata' => ['status' => 'Active', 'email' => 'ann@example.com']]);
    same('customer.closed', onlyRequest()['event']->type);
});

test('a client that is closed twice in one request is told once', function () {
    seedOrder();
    serverRecord();
    Fake::requests();
    Whmcs::runHook('ClientClose', ['userid' => 77]);
    Whmcs::runHook('ClientEdit', ['userid' => 77, 'status' => 'Closed', 'olddata' => ['status' => 'Active']]);
    same('customer.closed', onlyRequest()['event']->type);
    Whmcs::runHook('ClientEdit', ['userid' => 77, 'status' => 'Active', 'olddata' => ['status' => 'Closed']]);
    same('customer.reopened', onlyRequest()['event']->type);
    Whmcs::runHook('ClientClose', ['userid' => 77]);
    same('customer.closed', onlyRequest()['event']->type);
});

test('hooks read the active record, also where its hash is encrypted', function () {
    seedOrder();
    Whmcs::$encrypted['c2VhbGVk'] = VECTOR_SECRET;
    serverRecord(['id' => 1, 'disabled' => 1, 'hostname' => 'disabled.invalid']);
    serverRecord(['id' => 2, 'type' => 'cpanel', 'hostname' => 'other.invalid']);
    serverRecord(['accesshash' => 'c2VhbGVk']);
    Fake::requests();
    Whmcs::runHook('ClientClose', ['userid' => 77]);
    $request = onlyRequest();
    $client = new Client(new Settings('h', '', false, '', VECTOR_SECRET));
    same(
        $client->signature($request['headers']['webhook-id'], $request['headers']['webhook-timestamp'], $request['body']),
        $request['headers']['webhook-signature']
    );
});

test('a hook that cannot reach Billhook logs what to do and lets the request go on', function () {
    seedOrder();
    $port = closedPort();
    serverRecord(['port' => $port]);
    $start = microtime(true);
    Whmcs::runHook('OrderPaid', ['orderId' => 1001, 'userId' => 77, 'invoiceId' => 9]);
    check(microtime(true) - $start < 4, 'too slow');
    same([], Whmcs::$thrown);
    $text = onlyActivity();
    contains('order.paid of order 1001', $text);
    contains('502, 503', $text);
    contains('127.0.0.1:' . $port, $text);
    contains('msg_', $text);
    contains('resend.php order.paid 1001 2', $text);
    same(77, Whmcs::$activity[0][1]);
});

test('a hook logs each refusal once, but not what is no business of Billhook\'s', function () {
    seedOrder();
    foreach (['unsigned' => 1, 'html502' => 1, 'busy' => 1, 'redirect' => 1, 'ignored' => 0, 'duplicate' => 0,
        'behindpause' => 0, 'otherinstallation' => 1] as $source => $count) {
        Whmcs::$activity = [];
        Whmcs::$database->exec('DELETE FROM tblservers');
        serverRecord(['username' => $source]);
        Whmcs::runHook('ClientEdit', ['userid' => 77, 'password' => 'LEAK-hook']);
        same($count, count(Whmcs::$activity), $source);
        if ($count === 1) {
            contains('customer.updated of client 77', onlyActivity());
        }
    }
    same([], Whmcs::$thrown);
});

test('a hook never throws, whatever is missing', function () {
    $runs = [
        ['OrderPaid', []], ['ClientEdit', ['userid' => ['a']]], ['ClientClose', ['userid' => 77]],
        ['OrderPaid', ['orderId' => 1001]],
    ];
    seedOrder();
    Whmcs::$database->exec('DELETE FROM tblorders');
    Whmcs::$database->exec('UPDATE tblhosting SET orderid = 1');
    foreach ([false, true] as $broken) {
        if ($broken) {
            foreach (['tblservers', 'tblclients', 'tblhosting'] as $table) {
                Whmcs::$database->exec('DROP TABLE ' . $table);
            }
        }
        foreach ($runs as $run) {
            Whmcs::$activity = [];
            Whmcs::runHook($run[0], $run[1]);
            Runner::forget();
            same([], array_map('strval', Whmcs::$thrown));
            if ($broken || $run[0] !== 'OrderPaid' || $run[1] === []) {
                onlyActivity();
            }
        }
    }
});

test('a hook without the module\'s files says so', function () {
    $root = sys_get_temp_dir() . '/billhook-alone-' . bin2hex(random_bytes(4));
    mkdir($root . '/includes/hooks', 0700, true);
    copy(HOOKS . '/includes/hooks/billhook.php', $root . '/includes/hooks/billhook.php');
    file_put_contents($root . '/try.php', '<?php require ' . var_export(__DIR__ . '/imitation.php', true) . ';'
        . 'Whmcs::reset(); Whmcs::loadHooks(__DIR__ . "/includes/hooks"); Whmcs::runHook("ClientClose", ["userid" => 7]);'
        . 'echo count(Whmcs::$thrown), Whmcs::$activity[0][0];');
    $said = shell_exec(escapeshellarg(PHP_BINARY) . ' ' . escapeshellarg($root . '/try.php') . ' 2>&1');
    array_map('unlink', [$root . '/try.php', $root . '/includes/hooks/billhook.php']);
    array_map('rmdir', [$root . '/includes/hooks', $root . '/includes', $root]);
    check(strpos($said, '0Billhook did not get customer.closed of id 7') === 0, $said);
});

test('the logged command sends it again, with its own time', function () {
    $root = sys_get_temp_dir() . '/billhook-root-' . bin2hex(random_bytes(4));
    exec('cp -r ' . escapeshellarg(HOOKS) . ' ' . escapeshellarg($root));
    file_put_contents($root . '/init.php', '<?php require ' . var_export(__DIR__ . '/imitation.php', true) . ';'
        . 'Whmcs::reset(__DIR__ . "/db.sqlite");');
    Whmcs::reset($root . '/db.sqlite');
    seedOrder();
    $again = function ($arguments) use ($root) {
        $command = 'cd ' . escapeshellarg($root) . ' && ' . escapeshellarg(PHP_BINARY)
            . ' modules/servers/billhook/resend.php ' . $arguments . ' 2>&1';
        exec($command, $lines, $status);
        return [implode("\n", $lines), $status];
    };
    $closed = closedPort();
    serverRecord(['port' => $closed]);
    Whmcs::runHook('OrderPaid', ['orderId' => 1001, 'userId' => 77]);
    check(preg_match('/resend\.php (order\.paid 1001 (\S+))$/', onlyActivity(), $found) === 1, Whmcs::$activity[0][0]);
    // The imitation's folder is another one than this test's.
    exec('cd ' . escapeshellarg($root) . ' && ' . escapeshellarg(PHP_BINARY) . ' modules/servers/billhook/installation.php moved');
    same(1, $again($found[1])[1], 'status while Billhook is away');
    Whmcs::$database->exec('UPDATE tblservers SET port = ' . Fake::port());
    Fake::requests();
    same(["Billhook has it.", 0], $again($found[1]));
    $event = onlyRequest()['event'];
    same($found[2], $event->occurred_at);
    same(2, count($event->services));
    same(2, $again('order.paid x')[1], 'usage');
    same(2, $again('service.terminated 501')[1], 'usage');
    same(0, $again('customer.updated 77')[1]);
    same(0, $again('customer.reopened 77')[1]);
    same(0, $again('order.paid 4711')[1]);
    exec('rm -rf ' . escapeshellarg($root));
});

test('a hook gives up on a slow Billhook after ten seconds', function () {
    seedOrder();
    serverRecord(['username' => 'slow', 'port' => Fake::serve(Fake::folder())]);
    $start = microtime(true);
    Whmcs::runHook('ClientClose', ['userid' => 77]);
    $took = microtime(true) - $start;
    check($took > 8 && $took < 11.5, 'took ' . $took . ' seconds');
    contains('within 10 seconds', onlyActivity());
    same([], Whmcs::$thrown);
});
