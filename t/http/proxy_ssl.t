# proxy_ssl_…: what the server says and checks when it is the client of TLS.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Bulan::Test::Server;
use Bulan::Test::Tls;

my $tls = Bulan::Test::Tls->new;
my $ca = $tls->authority->{cert};
my %cert = map { $_ => $tls->certificate($_) } qw(up.test other.test alice bob);
my $locked = $tls->certificate('carol', password => 'secret');
my $folder = $tls->folder;
open my $out, '>', "$folder/passwords" or die; print $out "wrong\nsecret\n"; close $out;
for my $who (qw(alice bob)) {
    for my $kind (qw(cert key)) {
        open my $in, '<', $cert{$who}{$kind} or die;
        open my $to, '>', "$folder/$who.$kind" or die;
        print $to do { local $/; <$in> };
        close $to;
        chmod 0644, "$folder/$who.$kind";
    }
}

my $to = 'proxy_pass https://127.0.0.1:$TEST_NGINX_RAND_PORT_1';
my $server = Bulan::Test::Server->new(
    http_config => "
        upstream kept { server 127.0.0.1:\$TEST_NGINX_RAND_PORT_1; keepalive 8; }
        server {
            listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_1 ssl;
            server_name up.test;
            ssl_certificate $cert{'up.test'}{cert}; ssl_certificate_key $cert{'up.test'}{key};
            ssl_verify_client optional; ssl_client_certificate $ca;
            ssl_session_cache builtin;
            location / { return 200 \"\$ssl_server_name|\$ssl_client_s_dn|\$ssl_session_reused|\$ssl_protocol|\$connection_requests\"; }
        }
        server {
            listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_1 ssl; server_name other.test;
            ssl_certificate $cert{'other.test'}{cert}; ssl_certificate_key $cert{'other.test'}{key};
            location / { return 200 other; }
        }",
    config => "
        location /plain { $to; }
        location /name { $to; proxy_ssl_server_name on; proxy_ssl_name \$arg_n; proxy_set_header Host \$arg_n; }
        location /good { $to; proxy_ssl_verify on; proxy_ssl_trusted_certificate $ca; proxy_ssl_name up.test; proxy_ssl_server_name on; }
        location /bad { $to; proxy_ssl_verify on; proxy_ssl_trusted_certificate $ca; proxy_ssl_name else.test; }
        location /unknown { $to; proxy_ssl_verify on; proxy_ssl_trusted_certificate $cert{'up.test'}{cert}; proxy_ssl_name up.test; proxy_ssl_verify_depth 0; }
        location /v12 { $to; proxy_ssl_protocols TLSv1.2; }
        location /fixed { $to; proxy_ssl_certificate $cert{alice}{cert}; proxy_ssl_certificate_key $cert{alice}{key};
            location /fixed/none { $to; proxy_ssl_certificate ''; }
            location /fixed/same { $to; } }
        location /locked { $to; proxy_ssl_certificate $locked->{cert}; proxy_ssl_certificate_key $locked->{key}; proxy_ssl_password_file $folder/passwords; }
        location /who { proxy_pass https://kept; proxy_set_header Connection ''; proxy_ssl_certificate \$arg_c; proxy_ssl_certificate_key \$arg_k; }
        location /cached { $to; proxy_ssl_certificate $folder/\$arg_w.cert; proxy_ssl_certificate_key $folder/\$arg_w.key; proxy_ssl_certificate_cache max=10 valid=1h; }
        location /once { $to; proxy_ssl_session_reuse off; proxy_ssl_protocols TLSv1.2; }
        location /again { $to; proxy_ssl_protocols TLSv1.2; }
    ")->start;

sub said { my $r = $server->get($_[0]); return $r->{status} == 200 ? $r->{body} : $r->{status} }
sub dn { return (split /\|/, said($_[0]), -1)[1] }

like said('/plain'), qr/^\|\|\.\|TLSv1\.3\|1$/, 'no name, no certificate';
like said('/name?n=up.test'), qr/^up\.test\|/, 'the name that is asked for';
is said('/name?n=other.test'), 'other', 'decides on the server';
like said('/good'), qr/^up\.test\|/, 'verified';
is said('/bad'), 502, 'another name';
ok $server->wait_log(qr/upstream SSL certificate verify error/), 'said';
is said('/unknown'), 502, 'another authority';
like said('/v12'), qr/TLSv1\.2/, 'protocols';
like dn('/fixed'), qr/CN=alice/, 'a certificate';
is dn('/fixed/none'), '', 'none below';
like dn('/fixed/same'), qr/CN=alice/, 'inherited';
like dn('/locked'), qr/CN=carol/, 'its key with a password';

my $args = sub { "c=$folder/$_[0].cert&k=$folder/$_[0].key" };
like dn('/who?' . $args->('alice')), qr/CN=alice/, 'by variable';
like dn('/who?' . $args->('bob')), qr/CN=bob/, 'another: no connection of the first is taken';
like said('/who?' . $args->('alice')), qr/CN=alice.*\|2$/, 'but the kept one of the same';
is dn('/who'), '', 'an empty value: none';
is said('/who?c=/none&k=/none'), 500, 'one that is not there';
ok $server->wait_log(qr{cannot load certificate "/none"}), 'said';
like dn('/cached?w=alice'), qr/CN=alice/, 'kept in memory';
unlink "$folder/alice.cert";
like dn('/cached?w=alice'), qr/CN=alice/, 'when the file is gone';

said('/once') for 1, 2;
like said('/once'), qr/\|\.\|TLSv1\.2/, 'sessions are not resumed';
said('/again');
like said('/again'), qr/\|r\|TLSv1\.2/, 'sessions are resumed';
$server->stop;

my $conf = $server->path('bad.conf');
open my $bad, '>', $conf or die;
print $bad "events {}\nhttp { server { location / { proxy_pass https://127.0.0.1; proxy_ssl_certificate $cert{alice}{cert}; } } }\n";
close $bad;
my ($binary, $prefix) = (Bulan::Test::Server::binary(), $server->prefix);
like scalar `$binary -p $prefix -c $conf -t 2>&1`, qr/no "proxy_ssl_certificate_key" is defined for certificate/, 'no key';

done_testing;
