<?php
/**
 * As much of WHMCS as a module and a hook file notice: the functions it calls and those it offers, its tables on
 * SQLite in memory, and the steps around a module call. Everything that comes by is kept for the tests to look at.
 */

namespace {
    define('WHMCS', true);

    /** What the imitated WHMCS has seen since the last reset. */
    final class Whmcs
    {
        /** @var array hook point => list of [priority, order of registration, callable] */
        public static $hooks = [];
        /** @var array what hooks threw */
        public static $thrown = [];
        /** @var array stored module log entries, already masked */
        public static $moduleLog = [];
        /** @var array list of [text, client] */
        public static $activity = [];
        /** @var array list of [command, values] */
        public static $localApi = [];
        /** @var array command => callable(values) */
        public static $localApiHandlers = [];
        /** @var PDO|null */
        public static $database = null;
        /** @var array of stored text => plain text, for decrypt() */
        public static $encrypted = [];

        /** A new database, and logs without an entry. Hooks stay: their files are loaded once. */
        public static function reset($file = ':memory:')
        {
            self::$thrown = self::$moduleLog = self::$activity = self::$localApi = self::$encrypted = [];
            self::$localApiHandlers = [];
            self::$database = new PDO('sqlite:' . $file);
            self::$database->setAttribute(PDO::ATTR_ERRMODE, PDO::ERRMODE_EXCEPTION);
            foreach ([
                'tblservers (id INTEGER PRIMARY KEY, name TEXT, ipaddress TEXT, hostname TEXT, type TEXT, username TEXT,'
                    . ' password TEXT, accesshash TEXT, secure TEXT, port INTEGER, active INTEGER, disabled INTEGER DEFAULT 0)',
                'tblclients (id INTEGER PRIMARY KEY, firstname TEXT, lastname TEXT, companyname TEXT, email TEXT,'
                    . ' password TEXT, status TEXT)',
                'tblorders (id INTEGER PRIMARY KEY, userid INTEGER, invoiceid INTEGER, status TEXT)',
                'tblproducts (id INTEGER PRIMARY KEY, name TEXT, servertype TEXT, configoption1 TEXT)',
                'tblhosting (id INTEGER PRIMARY KEY, userid INTEGER, orderid INTEGER, packageid INTEGER, server INTEGER,'
                    . ' domain TEXT, billingcycle TEXT, domainstatus TEXT, username TEXT, password TEXT,'
                    . ' qty INTEGER DEFAULT 1)',
                'tblhostingconfigoptions (id INTEGER PRIMARY KEY, relid INTEGER, configid INTEGER, optionid INTEGER,'
                    . ' qty INTEGER)',
                'tblproductconfigoptions (id INTEGER PRIMARY KEY, gid INTEGER, optionname TEXT, optiontype TEXT)',
                'tblproductconfigoptionssub (id INTEGER PRIMARY KEY, configid INTEGER, optionname TEXT)',
                'tblcustomfields (id INTEGER PRIMARY KEY, type TEXT, relid INTEGER, fieldname TEXT, fieldtype TEXT)',
                'tblcustomfieldsvalues (id INTEGER PRIMARY KEY, fieldid INTEGER, relid INTEGER, value TEXT)',
                'tblconfiguration (id INTEGER PRIMARY KEY, setting TEXT UNIQUE, value TEXT)',
            ] as $table) {
                self::$database->exec('CREATE TABLE IF NOT EXISTS ' . $table);
            }
            self::setting('SystemURL', 'https://billing.example/');
        }

        public static function setting($name, $value)
        {
            self::$database->prepare('INSERT OR REPLACE INTO tblconfiguration (setting, value) VALUES (?, ?)')
                ->execute([$name, $value]);
        }

        public static function insert($table, array $row)
        {
            $names = array_keys($row);
            $marks = implode(', ', array_fill(0, count($names), '?'));
            $sql = 'INSERT INTO ' . $table . ' (' . implode(', ', $names) . ') VALUES (' . $marks . ')';
            self::$database->prepare($sql)->execute(array_values($row));
        }

        /** Loads hook files as WHMCS does: those whose name begins with an underscore are off. */
        public static function loadHooks($folder)
        {
            foreach (glob($folder . '/*.php') as $file) {
                if (basename($file)[0] !== '_') {
                    require_once $file;
                }
            }
        }

        /** Runs a hook point; gives what its functions returned, exceptions are caught and kept. */
        public static function runHook($point, array $vars)
        {
            $list = isset(self::$hooks[$point]) ? self::$hooks[$point] : [];
            usort($list, function ($a, $b) {
                return [$a[0], $a[1]] <=> [$b[0], $b[1]];
            });
            $returned = [];
            foreach ($list as $hook) {
                try {
                    $value = call_user_func($hook[2], $vars);
                    if ($value !== null) {
                        $returned[] = $value;
                    }
                } catch (\Throwable $e) {
                    self::$thrown[] = $e;
                }
            }
            return $returned;
        }

        /** A module call with all that WHMCS does around it; gives the module's answer. */
        public static function call($function, array $params)
        {
            $point = [
                'CreateAccount' => 'Create', 'SuspendAccount' => 'Suspend', 'UnsuspendAccount' => 'Unsuspend',
                'TerminateAccount' => 'Terminate', 'ChangePackage' => 'ChangePackage',
            ][$function];
            foreach (self::runHook('PreModule' . $point, ['params' => $params]) as $change) {
                if (!empty($change['abortcmd'])) {
                    return 'Function Aborted by Action Hook Code';
                }
                $params = array_merge($params, $change);
            }
            $answer = call_user_func('billhook_' . $function, $params);
            if ($answer !== 'success') {
                self::runHook('AfterModule' . $point . 'Failed', ['params' => $params, 'failureResponseMessage' => $answer]);
                return $answer;
            }
            $status = [
                'Create' => 'Active', 'Suspend' => 'Suspended', 'Unsuspend' => 'Active', 'Terminate' => 'Terminated',
            ];
            if (isset($status[$point])) {
                self::$database->prepare('UPDATE tblhosting SET domainstatus = ? WHERE id = ?')
                    ->execute([$status[$point], $params['serviceid']]);
            }
            self::runHook('AfterModule' . $point, ['params' => $params]);
            return $answer;
        }

        public static function status($service)
        {
            $found = self::$database->prepare('SELECT domainstatus FROM tblhosting WHERE id = ?');
            $found->execute([$service]);
            return $found->fetchColumn();
        }
    }

    /** A service as WHMCS hands it to modules: attributes, and access to its properties. */
    final class ServiceModel
    {
        private $attributes;

        public function __construct(array $attributes)
        {
            $this->attributes = $attributes;
        }

        public function __isset($name)
        {
            return isset($this->attributes[$name]);
        }

        public function __get($name)
        {
            if ($name === 'serviceProperties') {
                return new ServiceProperties($this->attributes['id'], $this->attributes['packageid']);
            }
            return isset($this->attributes[$name]) ? $this->attributes[$name] : null;
        }
    }

    /** Kept as custom fields of the product, with special characters escaped, as WHMCS does. */
    final class ServiceProperties
    {
        private $service;
        private $product;

        public function __construct($service, $product)
        {
            $this->service = $service;
            $this->product = $product;
        }

        public function save(array $properties)
        {
            foreach ($properties as $name => $value) {
                $field = $this->field($name);
                if ($field === false) {
                    Whmcs::insert('tblcustomfields', [
                        'type' => 'product', 'relid' => $this->product, 'fieldname' => $name, 'fieldtype' => 'text',
                    ]);
                    $field = $this->field($name);
                }
                Whmcs::$database->prepare('DELETE FROM tblcustomfieldsvalues WHERE fieldid = ? AND relid = ?')
                    ->execute([$field, $this->service]);
                Whmcs::insert('tblcustomfieldsvalues', [
                    'fieldid' => $field, 'relid' => $this->service, 'value' => htmlspecialchars((string) $value, ENT_QUOTES),
                ]);
            }
        }

        public function get($name)
        {
            $found = Whmcs::$database->prepare('SELECT value FROM tblcustomfieldsvalues WHERE fieldid = ? AND relid = ?');
            $found->execute([$this->field($name), $this->service]);
            return (string) $found->fetchColumn();
        }

        private function field($name)
        {
            $found = Whmcs::$database->prepare('SELECT id FROM tblcustomfields WHERE relid = ? AND fieldname = ?');
            $found->execute([$this->product, $name]);
            return $found->fetchColumn();
        }
    }

    function add_hook($point, $priority, $function)
    {
        if (!is_callable($function)) {
            throw new InvalidArgumentException('not callable');
        }
        Whmcs::$hooks[$point][] = [$priority, count(isset(Whmcs::$hooks[$point]) ? Whmcs::$hooks[$point] : []), $function];
    }

    function logModuleCall($module, $action, $request, $response, $processed = '', $replaceVars = [])
    {
        $entry = [];
        foreach (['request' => $request, 'response' => $response, 'processed' => $processed] as $name => $value) {
            $text = is_string($value) ? $value : print_r($value, true);
            $entry[$name] = str_replace($replaceVars, '********', $text);
        }
        Whmcs::$moduleLog[] = ['module' => $module, 'action' => $action] + $entry;
    }

    function logActivity($text, $client = 0)
    {
        Whmcs::$activity[] = [$text, $client];
    }

    function localAPI($command, $values = [], $admin = '')
    {
        Whmcs::$localApi[] = [$command, $values];
        return isset(Whmcs::$localApiHandlers[$command])
            ? call_user_func(Whmcs::$localApiHandlers[$command], $values)
            : ['result' => 'error', 'message' => 'Command Not Found'];
    }

    function decrypt($text)
    {
        return isset(Whmcs::$encrypted[$text]) ? Whmcs::$encrypted[$text] : '';
    }
}

namespace WHMCS\Database {
    /** The entry to the query builder. */
    final class Capsule
    {
        public static function table($name)
        {
            return new Query($name);
        }

        public static function connection()
        {
            return new Connection();
        }
    }

    final class Connection
    {
        public static $name = 'whmcs';

        public function getDatabaseName()
        {
            return self::$name;
        }
    }

    /** The little of the query builder that is needed. */
    final class Query
    {
        private $table;
        private $conditions = [];
        private $values = [];

        public function __construct($table)
        {
            $this->table = self::name($table);
        }

        private static function name($text)
        {
            if (!preg_match('/^[A-Za-z0-9_]+$/', $text)) {
                throw new \InvalidArgumentException('bad name ' . $text);
            }
            return $text;
        }

        public function where($column, $operator, $value)
        {
            if (!in_array($operator, ['=', '!=', '<', '>'], true)) {
                throw new \InvalidArgumentException('bad operator');
            }
            $this->conditions[] = self::name($column) . ' ' . $operator . ' ?';
            $this->values[] = $value;
            return $this;
        }

        public function insert(array $row)
        {
            \Whmcs::insert($this->table, $row);
        }

        public function update(array $row)
        {
            $set = implode(', ', array_map(function ($column) {
                return self::name($column) . ' = ?';
            }, array_keys($row)));
            $query = \Whmcs::$database->prepare('UPDATE ' . $this->table . ' SET ' . $set . $this->condition());
            $query->execute(array_merge(array_values($row), $this->values));
        }

        private function condition()
        {
            return $this->conditions === [] ? '' : ' WHERE ' . implode(' AND ', $this->conditions);
        }

        /** @return \ArrayObject of objects, as a collection of rows would be walked */
        public function get(array $columns)
        {
            $sql = 'SELECT ' . implode(', ', array_map([self::class, 'name'], $columns)) . ' FROM ' . $this->table
                . $this->condition();
            $query = \Whmcs::$database->prepare($sql);
            $query->execute($this->values);
            return new \ArrayObject($query->fetchAll(\PDO::FETCH_OBJ));
        }
    }
}
