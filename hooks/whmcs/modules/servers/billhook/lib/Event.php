<?php
/**
 * Builds the events that Billhook takes. Every member is picked by name: whatever else WHMCS hands over
 * (passwords, the access hash, model objects) stays here.
 */

namespace WHMCS\Module\Server\Billhook;

if (!defined('WHMCS')) {
    die('This file cannot be opened directly.');
}

final class Event
{
    /** The present moment in UTC, fine enough to put two quick calls in order. */
    public static function now()
    {
        $now = \DateTimeImmutable::createFromFormat('U.u', sprintf('%.6F', microtime(true)));
        if ($now === false) {
            $now = new \DateTimeImmutable('now');
        }
        return $now->setTimezone(new \DateTimeZone('UTC'))->format('Y-m-d\TH:i:s.u\Z');
    }

    /** The event as JSON; null when even that fails. Invalid UTF-8 is replaced, it never empties the body. */
    public static function encode(array $event)
    {
        $json = json_encode($event, JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE | JSON_INVALID_UTF8_SUBSTITUTE);
        return is_string($json) && $json !== '' ? $json : null;
    }

    public static function ping()
    {
        return ['type' => 'test.ping', 'occurred_at' => self::now()];
    }

    /** An event about the one service that a provisioning module was called for. */
    public static function fromParams($type, array $params)
    {
        $id = self::text($params, 'serviceid');
        $pid = self::text($params, 'pid');
        if ($pid === '') {
            $pid = self::text($params, 'packageid');
        }
        $model = isset($params['model']) && is_object($params['model']) ? $params['model'] : null;
        $cycle = self::fromModel($model, 'billingcycle');
        $order = self::fromModel($model, 'orderid');
        if ($cycle === '' || $order === '') {
            $row = Records::hosting($id);
            $cycle = $cycle !== '' ? $cycle : self::text($row, 'billingcycle');
            $order = $order !== '' ? $order : self::text($row, 'orderid');
        }
        $product = self::text($params, 'configoption1');
        $fields = isset($params['customfields']) && is_array($params['customfields']) ? $params['customfields'] : [];
        foreach (Records::passwordFields($pid) as $name) {
            unset($fields[$name]);
        }
        $client = isset($params['clientsdetails']) && is_array($params['clientsdetails']) ? $params['clientsdetails'] : [];
        $customer = self::text($params, 'userid');
        foreach (['userid', 'client_id', 'id'] as $key) {
            $customer = $customer !== '' ? $customer : self::text($client, $key);
        }
        $service = self::service(
            $id,
            $product !== '' ? $product : $pid,
            self::text($params, 'domain'),
            $cycle,
            self::fromModel($model, 'qty'),
            isset($params['configoptions']) && is_array($params['configoptions']) ? $params['configoptions'] : [],
            $fields
        );
        return self::event($type, self::now(), $order, self::customer($customer, $client), [$service]);
    }

    /**
     * @param string $order    empty or 0: left out
     * @param array  $customer from customer()
     * @param array  $services each from service()
     */
    public static function event($type, $occurredAt, $order, array $customer, array $services)
    {
        $event = ['type' => $type, 'occurred_at' => $occurredAt];
        if ($order !== '' && $order !== '0') {
            $event['order_id'] = $order;
        }
        $event['customer'] = $customer;
        if ($services !== []) {
            $event['services'] = $services;
        }
        return $event;
    }

    /** @param array $details a client as WHMCS names its members */
    public static function customer($id, array $details)
    {
        return [
            'id' => (string) $id,
            'email' => self::text($details, 'email'),
            'name' => trim(self::text($details, 'firstname') . ' ' . self::text($details, 'lastname')),
            'company' => self::text($details, 'companyname'),
        ];
    }

    public static function service($id, $product, $hostname, $cycle, $quantity, array $options, array $fields)
    {
        return [
            'id' => (string) $id,
            'product_id' => (string) $product,
            'hostname' => (string) $hostname,
            'billing_cycle' => (string) $cycle,
            'quantity' => (int) $quantity > 0 ? (int) $quantity : 1,
            'options' => self::map($options),
            'fields' => self::map($fields),
        ];
    }

    /** Names and values as text; an object even when empty, which a PHP array would not be in JSON. */
    private static function map(array $pairs)
    {
        $map = new \stdClass();
        foreach ($pairs as $name => $value) {
            $name = str_replace("\0", '', (string) $name);
            if ($name === '' || ($value !== null && !is_scalar($value))) {
                continue;
            }
            $map->{$name} = str_replace("\0", '', (string) $value);
        }
        return $map;
    }

    /** A scalar member as text, else an empty one. */
    public static function text(array $from, $key)
    {
        return isset($from[$key]) && is_scalar($from[$key]) ? trim(str_replace("\0", '', (string) $from[$key])) : '';
    }

    /** An attribute of WHMCS's service object; these come and go with its version. */
    private static function fromModel($model, $name)
    {
        if ($model === null) {
            return '';
        }
        try {
            $value = isset($model->{$name}) ? $model->{$name} : null;
        } catch (\Throwable $e) {
            return '';
        }
        return is_scalar($value) ? trim((string) $value) : '';
    }
}
