# Master and workers: signals, reload, replaced workers, logs that are reopened, the pid file.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use IO::Socket::INET;
use POSIX ();
use Bulan::Test::Process 'wait_until';
use Bulan::Test::Server;

sub conf {
    my ($more, $workers) = @_;
    $workers ||= 1;
    return "daemon off;\npid logs/nginx.pid;\nworker_processes $workers;\n"
        . "error_log logs/error.log notice;\n$more\nevents {}\n";
}

# A server without a port: what is tested here needs none.
sub server { return Bulan::Test::Server->new(conf => conf(@_), workers => $_[1] || 1) }

sub title { Bulan::Test::Server::slurp("/proc/$_[0]/cmdline") =~ s/\0.*//sr }

subtest 'processes and their names' => sub {
    my $server = server('', 2)->start;
    my @workers = $server->wait_workers;
    is @workers, 2, 'two workers';
    like title($server->master_pid), qr/^nginx: master process /, 'master';
    ok wait_until(5, sub { title($workers[0]) eq 'nginx: worker process' }), 'worker';
    is Bulan::Test::Server::slurp($server->path('logs/nginx.pid')), $server->master_pid . "\n", 'pid file';
    if (!$>) {
        my $nobody = getpwnam 'nobody';
        ok wait_until(5, sub {
            my ($uid) = Bulan::Test::Server::slurp("/proc/$workers[0]/status") =~ /^Uid:\s+(\d+)/m;
            return defined $uid && $uid == $nobody;
        }), 'workers run as nobody';
    }
    ok $server->quit, 'quit';
    ok !-e $server->path('logs/nginx.pid'), 'no pid file';
    like $server->log, qr/gracefully shutting down.*exiting.*exited with code 0/s, 'log';
};

subtest 'reload' => sub {
    my $server = server('')->start;
    my ($old) = $server->wait_workers;
    $server->configure(conf => conf('', 2), workers => 2);
    ok $server->reload, 'new workers';
    is scalar($server->wait_workers), 2, 'as many as are configured now';
    like $server->wait_log('reconfiguring'), qr/signal 1 \(SIGHUP\) received from $$, reconfiguring/, 'log';

    $server->mark;
    my @now = $server->worker_pids;
    $server->configure(conf => 'foo;');
    $server->signal('HUP');
    like $server->wait_log('unknown directive'), qr/\[emerg\].*unknown directive "foo" in/, 'a broken file: why';
    ok $server->wait_log('the old one serves on'), 'and what follows';
    is_deeply [$server->worker_pids], \@now, 'the workers stay';
    $server->{allow} = [qr/unknown directive/];
    $server->stop;
};

subtest 'a reload that fails late' => sub {
    my $server = server('')->start;
    my @workers = $server->wait_workers;
    $server->configure(conf => conf('error_log logs/none/x.log;'));
    $server->signal('HUP');
    ok $server->wait_log(qr{open\(\) ".*none/x.log" failed \(2: No such file}), 'said';
    ok $server->wait_log('the old one serves on'), 'refused';
    is_deeply [$server->worker_pids], \@workers, 'the workers stay';
    $server->configure(conf => conf(''));
    ok $server->reload, 'a good one is taken';
    $server->{allow} = [qr/none/];
    $server->stop;
};

subtest 'pid file follows the configuration' => sub {
    my $server = server('')->start;
    my $pid = $server->master_pid;
    $server->wait_workers;
    $server->configure(conf => conf('') =~ s{logs/nginx.pid}{logs/other.pid}r);
    ok $server->reload, 'reload';
    is Bulan::Test::Server::slurp($server->path('logs/other.pid')), "$pid\n", 'the new';
    ok !-e $server->path('logs/nginx.pid'), 'the old is gone';
    $server->stop;
};

subtest 'a worker that dies' => sub {
    my $server = server('')->start;
    $server->{allow} = [qr/exited on signal 9/, qr/right after its start/];
    my ($worker) = $server->wait_workers;
    kill 'KILL', $worker;
    ok $server->wait_log("worker process $worker exited on signal 9"), 'said';
    ok wait_until(5, sub { my @now = $server->worker_pids; @now && $now[0] != $worker }), 'replaced';
    $server->stop;
};

subtest 'workers that die again and again' => sub {
    my $server = server('')->start;
    $server->{allow} = [qr/exited on signal 9/, qr/right after its start/];
    my %seen;
    for my $round (1 .. 4) {
        ok wait_until(10, sub { grep { !$seen{$_} } $server->worker_pids }), "worker $round";
        kill 'KILL', $_ for grep { !$seen{$_}++ } $server->worker_pids;
    }
    ok $server->wait_log('it is started again in 800 ms'), 'the pause grows';
    my @pauses = $server->log =~ /started again in (\d+) ms/g;
    is "@pauses", '100 200 400 800', 'twice as long each time';
    $server->stop;
};

subtest 'reopening logs' => sub {
    my $server = server('')->start;
    $server->wait_workers;
    rename $server->path('logs/error.log'), $server->path('logs/old.log');
    $server->mark;
    $server->signal('USR1');
    ok wait_until(5, sub { -e $server->path('logs/error.log') }), 'a new file';
    if (!$>) {
        ok wait_until(5, sub { ((stat $server->path('logs/error.log'))[4] || 0) == getpwnam 'nobody' }),
            'which belongs to the workers';
    }
    $server->signal('HUP');
    ok $server->wait_log('gracefully shutting down'), 'the worker writes there';
    $server->stop;
};

subtest 'fast and graceful ends' => sub {
    for my $signal (qw(TERM INT QUIT)) {
        my $server = server('')->start;
        $server->wait_workers;
        my ($worker) = $server->worker_pids;
        ok $server->stop(signal => $signal), $signal;
        ok !kill(0, $worker), 'no worker is left';
    }
};

subtest 'signals to a worker' => sub {
    my $server = server('')->start;
    my ($worker) = $server->wait_workers;
    $server->signal('QUIT', $worker);
    ok $server->wait_log("worker process $worker exited with code 0"), 'it ends';
    ok wait_until(5, sub { my @now = $server->worker_pids; @now && $now[0] != $worker }), 'and is replaced';
    $server->{allow} = [qr/right after its start/];
    $server->stop;
};

subtest 'a single process' => sub {
    my $server = server('master_process off;')->start;
    is_deeply [$server->worker_pids], [], 'no workers';
    $server->signal('HUP');
    ok $server->wait_log('reconfiguring'), 'reloads';
    $server->signal('USR1');
    ok $server->wait_log('reopening logs'), 'reopens';
    ok $server->quit, 'quits';
    ok !-e $server->path('logs/nginx.pid'), 'no pid file';
};

subtest 'a daemon, and -s' => sub {
    my $server = Bulan::Test::Server->new(conf => conf('') =~ s/daemon off/daemon on/r);
    $server->start;
    my $pid = $server->master_pid;
    is scalar($server->wait_workers), 1, 'runs';
    my @command = $server->command;
    is system(@command, '-s', 'reload'), 0, 'reload';
    ok $server->wait_log('gracefully shutting down'), 'is done';
    is system(@command, '-s', 'quit'), 0, 'quit';
    # Its parent is the system's first process now, which looks after the dead in its own time.
    ok wait_until(20, sub { !kill(0, $pid) || Bulan::Test::Server::slurp("/proc/$pid/stat") =~ /\) Z / }), 'is gone';
    open my $saved, '>&', \*STDERR;
    open STDERR, '>', $server->path('logs/said');
    isnt system(@command, '-s', 'quit'), 0, 'nobody to signal';
    open STDERR, '>&', $saved;
    like Bulan::Test::Server::slurp($server->path('logs/said')),
        qr{^bulan: \[error\] open\(\) ".*nginx.pid" failed \(2: No such file}m, 'said';
    $server->stop(quiet => 1);
};

subtest 'working_directory' => sub {
    my $server = server("working_directory conf;\n")->start;
    my ($worker) = $server->wait_workers;
    ok wait_until(5, sub { (readlink "/proc/$worker/cwd" || '') eq $server->path('conf') }),
        'where the worker stands';
    $server->stop;
};

subtest 'syslog' => sub {
    my $socket = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1') or die;
    my $port = $socket->sockport;
    my $server = server("error_log syslog:server=127.0.0.1:$port,facility=local0,tag=moon notice;\n");
    $server->start;
    $server->wait_workers;
    my $message = '';
    local $SIG{ALRM} = sub { die "no message\n" };
    alarm 5;
    $socket->recv($message, 4096);
    alarm 0;
    like $message, qr{^<133>\w{3} [ \d]\d \d\d:\d\d:\d\d \S+ moon: \d{4}/\d\d/\d\d .*\[notice\] \d+#\d+: \S},
        'a message';
    $server->stop;
};

subtest 'what a refused reload leaves behind: nothing' => sub {
    my $taken = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die;
    my $server = Bulan::Test::Server->new(
        main_config => 'env MOON=full;', log_level => 'notice',
        config => 'location / { content_by_lua_block { ngx.print(os.getenv("MOON")) } }')->start;
    $server->{allow} = [qr/exited on signal 9/, qr/right after its start/, qr/bind\(\)/];
    my ($worker) = $server->wait_workers;
    $server->configure(main_config => 'env MOON=new;',
        server_config => 'listen 127.0.0.1:$TEST_NGINX_SERVER_PORT; listen 127.0.0.1:' . $taken->sockport . ';');
    $server->signal('HUP');
    ok wait_until(10, sub { $server->log =~ /the old one serves on/ }), 'refused';
    kill 'KILL', $worker;
    ok wait_until(5, sub { my @now = $server->worker_pids; @now && $now[0] != $worker }), 'another worker';
    is $server->get('/')->{body}, 'full', 'it has the environment of the configuration that serves';
    $server->stop;
};

subtest 'a pid file that cannot be' => sub {
    my $server = server('')->start;
    my $pid = $server->master_pid;
    my @workers = $server->wait_workers;
    $server->configure(conf => conf('') =~ s{logs/nginx.pid}{none/other.pid}r);
    $server->signal('HUP');
    ok $server->wait_log(qr{open\(\) ".*none/other.pid" failed \(2: }), 'said';
    ok $server->wait_log('the old one serves on'), 'the reload is refused';
    is_deeply [$server->worker_pids], \@workers, 'the workers stay';
    is Bulan::Test::Server::slurp($server->path('logs/nginx.pid')), "$pid\n", 'so does the pid file';
    $server->{allow} = [qr/none/];
    $server->stop;
    ok !-e $server->path('logs/nginx.pid'), 'until the end';
};

subtest 'a pid file that cannot be at the start' => sub {
    my $server = Bulan::Test::Server->new(
        config => '', server_config => 'listen unix:$TEST_NGINX_SERVER_ROOT/sock;');
    $server->write_files;
    my $text = Bulan::Test::Server::slurp($server->path('conf/nginx.conf'));
    $server->write_file('conf/nginx.conf', $text =~ s{logs/nginx.pid}{none/nginx.pid}r);
    open my $saved, '>&', \*STDERR;
    open STDERR, '>', $server->path('logs/said');
    isnt system($server->command), 0, 'no start';
    open STDERR, '>&', $saved;
    ok !-e $server->path('sock'), 'no socket stays behind';
};

subtest 'a pid file that is none' => sub {
    my $server = server('');
    my $path = $server->path('logs/pipe');
    $server->configure(conf => conf('') =~ s{logs/nginx.pid}{logs/pipe}r);
    system('mkfifo', '-m', '666', $path) == 0 or die;
    open my $end, '+<', $path or die;
    $server->launch;
    is scalar <$end>, $server->master_pid . "\n", 'is written';
    $server->stop;
    ok -p $path, 'and stays what it is';
};

subtest 'WINCH and HUP without a new binary: a reload' => sub {
    my $server = Bulan::Test::Server->new(conf => conf('') =~ s/daemon off/daemon on/r);
    $server->start;
    $server->wait_workers;
    $server->signal('WINCH');
    ok wait_until(5, sub { !(() = $server->worker_pids) }), 'the workers rest';
    $server->configure(conf => conf('', 2) =~ s/daemon off/daemon on/r, workers => 2);
    $server->signal('HUP');
    ok wait_until(5, sub { 2 == (() = $server->worker_pids) }), 'the new configuration has two';
    $server->signal('WINCH');
    ok wait_until(5, sub { !(() = $server->worker_pids) }), 'they rest, too';
    $server->configure(conf => 'foo;');
    $server->signal('HUP');
    ok wait_until(5, sub { 2 == (() = $server->worker_pids) }), 'a bad one: they come back';
    my $pid = $server->master_pid;
    kill 'QUIT', $pid;
    ok wait_until(20, sub { !kill(0, $pid) || Bulan::Test::Server::slurp("/proc/$pid/stat") =~ /\) Z / }), 'the end';
    $server->{allow} = [qr/unknown directive/];
    $server->stop(quiet => 1);
};

subtest 'started without standard input, output and error' => sub {
    my $server = server('');
    $server->write_files;
    my $pid = fork;
    if (!$pid) {
        POSIX::close($_) for 0 .. 2;
        { no warnings; exec $server->command }
        POSIX::_exit(1);
    }
    ok wait_until(5, sub { -s $server->path('logs/nginx.pid') }), 'it starts';
    SKIP: {
        skip 'no /proc', 3 if !-e "/proc/$pid/fd";
        is readlink "/proc/$pid/fd/$_", '/dev/null', "descriptor $_" for 0 .. 2;
    }
    kill 'TERM', $pid;
    waitpid $pid, 0;
    is $?, 0, 'and ends';
};

subtest 'a log that may not grow' => sub {
    my $server = Bulan::Test::Server->new(config => 'location / { return 200 moon; }', log_level => 'notice');
    $server->write_files;
    my $pid = fork;
    if (!$pid) {
        open STDERR, '>', $server->path('logs/stderr');
        { no warnings; exec 'sh', '-c', 'ulimit -f 8; exec "$@"', 'sh', $server->command }
        POSIX::_exit(1);
    }
    ok wait_until(5, sub { -s $server->path('logs/nginx.pid') && Bulan::Test::Server::is_listening($server->port) }), 'it starts';
    my ($worker) = wait_until(5, sub { my @all = $server->worker_pids($pid); $all[0] });
    my $served = grep { ($server->get('/?' . 'x' x 1000)->{body} || '') eq 'moon' } 1 .. 30;
    is $served, 30, 'all are served';
    is_deeply [$server->worker_pids($pid)], [$worker], 'by the same worker';
    kill 'TERM', $pid;
    waitpid $pid, 0;
    is $?, 0, 'and ends';
};

done_testing;
