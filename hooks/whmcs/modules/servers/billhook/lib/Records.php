<?php
/**
 * The few reads from WHMCS's tables. Each one picks its columns, and gives nothing rather than an
 * exception where the database or a column is not there.
 */

namespace WHMCS\Module\Server\Billhook;

if (!defined('WHMCS')) {
    die('This file cannot be opened directly.');
}

final class Records
{
    const CAPSULE = '\WHMCS\Database\Capsule';

    const OPTION_YES_NO = 3;
    const OPTION_QUANTITY = 4;

    /** The server record with the settings: the first active one of this module's type; null without one. */
    public static function server()
    {
        $found = null;
        foreach (self::rows('tblservers', ['type' => 'billhook'], [
            'id', 'hostname', 'ipaddress', 'port', 'secure', 'username', 'accesshash', 'disabled',
        ]) as $row) {
            if ((int) Event::text($row, 'disabled') === 0 && ($found === null || (int) $row['id'] < (int) $found['id'])) {
                $found = $row;
            }
        }
        return $found;
    }

    /** Name and address of a client under WHMCS's names; empty without one. */
    public static function client($id)
    {
        $rows = self::rows('tblclients', ['id' => $id], ['id', 'firstname', 'lastname', 'companyname', 'email']);
        return isset($rows[0]) ? $rows[0] : [];
    }

    /** Billing cycle and order of a service; empty without one. */
    public static function hosting($id)
    {
        try {
            $rows = $id === '' ? [] : self::rows('tblhosting', ['id' => $id], ['billingcycle', 'orderid']);
        } catch (\Throwable $e) {
            return [];
        }
        return isset($rows[0]) ? $rows[0] : [];
    }

    /** Whose order it is; empty when there is none. */
    public static function clientOfOrder($order)
    {
        $rows = self::rows('tblorders', ['id' => $order], ['userid']);
        return isset($rows[0]) ? Event::text($rows[0], 'userid') : '';
    }

    /** The services of an order that this module does not provision and that were not given up since. */
    public static function foreignServices($order)
    {
        $columns = ['id', 'packageid', 'domain', 'billingcycle', 'domainstatus', 'qty'];
        try {
            $rows = self::rows('tblhosting', ['orderid' => $order], $columns);
        } catch (\Throwable $e) {
            // Before WHMCS 8 there is no quantity.
            array_pop($columns);
            $rows = self::rows('tblhosting', ['orderid' => $order], $columns);
        }
        $services = [];
        foreach ($rows as $row) {
            $product = self::rows('tblproducts', ['id' => $row['packageid']], ['servertype']);
            $module = isset($product[0]) ? strtolower(Event::text($product[0], 'servertype')) : '';
            $gone = ['Terminated', 'Cancelled', 'Fraud'];
            if ($module !== 'billhook' && !in_array(Event::text($row, 'domainstatus'), $gone, true)) {
                $services[] = Event::service(
                    $row['id'],
                    $row['packageid'],
                    Event::text($row, 'domain'),
                    Event::text($row, 'billingcycle'),
                    Event::text($row, 'qty'),
                    self::options($row['id']),
                    self::fields($row['id'], $row['packageid'])
                );
            }
        }
        return $services;
    }

    /** The configurable options chosen for a service, name to value as a module would see them. */
    private static function options($service)
    {
        $options = [];
        foreach (self::rows('tblhostingconfigoptions', ['relid' => $service], ['configid', 'optionid', 'qty']) as $chosen) {
            $option = self::rows('tblproductconfigoptions', ['id' => $chosen['configid']], ['optionname', 'optiontype']);
            if (!isset($option[0])) {
                continue;
            }
            $type = (int) $option[0]['optiontype'];
            if ($type === self::OPTION_QUANTITY || $type === self::OPTION_YES_NO) {
                $value = (string) $chosen['qty'];
            } else {
                $sub = self::rows('tblproductconfigoptionssub', ['id' => $chosen['optionid']], ['optionname']);
                $value = isset($sub[0]) ? self::key($sub[0]['optionname']) : '';
            }
            $options[self::key($option[0]['optionname'])] = $value;
        }
        return $options;
    }

    /** The custom fields of a service, those that hold passwords left out. */
    private static function fields($service, $product)
    {
        $fields = [];
        $where = ['type' => 'product', 'relid' => $product];
        foreach (self::rows('tblcustomfields', $where, ['id', 'fieldname', 'fieldtype']) as $field) {
            if ($field['fieldtype'] === 'password') {
                continue;
            }
            $value = self::rows('tblcustomfieldsvalues', ['fieldid' => $field['id'], 'relid' => $service], ['value']);
            $text = isset($value[0]) ? (string) $value[0]['value'] : '';
            $fields[self::key($field['fieldname'])] = $field['fieldtype'] === 'dropdown' ? self::key($text) : $text;
        }
        return $fields;
    }

    /** The names of a product's custom fields that hold passwords. */
    public static function passwordFields($product)
    {
        try {
            $where = ['type' => 'product', 'relid' => $product, 'fieldtype' => 'password'];
            $rows = $product === '' ? [] : self::rows('tblcustomfields', $where, ['fieldname']);
        } catch (\Throwable $e) {
            return [];
        }
        $names = [];
        foreach ($rows as $row) {
            $names[] = (string) $row['fieldname'];
            $names[] = self::key($row['fieldname']);
        }
        return $names;
    }

    /** `key|Label` is how WHMCS hides a key behind a name; the key is what counts. */
    private static function key($name)
    {
        return trim(explode('|', (string) $name, 2)[0]);
    }

    /** Rows as arrays. Without a database (none loaded) there are none. */
    private static function rows($table, array $where, array $columns)
    {
        if (!class_exists(self::CAPSULE)) {
            return [];
        }
        $query = call_user_func([self::CAPSULE, 'table'], $table);
        foreach ($where as $column => $value) {
            $query = $query->where($column, '=', $value);
        }
        $rows = [];
        foreach ($query->get($columns) as $row) {
            $rows[] = (array) $row;
        }
        return $rows;
    }
}
