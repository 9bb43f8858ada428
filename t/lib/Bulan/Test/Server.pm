package Bulan::Test::Server;

# The server under test, started by a hand-written test or, block by block, by Bulan::Test:
#
#     my $server = Bulan::Test::Server->new(
#         config  => 'location /hello { return 200 "hi\n"; }',    # inside the server block
#         workers => 2,
#     );
#     $server->start;
#     is $server->get('/hello')->{body}, "hi\n";
#     $server->configure(config => 'location /hello { return 200 "ho\n"; }');
#     $server->reload;
#     ok $server->wait_log(qr/reconfiguring/);
#     $server->stop;                      # fails the test on a crash, a sanitizer report, an alert
#
# It has a folder of its own, the prefix (conf/, html/, logs/), and a free port. When the test runs
# as root the workers run as nobody, so everything in the prefix is open to everybody.

use strict;
use warnings;
use Cwd ();
use File::Basename ();
use File::Path ();
use File::Spec;
use File::Temp ();
use IO::Socket::INET;
use Test::More ();
use Bulan::Test::Client;
use Bulan::Test::Port 'free_port';
use Bulan::Test::Process qw(patience wait_until wait_port);

my @TREES;

# The first line of a report. (Lua's errors say "runtime error", too, but not at FILE:LINE:COLUMN.)
my $SANITIZER = qr/^.*(?:ERROR: \w+Sanitizer|WARNING: ThreadSanitizer)|^\S+:\d+:\d+: runtime error: /m;

# new(OPTION => VALUE, ...)
#
#   config         inside server {}; without it there is no server {} of the runner's
#   server_config  more lines for server {}, before config; default "listen PORT; server_name localhost;"
#   http_config    inside http {}, before server {}
#   main_config    at the top level
#   stream_config  a stream {} block's inside; stream_server_config: one server's in it
#   conf           the whole file instead of all these
#   files          { name below html/ => content, ... }
#   workers        1
#   worker_connections  256
#   master         1; 0 is master_process off
#   log_level      debug
#   env            { NAME => VALUE } for the process
#   arguments      [more of the command line]
#   allow          [qr/.../, ...]: alert and emerg lines that are expected
#   stop_seconds   10, in which it must end when told to
#   prefix         a folder to use; default: a new one
#   port           default: a free one
sub new {
    my ($class, %option) = @_;

    my $self = bless {
        workers => 1, worker_connections => 256, master => 1, log_level => 'debug',
        allow   => [], env => {}, arguments => [], files => {}, owner => $$, stop_seconds => 10,
        port    => $option{port} || free_port(),
        prefix  => $option{prefix} || new_tree(),
        %option,
    }, $class;
    return $self;
}

# A folder that ends with the test file, if that passes.
sub new_tree {
    my $tree = File::Temp::tempdir('bulan-test-XXXXXX', TMPDIR => 1);
    chmod 0777, $tree;
    push @TREES, [$$, $tree];
    return $tree;
}

sub binary {
    return Cwd::abs_path($ENV{TEST_NGINX_BINARY}) || $ENV{TEST_NGINX_BINARY}
        if $ENV{TEST_NGINX_BINARY};
    # t/lib/Bulan/Test/Server.pm -> bin/bulan
    my $root = File::Spec->catdir(File::Basename::dirname(Cwd::abs_path(__FILE__)), (File::Spec->updir) x 4);
    return Cwd::abs_path("$root/bin/bulan") || "$root/bin/bulan";
}

sub prefix { $_[0]{prefix} }
sub port   { $_[0]{port} }

# path(NAME): a file below the prefix.
sub path { "$_[0]{prefix}/$_[1]" }

# ---- the configuration ----

sub worker_user {
    return '' if $>;
    my $group = getgrnam('nogroup') ? 'nogroup' : 'nobody';
    return "user nobody $group;\n";
}

# expand(TEXT): with the values of $TEST_NGINX_NAME in place. SERVER_PORT, HTML_DIR and SERVER_ROOT
# are this server's, RAND_PORT_n is a free port, the others come from the environment.
sub expand {
    my ($self, $text) = @_;
    my %own = (
        SERVER_PORT => $self->{port}, PORT => $self->{port},
        SERVER_ROOT => $self->{prefix}, HTML_DIR => "$self->{prefix}/html",
    );
    $text =~ s/\$(?:\{TEST_NGINX_(\w+)\}|TEST_NGINX_(\w+))/expand_one(\%own, defined $1 ? $1 : $2)/ge;
    return $text;
}

sub expand_one {
    my ($own, $name) = @_;
    return $own->{$name} if exists $own->{$name};
    my $variable = "TEST_NGINX_$name";
    $ENV{$variable} ||= free_port() if $name =~ /^RAND_PORT_\d+\z/;
    die "nothing sets \$$variable\n" if !defined $ENV{$variable};
    return $ENV{$variable};
}

# The text of nginx.conf.
sub render {
    my ($self) = @_;
    return $self->expand(defined $self->{conf} ? $self->{conf} : $self->render_parts);
}

sub render_parts {
    my ($self) = @_;
    my $main = defined $self->{main_config} ? $self->{main_config} : '';
    my $text = '';
    $text .= "load_module $_;\n" for split ' ', $ENV{TEST_NGINX_LOAD_MODULES} || '';
    $text .= worker_user() if $main !~ /^\s*user\s/m;
    $text .= "worker_processes $self->{workers};\n" if $main !~ /^\s*worker_processes\s/m;
    $text .= 'master_process ' . ($self->{master} ? 'on' : 'off') . ";\n"
        if $main !~ /^\s*master_process\s/m;
    $text .= "daemon off;\n" if $main !~ /^\s*daemon\s/m;
    $text .= "pid logs/nginx.pid;\nerror_log logs/error.log $self->{log_level};\n$main\n";
    $text .= "events {\n    worker_connections $self->{worker_connections};\n}\n" if $main !~ /^\s*events\b/m;
    return $text . $self->render_http . $self->render_stream;
}

sub render_http {
    my ($self) = @_;

    my $http = defined $self->{http_config} ? $self->{http_config} : '';
    my $text = "http {\n    default_type text/plain;\n    keepalive_timeout 68s;\n";
    $text .= "    access_log logs/access.log;\n" if $http !~ /^\s*access_log\s/m;
    $text .= "$http\n";
    if (defined $self->{config}) {
        my $config = $self->{config};
        $text .= "    server {\n";
        if (defined $self->{server_config}) {
            $text .= "$self->{server_config}\n";
        } else {
            $text .= "        listen 127.0.0.1:$self->{port};\n";
            $text .= "        server_name localhost;\n" if $config !~ /^\s{0,8}server_name\s/m;
        }
        $text .= "$config\n    }\n";
    }
    return "$text}\n";
}

sub render_stream {
    my ($self) = @_;

    return '' if !defined $self->{stream_config} && !defined $self->{stream_server_config};
    my $text = 'stream {' . "\n" . ($self->{stream_config} || '') . "\n";
    if (defined $self->{stream_server_config}) {
        $self->{stream_port} ||= free_port();
        $text .= "    server {\n        listen 127.0.0.1:$self->{stream_port};\n"
            . "$self->{stream_server_config}\n    }\n";
    }
    return "$text}\n";
}

# configure(OPTION => VALUE, ...): changes what new() was given and writes the file; the running
# server learns of it by reload().
sub configure {
    my ($self, %option) = @_;
    $self->{$_} = $option{$_} for keys %option;
    $self->write_files;
    return $self;
}

sub write_files {
    my ($self) = @_;
    my $prefix = $self->{prefix};

    for my $folder ('', qw(/conf /html /logs)) {
        File::Path::make_path("$prefix$folder");
        chmod 0777, "$prefix$folder";
    }
    $self->write_file('conf/nginx.conf', $self->render);
    for my $name (sort keys %{ $self->{files} }) {
        $self->write_file($name =~ m{^/} ? $name : "html/$name", $self->{files}{$name});
    }
}

# write_file(NAME, CONTENT): NAME below the prefix, or absolute; folders are made as needed.
sub write_file {
    my ($self, $name, $content) = @_;

    my $file   = $name =~ m{^/} ? $name : "$self->{prefix}/$name";
    my $folder = File::Basename::dirname($file);
    if (!-d $folder) {
        File::Path::make_path($folder);
        chmod 0777, $folder;
    }
    open my $out, '>:raw', $file or die "$file: $!";
    print $out $content;
    close $out or die "$file: $!";
    chmod 0666, $file;
    return $file;
}

# ---- the process ----

sub command {
    my ($self) = @_;
    my @command = (binary(), '-p', "$self->{prefix}/", '-c', 'conf/nginx.conf',
        '-e', 'logs/error.log', @{ $self->{arguments} });

    unshift @command, qw(valgrind -q --error-exitcode=99 --num-callers=30),
        "--log-file=$self->{prefix}/logs/valgrind.%p"
        if $ENV{TEST_NGINX_USE_VALGRIND};
    return @command;
}

# start(): until the server listens. Dies with the reason when it does not start.
sub start {
    my ($self, %option) = @_;

    $self->launch;
    return $self if $self->wait_ready;
    my $why = defined $self->{process}->status ? 'ended with ' . describe_status($self->{process}->status)
        : "does not listen on port $self->{port}";
    my $log = $self->stderr . $self->log;
    $self->stop(quiet => 1);
    die "the server $why\n", tail($log, 15), "\n";
}

# launch(): start() without waiting.
sub launch {
    my ($self) = @_;

    $self->write_files;
    $self->{log_start} = 0;
    unlink $self->path('logs/nginx.pid');
    $self->{process} = Bulan::Test::Process->spawn(
        [$self->command], stderr => $self->path('logs/stderr'), env => $self->{env});
    return $self;
}

sub wait_ready {
    my ($self) = @_;
    my @ports = grep { $_ } (defined $self->{config} && !defined $self->{server_config} ? $self->{port} : ()),
        $self->{stream_port};
    @ports = @{ $self->{wait_ports} } if $self->{wait_ports};

    my $daemon = ($self->{conf} || $self->{main_config} || '') =~ /^\s*daemon\s+on\s*;/m;
    return wait_until(10, sub {
        my $status = $self->{process}->status;
        return -1 if defined $status && !($daemon && $status == 0);
        return 0 if $daemon && !defined $status; # master_pid() would still be who started it
        return -s $self->path('logs/nginx.pid') && !grep { !is_listening($_) } @ports;
    }) == 1;
}

# Whether something listens on a port. Looked up where the kernel tells, so that no connection is
# made that the server would count.
sub is_listening {
    my ($port) = @_;

    if (open my $table, '<', '/proc/net/tcp') {
        my $wanted = sprintf ':%04X', $port;
        while (<$table>) {
            my (undef, $local, undef, $state) = split;
            return 1 if $state eq '0A' && substr($local, -5) eq $wanted;
        }
        return 0;
    }
    return !!IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port");
}

# The master's process id, or that of the only process.
sub master_pid {
    my ($self) = @_;
    return $self->{process}->pid if $self->{process} && !defined $self->{process}->status && !$ENV{TEST_NGINX_USE_VALGRIND};
    open my $file, '<', $self->path('logs/nginx.pid') or return undef;
    my ($pid) = (<$file> || '') =~ /^(\d+)/;
    return $pid;
}

# worker_pids([MASTER]): the running children, by number.
sub worker_pids {
    my ($self, $master) = @_;
    $master ||= $self->master_pid or return;

    my @pids;
    opendir my $proc, '/proc' or return;
    for my $pid (grep { /^\d+\z/ } readdir $proc) {
        open my $stat, '<', "/proc/$pid/stat" or next;
        my ($state, $parent) = (<$stat> || '') =~ /\) (\S) (\d+)/ or next;
        push @pids, $pid if $parent == $master && $state ne 'Z';
    }
    return sort { $a <=> $b } @pids;
}

# wait_workers(COUNT): the pids, once there are COUNT workers (default: as many as configured).
sub wait_workers {
    my ($self, $count) = @_;
    $count = $self->{workers} if !defined $count;
    my @pids;
    wait_until(5, sub { @pids = $self->worker_pids; @pids == $count });
    return @pids;
}

# signal(NAME, [PID]): to the master, or to another process.
sub signal {
    my ($self, $name, $pid) = @_;
    return kill $name, $pid || $self->master_pid;
}

# reload(): HUP, until the workers of the old configuration are gone and new ones run. True on
# success. A configuration that is refused leaves the old workers: use signal and wait_log then.
sub reload {
    my ($self) = @_;
    my %old = map { $_ => 1 } $self->wait_workers;

    $self->write_files;
    $self->signal('HUP');
    return wait_until(10, sub {
        my @pids = $self->worker_pids;
        return @pids && !grep { $old{$_} } @pids;
    });
}

# stop([quiet => 1], [signal => 'QUIT']): ends the server, then fails the test when anything was
# amiss in its life. True when nothing was.
sub stop {
    my ($self, %option) = @_;

    my @problems = $self->finish($option{signal});
    return !@problems if $option{quiet};
    Test::More::ok(!@problems, 'the server lived and ended well');
    Test::More::diag($_) for @problems;
    return !@problems;
}

# quit(): as stop, but gracefully.
sub quit { shift->stop(@_, signal => 'QUIT') }

# finish([SIGNAL]): ends the server; gives the list of what went wrong.
sub finish {
    my ($self, $signal) = @_;
    my $process = $self->{process} or return;
    my @problems;

    my $master = $self->master_pid;
    if (defined $process->status) {
        my $status = $process->status;
        my $daemon = $master && $status == 0 && kill 0, $master;
        if ($daemon) {
            kill $signal || 'TERM', $master;
            wait_until($self->{stop_seconds}, sub { !kill 0, $master }) or do {
                push @problems, 'the server did not stop';
                kill 'KILL', $self->worker_pids($master), $master;
            };
        } elsif ($status && !$self->{may_die}) {
            push @problems, 'the server ended by itself with ' . describe_status($status);
        }
    } else {
        kill $signal || 'TERM', $master if $master && $master != $process->pid;
        my @workers = $self->worker_pids;
        if (!$process->finish($signal || 'TERM', $self->{stop_seconds})) {
            push @problems, 'the server did not stop when told to';
            kill 'KILL', @workers;
        } elsif ($process->status) {
            push @problems, 'the server ended with ' . describe_status($process->status);
        }
    }
    delete $self->{process};
    return (@problems, $self->problems);
}

sub describe_status {
    my ($status) = @_;
    return 'signal ' . ($status & 127) if $status & 127;
    return 'status ' . ($status >> 8);
}

# ---- what it says ----

sub slurp {
    my ($file) = @_;
    open my $in, '<:raw', $file or return '';
    local $/;
    my $text = <$in>;
    return defined $text ? $text : '';
}

sub stderr { slurp($_[0]->path('logs/stderr')) }

# log(): error.log since the last mark(), or since the start.
sub log { substr slurp($_[0]->path('logs/error.log')), $_[0]{log_start} || 0 }

sub mark { $_[0]{log_start} = -s $_[0]->path('logs/error.log') || 0 }

# wait_log(PATTERN or string, [SECONDS]): until a line of log() matches; the line, or ''.
sub wait_log {
    my ($self, $pattern, $seconds) = @_;
    $pattern = qr/\Q$pattern\E/ if !ref $pattern;

    my $found = '';
    wait_until($seconds || 5, sub {
        ($found) = grep { $_ =~ $pattern } split /^/, $self->log;
        return defined $found;
    });
    return defined $found ? $found : '';
}

# problems(): what in the logs tells of a defect: sanitizer reports, crashed workers, panics, and
# alert or emerg lines that `allow` does not cover.
sub problems {
    my ($self) = @_;
    my @problems;

    for my $file (glob $self->path('logs') . '/*') {
        my $name = File::Basename::basename($file);
        next if $name !~ /^(?:error\.log|stderr|valgrind\..*)\z/;
        my $text = slurp($file);
        if ($name =~ /^valgrind/) {
            push @problems, "valgrind reports:\n" . head($text, 40) if $text =~ /\S/;
            next;
        }
        if ($text =~ $SANITIZER) {
            push @problems, "a sanitizer reports:\n" . head(substr($text, $-[0]), 40);
        }
        push @problems, "a panic: $1" if $text =~ /^(bulan: panic.*)/m;
        for my $line ($text =~ /^(.*\[(?:alert|emerg)\].*)$/mg) {
            next if grep { ref $_ ? $line =~ $_ : index($line, $_) >= 0 } @{ $self->{allow} };
            push @problems, "not expected in $name: $line";
            last if @problems > 10;
        }
    }
    return @problems;
}

sub head { my ($text, $lines) = @_; my @lines = split /^/, $text; join '', @lines[0 .. ($#lines < $lines ? $#lines : $lines)] }
sub tail { my ($text, $lines) = @_; my @lines = split /^/, $text; join '', @lines > $lines ? @lines[-$lines .. -1] : @lines }

# ---- requests ----

# connect([PORT]): a connected socket.
sub connect {
    my ($self, $port) = @_;
    return Bulan::Test::Client->connect($port || $self->{port});
}

# get(PATH, HEADER => VALUE, ...): see Bulan::Test::Client for what it gives.
sub get {
    my ($self, $path, @headers) = @_;
    return $self->send_request('GET', $path, '', @headers);
}

sub post {
    my ($self, $path, $body, @headers) = @_;
    return $self->send_request('POST', $path, $body, @headers);
}

sub send_request {
    my ($self, $method, $path, $body, @headers) = @_;
    my $text = Bulan::Test::Client->build($method, $path, body => $body, headers => \@headers);
    return $self->raw($text, method => $method);
}

# raw(BYTES, [method => 'HEAD'], [timeout => SECONDS]): sends them as they are, reads one response.
sub raw {
    my ($self, $bytes, %option) = @_;
    my $client = $self->connect;
    $client->send($bytes);
    return $client->response(%option);
}

sub DESTROY {
    my ($self) = @_;
    return if $self->{owner} != $$ || !$self->{process};
    local ($?, $@, $!);
    $self->finish;
}

# Folders of a test that passed go; those of one that failed stay, and are named.
END {
    my $failed = $? || !Test::More->builder->is_passing;
    local $?;
    for (@TREES) {
        my ($owner, $tree) = @$_;
        next if $owner != $$ || !-d $tree;
        if ($failed && !$ENV{TEST_NGINX_NO_KEEP}) {
            Test::More::diag("the server's folder is kept: $tree");
        } else {
            chdir '/';
            File::Path::remove_tree($tree);
        }
    }
}

1;
