<?php
/** Which WHMCS this is, and where its services were created. */

use WHMCS\Module\Server\Billhook\Installation;

/** What a property of service 501 says. */
function noted()
{
    return service([])->serviceProperties->get('Billhook');
}

test('every event carries one installation, made once', function () {
    seedOrder();
    serverRecord();
    Fake::requests();
    billhook_TestConnection(params());
    foreach (['CreateAccount', 'SuspendAccount', 'TerminateAccount'] as $function) {
        same('success', Whmcs::call($function, params()), $function);
    }
    Whmcs::runHook('OrderPaid', ['orderId' => 1001]);
    Whmcs::runHook('ClientClose', ['userid' => 77]);
    $ids = array_map(function ($request) {
        return json_decode($request['body'])->installation;
    }, Fake::requests());
    same(6, count($ids));
    same([Installation::id()], array_values(array_unique($ids)));
    check(preg_match('/^[0-9a-f]{32}$/', $ids[0]) === 1, $ids[0]);
});

test('of two first ids the older one stays', function () {
    Whmcs::$database->exec('DROP TABLE tblconfiguration');
    Whmcs::$database->exec('CREATE TABLE tblconfiguration (setting TEXT, value TEXT)');
    foreach (['b' => '2.0', 'a' => '1.0', 'c' => '3.0'] as $id => $since) {
        Whmcs::insert('tblconfiguration', [
            'setting' => Installation::SETTING, 'value' => json_encode(['id' => $id, 'since' => $since]),
        ]);
    }
    same('a', Installation::id());
});

test('without a table for it there is no installation, and all else works', function () {
    Whmcs::$database->exec('DROP TABLE tblconfiguration');
    Fake::requests();
    same('success', billhook_CreateAccount(params()));
    check(!isset(onlyRequest()['event']->installation), 'installation is there');
    same([], billhook_AdminCustomButtonArray());
});

test('an address that only looks different is the same place', function () {
    Whmcs::setting('SystemURL', 'http://www.Billing.example/whmcs');
    $id = Installation::id();
    foreach (['https://billing.example/whmcs/', 'https://BILLING.example:8443/whmcs', '', 'nonsense'] as $url) {
        Whmcs::setting('SystemURL', $url);
        same(null, Installation::refusal(), $url);
    }
    same($id, Installation::id());
});

test('a copy is silent until somebody says what it is', function () {
    seedOrder();
    serverRecord();
    $id = Installation::id();
    foreach (['address' => 'billing.example', 'database' => 'was whmcs and is staging'] as $what => $words) {
        Runner::forget();
        Whmcs::$activity = [];
        if ($what === 'address') {
            Whmcs::setting('SystemURL', 'https://staging.billing.example/');
        } else {
            WHMCS\Database\Connection::$name = 'staging';
        }
        Fake::requests();
        foreach (['CreateAccount', 'SuspendAccount', 'UnsuspendAccount', 'TerminateAccount', 'ChangePackage'] as $function) {
            $text = sentence(Whmcs::call($function, params()));
            contains('may be a copy', $text);
            contains($words, $text);
            contains('installation.php moved', $text);
        }
        contains('may be a copy', sentence(billhook_TestConnection(params())['error']));
        Whmcs::runHook('ClientClose', ['userid' => 77]);
        contains('may be a copy', onlyActivity());
        same([], Fake::requests(), $what);

        same(['moved', 'copy'], array_values(billhook_AdminCustomButtonArray()));
        same('success', billhook_moved(params()));
        same([], billhook_AdminCustomButtonArray());
        same($id, Installation::id(), 'a move keeps the id');
        same('success', Whmcs::call('SuspendAccount', params()));
        contains('nothing to do', sentence(billhook_copy(params())));
    }
});

test('a copy that says so leaves alone what the original created', function () {
    same('success', Whmcs::call('CreateAccount', params()));
    $id = Installation::id();
    Whmcs::setting('SystemURL', 'https://staging.billing.example/');
    same('success', billhook_copy(params()));
    check($id !== Installation::id(), 'the id is the same');
    Fake::requests();
    foreach (['CreateAccount', 'SuspendAccount', 'UnsuspendAccount', 'TerminateAccount', 'ChangePackage'] as $function) {
        contains('created by another WHMCS', sentence(Whmcs::call($function, params())));
    }
    same([], Fake::requests());
    same('success', Whmcs::call('CreateAccount', params(['serviceid' => 999])), 'a service of its own');
});

test('a web server in a jail sees the same folder', function () {
    Installation::id();
    $kept = json_decode(Whmcs::$database->query("SELECT value FROM tblconfiguration WHERE setting = 'BillhookInstallation'")
        ->fetchColumn(), true);
    check($kept['folder'] !== '', 'no folder is kept');
    foreach (['/jail' . $kept['folder'] => true, '/elsewhere' => false] as $folder => $same) {
        Whmcs::setting(Installation::SETTING, json_encode(['folder' => $folder] + $kept));
        same($same, Installation::refusal() === null, $folder);
    }
});

test('the command says what this WHMCS is', function () {
    $root = sys_get_temp_dir() . '/billhook-root-' . bin2hex(random_bytes(4));
    exec('cp -r ' . escapeshellarg(HOOKS) . ' ' . escapeshellarg($root));
    file_put_contents($root . '/init.php', '<?php require ' . var_export(__DIR__ . '/imitation.php', true) . ';'
        . 'Whmcs::reset(__DIR__ . "/db.sqlite");');
    Whmcs::reset($root . '/db.sqlite');
    $id = Installation::id();
    contains('its folder was', sentence((string) shell_exec('cd ' . escapeshellarg($root) . ' && ' . escapeshellarg(PHP_BINARY)
        . ' -r ' . escapeshellarg('require "init.php"; require "modules/servers/billhook/lib/load.php";'
        . 'echo \WHMCS\Module\Server\Billhook\Installation::refusal();') . ' 2>&1')));
    $say = function ($what) use ($root) {
        exec('cd ' . escapeshellarg($root) . ' && ' . escapeshellarg(PHP_BINARY)
            . ' modules/servers/billhook/installation.php ' . $what . ' 2>&1', $lines, $status);
        return [implode("\n", $lines), $status];
    };
    same(2, $say('')[1]);
    same(['This is the installation ' . $id . '.', 0], $say('moved'));
    list($said, $status) = $say('copy');
    same(0, $status);
    lacks($id, $said);
    exec('rm -rf ' . escapeshellarg($root));
});

// Where a service was created

test('Create notes where, unless Billhook surely did not take it', function () {
    foreach ([
        'whmcs' => true, 'progress' => true, 'paused' => true, 'cancelled' => true, 'html502' => true, 'busy' => true,
        'ignored' => false, 'unsigned' => false, 'nosource' => false, 'invalid' => false, 'redirect' => false,
    ] as $source => $is) {
        Runner::reset();
        answered($source, 'CreateAccount');
        same($is ? 'source=' . $source . ' installation=' . Installation::id() . ' server=3' : '', noted(), $source);
    }
    Runner::reset();
    Whmcs::call('CreateAccount', params([], 'whmcs', closedPort()));
    same('', noted(), 'nothing was reached');
});

test('a note that is not there is made as soon as Billhook shows that it knows the service', function () {
    foreach ([
        'whmcs' => true, 'progress' => true, 'paused' => true, 'superseded' => true, 'unknown' => false, 'unsigned' => false,
        'html200' => false, 'busy' => false,
    ] as $source => $is) {
        Runner::reset();
        answered($source, 'ChangePackage');
        same($is ? 'source=' . $source . ' installation=' . Installation::id() . ' server=3' : '', noted(), $source);
    }
    Runner::reset();
    same('success', Whmcs::call('TerminateAccount', params()));
    same('', noted(), 'what is terminated needs none');
});

test('what was created elsewhere is left alone, and nothing is sent', function () {
    same('success', Whmcs::call('CreateAccount', params()));
    Fake::requests();
    foreach (['CreateAccount', 'SuspendAccount', 'UnsuspendAccount', 'TerminateAccount', 'ChangePackage'] as $function) {
        $text = sentence(Whmcs::call($function, params(['serverid' => 4], 'second')));
        contains('created at the source "whmcs" of Billhook (server record 3)', $text);
        contains('"second"', $text);
    }
    same([], Fake::requests());
    service([])->serviceProperties->save(['Billhook' => '"typed by hand"']);
    contains('does not say where', sentence(Whmcs::call('TerminateAccount', params())));
    same([], Fake::requests());
    same('success', Whmcs::call('TerminateAccount', params(['serviceid' => 502])), 'another service');
});

test('what was created here and is not known here is no success', function () {
    same('success', Whmcs::call('CreateAccount', params([], 'whmcs')));
    service([])->serviceProperties->save(['Billhook' => str_replace('=whmcs ', '=unknown ', noted())]);
    foreach (['SuspendAccount', 'UnsuspendAccount', 'TerminateAccount', 'ChangePackage'] as $function) {
        $text = sentence(Whmcs::call($function, params([], 'unknown')));
        contains('although WHMCS noted its creation', $text);
        contains('empty the field "Billhook"', $text);
    }
    service([])->serviceProperties->save(['Billhook' => '']);
    same('success', answered('unknown', 'TerminateAccount'));
});

test('the note goes with a termination that happened', function () {
    same('success', Whmcs::call('CreateAccount', params()));
    check(noted() !== '', 'no note');
    sentence(Whmcs::call('TerminateAccount', params(['serverport' => closedPort()])));
    check(noted() !== '', 'the note is gone although nothing happened');
    same('success', Whmcs::call('TerminateAccount', params()));
    same('', noted());
    same('success', Whmcs::call('CreateAccount', params()), 'it may be created again');
});

test('a WHMCS without service properties does without the note', function () {
    $throws = new class {
        public function get($name)
        {
            throw new RuntimeException('LEAK');
        }

        public function save($properties)
        {
            throw new RuntimeException('LEAK');
        }
    };
    foreach ([null, new stdClass(), (object) ['serviceProperties' => null], (object) ['serviceProperties' => $throws]] as $model) {
        foreach (['CreateAccount', 'SuspendAccount', 'TerminateAccount'] as $function) {
            same('success', Whmcs::call($function, params(['model' => $model])), $function);
        }
    }
});
