package Bulan::Test::Database;

# What the starters of database servers have in common (Bulan::Test::MariaDB, Bulan::Test::Postgres):
# a folder of the server's own, a free port and a unix socket in the folder; ready when start()
# returns, gone with the object or the test file. A starter says how to make the data
# (`prepare`) and which program to run (`command`).
#
#     my $db = Bulan::Test::MariaDB->start(...);
#     ... $db->port, $db->socket, $db->folder ...
#     print $db->log;                    # what the server wrote to stderr
#     $db->stop;                         # at once, in the middle of whatever it does
#
# Servers that refuse to run as root run as nobody when the test is run by root.

use strict;
use warnings;
use IO::Socket::UNIX;
use POSIX ();
use Bulan::Test::Port 'free_port';
use Bulan::Test::Process qw(wait_until);
use Bulan::Test::Server;

sub start {
    my ($class, %option) = @_;
    my $self = bless { port => free_port(), folder => Bulan::Test::Server::new_tree(), option => \%option }, $class;

    $self->prepare;
    $self->launch;
    return $self;
}

# Starts the server on the data that are there: for a start after stop().
sub launch {
    my ($self) = @_;

    $self->{process} = Bulan::Test::Process->spawn([$self->as_user, $self->command], stderr => "$self->{folder}/stderr");
    my $ready = wait_until(30, sub { defined $self->{process}->status || $self->is_ready });
    die ref $self, " does not start:\n", $self->log if !$ready || defined $self->{process}->status;
    return $self;
}

# Accepts connections? The socket's path is there from then on.
sub is_ready {
    my ($self) = @_;
    return -S $self->socket && !!IO::Socket::UNIX->new(Peer => $self->socket);
}

# The words in front of a command that make it run as an ordinary user.
sub as_user {
    my ($self) = @_;
    return $> ? () : qw(setpriv --reuid=nobody --regid=nogroup --clear-groups);
}

# Runs a command to its end; dies with what it said when it fails.
sub run {
    my ($self, @command) = @_;
    my $log = "$self->{folder}/run";
    my $process = Bulan::Test::Process->spawn([$self->as_user, @command], stderr => $log);

    wait_until(60, sub { defined $process->status });
    die "@command failed:\n", -f $log ? Bulan::Test::Server::slurp($log) : '' if $process->status;
}

sub log    { Bulan::Test::Server::slurp("$_[0]{folder}/stderr") }
sub port   { $_[0]{port} }
sub folder { $_[0]{folder} }
sub pid    { $_[0]{process}->pid }
sub stop   { $_[0]{process}->finish('KILL') }

1;
