<?php
/**
 * Signs one event, posts it to Billhook and puts the answer into words.
 *
 * Written for PHP 7.4 and later, with nothing but the curl and json extensions.
 */

namespace WHMCS\Module\Server\Billhook;

if (!defined('WHMCS')) {
    die('This file cannot be opened directly.');
}

final class Client
{
    /** The one answer WHMCS takes for "done". */
    const SUCCESS = 'success';

    const DEFAULT_SOURCE = 'whmcs';
    const DEFAULT_PORT = 8080;
    const DEFAULT_PORT_SECURE = 443;

    /** How long Billhook is asked to hold its answer until the outcome is known, in seconds. */
    const WAIT = 20;

    /** How long it may try its way back for a connection test, in seconds. */
    const WAIT_TEST = 10;

    /** Longest time for the connection and for all of a call, in seconds; staff sit and watch. */
    const CONNECT = 5;
    const TOTAL = 30;

    /** Longest answer that is read, in bytes. */
    const ANSWER_LIMIT = 262144;

    /** curl's numbers for failures of the TLS layer. */
    const TLS_ERRORS = [35, 51, 53, 54, 58, 59, 60, 64, 66, 77, 80, 82, 83, 90, 91];

    /** curl's numbers for "no connection was made at all". */
    const UNREACHABLE_ERRORS = [5, 6, 7];

    /** @var string */
    private $host;
    /** @var int */
    private $port;
    /** @var bool */
    private $secure;
    /** @var string */
    private $source;
    /** @var string */
    private $secret;

    /**
     * @param string $host   host name or address, without scheme and port
     * @param mixed  $port   empty: the default of the scheme
     * @param bool   $secure https when true
     * @param string $source name of the source in Billhook's configuration; empty: `whmcs`
     * @param string $secret the source's secret, `whsec_` and base64
     */
    public function __construct($host, $port, $secure, $source, $secret)
    {
        $this->host = trim((string) $host);
        $this->secure = (bool) $secure;
        $port = trim((string) $port);
        if ($port === '' || $port === '0') {
            $port = $this->secure ? self::DEFAULT_PORT_SECURE : self::DEFAULT_PORT;
        }
        $this->port = ctype_digit((string) $port) ? (int) $port : 0;
        $source = trim((string) $source);
        $this->source = $source === '' ? self::DEFAULT_SOURCE : $source;
        // A text area keeps line breaks that came along when the secret was pasted.
        $this->secret = (string) preg_replace('/\s+/', '', (string) $secret);
    }

    /** From what WHMCS hands to a function of a provisioning module. */
    public static function fromParams(array $params)
    {
        $read = function ($key) use ($params) {
            return isset($params[$key]) && is_scalar($params[$key]) ? trim((string) $params[$key]) : '';
        };
        $host = $read('serverhostname');
        return new self(
            $host !== '' ? $host : $read('serverip'),
            $read('serverport'),
            self::truthy($read('serversecure')),
            $read('serverusername'),
            self::plainSecret($read('serveraccesshash'))
        );
    }

    /** From a row of tblservers. */
    public static function fromServerRecord($row)
    {
        $row = (array) $row;
        $read = function ($key) use ($row) {
            return isset($row[$key]) && is_scalar($row[$key]) ? trim((string) $row[$key]) : '';
        };
        $host = $read('hostname');
        return new self(
            $host !== '' ? $host : $read('ipaddress'),
            $read('port'),
            self::truthy($read('secure')),
            $read('username'),
            self::plainSecret($read('accesshash'))
        );
    }

    private static function truthy($value)
    {
        return in_array(strtolower((string) $value), ['1', 'on', 'yes', 'true'], true);
    }

    /** The Access Hash as it was typed, whether or not WHMCS keeps it encrypted. */
    private static function plainSecret($stored)
    {
        if ($stored === '' || strpos(ltrim($stored), 'whsec_') === 0 || !function_exists('decrypt')) {
            return $stored;
        }
        try {
            $plain = decrypt($stored);
        } catch (\Throwable $e) {
            return $stored;
        }
        return is_string($plain) && $plain !== '' ? $plain : $stored;
    }

    /** Where events go, without anything secret. */
    public function url()
    {
        return ($this->secure ? 'https' : 'http') . '://' . $this->hostInUrl() . ':' . $this->port
            . '/webhooks/' . rawurlencode($this->source);
    }

    private function hostInUrl()
    {
        return strpos($this->host, ':') !== false && $this->host[0] !== '[' ? '[' . $this->host . ']' : $this->host;
    }

    private function place()
    {
        return $this->hostInUrl() . ':' . $this->port;
    }

    /** What is wrong with the server record, or null. */
    public function settingsError()
    {
        if ($this->host === '') {
            return 'No Billhook server is set: create a server record of type Billhook in WHMCS with its Hostname,'
                . ' and assign it to this product or service.';
        }
        if (!preg_match('/^(\[[0-9A-Fa-f:.]+\]|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*|[A-Za-z0-9._-]+)$/', $this->host)) {
            return 'The Hostname of the Billhook server record must be a bare host name or address,'
                . ' without http:// and without a path; the port has its own field.';
        }
        if ($this->port < 1 || $this->port > 65535) {
            return 'The Port of the Billhook server record must be a number from 1 to 65535.';
        }
        if ($this->secret === '') {
            return 'The Billhook server record has no secret: paste the secret of the source "' . self::plain($this->source)
                . '" into its Access Hash.';
        }
        if ($this->key() === null) {
            return 'The Access Hash of the Billhook server record is not a secret of Billhook: it must be whsec_ followed'
                . ' by base64, as Billhook\'s configuration has it for the source "' . self::plain($this->source) . '".';
        }
        if (!function_exists('curl_init')) {
            return 'PHP on this WHMCS server lacks the curl extension, so Billhook cannot be called.';
        }
        return null;
    }

    /** The signing key in bytes; null when the secret is not `whsec_` and base64. */
    private function key()
    {
        if (strpos($this->secret, 'whsec_') !== 0) {
            return null;
        }
        $key = base64_decode(substr($this->secret, 6), true);
        return $key === false || $key === '' ? null : $key;
    }

    /** The value of `webhook-signature`; null when the secret cannot be used. */
    public function signature($id, $timestamp, $body)
    {
        $key = $this->key();
        return $key === null
            ? null
            : 'v1,' . base64_encode(hash_hmac('sha256', $id . '.' . $timestamp . '.' . $body, $key, true));
    }

    public static function newId()
    {
        return 'msg_' . bin2hex(random_bytes(16));
    }

    /**
     * Sends one event.
     *
     * @param array $event   from Event
     * @param int   $wait    how long Billhook may hold its answer for the outcome, in seconds; 0: the receipt is enough
     * @param int   $connect longest time for the connection, in seconds
     * @param int   $total   longest time for all of it, in seconds
     *
     * @return array `id` (of the message), `error` (null or a sentence about what prevented an answer), `status`
     *               (HTTP, 0 without an answer), `answer` (decoded object or null), `redirect`, `retry_after`
     */
    public function send(array $event, $wait, $connect = self::CONNECT, $total = self::TOTAL)
    {
        $reply = [
            'id' => self::newId(), 'error' => null, 'status' => 0, 'answer' => null, 'redirect' => '', 'retry_after' => '',
        ];
        $reply['error'] = $this->settingsError();
        if ($reply['error'] !== null) {
            return $reply;
        }
        $body = Event::encode($event);
        if ($body === null) {
            $reply['error'] = 'The event could not be written as JSON (' . json_last_error_msg() . '), so nothing was sent.';
            return $reply;
        }
        $timestamp = (string) time();
        $signature = $this->signature($reply['id'], $timestamp, $body);
        $headers = [
            'Content-Type: application/json',
            'Accept: application/json, application/problem+json',
            'User-Agent: billhook-whmcs/1',
            'Expect:',
            'webhook-id: ' . $reply['id'],
            'webhook-timestamp: ' . $timestamp,
            'webhook-signature: ' . $signature,
        ];
        if ($wait > 0) {
            $headers[] = 'Prefer: wait=' . $wait;
        }

        $text = '';
        $seen = [];
        $handle = curl_init();
        $options = [
            CURLOPT_URL => $this->url(),
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
        ];
        curl_setopt_array($handle, $options);
        curl_exec($handle);
        $number = curl_errno($handle);
        $message = curl_error($handle);
        $reply['status'] = (int) curl_getinfo($handle, CURLINFO_RESPONSE_CODE);
        $connected = curl_getinfo($handle, CURLINFO_CONNECT_TIME) > 0;
        $handle = null;

        if ($number !== 0 && $number !== CURLE_WRITE_ERROR) {
            $reply['status'] = 0;
            $reply['error'] = $this->transportError($number, $message, $connected, $total);
        } elseif ($number === 0) {
            $answer = json_decode($text, true, 64);
            $reply['answer'] = is_array($answer) ? $answer : null;
        }
        $reply['redirect'] = isset($seen['location']) ? $seen['location'] : '';
        $reply['retry_after'] = isset($seen['retry-after']) ? $seen['retry-after'] : '';

        if (function_exists('logModuleCall')) {
            $action = isset($event['type']) ? (string) $event['type'] : 'event';
            logModuleCall(
                'billhook',
                $action,
                'POST ' . $this->url() . "\n" . implode("\n", $headers) . "\n\n" . $body,
                $reply['status'] === 0 ? 'no answer: ' . $message : 'HTTP ' . $reply['status'] . "\n\n" . $text,
                $reply['answer'] !== null ? $reply['answer'] : $reply['error'],
                $this->secrets($signature)
            );
        }
        return $reply;
    }

    /** Every form in which something secret could show up in a text. */
    private function secrets($signature = '')
    {
        $list = [];
        foreach ([$this->secret, substr($this->secret, 6), $signature, substr((string) $signature, 3)] as $text) {
            if (is_string($text) && strlen($text) > 5) {
                $list[] = $text;
                $list[] = str_replace('/', '\\/', $text);
            }
        }
        return array_values(array_unique($list));
    }

    private function transportError($number, $message, $connected, $total)
    {
        $place = $this->place();
        $why = $message === '' ? '' : ' (' . $this->clean($message) . ')';
        if (in_array($number, self::TLS_ERRORS, true)) {
            return 'The TLS connection to Billhook at ' . $place . ' failed' . $why . ', so nothing was sent. Check that its'
                . ' certificate is valid for this host name and trusted here; if that port speaks plain http, untick Secure'
                . ' in the server record.';
        }
        if (in_array($number, self::UNREACHABLE_ERRORS, true) || !$connected) {
            return 'Billhook could not be reached at ' . $place . $why . '. Check that Billhook runs there, that no firewall'
                . ' is between, and that Hostname, Port and Secure in the server record are right; then try again.';
        }
        if ($number === 28) {
            return 'Billhook at ' . $place . ' took the connection but gave no answer within ' . $total . ' seconds, so it is'
                . ' not known whether the event arrived. Look at the deliveries in Billhook; running this again is safe.';
        }
        return 'The connection to Billhook at ' . $place . ' broke before the answer came' . $why . ', so it is not known'
            . ' whether the event arrived. Check Secure and Port in the server record and the deliveries in Billhook;'
            . ' running this again is safe.';
    }

    /**
     * `success`, or what stands in the way of it.
     *
     * @param array  $reply from send()
     * @param string $what  the action in words, such as `suspend service 501`
     * @param int    $wait  how long the outcome was waited for, in seconds; 0: the receipt is enough
     */
    public function outcome(array $reply, $what, $wait)
    {
        if ($reply['error'] !== null) {
            return $reply['error'];
        }
        $answer = $reply['answer'];
        $word = is_array($answer) && isset($answer['status']) && is_string($answer['status']) ? $answer['status'] : '';
        if ($reply['status'] < 200 || $reply['status'] > 299 || $word === '') {
            return $this->refusal($reply);
        }

        $runs = $this->runs($answer);
        switch ($word) {
            case 'succeeded':
                foreach ($runs as $run) {
                    if ($run['status'] !== '' && $run['status'] !== 'succeeded' && $run['status'] !== 'superseded') {
                        return $this->stopped($what, $run);
                    }
                }
                return self::SUCCESS;

            case 'accepted':
            case 'duplicate':
                if ($wait <= 0) {
                    return self::SUCCESS;
                }
                if ($word === 'duplicate') {
                    return 'Billhook had this event before, so its outcome is not in this answer. Look at '
                        . $this->listOf([], $answer) . ' in Billhook.';
                }
                return 'Billhook took the order to ' . $what . ', but it is still in progress after ' . $wait
                    . ' seconds: ' . $this->listOf($runs, $answer) . '. Billhook goes on with it; look at it in Billhook, or try'
                    . ' again in a few minutes.';

            case 'paused':
                foreach ($runs as $run) {
                    if ($run['status'] === 'paused') {
                        return $this->stopped($what, $run);
                    }
                }
                return $this->stopped($what, isset($runs[0]) ? $runs[0] : ['id' => '', 'status' => 'paused', 'error' => '']);

            case 'ignored':
                $reason = $this->word($answer, 'reason');
                return 'Billhook did nothing to ' . $what . ': '
                    . ($reason === '' ? 'it gave no reason' : self::unstopped($reason))
                    . '. Check that the catalogue product id in the module settings of this product is in Billhook\'s'
                    . ' configuration; then try again.';

            default:
                return 'Billhook answered HTTP ' . $reply['status'] . ' with the status "' . $this->clean($word)
                    . '", which this module does not know. Look at ' . $this->listOf([], $answer) . ' in Billhook; the module may need an update.';
        }
    }

    /** `success` where Billhook took a test event and can report back or is not set up to; else a sentence. */
    public function tested(array $reply)
    {
        $answer = is_array($reply['answer']) ? $reply['answer'] : [];
        $word = isset($answer['status']) ? $answer['status'] : '';
        $taken = $reply['status'] >= 200 && $reply['status'] <= 299
            && in_array($word, ['accepted', 'duplicate', 'ignored', 'succeeded'], true);
        if (!$taken || $reply['error'] !== null) {
            return $this->outcome($reply, 'take a test event', self::WAIT_TEST);
        }
        // An older Billhook says nothing of its way back.
        $report = isset($answer['report']) && is_array($answer['report']) ? $answer['report'] : [];
        if (empty($report['configured']) || (isset($report['ok']) && $report['ok'] === true)) {
            return self::SUCCESS;
        }
        $error = self::unstopped($this->word($report, 'error'));
        return 'Billhook cannot report back to WHMCS: ' . ($error === '' ? 'it gave no reason' : $error)
            . '. The other direction works: events reach Billhook.';
    }

    /** The sentence for an answer that is not Billhook's "taken". */
    private function refusal(array $reply)
    {
        $status = $reply['status'];
        $answer = is_array($reply['answer']) ? $reply['answer'] : [];
        $detail = $this->word($answer, 'detail');
        if ($detail === '') {
            $detail = $this->word($answer, 'title');
        }
        $told = 'Billhook at ' . $this->place() . ' answered HTTP ' . $status
            . ($detail === '' ? '' : ': ' . self::unstopped($detail)) . '. ';
        $source = self::plain($this->source);

        if ($status >= 300 && $status <= 399) {
            $hint = stripos($reply['redirect'], 'https:') === 0 && !$this->secure
                ? 'It points to https: tick Secure in the server record and set the port of https. '
                : 'Set Hostname, Port and Secure in the server record to the final address. ';
            return $this->place() . ' answered HTTP ' . $status . ', a redirect, which is not followed. ' . $hint
                . 'Nothing was taken.';
        }
        // Only Billhook's own answers say something about the settings; a proxy has pages of its own.
        $ours = $detail !== '' || isset($answer['type']) || isset($answer['status']);
        if (!$ours || ($status >= 200 && $status <= 299)) {
            return $this->place() . ' answered HTTP ' . $status . ', but not as Billhook does; perhaps a proxy or another'
                . ' program answers there. Check Hostname, Port and Secure in the server record and that Billhook runs; then'
                . ' try again, which is safe.';
        }
        switch ($status) {
            case 401:
                return $told . 'The signature was not accepted: check that the Access Hash of the server record is a current'
                    . ' secret of the source "' . $source . '" and that the clocks of both machines are right.';
            case 403:
                return $told . 'Check that the address of this WHMCS server is allowed for the source "' . $source . '".';
            case 404:
                return $told . 'Billhook has no source named "' . $source . '": check the Username of the server record, or'
                    . ' add the source to Billhook\'s configuration.';
            case 400:
            case 422:
                return $told . 'Billhook could not use the event: correct the named value in WHMCS, then try again.';
            case 409:
                return $told . 'Billhook had another event of the same id; try again.';
            case 413:
                return $told . 'The event is too large: shorten the custom fields and options of this service, or raise'
                    . ' body_limit in Billhook.';
            case 429:
            case 503:
                $after = ctype_digit($reply['retry_after']) ? 'in ' . $reply['retry_after'] . ' seconds' : 'in a minute';
                return $told . 'It cannot take events right now; try again ' . $after . '.';
        }
        return $told . ($status >= 500
            ? 'Look at Billhook\'s log; running this again is safe.'
            : 'Check the server record and Billhook\'s configuration for the source "' . $source . '".');
    }

    private function stopped($what, array $run)
    {
        $name = $run['id'] === '' ? 'the run' : 'run ' . $run['id'];
        $error = $run['error'] === '' ? 'no reason was given' : self::unstopped($run['error']);
        $state = $run['status'] === 'paused' || $run['status'] === '' ? 'paused' : $run['status'];
        $id = $run['id'] === '' ? 'ID' : $run['id'];
        $on = $state === 'paused' ? ', remove the cause, let it go on with "billhook runs retry ' . $id . '"' : '';
        return 'Billhook could not ' . $what . ': ' . $error . ' (' . $name . ' is ' . $state . '). Look at it with "billhook'
            . ' runs show ' . $id . '"' . $on . '; then run this again.';
    }

    /** The runs of an answer, whether it lists their ids or says more about them. */
    private function runs(array $answer)
    {
        $runs = [];
        foreach (isset($answer['runs']) && is_array($answer['runs']) ? $answer['runs'] : [] as $run) {
            $runs[] = is_array($run)
                ? [
                    'id' => $this->word($run, 'id'), 'status' => $this->word($run, 'status'),
                    'error' => $this->word($run, 'error'),
                ]
                : ['id' => is_scalar($run) ? $this->clean((string) $run) : '', 'status' => '', 'error' => ''];
        }
        return $runs;
    }

    private function listOf(array $runs, array $answer)
    {
        $ids = [];
        foreach ($runs as $run) {
            if ($run['id'] !== '') {
                $ids[] = $run['id'];
            }
        }
        if ($ids === []) {
            $delivery = $this->word($answer, 'delivery_id');
            return $delivery === '' ? 'its delivery' : 'delivery ' . $delivery;
        }
        return (count($ids) === 1 ? 'run ' : 'runs ') . implode(', ', array_slice($ids, 0, 5));
    }

    /** A text member of an answer, or of an error object in it, fit to be shown. */
    private function word(array $from, $key)
    {
        if (!isset($from[$key])) {
            return '';
        }
        $value = $from[$key];
        if (is_array($value)) {
            foreach (['detail', 'message', 'title'] as $inner) {
                if (isset($value[$inner]) && is_scalar($value[$inner])) {
                    return $this->clean((string) $value[$inner]);
                }
            }
            return '';
        }
        return is_scalar($value) ? $this->clean((string) $value) : '';
    }

    /** Without secrets, markup and line breaks, and not too long. */
    private function clean($text)
    {
        return self::plain(str_replace($this->secrets(), '***', $text));
    }

    private static function plain($text)
    {
        $text = (string) preg_replace('/[\x00-\x20\x7f<>]+/', ' ', $text);
        if (!preg_match('//u', $text)) {
            $text = (string) preg_replace('/[\x80-\xff]+/', '?', $text);
        }
        $text = trim($text);
        if (strlen($text) > 400) {
            $text = preg_match('/^.{0,380}/us', $text, $found) ? $found[0] . '…' : substr($text, 0, 380);
        }
        return $text;
    }

    private static function unstopped($sentence)
    {
        return rtrim($sentence, ". \t");
    }
}
