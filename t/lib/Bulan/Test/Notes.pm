package Bulan::Test::Notes;

# examples/notes with all it needs: a MariaDB with its tables, a Redis, and the server.
#
#     my $notes = Bulan::Test::Notes->start(NOTES_TRIES => 3);      # more of its environment
#     ... $notes->{server}, $notes->{db}, $notes->{redis} ...

use strict;
use warnings;
use Cwd ();
use Bulan::Test::Command;
use Bulan::Test::Example 'start_example';
use Bulan::Test::MariaDB;
use Bulan::Test::Redis;

our $FOLDER = 'examples/notes';

sub available { return Bulan::Test::MariaDB::available() && Bulan::Test::Redis::available() }

sub start {
    my ($class, %env) = @_;
    my $self = bless { db => Bulan::Test::MariaDB->start, redis => Bulan::Test::Redis->start }, $class;

    $self->{env} = {
        NOTES_DB_PORT => $self->{db}->port, NOTES_DB_NAME => 'test', NOTES_DB_USER => 'test', NOTES_DB_PASSWORD => 'secret',
        NOTES_REDIS_PORT => $self->{redis}->port, NOTES_SECRET => 'the moon is a mirror of the sun, they say', %env,
    };
    my $setup = $self->set_up;
    die "setup.lua: $setup->{out}$setup->{err}" if $setup->{status};
    $self->{server} = start_example($FOLDER, env => $self->{env});
    return $self;
}

# What setup.lua says.
sub set_up {
    my ($self) = @_;
    my $folder = Cwd::abs_path($FOLDER);
    return Bulan::Test::Command->new->run({ env => $self->{env} }, 'run', '-I', "$folder/lua", "$folder/setup.lua");
}

1;
