<?php
/**
 * Says what this WHMCS is, where the module cannot tell an original that moved from a copy and stays silent.
 *
 *     php modules/servers/billhook/installation.php moved|copy
 */

if (PHP_SAPI !== 'cli') {
    http_response_code(404);
    exit;
}

$billhookSaid = isset($argv[1]) ? $argv[1] : '';
if (!in_array($billhookSaid, ['moved', 'copy'], true)) {
    fwrite(STDERR, "usage: php installation.php moved|copy\n");
    exit(2);
}

$billhookInit = dirname(__DIR__, 3) . '/init.php';
if (!is_file($billhookInit)) {
    fwrite(STDERR, "WHMCS's init.php is not where it should be: $billhookInit\n");
    exit(1);
}
require_once $billhookInit;
require __DIR__ . '/lib/load.php';

if ($billhookSaid === 'moved') {
    \WHMCS\Module\Server\Billhook\Installation::moved();
} else {
    \WHMCS\Module\Server\Billhook\Installation::isCopy();
}
echo 'This is the installation ' . \WHMCS\Module\Server\Billhook\Installation::id() . ".\n";
