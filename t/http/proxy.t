# proxy_pass: the request that goes out, the response that comes back, and what goes wrong between.
use lib 't/lib';
use Bulan::Test;

run_tests();

__DATA__

=== TEST 1: the URI, by location and proxy_pass
--- http_config
server { listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1; location / { return 200 $request_uri; } }
--- config
location /same/ { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
location /other/ { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1/to/; }
location ~ /regex { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
location /var { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1/v?$args; }
location /rewritten/ { rewrite ^/rewritten/(.*) /new/$1 break; proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1/ignored/; }
--- perl
is $server->get($_->[0])->{body}, $_->[1], $_->[0] for
    ['/same/a%20b?x=%20', '/same/a%20b?x=%20'], ['/same//a/../b', '/same//a/../b'],
    ['/other/a%20b?x', '/to/a%20b?x'], ['/other/', '/to/'], ['/a/regex?', '/a/regex?'],
    ['/var?a=1', '/v?a=1'], ['/rewritten/a%3Fb?c', '/new/a%3Fb?c'];



=== TEST 2: fields of the request: set, replaced, left out; what concerns the connection is not passed on
--- config
location / { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_2; }
location /set {
    proxy_set_header X-Const one; proxy_set_header X-Var $arg_a; proxy_set_header X-Empty $arg_none;
    proxy_set_header User-Agent me; proxy_set_header X-Own ""; proxy_set_header Host $host;
    proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_2;
}
location /old { proxy_http_version 1.0; proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_2; }
--- perl
my $backend = Bulan::Test::Backend->tcp(sub {
    my $request = $_[0]->request or return;
    $_[0]->send("HTTP/1.1 200 OK\r\nContent-Length: " . length($request->{head}) . "\r\n\r\n$request->{head}");
}, where => $ENV{TEST_NGINX_RAND_PORT_2});
my @fields = ('User-Agent' => 'ua', 'X-Own' => 'mine', Connection => 'close', 'Keep-Alive' => 5, TE => 'trailers',
    Expect => '', Upgrade => 'h9');
my $port = $ENV{TEST_NGINX_RAND_PORT_2};
is $server->get('/', @fields)->{body},
    "GET / HTTP/1.1\r\nHost: 127.0.0.1:$port\r\nUser-Agent: ua\r\nX-Own: mine\r\n\r\n", 'plain';
is $server->get('/set?a=b', Host => 'h', @fields)->{body},
    "GET /set?a=b HTTP/1.1\r\nX-Const: one\r\nX-Var: b\r\nUser-Agent: me\r\nHost: h\r\n\r\n", 'set';
like $server->get('/old', @fields)->{body}, qr{^GET /old HTTP/1.0\r\nHost: [^\r]+\r\nConnection: close\r\n}, 'HTTP/1.0';



=== TEST 3: fields of the response
--- http_config
server {
    listen 127.0.0.1:$TEST_NGINX_RAND_PORT_3; server_tokens off;
    location / {
        add_header X-Seen yes; add_header X-Hidden no; add_header X-Accel-Charset koi8-r; add_header X-Pad x;
        return 200 hello;
    }
}
--- config
location / { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_3; proxy_hide_header X-Hidden; }
location /server { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_3; proxy_pass_header Server; proxy_pass_header X-Pad; }
--- perl
my $fields = $server->get('/')->{headers};
is_deeply [map { $fields->{$_} } qw(x-seen x-hidden x-pad x-accel-charset)], [['yes'], undef, undef, undef], 'hidden';
is_deeply $fields->{'content-type'}, ['text/plain; charset=koi8-r'], 'X-Accel-Charset';
like $fields->{server}[0], qr{^nginx/}, 'its own Server';
$fields = $server->get('/server')->{headers};
is_deeply [$fields->{server}, $fields->{'x-pad'}], [['nginx'], ['x']], 'passed';



=== TEST 4: bodies of requests: counted, chunked, streamed, replaced, left out
--- http_config
server { listen 127.0.0.1:$TEST_NGINX_RAND_PORT_4; client_body_buffer_size 64k; location / { echo_read_request_body; echo "$http_content_length $http_transfer_encoding $request_method"; echo_request_body; } }
--- config
client_body_buffer_size 8k;
location / { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_4; }
location /stream { proxy_request_buffering off; proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_4; }
location /set { proxy_set_body "<$arg_a>"; proxy_method PUT; proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_4; }
location /none { proxy_pass_request_body off; proxy_set_header Content-Length ""; proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_4; }
--- perl
my $big = join '', map { chr 97 + $_ % 26 } 1 .. 30000;
my $chunked = "Host: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n7530\r\n$big\r\n0\r\n\r\n";
is $server->post('/', 'abc')->{body}, "3  POST\nabc", 'counted';
is $server->post('/', $big)->{body}, "30000  POST\n$big", 'through a file';
is $server->raw("POST / HTTP/1.1\r\n$chunked")->{body}, "30003  POST\nabc$big", 'chunked: counted';
is $server->post('/stream', $big)->{body}, "30000  POST\n$big", 'streamed';
is $server->raw("POST /stream HTTP/1.1\r\n$chunked")->{body}, " chunked POST\nabc$big", 'streamed in chunks';
is $server->post('/set?a=b', 'abc')->{body}, "3  PUT\n<b>", 'replaced';
is $server->post('/none', 'abc')->{body}, "  POST\n", 'left out';



=== TEST 5: responses that nobody should believe
--- config
location / { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_5; proxy_buffer_size 512; proxy_read_timeout 100ms; }
--- perl
my %reply = (
    length => "HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\na",
    lengths => "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
    both => "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    coding => "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\na",
    field => "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
    nul => "HTTP/1.1 200 OK\r\nA: b\0c\r\n\r\n",
    big => "HTTP/1.1 200 OK\r\nA: " . 'b' x 600 . "\r\n\r\n",
    closed => "HTTP/1.1 200 OK\r\nA: b\r\n",
    empty => '',
);
my $backend = Bulan::Test::Backend->tcp(sub {
    my $request = $_[0]->request or return;
    my ($name) = $request->{target} =~ m{/(\w+)};
    select undef, undef, undef, 1 if $name eq 'late';
    $_[0]->send($reply{$name} // '');
}, where => $ENV{TEST_NGINX_RAND_PORT_5}, parallel => 1);
is $server->get("/$_")->{status}, 502, $_ for sort keys %reply;
is $server->get('/late')->{status}, 504, 'late';
--- error_log eval
['upstream sent invalid "Content-Length" header', 'upstream sent duplicate header line: "Content-Length: 1"',
 'upstream sent "Content-Length" and "Transfer-Encoding" headers at the same time', 'upstream sent unknown "Transfer-Encoding": "gzip"',
 'upstream sent invalid header: "no colon"', 'upstream sent too big header while reading response header from upstream',
 'upstream prematurely closed connection while reading response header from upstream',
 'upstream timed out (110: Connection timed out) while reading response header from upstream',
 qr{upstream: "http://127\.0\.0\.1:\d+/late"}]



=== TEST 6: a body that breaks off is not made to look whole
--- config
location / { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_6; }
location /now { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_6; proxy_buffering off; }
--- perl
my $backend = Bulan::Test::Backend->tcp(sub {
    my $request = $_[0]->request or return;
    $_[0]->send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n5\r\nwo");
}, where => $ENV{TEST_NGINX_RAND_PORT_6}, parallel => 1);
for my $path ('/', '/now') {
    my $raw = $server->raw("GET $path HTTP/1.1\r\nHost: x\r\n\r\n");
    like "$raw->{raw}$raw->{body}", qr/hello/, "$path: what came";
    ok $raw->{error}, "$path: no end";
}
--- error_log
upstream prematurely closed connection while reading upstream



=== TEST 7: Upgrade: bytes both ways
--- config
location / { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_7; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; }
--- perl
my $backend = Bulan::Test::Backend->tcp(sub {
    my ($c) = @_;
    $c->request or return;
    $c->send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nfirst\n");
    while (defined(my $line = eval { $c->take(qr/\n/, time + 5) })) {
        $c->send(uc $line);
        return if $line eq "bye\n";
    }
}, where => $ENV{TEST_NGINX_RAND_PORT_7});
my $client = $server->connect;
$client->send("GET / HTTP/1.1\r\nHost: x\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nearly\n");
like $client->take(qr/\r\n\r\n/, time + 5), qr{^HTTP/1.1 101 .*^Upgrade: x}ms, 'the head';
is $client->take(qr/\n/, time + 5), "first\n", 'behind the head';
is $client->take(qr/\n/, time + 5), "EARLY\n", 'what the client sent too early';
$client->send('x' x 100000 . "\nbye\n");
is length $client->take(qr/\n/, time + 5), 100001, 'much';
is $client->take(qr/\n/, time + 5), "BYE\n", 'the last word';
ok $client->is_closed, 'closed with the upstream';



=== TEST 8: a slow client: the response waits in memory, then in a file, and the upstream is let go
--- config
location / { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_8; proxy_buffers 4 4k; }
location /memory { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_8; proxy_buffers 4 4k; proxy_max_temp_file_size 0; }
location /unbuffered { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_8; proxy_buffering off; }
--- perl
my $size = 12_000_000;
my $backend = Bulan::Test::Backend->tcp(sub {
    $_[0]->request or return;
    $_[0]->send("HTTP/1.1 200 OK\r\nContent-Length: $size\r\n\r\n" . join '', map { sprintf "%07d\n", $_ } 1 .. $size / 8);
}, where => $ENV{TEST_NGINX_RAND_PORT_8}, parallel => 1);
for my $path ('/', '/memory', '/unbuffered') {
    my $client = $server->connect;
    $client->send("GET $path HTTP/1.1\r\nHost: x\r\n\r\n");
    $client->take(qr/\r\n\r\n/, time + 5);
    select undef, undef, undef, 0.2;
    my $body = '';
    eval { $body .= $client->take(qr/.{8000}/s, time + 5) while length $body < $size; };
    ok $body eq join('', map { sprintf "%07d\n", $_ } 1 .. $size / 8), $path;
}
--- error_log
an upstream response is buffered to a temporary file



=== TEST proxy_store: responses kept as files
--- config
location / { proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/from$uri; proxy_store on; proxy_store_access user:rw group:r all:r; proxy_buffers 2 4k; root $TEST_NGINX_HTML_DIR/kept; }
location /named { proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/from/a; proxy_store html/kept/$arg_name; }
location /unbuffered { proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/from/a; proxy_store on; proxy_buffering off; root $TEST_NGINX_HTML_DIR/kept; }
location /from/ { alias $TEST_NGINX_HTML_DIR/; }
location /from/gone { return 404; }
location /from/part { content_by_lua_block { ngx.header.content_length = 100; ngx.print("x"); ngx.flush(true); ngx.exit(ngx.ERROR) } }
--- user_files eval
">>> a\nmoon\n>>> deep/er/b\n" . ('x' x 300_000) . "\n"
--- perl
my $dir = $server->path('html');
utime 0, 784111777, "$dir/a";
# A file gets its name when the response has been sent.
my $kept = sub {
    my $path = "$dir/kept/$_[0]";
    Bulan::Test::Process::wait_until(5, sub { -e $path });
    return Bulan::Test::Server::slurp($path);
};
is $server->get('/a')->{body}, "moon\n", 'passed on';
is $kept->('a'), "moon\n", 'and kept';
is +(stat "$dir/kept/a")[9], 784111777, 'with its time';
is sprintf('%o', (stat "$dir/kept/a")[2] & 0777), '644', 'and access';
is length $server->get('/deep/er/b')->{body}, 300_001, 'a large one';
is length $kept->('deep/er/b'), 300_001, 'in new folders';
is sprintf('%o', (stat "$dir/kept/deep")[2] & 0777), '755', 'that can be entered';
$server->get('/named?name=other');
is $kept->('other'), "moon\n", 'under another name';
is sprintf('%o', (stat "$dir/kept/other")[2] & 0777), '600', 'for its owner alone';
$server->send_request('HEAD', '/deep/er/b2', '');
$server->get('/gone');
$server->get('/part');
$server->get('/unbuffered');
ok !-e "$dir/kept/$_", "not kept: $_" for qw(deep/er/b2 gone part unbuffered);
$server->get('/named?name=');
--- error_log
storing as



=== TEST proxy_store: words
--- config
location / { proxy_pass http://127.0.0.1:1; proxy_store_access user:rw any:r; }
--- must_die
--- error_log
invalid value "any:r" in "proxy_store_access" directive



=== TEST a kept connection that the upstream closes under a request
--- http_config
upstream kept { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; keepalive 4; }
--- config
location / { proxy_pass http://kept; proxy_set_header Connection ""; }
location /retry { proxy_pass http://kept; proxy_set_header Connection ""; proxy_next_upstream error timeout non_idempotent; }
location /off { proxy_pass http://kept; proxy_set_header Connection ""; proxy_next_upstream off; }
location /stream { proxy_pass http://kept; proxy_set_header Connection ""; proxy_request_buffering off; }
--- perl
require Bulan::Test::Backend;
# Each connection answers one request, and closes on the next.
my $backend = Bulan::Test::Backend->tcp(sub {
    my ($connection) = @_;
    my $head = $connection->take(qr/\r\n\r\n/, time + 5);
    my $body = $head =~ /content-length: (\d+)/i ? $connection->take($1, time + 5)
        : $head =~ /chunked/i ? $connection->take(qr/0\r\n\r\n/, time + 5) : '';
    $connection->send("HTTP/1.1 200 OK\r\nContent-Length: " . length($body) . "\r\n\r\n$body");
    $connection->take(qr/\r\n\r\n/, time + 5);
}, where => $ENV{TEST_NGINX_RAND_PORT_1}, parallel => 1);
my @chunked = ('Transfer-Encoding' => 'chunked');
for my $case (
    ['GET', '/', '', 200], ['POST', '/', 'moon', 502], ['PUT', '/', 'moon', 200],
    ['POST', '/retry', 'moon', 200], ['GET', '/off', '', 502],
    ['POST', '/stream', 'moon', 502], ['PUT', '/stream', 'moon', 200],
    ['PUT', '/stream', "4\r\nmoon\r\n0\r\n\r\n", 200, @chunked],
) {
    my ($method, $path, $body, $status, @headers) = @$case;
    is $server->get('/')->{status}, 200, 'a connection is kept';
    my $got = $server->send_request($method, $path, $body, @headers);
    is $got->{status}, $status, "$method $path";
    is $got->{body}, 'moon', 'with its body' if $status == 200 && $body;
    $server->get('/');    # spends what the retry has left
}
--- error_log
upstream prematurely closed connection



=== TEST early_hints: 103 of an upstream
--- config
location / { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
location /pass { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; early_hints $http_sec_fetch_mode 0; }
--- perl
require Bulan::Test::Backend;
my $backend = Bulan::Test::Backend->tcp(sub {
    my ($connection) = @_;
    $connection->take(qr/\r\n\r\n/, time + 5);
    $connection->send("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nServer: x\r\nConnection: y\r\n\r\n"
        . "HTTP/1.1 103 Early Hints\r\nLink: </b.css>\r\n\r\n");
    $connection->send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmoon");
}, where => $ENV{TEST_NGINX_RAND_PORT_1}, parallel => 1);
my $get = sub {
    my ($path, $version, @fields) = @_;
    return $server->raw(join "\r\n", "GET $path HTTP/$version", 'Host: x', 'Connection: close', @fields, '', '');
};
my @hints = map { "HTTP/1.1 103 Early Hints\r\nLink: </$_.css>\r\n\r\n" } qw(a b);
for my $case (['/', '1.1', []], ['/pass', '1.1', []], ['/pass', '1.1', \@hints, 'Sec-Fetch-Mode: navigate'], ['/pass', '1.0', [], 'Sec-Fetch-Mode: navigate']) {
    my ($path, $version, $interim, @fields) = @$case;
    my $got = $get->($path, $version, @fields);
    is_deeply [$got->{interim}, $got->{body}], [$interim, 'moon'], "$path, HTTP/$version, @fields";
}
