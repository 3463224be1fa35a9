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
        return self::begin('test.ping', self::now());
    }

    private static function begin($type, $occurredAt)
    {
        $event = ['type' => $type];
        $installation = Installation::id();
        if ($installation !== '') {
            $event['installation'] = $installation;
        }
        $event['occurred_at'] = $occurredAt;
        return $event;
    }

    /**
     * @param string $order    empty or 0: left out
     * @param array  $customer from customer()
     * @param array  $services each from service()
     */
    public static function event($type, $occurredAt, $order, array $customer, array $services)
    {
        $event = self::begin($type, $occurredAt);
        if ($order !== '' && $order !== '0') {
            $event['order_id'] = $order;
        }
        $event['customer'] = $customer;
        if ($services !== []) {
            $event['services'] = $services;
        }
        return $event;
    }

    /** An event about the one service that a provisioning module was called for. */
    public static function fromParams($type, array $params)
    {
        $id = Text::member($params, 'serviceid');
        $about = self::aboutService($id, isset($params['model']) && is_object($params['model']) ? $params['model'] : null);
        $event = self::event($type, self::now(), $about['orderid'], self::owner($params), [self::service(
            $id,
            self::product($params),
            Text::member($params, 'domain'),
            $about['billingcycle'],
            $about['qty'],
            self::options($params),
            Fields::chosen($params, self::pid($params))
        )]);
        $reason = Text::member($params, 'suspendreason');
        if ($type === 'service.suspended' && $reason !== '') {
            $event['reason'] = $reason;
        }
        return $event;
    }

    /** What WHMCS's service object knows, and its table where that does not. */
    private static function aboutService($id, $model)
    {
        $about = [];
        foreach (['billingcycle', 'orderid', 'qty'] as $name) {
            $about[$name] = self::fromModel($model, $name);
        }
        if (in_array('', $about, true)) {
            $row = Records::hosting($id);
            foreach ($about as $name => $value) {
                $about[$name] = $value !== '' ? $value : Text::member($row, $name);
            }
        }
        return $about;
    }

    /** An attribute of WHMCS's service object; these come and go with its version. */
    private static function fromModel($model, $name)
    {
        try {
            $value = isset($model->{$name}) ? $model->{$name} : null;
        } catch (\Throwable $e) {
            return '';
        }
        return is_scalar($value) ? trim((string) $value) : '';
    }

    private static function pid(array $params)
    {
        $pid = Text::member($params, 'pid');
        return $pid !== '' ? $pid : Text::member($params, 'packageid');
    }

    /** The catalogue's id of the product. */
    private static function product(array $params)
    {
        $product = Text::member($params, 'configoption1');
        return $product !== '' ? $product : self::pid($params);
    }

    private static function owner(array $params)
    {
        $client = isset($params['clientsdetails']) && is_array($params['clientsdetails']) ? $params['clientsdetails'] : [];
        $id = Text::member($params, 'userid');
        foreach (['userid', 'client_id', 'id'] as $key) {
            $id = $id !== '' ? $id : Text::member($client, $key);
        }
        return self::customer($id, $client);
    }

    /** The configurable options, by their keys where `key|Label` came through. */
    private static function options(array $params)
    {
        $given = isset($params['configoptions']) && is_array($params['configoptions']) ? $params['configoptions'] : [];
        $options = [];
        foreach ($given as $name => $value) {
            $options[Text::key($name)] = is_string($value) ? Text::key($value) : $value;
        }
        return $options;
    }

    /** @param array $details a client as WHMCS names its members */
    public static function customer($id, array $details)
    {
        return [
            'id' => (string) $id,
            'email' => Text::member($details, 'email'),
            'name' => trim(Text::member($details, 'firstname') . ' ' . Text::member($details, 'lastname')),
            'company' => Text::member($details, 'companyname'),
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
}
