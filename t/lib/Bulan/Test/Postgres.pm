package Bulan::Test::Postgres;

# A real postgres on a free port and a unix socket, with a data folder of its own:
#
#     my $db = Bulan::Test::Postgres->start(
#         hba => "host all scram all scram-sha-256\n",       # pg_hba.conf, in front of "trust"
#         sql => "CREATE ROLE ...;\n",                       # a statement a line
#         tls => $tls->certificate('db.test'),
#     );
#
# `options` is a list of more of postgres' settings, NAME=VALUE. The superuser is `postgres`. The
# port is also in $TEST_NGINX_POSTGRES_PORT, the folder of the socket in $TEST_NGINX_POSTGRES_DIR.

use strict;
use warnings;
use parent 'Bulan::Test::Database';

# Debian keeps every major version in a folder of its own; the newest one serves.
my ($BIN) = sort { ($b =~ /(\d+)/)[0] <=> ($a =~ /(\d+)/)[0] } grep { -x "$_/postgres" } glob '/usr/lib/postgresql/*/bin';

sub available { return defined $BIN }

sub socket { return "$_[0]{folder}/.s.PGSQL.$_[0]{port}" }

# It accepts connections before it serves them.
sub is_ready { return $_[0]->log =~ /ready to accept connections/ }

sub prepare {
    my ($self) = @_;
    my ($folder, $option) = @$self{qw(folder option)};

    $self->run("$BIN/initdb", '-D', "$folder/data", qw(-N -A trust -U postgres --no-instructions -E UTF8 --locale=C));
    write_file("$folder/hba", ($option->{hba} || '') . "local all all trust\nhost all all 127.0.0.1/32 trust\n");
    write_file("$folder/init.sql", $option->{sql} || '');
    # In single-user mode a line is a statement; there is no other server yet to send it to.
    $self->run('sh', '-c', "'$BIN/postgres' --single -D '$folder/data' -F postgres <'$folder/init.sql'") if $option->{sql};
    if (my $tls = $option->{tls}) {    # a key that others may read is refused
        $self->run('cp', $tls->{cert}, "$folder/data/server.crt");
        $self->run('install', '-m', '600', $tls->{key}, "$folder/data/server.key");
    }
}

sub command {
    my ($self) = @_;
    my ($folder, $option) = @$self{qw(folder option)};
    my @settings = ("unix_socket_directories=$folder", "hba_file=$folder/hba", qw(listen_addresses=127.0.0.1
        fsync=off shared_buffers=1MB max_connections=20 max_wal_senders=0 autovacuum=off),
        $option->{tls} ? 'ssl=on' : (), @{ $option->{options} || [] });

    $ENV{TEST_NGINX_POSTGRES_PORT} = $self->{port};
    $ENV{TEST_NGINX_POSTGRES_DIR}  = $folder;
    return ("$BIN/postgres", '-D', "$folder/data", '-p', $self->{port}, map { ('-c', $_) } @settings);
}

sub write_file {
    my ($file, $text) = @_;
    open my $out, '>', $file or die "$file: $!";
    print $out $text;
    close $out;
    chmod 0644, $file;
}

1;
