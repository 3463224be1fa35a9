<?php
/** How long a Billhook that hangs can hold up one request, or a run of cron. */

use WHMCS\Module\Server\Billhook\Patience;

/** A port that takes connections and never answers; it does so as long as the socket is kept. */
function hanging()
{
    $socket = stream_socket_server('tcp://127.0.0.1:0', $number, $text, STREAM_SERVER_BIND | STREAM_SERVER_LISTEN,
        stream_context_create(['socket' => ['backlog' => 1000]]));
    return [$socket, (int) substr(strrchr(stream_socket_get_name($socket, false), ':'), 1)];
}

test('five hundred suspensions by cron and a Billhook that hangs take less than two minutes', function () {
    list($socket, $port) = hanging();
    Patience::$inCron = true;
    $start = microtime(true);
    $slow = 0;
    for ($service = 1; $service <= 500; $service++) {
        $before = microtime(true);
        $text = sentence(billhook_SuspendAccount(params(['serviceid' => $service], 'whmcs', $port)));
        $slow += microtime(true) - $before > 1 ? 1 : 0;
    }
    $took = microtime(true) - $start;
    check($took < 60, 'took ' . $took . ' seconds');
    same(3, $slow, 'calls that were sent');
    contains('did not answer 3 calls in a row', $text);
    contains('127.0.0.1:' . $port, $text);
    fclose($socket);
});

test('one Billhook that hangs is nothing to another one, and an answer makes it well again', function () {
    $place = 'a.example:1';
    foreach ([1, 2, 3] as $count) {
        same(null, Patience::refusal($place));
        Patience::note($place, false, 0.1);
    }
    check(Patience::refusal($place) !== null, 'nothing is refused');
    same(null, Patience::refusal('b.example:1'));
    same([1, 2, 3], Patience::limits($place, 20, 5, 10));
    Patience::note($place, true, 0.1);
    same(null, Patience::refusal($place));
    same([20, 5, 30], Patience::limits($place, 20, 5, 10));
});

test('cron waits less for each suspension, and not at all once its time is spent', function () {
    foreach ([[false, 'wait=20'], [true, 'wait=5']] as $case) {
        Fake::requests();
        Patience::$inCron = $case[0];
        same('success', Whmcs::call('SuspendAccount', params()));
        same($case[1], onlyRequest()['headers']['prefer']);
    }
    contains('still in progress after 5 seconds', sentence(answered('progress')));
    same('success', answered('whmcs', 'UnsuspendAccount'));
    same('wait=20', onlyRequest()['headers']['prefer'], 'who paid is few');
    Patience::note('a.example:1', true, Patience::BUDGET);
    Fake::requests();
    $text = sentence(answered('progress'));
    contains('spent its time for waiting', $text);
    contains('r_77', $text);
    check(!isset(onlyRequest()['headers']['prefer']), 'it still waits');
});
