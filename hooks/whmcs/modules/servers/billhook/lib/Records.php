<?php
/**
 * The few reads from WHMCS's tables, and the one setting that is kept there. Each read picks its columns, and gives
 * nothing where there is no database.
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

    /** Statuses of a service that is no more, and of one for which nothing was ever created. */
    const ENDED = ['Terminated', 'Cancelled', 'Fraud'];
    const NEVER_CREATED = ['Pending', 'Cancelled', 'Fraud'];

    /** The server record with the settings: the first active one of this module's type; null without one. */
    public static function server()
    {
        $found = null;
        foreach (self::rows('tblservers', ['type' => 'billhook'], [
            'id', 'hostname', 'ipaddress', 'port', 'secure', 'username', 'accesshash', 'disabled',
        ]) as $row) {
            if ((int) Text::member($row, 'disabled') === 0 && ($found === null || (int) $row['id'] < (int) $found['id'])) {
                $found = $row;
            }
        }
        return $found;
    }

    /** Name, address and status of a client under WHMCS's names; empty without one. */
    public static function client($id)
    {
        $rows = self::rows('tblclients', ['id' => $id], ['id', 'firstname', 'lastname', 'companyname', 'email', 'status']);
        return isset($rows[0]) ? $rows[0] : [];
    }

    /** Whether something of this client was created through this module. */
    public static function hasService($client)
    {
        foreach (self::rows('tblhosting', ['userid' => $client], ['packageid', 'domainstatus']) as $row) {
            if (!in_array(Text::member($row, 'domainstatus'), self::NEVER_CREATED, true)
                && self::module($row['packageid']) === 'billhook') {
                return true;
            }
        }
        return false;
    }

    /** The module of a product in lower case; null where the product is gone. */
    private static function module($product)
    {
        $rows = self::rows('tblproducts', ['id' => $product], ['servertype']);
        return isset($rows[0]) ? strtolower(Text::member($rows[0], 'servertype')) : null;
    }

    /** Billing cycle, order and quantity of a service; empty without one. */
    public static function hosting($id)
    {
        try {
            $rows = $id === '' ? [] : self::services(['id' => $id], ['billingcycle', 'orderid']);
        } catch (\Throwable $e) {
            return [];
        }
        return isset($rows[0]) ? $rows[0] : [];
    }

    private static function services(array $where, array $columns)
    {
        try {
            return self::rows('tblhosting', $where, array_merge($columns, ['qty']));
        } catch (\Throwable $e) {
            // Before WHMCS 8 there is no quantity.
            return self::rows('tblhosting', $where, $columns);
        }
    }

    /** Whose order it is; empty when there is none. */
    public static function clientOfOrder($order)
    {
        $rows = self::rows('tblorders', ['id' => $order], ['userid']);
        return isset($rows[0]) ? Text::member($rows[0], 'userid') : '';
    }

    /**
     * The services of an order that another module provisions, or none, and that were not given up since. Nothing is
     * known of a service whose product is gone, so nothing is bought for it.
     */
    public static function foreignServices($order)
    {
        $services = [];
        foreach (self::services(['orderid' => $order], ['id', 'packageid', 'domain', 'billingcycle', 'domainstatus']) as $row) {
            $module = self::module($row['packageid']);
            if ($module !== null && $module !== 'billhook' && !in_array(Text::member($row, 'domainstatus'), self::ENDED, true)) {
                $services[] = Event::service(
                    $row['id'],
                    // Apart from the catalogue's own ids: an equal number means nothing.
                    'pid:' . $row['packageid'],
                    Text::member($row, 'domain'),
                    Text::member($row, 'billingcycle'),
                    Text::member($row, 'qty'),
                    self::options($row['id']),
                    []
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
                $value = isset($sub[0]) ? Text::key($sub[0]['optionname']) : '';
            }
            $options[Text::key($option[0]['optionname'])] = $value;
        }
        return $options;
    }

    /** Names and types of a product's custom fields; null where they cannot be read. */
    public static function customFields($product)
    {
        if (!class_exists(self::CAPSULE)) {
            return null;
        }
        try {
            return self::rows('tblcustomfields', ['type' => 'product', 'relid' => $product], ['fieldname', 'fieldtype']);
        } catch (\Throwable $e) {
            return null;
        }
    }

    /** The values of a setting of WHMCS's: one, unless two processes wrote the first one at once. */
    public static function setting($name)
    {
        return array_column(self::rows('tblconfiguration', ['setting' => $name], ['value']), 'value');
    }

    /** Writes a setting, over the one there is. */
    public static function set($name, $value, $isNew)
    {
        $query = call_user_func([self::CAPSULE, 'table'], 'tblconfiguration');
        if ($isNew) {
            $query->insert(['setting' => $name, 'value' => $value]);
        } else {
            $query->where('setting', '=', $name)->update(['value' => $value]);
        }
    }

    /** The database's name; empty where it cannot be told. */
    public static function database()
    {
        try {
            return (string) call_user_func([self::CAPSULE, 'connection'])->getDatabaseName();
        } catch (\Throwable $e) {
            return '';
        }
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
