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
    /** Longest time for the connection and for the answer, in seconds. */
    const CONNECT = 3;
    const ANSWER = 10;

    /** What can be sent, and whose id goes with it. */
    const TYPES = [
        'order.paid' => 'order', 'customer.updated' => 'client', 'customer.closed' => 'client', 'customer.reopened' => 'client',
    ];

    /** What Billhook uses of a client. */
    const USED = ['email', 'firstname', 'lastname', 'companyname'];

    /** @var array clients that this request has told to be closed */
    private static $closed = [];

    /** Of a client that was edited: what Billhook uses and what it has not heard. */
    public static function edited($id, array $vars)
    {
        self::guarded('customer.updated', $id, function () use ($id, $vars) {
            if (!Records::hasService($id)) {
                return;
            }
            $now = $vars + Records::client($id);
            $old = isset($vars['olddata']) && is_array($vars['olddata']) ? $vars['olddata'] : null;
            if ($old === null || self::differs($old, $now)) {
                self::tell('customer.updated', $id, $vars);
            }
            $was = $old === null ? '' : strtolower(Text::member($old, 'status'));
            $is = strtolower(Text::member($now, 'status'));
            if ($was !== '' && $is !== '' && $was !== $is) {
                if ($is === 'closed') {
                    self::closed($id, $vars);
                } elseif ($was === 'closed') {
                    unset(self::$closed[$id]);
                    self::tell('customer.reopened', $id, $vars);
                }
            }
        });
    }

    private static function differs(array $old, array $now)
    {
        foreach (self::USED as $name) {
            if (isset($old[$name]) && isset($now[$name])
                && Text::decoded(Text::member($old, $name)) !== Text::decoded(Text::member($now, $name))) {
                return true;
            }
        }
        return false;
    }

    /** Of a client that was closed; WHMCS may say so twice. */
    public static function closed($id, array $vars)
    {
        self::guarded('customer.closed', $id, function () use ($id, $vars) {
            if (!isset(self::$closed[$id]) && Records::hasService($id)) {
                self::$closed[$id] = true;
                self::tell('customer.closed', $id, $vars);
            }
        });
    }

    /** Logs what breaks, and an id that is missing. */
    private static function guarded($type, $id, callable $act)
    {
        try {
            if ($id === '' || $id === '0') {
                self::log($type, $id, '', '', '', Event::now(), 'WHMCS gave no id with it');
                return;
            }
            $act();
        } catch (\Throwable $e) {
            self::log($type, $id, $id, '', '', Event::now(), self::broken($e));
        }
    }

    /** The message of an exception may quote data; its class is enough to go on. */
    private static function broken(\Throwable $e)
    {
        return 'An internal error (' . get_class($e) . ' in ' . basename($e->getFile()) . ', line ' . $e->getLine()
            . ') prevented it.';
    }

    /**
     * Tells Billhook about an order or a client.
     *
     * @param string $type       one of TYPES
     * @param string $id         of the order or client
     * @param array  $details    what the hook itself says of the client; goes before the table
     * @param string $occurredAt for one that is sent again: when it happened; empty: now
     *
     * @return string|null `success`; a sentence about what went wrong; null: there was nothing to tell
     */
    public static function tell($type, $id, array $details = [], $occurredAt = '')
    {
        $occurredAt = $occurredAt === '' ? Event::now() : $occurredAt;
        $client = $type === 'order.paid' ? '' : $id;
        $services = '';
        $message = '';
        try {
            if ($id === '' || $id === '0') {
                $result = 'WHMCS gave no id with it';
            } elseif ($type === 'order.paid') {
                $client = Text::member($details, 'userid');
                $client = $client !== '' ? $client : Records::clientOfOrder($id);
                $foreign = Records::foreignServices($id);
                if ($foreign === []) {
                    return null;
                }
                $services = implode(', ', array_column($foreign, 'id'));
                $customer = Event::customer($client, Records::client($client));
                list($result, $message) = self::send(Event::event($type, $occurredAt, $id, $customer, $foreign));
            } else {
                $known = array_intersect_key($details, array_flip(self::USED));
                $customer = Event::customer($id, $known + Records::client($id));
                list($result, $message) = self::send(Event::event($type, $occurredAt, '', $customer, []));
            }
        } catch (\Throwable $e) {
            $result = self::broken($e);
        }
        if ($result !== Answer::SUCCESS) {
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
        $client = new Client(Settings::fromServerRecord($record));
        $answer = $client->send($event, 0, self::CONNECT, self::ANSWER);
        // Most orders of other modules are no business of Billhook's; that it leaves them alone is no failure.
        $result = $answer->word() === 'ignored' ? Answer::SUCCESS : $answer->outcome('take ' . $event['type'], Answer::RECEIVED);
        return [$result, $answer->id()];
    }

    private static function log($type, $id, $client, $services, $message, $occurredAt, $why)
    {
        if (!function_exists('logActivity')) {
            return;
        }
        $again = $id === '' ? '' : ' To send it again, run in the WHMCS folder: php modules/servers/billhook/resend.php '
            . $type . ' ' . preg_replace('/[^A-Za-z0-9_-]/', '', $id) . ' ' . $occurredAt;
        $text = 'Billhook has not confirmed ' . $type . ' of ' . self::TYPES[$type] . ' ' . ($id === '' ? '(unknown)' : $id)
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
