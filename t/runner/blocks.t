# Every section of the form, used as it is meant: all of these hold.
use lib 't/lib';
use Bulan::Test;

our $generated = join '', map { "location /n$_ { return 200 'n$_'; }\n" } 1 .. 3;

add_block_preprocessor(sub {
    my $block = shift;
    $block->set_value('request', "GET /from-preprocessor\n") if $block->name =~ /preprocessor/;
});
repeat_each(2);

run_tests();

__DATA__

=== TEST 1: a body and headers
--- config
location /hello {
    add_header X-Moon new;
    add_header X-Moon full;
    return 200 "hello\n";
}
--- request
GET /hello
--- response_body
hello
--- response_headers
X-Moon: new, full
Content-Length: 6
!X-Sun
! X-Sun
--- response_headers_like
Content-Type: text/.*
--- raw_response_headers_like: ^X-Moon: new\r\nX-Moon: full\r$
--- raw_response_headers_unlike: X-Sun



=== TEST 2: filters on sections
--- config eval: $::generated
--- request eval
"GET /" . "n2"
--- response_body chomp
n2
--- response_body_like eval: qr/^n\d$/
--- response_body_unlike: n3



=== TEST 3: several requests
--- config eval: $::generated
--- request eval
["GET /n1", "GET /n2", "GET /none"]
--- error_code eval
[200, 200, 404]
--- response_body_like eval
["n1", qr/^n2$/, "Not Found"]



=== TEST 4: pipelined requests
--- config eval: $::generated
--- pipelined_requests eval
["GET /n1", "GET /n2", "HEAD /n3"]
--- response_body eval
["n1", "n2", ""]
--- response_headers eval
["Content-Length: 2\nConnection: keep-alive", "", "Connection: close"]



=== TEST 5: request headers and a body without its last line end
--- config
location /echo {
    return 200 "$request_method $http_x_sent $content_length $http_host";
}
--- more_headers
X-Sent: yes
Host: a.test
--- request
POST /echo
12345
--- response_body chomp
POST yes 5 a.test



=== TEST 6: a request as it stands
--- config
location / { return 200 "raw $http_x"; }
--- raw_request eval
"GET / HTTP/1.1\r\nHost: localhost\r\nX: y\r\nConnection: close\r\n\r\n"
--- response_body chomp
raw y



=== TEST 7: a request in pieces, and the bytes that come back
--- config
location / { return 200 "raw"; }
--- raw_request eval
["GET / HT", "TP/1.0\r\n\r\n"]
--- raw_request_middle_delay: 20ms
--- raw_response_like eval: qr{^HTTP/1\.1 200 OK\r\n.*\r\n\r\nraw\z}s
--- raw_response_unlike: chunked



=== TEST 8: HTTP/0.9
--- config
location / { return 200 "bare\n"; }
--- request
GET /
--- http09
--- response_body
bare



=== TEST 9: files, and variables in them
--- config
location /conf { return 200 "$document_root $TEST_NGINX_SERVER_PORT ${TEST_NGINX_RAND_PORT_1}\n"; }
--- user_files
>>> port.txt
$TEST_NGINX_SERVER_PORT
>>> deep/er.txt
second
file
--- request eval: ["GET /port.txt", "GET /deep/er.txt", "GET /conf"]
--- response_body eval
["$ENV{TEST_NGINX_SERVER_PORT}\n", "second\nfile\n",
 "$ENV{TEST_NGINX_HTML_DIR} $ENV{TEST_NGINX_SERVER_PORT} $ENV{TEST_NGINX_RAND_PORT_1}\n"]



=== TEST 10: files from code
--- config
--- user_files eval
[["a.txt", "a" x 3000], ["b.txt", ""]]
--- request eval: ["GET /a.txt", "GET /b.txt"]
--- response_body eval: ["a" x 3000, ""]



=== TEST 11: http_config, main_config and another port
--- main_config
worker_rlimit_nofile 512;
--- http_config
server {
    listen 127.0.0.1:$TEST_NGINX_RAND_PORT_2;
    location / { return 200 "the other\n"; }
}
--- config
location / { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_2; }
--- request
GET /
--- response_body
the other



=== TEST 12: what the log says
--- config
location / { root $TEST_NGINX_HTML_DIR; }
--- request
GET /missing
--- error_code: 404
--- error_log eval
["No such file", qr/open\(\) "\S+missing" failed/]
--- no_error_log
[crit]
[alert]
--- grep_error_log eval: qr/\[error\]|open\(\)/
--- grep_error_log_out
[error]
open()



=== TEST 13: the log of each request of its own
--- config
--- request eval: ["GET /one", "GET /two"]
--- error_code_like: ^40\d$
--- log_level: error
--- grep_error_log eval: qr{html/\w+}
--- grep_error_log_out eval
["html/one\n", "html/two\n"]
--- no_error_log
[debug]



=== TEST 14: the log when the server stops
--- config
location / { return 204; }
--- request
GET /
--- error_code: 204
--- response_body:
--- shutdown_error_log
(SIGTERM) received
--- no_shutdown_error_log
[emerg]



=== TEST 15: a server that must not start
--- config
no_such_directive on;
--- must_die: 1
--- error_log
unknown directive "no_such_directive"



=== TEST 16: giving up early
--- config
location / { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_3; }
--- tcp_listen: $TEST_NGINX_RAND_PORT_3
--- tcp_no_close
--- tcp_reply:
--- request
GET /
--- timeout: 50ms
--- abort
--- ignore_response
--- error_log
client prematurely closed connection



=== TEST 17: a scripted server over TCP
--- config
location / {
    proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_4;
    proxy_http_version 1.0;
    proxy_set_header Host upstream;
}
--- tcp_listen: $TEST_NGINX_RAND_PORT_4
--- tcp_query eval
"GET /t HTTP/1.0\r\nHost: upstream\r\nConnection: close\r\n\r\n"
--- tcp_reply eval
["HTTP/1.0 200 OK\r\n", "Content-Length: 3\r\n\r\n", "abc"]
--- request
GET /t
--- response_body chomp
abc



=== TEST 18: a scripted server on a unix socket, with code
--- config
location / { proxy_http_version 1.0; proxy_pass http://unix:$TEST_NGINX_HTML_DIR/back.sock; }
--- tcp_listen: back.sock
--- tcp_reply eval
sub { my $query = shift; my ($line) = split /\r\n/, $query; "HTTP/1.0 200 OK\r\n\r\n$line" }
--- request
GET /u
--- response_body chomp
GET /u HTTP/1.0



=== TEST 19: a scripted server over UDP
--- config
resolver 127.0.0.1:$TEST_NGINX_RAND_PORT_5 valid=30s;
resolver_timeout 1s;
location / {
    set $name a.test;
    proxy_pass http://$name/;
}
--- udp_listen: $TEST_NGINX_RAND_PORT_5
--- udp_query eval: qr/\x01a\x04test\x00/
--- udp_reply eval
sub { my $query = shift; substr($query, 0, 2) . "\x81\x83" . substr($query, 4) }
--- request
GET /
--- error_code: 502
--- error_log
a.test could not be resolved



=== TEST 20: the request comes from the preprocessor
--- config
location /from-preprocessor { return 200 "yes\n"; }
--- response_body
yes



=== TEST 21: curl
--- config
location / { return 200 "$http_user_agent $http_x_sent $request_method"; }
--- curl
--- curl_options: -A 'some agent'
--- more_headers
X-Sent: it
--- request
PUT /
a body
--- response_headers
Content-Type: text/plain
--- response_body chomp
some agent it PUT



=== TEST 22: curl fails
--- config
--- curl
--- curl_url: http://127.0.0.1:$TEST_NGINX_RAND_PORT_6/
--- curl_error: Failed to connect
--- request
GET /



=== TEST 23: Perl of one's own
--- config
location / { return 200 "$arg_x\n"; }
--- perl
is $server->get('/?x=1')->{body}, "1\n", 'by hand';
my $old = join ' ', $server->worker_pids;
ok $server->reload, 'reload';
isnt join(' ', $server->worker_pids), $old, 'other workers';
is $server->get('/?x=2')->{body}, "2\n", 'after the reload';



=== TEST 24: alerts that are asked for
--- config
location / { return 200 "ok\n"; }
--- perl
my ($pid) = $server->worker_pids;
kill 'KILL', $pid;
ok $server->wait_log("exited on signal 9"), 'the master saw it';
--- request
GET /
--- response_body
ok
--- error_log eval
qr/worker process \d+ exited on signal 9/



=== TEST 25: skipped by a condition
--- config
--- request
GET /
--- skip_eval: 2: 1 + 1 == 2
--- response_body
never



=== TEST 26: the environment of the server, and code before it starts
--- env
TZ=WIB-7
--- config
location / { return 200 "$time_iso8601\n"; }
--- init: $::initialised = 1;
--- request
GET /
--- response_body_like: ^\d+-\d\d-\d\dT\d\d:\d\d:\d\d\+07:00$
--- perl
is $::initialised, 1, 'init ran';



=== TEST 27: chunked responses are undone
--- config
location / {
    proxy_http_version 1.1;
    proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_7;
}
--- tcp_listen: $TEST_NGINX_RAND_PORT_7
--- tcp_reply eval
"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
--- request
GET /
--- response_headers
Transfer-Encoding: chunked
--- response_body chomp
abc



=== TEST 28: several workers
--- workers: 3
--- config
location / { return 200 "ok\n"; }
--- perl
is scalar($server->wait_workers), 3, 'three of them';



=== TEST 29: left out
--- config
--- SKIP
--- request
GET /
--- error_code: 999
