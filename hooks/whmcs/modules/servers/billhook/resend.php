<?php
/**
 * Tells Billhook again what a hook could not: WHMCS's activity log has the command with its values.
 *
 *     php modules/servers/billhook/resend.php TYPE ID [WHEN]
 */

if (PHP_SAPI !== 'cli') {
    http_response_code(404);
    exit;
}

$billhookTypes = ['order.paid', 'customer.updated', 'customer.closed', 'customer.reopened'];
$billhookType = isset($argv[1]) ? $argv[1] : '';
$billhookId = isset($argv[2]) ? $argv[2] : '';
$billhookWhen = isset($argv[3]) ? $argv[3] : '';
if (!in_array($billhookType, $billhookTypes, true) || !ctype_digit($billhookId)
    || ($billhookWhen !== '' && !preg_match('/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/', $billhookWhen))) {
    fwrite(STDERR, 'usage: php resend.php ' . implode('|', $billhookTypes) . " ID [YYYY-MM-DDTHH:MM:SSZ]\n");
    exit(2);
}

$billhookInit = dirname(__DIR__, 3) . '/init.php';
if (!is_file($billhookInit)) {
    fwrite(STDERR, "WHMCS's init.php is not where it should be: $billhookInit\n");
    exit(1);
}
require_once $billhookInit;
require __DIR__ . '/lib/load.php';

$billhookResult = \WHMCS\Module\Server\Billhook\Notifier::tell($billhookType, $billhookId, [], $billhookWhen);
if ($billhookResult === null) {
    echo "There is nothing to send: no service of this order is for Billhook to hear of.\n";
} elseif ($billhookResult === \WHMCS\Module\Server\Billhook\Answer::SUCCESS) {
    echo "Billhook has it.\n";
} else {
    fwrite(STDERR, $billhookResult . "\n");
    exit(1);
}
