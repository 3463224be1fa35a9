<?php
/**
 * A stand-in for Billhook, run by PHP's built-in server: the name of the source chooses the answer. Each request is
 * kept as a file in the folder named by FAKE_DIR.
 */

$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
$scenario = rawurldecode(substr($path, strlen('/webhooks/')));
$headers = [];
foreach (getallheaders() as $name => $value) {
    $headers[strtolower($name)] = $value;
}
$kept = [
    'method' => $_SERVER['REQUEST_METHOD'], 'path' => $path, 'headers' => $headers,
    'body' => base64_encode(file_get_contents('php://input')),
];
$file = sprintf('%s/%.6F-%s.json', getenv('FAKE_DIR'), microtime(true), bin2hex(random_bytes(3)));
file_put_contents($file . '.part', json_encode($kept));
rename($file . '.part', $file);

$json = function ($status, array $body, $type = 'application/json') {
    http_response_code($status);
    header('Content-Type: ' . $type);
    echo json_encode($body);
};
$problem = function ($status, $title, $detail, $cause = null) use ($json) {
    $body = ['type' => 'about:blank', 'title' => $title, 'status' => $status, 'detail' => $detail];
    $body += $cause === null ? [] : ['cause' => $cause];
    $json($status, $body, 'application/problem+json');
};
$delivery = ['delivery_id' => 'd_1'];
$run = function ($id, $status, $error, $next) {
    return ['id' => $id, 'status' => $status, 'error' => $error, 'waiting_for' => null, 'next' => $next];
};
// What Billhook says of its way back, by scenario.
$look = 'look whether sources.whmcs.report.url is right and this machine can reach it';
$report = function ($ok, $error) use ($json, $delivery, $headers) {
    $told = isset($headers['prefer'])
        ? ['report' => ['configured' => $ok !== null || $error !== null, 'ok' => $ok, 'error' => $error]]
        : [];
    return $json(200, $delivery + ['status' => 'ignored', 'reason' => 'test.ping: nothing to do', 'runs' => []] + $told);
};

switch ($scenario) {
    case 'whmcs':
        $waiting = isset($headers['prefer']);
        return $waiting
            ? $json(200, $delivery + [
                'status' => 'succeeded', 'runs' => [$run('r_1', 'succeeded', null, null)],
            ])
            : $json(202, $delivery + ['status' => 'accepted', 'runs' => ['r_1']]);
    case 'superseded':
        return $json(200, $delivery + [
            'status' => 'succeeded',
            'runs' => [$run('r_1', 'superseded', 'by a newer event of 2026-11-29T00:58:56Z that made the service active', null)],
        ]);
    case 'orderedagain':
        return $json(200, $delivery + ['status' => 'succeeded', 'runs' => [
            $run('r_1', 'superseded', 'by the newer order.paid of 2026-11-29T00:58:56Z (r_2)', null),
        ]]);
    case 'progress':
        return $json(202, $delivery + ['status' => 'accepted', 'runs' => ['r_77']]);
    case 'behindbuild':
    case 'behindpause':
        list($status, $reason) = $scenario === 'behindbuild'
            ? ['waiting', 'waiting for Hivelocity to build the device']
            : ['paused', 'the host name <b>SRV One</b> is no host name.'];
        return $json(202, $delivery + [
            'status' => 'accepted', 'runs' => ['r_77'], 'blocked_by' => ['run' => 'r_70', 'status' => $status, 'reason' => $reason],
        ]);
    case 'dryrun':
        return $json(200, $delivery + [
            'status' => 'succeeded', 'dry_run' => true, 'runs' => [$run('r_1', 'succeeded', null, null) + ['dry_run' => true]],
        ]);
    case 'dryaccepted':
        return $json(202, $delivery + ['status' => 'accepted', 'dry_run' => true, 'runs' => ['r_1']]);
    case 'duplicate':
        return $json(200, $delivery + ['status' => 'duplicate', 'runs' => ['r_1']]);
    case 'duplicatepaused':
        return $json(200, $delivery + ['status' => 'duplicate', 'runs' => [$run('r_9', 'paused', 'no stock', null)]]);
    case 'ignored':
        return $json(200, $delivery + [
            'status' => 'ignored', 'reason' => 'product 9 is not in the catalogue ([[products]] in the configuration)',
            'runs' => [], 'unmatched' => [['service_id' => '501', 'product_id' => '9']],
        ]);
    case 'unmatched':
        return $json(202, $delivery + [
            'status' => 'accepted', 'runs' => ['r_1'], 'unmatched' => [['service_id' => '501', 'product_id' => '9']],
        ]);
    case 'unknown':
        return $json(200, $delivery + [
            'status' => 'unknown_service', 'reason' => 'service 501 was never ordered through Billhook by this source, so nothing was'
                . ' done; should an order come that was placed before this, this is carried out after it', 'runs' => [], 'unknown_services' => ['501'],
        ]);
    case 'paused':
        return $json(200, $delivery + ['status' => 'paused', 'runs' => [
            $run('r_8', 'succeeded', null, null),
            $run('r_9', 'paused', 'Hivelocity said 403: <b>key</b> revoked.', 'put the cause right, then billhook runs retry r_9, or'
                . ' end it: billhook runs cancel r_9'),
        ]]);
    case 'pausedbare':
        return $json(200, $delivery + ['status' => 'paused', 'runs' => [$run('r_9', 'paused', 'no stock', null)]]);
    case 'cancelled':
        return $json(200, $delivery + ['status' => 'cancelled', 'runs' => [$run('r_9', 'cancelled', null, null)]]);
    case 'back':
        return $report(true, null);
    case 'noback':
        return $report(null, null);
    case 'backrefused':
        return $report(false, 'WHMCS refused: Invalid IP 198.51.100.7; add 198.51.100.7 in WHMCS under General Settings'
            . ' → Security → API IP Access Restriction');
    case 'backpage':
        return $report(false, 'the billing platform answered 200 with <b>a web page</b>; ' . $look . '.');
    case 'backhangs':
        return $report(false, 'the billing platform gave no answer within 10s; ' . $look);
    case 'backstops':
        return $report(null, 'Billhook is stopping; try again');
    case 'backmute':
        return $report(false, null);
    case 'backecho':
        return $report(false, 'it said ' . getenv('FAKE_ECHO'));
    case 'novel':
        return $json(200, $delivery + ['status' => 'postponed']);
    case 'unsigned':
        return $problem(401, 'Unauthorized', 'no signature of this message matches', 'signature_wrong');
    case 'forbidden':
        return $problem(403, 'Forbidden', 'the address 192.0.2.1 is not allowed');
    case 'nosource':
        return $problem(404, 'Not Found', 'there is no source of this name');
    case 'invalid':
        $detail = 'must not contain control characters';
        return $json(422, [
            'type' => 'about:blank', 'title' => 'Field missing or wrong', 'status' => 422, 'detail' => $detail,
            'cause' => 'field_wrong', 'pointer' => '/services/0/hostname', 'errors' => [['pointer' => '/services/0/hostname', 'detail' => $detail]],
        ], 'application/problem+json');
    case 'otherinstallation':
        return $problem(409, 'Another installation', 'this event comes from installation 1a2b, and the source whmcs belongs to'
            . ' installation 7f3c. If the installation really moved, write installation = "1a2b" in Billhook\'s configuration',
            'other_installation');
    case 'sameid':
        return $problem(409, 'Id used before', 'the same id came with another body', 'id_reused');
    case 'echo':
        return $problem(400, 'Bad Request', 'cannot read ' . getenv('FAKE_ECHO') . ' <script>alert(1)</script>');
    case 'busy':
        header('Retry-After: 7');
        return $problem(503, 'Service Unavailable', 'the store is down');
    case 'html502':
        http_response_code(502);
        echo '<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>';
        return;
    case 'html404':
        http_response_code(404);
        echo '<html><body>Not Found</body></html>';
        return;
    case 'html200':
        echo '<html><body>It works!</body></html>';
        return;
    case 'garbage':
        header('Content-Type: application/json');
        echo "{\"status\": \"succ\xff\x00";
        return;
    case 'huge':
        header('Content-Type: application/json');
        echo '{"status":"succeeded","padding":"', str_repeat('x', 600000), '"}';
        return;
    case 'redirect':
        http_response_code(307);
        header('Location: /webhooks/whmcs');
        return;
    case 'tohttps':
        http_response_code(301);
        header('Location: https://billhook.example/webhooks/whmcs');
        return;
    case 'slow':
        sleep(13);
        return $json(202, $delivery + ['status' => 'accepted', 'runs' => []]);
}
return $problem(404, 'Not Found', 'the stand-in has no such answer');
