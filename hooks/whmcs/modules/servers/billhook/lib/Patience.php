<?php
/**
 * How long one PHP process waits for Billhook. WHMCS's cron calls a module once per service: were each call to wait its
 * full time for a Billhook that hangs, two hundred overdue services would hold up everything else for hours.
 */

namespace WHMCS\Module\Server\Billhook;

if (!defined('WHMCS')) {
    die('This file cannot be opened directly.');
}

final class Patience
{
    /** Longest time for a connection, and for an answer beyond the time the outcome is waited for; in seconds. */
    const CONNECT = 5;
    const ANSWER = 10;

    /** The same once a call of this process had no answer. */
    const CONNECT_AFTER_FAILURE = 2;
    const ANSWER_AFTER_FAILURE = 3;

    /** After so many calls in a row without an answer nothing is sent for so many seconds. */
    const FAILURES = 3;
    const REST = 60;

    /** So many seconds of one process may go by with calls before they get the short times, and no wait for outcomes. */
    const BUDGET = 200;

    /** @var bool|null whether this is WHMCS's cron; null: found out */
    public static $inCron = null;

    /** @var array host and port => calls without an answer in a row, and when the last of them ended */
    private static $failures = [];
    /** @var float seconds spent on calls */
    private static $spent = 0.0;

    /** As in a new process. */
    public static function reset()
    {
        self::$inCron = null;
        self::$failures = [];
        self::$spent = 0.0;
    }

    public static function isCron()
    {
        return self::$inCron !== null ? self::$inCron : (PHP_SAPI === 'cli' || defined('IN_CRON'));
    }

    /** Why nothing is sent there for now, or null. */
    public static function refusal($place)
    {
        if (!isset(self::$failures[$place])) {
            return null;
        }
        list($count, $last) = self::$failures[$place];
        if ($count < self::FAILURES || microtime(true) - $last >= self::REST) {
            return null;
        }
        return 'Nothing was sent: Billhook at ' . $place . ' did not answer ' . $count . ' calls in a row a moment ago, and the'
            . ' rest of this request or cron run is not held up for it. Check that Billhook runs there, then run this again.';
    }

    /**
     * @param int $wait   how long the outcome is worth waiting for, in seconds
     * @param int $answer how long an answer may take beyond that
     *
     * @return array longest wait for the outcome, for the connection and for all of it, in seconds
     */
    public static function limits($place, $wait, $connect, $answer)
    {
        if (isset(self::$failures[$place])) {
            return [min($wait, 1), self::CONNECT_AFTER_FAILURE, self::ANSWER_AFTER_FAILURE];
        }
        if (self::$spent >= self::BUDGET) {
            return [0, self::CONNECT_AFTER_FAILURE, self::ANSWER_AFTER_FAILURE];
        }
        return [$wait, $connect, $wait + $answer];
    }

    /** Takes down how a call went. */
    public static function note($place, $answered, $seconds)
    {
        self::$spent += $seconds;
        if ($answered) {
            unset(self::$failures[$place]);
            return;
        }
        $count = isset(self::$failures[$place]) ? self::$failures[$place][0] : 0;
        self::$failures[$place] = [$count + 1, microtime(true)];
    }
}
