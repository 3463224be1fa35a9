<?php
/** Texts of others made fit to be shown to staff, and names made fit to be compared. */

namespace WHMCS\Module\Server\Billhook;

if (!defined('WHMCS')) {
    die('This file cannot be opened directly.');
}

final class Text
{
    /** Longest text of others that is shown, in bytes. */
    const LONGEST = 600;

    /** Without markup and line breaks, valid UTF-8, and not too long. */
    public static function plain($text)
    {
        $text = (string) preg_replace('/[\x00-\x20\x7f<>]+/', ' ', (string) $text);
        if (!preg_match('//u', $text)) {
            $text = (string) preg_replace('/[\x80-\xff]+/', '?', $text);
        }
        $text = trim($text);
        if (strlen($text) > self::LONGEST) {
            $text = preg_match('/^.{0,580}/us', $text, $found) ? $found[0] . '…' : substr($text, 0, 580);
        }
        return $text;
    }

    public static function unstopped($sentence)
    {
        return rtrim($sentence, ". \t");
    }

    /** A scalar member as text, else an empty one. */
    public static function member(array $from, $key)
    {
        return isset($from[$key]) && is_scalar($from[$key]) ? trim(str_replace("\0", '', (string) $from[$key])) : '';
    }

    /** WHMCS keeps what was typed with its special characters escaped; what it hands over is escaped or not. */
    public static function decoded($text)
    {
        return html_entity_decode((string) $text, ENT_QUOTES | ENT_HTML5, 'UTF-8');
    }

    /** `key|Label` is how WHMCS hides a key behind a name; the key is what counts. */
    public static function key($name)
    {
        return trim(explode('|', (string) $name, 2)[0]);
    }

    /** The form in which two names are the same whatever their case, spacing and escaping. */
    public static function folded($name)
    {
        $name = self::decoded($name);
        $spaced = preg_replace('/\s+/u', ' ', $name);
        $name = trim(is_string($spaced) ? $spaced : $name);
        return function_exists('mb_strtolower') ? mb_strtolower($name, 'UTF-8') : strtolower($name);
    }
}
