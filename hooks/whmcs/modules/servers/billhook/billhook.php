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
    return billhook_perform('order.paid', 'create', $params, false);
}

function billhook_SuspendAccount(array $params)
{
    return billhook_perform('service.suspended', 'suspend', $params, true);
}

function billhook_UnsuspendAccount(array $params)
{
    return billhook_perform('service.unsuspended', 'unsuspend', $params, true);
}

function billhook_TerminateAccount(array $params)
{
    return billhook_perform('service.terminated', 'terminate', $params, true);
}

function billhook_ChangePackage(array $params)
{
    return billhook_perform('service.package_changed', 'change the package of', $params, true);
}

/** Proves address, source and secret with an event that has no effect. */
function billhook_TestConnection(array $params)
{
    try {
        $client = \WHMCS\Module\Server\Billhook\Client::fromParams($params);
        $reply = $client->send(\WHMCS\Module\Server\Billhook\Event::ping(), false);
        $word = isset($reply['answer']['status']) ? $reply['answer']['status'] : '';
        $taken = $reply['status'] >= 200 && $reply['status'] <= 299;
        if ($taken && in_array($word, ['accepted', 'duplicate', 'ignored', 'succeeded'], true)) {
            return ['success' => true, 'error' => ''];
        }
        return ['success' => false, 'error' => $client->outcome($reply, 'take a test event', true)];
    } catch (\Throwable $e) {
        return ['success' => false, 'error' => billhook_internalError($e)];
    }
}

/**
 * @param string $verb what is done to the service, in words
 * @param bool   $wait whether the real outcome is asked for, or the receipt is enough
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
