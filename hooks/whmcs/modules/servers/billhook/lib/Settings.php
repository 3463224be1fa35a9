<?php
/** What a server record in WHMCS says about one Billhook: where it is, as whom to speak to it, and with what secret. */

namespace WHMCS\Module\Server\Billhook;

if (!defined('WHMCS')) {
    die('This file cannot be opened directly.');
}

final class Settings
{
    const DEFAULT_SOURCE = 'whmcs';
    const DEFAULT_PORT = 8080;
    const DEFAULT_PORT_SECURE = 443;

    const HOST = '/^(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9.])?)$/';

    /** @var string without scheme, port and brackets */
    private $host = '';
    /** @var int */
    private $port;
    /** @var bool */
    private $secure;
    /** @var string the scheme that was typed before the host; mostly empty */
    private $scheme = '';
    /** @var string */
    private $source;
    /** @var string */
    private $secret;
    /** @var string|null what is wrong with Hostname and Port */
    private $wrong = null;

    /**
     * @param string $host   host name or address; `http://` or `https://` before it and a port behind it are understood
     * @param mixed  $port   empty: the default of the scheme
     * @param bool   $secure https when true
     * @param string $source name of the source in Billhook's configuration; empty: `whmcs`
     * @param string $secret the source's secret, `whsec_` and base64
     */
    public function __construct($host, $port, $secure, $source, $secret)
    {
        $this->secure = (bool) $secure;
        $port = trim((string) $port);
        $this->setPort($port === '0' ? '' : $port, $this->setHost(trim((string) $host)));
        $source = trim((string) $source);
        $this->source = $source === '' ? self::DEFAULT_SOURCE : $source;
        // A text area keeps line breaks that came along when the secret was pasted.
        $this->secret = (string) preg_replace('/\s+/', '', (string) $secret);
    }

    /** From what WHMCS hands to a function of a provisioning module. */
    public static function fromParams(array $params)
    {
        return self::named($params, [
            'serverhostname', 'serverip', 'serverport', 'serversecure', 'serverusername', 'serveraccesshash',
        ]);
    }

    /** From a row of tblservers. */
    public static function fromServerRecord($row)
    {
        return self::named((array) $row, ['hostname', 'ipaddress', 'port', 'secure', 'username', 'accesshash']);
    }

    private static function named(array $from, array $names)
    {
        list($host, $address, $port, $secure, $source, $secret) = array_map(function ($name) use ($from) {
            return Text::member($from, $name);
        }, $names);
        $secure = in_array(strtolower($secure), ['1', 'on', 'yes', 'true'], true);
        return new self($host !== '' ? $host : $address, $port, $secure, $source, self::plainSecret($secret));
    }

    /** The Access Hash as it was typed, whether or not WHMCS keeps it encrypted. */
    private static function plainSecret($stored)
    {
        if ($stored === '' || strpos($stored, 'whsec_') === 0 || !function_exists('decrypt')) {
            return $stored;
        }
        try {
            $plain = decrypt($stored);
        } catch (\Throwable $e) {
            return $stored;
        }
        return is_string($plain) && $plain !== '' ? $plain : $stored;
    }

    /** @return string the port behind the host, if any */
    private function setHost($text)
    {
        if (preg_match('~^(https?)://([^/]*)/?$~i', $text, $found)) {
            $this->scheme = strtolower($found[1]);
            $text = $found[2];
        }
        if ($text === '' && $this->scheme === '') {
            return '';
        }
        $port = '';
        if (filter_var($text, FILTER_VALIDATE_IP, FILTER_FLAG_IPV6) !== false) {
            $this->host = $text;
        } elseif (preg_match('/^\[([0-9A-Fa-f:.]+)\](?::(\d{1,5}))?$/', $text, $found)
            && filter_var($found[1], FILTER_VALIDATE_IP, FILTER_FLAG_IPV6) !== false) {
            $this->host = $found[1];
            $port = isset($found[2]) ? $found[2] : '';
        } elseif (preg_match('/^([^:]+)(?::(\d{1,5}))?$/', $text, $found) && preg_match(self::HOST, $found[1])) {
            $this->host = $found[1];
            $port = isset($found[2]) ? $found[2] : '';
        } else {
            $this->wrong = 'The Hostname of the Billhook server record must be a host name or an address without a path, such as'
                . ' billhook.example or 192.0.2.1; the port has its own field.';
        }
        if ($this->scheme === 'http' && $this->secure && $this->wrong === null) {
            $this->wrong = 'The Billhook server record contradicts itself: its Hostname begins with http://, but Secure is'
                . ' ticked. Take http:// away, or untick Secure.';
        }
        $this->secure = $this->secure || $this->scheme === 'https';
        return $port;
    }

    private function setPort($field, $behindHost)
    {
        $default = $this->secure ? self::DEFAULT_PORT_SECURE : self::DEFAULT_PORT;
        // WHMCS fills an untouched field with one of the module's defaults, so those contradict nothing.
        $untouched = in_array($field, ['', (string) self::DEFAULT_PORT, (string) self::DEFAULT_PORT_SECURE], true);
        if ($behindHost !== '' && !$untouched && $field !== $behindHost && $this->wrong === null) {
            $this->wrong = 'The Billhook server record names two ports: ' . $behindHost . ' in its Hostname and '
                . Text::plain($field) . ' in its Port. Take one of them away.';
        }
        $port = $behindHost !== '' ? $behindHost : ($field !== '' ? $field : (string) $default);
        $this->port = ctype_digit($port) ? (int) $port : 0;
        if (($this->port < 1 || $this->port > 65535) && $this->wrong === null) {
            $this->wrong = 'The Port of the Billhook server record must be a number from 1 to 65535.';
        }
    }

    /** What is wrong with the server record, or null. */
    public function error()
    {
        if ($this->wrong !== null) {
            return $this->wrong;
        }
        if ($this->host === '') {
            return 'No Billhook server is set: create a server record of type Billhook in WHMCS with its Hostname,'
                . ' and assign it to this product or service.';
        }
        if (!$this->secure && $this->scheme !== 'http' && !$this->isLoopback()) {
            return 'Nothing is sent to ' . $this->place() . ' without encryption: names and addresses of clients could be read on'
                . ' the way. Tick Secure in the Billhook server record; or, where the network between is your own, write'
                . ' http://' . $this->hostInUrl() . ' as its Hostname.';
        }
        if ($this->secret === '') {
            return 'The Billhook server record has no secret: paste the secret of the source "' . Text::plain($this->source)
                . '" into its Access Hash.';
        }
        if ($this->key() === null) {
            return 'The Access Hash of the Billhook server record is not a secret of Billhook: it must be whsec_ followed'
                . ' by base64, as Billhook\'s configuration has it for the source "' . Text::plain($this->source) . '".';
        }
        return null;
    }

    private function isLoopback()
    {
        $host = strtolower($this->host);
        return $host === 'localhost' || substr($host, -10) === '.localhost'
            || (strpos($host, '127.') === 0 && filter_var($host, FILTER_VALIDATE_IP, FILTER_FLAG_IPV4) !== false)
            || @inet_pton($host) === inet_pton('::1');
    }

    public function isSecure()
    {
        return $this->secure;
    }

    public function source()
    {
        return $this->source;
    }

    /** Where events go, without anything secret. */
    public function url()
    {
        return ($this->secure ? 'https' : 'http') . '://' . $this->place() . '/webhooks/' . rawurlencode($this->source);
    }

    /** Host and port. */
    public function place()
    {
        return $this->hostInUrl() . ':' . $this->port;
    }

    private function hostInUrl()
    {
        return strpos($this->host, ':') !== false ? '[' . $this->host . ']' : $this->host;
    }

    /** The signing key in bytes; null when the secret is not `whsec_` and base64. */
    public function key()
    {
        if (strpos($this->secret, 'whsec_') !== 0) {
            return null;
        }
        $key = base64_decode(substr($this->secret, 6), true);
        return $key === false || $key === '' ? null : $key;
    }

    /** Every form in which the secret, or a signature, could show up in a text. */
    public function secrets($signature = '')
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

    /** A text of others, without secrets and fit to be shown. */
    public function clean($text)
    {
        return Text::plain(str_replace($this->secrets(), '***', $text));
    }
}
