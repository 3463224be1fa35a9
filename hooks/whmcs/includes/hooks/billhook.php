<?php
/**
 * Billhook's hooks for WHMCS: paid orders of products that other modules (or none) provision, and changes to
 * clients. Products of the Billhook module tell their own story through the module.
 */

if (!defined('WHMCS')) {
    die('This file cannot be opened directly.');
}

/** Tells Billhook; whatever goes wrong ends in the activity log, never in the request that triggered the hook. */
function billhook_hooks_tell($type, $vars, array $idNames)
{
    try {
        $vars = is_array($vars) ? $vars : [];
        $id = '';
        foreach ($idNames as $name) {
            if ($id === '' && isset($vars[$name]) && is_scalar($vars[$name])) {
                $id = trim((string) $vars[$name]);
            }
        }
        $load = dirname(__DIR__, 2) . '/modules/servers/billhook/lib/load.php';
        if (!is_readable($load) || !(require $load)) {
            if (function_exists('logActivity')) {
                logActivity('Billhook did not get ' . $type . ' of id ' . (int) $id . '. The folder modules/servers/billhook'
                    . ' is missing or cannot be read: copy it from Billhook\'s hooks/whmcs, or delete'
                    . ' includes/hooks/billhook.php.');
            }
            return;
        }
        if (!isset($vars['userid']) && isset($vars['userId'])) {
            $vars['userid'] = $vars['userId'];
        }
        if ($type === 'customer.updated') {
            \WHMCS\Module\Server\Billhook\Notifier::edited($id, $vars);
        } elseif ($type === 'customer.closed') {
            \WHMCS\Module\Server\Billhook\Notifier::closed($id, $vars);
        } else {
            \WHMCS\Module\Server\Billhook\Notifier::tell($type, $id, $vars);
        }
    } catch (\Throwable $e) {
        try {
            if (function_exists('logActivity')) {
                logActivity('Billhook did not get ' . $type . ': an internal error (' . get_class($e) . ' in '
                    . basename($e->getFile()) . ', line ' . $e->getLine() . ') prevented it.');
            }
        } catch (\Throwable $e) {
            return;
        }
    }
}

add_hook('OrderPaid', 10, function ($vars) {
    billhook_hooks_tell('order.paid', $vars, ['orderId', 'orderid', 'OrderID']);
});

add_hook('ClientEdit', 10, function ($vars) {
    billhook_hooks_tell('customer.updated', $vars, ['userid', 'client_id', 'clientId']);
});

add_hook('ClientClose', 10, function ($vars) {
    billhook_hooks_tell('customer.closed', $vars, ['userid', 'client_id', 'clientId']);
});
