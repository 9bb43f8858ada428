# What a proxy changes in a response (redirects, cookies), what it says of its upstreams, and how
# groups choose.
use lib 't/lib';
use Bulan::Test;

run_tests();

__DATA__

=== TEST 1: proxy_redirect
--- config
location /up/ { more_set_headers "Location: $arg_l" "Refresh: $arg_r"; return 204; }
location /default/ { proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/up/; }
location /off/ { proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/up/; proxy_redirect off; }
location /own/ { proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/up/; proxy_redirect http://a.test/ https://$host/x/; proxy_redirect /rel/ /own/; }
location /regex/ { proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/up/; proxy_redirect ~^http://([^/]+)/(?<rest>.*)$ /$1/$rest; proxy_redirect ~*^HTTPS:// tls://; }
--- perl
my $up = 'http://127.0.0.1:' . $server->port . '/up/';
my $moved = sub { $server->get("$_[0]?l=$_[1]&r=")->{headers}{location}[0] };
is $moved->('/default/', "${up}a"), 'http://localhost:' . $server->port . '/default/a', 'the upstream is us';
is $moved->('/default/', 'http://else.test/a'), 'http://else.test/a', 'another is not';
is $moved->('/off/', "${up}a"), "${up}a", 'off';
is $moved->('/own/', 'http://a.test/b'), 'https://localhost/x/b', 'a rule with variables';
like $moved->('/own/', '/rel/b'), qr{^(?:http://localhost:\d+)?/own/b$}, 'a relative one';
like $moved->('/regex/', 'http://h.test/a/b'), qr{/h\.test/a/b$}, 'a pattern with captures';
is $moved->('/regex/', 'https://h.test/'), 'tls://', 'a pattern that ignores case';
is $server->get("/own/?l=&r=5;url=http://a.test/b")->{headers}{refresh}[0], '5;url=https://localhost/x/b', 'Refresh';



=== TEST 2: cookies
--- config
location /up { add_header Set-Cookie "$arg_c"; return 204; }
location /domain { proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/up; proxy_cookie_domain up.test $host; proxy_cookie_domain ~\.(\w+)\.old$ $1.new; }
location /path { proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/up; proxy_cookie_path /one/ /two/; proxy_cookie_path ~^/x(.*)$ /y$1; }
location /flags { proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/up; proxy_cookie_flags a secure httponly samesite=strict; proxy_cookie_flags ~^b nosecure; proxy_cookie_flags c $arg_flag; }
--- perl
my $cookie = sub { $server->get("$_[0]?" . ($_[2] || '') . "c=$_[1]")->{headers}{'set-cookie'}[0] };
is $cookie->('/domain', 'a=1;domain=up.test;Path=/'), 'a=1; domain=localhost; Path=/', 'domain';
is $cookie->('/domain', 'a=1;domain=.Up.Test'), 'a=1; domain=.localhost', 'with a dot, in any case';
is $cookie->('/domain', 'a=1;domain=x.moon.old'), 'a=1; domain=moon.new', 'by pattern';
is $cookie->('/domain', 'a=1;domain=other.test'), 'a=1;domain=other.test', 'another';
is $cookie->('/path', 'a=1;path=/one/b'), 'a=1; path=/two/b', 'path';
is $cookie->('/path', 'a=1;path=/xyz'), 'a=1; path=/yyz', 'by pattern';
is $cookie->('/flags', 'a=1'), 'a=1; Secure; HttpOnly; SameSite=Strict', 'flags are added';
is $cookie->('/flags', 'bb=1;Secure'), 'bb=1', 'and taken away';
is $cookie->('/flags', 'c=1', 'flag=httponly&'), 'c=1; HttpOnly', 'by variable';
is $cookie->('/flags', 'd=1;Secure'), 'd=1;Secure', 'of others not';
my $many = ';x=y' x 16;
is $cookie->('/flags', "a=1$many"), 'a=1' . $many =~ s/;/; /gr . '; Secure; HttpOnly; SameSite=Strict', 'however many there are';
is $cookie->('/domain', "a=1$many;domain=up.test"), 'a=1' . $many =~ s/;/; /gr . '; domain=localhost', 'to the last';



=== TEST 3: variables of the upstream
--- http_config
log_format up '$upstream_addr|$upstream_status|$upstream_connect_time|$upstream_header_time|$upstream_response_time|$upstream_response_length|$upstream_bytes_received|$upstream_bytes_sent|$upstream_http_x_any|$upstream_cookie_c|$upstream_trailer_t|$upstream_cache_status';
upstream two { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; server 127.0.0.1:$TEST_NGINX_SERVER_PORT backup; }
--- config
location /to { proxy_pass http://two/up; access_log logs/up.log up; }
location /again { proxy_pass http://two/up; error_page 404 = /to; proxy_intercept_errors on; access_log logs/up.log up; }
location /up { add_header X-Any any; add_header Set-Cookie "c=2"; return 200 "moon"; }
location /none { return 200 "$upstream_addr|$upstream_status"; }
--- perl
is $server->get('/none')->{body}, '|', 'without an upstream';
is $server->get('/to')->{body}, 'moon', 'the second is asked';
my ($one, $two) = ($ENV{TEST_NGINX_RAND_PORT_1}, $server->port);
my $log;
ok Bulan::Test::Process::wait_until(5, sub { $log = Bulan::Test::Server::slurp($server->path('logs/up.log')) }), 'logged';
like $log, qr/^127\.0\.0\.1:$one, 127\.0\.0\.1:$two\|502, 200\|-, \d\.\d{3}\|-, \d\.\d{3}\|\d\.\d{3}, \d\.\d{3}\|0, 4\|0, \d+\|0, \d+\|any\|2\|-\|-$/m, 'of both tries';
--- error_log
connect() failed



=== TEST 4: how groups choose
--- http_config
upstream rr { server 127.0.0.1:$TEST_NGINX_SERVER_PORT weight=3; server 127.0.0.2:$TEST_NGINX_SERVER_PORT; server 127.0.0.3:$TEST_NGINX_SERVER_PORT down; server 127.0.0.4:$TEST_NGINX_SERVER_PORT backup; }
upstream least { least_conn; server 127.0.0.1:$TEST_NGINX_SERVER_PORT; server 127.0.0.2:$TEST_NGINX_SERVER_PORT; }
upstream ip { ip_hash; server 127.0.0.1:$TEST_NGINX_SERVER_PORT; server 127.0.0.2:$TEST_NGINX_SERVER_PORT; }
upstream hashed { hash $arg_k; server 127.0.0.1:$TEST_NGINX_SERVER_PORT; server 127.0.0.2:$TEST_NGINX_SERVER_PORT; }
upstream ring { hash $arg_k consistent; server 127.0.0.1:$TEST_NGINX_SERVER_PORT weight=2; server 127.0.0.2:$TEST_NGINX_SERVER_PORT; server 127.0.0.3:$TEST_NGINX_SERVER_PORT; }
upstream chance { random; server 127.0.0.1:$TEST_NGINX_SERVER_PORT; server 127.0.0.2:$TEST_NGINX_SERVER_PORT; }
upstream two { random two least_conn; server 127.0.0.1:$TEST_NGINX_SERVER_PORT; server 127.0.0.2:$TEST_NGINX_SERVER_PORT; server 127.0.0.3:$TEST_NGINX_SERVER_PORT; }
upstream most { server 127.0.0.1:$TEST_NGINX_SERVER_PORT max_conns=1; server 127.0.0.2:$TEST_NGINX_SERVER_PORT; }
--- server_config
listen $TEST_NGINX_SERVER_PORT;
server_name localhost;
--- config
location / { proxy_pass http://$arg_u/at; }
location /at { return 200 $server_addr; }
location /slow { proxy_pass http://$arg_u/sleep; }
location /sleep { echo_sleep 0.4; echo $server_addr; }
--- perl
my $count = sub { my ($u, $n, $args) = @_; my %seen; $seen{ $server->get("/?u=$u&" . ($args ? $args->($_) : ''))->{body} =~ s/.*\.//r }++ for 1 .. $n; join ' ', map { "$_:$seen{$_}" } sort keys %seen };
is $count->('rr', 8), '1:6 2:2', 'by weight; neither what is down nor the backup';
is $count->('least', 8), '1:4 2:4', 'least_conn, without load';
like $count->('ip', 8), qr/^[12]:8$/, 'ip_hash';
like $count->($_, 6, sub { 'k=same' }), qr/^\d:6$/, "$_: the same for the same" for qw(hashed ring);
like $count->('hashed', 40, sub { "k=$_[0]" }), qr/^1:\d+ 2:\d+$/, 'hash: others elsewhere';
like $count->('ring', 60, sub { "k=$_[0]" }), qr/^1:\d+ 2:\d+ 3:\d+$/, 'and on the ring';
like $count->('chance', 40), qr/^1:\d+ 2:\d+$/, 'random';
like $count->('two', 60), qr/^1:\d+ 2:\d+ 3:\d+$/, 'random two';
for my $u (qw(least most)) {
    my @slow = map { my $c = $server->connect; $c->send("GET /slow?u=$u HTTP/1.1\r\nHost: x\r\n\r\n"); $c } 1, 2;
    is join(' ', sort map { $_->response->{body} } @slow), "127.0.0.1\n 127.0.0.2\n", "$u: one each";
}
