# Who may come in: addresses, passwords, methods; and what the server says about itself.
use lib 't/lib';
use Bulan::Test;

run_tests();

__DATA__

=== TEST 1: allow and deny
--- config
location /ok { allow 127.0.0.0/8; deny all; return 200 ok; }
location /no { deny 127.0.0.1; allow all; echo no; }
location /first { deny 192.0.2.0/24; allow 127.0.0.1; deny all; echo ok; }
location /in { deny all; location /in/none { echo no; } location /in/own { allow all; echo ok; } }
location /six { allow 2001:db8::/32; allow unix:; deny all; echo no; }
location /try { allow 127.0.0.1; deny all; echo ok; }
--- request eval
["GET /no", "GET /first", "GET /in/none", "GET /in/own", "GET /six", "GET /try"]
--- error_code eval
[403, 200, 403, 200, 403, 200]
--- error_log
access forbidden by rule



=== TEST 2: passwords
--- config
location / { auth_basic "moon"; auth_basic_user_file $TEST_NGINX_HTML_DIR/users; echo "for $remote_user"; }
location /open { auth_basic off; echo open; }
location /by { auth_basic $arg_realm; auth_basic_user_file $TEST_NGINX_HTML_DIR/$arg_file; echo by; }
--- user_files
>>> users
# NAME:PASSWORD
plain:{PLAIN}secret
sha:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=
sixth:$6$saltsalt$x
>>> other
plain:{PLAIN}other
--- perl
use MIME::Base64 ();
my $as = sub {
    my ($name, $password, $path) = @_;
    return $server->get($path || '/', Authorization => 'Basic ' . MIME::Base64::encode_base64("$name:$password", ''));
};
my $got = $server->get('/');
is $got->{status}, 401, 'nobody';
is_deeply $got->{headers}{'www-authenticate'}, ['Basic realm="moon"'], 'is asked';
is $as->('plain', 'secret')->{body}, "for plain\n", 'plain text';
is $as->('sha', 'secret')->{body}, "for sha\n", 'SHA-1';
my $apr = `openssl passwd -apr1 -salt salt secret`;
chomp $apr;
open my $users, '>>', $server->path('html/users') or die;
print $users "apr2:$apr\n";
my $six = crypt 'secret', '$6$saltsalt$';
print $users "six:$six\n" if $six && $six =~ /^\$6\$/;
close $users;
is $as->('apr2', 'secret')->{status}, 200, 'apr1';
SKIP: { skip 'no such crypt()', 1 if !$six || $six !~ /^\$6\$/; is $as->('six', 'secret')->{status}, 200, 'crypt()'; }
is $as->($_, 'wrong')->{status}, 401, "$_, a wrong one" for qw(plain sha apr2 six sixth);
is $as->('nobody', 'secret')->{status}, 401, 'nobody of that name';
is $as->('', '')->{status}, 401, 'nothing';
is $server->get('/', Authorization => $_)->{status}, 401, "not so: $_" for 'Basic', 'Basic !!!', 'Bearer x', 'Basic cGxhaW4=';
is $server->get('/open')->{status}, 200, 'off below';
is $as->('plain', 'other', '/by?realm=sun&file=other')->{status}, 200, 'another file';
is_deeply $server->get('/by?realm=sun&file=other')->{headers}{'www-authenticate'}, ['Basic realm="sun"'], 'and realm';
is $as->('plain', 'secret', '/by?realm=off&file=other')->{status}, 200, 'off by variable';
is $as->('plain', 'x', '/by?realm=sun&file=none')->{status}, 403, 'no file';
unlike $server->log, qr/secret|cGxhaW46/, 'no password in the log';
--- error_log eval
[qr/user "plain": password mismatch/, qr/user "nobody" was not found in/, qr/no user\/password was provided/]



=== TEST 3: satisfy, limit_except, internal
--- config
location /any { satisfy any; deny all; auth_basic x; auth_basic_user_file $TEST_NGINX_HTML_DIR/users; echo in; }
location /all { satisfy all; allow all; auth_basic x; auth_basic_user_file $TEST_NGINX_HTML_DIR/users; echo in; }
location /methods { limit_except GET { deny all; } echo got; }
location /internal { internal; echo internal; }
location /to { rewrite ^ /internal; }
--- user_files
>>> users
plain:{PLAIN}secret
--- request eval
["GET /any", "GET /all", "GET /methods", "HEAD /methods", "POST /methods\nx", "GET /internal", "GET /to"]
--- error_code eval
[401, 401, 200, 200, 403, 404, 200]
--- perl
my @with = (Authorization => 'Basic cGxhaW46c2VjcmV0');
is $server->get($_, @with)->{status}, 200, "$_ with a password" for qw(/any /all);
--- error_log
access forbidden by rule



=== TEST 4: auth_delay
--- config
location / { auth_delay 200ms; auth_basic x; auth_basic_user_file $TEST_NGINX_HTML_DIR/users; }
--- user_files
>>> users
plain:{PLAIN}secret
--- perl
use Time::HiRes ();
my $begin = Time::HiRes::time();
is $server->get('/')->{status}, 401, 'refused';
cmp_ok Time::HiRes::time() - $begin, '>=', 0.19, 'after a while';



=== TEST 5: stub_status, random_index, empty_gif
--- config
location /status { stub_status; }
location /numbers { return 200 "$connections_active $connections_reading $connections_writing $connections_waiting"; }
location /random/ { alias $TEST_NGINX_HTML_DIR/r/; random_index on; }
location /gif { empty_gif; }
--- user_files
>>> r/a
a
>>> r/b
b
>>> r/.hidden
no
--- perl
my $idle = $server->connect;
$idle->send("GET /numbers HTTP/1.1\r\nHost: x\r\n\r\n");
is $idle->response->{body}, '1 0 1 0', 'as variables';
like $server->get('/status')->{body}, qr/^Active connections: 2 \nserver accepts handled requests\n 2 2 2 \nReading: 0 Writing: 1 Waiting: 1 \n\z/, 'as text';
my %seen;
$seen{ $server->get('/random/')->{body} }++ for 1 .. 60;
is_deeply [sort keys %seen], ["a\n", "b\n"], 'one or the other, nothing hidden';
my $gif = $server->get('/gif');
is_deeply $gif->{headers}{'content-type'}, ['image/gif'], 'a picture';
like $gif->{body}, qr/^GIF89a.*;\z/s, 'in the format';
is $server->send_request('POST', '/gif', 'x')->{status}, 405, 'that is only looked at';



=== TEST 6: gzip
--- config
gzip on; gzip_min_length 20; gzip_types text/x text/y; default_type text/x;
location / { }
location /level { gzip_comp_level 9; alias $TEST_NGINX_HTML_DIR/; gzip_vary on; }
location /never { gzip off; alias $TEST_NGINX_HTML_DIR/a; }
location /msie { gzip_disable "MSIE [4-6]\."; alias $TEST_NGINX_HTML_DIR/a; }
location /proxied { gzip_proxied expired no-cache; alias $TEST_NGINX_HTML_DIR/a; add_header Cache-Control $arg_c; }
location /old { gzip_http_version 1.0; alias $TEST_NGINX_HTML_DIR/a; }
location /other { types { } default_type text/z; alias $TEST_NGINX_HTML_DIR/a; }
location /ratio { alias $TEST_NGINX_HTML_DIR/a; add_trailer X-Ratio $gzip_ratio; }
--- user_files eval
">>> a\n" . ('moon ' x 10_000) . "\n>>> small\nx\n"
--- perl
require IO::Uncompress::Gunzip;
my $text = ('moon ' x 10_000) . "\n";
my $zipped = sub {
    my ($path, @fields) = @_;
    my $got = $server->get($path, 'Accept-Encoding' => 'gzip', @fields);
    return 0 if !$got->{headers}{'content-encoding'};
    IO::Uncompress::Gunzip::gunzip(\$got->{body} => \my $plain) or return 'broken';
    return $plain eq $text ? 1 : 'other';
};
is $zipped->('/a'), 1, 'zipped';
is $zipped->('/level/a'), 1, 'with more effort';
is $zipped->($_), 0, "not $_" for qw(/small /never /other);
is $zipped->('/a', 'Accept-Encoding' => 'x'), 1, 'a second field changes nothing';
is $server->get('/a', 'Accept-Encoding' => $_)->{headers}{'content-encoding'}, undef, "not for: $_" for 'gzip;q=0', 'deflate', 'x-gzipped';
is_deeply $server->get('/level/small')->{headers}{vary}, undef, 'Vary only where it might be';
is_deeply $server->get('/level/a')->{headers}{vary}, ['Accept-Encoding'], 'Vary';
is $zipped->('/msie', 'User-Agent' => $_->[0]), $_->[1], $_->[0] for ['Mozilla/4.0 (MSIE 6.0)', 0], ['Mozilla/5.0', 1];
is $zipped->('/proxied?c=no-cache', Via => '1.1 x'), 1, 'for proxies that may not keep it';
is $zipped->('/proxied?c=public', Via => '1.1 x'), 0, 'not for others';
is $server->raw("GET /$_->[0] HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n")->{headers}{'content-encoding'} ? 1 : 0, $_->[1], "HTTP/1.0 $_->[0]"
    for ['a', 0], ['old', 1];
