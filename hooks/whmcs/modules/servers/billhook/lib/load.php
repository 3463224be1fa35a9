<?php
/** Loads the module's classes, of which WHMCS may have loaded some itself; gives whether all of them are there. */

if (!defined('WHMCS')) {
    die('This file cannot be opened directly.');
}

foreach ([
    'Text', 'Settings', 'Patience', 'Records', 'Installation', 'Origin', 'Fields', 'Event', 'Answer', 'Client', 'Notifier',
] as $billhookPart) {
    if (class_exists('WHMCS\Module\Server\Billhook\\' . $billhookPart, false)) {
        continue;
    }
    if (!is_readable(__DIR__ . '/' . $billhookPart . '.php')) {
        return false;
    }
    require_once __DIR__ . '/' . $billhookPart . '.php';
}
unset($billhookPart);
return true;
