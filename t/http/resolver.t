# resolver and resolver_timeout, by proxy_pass with variables.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Bulan::Test::Dns;
use Bulan::Test::Server;

my $dns = Bulan::Test::Dns->start({
    'a.test'     => { A => ['127.0.0.1'], ttl => 60 },
    'b.test'     => { CNAME => 'a.test', alone => 1 },
    'short.test' => { A => ['127.0.0.1'], ttl => 0 },
    'fail.test'  => { rcode => 2 },
    'big.test'   => { A => [('127.0.0.1') x 60], truncate => 1 },
    'lossy.test' => { A => ['127.0.0.1'], drop => 1 },
    'silent.test' => { A => ['127.0.0.1'], drop => 1000 },
    'both.test'  => { A => ['127.0.0.1'], AAAA => ['::1'] },
});
my $server = Bulan::Test::Server->new(config => '
    resolver 127.0.0.1:$TEST_NGINX_DNS_PORT ipv6=off;
    location /to { proxy_pass http://$arg_h:$server_port/echo; }
    location /echo { return 200 "got it"; }
    location /valid { resolver 127.0.0.1:$TEST_NGINX_DNS_PORT ipv6=off valid=1h; proxy_pass http://$arg_h:$server_port/echo; }
    location /soon { resolver_timeout 50ms; proxy_pass http://$arg_h:$server_port/echo; }
    location /both { resolver 127.0.0.1:$TEST_NGINX_DNS_PORT; proxy_pass http://$arg_h:$server_port/echo; }
');
$server->start;

sub to { my $r = $server->get("/to?h=$_[0]"); return $r->{status} == 200 ? $r->{body} : $r->{status} }

is to('a.test'), 'got it', 'an address';
is to('A.TEST'), 'got it', 'letters of any case';
is_deeply [$dns->queries], ['a.test A udp'], 'one question';
is to('b.test'), 'got it', 'an alias';
is to('127.0.0.1'), 'got it', 'an address as name';
is to('none.test'), 502, 'no such name';
$server->wait_log(qr/none\.test could not be resolved \(3: Host not found\)/);
is to('fail.test'), 502, 'a server that fails';
$server->wait_log(qr/fail\.test could not be resolved \(2: Server failure\)/);
is to('big.test'), 'got it', 'an answer that was cut';
is_deeply [grep { /^big/ } $dns->queries], ['big.test A udp', 'big.test A tcp'], 'asked for over TCP';
is to('lossy.test'), 'got it', 'a query that was lost';
is_deeply [grep { /^lossy/ } $dns->queries], [('lossy.test A udp') x 2], 'asked again';
to('short.test') for 1, 2;
is scalar(grep { /^short/ } $dns->queries), 2, 'not kept longer than its time';
$server->get('/valid?h=short.test') for 1, 2;
is scalar(grep { /^short/ } $dns->queries), 3, 'valid=';
is $server->get('/soon?h=silent.test')->{status}, 502, 'patience ends';
$server->wait_log(qr/silent\.test could not be resolved \(110: Operation timed out\)/);
is $server->get('/both?h=both.test')->{body}, 'got it', 'both families';
is_deeply [sort grep { /^both/ } $dns->queries], ['both.test A udp', 'both.test AAAA udp'], 'are asked for';
ok $server->reload, 'reload';
is to('a.test'), 'got it', 'after a reload';
is scalar(grep { /^a\.test A/ } $dns->queries), 3, 'the cache is new'; # the second was of the alias
$server->stop;

for my $case (
    ['resolver;', qr/invalid number of arguments in "resolver" directive/],
    ['resolver 127.0.0.1 valid=x;', qr/invalid parameter: valid=x/],
    ['resolver 127.0.0.1 ipv5=off;', qr/invalid parameter: ipv5=off/],
    ['resolver valid=1s;', qr/no name servers defined/],
    ['resolver 127.0.0.1 ipv4=off ipv6=off;', qr/"ipv4" and "ipv6" cannot both be "off"/],
    ['resolver 127.0.0.1:99999;', qr/invalid port in resolver "127\.0\.0\.1:99999"/],
) {
    my ($line, $error) = @$case;
    my $conf = $server->path('bad.conf');
    open my $out, '>', $conf or die;
    print $out "events {}\nhttp { $line }\n";
    close $out;
    my ($binary, $prefix) = (Bulan::Test::Server::binary(), $server->prefix);
    like scalar `$binary -p $prefix -c $conf -t 2>&1`, $error, "told: $line";
}

done_testing;
