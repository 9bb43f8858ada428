package Bulan::Test::Memcached;

# A real memcached on a free port: Bulan::Test::Memcached->start('-m', 8, ...). Its port is also in
# $TEST_NGINX_MEMCACHED_PORT.

use strict;
use warnings;
use Bulan::Test::Port 'free_port';
use Bulan::Test::Process qw(wait_port);

sub available { return !!grep { -x "$_/memcached" } split /:/, $ENV{PATH} }

sub start {
    my ($class, @arguments) = @_;
    my $self = bless { port => free_port() }, $class;
    my @user = $> ? () : ('-u', 'nobody');

    $self->{process} = Bulan::Test::Process->spawn(
        ['memcached', '-l', '127.0.0.1', '-p', $self->{port}, '-U', 0, @user, @arguments]);
    wait_port($self->{port}, 10) or die "memcached does not start\n";
    $ENV{TEST_NGINX_MEMCACHED_PORT} = $self->{port};
    return $self;
}

sub port { $_[0]{port} }
sub pid  { $_[0]{process}->pid }
sub stop { $_[0]{process}->finish('TERM') }

1;
