# upstream: servers whose addresses are looked up while we serve (resolve, service=), and zones.
use strict;
use warnings;
use lib 't/lib';
use File::Temp ();
use Test::More;
use Bulan::Test::Dns;
use Bulan::Test::Process 'wait_until';
use Bulan::Test::Server;

# What the names mean stands in a file that the test changes.
my $book = File::Temp->new(TMPDIR => 1);
sub turn_to { open my $to, '>', "$book.new" or die; print $to "@_\n"; close $to; rename "$book.new", "$book" }
sub addresses { open my $in, '<', "$book" or return (); return split ' ', <$in> || '' }

turn_to('127.0.0.1');
my $server = Bulan::Test::Server->new(
    workers => 2,
    server_config => 'listen $TEST_NGINX_SERVER_PORT; server_name localhost;',
    http_config => '
        resolver 127.0.0.1:$TEST_NGINX_DNS_PORT ipv6=off;
        upstream moving { zone z 64k; server moving.test:$TEST_NGINX_SERVER_PORT resolve max_fails=0; }
        upstream mixed { zone z; server moving.test:$TEST_NGINX_SERVER_PORT resolve; server 127.0.0.9:$TEST_NGINX_SERVER_PORT; hash $arg_k consistent; }
        upstream late { zone l 64k; server late.test:$TEST_NGINX_SERVER_PORT resolve; resolver 127.0.0.1:$TEST_NGINX_DNS_PORT valid=10s; resolver_timeout 3s; }
        upstream fail { zone f 64k; server fail.test:$TEST_NGINX_SERVER_PORT resolve; server 127.0.0.1:$TEST_NGINX_SERVER_PORT backup; }
        upstream svc { zone s 64k; server svc.test service=http resolve; }
        upstream given { zone g 64k; server 127.0.0.4:$TEST_NGINX_SERVER_PORT resolve; }',
    config => '
        location /at { return 200 $server_addr; }
        location / { proxy_pass http://$arg_u/at; add_header X-Up $upstream_addr; }
        location /slow { proxy_pass http://moving/hold; }
        location /hold { echo_sleep 0.5; echo $server_addr; }');
my $dns = Bulan::Test::Dns->start({
    'moving.test' => sub { my @all = addresses(); return @all ? { A => \@all, ttl => 1 } : undef },
    'late.test'   => { A => ['127.0.0.1'], delay => 0.3 },
    'fail.test'   => { rcode => 2 },
    '_http._tcp.svc.test' => { SRV => [map { [$_->[0], $_->[1], $server->port, $_->[2]] }
        [1, 3, 'one.test'], [1, 1, 'two.test'], [2, 1, 'spare.test']], ttl => 60 },
    'one.test' => { A => ['127.0.0.1'] }, 'two.test' => { A => ['127.0.0.2'] }, 'spare.test' => { A => ['127.0.0.3'] },
});
$server->start;

sub at { my $r = $server->get("/?u=$_[0]"); return $r->{status} == 200 ? $r->{body} : $r->{status} }

# seen(NAME, COUNT): the addresses that answered, with how often.
sub seen { my %seen; $seen{ at($_[0]) }++ for 1 .. $_[1]; return \%seen }

is at('late'), '127.0.0.1', 'the first request waits for the name';
is at('given'), '127.0.0.4', 'an address needs no looking up';
is_deeply seen('moving', 4), { '127.0.0.1' => 4 }, 'one address';
turn_to('127.0.0.2', '127.0.0.3');
ok wait_until(10, sub { join(' ', sort keys %{ seen('moving', 8) }) eq '127.0.0.2 127.0.0.3' }),
    'others, without a reload';
ok wait_until(10, sub {    # each worker learns of it in its own time
    my %mixed;
    $mixed{ $server->get("/?u=mixed&k=$_")->{body} }++ for 1 .. 100;
    return join(' ', sort keys %mixed) eq '127.0.0.2 127.0.0.3 127.0.0.9';
}), 'beside one that stays, by hash';

my $slow = $server->connect;
$slow->send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
turn_to('127.0.0.1');
ok wait_until(10, sub { join(' ', keys %{ seen('moving', 8) }) eq '127.0.0.1' }), 'and back';
like $slow->response->{body}, qr/^127\.0\.0\.[23]$/, 'a request under way keeps its peer';

is_deeply seen('svc', 8), { '127.0.0.1' => 6, '127.0.0.2' => 2 }, 'a service: by priority and weight';
is at('fail'), '127.0.0.1', 'a name server that fails: the backup';
ok $server->wait_log(qr/fail\.test could not be resolved \(2: Server failure\)/), 'said';

turn_to();
ok wait_until(10, sub { at('moving') eq '502' }), 'no such name any more';
ok $server->wait_log(qr/no live upstreams/), 'nobody to ask';
turn_to('127.0.0.1');
ok wait_until(10, sub { at('moving') eq '127.0.0.1' }), 'and there again';
ok $server->reload, 'reload';
is at('moving'), '127.0.0.1', 'after a reload';
$server->stop;

for my $case (
    ['upstream u { server x.test resolve; } resolver 127.0.0.1;', qr/resolving names at run time requires upstream "u" to be in shared memory/],
    ['upstream u { zone z 64k; server x.test resolve; }', qr/no resolver defined to resolve names at run time in upstream "u"/],
    ['upstream u { zone z 64k; server x.test service=http; }', qr/service upstream server "x\.test" requires "resolve" parameter/],
    ['upstream u { zone z 64k; server x.test:80 service=http resolve; }', qr/service upstream server "x\.test:80" may not have port/],
    ['upstream u { zone z 64k; server x.test service= resolve; }', qr/invalid parameter "service="/],
) {
    my ($line, $error) = @$case;
    my $conf = $server->path('bad.conf');
    open my $out, '>', $conf or die;
    print $out "events {}\nhttp { $line }\n";
    close $out;
    my ($binary, $prefix) = (Bulan::Test::Server::binary(), $server->prefix);
    like scalar `$binary -p $prefix -c $conf -t 2>&1`, $error, "told: $line";
}

# Several groups in one zone, each counting its own.
my $shared = Bulan::Test::Server->new(
    workers => 1,
    server_config => 'listen $TEST_NGINX_SERVER_PORT; server_name localhost;',
    http_config => '
        upstream a { zone z 64k; server 127.0.0.1:$TEST_NGINX_SERVER_PORT; server 127.0.0.2:$TEST_NGINX_SERVER_PORT weight=3; }
        upstream b { zone z; server 127.0.0.1:$TEST_NGINX_SERVER_PORT weight=3; server 127.0.0.2:$TEST_NGINX_SERVER_PORT; }
        upstream twice { zone z; server 127.0.0.1:$TEST_NGINX_SERVER_PORT; server 127.0.0.1:$TEST_NGINX_SERVER_PORT down; server 127.0.0.2:$TEST_NGINX_SERVER_PORT; }',
    config => 'location /at { return 200 $server_addr; } location / { proxy_pass http://$arg_u/at; }')->start;
$server = $shared;
for my $round (1, 2) {
    is_deeply seen('a', 8), { '127.0.0.1' => 2, '127.0.0.2' => 6 }, 'one group';
    is_deeply seen('b', 8), { '127.0.0.1' => 6, '127.0.0.2' => 2 }, 'the other';
    is_deeply seen('twice', 4), { '127.0.0.1' => 2, '127.0.0.2' => 2 }, 'one that names an address twice';
    $shared->reload if $round == 1;
}
$shared->stop;

done_testing;
