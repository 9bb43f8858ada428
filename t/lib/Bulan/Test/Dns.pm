package Bulan::Test::Dns;

# A name server for tests of the resolver, on one free port for UDP and TCP:
#
#     my $dns = Bulan::Test::Dns->start({
#         'a.test'     => { A => ['127.0.0.1'], AAAA => ['::1'], ttl => 5 },
#         'b.test'     => { CNAME => 'a.test' },
#         'none.test'  => { rcode => 2 },                   # SERVFAIL; names not listed: NXDOMAIN
#         'big.test'   => { A => [...], truncate => 1 },    # the answer only over TCP
#         'slow.test'  => { A => [...], delay => 0.2 },
#         'lossy.test' => { A => [...], drop => 2 },        # the first two queries get no answer
#         '_x._tcp.test' => { SRV => [[10, 5, 8080, 'a.test']] },
#         'moving.test' => sub { return { A => [...] } },   # asked with each query; undef: NXDOMAIN
#         '1.0.0.127.in-addr.arpa' => { PTR => 'a.test' },
#     });
#     ... resolver 127.0.0.1:$TEST_NGINX_DNS_PORT; ...
#     is_deeply [$dns->queries], ['a.test A udp'];
#
# `reply => sub { my ($query, $name, $type) = @_; return $bytes }` answers with bytes as they are.
# An alias is followed within the table, and its target's records are in the same answer, unless
# the row says alone => 1.

use strict;
use warnings;
use File::Temp ();
use IO::Select;
use IO::Socket::INET;
use Socket qw(inet_pton AF_INET AF_INET6);
use Time::HiRes qw(time sleep);
use Bulan::Test::Port 'free_port';
use Bulan::Test::Process qw(in_vain wait_until);

my %TYPE = (A => 1, CNAME => 5, SOA => 6, PTR => 12, TXT => 16, AAAA => 28, SRV => 33);
my %NAME = reverse %TYPE;

sub start {
    my ($class, $table, %option) = @_;

    my $port = free_port();
    my $self = bless { port => $port, record => File::Temp->new(TEMPLATE => 'bulan-dns-XXXXXX', TMPDIR => 1) }, $class;
    my %listen = (LocalAddr => '127.0.0.1', LocalPort => $port);
    my $udp = IO::Socket::INET->new(%listen, Proto => 'udp') or die "DNS on port $port: $!";
    my $tcp = IO::Socket::INET->new(%listen, Proto => 'tcp', Listen => 16, ReuseAddr => 1) or die "DNS on port $port: $!";
    my $record = $self->{record}->filename;

    $self->{process} = Bulan::Test::Process->spawn(sub {
        open my $out, '>>', $record or die "$record: $!";
        $out->autoflush(1);
        my $server = bless { table => { map { lc $_ => $table->{$_} } keys %$table }, out => $out, asked => {} }, $class;
        $server->serve($udp, $tcp);
    });
    $ENV{TEST_NGINX_DNS_PORT} = $port;
    return $self;
}

sub port { $_[0]{port} }
sub stop { $_[0]{process}->finish('KILL') }

# queries(): "NAME TYPE udp|tcp" for each query so far; with a count, once there are that many.
sub queries {
    my ($self, $count) = @_;
    my @lines;
    wait_until(in_vain, sub {
        open my $in, '<', $self->{record}->filename or return 1;
        chomp(@lines = <$in>);
        return @lines >= ($count || 0);
    });
    return @lines;
}

# Late answers wait in {later} as [time, code], so that a slow name delays no other.
sub serve {
    my ($self, $udp, $tcp) = @_;
    my $select = IO::Select->new($udp, $tcp);
    $self->{later} = [];

    while (1) {
        my ($next) = sort { $a <=> $b } map { $_->[0] } @{ $self->{later} };
        my $pause = defined $next ? $next - time : undef;
        for my $socket ($select->can_read(defined $pause && $pause < 0 ? 0 : $pause)) {
            if ($socket == $udp) {
                $self->on_udp($udp);
            } elsif ($socket == $tcp) {
                my $connection = $tcp->accept;
                $select->add($connection) if $connection;
            } elsif (!$self->on_tcp($socket)) {
                $select->remove($socket);
                close $socket;
            }
        }
        my $now = time;
        my @due = grep { $_->[0] <= $now } @{ $self->{later} };
        $self->{later} = [grep { $_->[0] > $now } @{ $self->{later} }];
        $_->[1]->() for @due;
    }
}

sub on_udp {
    my ($self, $socket) = @_;
    defined(my $from = $socket->recv(my $query, 4096)) or return;
    my ($answer, $delay) = $self->answer($query, 'udp');
    return if !defined $answer;
    my $send = sub { $socket->send($answer, 0, $from) };
    $delay ? push @{ $self->{later} }, [time + $delay, $send] : $send->();
}

sub on_tcp {
    my ($self, $socket) = @_;
    my $length = read_exactly($socket, 2);
    return 0 if !defined $length;
    my $query = read_exactly($socket, unpack 'n', $length);
    return 0 if !defined $query;
    my ($answer, $delay) = $self->answer($query, 'tcp');
    return 1 if !defined $answer;
    my $send = sub { $socket->syswrite(pack('n', length $answer) . $answer) };
    $delay ? push @{ $self->{later} }, [time + $delay, $send] : $send->();
    return 1;
}

sub read_exactly {
    my ($socket, $length) = @_;
    my $bytes = '';
    while (length $bytes < $length) {
        return undef if !IO::Select->new($socket)->can_read(5);
        return undef if !$socket->sysread($bytes, $length - length $bytes, length $bytes);
    }
    return $bytes;
}

sub row {
    my ($self, $name) = @_;
    my $row = $self->{table}{ lc $name };
    return ref $row eq 'CODE' ? $row->() : $row;
}

sub answer {
    my ($self, $query, $protocol) = @_;
    my ($id, $flags, $count) = unpack 'nnn', $query;
    my ($name, $end) = read_name($query, 12);
    my ($type) = unpack 'n', substr $query, $end, 2;
    my $question = substr $query, 12, $end + 4 - 12;
    my $out = $self->{out};

    print $out join(' ', $name, $NAME{$type} || "TYPE$type", $protocol), "\n";
    my $row = $self->row($name);
    return (head($id, 3, 0) . $question) if !$row;
    return undef if ($self->{asked}{"$name $type"}++ || 0) < ($row->{drop} || 0);
    return ($row->{reply}->($query, $name, $NAME{$type}), $row->{delay}) if $row->{reply};
    return (head($id, $row->{rcode}, 0) . $question, $row->{delay}) if $row->{rcode};
    return (head($id, 0, 0, 0x0200) . $question, $row->{delay}) if $row->{truncate} && $protocol eq 'udp';

    my @records = $self->records($name, $type);
    return (head($id, 0, scalar @records) . $question . join('', @records), $row->{delay});
}

sub head {
    my ($id, $rcode, $answers, $more) = @_;
    return pack 'n6', $id, 0x8580 | $rcode | ($more || 0), 1, $answers, 0, 0;
}

sub records {
    my ($self, $name, $type) = @_;
    my @records;

    for (1 .. 10) {
        my $row = $self->row($name) or last;
        my $ttl = defined $row->{ttl} ? $row->{ttl} : 60;
        if (my $target = $row->{CNAME}) {
            push @records, record($name, $TYPE{CNAME}, $ttl, write_name($target));
            last if $row->{alone};
            $name = $target;
            next;
        }
        my $values = $row->{ $NAME{$type} || '' };
        $values = [$values] if defined $values && !ref $values;
        push @records, map { record($name, $type, $ttl, data($type, $_)) } @{ $values || [] };
        last;
    }
    return @records;
}

sub data {
    my ($type, $value) = @_;
    return inet_pton(AF_INET, $value)  if $type == $TYPE{A};
    return inet_pton(AF_INET6, $value) if $type == $TYPE{AAAA};
    return write_name($value)          if $type == $TYPE{PTR};
    return pack('n3', @$value[0 .. 2]) . write_name($value->[3]) if $type == $TYPE{SRV};
    return pack('C/a*', $value);
}

sub record {
    my ($name, $type, $ttl, $data) = @_;
    return write_name($name) . pack('nnNn', $type, 1, $ttl, length $data) . $data;
}

sub write_name { return join('', map { pack 'C/a*', $_ } split /\./, $_[0]) . "\0" }

sub read_name {
    my ($query, $at) = @_;
    my @labels;
    while (my $length = unpack 'C', substr $query, $at, 1) {
        push @labels, substr $query, $at + 1, $length;
        $at += 1 + $length;
    }
    return (join('.', @labels), $at + 1);
}

1;
