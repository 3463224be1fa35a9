<?php
/**
 * Signs one event and posts it to Billhook.
 *
 * Written for PHP 7.4 and later, with nothing but the curl and json extensions.
 */

namespace WHMCS\Module\Server\Billhook;

if (!defined('WHMCS')) {
    die('This file cannot be opened directly.');
}

final class Client
{
    /** Longest answer that is read, in bytes. */
    const ANSWER_LIMIT = 262144;

    /** curl's numbers for failures of the TLS layer. */
    const TLS_ERRORS = [35, 51, 53, 54, 58, 59, 60, 64, 66, 77, 80, 82, 83, 90, 91];

    /** curl's numbers for "no connection was made at all". */
    const UNREACHABLE_ERRORS = [5, 6, 7];

    const TIMED_OUT = 28;

    /** @var Settings */
    private $settings;

    public function __construct(Settings $settings)
    {
        $this->settings = $settings;
    }

    /** The value of `webhook-signature`; null when the secret cannot be used. */
    public function signature($id, $timestamp, $body)
    {
        $key = $this->settings->key();
        return $key === null
            ? null
            : 'v1,' . base64_encode(hash_hmac('sha256', $id . '.' . $timestamp . '.' . $body, $key, true));
    }

    /**
     * Sends one event, unless something forbids it.
     *
     * @param array $event   from Event
     * @param int   $wait    how long Billhook may hold its answer for the outcome, in seconds; 0: the receipt is enough
     * @param int   $connect longest time for the connection, in seconds
     * @param int   $answer  longest time for the answer beyond $wait, in seconds
     *
     * @return Answer
     */
    public function send(array $event, $wait, $connect = Patience::CONNECT, $answer = Patience::ANSWER)
    {
        $place = $this->settings->place();
        $body = Event::encode($event);
        $error = $this->forbidden($place);
        if ($error === null && $body === null) {
            $error = 'The event could not be written as JSON (' . json_last_error_msg() . '), so nothing was sent.';
        }
        if ($error !== null) {
            return new Answer($this->settings, ['error' => $error]);
        }
        list($wait, $connect, $total) = Patience::limits($place, $wait, $connect, $answer);
        $id = 'msg_' . bin2hex(random_bytes(16));
        $headers = $this->headers($id, $body, $wait);
        $reply = $this->post($headers, $body, $connect, $total) + ['id' => $id, 'waited' => $wait];
        Patience::note($place, $reply['answered'], $reply['took']);
        $this->log($event, $headers, $body, $reply);
        return new Answer($this->settings, $reply);
    }

    /** Why nothing may be sent, or null. */
    private function forbidden($place)
    {
        if (!function_exists('curl_init')) {
            return 'PHP on this WHMCS server lacks the curl extension, so Billhook cannot be called.';
        }
        $error = $this->settings->error();
        $error = $error !== null ? $error : Installation::refusal();
        return $error !== null ? $error : Patience::refusal($place);
    }

    private function headers($id, $body, $wait)
    {
        $timestamp = (string) time();
        $headers = [
            'Content-Type: application/json',
            'Accept: application/json, application/problem+json',
            'User-Agent: billhook-whmcs/1',
            'Expect:',
            'webhook-id: ' . $id,
            'webhook-timestamp: ' . $timestamp,
            'webhook-signature: ' . $this->signature($id, $timestamp, $body),
        ];
        return $wait > 0 ? array_merge($headers, ['Prefer: wait=' . $wait]) : $headers;
    }

    /** @return array what came back: as Answer takes it, and `answered`, `took` (seconds), `text`, `failure` (curl's words) */
    private function post(array $headers, $body, $connect, $total)
    {
        $text = '';
        $seen = [];
        $handle = curl_init();
        curl_setopt_array($handle, [
            CURLOPT_URL => $this->settings->url(),
            CURLOPT_POST => true,
            CURLOPT_POSTFIELDS => $body,
            CURLOPT_HTTPHEADER => $headers,
            CURLOPT_CONNECTTIMEOUT => $connect,
            CURLOPT_TIMEOUT => $total,
            CURLOPT_FOLLOWLOCATION => false,
            CURLOPT_SSL_VERIFYPEER => true,
            CURLOPT_SSL_VERIFYHOST => 2,
            CURLOPT_PROTOCOLS => CURLPROTO_HTTP | CURLPROTO_HTTPS,
            CURLOPT_NOSIGNAL => true,
            // A proxy in the environment was meant for something else, and would read what goes over plain http.
            CURLOPT_NOPROXY => '*',
            CURLOPT_HEADERFUNCTION => function ($handle, $line) use (&$seen) {
                $parts = explode(':', $line, 2);
                if (count($parts) === 2) {
                    $seen[strtolower(trim($parts[0]))] = trim($parts[1]);
                }
                return strlen($line);
            },
            CURLOPT_WRITEFUNCTION => function ($handle, $chunk) use (&$text) {
                if (strlen($text) + strlen($chunk) > self::ANSWER_LIMIT) {
                    return -1;
                }
                $text .= $chunk;
                return strlen($chunk);
            },
        ]);
        $start = microtime(true);
        curl_exec($handle);
        $number = curl_errno($handle);
        $answered = $number === 0 || $number === CURLE_WRITE_ERROR;
        $connected = curl_getinfo($handle, CURLINFO_CONNECT_TIME) > 0;
        $decoded = $number === 0 ? json_decode($text, true, 64) : null;
        return [
            'error' => $answered ? null : $this->transportError($number, curl_error($handle), $connected, $total),
            'status' => $answered ? (int) curl_getinfo($handle, CURLINFO_RESPONSE_CODE) : 0,
            'answer' => is_array($decoded) ? $decoded : null,
            'redirect' => isset($seen['location']) ? $seen['location'] : '',
            'retry_after' => isset($seen['retry-after']) ? $seen['retry-after'] : '',
            'arrived' => $answered || ($connected && !in_array($number, self::TLS_ERRORS, true)),
            'answered' => $answered,
            'took' => microtime(true) - $start,
            'text' => $text,
            'failure' => curl_error($handle),
        ];
    }

    private function log(array $event, array $headers, $body, array $reply)
    {
        if (!function_exists('logModuleCall')) {
            return;
        }
        $signature = substr(implode("\n", preg_grep('/^webhook-signature: /', $headers)), strlen('webhook-signature: '));
        logModuleCall(
            'billhook',
            $event['type'],
            'POST ' . $this->settings->url() . "\n" . implode("\n", $headers) . "\n\n" . $body,
            $reply['status'] === 0 ? 'no answer: ' . $reply['failure'] : 'HTTP ' . $reply['status'] . "\n\n" . $reply['text'],
            $reply['answer'] !== null ? $reply['answer'] : $reply['error'],
            $this->settings->secrets($signature)
        );
    }

    private function transportError($number, $message, $connected, $total)
    {
        $place = $this->settings->place();
        $why = $message === '' ? '' : ' (' . $this->settings->clean($message) . ')';
        if (in_array($number, self::TLS_ERRORS, true)) {
            return 'The TLS connection to Billhook at ' . $place . ' failed' . $why . ', so nothing was sent. Check that its'
                . ' certificate is valid for this host name and trusted here; if that port speaks plain http, untick Secure'
                . ' in the server record.';
        }
        if (in_array($number, self::UNREACHABLE_ERRORS, true) || !$connected) {
            return 'Billhook could not be reached at ' . $place . $why . '. Check that Billhook runs there, that no firewall'
                . ' is between, and that Hostname, Port and Secure in the server record are right; then try again.';
        }
        if ($number === self::TIMED_OUT) {
            return 'Billhook at ' . $place . ' took the connection but gave no answer within ' . $total . ' seconds, so it is'
                . ' not known whether the event arrived. Look at the deliveries in Billhook; running this again is safe.';
        }
        return 'The connection to Billhook at ' . $place . ' broke before the answer came' . $why . ', so it is not known'
            . ' whether the event arrived. Check Secure and Port in the server record and the deliveries in Billhook;'
            . ' running this again is safe.';
    }
}
