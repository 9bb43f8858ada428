# Certificates that are no files: data:… with the PEM text in place, or in a variable.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Bulan::Test::Server;
use Bulan::Test::Tls;

my $tls = Bulan::Test::Tls->new;
my %pem;
for my $name (qw(a.test b.test)) {
    my $pair = $tls->certificate($name);
    $pem{$name}{$_} = Bulan::Test::Server::slurp($pair->{$_}) for qw(cert key);
}
my $server = Bulan::Test::Server->new(
    http_config => "
        map \$ssl_server_name \$cert { b.test '$pem{'b.test'}{cert}'; }
        map \$ssl_server_name \$key { b.test '$pem{'b.test'}{key}'; }
        server { listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_1 ssl;
            ssl_certificate 'data:$pem{'a.test'}{cert}'; ssl_certificate_key 'data:$pem{'a.test'}{key}';
            location / { return 200 text; } }
        server { listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_2 ssl;
            ssl_certificate data:\$cert; ssl_certificate_key data:\$key;
            location / { return 200 variable; } }",
    config => '', allow => [])->start;

sub get {
    my ($name, $port) = @_;
    my $ca = $tls->authority->{cert};
    return scalar `curl -s -m 5 --cacert $ca --connect-to $name:443:127.0.0.1:$port https://$name/`;
}

my ($first, $second) = @ENV{qw(TEST_NGINX_RAND_PORT_1 TEST_NGINX_RAND_PORT_2)};
is get('a.test', $first), 'text', 'in place';
is get('b.test', $second), 'variable', 'in a variable';
is get('a.test', $second), '', 'a variable without certificate';
ok $server->wait_log(qr/cannot load certificate/), 'said';
unlike $server->log, qr/PRIVATE KEY/, 'no key in the log';
$server->stop;

done_testing;
