# A new binary beside the old one: USR2, and then either of them goes.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use IO::Socket::UNIX;
use Bulan::Test::Process 'wait_until';
use Bulan::Test::Server;

sub pid_in {
    my ($server, $name) = @_;
    my ($pid) = Bulan::Test::Server::slurp($server->path("logs/$name")) =~ /^(\d+)$/;
    return $pid || 0;
}

sub start {
    my $server = Bulan::Test::Server->new(
        conf => "daemon @_;\npid logs/nginx.pid;\nerror_log logs/error.log notice;\nevents {}\n");
    $server->start;
    ok wait_until(5, sub { scalar(() = $server->worker_pids) }), 'a worker';
    return $server;
}

# The new master's id.
sub upgrade {
    my ($server, $old) = @_;
    kill 'USR2', $old;
    ok wait_until(10, sub {
        my $new = pid_in($server, 'nginx.pid');
        return $new && $new != $old && pid_in($server, 'nginx.pid.oldbin') == $old;
    }), 'two masters';
    my $new = pid_in($server, 'nginx.pid');
    ok wait_until(5, sub { scalar(() = $server->worker_pids($new)) }), 'the new one has a worker';
    return $new;
}

sub gone {
    my ($pid) = @_;
    return wait_until(5, sub { !kill(0, $pid) || Bulan::Test::Server::slurp("/proc/$pid/stat") =~ /\) Z / });
}

subtest 'the new one stays' => sub {
    my $server = start('on');
    my $old = pid_in($server, 'nginx.pid');
    my $new = upgrade($server, $old);

    ok $server->wait_log("start new binary process $new"), 'said';
    kill 'USR2', $new;
    ok $server->wait_log('changing binary signal is ignored'), 'not a third one';

    kill 'WINCH', $old;
    ok wait_until(5, sub { !grep { $_ != $new } $server->worker_pids($old) }), 'WINCH: the old workers go';
    kill 'HUP', $old;
    ok wait_until(5, sub { grep { $_ != $new } $server->worker_pids($old) }), 'HUP: they come back';
    kill 'QUIT', $old;
    ok gone($old), 'the old master goes';
    ok !-e $server->path('logs/nginx.pid.oldbin'), 'and its pid file';
    is pid_in($server, 'nginx.pid'), $new, 'the new one is there';
    kill 'QUIT', $new;
    ok gone($new), 'until it is told';
    ok !-e $server->path('logs/nginx.pid'), 'no pid file';
    $server->stop(quiet => 1);
};

subtest 'the new one goes' => sub {
    my $server = start('on');
    my $old = pid_in($server, 'nginx.pid');
    my $new = upgrade($server, $old);

    kill 'WINCH', $old;
    ok wait_until(5, sub { !grep { $_ != $new } $server->worker_pids($old) }), 'the old one rests';
    kill 'TERM', $new;
    ok wait_until(5, sub { pid_in($server, 'nginx.pid') == $old }), 'the pid file is the old one\'s again';
    ok wait_until(5, sub { scalar(() = $server->worker_pids($old)) }), 'and it has workers';
    kill 'QUIT', $old;
    ok gone($old), 'the end';
    $server->stop(quiet => 1);
};

subtest 'in the foreground' => sub {
    my $server = start('off');
    my $old = $server->master_pid;
    my $new = upgrade($server, $old);

    kill 'QUIT', $new;
    ok wait_until(5, sub { pid_in($server, 'nginx.pid') == $old }), 'the new one goes';
    $server->stop;
};

# How many sockets listen on the port; undef where that can't be seen.
sub sockets {
    my ($port) = @_;
    open my $table, '<', '/proc/net/tcp' or return undef;
    my $local = sprintf '0100007F:%04X', $port;
    return scalar grep { /^\s*\d+: $local \S+ 0A / } <$table>;
}

sub serving {
    my ($server) = @_;
    return 10 == grep { ($server->get('/')->{body} || '') eq 'moon' } 1 .. 10;
}

subtest 'sockets of reuseport go from binary to binary, one for each worker' => sub {
    my $server = Bulan::Test::Server->new(
        workers => 3, main_config => "daemon on;\n",
        server_config => 'listen 127.0.0.1:$TEST_NGINX_SERVER_PORT reuseport;', config => 'location / { return 200 moon; }');
    $server->start;
    my $port = $server->port;
    SKIP: {
        skip 'no /proc/net/tcp', 1 if !defined sockets($port);
        is sockets($port), 3, 'one for each';
    }
    my $old = pid_in($server, 'nginx.pid');
    my $new = upgrade($server, $old);
    ok wait_until(5, sub { 3 == (() = $server->worker_pids($new)) }), 'workers of the new one';
    SKIP: {
        skip 'no /proc/net/tcp', 1 if !defined sockets($port);
        is sockets($port), 3, 'still the same';
    }
    kill 'QUIT', $old;
    ok gone($old), 'the old one goes';
    ok serving($server), 'the new one serves';
    kill 'QUIT', $new;
    ok gone($new), 'the end';
    $server->stop(quiet => 1);
};

subtest 'reuseport comes and goes with a reload' => sub {
    my $plain = 'listen 127.0.0.1:$TEST_NGINX_SERVER_PORT;';
    my $server = Bulan::Test::Server->new(
        workers => 2, server_config => $plain, config => 'location / { return 200 moon; }')->start;
    for my $case (['reuseport', 2, 2], ['reuseport', 4, 4], ['', 2, 1], ['reuseport', 1, 1], ['', 1, 1]) {
        my ($word, $workers, $count) = @$case;
        my %old = map { $_ => 1 } $server->worker_pids;
        $server->configure(server_config => $plain =~ s/;/ $word;/r, workers => $workers);
        $server->signal('HUP');
        ok wait_until(10, sub {
            my @now = $server->worker_pids;
            return @now == $workers && !grep { $old{$_} } @now;
        }), "reload: $workers workers, $word";
        ok serving($server), 'serves';
        SKIP: {
            skip 'no /proc/net/tcp', 1 if !defined sockets($server->port);
            ok wait_until(5, sub { sockets($server->port) == $count }), "sockets: $count";
        }
    }
    $server->stop;
};

subtest 'unix sockets over an upgrade' => sub {
    my $server = Bulan::Test::Server->new(
        main_config => "daemon on;\n", config => 'location / { return 200 moon; }',
        server_config => 'listen 127.0.0.1:$TEST_NGINX_SERVER_PORT; listen unix:$TEST_NGINX_SERVER_ROOT/a;')->start;
    my $listens = sub { IO::Socket::UNIX->new(Peer => $server->path($_[0])) };
    my $old = pid_in($server, 'nginx.pid');
    $server->configure(server_config => 'listen 127.0.0.1:$TEST_NGINX_SERVER_PORT; listen unix:$TEST_NGINX_SERVER_ROOT/b;');
    my $new = upgrade($server, $old);
    ok $listens->('a') && $listens->('b'), 'each has its own';
    kill 'QUIT', $new;
    ok wait_until(5, sub { pid_in($server, 'nginx.pid') == $old }), 'the new one goes';
    ok $listens->('a'), 'the old one\'s is there';
    ok !-e $server->path('b'), 'the new one\'s is gone';

    $new = upgrade($server, $old);
    kill 'QUIT', $old;
    ok gone($old), 'the old one goes';
    ok $listens->('b'), 'the new one\'s is there';
    ok !-e $server->path('a'), 'the old one\'s is gone';
    kill 'QUIT', $new;
    ok gone($new), 'the end';
    ok !-e $server->path('b'), 'of both';
    $server->stop(quiet => 1);
};

done_testing;
