# The variables of the core: each is read once, while the request is served or when it is logged.
use strict;
use warnings;
use lib 't/lib';
use Sys::Hostname ();
use Test::More;
use Bulan::Test::Process 'wait_until';
use Bulan::Test::Server;

# name => what it must look like; in the response, or (logged) behind it.
my %served = (
    http_host => qr/^H\.test:8080$/, http_user_agent => qr/^moon$/, http_referer => qr/^http:\/\/r\/$/, http_via => qr/^1\.1 v$/,
    http_x_forwarded_for => qr/^192\.0\.2\.1, 192\.0\.2\.2$/, http_cookie => qr/^c=1; d=2$/, content_length => qr/^4$/,
    content_type => qr/^text\/x$/, host => qr/^h\.test$/, binary_remote_addr => qr/^\x7f\0\0\x01$/, remote_addr => qr/^127\.0\.0\.1$/,
    remote_port => qr/^\d+$/, proxy_protocol_addr => qr/^$/, proxy_protocol_port => qr/^$/, proxy_protocol_server_addr => qr/^$/,
    proxy_protocol_server_port => qr/^$/, proxy_protocol_tlv_alpn => qr/^$/, server_addr => qr/^127\.0\.0\.1$/,
    server_port => qr/^PORT$/, server_protocol => qr/^HTTP\/1\.1$/, scheme => qr/^http$/, https => qr/^$/,
    request_port => qr/^8080$/, is_request_port => qr/^:$/, request_uri => qr/^\/a%20b\/\.\.\/v\?x=1&Y=%41$/, uri => qr/^\/v$/,
    document_uri => qr/^\/v$/, request => qr/^POST \/a%20b\/\.\.\/v\?x=1&Y=%41 HTTP\/1\.1$/, document_root => qr/^PREFIX\/html$/,
    realpath_root => qr/\/html$/, query_string => qr/^x=1&Y=%41$/, args => qr/^x=1&Y=%41$/, is_args => qr/^\?$/,
    request_filename => qr/^PREFIX\/html\/v$/, server_name => qr/^s\.test$/, request_method => qr/^POST$/, remote_user => qr/^user$/,
    pipe => qr/^\.$/, request_completion => qr/^$/, request_body => qr/^body$/, request_body_file => qr/^$/, request_length => qr/^\d\d\d$/,
    request_time => qr/^\d+\.\d{3}$/, request_id => qr/^[0-9a-f]{32}$/, limit_rate => qr/^0$/, connection => qr/^\d+$/,
    connection_requests => qr/^1$/, connection_time => qr/^\d+\.\d{3}$/, nginx_version => qr/^1\.31\.\d+$/,
    hostname => qr/^\Q@{[lc Sys::Hostname::hostname()]}\E$/, pid => qr/^WORKER$/, msec => qr/^\d{10,}\.\d{3}$/,
    time_iso8601 => qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d$/, time_local => qr/^\d\d\/\w{3}\/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}$/,
    tcpinfo_rtt => qr/^\d+$/, tcpinfo_rttvar => qr/^\d+$/, tcpinfo_snd_cwnd => qr/^\d+$/, tcpinfo_rcv_space => qr/^\d+$/,
    http_x_any_thing => qr/^any$/, cookie_d => qr/^2$/, arg_x => qr/^1$/, arg_y => qr/^%41$/, arg_none => qr/^$/,
);
my %logged = (
    bytes_sent => qr/^\d{4}$/, body_bytes_sent => qr/^\d{4}$/, request_completion => qr/^OK$/, status => qr/^200$/,
    sent_http_content_type => qr/^text\/plain$/, sent_http_content_length => qr/^-$/, sent_http_location => qr/^\/l$/,
    sent_http_last_modified => qr/^Sun, 06 Nov 1994 08:49:37 GMT$/, sent_http_connection => qr/^keep-alive$/,
    sent_http_keep_alive => qr/^timeout=7$/, sent_http_transfer_encoding => qr/^chunked$/,
    sent_http_cache_control => qr/^a, b$/, sent_http_link => qr/^l1, l2$/, sent_http_x_any => qr/^any$/, sent_trailer_t => qr/^end$/,
    request_length => qr/^\d{3}$/, pipe => qr/^\.$/, request_time => qr/^\d+\.\d{3}$/,
);

my @served = sort keys %served;
my @logged = sort keys %logged;
my $echo = join ' ', map { "echo '$_=\$$_';" } @served;
my $format = join ' ', map { "'$_=\$$_|'" } @logged;
my $server = Bulan::Test::Server->new(
    http_config => "log_format all $format; access_log logs/all.log all;",
    server_config => 'listen 127.0.0.1:$TEST_NGINX_SERVER_PORT; server_name s.test h.test;',
    config => "keepalive_timeout 70s 7s; location /v {
        more_set_headers 'Location: /l' 'Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT' 'X-Any: any';
        add_header Cache-Control a; add_header Cache-Control b; add_header Link l1; add_header Link l2; add_trailer T end;
        echo_read_request_body; $echo }")->start;
my ($worker) = $server->wait_workers;
my $client = $server->connect;
$client->send(join "\r\n", 'POST /a%20b/../v?x=1&Y=%41 HTTP/1.1', 'Host: H.test:8080', 'User-Agent: moon', 'Referer: http://r/', 'Via: 1.1 v',
    'X-Forwarded-For: 192.0.2.1', 'X-Forwarded-For: 192.0.2.2', 'Cookie: c=1', 'Cookie: d=2', 'Content-Length: 4', 'Content-Type: text/x',
    'Authorization: Basic dXNlcjpwYXNz', 'X-Any_Thing: no', 'X-Any-Thing: any', '', 'body');
my $got = $client->response;
is $got->{error}, undef, 'a response';

sub check {
    my ($name, $value, $must) = @_;
    my ($port, $prefix) = ($server->port, quotemeta $server->prefix);
    (my $pattern = "$must") =~ s/PORT/$port/;
    $pattern =~ s/PREFIX/$prefix/;
    $pattern =~ s/WORKER/$worker/;
    like defined $value ? $value : '(not there)', qr/$pattern/, "\$$name";
}

my %value = $got->{body} =~ /^(\w+)=(.*)\n/gm;
check($_, $value{$_}, $served{$_}) for @served;
ok wait_until(5, sub { -s $server->path('logs/all.log') }), 'logged';
%value = Bulan::Test::Server::slurp($server->path('logs/all.log')) =~ /(\w+)=([^|]*)\|/g;
check($_, $value{$_}, $logged{$_}) for @logged;
$server->stop;

# What only other requests have.
my $other = Bulan::Test::Server->new(
    server_config => 'listen $TEST_NGINX_SERVER_PORT proxy_protocol; listen unix:$TEST_NGINX_SERVER_ROOT/s;
        set_real_ip_from 127.0.0.1; client_body_in_file_only clean;',
    config => 'location / { return 200 "$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr $proxy_protocol_server_port"; }
        location /file { echo_read_request_body; echo "$request_body_file"; }
        location /unix { echo "$remote_addr|$remote_port|$server_addr|$server_port|$binary_remote_addr"; }
        location /rate { set $limit_rate 10k; return 200 "$limit_rate"; }
        location /args { set $args "a=2"; return 200 "$args $query_string $arg_a $is_args"; }')->start;
my $proxy = "PROXY TCP4 192.0.2.1 192.0.2.2 11 22\r\n";
my $tail = "HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
is $other->raw("${proxy}GET / $tail\r\n")->{body}, '192.0.2.1 11 192.0.2.2 22', '$proxy_protocol_…';
like $other->raw("${proxy}POST /file ${tail}Content-Length: 4\r\n\r\nbody")->{body}, qr{/client_body_temp/\d+$}, '$request_body_file';
is $other->raw("${proxy}GET /rate $tail\r\n")->{body}, '10240', '$limit_rate is set';
is $other->raw("${proxy}GET /args?a=1 $tail\r\n")->{body}, 'a=2 a=2 2 ?', '$args is set';
my $unix = Bulan::Test::Client->connect($other->path('s'));
$unix->send("GET /unix $tail\r\n");
like $unix->response->{body}, qr{^unix:\|\|unix:.*/s\|\|unix:$}, 'of unix sockets';
$other->stop;

done_testing;
