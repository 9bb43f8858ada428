package Bulan::Test::Client;

# One connection of an HTTP/1 client that believes nothing: it sends bytes as they are and takes a
# response apart by the rules of RFC 9112, so that a wrong length or a missing last chunk shows.
#
#     my $client = Bulan::Test::Client->connect($port);
#     $client->send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
#     my $response = $client->response;
#
# A response is a hash:
#     status    200            headers   { 'content-type' => ['text/plain'], ... }
#     reason    "OK"           raw       "HTTP/1.1 200 OK\r\n...", up to the empty line
#     version   "1.1"          body      after chunked coding is undone
#     trailers  like headers   interim   [the raw 1xx responses before it]
#     error     undef, or why it is not complete: "timeout", "closed", "malformed: ..."

use strict;
use warnings;
use Errno qw(EAGAIN EINTR EWOULDBLOCK);
use IO::Select;
use IO::Socket::INET;
use IO::Socket::UNIX;
use Time::HiRes 'time';
use Bulan::Test::Process 'patience';

# connect(PORT or PATH, [timeout => SECONDS])
sub connect {
    my ($class, $where, %option) = @_;
    my $socket = $where =~ m{/}
        ? IO::Socket::UNIX->new(Peer => $where)
        : IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $where, Proto => 'tcp');
    die "cannot connect to $where: $!\n" if !$socket;
    binmode $socket;
    $socket->autoflush(1);
    my $self = bless { socket => $socket, buffer => '', timeout => $option{timeout} || 5 }, $class;
    return $self;
}

sub socket { $_[0]{socket} }
sub close  { CORE::close delete $_[0]{socket} if $_[0]{socket} }

# build(METHOD, PATH, headers => [NAME => VALUE, ...], body => BYTES, version => '1.1'): a request.
# Host, Connection: close and Content-Length are added where the headers do not speak of them.
sub build {
    my ($class, $method, $path, %option) = @_;
    my @headers = @{ $option{headers} || [] };
    my $version = $option{version} || '1.1';
    my $body    = defined $option{body} ? $option{body} : '';
    my (%has, $text);

    for (my $i = 0; $i < @headers; $i += 2) {
        $has{ lc $headers[$i] } = 1;
    }
    unshift @headers, Connection => $option{connection} || 'close' if !$has{connection};
    unshift @headers, Host => 'localhost' if !$has{host};
    push @headers, 'Content-Length' => length $body
        if length $body && !$has{'content-length'} && !$has{'transfer-encoding'};

    $text = "$method $path HTTP/$version\r\n";
    while (my ($name, $value) = splice @headers, 0, 2) {
        $text .= "$name: $value\r\n";
    }
    return "$text\r\n$body";
}

# send(BYTES): all of them; false when the server closed before it took them.
sub send {
    my ($self, $bytes) = @_;
    local $SIG{PIPE} = 'IGNORE';
    my $end = time + patience($self->{timeout});

    while (length $bytes) {
        my $left = $end - time;
        return 0 if $left <= 0 || !IO::Select->new($self->{socket})->can_write($left);
        my $n = $self->{socket}->syswrite($bytes, 65536);
        if (defined $n) {
            substr($bytes, 0, $n) = '';
        } elsif ($! != EAGAIN && $! != EINTR && $! != EWOULDBLOCK) {
            return 0;
        }
    }
    return 1;
}

# shutdown(): no more bytes from us.
sub shutdown { shutdown $_[0]{socket}, 1 }

# fill(END): more bytes into the buffer; "" on success, else "timeout" or "closed".
sub fill {
    my ($self, $end) = @_;
    my $left = $end - time;
    return 'timeout' if $left <= 0 || !IO::Select->new($self->{socket})->can_read($left);

    my $n = $self->{socket}->sysread($self->{buffer}, 65536, length $self->{buffer});
    return '' if $n || (!defined $n && ($! == EINTR || $! == EAGAIN));
    return 'closed';
}

# read_all([SECONDS]): what comes until the server closes. A second value is "timeout" when it
# did not.
sub read_all {
    my ($self, $seconds) = @_;
    my $end = time + patience($seconds || $self->{timeout});
    my $why;
    1 while !($why = $self->fill($end));
    my $bytes = $self->{buffer};
    $self->{buffer} = '';
    return wantarray ? ($bytes, $why eq 'closed' ? '' : $why) : $bytes;
}

# is_closed([SECONDS]): waits for the server to close; true when it did and nothing was left over.
sub is_closed {
    my ($self, $seconds) = @_;
    my ($rest, $error) = $self->read_all($seconds);
    return $rest eq '' && $error eq '';
}

# take(WHAT, END): removes from the buffer, reading as needed: a count of bytes, or up to and with
# the first match of a pattern. Dies with the reason.
sub take {
    my ($self, $what, $end) = @_;

    while (1) {
        if (ref $what) {
            return substr $self->{buffer}, 0, $+[0], '' if $self->{buffer} =~ $what;
        } elsif (length $self->{buffer} >= $what) {
            return substr $self->{buffer}, 0, $what, '';
        }
        my $error = $self->fill($end);
        die "$error\n" if $error;
    }
}

# response([method => 'GET'], [timeout => SECONDS]): the next one.
sub response {
    my ($self, %option) = @_;
    my $end      = time + patience($option{timeout} || $self->{timeout});
    my $response = { headers => {}, trailers => {}, body => '', raw => '', interim => [], status => 0, reason => '', version => '' };

    eval {
        $self->read_head($response, $end);
        while ($response->{status} >= 100 && $response->{status} < 200 && $response->{status} != 101) {
            push @{ $response->{interim} }, $response->{raw};
            $self->read_head($response, $end);
        }
        $self->read_body($response, $option{method} || 'GET', $end);
        1;
    } or do {
        chomp(my $error = $@);
        $response->{error} = $error;
        $response->{raw} = $self->{buffer} if $response->{raw} eq '';
    };
    return $response;
}

sub read_head {
    my ($self, $response, $end) = @_;

    $response->{raw} = $self->take(qr/\r\n\r\n/, $end);
    my ($line, @fields) = split /\r\n/, $response->{raw};
    $line =~ m{\AHTTP/(\d\.\d) (\d{3}) ?(.*)\z} or die "malformed: status line '$line'\n";
    @$response{qw(version status reason)} = ($1, $2 + 0, $3);
    $response->{headers} = parse_fields(@fields);
}

sub parse_fields {
    my %headers;
    for (@_) {
        /\A([!#\$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*?)[ \t]*\z/s or die "malformed: header line '$_'\n";
        push @{ $headers{ lc $1 } }, $2;
    }
    return \%headers;
}

sub read_body {
    my ($self, $response, $method, $end) = @_;
    my $headers = $response->{headers};
    my $status  = $response->{status};

    return if $method eq 'HEAD' || $status == 204 || $status == 304 || $status == 101;
    if ($headers->{'transfer-encoding'}) {
        die "malformed: both Transfer-Encoding and Content-Length\n" if $headers->{'content-length'};
        return $self->read_chunked($response, $end);
    }
    if (my $lengths = $headers->{'content-length'}) {
        die "malformed: Content-Length @$lengths\n" if @$lengths > 1 || $lengths->[0] !~ /\A\d+\z/;
        return $self->read_counted($response, $lengths->[0], $end);
    }
    my $why;
    1 while !($why = $self->fill($end));
    $response->{body} = $self->{buffer};
    $self->{buffer} = '';
    die "$why\n" if $why ne 'closed';
}

# What came of a body that is not complete is kept.
sub read_counted {
    my ($self, $response, $length, $end) = @_;
    my $bytes = eval { $self->take($length, $end) };
    my $error = $@;

    $bytes = $self->{buffer} if !defined $bytes;
    $response->{body} .= $bytes;
    die $error if $error;
}

sub read_chunked {
    my ($self, $response, $end) = @_;

    while (1) {
        my $line = $self->take(qr/\r\n/, $end);
        $line =~ /\A([0-9A-Fa-f]+)(?:[ \t]*;.*)?\r\n\z/ or die "malformed: chunk size '$line'\n";
        my $size = hex $1;
        last if !$size;
        $self->read_counted($response, $size, $end);
        $self->take(2, $end) eq "\r\n" or die "malformed: no line end after a chunk\n";
    }
    my @trailers;
    while ((my $line = $self->take(qr/\r\n/, $end)) ne "\r\n") {
        $line =~ s/\r\n\z//;
        push @trailers, $line;
    }
    $response->{trailers} = parse_fields(@trailers);
}

# left_over(): bytes that came behind the responses taken so far.
sub left_over { $_[0]{buffer} }

sub DESTROY { $_[0]->close }

1;
