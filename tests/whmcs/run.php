<?php
/**
 * Tests of the WHMCS module and hooks with real PHP inside a small imitation of WHMCS.
 *
 *     php tests/whmcs/run.php [WORD]      only tests whose name contains WORD
 *
 * Most tests talk to a stand-in for Billhook that this script starts itself. Those named `live: …` need a running
 * Billhook in sandbox mode, with the products 42 (Hivelocity and 1H, on_suspend "shutdown") and pid:43, and no
 * other numbers from 900000 on, told by the environment; without it they are skipped by name:
 *
 *     BILLHOOK_URL           e.g. http://127.0.0.1:8080
 *     BILLHOOK_SECRET        the secret of the source
 *     BILLHOOK_SOURCE        the source; default: whmcs
 *     BILLHOOK_ADMIN_TOKEN   for reading /api/v1
 *     BILLHOOK_BACK          with what the names of four sources begin that have the same secret and report to a WHMCS that
 *                            takes, refuses, page (shows one) or hangs
 *     BILLHOOK_PATIENCE      how long a device may take in the sandbox, in seconds; default: 120
 *
 * The last line is `N passed, N failed`, with `, N skipped` where some were; the exit status is 1 when any failed.
 */

error_reporting(E_ALL);
ini_set('display_errors', 'stderr');
ini_set('log_errors', '0');
date_default_timezone_set('Pacific/Auckland');
set_error_handler(function ($level, $text, $file, $line) {
    if (!(error_reporting() & $level)) {
        return false;
    }
    throw new ErrorException($text, 0, $level, $file, $line);
});

const HOOKS = __DIR__ . '/../../hooks/whmcs';
const VECTOR_SECRET = 'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD';

require __DIR__ . '/imitation.php';
Whmcs::reset();
require HOOKS . '/modules/servers/billhook/billhook.php';
Whmcs::loadHooks(HOOKS . '/includes/hooks');

final class Failed extends Exception
{
}

final class Runner
{
    public static $tests = [];
    /** @var array processes to end */
    private static $children = [];

    public static function run($word)
    {
        $passed = $failed = $skipped = 0;
        foreach (self::$tests as $test) {
            list($name, $missing, $function) = $test;
            if ($word !== '' && stripos($name, $word) === false) {
                continue;
            }
            if ($missing !== '') {
                echo 'skipped: ', $name, ' (', $missing, " is not set)\n";
                $skipped++;
                continue;
            }
            self::reset();
            try {
                $function();
                echo 'ok: ', $name, "\n";
                $passed++;
            } catch (Throwable $e) {
                $where = $e instanceof Failed ? self::caller($e) : basename($e->getFile()) . ':' . $e->getLine();
                echo 'FAILED: ', $name, ' (', $where, ")\n    ", str_replace("\n", "\n    ", $e->getMessage()), "\n";
                $failed++;
            }
        }
        self::end();
        echo $passed, ' passed, ', $failed, ' failed', $skipped > 0 ? ', ' . $skipped . ' skipped' : '', "\n";
        return $failed > 0 || $passed + $skipped === 0 ? 1 : 0;
    }

    public static function reset()
    {
        Whmcs::reset();
        self::forget();
    }

    /** As if WHMCS answered another request: the module keeps nothing over from one to the next. */
    public static function forget()
    {
        WHMCS\Database\Connection::$name = 'whmcs';
        WHMCS\Module\Server\Billhook\Patience::reset();
        // Tests run on the command line, as cron does; most are about what staff click.
        WHMCS\Module\Server\Billhook\Patience::$inCron = false;
        $closed = new ReflectionProperty(WHMCS\Module\Server\Billhook\Notifier::class, 'closed');
        $closed->setAccessible(true);
        $closed->setValue(null, []);
    }

    private static function caller(Throwable $e)
    {
        foreach ($e->getTrace() as $frame) {
            if (isset($frame['file']) && strpos(basename($frame['file']), 'cases_') === 0) {
                return basename($frame['file']) . ':' . $frame['line'];
            }
        }
        return '?';
    }

    public static function start(array $command, array $environment, $output)
    {
        $pipes = [];
        $null = ['file', '/dev/null', 'w'];
        $process = proc_open(
            $command,
            [0 => ['file', '/dev/null', 'r'], 1 => $output ? ['pipe', 'w'] : $null, 2 => $null],
            $pipes,
            __DIR__,
            $environment + getenv()
        );
        if (!is_resource($process)) {
            throw new RuntimeException('cannot start ' . implode(' ', $command));
        }
        self::$children[] = $process;
        return $output ? $pipes[1] : null;
    }

    public static function end()
    {
        foreach (self::$children as $process) {
            proc_terminate($process, 9);
            proc_close($process);
        }
        self::$children = [];
        Fake::clear();
    }
}

/** The stand-in for Billhook. */
final class Fake
{
    private static $port = null;
    private static $folder = null;

    public static function port()
    {
        if (self::$port === null) {
            self::$folder = sys_get_temp_dir() . '/billhook-fake-' . bin2hex(random_bytes(4));
            mkdir(self::$folder);
            self::$port = self::serve(self::$folder);
        }
        return self::$port;
    }

    /** Another one of its own, for answers that keep it busy. */
    public static function serve($folder)
    {
        $port = closedPort();
        Runner::start(
            [PHP_BINARY, '-S', '127.0.0.1:' . $port, __DIR__ . '/fake_billhook.php'],
            ['FAKE_DIR' => $folder, 'FAKE_ECHO' => VECTOR_SECRET],
            false
        );
        for ($i = 0; $i < 100; $i++) {
            $socket = @fsockopen('127.0.0.1', $port, $number, $text, 1);
            if ($socket) {
                fclose($socket);
                return $port;
            }
            usleep(50000);
        }
        throw new RuntimeException('the stand-in does not start');
    }

    public static function folder()
    {
        self::port();
        return self::$folder;
    }

    /** The requests since the last call, in order. */
    public static function requests()
    {
        $requests = [];
        foreach (glob(self::folder() . '/*.json') as $file) {
            $request = json_decode(file_get_contents($file), true);
            $request['body'] = base64_decode($request['body']);
            $requests[] = $request;
            unlink($file);
        }
        return $requests;
    }

    public static function clear()
    {
        if (self::$folder !== null) {
            array_map('unlink', glob(self::$folder . '/*'));
            rmdir(self::$folder);
            self::$folder = null;
        }
    }
}

/** A port that nothing listens on. */
function closedPort()
{
    $socket = stream_socket_server('tcp://127.0.0.1:0');
    $port = (int) substr(strrchr(stream_socket_get_name($socket, false), ':'), 1);
    fclose($socket);
    return $port;
}

/** @param string $missing the environment that a skipped test lacks; empty: it runs */
function test($name, $function, $missing = '')
{
    Runner::$tests[] = [$name, $missing, $function];
}

function show($value)
{
    return is_string($value) ? '"' . $value . '"' : json_encode($value);
}

function same($expected, $actual, $what = 'value')
{
    if ($expected !== $actual) {
        throw new Failed($what . ': expected ' . show($expected) . ', got ' . show($actual));
    }
}

function check($condition, $what)
{
    if (!$condition) {
        throw new Failed($what);
    }
}

function contains($needle, $text)
{
    check(strpos($text, $needle) !== false, 'expected ' . show($needle) . ' in ' . show($text));
}

function lacks($needle, $text)
{
    check(strpos($text, $needle) === false, 'did not expect ' . show($needle) . ' in ' . show($text));
}

/** A sentence staff can act on: not `success`, not empty, one line, ended, without markup. */
function sentence($text)
{
    check(is_string($text) && $text !== '' && $text !== 'success', 'expected a sentence, got ' . show($text));
    check(preg_match('/^[^\x00-\x1f<>]+\.$/', $text) === 1, 'not a plain sentence: ' . show($text));
    return $text;
}

/** WHMCS's service object. */
function service(array $attributes)
{
    return new ServiceModel($attributes + ['id' => 501, 'packageid' => 42, 'password' => 'LEAK-model']);
}

/** What WHMCS hands to a module, secrets included, pointed at a place; others go over it. */
function params(array $others = [], $source = 'whmcs', $port = null, $secret = VECTOR_SECRET)
{
    $others += ['serviceid' => 501, 'pid' => 42];
    $model = service([
        'id' => $others['serviceid'], 'packageid' => $others['pid'], 'billingcycle' => 'Semi-Annually', 'orderid' => 1001, 'qty' => 2,
    ]);
    return $others + [
        'userid' => 77, 'serverid' => 3, 'domain' => 'srv1.example.com',
        'username' => 'LEAK-username', 'password' => 'LEAK-password', 'producttype' => 'server', 'moduletype' => 'billhook',
        'configoption1' => '', 'configoption2' => '', 'configoption3' => 'LEAK-configoption3',
        'clientsdetails' => [
            'userid' => 77, 'id' => 77, 'firstname' => 'Ann', 'lastname' => 'Lee', 'companyname' => 'Lee &amp; Sons',
            'email' => 'ann@example.com', 'password' => 'LEAK-client', 'phonenumber' => 'LEAK-phone', 'cclastfour' => 'LEAK-cc',
            'model' => $model,
        ],
        'customfields' => ['SSH Key' => 'ssh-ed25519 AAAA'],
        'configoptions' => ['Location' => 'TPA1', 'Drives' => 4],
        'server' => true, 'serverip' => '192.0.2.1', 'serverhostname' => '127.0.0.1', 'serverusername' => $source,
        'serverpassword' => 'LEAK-serverpassword', 'serveraccesshash' => $secret, 'serversecure' => false,
        'serverport' => $port === null ? Fake::port() : $port, 'model' => $model, 'suspendreason' => 'Overdue on Payment',
    ];
}

/** The server record that hooks read. */
function serverRecord(array $others = [])
{
    Whmcs::insert('tblservers', $others + [
        'id' => 3, 'name' => 'Billhook', 'ipaddress' => '', 'hostname' => '127.0.0.1', 'type' => 'billhook',
        'username' => 'whmcs', 'password' => 'LEAK-record', 'accesshash' => VECTOR_SECRET, 'secure' => '',
        'port' => isset($others['port']) ? $others['port'] : Fake::port(), 'active' => 1, 'disabled' => 0,
    ]);
}

require __DIR__ . '/cases_local.php';
require __DIR__ . '/cases_identity.php';
require __DIR__ . '/cases_patience.php';
require __DIR__ . '/cases_live.php';

exit(Runner::run(isset($argv[1]) ? $argv[1] : ''));
