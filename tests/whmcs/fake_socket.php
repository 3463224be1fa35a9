<?php
/**
 * Two rude servers on a free port, whose number is the first line of output: `tls` shows a certificate of its own making
 * for the name localhost, kept in the file named by the second argument; `reset` reads a request and hangs up.
 */

$kind = $argv[1];
$context = stream_context_create();
if ($kind === 'tls') {
    $key = openssl_pkey_new(['private_key_bits' => 2048]);
    $request = openssl_csr_new(['commonName' => 'localhost'], $key);
    $certificate = openssl_csr_sign($request, null, $key, 1);
    openssl_x509_export($certificate, $pem);
    openssl_pkey_export($key, $private);
    $file = $argv[2];
    file_put_contents($file, $pem . $private);
    stream_context_set_option($context, 'ssl', 'local_cert', $file);
}
$server = stream_socket_server('tcp://127.0.0.1:0', $number, $text, STREAM_SERVER_BIND | STREAM_SERVER_LISTEN, $context);
echo substr(strrchr(stream_socket_get_name($server, false), ':'), 1), "\n";
while ($connection = @stream_socket_accept($server, 120)) {
    if ($kind === 'tls') {
        @stream_socket_enable_crypto($connection, true, STREAM_CRYPTO_METHOD_TLS_SERVER);
        @fread($connection, 8192);
        @fwrite($connection, "HTTP/1.1 202 Accepted\r\nContent-Length: 21\r\n\r\n{\"status\":\"accepted\"}");
    } else {
        fread($connection, 8192);
    }
    fclose($connection);
}
