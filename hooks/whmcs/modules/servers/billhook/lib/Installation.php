<?php
/**
 * Which WHMCS this is: an id of its own, and where it was when it got it. Both are kept in WHMCS's database, so a copy of
 * that has them too and is told by being elsewhere. It stays silent until somebody says what it is; otherwise a test system
 * made from last night's backup would suspend and terminate what the real one sold.
 */

namespace WHMCS\Module\Server\Billhook;

if (!defined('WHMCS')) {
    die('This file cannot be opened directly.');
}

final class Installation
{
    /** Where it is kept in tblconfiguration. */
    const SETTING = 'BillhookInstallation';

    /** What tells a place from another, and in words. Nothing of it differs between cron and web server. */
    const PLACE = ['url' => 'its System URL', 'folder' => 'its folder', 'database' => 'its database'];

    /** The id; empty where there is no database to keep one in. */
    public static function id()
    {
        try {
            $kept = self::kept();
            return $kept === null ? self::begin() : $kept['id'];
        } catch (\Throwable $e) {
            return '';
        }
    }

    /** Why this WHMCS has to be silent, or null. */
    public static function refusal()
    {
        try {
            $kept = self::kept();
        } catch (\Throwable $e) {
            return null;
        }
        $changes = $kept === null ? [] : self::changes($kept, self::here());
        return $changes === [] ? null : 'Nothing was sent to Billhook, since this WHMCS may be a copy: '
            . implode(', ', $changes) . '. If it is the original and was moved or got another address, press "Billhook: this'
            . ' WHMCS was moved" among the module commands of any Billhook service, or run: php'
            . ' modules/servers/billhook/installation.php moved. If it is a copy, press "Billhook: this WHMCS is a'
            . ' copy": it then leaves alone what the original created.';
    }

    /** This WHMCS is the original, wherever it is now. */
    public static function moved()
    {
        $kept = self::kept();
        self::keep($kept === null ? self::newId() : $kept['id'], $kept === null);
    }

    /** This WHMCS is another one from now on. */
    public static function isCopy()
    {
        self::keep(self::newId(), self::kept() === null);
    }

    private static function begin()
    {
        if (!class_exists(Records::CAPSULE)) {
            return '';
        }
        try {
            self::keep(self::newId(), true);
        } catch (\Throwable $e) {
            // Another process was first, where WHMCS allows each setting only once.
        }
        $kept = self::kept();
        return $kept === null ? '' : $kept['id'];
    }

    private static function keep($id, $isNew)
    {
        $kept = ['id' => $id, 'since' => sprintf('%.6F', microtime(true))] + self::here();
        Records::set(self::SETTING, json_encode($kept, JSON_UNESCAPED_SLASHES | JSON_INVALID_UTF8_SUBSTITUTE), $isNew);
    }

    private static function newId()
    {
        return bin2hex(random_bytes(16));
    }

    /** What was kept first; null where nothing was. */
    private static function kept()
    {
        $first = null;
        foreach (Records::setting(self::SETTING) as $value) {
            $kept = json_decode((string) $value, true);
            if (is_array($kept) && Text::member($kept, 'id') !== ''
                && ($first === null || Text::member($kept, 'since') < Text::member($first, 'since'))) {
                $first = $kept;
            }
        }
        return $first;
    }

    /** Where this WHMCS is. */
    private static function here()
    {
        $url = Records::setting('SystemURL');
        $folder = defined('ROOTDIR') ? (string) ROOTDIR : dirname(__DIR__, 4);
        return [
            'url' => self::address(isset($url[0]) ? (string) $url[0] : ''),
            'folder' => rtrim(str_replace('\\', '/', $folder), '/'),
            'database' => Records::database(),
        ];
    }

    /** Host and path of a URL: with or without TLS and `www.` it is the same place. */
    private static function address($url)
    {
        $parts = parse_url(trim($url));
        $host = strtolower(isset($parts['host']) ? $parts['host'] : '');
        $host = strpos($host, 'www.') === 0 ? substr($host, 4) : $host;
        return $host === '' ? '' : $host . rtrim(isset($parts['path']) ? $parts['path'] : '', '/');
    }

    /** What is not as it was, in words. What is unknown on one side counts as unchanged. */
    private static function changes(array $kept, array $here)
    {
        $changes = [];
        foreach (self::PLACE as $name => $words) {
            $was = Text::member($kept, $name);
            $is = $here[$name];
            if ($was !== '' && $is !== '' && $was !== $is && !($name === 'folder' && self::isSeenFromInside($was, $is))) {
                $changes[] = $words . ' was ' . Text::plain($was) . ' and is ' . Text::plain($is);
            }
        }
        return $changes;
    }

    /** A web server in a jail sees the end of the path that cron sees. */
    private static function isSeenFromInside($one, $other)
    {
        list($short, $long) = strlen($one) < strlen($other) ? [$one, $other] : [$other, $one];
        return substr($long, -strlen($short)) === $short;
    }
}
