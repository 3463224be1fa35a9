<?php
/**
 * A stand-in for WHMCS's API, run by PHP's built-in server: the path chooses how it behaves towards Billhook.
 */

switch (parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH)) {
    case '/refuses':
        http_response_code(403);
        header('Content-Type: application/json');
        echo '{"result":"error","message":"Invalid IP 198.51.100.7"}';
        return;
    case '/page':
        echo '<html><body>Down for Maintenance</body></html>';
        return;
    case '/hangs':
        sleep(15); // longer than a connection test waits
        return;
}
header('Content-Type: application/json');
echo '{"result":"success"}';
