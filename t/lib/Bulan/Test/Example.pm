package Bulan::Test::Example;

# start_example(FOLDER, [PORT of the example => another]): the example in a copy of its folder,
# started as its README says but for its ports. A key `env` is the environment to add.

use strict;
use warnings;
use Exporter 'import';
use File::Find ();
use Bulan::Test::Port 'free_port';
use Bulan::Test::Server;

our @EXPORT_OK = 'start_example';

sub start_example {
    my ($folder, %port) = @_;
    my $env    = delete $port{env};
    my $port   = free_port();
    my $prefix = Bulan::Test::Server::new_tree();
    my $conf   = Bulan::Test::Server::slurp("$folder/conf/nginx.conf");
    my %files;

    File::Find::find({ no_chdir => 1, wanted => sub {
        return if !-f || m{^\Q$folder\E/(?:conf|logs)/};
        $files{$prefix . substr $_, length $folder} = Bulan::Test::Server::slurp($_);
    } }, $folder);

    $conf =~ s/listen 8080;/listen 127.0.0.1:$port;/ or die "$folder does not listen on port 8080\n";
    $conf =~ s/\b$_\b/$port{$_}/g for keys %port;
    return Bulan::Test::Server->new(
        conf => $conf, port => $port, wait_ports => [$port], prefix => $prefix, files => \%files, env => $env || {},
        workers => ($conf =~ /^worker_processes (\d+);/m)[0], arguments => ['-g', 'daemon off;'],
    )->start;
}

1;
