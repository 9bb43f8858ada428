# Revocation: stapled answers of responders, and clients' certificates (ssl_ocsp).
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use MIME::Base64 'decode_base64';
use Bulan::Test::Backend;
use Bulan::Test::Server;
use Bulan::Test::Tls;
use Bulan::Test::Port 'free_port';
use Bulan::Test::Process qw(wait_until patience);

my $prefix = Bulan::Test::Server::new_tree();
my $tls    = Bulan::Test::Tls->new($prefix);
my $ca     = $tls->authority->{cert};
my $where  = free_port();
my $silent = free_port();
my $url    = "http://127.0.0.1:$where";
my %cert = (
    (map { $_ => $tls->certificate("$_.test", ocsp => "$url/$_") } qw(good revoked client banned broken)),
    named => $tls->certificate('named.test', ocsp => "http://localhost:$where/named"),
    none  => $tls->certificate('none.test'),
);

# The path says who is asked about: GET /NAME/REQUEST.
my $responder = Bulan::Test::Backend->tcp(sub {
    my ($connection) = @_;
    local $SIG{CHLD} = 'DEFAULT';
    my $head = $connection->take(qr/\r\n\r\n/, time + 5);
    my ($name, $request) = $head =~ m{^GET (?:/([a-z]+))?/(\S+) HTTP/1\.0\r\n} or return;
    return if ($name || '') eq 'broken';
    $request =~ s/%(..)/chr hex $1/ge;
    my $der = $tls->ocsp_response(decode_base64($request), @cert{qw(revoked banned)});
    $connection->send("HTTP/1.0 200 OK\r\nContent-Type: application/ocsp-response\r\n\r\n$der");
}, where => $where, parallel => 1);

my %port = map { $_ => free_port() } qw(good revoked named none client cached leafless);
my $stapling = sub {
    my ($name, $more) = @_;
    return "server { listen $port{$name} ssl; ssl_certificate $cert{$name}{cert}; ssl_certificate_key $cert{$name}{key};
        ssl_stapling on; ssl_trusted_certificate $ca; $more }\n";
};
my $asking = sub {
    my ($name, $more) = @_;
    return "server { listen $port{$name} ssl; ssl_certificate $cert{good}{cert}; ssl_certificate_key $cert{good}{key};
        ssl_client_certificate $ca; ssl_verify_client on; ssl_ocsp on; $more
        location / { return 200 '\$ssl_client_verify'; }
        error_page 400 495 \@refused;
        location \@refused { return 403 '\$ssl_client_verify'; } }\n";
};

my $server = Bulan::Test::Server->new(
    prefix      => $prefix,
    config      => 'location / { }',
    http_config => $stapling->('good', 'ssl_stapling_verify on;') . $stapling->('revoked', '')
        . $stapling->('named', '') . $stapling->('none', "ssl_stapling_responder $url/none;")
        . $asking->('client', '') . $asking->('cached', 'ssl_ocsp_cache shared:ocsp:1m;')
        . $asking->('leafless', "ssl_ocsp_responder http://127.0.0.1:$silent;"),
);
$server->start;

sub status {
    my ($name) = @_;
    return scalar `timeout @{[patience(10)]} openssl s_client -connect 127.0.0.1:$port{$name} -status </dev/null 2>&1`;
}

sub verdict {
    my ($name, $client) = @_;
    return scalar `curl -sk -m @{[patience(10)]} --cert $cert{$client}{cert} --key $cert{$client}{key} https://127.0.0.1:$port{$name}/`;
}

# ---- stapling

for my $name (qw(good named none)) {
    like status($name), qr/OCSP response: no response sent/, "$name: the first goes without";
    my $text = '';
    ok wait_until(10, sub { ($text = status($name)) =~ /OCSP Response Status: successful/ }), "$name: stapled then";
    like $text, qr/Cert Status: good/, 'the answer';
}
$responder->mark;
like status('good'), qr/Cert Status: good/, 'again';
status('revoked');
ok wait_until(10, sub { $server->log =~ /certificate status "revoked" in the OCSP response/ }), 'told of one that is revoked';
like status('revoked'), qr/no response sent/, 'and it is not stapled';
unlike $responder->received(qr{/revoked/}), qr{/good/}, 'an answer serves for a while';

# ---- clients

is verdict('client', 'client'), 'SUCCESS', 'a good certificate';
is verdict('client', 'banned'), 'FAILED:certificate revoked', 'a revoked one';
is verdict('client', 'broken'), 'FAILED:certificate status request failed', 'a responder that does not answer';
is verdict('client', 'none'), 'FAILED:certificate status request failed', 'a certificate that names no responder';
is verdict('leafless', 'client'), 'FAILED:certificate status request failed', 'nobody there';
$responder->mark;
is verdict('cached', 'client'), 'SUCCESS', 'into the cache' for 1 .. 2;
is verdict('cached', 'banned'), 'FAILED:certificate revoked', 'into the cache, revoked' for 1 .. 2;
my @asked = $responder->received(qr{/banned/}) =~ m{^GET /(client|banned)/}mg;
is "@asked", 'client banned', 'asked about each once';

$server->stop;

# ---- bad configurations

my $pair = "ssl_certificate $cert{good}{cert}; ssl_certificate_key $cert{good}{key};";
for my $case (
    ["$pair ssl_client_certificate $ca; ssl_verify_client optional_no_ca; ssl_ocsp on;", qr/"ssl_ocsp" is incompatible with/],
    ["$pair ssl_client_certificate $ca; ssl_verify_client on; ssl_ocsp on; ssl_ocsp_responder https://x;", qr/invalid URL prefix in OCSP responder "https:\/\/x"/],
    ["$pair ssl_client_certificate $ca; ssl_verify_client on; ssl_ocsp on; ssl_ocsp_cache shared:x;", qr/invalid OCSP cache/],
    ["$pair ssl_ocsp maybe;", qr/invalid value "maybe"/],
) {
    my ($lines, $error) = @$case;
    Bulan::Test::Tls::write_file("$prefix/bad.conf", "events {}\nhttp { server { listen 127.0.0.1:1 ssl; $lines } }\n");
    my $said = `@{[Bulan::Test::Server::binary()]} -p $prefix -c $prefix/bad.conf -t 2>&1`;
    like $said, $error, "told: $error";
}
Bulan::Test::Tls::write_file("$prefix/odd.conf", "events {}\nhttp { server { listen 127.0.0.1:1 ssl; $pair ssl_stapling on; } }\n");
like `@{[Bulan::Test::Server::binary()]} -p $prefix -c $prefix/odd.conf -t 2>&1`,
    qr/\[warn\] "ssl_stapling" ignored, issuer certificate not found.*test is successful/s, 'no issuer is no reason to stop';

done_testing;
