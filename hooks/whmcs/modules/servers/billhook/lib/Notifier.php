<?php
/**
 * What WHMCS's hooks have to tell, sent within the request that triggered them: short, never waiting for an
 * outcome and never throwing. What could not be told is written to WHMCS's activity log, with the command that
 * tells it again.
 */

namespace WHMCS\Module\Server\Billhook;

if (!defined('WHMCS')) {
    die('This file cannot be opened directly.');
}

final class Notifier
{
    const CONNECT = 3;
    const TOTAL = 10;

    /** What can be sent, and whose id goes with it. */
    const TYPES = ['order.paid' => 'order', 'customer.updated' => 'client', 'customer.closed' => 'client'];

    /**
     * Tells Billhook about an order or a client.
     *
     * @param string $type       one of TYPES
     * @param mixed  $id         of the order or client
     * @param array  $details    what the hook itself says of the client; goes before the table
     * @param string $occurredAt for one that is sent again: when it happened; empty: now
     *
     * @return string|null `success`; a sentence about what went wrong; null: there was nothing to tell
     */
    public static function tell($type, $id, array $details = [], $occurredAt = '')
    {
        $id = is_scalar($id) ? trim((string) $id) : '';
        $occurredAt = $occurredAt === '' ? Event::now() : $occurredAt;
        $client = '';
        $services = '';
        $message = '';
        try {
            if ($id === '' || $id === '0') {
                $result = 'WHMCS gave no id with it';
            } else {
                if ($type === 'order.paid') {
                    $client = Event::text($details, 'userid');
                    $client = $client !== '' ? $client : Records::clientOfOrder($id);
                    $ours = Records::foreignServices($id);
                    if ($ours === []) {
                        return null;
                    }
                    $services = implode(', ', array_column($ours, 'id'));
                    $customer = Event::customer($client, Records::client($client));
                    $event = Event::event($type, $occurredAt, $id, $customer, $ours);
                } else {
                    $client = $id;
                    $known = array_intersect_key($details, array_flip(['firstname', 'lastname', 'companyname', 'email']));
                    $event = Event::event($type, $occurredAt, '', Event::customer($id, $known + Records::client($id)), []);
                }
                list($result, $message) = self::send($event);
            }
        } catch (\Throwable $e) {
            // The message of an exception may quote data; its class is enough to go on.
            $result = 'An internal error (' . get_class($e) . ' in ' . basename($e->getFile()) . ', line ' . $e->getLine()
                . ') prevented it.';
        }
        if ($result !== Client::SUCCESS && $result !== null) {
            self::log($type, $id, $client, $services, $message, $occurredAt, $result);
        }
        return $result;
    }

    /** @return array the result, and the id the message had */
    private static function send(array $event)
    {
        $record = Records::server();
        if ($record === null) {
            return [
                'There is no active server record of type Billhook: create one in WHMCS under System Settings, Servers.', '',
            ];
        }
        $client = Client::fromServerRecord($record);
        $reply = $client->send($event, 0, self::CONNECT, self::TOTAL);
        // Most orders and clients are no business of Billhook's; that it leaves them alone is no failure.
        if ($reply['error'] === null && $reply['status'] === 200 && isset($reply['answer']['status'])
            && $reply['answer']['status'] === 'ignored') {
            return [Client::SUCCESS, $reply['id']];
        }
        return [$client->outcome($reply, 'take ' . $event['type'], false), $reply['id']];
    }

    private static function log($type, $id, $client, $services, $message, $occurredAt, $why)
    {
        if (!function_exists('logActivity')) {
            return;
        }
        $whose = isset(self::TYPES[$type]) ? self::TYPES[$type] : 'id';
        $again = $id === '' ? '' : ' To send it again, run in the WHMCS folder: php modules/servers/billhook/resend.php '
            . $type . ' ' . preg_replace('/[^A-Za-z0-9_-]/', '', $id) . ' ' . $occurredAt;
        $text = 'Billhook has not confirmed ' . $type . ' of ' . $whose . ' ' . ($id === '' ? '(unknown)' : $id)
            . ($services === '' ? '' : ' (services ' . $services . ')')
            . ($message === '' ? '' : ', sent as ' . $message) . '. ' . rtrim($why, '. ') . '.' . $again;
        try {
            logActivity($text, (int) $client);
        } catch (\Throwable $e) {
            // Nothing is left to tell it to.
            return;
        }
    }
}
