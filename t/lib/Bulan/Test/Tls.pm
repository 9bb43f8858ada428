package Bulan::Test::Tls;

# Certificates for tests, made by the openssl command:
#
#     my $tls  = Bulan::Test::Tls->new($folder);            # with an authority of its own
#     my $cert = $tls->certificate('a.test', names => ['a.test', '*.a.test']);
#     ... ssl_certificate $cert->{cert}; ssl_certificate_key $cert->{key}; ...
#     ... proxy_ssl_trusted_certificate, with $tls->authority->{cert} ...
#
# Every certificate is { cert => FILE, key => FILE }, PEM. Options: names (subjectAltName; "IP:..."
# for addresses), days (1; a negative number has expired already), rsa => BITS (default: P-256),
# password => of the key, self_signed => 1, ocsp => URL of the responder that it names.
#
#     my $der = $tls->ocsp_response($request, $revoked_cert, ...);    # what a responder answers

use strict;
use warnings;
use POSIX ();
use Bulan::Test::Server;

sub new {
    my ($class, $folder) = @_;
    $folder ||= Bulan::Test::Server::new_tree();
    my $self = bless { folder => $folder, serial => 1 }, $class;
    $self->{authority} = $self->make('authority', 'Test Authority', self_signed => 1, authority => 1);
    return $self;
}

sub folder    { $_[0]{folder} }
sub authority { $_[0]{authority} }

# certificate(NAME, OPTION => VALUE, ...): signed by the authority.
sub certificate {
    my ($self, $name, %option) = @_;
    (my $file = $name) =~ s/[^\w.-]/_/g;
    $file .= '-' . $self->{serial}++;
    return $self->make($file, $name, names => [$name], %option);
}

sub make {
    my ($self, $file, $name, %option) = @_;
    my $base = "$self->{folder}/$file";
    my $made = { cert => "$base.crt", key => "$base.key", serial => 1000 + $self->{serial} };
    my @kind = $option{rsa} ? ('-newkey', "rsa:$option{rsa}") : qw(-newkey ec -pkeyopt ec_paramgen_curve:P-256);

    run(qw(openssl req -new), @kind, '-nodes', '-keyout', $made->{key}, '-out', "$base.csr", '-subj', "/CN=$name");
    write_file("$base.ext", extensions(%option));
    my @signer = $option{self_signed} ? ('-signkey', $made->{key})
        : ('-CA', $self->{authority}{cert}, '-CAkey', $self->{authority}{key}, '-set_serial', $made->{serial});
    $self->{serial}++;
    run(qw(openssl x509 -req -in), "$base.csr", @signer, '-days', defined $option{days} ? $option{days} : 1,
        '-extfile', "$base.ext", '-out', $made->{cert});
    if ($option{password}) {
        run(qw(openssl pkey -aes256 -in), $made->{key}, '-out', "$base.new", '-passout', "pass:$option{password}");
        rename "$base.new", $made->{key};
    }
    chmod 0644, $made->{key};
    return $made;
}

sub extensions {
    my (%option) = @_;
    return "basicConstraints=critical,CA:TRUE\n" if $option{authority};
    my @names = map { /^(?:IP|DNS|URI):/ ? $_ : "DNS:$_" } @{ $option{names} || [] };
    my $ocsp = $option{ocsp} ? "authorityInfoAccess=OCSP;URI:$option{ocsp}\n" : '';
    return $ocsp . (@names ? 'subjectAltName=' . join(',', @names) . "\n" : "basicConstraints=CA:FALSE\n");
}

# The authority's answer to a request in DER: all of its certificates are good, but those given.
sub ocsp_response {
    my ($self, $request, @revoked) = @_;
    my $base = "$self->{folder}/ocsp-$$";
    my %revoked = map { $_->{serial} => 1 } @revoked;
    my $day = POSIX::strftime('%y%m%d%H%M%SZ', gmtime(time + 86400));
    my $now = POSIX::strftime('%y%m%d%H%M%SZ', gmtime(time - 60));

    write_file("$base.index", join '', map {
        sprintf "%s\t%s\t%s\t%04X\tunknown\t/CN=%d\n", $revoked{$_} ? 'R' : 'V', $day, $revoked{$_} ? $now : '', $_, $_;
    } 1000 .. 1000 + $self->{serial});
    write_file("$base.request", $request);
    run(qw(openssl ocsp -ndays 1 -index), "$base.index", '-CA', $self->{authority}{cert},
        '-rsigner', $self->{authority}{cert}, '-rkey', $self->{authority}{key},
        '-reqin', "$base.request", '-respout', "$base.response");
    return Bulan::Test::Server::slurp("$base.response");
}

sub write_file {
    my ($file, $text) = @_;
    open my $out, '>', $file or die "$file: $!";
    print $out $text;
    close $out;
}

sub run {
    my (@command) = @_;
    my $pid = open my $out, '-|';
    die "fork: $!" if !defined $pid;
    if (!$pid) {
        open STDERR, '>&', \*STDOUT;
        exec @command or POSIX::_exit(127);
    }
    my $text = join '', <$out>;
    close $out or die "@command failed:\n$text\n";
}

1;
