# Where certificates and keys come from: files that are read once for a configuration, and perhaps
# for the next; paths with variables; and where secrets go to, a key log.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use POSIX ();
use Bulan::Test::Server;
use Bulan::Test::Tls;
use Bulan::Test::Port 'free_port';
use Bulan::Test::Process qw(wait_until patience);

my $prefix = Bulan::Test::Server::new_tree();
my $tls    = Bulan::Test::Tls->new($prefix);
my $ca     = $tls->authority->{cert};
my %cert   = (
    (map { $_ => $tls->certificate("$_.test") } qw(a b)),
    locked => $tls->certificate('locked.test', password => 'secret'),
);
Bulan::Test::Tls::write_file("$prefix/passwords", "secret\n");
for my $name (keys %cert) {
    Bulan::Test::Tls::run('cp', $cert{$name}{$_}, "$prefix/$name.test.$_") for qw(cert key);
    chmod 0644, "$prefix/$name.test.key";
}

# What a FIFO gives it gives once, so somebody has to read it only once.
sub feed {
    my ($fifo, $file) = @_;
    POSIX::mkfifo($fifo, 0700) or die "$fifo: $!";
    chmod 0644, $fifo;
    return Bulan::Test::Process->spawn(sub {
        open my $out, '>', $fifo or die "$fifo: $!";
        print $out Bulan::Test::Server::slurp($file);
        close $out;
        POSIX::_exit(0);
    });
}
my @feeding = map { feed("$prefix/fifo.$_", $cert{a}{$_}) } qw(cert key);

my ($one, $two, $verifying) = map { free_port() } 1 .. 3;
my $from_fifo = "ssl_certificate $prefix/fifo.cert; ssl_certificate_key $prefix/fifo.key;";
my $server = Bulan::Test::Server->new(
    prefix      => $prefix,
    http_config => "
        server { listen $one ssl; $from_fifo ssl_key_log $prefix/server.keys; location / { return 200 one; } }
        server { listen $two ssl; $from_fifo location / { return 200 two; } }
        server { listen $verifying ssl; ssl_certificate $cert{a}{cert}; ssl_certificate_key $cert{a}{key};
            ssl_client_certificate $ca; ssl_verify_client optional;
            location / { return 200 '\$ssl_client_s_dn'; } }
    ",
    config => "
        proxy_ssl_session_reuse off;
        proxy_ssl_certificate $prefix/\$arg_name.test.cert;
        proxy_ssl_certificate_key $prefix/\$arg_name.test.key;
        location /by-name { proxy_pass https://127.0.0.1:$verifying; proxy_ssl_key_log $prefix/proxy.keys; }
        location /locked { proxy_pass https://127.0.0.1:$verifying; proxy_ssl_password_file $prefix/passwords;
            proxy_ssl_certificate_cache max=10 valid=1h inactive=1h; }
        location /cached { proxy_pass https://127.0.0.1:$verifying; proxy_ssl_certificate_cache max=10 valid=1h inactive=1h; }
        location /none { proxy_pass https://127.0.0.1:$verifying; proxy_ssl_certificate \$arg_nothing; proxy_ssl_certificate_key \$arg_nothing; }
    ",
);
$server->start;

sub get { return scalar `curl -sk -m @{[patience(10)]} https://127.0.0.1:$_[0]/` }

is get($one), 'one', 'a certificate from a FIFO';
is get($two), 'two', 'and the same FIFO again';
like Bulan::Test::Server::slurp("$prefix/server.keys"), qr/^SERVER_HANDSHAKE_TRAFFIC_SECRET [0-9a-f]{64} /m, 'a key log of the server';

is $server->get('/by-name?name=a')->{body}, 'CN=a.test', 'our certificate by variable';
is $server->get('/by-name?name=b')->{body}, 'CN=b.test', 'another one';
is $server->get('/by-name?name=locked')->{status}, 500, 'a key whose password is not known';
is $server->get('/by-name?name=missing')->{status}, 500, 'none of that name';
is $server->get('/none')->{body}, '', 'an empty name is no certificate';
like Bulan::Test::Server::slurp("$prefix/proxy.keys"), qr/^CLIENT_HANDSHAKE_TRAFFIC_SECRET /m, 'a key log of the proxy';

is $server->get('/locked?name=locked')->{body}, 'CN=locked.test', 'a key with a password';
is $server->get('/cached?name=a')->{body}, 'CN=a.test', 'into the cache';
unlink "$prefix/a.test.cert", "$prefix/locked.test.cert";
is $server->get('/cached?name=a')->{body}, 'CN=a.test', 'out of the cache';
is $server->get('/locked?name=locked')->{status}, 500, 'a key with a password is not kept';
$server->stop;

# ---- files that did not change are not read again, if so wished

my $again = free_port();
Bulan::Test::Tls::run('cp', $cert{a}{$_}, "$prefix/now.$_") for qw(cert key);
my $configured = sub {
    my ($inheritable) = @_;
    return Bulan::Test::Server->new(
        main_config => "ssl_object_cache_inheritable $inheritable;",
        http_config => "server { listen $again ssl; ssl_certificate $prefix/now.cert; ssl_certificate_key $prefix/now.key; }",
    );
};
sub subject {
    return `timeout @{[patience(10)]} openssl s_client -connect 127.0.0.1:$again </dev/null 2>/dev/null` =~ /subject=CN = (\S+)/ ? $1 : '';
}
# Other bytes in the same file, which looks unchanged.
sub replace {
    my ($name) = @_;
    for my $part (qw(cert key)) {
        my $time = (stat "$prefix/now.$part")[9];
        Bulan::Test::Tls::write_file("$prefix/now.$part", Bulan::Test::Server::slurp($cert{$name}{$part}));
        utime $time, $time, "$prefix/now.$part";
    }
}
for my $case (['on', 'a.test'], ['off', 'b.test']) {
    my ($inheritable, $expected) = @$case;
    replace('a');
    my $other = $configured->($inheritable);
    $other->start;
    is subject(), 'a.test', "$inheritable: as configured";
    replace('b');
    ok $other->reload, 'reloaded';
    is subject(), $expected, "$inheritable: then";
    $other->stop;
}

done_testing;
