<?php
/**
 * Billhook's provisioning module for WHMCS: each lifecycle action becomes one signed event, and Billhook's
 * answer becomes `success` or a sentence for staff.
 */

if (!defined('WHMCS')) {
    die('This file cannot be opened directly.');
}

foreach (['Client', 'Event', 'Records'] as $billhookPart) {
    if (!class_exists('WHMCS\Module\Server\Billhook\\' . $billhookPart, false)) {
        require_once __DIR__ . '/lib/' . $billhookPart . '.php';
    }
}
unset($billhookPart);

function billhook_MetaData()
{
    return [
        'DisplayName' => 'Billhook',
        'APIVersion' => '1.1',
        'RequiresServer' => true,
        'DefaultNonSSLPort' => '8080',
        'DefaultSSLPort' => '443',
    ];
}

function billhook_ConfigOptions()
{
    return [
        'Catalogue product id' => [
            'Type' => 'text',
            'Size' => '25',
            'Default' => '',
            'Description' => 'The product\'s id in Billhook\'s configuration. Leave empty to use WHMCS\'s own product id.',
        ],
    ];
}

function billhook_CreateAccount(array $params)
{
    return billhook_perform('order.paid', 'create', $params, 0);
}

function billhook_SuspendAccount(array $params)
{
    return billhook_perform('service.suspended', 'suspend', $params, \WHMCS\Module\Server\Billhook\Client::WAIT);
}

function billhook_UnsuspendAccount(array $params)
{
    return billhook_perform('service.unsuspended', 'unsuspend', $params, \WHMCS\Module\Server\Billhook\Client::WAIT);
}

function billhook_TerminateAccount(array $params)
{
    return billhook_perform('service.terminated', 'terminate', $params, \WHMCS\Module\Server\Billhook\Client::WAIT);
}

function billhook_ChangePackage(array $params)
{
    return billhook_perform('service.package_changed', 'change the package of', $params, \WHMCS\Module\Server\Billhook\Client::WAIT);
}

/**
 * Proves address, source and secret with an event that has no effect, and that Billhook can report back where it is
 * set up to: else nobody notices until an IP fails to appear.
 */
function billhook_TestConnection(array $params)
{
    try {
        $client = \WHMCS\Module\Server\Billhook\Client::fromParams($params);
        $reply = $client->send(\WHMCS\Module\Server\Billhook\Event::ping(), $client::WAIT_TEST);
        $result = $client->tested($reply);
        $right = $result === $client::SUCCESS;
        return ['success' => $right, 'error' => $right ? '' : $result];
    } catch (\Throwable $e) {
        return ['success' => false, 'error' => billhook_internalError($e)];
    }
}

/**
 * @param string $verb what is done to the service, in words
 * @param int    $wait how long the real outcome is waited for, in seconds; 0: the receipt is enough
 *
 * @return string exactly `success`, or a sentence for staff
 */
function billhook_perform($type, $verb, array $params, $wait)
{
    try {
        // An addon carries the id of the service it belongs to: acting on it would hit that service instead.
        if (!empty($params['addonId'])) {
            return 'Billhook does not provision product addons: an addon shares the id of its service, which would be'
                . ' acted on instead. Sell it as a product of its own, or as a configurable option.';
        }
        $event = \WHMCS\Module\Server\Billhook\Event::fromParams($type, $params);
        $id = $event['services'][0]['id'];
        if ($id === '' || $id === '0') {
            return 'WHMCS gave no service id, so nothing was sent to Billhook.';
        }
        $client = \WHMCS\Module\Server\Billhook\Client::fromParams($params);
        $reply = $client->send($event, $wait);
        return $client->outcome($reply, $verb . ' service ' . $id, $wait);
    } catch (\Throwable $e) {
        return billhook_internalError($e);
    }
}

/** Where it broke, without the message: that one may quote data. */
function billhook_internalError($e)
{
    return 'The Billhook module failed inside WHMCS (' . get_class($e) . ' in ' . basename($e->getFile()) . ', line '
        . $e->getLine() . '). Report this line to whoever maintains the module; Billhook may not have got the event.';
}
