package Bulan::Test::Backend;

# A scripted server, in a process of its own, for what the server under test connects to.
#
#     my $backend = Bulan::Test::Backend->tcp(sub {
#         my ($connection, $number) = @_;               # Bulan::Test::Client's methods, from 1
#         my $request = $connection->take(qr/\r\n\r\n/, time + 5);
#         $connection->send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
#     });
#     ... proxy_pass http://127.0.0.1:$port, with $port = $backend->port ...
#     is $backend->received, "GET / HTTP/1.1...";       # all that was read, every connection
#
#     my $echo = Bulan::Test::Backend->udp(sub { my ($datagram, $number) = @_; return ($datagram) });
#
# TCP connections are served one after another, or each in a process of its own with
# parallel => 1. The connection closes when the code returns. `where` is a port or the path of a
# unix socket.

use strict;
use warnings;
use File::Temp ();
use IO::Socket::INET;
use IO::Socket::UNIX;
use POSIX ();
use Bulan::Test::Client;
use Bulan::Test::Port 'free_port';
use Bulan::Test::Process qw(in_vain wait_until);

sub tcp { my ($class, $code, %option) = @_; return $class->begin('tcp', $code, %option) }
sub udp { my ($class, $code, %option) = @_; return $class->begin('udp', $code, %option) }

sub begin {
    my ($class, $kind, $code, %option) = @_;

    my $where = defined $option{where} ? $option{where} : free_port();
    my $self  = bless {
        where => $where, kind => $kind, record => File::Temp->new(TEMPLATE => 'bulan-backend-XXXXXX', TMPDIR => 1),
    }, $class;
    my $socket = open_socket($kind, $where);
    my $record = $self->{record}->filename;

    $self->{process} = Bulan::Test::Process->spawn(sub {
        open my $out, '>>:raw', $record or die "$record: $!";
        $out->autoflush(1);
        $kind eq 'tcp' ? serve_tcp($socket, $code, $out, $option{parallel}) : serve_udp($socket, $code, $out);
    });
    return $self;
}

sub open_socket {
    my ($kind, $where) = @_;
    my $type = $kind eq 'tcp' ? Socket::SOCK_STREAM() : Socket::SOCK_DGRAM();
    my @listen = $kind eq 'tcp' ? (Listen => 128) : ();
    my $socket;

    if ($where =~ m{/}) {
        unlink $where;
        $socket = IO::Socket::UNIX->new(Local => $where, Type => $type, @listen);
        chmod 0777, $where if $socket;
    } else {
        my ($host, $port) = $where =~ /^(.*):(\d+)\z/ ? ($1, $2) : ('127.0.0.1', $where);
        $socket = IO::Socket::INET->new(
            LocalAddr => $host, LocalPort => $port, Proto => $kind, Type => $type, @listen,
            ($kind eq 'tcp' ? (ReuseAddr => 1) : ()),
        );
    }
    return $socket || die "cannot listen on $where ($kind): $!\n";
}

sub serve_tcp {
    my ($listener, $code, $out, $parallel) = @_;
    $SIG{CHLD} = 'IGNORE' if $parallel;

    for (my $number = 1; ; $number++) {
        my $socket = $listener->accept or next;
        if ($parallel) {
            my $pid = fork;
            next if $pid;
        }
        my $connection = Bulan::Test::Backend::Connection->adopt($socket, $out);
        eval { $code->($connection, $number); 1 } or print STDERR "backend: $@";
        $connection->close;
        POSIX::_exit(0) if $parallel;
    }
}

sub serve_udp {
    my ($socket, $code, $out) = @_;

    for (my $number = 1; ; $number++) {
        defined(my $from = $socket->recv(my $datagram, 65536)) or next;
        print $out $datagram;
        my @replies = eval { $code->($datagram, $number) };
        print STDERR "backend: $@" if $@;
        $socket->send($_, 0, $from) for @replies;
    }
}

sub port { $_[0]{where} }
sub pid  { $_[0]{process}->pid }

# mark(): what was received so far does not count any more.
sub mark { $_[0]{start} = -s $_[0]{record}->filename }

# received([LENGTH or PATTERN]): the bytes read since the last mark; with an argument, once there are
# that many or the pattern matches (or a few seconds have gone).
sub received {
    my ($self, $until) = @_;
    my $bytes;
    wait_until(in_vain, sub {
        open my $in, '<:raw', $self->{record}->filename or return 1;
        local $/;
        seek $in, $self->{start} || 0, 0;
        $bytes = <$in>;
        $bytes = '' if !defined $bytes;
        return 1 if !defined $until;
        return ref $until ? $bytes =~ $until : length $bytes >= $until;
    });
    return $bytes;
}

sub stop { my ($self) = @_; $self->{process}->finish('KILL') }

package Bulan::Test::Backend::Connection;

use parent -norequire, 'Bulan::Test::Client';

sub adopt {
    my ($class, $socket, $record) = @_;
    $socket->autoflush(1);
    return bless { socket => $socket, buffer => '', timeout => 10, record => $record }, $class;
}

sub fill {
    my ($self, $end) = @_;
    my $before = length $self->{buffer};
    my $error  = $self->SUPER::fill($end);
    my $out    = $self->{record};
    print $out substr $self->{buffer}, $before;
    return $error;
}

# request(): the head and the body (by Content-Length or chunked, as it came) of the next HTTP
# request: { head, method, target, headers, body }, or undef when the peer closed.
sub request {
    my ($self, $seconds) = @_;
    my $end  = Time::HiRes::time() + Bulan::Test::Process::patience($seconds || 10);
    my $head = eval { $self->take(qr/\r\n\r\n/, $end) };
    return undef if !defined $head;

    my ($line, @fields) = split /\r\n/, $head;
    my ($method, $target) = split / /, $line;
    my $request = {
        head => $head, method => $method, target => $target, body => '', trailers => {},
        headers => Bulan::Test::Client::parse_fields(@fields),
    };
    if ($request->{headers}{'transfer-encoding'}) {
        $self->read_chunked($request, $end);
    } elsif (my $length = $request->{headers}{'content-length'}) {
        $self->read_counted($request, $length->[0], $end);
    }
    return $request;
}

1;
