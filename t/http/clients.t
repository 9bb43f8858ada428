# Who the client is and what that decides: realip, geo, split_clients, auth_request, secure_link.
use lib 't/lib';
use Bulan::Test;

run_tests();

__DATA__

=== TEST 1: realip: one step, all steps, only from trusted ones, and back
--- http_config
log_format a '$remote_addr $realip_remote_addr $uri';
--- config
access_log logs/a.log a;
real_ip_header X-Forwarded-For;
location /one { set_real_ip_from 127.0.0.0/8; return 200 "$remote_addr $realip_remote_addr"; }
location /all { set_real_ip_from 127.0.0.0/8; set_real_ip_from 10.0.0.0/8; real_ip_recursive on; echo $remote_addr; }
location /not { set_real_ip_from 192.0.2.0/24; echo $remote_addr; }
location /plain { echo $remote_addr; }
location /seen { set_real_ip_from 127.0.0.1; echo "$remote_addr $realip_remote_addr"; }
--- pipelined_requests eval
["GET /seen", "GET /all", "GET /not", "GET /plain"]
--- more_headers
X-Forwarded-For: 192.0.2.1, 2001:db8::1, 10.1.1.1
--- response_body eval
["10.1.1.1 127.0.0.1\n", "2001:db8::1\n", "127.0.0.1\n", "127.0.0.1\n"]



=== TEST 2: geo: networks and ranges
--- http_config
geo $arg_ip $net { default none; 10.0.0.0/8 ten; 10.1.0.0/16 deeper; 2001:db8::/32 six; 10.2.0.0/16 x; delete 10.2.0.0/16; }
geo $arg_ip $range { ranges; default none; 10.0.0.0-10.0.0.9 a; 10.0.0.5-10.0.0.6 b; delete 10.0.0.8-10.0.0.9; }
geo $own { 127.0.0.1 me; }
--- config
location / { return 200 "$net $range $own"; }
--- request eval
[map { "GET /?ip=$_" } qw(10.9.9.9 10.1.2.3 2001:db8::5 10.2.0.1 10.0.0.4 10.0.0.5 10.0.0.7 10.0.0.8 bad)]
--- response_body eval
["ten none me", "deeper none me", "six none me", "ten none me", "ten a me", "ten b me", "ten a me", "ten none me", "none none me"]



=== TEST 3: split_clients
--- http_config
split_clients $arg_c $part { 50% half; 0.5% bit; * rest; }
--- config
location / { return 200 $part; }
--- perl
my %seen;
$seen{$server->get("/?c=$_")->{body}}++ for 1 .. 200;
is_deeply [sort keys %seen], [grep { $seen{$_} } qw(bit half rest)], 'the parts';
cmp_ok $seen{half}, '>', 70, 'about a half';
cmp_ok $seen{half}, '<', 130, 'not much more';
is $server->get('/?c=x')->{body}, $server->get('/?c=x')->{body}, 'the same for the same';



=== TEST 4: auth_request
--- config
location / { auth_request /auth; auth_request_set $who $sent_http_x_who; echo "for $who"; }
location /auth {
    internal;
    more_set_headers "X-Who: $http_x_u" 'WWW-Authenticate: Basic realm="x"';
    if ($http_x_u = moon) { return 204; }
    if ($http_x_u = sun) { return 403; }
    if ($http_x_u = star) { return 500; }
    return 401;
}
--- request eval
[("GET /") x 4]
--- more_headers eval
["X-U: moon", "X-U: sun", "", "X-U: star"]
--- error_code eval
[200, 403, 401, 500]
--- response_headers eval
["!WWW-Authenticate", "!WWW-Authenticate", "WWW-Authenticate: Basic realm=\"x\"", "!WWW-Authenticate"]
--- response_body_like eval
["^for moon\n\$", "403", "401", "500"]
--- error_log
auth request unexpected status: 500



=== TEST 5: secure_link
--- config
location / { secure_link $arg_h,$arg_e; secure_link_md5 "$arg_e$uri moon"; return 200 "[$secure_link]"; }
--- perl
use Digest::MD5 'md5_base64';
my $link = sub { my ($uri, $end) = @_; (my $h = md5_base64("$end$uri moon")) =~ tr!+/!-_!; "$uri?h=$h&e=$end" };
is $server->get($link->('/a', time + 100))->{body}, '[1]', 'good';
is $server->get($link->('/a', time - 100))->{body}, '[0]', 'over';
is $server->get($link->('/a', time + 100) . '0')->{body}, '[]', 'another';
