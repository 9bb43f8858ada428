package Bulan::Test::Example;

# start_example(FOLDER, [PORT of the example => another], [OPTION => VALUE]): the example in a copy of
# its folder, started as its README says but for its ports.
#
#   env     { NAME => VALUE } for the server
#   make    1: runs the example's Makefile first

use strict;
use warnings;
use Exporter 'import';
use File::Find ();
use Bulan::Test::Port 'free_port';
use Bulan::Test::Server;

our @EXPORT_OK = 'start_example';

# Everything below the folder but its configuration and its logs: { absolute path => content }.
sub files {
    my ($folder, $prefix) = @_;
    my %files;

    File::Find::find({ no_chdir => 1, wanted => sub {
        my ($name) = $File::Find::name =~ m{\A\Q$folder\E/(.+)\z} or return;
        $files{"$prefix/$name"} = Bulan::Test::Server::slurp($File::Find::name)
            if -f $File::Find::name && $name !~ m{\A(?:conf|logs)/};
    } }, $folder);
    return \%files;
}

sub start_example {
    my ($folder, %option) = @_;
    my $env    = delete $option{env} || {};
    my $make   = delete $option{make};
    my $port   = free_port();
    my $prefix = Bulan::Test::Server::new_tree();
    my $conf   = Bulan::Test::Server::slurp("$folder/conf/nginx.conf");

    $conf =~ s/listen 8080;/listen 127.0.0.1:$port;/ or die "$folder does not listen on port 8080\n";
    $conf =~ s/\b$_\b/$option{$_}/g for keys %option;
    my $server = Bulan::Test::Server->new(
        conf => $conf, port => $port, wait_ports => [$port], prefix => $prefix,
        files => files($folder, $prefix), env => $env,
        workers => ($conf =~ /^worker_processes (\d+);/m)[0], arguments => ['-g', 'daemon off;'],
    );
    if ($make) {
        $server->write_files;
        system('make', '-s', '-C', $prefix) == 0 or die "make fails in $folder\n";
    }
    return $server->start;
}

1;
