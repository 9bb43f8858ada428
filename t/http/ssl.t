# TLS of http servers: certificates by name, sessions, client certificates, large bodies to slow
# readers, the number of system calls.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Bulan::Test::Server;
use Bulan::Test::Tls;
use Bulan::Test::Port 'free_port';
use Bulan::Test::Process qw(wait_until patience);

my $prefix = Bulan::Test::Server::new_tree();
my $tls    = Bulan::Test::Tls->new($prefix);
my $ca     = $tls->authority->{cert};
my %cert   = (
    a      => $tls->certificate('a.test'),
    rsa    => $tls->certificate('a.test', rsa => 2048),
    b      => $tls->certificate('b.test', password => 'secret'),
    late   => $tls->certificate('late.test'),
    client => $tls->certificate('client'),
);
my $other = Bulan::Test::Tls->new->certificate('stranger');
Bulan::Test::Tls::write_file("$prefix/passwords", "wrong\nsecret\n");
Bulan::Test::Tls::run('cp', $cert{late}{cert}, "$prefix/late.test.crt");
Bulan::Test::Tls::run('cp', $cert{late}{key},  "$prefix/late.test.key");
chmod 0644, "$prefix/late.test.crt", "$prefix/late.test.key";
my ($verify, $reject, $tickets, $shared, $small, $early) = map { free_port() } 1 .. 6;
my $big = join '', map { sprintf "%08d\n", $_ } 1 .. 300_000;

my $server = Bulan::Test::Server->new(
    prefix      => $prefix,
    workers     => 2,
    files       => { big => $big },
    server_config => 'listen $TEST_NGINX_PORT ssl default_server; server_name a.test;',
    config      => "
        ssl_certificate $cert{a}{cert}; ssl_certificate_key $cert{a}{key};
        ssl_certificate $cert{rsa}{cert}; ssl_certificate_key $cert{rsa}{key};
        sendfile on;
        location / { }
        location /v { return 200 '\$ssl_protocol|\$ssl_server_name|\$ssl_cipher|\$https|\$scheme|\$ssl_client_verify'; }
    ",
    http_config => "
        server { listen \$TEST_NGINX_PORT; server_name b.test; ssl_protocols TLSv1.2; ssl_password_file $prefix/passwords;
            ssl_certificate $cert{b}{cert}; ssl_certificate_key $cert{b}{key};
            location /v { return 200 '\$ssl_protocol b'; } }
        server { listen \$TEST_NGINX_PORT; server_name late.test;
            ssl_certificate $prefix/\$ssl_server_name.crt; ssl_certificate_key $prefix/\$ssl_server_name.key;
            location /v { return 200 late; } }
        server { listen \$TEST_NGINX_PORT; server_name borrows.test; location /v { return 200 borrowed; } }
        server { listen $verify ssl; ssl_certificate $cert{a}{cert}; ssl_certificate_key $cert{a}{key};
            ssl_client_certificate $ca; ssl_verify_client on;
            location /v { return 200 '\$ssl_client_verify|\$ssl_client_s_dn'; } }
        server { listen $verify ssl; server_name other.test; ssl_certificate $cert{b}{cert}; ssl_certificate_key $cert{b}{key};
            ssl_password_file $prefix/passwords;
            ssl_client_certificate $other->{cert}; ssl_verify_client optional_no_ca;
            location /v { return 200 '\$ssl_client_verify'; } }
        server { listen $reject ssl; ssl_reject_handshake on; }
        server { listen $early ssl; ssl_certificate $cert{a}{cert}; ssl_certificate_key $cert{a}{key}; ssl_early_data on;
            location /v { return 200 'early=\$ssl_early_data;'; } }
        server { listen $small ssl sndbuf=4k; ssl_certificate $cert{a}{cert}; ssl_certificate_key $cert{a}{key}; ssl_buffer_size 4k; sendfile on; }
        server { listen $reject ssl; server_name a.test; ssl_certificate $cert{a}{cert}; ssl_certificate_key $cert{a}{key};
            location /v { return 200 accepted; } }
        server { listen $tickets ssl; ssl_certificate $cert{a}{cert}; ssl_certificate_key $cert{a}{key}; location /v { return 200 '\$ssl_session_reused'; } }
        server { listen $shared ssl; ssl_certificate $cert{a}{cert}; ssl_certificate_key $cert{a}{key};
            ssl_session_cache shared:S:1m; ssl_session_tickets off; location /v { return 200 '\$ssl_session_reused'; } }
    ",
);
$server->start;
my $port = $server->port;

# curl(NAME, PORT, PATH, ARGUMENTS): the body, and on failure the error.
sub curl {
    my ($name, $where, $path, @more) = @_;
    open my $out, '-|', 'curl', '-sS', '--cacert', $ca, '--resolve', "$name:$where:127.0.0.1", '-m', patience(10),
        @more, "https://$name:$where$path" or die "curl: $!";
    local $/;
    return scalar <$out>;
}

# ---- names and certificates

like curl('a.test', $port, '/v'), qr/^TLSv1\.3\|a\.test\|TLS_\w+\|on\|https\|NONE$/, 'the default server';
is curl('b.test', $port, '/v'), 'TLSv1.2 b', 'another certificate, protocol and a key with a password';
is curl('late.test', $port, '/v'), 'late', 'a certificate by variable';
is curl('borrows.test', $port, '/v', '-k'), 'borrowed', "the default server's certificate";
like s_client($port, '', '-servername', 'none.test'), qr{subject=CN = a\.test}, 'an unknown name';
like s_client($port, '', '-tls1_2', '-cipher', 'ECDHE-RSA-AES128-GCM-SHA256'), qr/Peer signature type: RSA/, 'the RSA one of two';
is curl('a.test', $reject, '/v'), 'accepted', 'a name beside the one that rejects';
like s_client($reject, '', '-servername', 'no.test'), qr/unrecognized name/, 'rejected';

# openssl s_client with the input; its output.
sub s_client {
    my ($where, $input, @more) = @_;
    my $file = "$prefix/s_client.in";
    Bulan::Test::Tls::write_file($file, $input);
    # Who has nothing to say goes when hands are shaken; others wait until the server closes.
    my @stays = length $input ? '-ign_eof' : ();
    my $command = join ' ', 'timeout', patience(10), 'openssl s_client -connect', "127.0.0.1:$where", @stays, @more;
    return scalar `$command <$file 2>&1`;
}

my $plain = Bulan::Test::Client->connect($port);
$plain->send("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n");
my $response = $plain->response;
is $response->{status}, 400, 'plain HTTP on a port for TLS';
like $response->{body}, qr/plain HTTP request was sent to HTTPS port/, 'said so';

# ---- bodies

for my $case ([], ['--tls-max', '1.2'], ['--limit-rate', '3M']) {
    ok curl('a.test', $port, '/big', @$case) eq $big, "a large file @$case";
}
# A socket that takes little at once: records wait, and pieces of them.
ok curl('a.test', $small, '/big', @$_) eq $big, "little at once @$_" for [], ['--tls-max', '1.2'];

# ---- sessions

for my $case ([$tickets, 'tickets'], [$shared, 'the shared cache']) {
    for my $version ('-tls1_2', '-tls1_3') {
        my ($where, $what) = @$case;
        my $request = "GET /v HTTP/1.0\r\n\r\n";
        my $session = "$prefix/session";
        s_client($where, $request, $version, '-sess_out', $session);
        # A session of TLS 1.3 in a cache serves once; a ticket as often as it is shown.
        my $times = $where == $shared && $version eq '-tls1_3' ? 1 : 3;
        my $reused = grep { s_client($where, $request, $version, '-sess_in', $session) =~ /^Reused, TLS/m } 1 .. $times;
        is $reused, $times, "$what by any worker, $version";
    }
}

# ---- early data: a request in the first flight of a resumed session

{
    my $session = "$prefix/session";
    Bulan::Test::Tls::write_file("$prefix/early", "GET /v HTTP/1.1\r\nHost: a.test\r\n\r\n");
    my $request = "GET /v HTTP/1.0\r\n\r\n";
    s_client($early, $request, '-tls1_3', '-sess_out', $session);
    my $said = s_client($early, $request, '-tls1_3', '-sess_in', $session, '-early_data', "$prefix/early");
    like $said, qr/Early data was accepted/, 'early data is accepted';
    like $said, qr/early=1;.*early=;/s, '$ssl_early_data until the handshake is over';
}

# ---- client certificates

my @client = ('--cert', $cert{client}{cert}, '--key', $cert{client}{key});
my @stranger = ('--cert', $other->{cert}, '--key', $other->{key});
is curl('a.test', $verify, '/v', @client), 'SUCCESS|CN=client', 'a good client';
like curl('a.test', $verify, '/v'), qr/No required SSL certificate was sent/, 'no certificate';
like curl('a.test', $verify, '/v', @stranger), qr/The SSL certificate error/, 'a certificate of others';
like curl('other.test', $verify, '/v', '-k', @client), qr/^FAILED:/, 'optional_no_ca';
like curl('other.test', $verify, '/v', '-k', '-H', 'Host: a.test', @client), qr/421/, 'another server than the one named';

# ---- system calls

SKIP: {
    my $trace = "$prefix/trace";
    my $pid = fork;
    if (!$pid) {
        open STDERR, '>', '/dev/null';
        exec 'strace', '-e', 'trace=recvfrom,sendto,writev,sendmsg', '-o', $trace, map { ('-p', $_) } $server->worker_pids;
    }
    my $attached = wait_until(5, sub { !grep { `grep TracerPid /proc/$_/status` !~ /\s[1-9]/ } $server->worker_pids });
    skip 'strace may not attach', 5 if !$attached;
    my @urls = map { "https://a.test:$port/v" } 1 .. 9;
    my $bodies = () = curl('a.test', $port, '/v', @urls) =~ /TLSv1\.3\|a\.test/g;
    is $bodies, 10, 'ten requests on a connection';
    my $count = sub {
        my %of = (recvfrom => 0, sendto => 0);
        my $calls = Bulan::Test::Server::slurp($trace);
        $of{$1}++ while $calls =~ /\b(recvfrom|sendto)\(\d+, "\\27\\3\\3/g;
        return \%of;
    };
    # What strace has seen it writes in its own time.
    wait_until(5, sub { my $of = $count->(); $of->{recvfrom} >= 10 && $of->{sendto} >= 10 });
    kill 'INT', $pid;
    waitpid $pid, 0;
    my %of = %{ $count->() };
    # Beside one for each request: the end of the handshake, the end of the connection.
    cmp_ok $of{$_} || 0, '<=', 12, "ten requests, no more than ten of $_" for 'recvfrom', 'sendto';
    cmp_ok $of{$_} || 0, '>=', 10, "and all were seen" for 'recvfrom', 'sendto';
}

$server->stop;
unlike Bulan::Test::Server::slurp("$prefix/logs/error.log"), qr/\[crit\]/, 'nothing critical';

# ---- bad configurations

for my $case (
    ['ssl_certificate none.crt; ssl_certificate_key none.key;', qr/cannot load certificate "\S+none\.crt": .*No such file/],
    ["ssl_certificate $cert{a}{cert};", qr/no "ssl_certificate_key" is defined for certificate/],
    ["ssl_certificate $cert{a}{cert}; ssl_certificate_key $cert{client}{key};", qr/SSL_CTX_use_PrivateKey\("\S+"\) failed .*mismatch/],
    ['', qr/no "ssl_certificate" is defined for the "listen ... ssl" directive/],
    ["ssl_certificate $cert{a}{cert}; ssl_certificate_key $cert{a}{key}; ssl_verify_client on;", qr/no ssl_client_certificate for ssl_verify_client/],
    ["ssl_certificate $cert{a}{cert}; ssl_certificate_key $cert{a}{key}; ssl_ciphers NONE;", qr/no cipher match/],
    ['ssl_session_cache shared:x;', qr/invalid session cache "shared:x"/],
    ["ssl_certificate $cert{a}{cert}; ssl_certificate_key $cert{a}{key}; ssl_session_ticket_key $ca;", qr/must be 48 or 80 bytes/],
    ["ssl_certificate $cert{a}{cert}; ssl_certificate_key $cert{a}{key}; ssl_conf_command Nonsense 1;", qr/SSL_CONF_cmd\("Nonsense", "1"\) failed/],
) {
    my ($lines, $error) = @$case;
    my $conf = "$prefix/bad.conf";
    Bulan::Test::Tls::write_file($conf, "events {}\nhttp { server { listen 127.0.0.1:1 ssl; $lines } }\n");
    my $binary = Bulan::Test::Server::binary();
    my $said = `$binary -p $prefix -c $conf -t 2>&1`;
    like $said, $error, "told: $error";
    isnt $?, 0, 'refused';
}

done_testing;
