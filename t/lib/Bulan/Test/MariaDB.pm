package Bulan::Test::MariaDB;

# A real mariadbd on a free port and a unix socket, with a data folder of its own:
#
#     my $db = Bulan::Test::MariaDB->start(sql => <<'SQL', tls => $tls->certificate('db.test'));
#     CREATE USER ...;
#     SQL
#
# `sql` is executed at the start, a statement a line; `options` is a list of more of mariadbd's
# options. There is a database `test`, and the user `test` with the password `secret`. The port is
# also in $TEST_NGINX_MYSQL_PORT, the socket in $TEST_NGINX_MYSQL_PATH.

use strict;
use warnings;
use parent 'Bulan::Test::Database';

sub available { return -x '/usr/sbin/mariadbd' }

sub socket { return "$_[0]{folder}/sock" }

# Nothing needs to survive a crash of the machine.
my @SMALL = qw(--innodb-log-file-size=4M --innodb-buffer-pool-size=8M --innodb-flush-method=nosync
    --innodb-flush-log-at-trx-commit=2 --key-buffer-size=1M --aria-pagecache-buffer-size=1M --skip-log-bin);

sub prepare {
    my ($self) = @_;
    my $folder = $self->{folder};

    # A server that starts removes the temporary tables of all others from a folder that it shares.
    mkdir "$folder/tmp" or die "$folder/tmp: $!";
    chmod 0777, "$folder/tmp";
    $self->run('mariadb-install-db', '--no-defaults', "--datadir=$folder/data", "--tmpdir=$folder/tmp",
        qw(--auth-root-authentication-method=normal --skip-test-db --skip-name-resolve), @SMALL);
    open my $init, '>', "$folder/init.sql" or die "$folder/init.sql: $!";
    print $init "CREATE DATABASE IF NOT EXISTS test;\n",
        "CREATE OR REPLACE USER test IDENTIFIED BY 'secret';\n",
        "GRANT ALL ON *.* TO test;\n", $self->{option}{sql} || '';
    close $init;
}

sub command {
    my ($self) = @_;
    my ($folder, $option) = @$self{qw(folder option)};
    my $tls = $option->{tls};

    $ENV{TEST_NGINX_MYSQL_PORT} = $self->{port};
    $ENV{TEST_NGINX_MYSQL_PATH} = $self->socket;
    return ('/usr/sbin/mariadbd', '--no-defaults', "--datadir=$folder/data", "--tmpdir=$folder/tmp",
        "--port=$self->{port}", '--bind-address=127.0.0.1', '--socket=' . $self->socket, "--init-file=$folder/init.sql",
        "--pid-file=$folder/pid", '--skip-name-resolve', @SMALL,
        $tls ? ("--ssl-cert=$tls->{cert}", "--ssl-key=$tls->{key}") : (), @{ $option->{options} || [] });
}

1;
