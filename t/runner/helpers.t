# The servers that tests start beside the one under test.
use strict;
use warnings;
use lib 't/lib';
use IO::Socket::INET;
use Test::More;
use Time::HiRes 'time';
use Bulan::Test::Backend;
use Bulan::Test::Dns;
use Bulan::Test::Memcached;
use Bulan::Test::Port 'free_port';
use Bulan::Test::Redis;
use Bulan::Test::Server;
use Bulan::Test::Tls;

subtest 'ports' => sub {
    my %seen;
    $seen{ free_port() }++ for 1 .. 50;
    is scalar keys %seen, 50, 'no port twice';

    my ($mine) = keys %seen;
    my $reused = `"$^X" -It/lib -MBulan::Test::Port=free_port -e 'srand 1; print free_port() for 1'`;
    my $again  = `"$^X" -It/lib -MBulan::Test::Port=free_port -e 'srand 1; print free_port() for 1'`;
    is $again, $reused, 'a port is free again when its process ends';
    ok !$seen{$reused}, 'another process gets another';
};

subtest 'Redis' => sub {
    plan skip_all => 'no redis-server' if !Bulan::Test::Redis::available();
    my $redis = Bulan::Test::Redis->start(requirepass => 'secret');
    is $ENV{TEST_NGINX_REDIS_PORT}, $redis->port, 'its port is in the environment';
    is ask($redis->port, "PING\r\n"), "-NOAUTH Authentication required.\r\n", 'options';
    is ask($redis->port, "AUTH secret\r\n"), "+OK\r\n", 'it answers';
    ok $redis->stop, 'it stops';
};

subtest 'memcached' => sub {
    plan skip_all => 'no memcached' if !Bulan::Test::Memcached::available();
    my $memcached = Bulan::Test::Memcached->start('-m', 8);
    like ask($memcached->port, "version\r\n"), qr/^VERSION/, 'it answers';
    ok $memcached->stop, 'it stops';
};

subtest 'scripted servers' => sub {
    my $tcp = Bulan::Test::Backend->tcp(sub {
        my ($connection, $number) = @_;
        my $request = $connection->request;
        $connection->send("$number $request->{method} $request->{target} $request->{body}");
    });
    is ask($tcp->port, "POST /a HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi"), '1 POST /a hi', 'TCP';
    is ask($tcp->port, "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"),
        '2 POST /a hi', 'a chunked request';
    like $tcp->received, qr/Content-Length.*chunked/s, 'what was received';
    $tcp->mark;
    ask($tcp->port, "GET / HTTP/1.0\r\n\r\n");
    is $tcp->received(18), "GET / HTTP/1.0\r\n\r\n", 'since a mark';

    my $slow = Bulan::Test::Backend->tcp(sub { $_[0]->read_all(5); $_[0]->send('late') }, parallel => 1);
    my @clients = map { Bulan::Test::Client->connect($slow->port) } 1 .. 3;
    $_->shutdown for reverse @clients;
    is join(' ', map { scalar $_->read_all } @clients), 'late late late', 'in parallel';

    my $udp = Bulan::Test::Backend->udp(sub { my ($datagram, $number) = @_; ("$number", scalar reverse $datagram) });
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $udp->port, Proto => 'udp');
    $socket->send('abc');
    is join(' ', map { $socket->recv(my $got, 100); $got } 1, 2), '1 cba', 'UDP';
};

subtest 'DNS' => sub {
    my $dns = Bulan::Test::Dns->start({
        'a.test'     => { A => ['127.0.0.1', '127.0.0.2'], AAAA => '::1', ttl => 7 },
        'b.test'     => { CNAME => 'a.test' },
        'alone.test' => { CNAME => 'a.test', alone => 1 },
        'fail.test'  => { rcode => 2 },
        'big.test'   => { A => '127.0.0.3', truncate => 1 },
        'slow.test'  => { A => '127.0.0.4', delay => 0.1 },
        'lossy.test' => { A => '127.0.0.5', drop => 1 },
        '_s._tcp.test' => { SRV => [[1, 2, 80, 'a.test']] },
        'own.test'   => { reply => sub { substr($_[0], 0, 2) . 'nonsense' } },
    });
    is $ENV{TEST_NGINX_DNS_PORT}, $dns->port, 'its port is in the environment';

    is_deeply [records(query($dns, 'a.test', 1))], ['1 7 7f000001', '1 7 7f000002'], 'A';
    is_deeply [records(query($dns, 'A.Test', 28))], ['28 7 ' . '0' x 31 . '1'], 'AAAA, in any case';
    is_deeply [records(query($dns, 'b.test', 1))],
        ['5 60 0161047465737400', '1 7 7f000001', '1 7 7f000002'], 'an alias';
    is_deeply [records(query($dns, 'alone.test', 1))], ['5 60 0161047465737400'], 'an alias alone';
    is_deeply [records(query($dns, '_s._tcp.test', 33))], ['33 60 0001000200500161047465737400'], 'SRV';
    is rcode(query($dns, 'fail.test', 1)), 2, 'a code';
    is rcode(query($dns, 'none.test', 1)), 3, 'an unknown name';
    is rcode(query($dns, 'a.test', 33)) . ' ' . records(query($dns, 'a.test', 33)), '0 0', 'no such records';

    my $big = query($dns, 'big.test', 1);
    ok unpack('x2n', $big) & 0x0200, 'truncated over UDP';
    is_deeply [records(query_tcp($dns, 'big.test', 1))], ['1 60 7f000003'], 'whole over TCP';

    my $start = time;
    query($dns, 'slow.test', 1);
    cmp_ok time - $start, '>=', 0.1, 'a slow answer';
    is query($dns, 'lossy.test', 1, 0.1), undef, 'the first query is lost';
    is_deeply [records(query($dns, 'lossy.test', 1))], ['1 60 7f000005'], 'the second is not';
    like query($dns, 'own.test', 1), qr/nonsense/, 'bytes as they are';

    my @queries = $dns->queries(3);
    is_deeply [@queries[0, 1]], ['a.test A udp', 'A.Test AAAA udp'], 'what was asked';
    is scalar(grep { $_ eq 'big.test A tcp' } @queries), 1, 'over TCP too';
};

subtest 'certificates' => sub {
    my $tls  = Bulan::Test::Tls->new;
    my $cert = $tls->certificate('a.test', names => ['a.test', '*.b.test', 'IP:127.0.0.1']);
    my $text = `openssl x509 -in $cert->{cert} -noout -text`;
    like $text, qr/CN = a\.test/, 'the name';
    like $text, qr/DNS:\*\.b\.test, IP Address:127\.0\.0\.1/, 'other names';
    like `openssl verify -CAfile @{[$tls->authority->{cert}]} $cert->{cert} 2>&1`, qr/: OK/, 'the signature';

    my $old = $tls->certificate('old.test', days => -1);
    like `openssl verify -CAfile @{[$tls->authority->{cert}]} $old->{cert} 2>&1`, qr/expired/, 'an expired one';
    my $locked = $tls->certificate('locked.test', password => 'x', rsa => 2048);
    like Bulan::Test::Server::slurp($locked->{key}), qr/ENCRYPTED/, 'a key with a password';
};

done_testing;

# What a server at the port answers to the bytes, up to its close or a pause.
sub ask {
    my ($port, $bytes) = @_;
    my $client = Bulan::Test::Client->connect($port);
    $client->send($bytes);
    $client->fill(time + 5);
    return $client->left_over;
}

sub question {
    my ($name, $type) = @_;
    return pack('n6', 4711, 0x0100, 1, 0, 0, 0) . join('', map { pack 'C/a*', $_ } split /\./, $name) . "\0" . pack 'nn', $type, 1;
}

sub query {
    my ($dns, $name, $type, $seconds) = @_;
    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $dns->port, Proto => 'udp');
    $socket->send(question($name, $type));
    IO::Select->new($socket)->can_read($seconds || 5) or return undef;
    $socket->recv(my $answer, 4096);
    return $answer;
}

sub query_tcp {
    my ($dns, $name, $type) = @_;
    my $client = Bulan::Test::Client->connect($dns->port);
    my $question = question($name, $type);
    $client->send(pack('n', length $question) . $question);
    return $client->take(unpack('n', $client->take(2, time + 5)), time + 5);
}

sub rcode { unpack('x2n', $_[0]) & 15 }

# "TYPE TTL DATA" of each answer.
sub records {
    my ($answer) = @_;
    my $count = unpack 'x6n', $answer;
    my (undef, $at) = Bulan::Test::Dns::read_name($answer, 12);
    my @records;
    $at += 4;
    for (1 .. $count) {
        (undef, $at) = Bulan::Test::Dns::read_name($answer, $at);
        my ($type, undef, $ttl, $data) = unpack 'nnNn/a*', substr $answer, $at;
        $at += 10 + length $data;
        push @records, join ' ', $type, $ttl, unpack 'H*', $data;
    }
    return @records;
}
