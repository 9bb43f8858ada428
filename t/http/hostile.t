# Peers that mean harm, or go at the worst moment: responses that smuggle others, values that end
# lines, clients that hang up while somebody works for them.
use lib 't/lib';
use Bulan::Test;
use Bulan::Test::Backend;

run_tests();

__DATA__

=== TEST 1: what an upstream sends behind its response is not the response to the next request
--- http_config
upstream u { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; keepalive 4; }
--- config
location / { proxy_pass http://u; proxy_buffer_size 4k; }
--- perl
my $more = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL";
my $backend = Bulan::Test::Backend->tcp(sub {
    while (my $request = $_[0]->request) {
        my ($size) = $request->{target} =~ /(\d+)/;
        my $head = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nX: ";
        my $pad = $size && 'p' x ($size - 1004 - length $head);
        $_[0]->send($size ? "$head$pad\r\n\r\n" . 'b' x 1000 . $more : "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood");
    }
}, where => $ENV{TEST_NGINX_RAND_PORT_1}, parallel => 1);
for my $size (4095, 4096, 4097) {
    is length $server->get("/$size")->{body}, 1000, "a response of $size bytes";
    is $server->get('/0')->{body}, 'good', 'and the next';
}



=== TEST 2: a body may have any number of chunks
--- http_config
server { listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1; location / { echo_read_request_body; echo_duplicate 20000 x; echo_flush; } }
--- config
location / { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_2; }
location /body { client_body_buffer_size 64k; echo_read_request_body; echo $request_body; }
--- perl
my $backend = Bulan::Test::Backend->tcp(sub {
    $_[0]->request or return;
    $_[0]->send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" . "1\r\nx\r\n" x 20000 . "0\r\n\r\n");
}, where => $ENV{TEST_NGINX_RAND_PORT_2});
my $r = $server->get('/');
is $r->{error}, undef, 'whole';
is length $r->{body}, 20000, 'of an upstream';
$r = $server->raw("POST /body HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n" . "1\r\nx\r\n" x 20000 . "0\r\n\r\n");
is length $r->{body}, 20001, 'of a client';



=== TEST 3: a value ends no line
--- http_config
upstream u { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
server { listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1; return 200 "$request_uri|$http_x|$http_evil"; }
--- config
location /return { return 302 http://h$uri; }
location /here { return 301 $uri; }
location /rewrite { rewrite (?s)^/rewrite(.*)$ http://h$1 redirect; }
location /error { error_page 404 = http://h$uri; return 404; }
location /add { add_header X $uri; add_trailer Y $uri; echo x; }
location /more { more_set_headers "X: $uri"; return 204; }
location /basic { auth_basic $uri; auth_basic_user_file none; }
location /field { proxy_set_header X $uri; proxy_pass http://u; }
location /input { more_set_input_headers "X: $uri"; proxy_pass http://u; }
location /target { proxy_pass http://u$uri; }
location /cookie { proxy_cookie_path / $uri; proxy_redirect / $uri; proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_2; }
--- perl
my $backend = Bulan::Test::Backend->tcp(sub {
    $_[0]->request or return;
    $_[0]->send("HTTP/1.1 200 OK\r\nSet-Cookie: a=b; path=/\r\nLocation: /\r\nContent-Length: 0\r\n\r\n");
}, where => $ENV{TEST_NGINX_RAND_PORT_2});
my $evil = '%0d%0aEvil:%20yes';
for my $path (qw(return here rewrite error add more basic cookie)) {
    my $r = $server->get("/$path$evil");
    ok $r->{status}, "$path: $r->{status}";
    unlike $r->{raw}, qr/^Evil/m, "$path: no field of its own";
    like "$r->{raw}@{ $r->{trailers}{y} || [] }", qr/%0D%0AEvil:(?: |%20)yes/, "$path: escaped";
}
is $server->get("/field$evil")->{body}, "/field$evil|/field%0D%0AEvil: yes|", 'towards an upstream';
is $server->get("/input$evil")->{body}, "/input$evil|/input%0D%0AEvil: yes|";
is $server->get('/target%0d%0aEvil:x')->{body}, '/target%0D%0AEvil:x||', 'in the request line';



=== TEST 4: what the client did not ask for
--- config
location / { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
location /head { proxy_method HEAD; proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
--- perl
my $backend = Bulan::Test::Backend->tcp(sub {
    while (my $request = $_[0]->request) {
        $_[0]->send($request->{target} eq '/101' ? "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
            : "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n");
    }
}, where => $ENV{TEST_NGINX_RAND_PORT_1}, parallel => 1);
my $client = $server->connect;
$client->send("GET /101 HTTP/1.1\r\nHost: x\r\n\r\nGET /head HTTP/1.1\r\nHost: x\r\n\r\n");
my $all = $client->read_all;
is $all =~ s/^HTTP\/1\.1 101 //, 1, 'another protocol';
unlike $all, qr/^HTTP/m, 'and nothing behind it';
my $r = $server->get('/head');
is "$r->{status} $r->{headers}{'content-length'}[0]", '200 0', 'no body where HEAD was sent for GET';
is $server->send_request('HEAD', '/head')->{headers}{'content-length'}[0], 10, 'the length for HEAD';
--- error_log
upstream switches protocols, which nobody asked for



=== TEST 5: 100 Continue is not said in the middle of a response
--- config
location / { content_by_lua_block { ngx.print('first'); ngx.flush(true); ngx.req.read_body(); ngx.print(ngx.req.get_body_data()) } }
--- perl
my $client = $server->connect;
$client->send("POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 6\r\n\r\n");
my $head = $client->take(qr/first\r\n/, time + 5);
$client->send('second');
is $client->read_all, "6\r\nsecond\r\n0\r\n\r\n", 'only the body';



=== TEST 6: a connection is kept though the body comes behind the response
--- config
location / { return 200 $request_method; }
location /short { lingering_timeout 100ms; return 200 x; }
--- perl
for my $body (["Content-Length: 6\r\n\r\n", 'sec', 'ret'], ["Transfer-Encoding: chunked\r\n\r\n", "3\r\nsec\r\n", "3\r\nret\r\n0\r\n\r\n"]) {
    my ($head, $first, $second) = @$body;
    my $client = $server->connect;
    $client->send("POST / HTTP/1.1\r\nHost: x\r\n$head");
    is $client->response->{body}, 'POST', 'the response comes first';
    $client->send($first);
    $client->send("${second}PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n");
    is $client->response->{body}, 'PUT', 'then the next request, right behind the body';
    $client->send('x');
    $client->send("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    is $client->response->{body}, 'GET';
    ok $client->is_closed;
}
my $client = $server->connect;
$client->send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
is $client->response->{status}, 200;
$client->send("x\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n");
ok $client->is_closed, 'a body that is none';
$client = $server->connect;
$client->send("POST /short HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\n");
is $client->response->{status}, 200;
ok $client->is_closed, 'a body that does not come';



=== TEST 7: a client hangs up behind the last byte of a body that streams
--- config
location / { proxy_request_buffering off; proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
location /buffered { client_body_buffer_size 8; proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
--- perl
my $backend = Bulan::Test::Backend->tcp(sub { $_[0]->read_all(1) }, where => $ENV{TEST_NGINX_RAND_PORT_1}, parallel => 1);
for my $path ('/', '/buffered') {
    for my $number (1 .. 10) {
        my $client = $server->connect;
        setsockopt $client->socket, Socket::SOL_SOCKET(), Socket::SO_LINGER(), pack 'ii', 1, 0 if $number % 2;
        $client->send("POST $path HTTP/1.1\r\nHost: x\r\nX-Number: $number\r\nContent-Length: 10\r\n\r\n01234");
        $backend->received(qr/X-Number: $number\r\n.*01234/s) if $path eq '/';
        $client->send('56789');
        $client->close;
    }
    $backend->mark;
}
is $server->get('/gone', Connection => 'close')->{status}, 502, 'serves on';
--- wait: 0



=== TEST 8: a client hangs up while a body filter and then a log handler wait
--- config
location / {
    return 200 hello;
    body_filter_by_lua_block { ngx.sleep(0.05) }
    log_by_lua_block { ngx.log(ngx.WARN, 'logging'); ngx.sleep(0.1); ngx.log(ngx.WARN, 'logged ', ngx.var.status) }
}
location /other { echo_sleep 0.2; echo other; }
--- perl
my $client = $server->connect;
setsockopt $client->socket, Socket::SOL_SOCKET(), Socket::SO_LINGER(), pack 'ii', 1, 0;
$client->send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
$client->close;
my $other = $server->connect;
$other->send("GET /other HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
is $other->response->{body}, "other\n", 'what it still gives goes to nobody else';
--- error_log
logged 200



=== TEST 9: a client that reads nothing, hints and a change of protocols
--- http_config
server {
    listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1 sndbuf=4k;
    location / {
        early_hints 1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
        proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_2;
    }
    location /one { return 200 one; }
}
--- config
--- perl
my $backend = Bulan::Test::Backend->tcp(sub {
    $_[0]->request or return;
    $_[0]->send("HTTP/1.1 103 Early Hints\r\nLink: " . 'x' x 3000 . "\r\n\r\nHTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nup");
    $_[0]->read_all(1);
}, where => $ENV{TEST_NGINX_RAND_PORT_2}, parallel => 1);
my @clients;
for my $number (0 .. 20) {
    my $socket = IO::Socket::INET->new(Proto => 'tcp');
    setsockopt $socket, Socket::SOL_SOCKET(), Socket::SO_RCVBUF(), pack 'i', 2048;
    connect $socket, Socket::pack_sockaddr_in($ENV{TEST_NGINX_RAND_PORT_1}, Socket::inet_aton('127.0.0.1')) or die "connect: $!";
    my $client = bless { socket => $socket, buffer => '', timeout => 5 }, 'Bulan::Test::Client';
    $client->send("GET /one HTTP/1.1\r\nHost: x\r\n\r\n" x $number . "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n");
    push @clients, $client;
}
$backend->received(qr/(?:^GET.*?){21}/ms);
my $last = Bulan::Test::Client->connect($ENV{TEST_NGINX_RAND_PORT_1}); # the worker has seen the others when it sees this
$last->send("GET / HTTP/1.1\r\nHost: x\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n");
for my $number (0 .. 20) {
    $last->take(qr/101 Switching.*?\r\n\r\nup/s, time + 5) if $number == 0;
    my $bytes = eval { $clients[$number]->take(qr/101 Switching.*?\r\n\r\nup/s, time + 5) };
    like $bytes, qr/103 Early Hints\r\nLink: x{3000}\r\n\r\nHTTP/, "behind $number responses";
}



=== TEST 10: an alias is not left
--- config
location /img { alias $TEST_NGINX_HTML_DIR/img/; }
location /dir { alias $TEST_NGINX_HTML_DIR/img; }
--- user_files
>>> secret
secret
>>> img/public
public
>>> img..x
fine
--- request eval
['GET /img../secret', 'GET /img/public', 'GET /dir/public', 'GET /img..', 'GET /dir..x']
--- error_code eval
[404, 200, 200, 404, 200]
--- error_log
leads out of the alias



=== TEST 11: several ranges of a large response are not gathered in memory
--- http_config
server { listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1; location / { root $TEST_NGINX_HTML_DIR; max_ranges 0; } }
--- config
location / { proxy_force_ranges on; proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; proxy_buffers 4 4k; }
--- user_files eval
">>> small\n" . 's' x 10000 . "\n>>> large\n" . 'l' x 100000
--- request eval
['GET /small', 'GET /large', 'GET /large']
--- more_headers eval
['Range: bytes=0-1,3-4', 'Range: bytes=0-1,3-4', 'Range: bytes=0-1']
--- error_code eval
[206, 200, 206]
--- response_headers_like eval
['Content-Type: multipart/byteranges.*', 'Content-Length: 10000\d', 'Content-Length: 2']



=== TEST 12: rates beyond measure
--- config
location / { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
location /up { proxy_limit_rate 9223372036854775807; proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
location /after { limit_rate 1; limit_rate_after 9223372036854775807; return 200 xyz; }
--- perl
my $backend = Bulan::Test::Backend->tcp(sub {
    $_[0]->request or return;
    $_[0]->send("HTTP/1.1 200 OK\r\nX-Accel-Limit-Rate: 9223372036854775807\r\nContent-Length: 3\r\n\r\n");
    select undef, undef, undef, 1.1; # the rate counts whole seconds
    $_[0]->send('xyz');
}, where => $ENV{TEST_NGINX_RAND_PORT_1}, parallel => 1);
is $server->get($_)->{body}, 'xyz', $_ for '/', '/up', '/after';



=== TEST 13: a subrequest that outlives its client's connection does not take the next one's for it
--- config
location /main { lua_check_client_abort on; content_by_lua_block { ngx.location.capture('/sub') } }
location /sub { content_by_lua_block { ngx.sleep(0.3) ngx.log(ngx.WARN, 'of port ', ngx.var.remote_port) } }
location /other { echo_sleep 0.6; echo $remote_port; }
--- perl
my $client = $server->connect;
my $port = $client->socket->sockport;
$client->send("GET /main HTTP/1.1\r\nHost: x\r\n\r\n");
$client->close;
$server->wait_log(qr/client prematurely closed connection/);
my $other = $server->connect;
$other->send("GET /other HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
ok $server->wait_log(qr/of port $port\b/), 'its own';
is $other->response->{body}, $other->socket->sockport . "\n", 'and the other one its own';



=== TEST 14: HEAD is refused without a body; the page of an error has no date
--- config
error_page 404 /page;
error_page 403 =200 /page;
location = /403 { return 403; }
--- user_files
>>> page
sorry
--- perl
my $client = $server->connect;
$client->send("HEAD /../x HTTP/1.1\r\nHost: x\r\n\r\n");
like scalar $client->read_all, qr/^HTTP\/1.1 400 .*\r\n\r\n\z/s, 'no body';
my $r = $server->get('/missing');
is "$r->{status} $r->{body}", "404 sorry\n", 'the page';
is $r->{headers}{'last-modified'}, undef, 'without a date';
ok $server->get('/403')->{headers}{'last-modified'}, 'it is there where it is no error';



=== TEST 15: trailers that would be framing
--- config
location / { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; proxy_http_version 1.1; proxy_pass_trailers on; }
--- perl
my $backend = Bulan::Test::Backend->tcp(sub {
    $_[0]->request or return;
    $_[0]->send("HTTP/1.1 200 OK\r\nTrailer: X-Good\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n"
        . "X-Good: yes\r\nContent-Length: 7\r\nTransfer-Encoding: x\r\nConnection: close\r\nContent-Type: a/b\r\n\r\n");
}, where => $ENV{TEST_NGINX_RAND_PORT_1});
my $r = $server->raw("GET / HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nConnection: close, TE\r\n\r\n");
is $r->{body}, 'ok', 'the body';
is_deeply $r->{trailers}, { 'x-good' => ['yes'] }, 'only what may stand behind it';
