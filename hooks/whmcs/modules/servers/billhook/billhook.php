<?php
/**
 * Billhook's provisioning module for WHMCS: each lifecycle action becomes one signed event, and Billhook's
 * answer becomes `success` or a sentence for staff.
 */

if (!defined('WHMCS')) {
    die('This file cannot be opened directly.');
}

require __DIR__ . '/lib/load.php';

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
        'Custom fields to send' => [
            'Type' => 'text',
            'Size' => '50',
            'Default' => '',
            'Description' => 'Names of this product\'s custom fields that Billhook may see, with commas between. Leave empty for'
                . ' none. Fields of the type Password are never sent.',
        ],
    ];
}

/** How long the real outcome of an action is waited for, in seconds. Cron suspends whoever is overdue at one go. */
const BILLHOOK_WAIT = 20;
const BILLHOOK_WAIT_CREATE = 3;
const BILLHOOK_WAIT_SUSPEND_IN_CRON = 5;
const BILLHOOK_WAIT_TEST = 10;

function billhook_CreateAccount(array $params)
{
    return billhook_perform('order.paid', 'create', $params, BILLHOOK_WAIT_CREATE);
}

function billhook_SuspendAccount(array $params)
{
    $wait = \WHMCS\Module\Server\Billhook\Patience::isCron() ? BILLHOOK_WAIT_SUSPEND_IN_CRON : BILLHOOK_WAIT;
    return billhook_perform('service.suspended', 'suspend', $params, $wait);
}

function billhook_UnsuspendAccount(array $params)
{
    return billhook_perform('service.unsuspended', 'unsuspend', $params, BILLHOOK_WAIT);
}

function billhook_TerminateAccount(array $params)
{
    return billhook_perform('service.terminated', 'terminate', $params, BILLHOOK_WAIT);
}

function billhook_ChangePackage(array $params)
{
    return billhook_perform('service.package_changed', 'change the package of', $params, BILLHOOK_WAIT);
}

/**
 * Proves address, source and secret with an event that has no effect, and that Billhook can report back where it is
 * set up to: else nobody notices until an IP fails to appear.
 */
function billhook_TestConnection(array $params)
{
    try {
        $client = new \WHMCS\Module\Server\Billhook\Client(\WHMCS\Module\Server\Billhook\Settings::fromParams($params));
        $answer = $client->send(\WHMCS\Module\Server\Billhook\Event::ping(), BILLHOOK_WAIT_TEST);
        $result = $answer->tested();
        $right = $result === \WHMCS\Module\Server\Billhook\Answer::SUCCESS;
        return ['success' => $right, 'error' => $right ? '' : $result];
    } catch (\Throwable $e) {
        return ['success' => false, 'error' => billhook_internalError($e)];
    }
}

/** Only while this WHMCS is silent, since only then there is something to say. */
function billhook_AdminCustomButtonArray()
{
    return \WHMCS\Module\Server\Billhook\Installation::refusal() === null
        ? []
        : ['Billhook: this WHMCS was moved' => 'moved', 'Billhook: this WHMCS is a copy' => 'copy'];
}

function billhook_moved(array $params)
{
    return billhook_said([\WHMCS\Module\Server\Billhook\Installation::class, 'moved']);
}

function billhook_copy(array $params)
{
    return billhook_said([\WHMCS\Module\Server\Billhook\Installation::class, 'isCopy']);
}

function billhook_said(callable $what)
{
    try {
        // A button that was left open in a browser must not act on an installation that nothing is wrong with.
        if (\WHMCS\Module\Server\Billhook\Installation::refusal() === null) {
            return 'This WHMCS is where it always was, so there was nothing to do.';
        }
        call_user_func($what);
        return \WHMCS\Module\Server\Billhook\Answer::SUCCESS;
    } catch (\Throwable $e) {
        return billhook_internalError($e);
    }
}

/**
 * @param string $verb what is done to the service, in words
 * @param int    $wait how long the outcome is waited for, in seconds
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
        return billhook_deliver($event, $verb . ' service ' . $id, $params, $wait);
    } catch (\Throwable $e) {
        return billhook_internalError($e);
    }
}

/** Sends the event to where the service is, and keeps the note of where that is. */
function billhook_deliver(array $event, $what, array $params, $wait)
{
    $creates = $event['type'] === 'order.paid';
    $terminates = $event['type'] === 'service.terminated';
    $settings = \WHMCS\Module\Server\Billhook\Settings::fromParams($params);
    $origin = new \WHMCS\Module\Server\Billhook\Origin($params);
    $refusal = $origin->refusal($what, $settings);
    if ($refusal !== null) {
        return $refusal;
    }
    $client = new \WHMCS\Module\Server\Billhook\Client($settings);
    $answer = $client->send($event, $wait);
    // Also later: a service may have changed to a product that lacks the note.
    if ($creates ? $answer->mayHaveOrdered() : !$terminates && $answer->isOfKnownService()) {
        $origin->note($settings, $params);
    }
    if ($answer->word() === 'unknown_service' && ($terminates || $origin->isNoted())) {
        // What was never created is terminated; what was created and is not known is somewhere else.
        return $origin->isNoted() ? $origin->lost($what, $settings) : $answer::SUCCESS;
    }
    $result = $answer->outcome($what, $creates ? $answer::UNDER_WAY : $answer::DONE);
    if ($terminates && $result === $answer::SUCCESS) {
        $origin->forget();
    }
    return $result;
}

/** Where it broke, without the message: that one may quote data. */
function billhook_internalError($e)
{
    return 'The Billhook module failed inside WHMCS (' . get_class($e) . ' in ' . basename($e->getFile()) . ', line '
        . $e->getLine() . '). Report this line to whoever maintains the module; Billhook may not have got the event.';
}
