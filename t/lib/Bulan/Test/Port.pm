package Bulan::Test::Port;

# Free ports, never the same one in two test files that run side by side.
#
# A port is ours while we hold a lock on a file named after it; the kernel drops the lock when the
# process ends, however it ends. The ports lie below the range from which the kernel takes those of
# outgoing connections, so none is taken between two starts of a server.

use strict;
use warnings;
use Exporter 'import';
use Fcntl ':flock';
use File::Spec;
use Socket;

our @EXPORT_OK = qw(free_port);

my ($LOW, $HIGH) = (10_000, 32_000);
my @held;

sub folder {
    my $folder = File::Spec->catdir(File::Spec->tmpdir, "bulan-test-ports-$<");
    mkdir $folder, 0700;
    return $folder;
}

# free_port(): a port of 127.0.0.1 that nothing uses, for TCP and UDP.
sub free_port {
    my $folder = folder();

    for (1 .. 1000) {
        my $port = $LOW + int rand($HIGH - $LOW);
        open my $lock, '>>', "$folder/$port" or next;
        if (flock($lock, LOCK_EX | LOCK_NB) && is_free($port)) {
            push @held, $lock;
            return $port;
        }
    }
    die "no free port found\n";
}

sub is_free {
    my ($port) = @_;

    for my $type (SOCK_STREAM, SOCK_DGRAM) {
        for my $address (INADDR_LOOPBACK, INADDR_ANY) {
            socket(my $socket, PF_INET, $type, 0) or die "socket: $!";
            setsockopt($socket, SOL_SOCKET, SO_REUSEADDR, 1) if $type == SOCK_STREAM;
            bind($socket, pack_sockaddr_in($port, $address)) or return 0;
        }
    }
    return 1;
}

1;
