<?php
/**
 * The custom fields that leave WHMCS: those that the product's setting names, and of these none that holds a password.
 * One whose type cannot be told might hold one, so it stays.
 */

namespace WHMCS\Module\Server\Billhook;

if (!defined('WHMCS')) {
    die('This file cannot be opened directly.');
}

final class Fields
{
    public static function chosen(array $params, $product)
    {
        $wanted = [];
        foreach (explode(',', Text::member($params, 'configoption2')) as $name) {
            $wanted = array_merge($wanted, self::names($name));
        }
        $known = $wanted === [] ? null : Records::customFields($product);
        if ($known === null || !isset($params['customfields']) || !is_array($params['customfields'])) {
            return [];
        }
        $chosen = [];
        foreach ($params['customfields'] as $name => $value) {
            list($names, $types) = self::matching($name, $known);
            if ($types === [] || in_array('password', $types, true) || array_intersect($names, $wanted) === []) {
                continue;
            }
            $chosen[Text::key($name)] = $types === ['dropdown'] && is_string($value) ? Text::key($value) : $value;
        }
        return $chosen;
    }

    /** All names of the product's fields that may be the one of this name, and their types. */
    private static function matching($name, array $known)
    {
        $names = self::names($name);
        $all = $names;
        $types = [];
        foreach ($known as $field) {
            $others = self::names($field['fieldname']);
            if (array_intersect($others, $names) !== []) {
                $all = array_merge($all, $others);
                $types[] = strtolower(trim((string) $field['fieldtype']));
            }
        }
        return [$all, $types];
    }

    /** What a field may be called: as it is written, by its key and by its label, whatever case, spacing and escaping. */
    private static function names($name)
    {
        $parts = array_merge([$name], explode('|', Text::decoded($name), 2));
        return array_values(array_filter(array_map([Text::class, 'folded'], $parts), 'strlen'));
    }
}
