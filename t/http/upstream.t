# Groups of servers: whom a request is passed to, what a failure leads to, connections that are kept.
use lib 't/lib';
use Bulan::Test;

run_tests();

__DATA__

=== TEST 1: round robin by weight, backups, servers that are down
--- http_config
server { listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1; return 200 a; }
server { listen 127.0.0.1:$TEST_NGINX_RAND_PORT_2; return 200 b; }
upstream plain { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; server 127.0.0.1:$TEST_NGINX_RAND_PORT_2; }
upstream weighed { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1 weight=3; server 127.0.0.1:$TEST_NGINX_RAND_PORT_2; }
upstream shared { zone z 64k; server 127.0.0.1:$TEST_NGINX_RAND_PORT_1 weight=3; server 127.0.0.1:$TEST_NGINX_RAND_PORT_2; }
upstream spare { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1 down; server 127.0.0.1:$TEST_NGINX_RAND_PORT_2 backup; }
--- config
location /plain { proxy_pass http://plain; }
location /weighed { proxy_pass http://weighed; }
location /shared { proxy_pass http://shared; }
location /spare { proxy_pass http://spare; }
location /var { proxy_pass http://$arg_u; }
--- perl
sub bodies { my ($path, $count) = @_; join '', map { $server->get($path)->{body} } 1 .. $count }
is bodies('/plain', 4), 'abab', 'in turn';
is bodies('/weighed', 8), 'aabaaaba', 'smoothly by weight';
is bodies('/shared', 8), 'aabaaaba', 'the same in shared memory';
is bodies('/spare', 2), 'bb', 'the backup';
is bodies('/var?u=spare', 1), 'b', 'a group by variable';



=== TEST 2: the next server after a failure, and when not
--- http_config
server { listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1; location / { return 200 fine; } }
server { listen 127.0.0.1:$TEST_NGINX_RAND_PORT_2; location / { return 503; } location /cut { return 444; } }
upstream u { server 127.0.0.1:$TEST_NGINX_RAND_PORT_2 max_fails=0; server 127.0.0.1:$TEST_NGINX_RAND_PORT_1 backup; }
upstream refused { server 127.0.0.1:$TEST_NGINX_RAND_PORT_3; server 127.0.0.1:$TEST_NGINX_RAND_PORT_1 backup; }
--- config
add_header X-Status $upstream_status always;
location / { proxy_pass http://u; proxy_next_upstream error http_503; }
location /off { proxy_pass http://u; proxy_next_upstream off; }
location /once { proxy_pass http://u; proxy_next_upstream http_503; proxy_next_upstream_tries 1; }
location /refused { proxy_pass http://refused; }
--- perl
sub got { my ($r) = @_; "$r->{status} $r->{headers}{'x-status'}[0]" }
is got($server->get('/')), '200 503, 200', 'a status that says so';
is got($server->get('/off')), '503 503', 'off';
is got($server->get('/once')), '503 503', 'one try';
is got($server->get('/cut')), '200 502, 200', 'closed';
is got($server->post('/cut', 'x')), '502 502', 'not what may have had an effect';
is got($server->post('/refused', 'x')), '200 502, 200', '… unless it was never sent';
--- error_log
connect() failed (111: Connection refused) while connecting to upstream



=== TEST 3: a server that fails is left alone for a while
--- http_config
server { listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1; return 200 a; }
upstream u { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; server 127.0.0.1:$TEST_NGINX_RAND_PORT_3 max_fails=2 fail_timeout=30s; }
upstream dead { server 127.0.0.1:$TEST_NGINX_RAND_PORT_3 fail_timeout=30s; server 127.0.0.1:$TEST_NGINX_RAND_PORT_4 fail_timeout=30s; }
--- config
add_header X-Addr $upstream_addr always;
location / { proxy_pass http://u; }
location /dead { proxy_pass http://dead; }
--- perl
my $tries = 0;
for (1 .. 10) {
    my $r = $server->get('/');
    is $r->{body}, 'a', "answer $_";
    $tries++ while $r->{headers}{'x-addr'}[0] =~ /:$ENV{TEST_NGINX_RAND_PORT_3}\b/g;
}
is $tries, 2, 'asked twice';
is $server->get('/dead')->{status}, 502, 'all tried';
my $r = $server->get('/dead');
is "$r->{status} $r->{headers}{'x-addr'}[0]", '502 dead', 'nobody left';
--- error_log
upstream server temporarily disabled while connecting to upstream
no live upstreams while connecting to upstream



=== TEST 4: connections are kept, within limits
--- http_config
server { listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1; location / { add_header C $connection; return 200 a; } }
upstream usual { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
upstream none { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; keepalive 0; }
upstream two { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; keepalive_requests 2; }
upstream all { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; keepalive 4; }
--- config
location /usual { proxy_pass http://usual; }
location /local { proxy_pass http://usual; }
location /none { proxy_pass http://none; }
location /two { proxy_pass http://two; }
location /all { proxy_pass http://all; }
location /every { proxy_pass http://all; }
--- perl
sub connections {
    my %number;
    join '', map { $number{ $server->get($_)->{headers}{c}[0] } //= keys %number } @_;
}
is connections(('/usual') x 3), '111', 'as is';
is connections('/usual', '/local', '/usual'), '121', 'each location has its own';
is connections(('/none') x 3), '123', 'keepalive 0';
is connections(('/two') x 5), '11223', 'keepalive_requests';
is connections('/all', '/every'), '11', 'shared without local';



=== TEST 5: a kept connection that the server has closed is no failure
--- config
location / { proxy_pass http://u; }
--- http_config
upstream u { server 127.0.0.1:$TEST_NGINX_RAND_PORT_5; }
--- perl
my $backend = Bulan::Test::Backend->tcp(sub {
    $_[0]->request or return;
    $_[0]->send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    $_[0]->request; # and closes without a word
}, where => $ENV{TEST_NGINX_RAND_PORT_5}, parallel => 1);
is $server->get('/')->{body}, 'ok', "request $_" for 1 .. 4;
