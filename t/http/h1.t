# HTTP/1.1 on the wire: what is understood, what is refused, and what becomes of the connection.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Bulan::Test::Backend;
use Bulan::Test::Process 'wait_until';
use Bulan::Test::Server;

my $up = Bulan::Test::Backend->tcp(sub {
    my ($connection) = @_;
    $connection->take(qr/\r\n\r\n/, time + 5);
    $connection->send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: moon\r\nConnection: Upgrade\r\n\r\nup:");
    $connection->send($connection->take(4, time + 5)) for 1 .. 3;
}, parallel => 1);
my $up_port = $up->port;

my $server = Bulan::Test::Server->new(
    http_config => '
        client_header_buffer_size 128; large_client_header_buffers 2 1k; max_headers 20;
        log_format short \'$status "$request"\'; access_log logs/short.log short;',
    config => "
        client_max_body_size 100; client_body_timeout 300ms; client_header_timeout 2s;
        keepalive_requests 100; lingering_timeout 200ms;
        location / { return 200 \"\$request_method \$uri\\n\"; }
        location /host { return 200 \$host; }
        location /body { proxy_ignore_client_abort on; proxy_pass http://127.0.0.1:\$server_port/seen; }
        location /seen { proxy_set_header X 1; echo_read_request_body; echo \"\$request_method \$request_body\"; }
        location /file { alias \$TEST_NGINX_HTML_DIR/f; }
        location /up { proxy_pass http://127.0.0.1:$up_port; proxy_set_header Upgrade \$http_upgrade; proxy_set_header Connection upgrade; }
        location /few { keepalive_requests 2; return 200 few; }
        location /chunks { echo one; echo two; }
        location /old { chunked_transfer_encoding off; echo old; }
        location /trailers { echo body; add_trailer X-End \"\$uri\" always; }
    ", files => { f => 'moon' x 10 })->start;

# statuses(BYTES, METHOD, ...): those of all responses until the server closes or says no more.
sub statuses {
    my ($bytes, @methods) = @_;
    my $client = $server->connect;
    my @got;
    $client->send($bytes);
    $client->shutdown;
    while (1) {
        my $r = $client->response(method => shift @methods || 'GET');
        last if $r->{error} && !$r->{status};
        push @got, $r->{status} . ($r->{error} ? " $r->{error}" : '');
        last if $r->{error};
    }
    return join ' ', @got;
}

sub head { return join "\r\n", @_, '', '' }

subtest 'what is refused' => sub {
    my $host = 'Host: x';
    my %refused = (
        'CL and TE'           => [400, head('POST / HTTP/1.1', $host, 'Content-Length: 4', 'Transfer-Encoding: chunked') . "0\r\n\r\n"],
        'two lengths'         => [400, head('POST / HTTP/1.1', $host, 'Content-Length: 4', 'Content-Length: 4') . 'moon'],
        'a list of lengths'   => [400, head('POST / HTTP/1.1', $host, 'Content-Length: 4, 4') . 'moon'],
        'a signed length'     => [400, head('POST / HTTP/1.1', $host, 'Content-Length: +4') . 'moon'],
        'a huge length'       => [400, head('POST / HTTP/1.1', $host, 'Content-Length: 99999999999999999999') . 'moon'],
        'two hosts'           => [400, head('GET / HTTP/1.1', $host, $host)],
        'no host'             => [400, head('GET / HTTP/1.1')],
        'a bad host'          => [400, head('GET / HTTP/1.1', 'Host: a/b')],
        'another coding'      => [501, head('POST / HTTP/1.1', $host, 'Transfer-Encoding: gzip') . "0\r\n\r\n"],
        'chunked twice'       => [400, head('POST / HTTP/1.1', $host, 'Transfer-Encoding: chunked', 'Transfer-Encoding: chunked') . "0\r\n\r\n"],
        'a folded line'       => [400, head('GET / HTTP/1.1', $host, 'X: a', ' b')],
        'space before colon'  => [400, head('GET / HTTP/1.1', $host, 'X : a')],
        'a bare CR'           => [400, head('GET / HTTP/1.1', $host, "X: a\rb")],
        'a zero byte'         => [400, head('GET / HTTP/1.1', $host, "X: a\0b")],
        'a zero in the line'  => [400, head("GET /a\0b HTTP/1.1", $host)],
        'a control in a name' => [400, head('GET / HTTP/1.1', $host, "X\x01: a")],
        'a bad method'        => [400, head('get / HTTP/1.1', $host)],
        'HTTP/2.0'            => [505, head('GET / HTTP/2.0', $host)],
        'no version number'   => [400, head('GET / HTTP/x', $host)],
        'a path above'        => [400, head('GET /../x HTTP/1.1', $host)],
        'a bad escape'        => [400, head('GET /%zz HTTP/1.1', $host)],
        'no chunk size'       => [400, head('POST /body HTTP/1.1', $host, 'Transfer-Encoding: chunked') . "x\r\n"],
        'a huge chunk'        => [400, head('POST /body HTTP/1.1', $host, 'Transfer-Encoding: chunked') . "fffffffffffffffff\r\n"],
        'data beyond a chunk' => [400, head('POST /body HTTP/1.1', $host, 'Transfer-Encoding: chunked') . "2\r\nmoon\r\n0\r\n\r\n"],
        'TRACE'               => [405, head('TRACE / HTTP/1.1', $host)],
        'a long line'         => [414, head('GET /' . 'x' x 2000 . ' HTTP/1.1', $host)],
        'a long field'        => [400, head('GET / HTTP/1.1', $host, 'X: ' . 'x' x 2000)],
        'many bytes'          => [400, head('GET / HTTP/1.1', $host, map { "X$_: " . 'x' x 900 } 1 .. 4)],
        'many fields'         => [400, head('GET / HTTP/1.1', $host, map { "X$_: x" } 1 .. 30)],
        'a large body'        => [413, head('POST / HTTP/1.1', $host, 'Content-Length: 101') . 'x' x 101],
        'large in chunks'     => [413, head('POST /body HTTP/1.1', $host, 'Transfer-Encoding: chunked') . "65\r\n" . 'x' x 101 . "\r\n0\r\n\r\n"],
    );
    for my $name (sort keys %refused) {
        my ($status, $bytes) = @{ $refused{$name} };
        is statuses($bytes . head('GET /smuggled HTTP/1.1', $host)), $status, $name;
    }
    unlike Bulan::Test::Server::slurp($server->path('logs/short.log')), qr/smuggled/, 'and nothing behind it is taken for a request';
};

subtest 'what is understood' => sub {
    is statuses("\r\n\r\n" . head('GET / HTTP/1.1', 'Host: x', 'Connection: close')), 200, 'empty lines before';
    is statuses("GET / HTTP/1.1\nHost: x\nConnection: close\n\n"), 200, 'bare LF';
    is statuses("GET /\r\n"), '', 'HTTP/0.9 has no head';
    is $server->raw(head('GET http://Name.Test:80/a HTTP/1.1', 'Host: other', 'Connection: close'))->{body}, "GET /a\n", 'an absolute target';
    is $server->raw(head('GET http://Name.Test:80/host HTTP/1.1', 'Host: other', 'Connection: close'))->{body}, 'name.test', 'its host counts';
    is $server->raw(head('GET //a/./b/../c%20d HTTP/1.1', 'Host: x', 'Connection: close'))->{body}, "GET /a/c d\n", 'a path made plain';
    is statuses(head('GET / HTTP/1.0')), 200, 'HTTP/1.0 needs no host, and closes';
    is statuses(join '', map { head("GET /$_ HTTP/1.0", 'Connection: keep-alive') } 1, 2), '200 200', 'unless asked to stay';
    is statuses(head('POST /body HTTP/1.1', 'Host: x', 'Transfer-Encoding: chunked', 'Connection: close')
        . "1;ext=\"a\"\r\nm\r\n003\r\noon\r\n0\r\nX-Trailer: y\r\n\r\n"), 200, 'chunks with extensions and trailers';
    my $piped = join '', head('GET /1 HTTP/1.1', 'Host: x'), head('HEAD /file HTTP/1.1', 'Host: x'),
        head('POST /2 HTTP/1.1', 'Host: x', 'Content-Length: 4') . 'moon',
        head('POST /body HTTP/1.1', 'Host: x', 'Transfer-Encoding: chunked') . "4\r\nmoon\r\n0\r\n\r\n",
        head('GET /few HTTP/1.1', 'Host: x'), head('GET /few HTTP/1.1', 'Host: x');
    is statuses($piped, 'GET', 'HEAD'), '200 200 200 200 200', 'pipelined, until keepalive_requests';
};

subtest 'how a body is framed' => sub {
    like $server->raw(head('GET /chunks HTTP/1.1', 'Host: x', 'Connection: close'))->{raw}, qr/^Transfer-Encoding: chunked\r$/m, 'in chunks';
    my $plain = $server->raw(head('GET /chunks HTTP/1.0'));
    is_deeply [$plain->{headers}{'transfer-encoding'}, $plain->{body}], [undef, "one\ntwo\n"], 'HTTP/1.0: to the end';
    is_deeply $server->raw(head('GET /old HTTP/1.1', 'Host: x'))->{headers}{connection}, ['close'], 'chunked_transfer_encoding off';
    is_deeply $server->raw(head('GET /trailers HTTP/1.1', 'Host: x', 'Connection: close'))->{trailers}, { 'x-end' => ['/trailers'] }, 'trailers';
    my $head = $server->raw(head('HEAD /file HTTP/1.1', 'Host: x'), method => 'HEAD');
    is_deeply [$head->{headers}{'content-length'}, $head->{error}], [['40'], undef], 'HEAD';
};

subtest 'Expect' => sub {
    my $client = $server->connect;
    $client->send(head('POST /body HTTP/1.1', 'Host: x', 'Expect: 100-continue', 'Content-Length: 4'));
    is $client->take(qr/\r\n\r\n/, time + 5), "HTTP/1.1 100 Continue\r\n\r\n", 'the body is asked for';
    $client->send('moon');
    is $client->response->{body}, "POST moon\n", 'and taken';
    $client->send(head('POST /body HTTP/1.1', 'Host: x', 'Expect: 100-continue', 'Content-Length: 4') . 'moon');
    my $together = $client->response;
    is_deeply [scalar @{ $together->{interim} }, $together->{body}], [1, "POST moon\n"], 'a body that is there already';
    $client->send(head('POST /body HTTP/1.1', 'Host: x', 'Expect: 100-continue', 'Content-Length: 400'));
    my $large = $client->response;
    is_deeply [$large->{status}, $large->{interim}], [413, []], 'one that is too large is not asked for';
    my $old = $server->raw(head('POST /body HTTP/1.0', 'Expect: 100-continue', 'Content-Length: 4') . 'moon');
    is_deeply [$old->{status}, $old->{interim}], [200, []], 'HTTP/1.0 knows no 100';
};

subtest 'time' => sub {
    my $client = $server->connect;
    $client->send("GET / HTTP/1.1\r\nHost:");
    ok $client->is_closed, 'a head that does not come';
    $client = $server->connect;
    $client->send(head('POST /body HTTP/1.1', 'Host: x', 'Content-Length: 4') . 'mo');
    ok $client->is_closed, 'a body that does not come: no answer, as in nginx';
    ok wait_until(5, sub { Bulan::Test::Server::slurp($server->path('logs/short.log')) =~ /^408 "POST/m }), 'logged';
};

subtest 'lingering close' => sub {
    my $client = $server->connect;
    $client->send(head('POST / HTTP/1.1', 'Host: x', 'Content-Length: 100000'));
    is $client->response->{status}, 413, 'the answer comes first';
    ok $client->send('x' x 50_000), 'what the client still sends is read';
    ok $client->is_closed, 'and then the connection closed';
};

subtest 'Upgrade' => sub {
    my $client = $server->connect;
    $client->send(head('GET /up HTTP/1.1', 'Host: x', 'Upgrade: moon', 'Connection: Upgrade') . 'frst');
    like $client->take(qr/\r\n\r\n/, time + 5), qr/^HTTP\/1\.1 101 /, 'switched';
    is $client->take(7, time + 5), 'up:frst', 'what came with the head goes on first, both ways';
    $client->send('more');
    is $client->take(4, time + 5), 'more', 'then the rest';
    $client->send('last');
    is $client->take(4, time + 5), 'last', 'to the end';
    ok $client->is_closed, 'which is passed on';
};

$server->stop;
done_testing;
