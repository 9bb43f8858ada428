# Bulan::Test::Server in a hand-written test.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Bulan::Test::Server;

my $server = Bulan::Test::Server->new(
    workers => 2,
    config  => <<'CONF',
location /generation { return 200 "1\n"; }
location /method { return 200 "$request_method $http_x $content_length"; }
location /keep { return 200 "kept"; }
CONF
    files => { 'a.txt' => "a file\n" },
);
$server->start;

subtest 'requests' => sub {
    is $server->get('/a.txt')->{body}, "a file\n", 'a file';
    is $server->get('/method', X => 'y')->{body}, 'GET y ', 'headers';
    is $server->post('/method', 'abc')->{body}, 'POST  3', 'a body';
    is $server->send_request('HEAD', '/keep')->{status}, 200, 'HEAD';

    my $client = $server->connect;
    for (1 .. 2) {
        $client->send("GET /keep HTTP/1.1\r\nHost: a\r\n\r\n");
        is $client->response->{body}, 'kept', "request $_ of a connection";
    }
    $client->send("nonsense\r\n\r\n");
    is $client->response->{status}, 400, 'then nonsense';
    ok $client->is_closed, 'closes';
};

subtest 'processes' => sub {
    my @old = $server->wait_workers;
    is scalar @old, 2, 'two workers';
    like $server->master_pid, qr/^\d+$/, 'a master';

    $server->configure(config => 'location /generation { return 200 "2\n"; }');
    ok $server->reload, 'reload';
    is $server->get('/generation')->{body}, "2\n", 'the new configuration';
    my %now = map { $_ => 1 } $server->wait_workers;
    ok !(grep { $now{$_} } @old), 'new workers';

    $server->mark;
    unlike $server->log, qr/reconfiguring/, 'mark() hides what was before';
    my ($victim) = $server->worker_pids;
    kill 'KILL', $victim;
    like $server->wait_log(qr/exited on signal 9/), qr/$victim/, 'wait_log';
    is scalar($server->wait_workers), 2, 'replaced';

    rename $server->path('logs/error.log'), $server->path('logs/old.log');
    $server->mark;
    $server->signal('USR1');
    ok Bulan::Test::Process::wait_until(5, sub { -e $server->path('logs/error.log') }), 'reopened';
};

subtest 'the end' => sub {
    my @pids = ($server->master_pid, $server->worker_pids);
    push @{ $server->{allow} }, 'exited on signal 9';
    ok $server->quit, 'quit';
    is scalar(grep { kill 0, $_ } @pids), 0, 'no process is left';
};

subtest 'as a daemon' => sub {
    my $daemon = Bulan::Test::Server->new(
        main_config => 'daemon on;', config => 'location / { return 200 "$pid"; }');
    $daemon->start;
    my $master = $daemon->master_pid;
    my ($worker) = $daemon->wait_workers;
    is $daemon->get('/')->{body}, $worker, 'the worker is the child of the master';
    ok $daemon->stop, 'stop';
    ok !kill(0, $master), 'no process is left';
};

subtest 'one process' => sub {
    my $single = Bulan::Test::Server->new(master => 0, config => 'location / { return 200 "$pid"; }');
    $single->start;
    is $single->get('/')->{body}, $single->master_pid, 'serves by itself';
    ok $single->stop, 'stop';
};

subtest 'a server that cannot start' => sub {
    my $bad = Bulan::Test::Server->new(config => "listen;");
    eval { $bad->start };
    like $@, qr/ended with status 1.*invalid number of arguments/s, 'start() dies with the reason';
};

done_testing;
