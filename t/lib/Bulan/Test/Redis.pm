package Bulan::Test::Redis;

# A real redis-server on a free port, empty, without files:
#
#     my $redis = Bulan::Test::Redis->start(requirepass => 'secret');
#     ... $redis->port, also in $TEST_NGINX_REDIS_PORT ...
#
# Options are redis.conf's; tls => 1 with `tls-cert-file` and so on makes the port speak TLS.

use strict;
use warnings;
use Bulan::Test::Port 'free_port';
use Bulan::Test::Process qw(wait_port);
use Bulan::Test::Server;

sub available { return !!grep { -x "$_/redis-server" } split /:/, $ENV{PATH} }

sub start {
    my ($class, %option) = @_;
    my $self = bless { port => free_port(), folder => Bulan::Test::Server::new_tree(), option => \%option }, $class;

    $ENV{TEST_NGINX_REDIS_PORT} = $self->{port};
    return $self->launch;
}

# For a start after stop(), too: on the same port, and empty.
sub launch {
    my ($self) = @_;
    my %option = %{ $self->{option} };
    my @port = delete $option{tls} ? ('--port', 0, '--tls-port', $self->{port}) : ('--port', $self->{port});

    $self->{process} = Bulan::Test::Process->spawn(
        ['redis-server', @port, '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no',
            '--dir', $self->{folder}, map { ("--$_", $option{$_}) } sort keys %option],
        stderr => "$self->{folder}/stderr",
    );
    wait_port($self->{port}, 10) or die "redis-server does not start\n";
    return $self;
}

sub port { $_[0]{port} }
sub pid  { $_[0]{process}->pid }
sub stop { $_[0]{process}->finish('TERM') }

1;
