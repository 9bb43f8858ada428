# Connections between requests: how long they are kept, and what a shutdown does to them.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Time::HiRes 'time';
use Bulan::Test::Process 'wait_until';
use Bulan::Test::Server;

sub hello { return "GET / HTTP/1.1\r\nHost: x\r\n\r\n" }

subtest 'keepalive_min_timeout: a shutdown lets a client send one more' => sub {
    my $server = Bulan::Test::Server->new(
        config => 'location / { return 200 "moon"; } keepalive_min_timeout 60s;', stop_seconds => 20)->start;
    my ($kept, $used) = map { $server->connect } 1, 2;
    for ($kept, $used) {
        $_->send(hello());
        is $_->response->{body}, 'moon', 'served';
    }
    my ($worker) = $server->worker_pids;
    $server->signal('HUP');
    ok $server->wait_log('gracefully shutting down'), 'the worker is to go';
    $used->send(hello());
    my $last = $used->response;
    is $last->{body}, 'moon', 'served by the old worker';
    is_deeply $last->{headers}{connection}, ['close'], 'for the last time';
    ok kill(0, $worker), 'the other connection keeps it alive';
    $kept->close;
    ok wait_until(10, sub { !kill 0, $worker }), 'until it goes';
    $server->stop;
};

subtest 'keepalive_min_timeout runs out' => sub {
    my $server = Bulan::Test::Server->new(
        config => 'location / { return 200 "moon"; } keepalive_min_timeout 300ms;')->start;
    my $kept = $server->connect;
    $kept->send(hello());
    is $kept->response->{body}, 'moon', 'served';
    my $begin = time;
    my ($worker) = $server->worker_pids;
    $server->signal('HUP');
    ok $kept->is_closed, 'closed by the server';
    ok wait_until(10, sub { !kill 0, $worker }), 'and the worker is gone';
    $server->stop;
};

subtest 'without it a shutdown closes idle connections' => sub {
    my $server = Bulan::Test::Server->new(config => 'location / { return 200 "moon"; }')->start;
    my $kept = $server->connect;
    $kept->send(hello());
    is $kept->response->{body}, 'moon', 'served';
    $server->signal('HUP');
    ok $kept->is_closed, 'closed by the server';
    $server->stop;
};

subtest 'sendfile_max_chunk: a fast client of a large file lets others in' => sub {
    my $server = Bulan::Test::Server->new(
        config => 'location / { sendfile on; sendfile_max_chunk 1k; } location /hi { return 200 "hi"; }',
        files => { big => 'x' x 5_000_000 })->start;
    my $big = $server->connect;
    $big->send("GET /big HTTP/1.1\r\nHost: x\r\n\r\nGET /hi HTTP/1.1\r\nHost: x\r\n\r\n");
    is $server->get('/hi')->{body}, 'hi', 'another';
    is length $big->response->{body}, 5_000_000, 'all of it';
    is $big->response->{body}, 'hi', 'and what was pipelined behind it';
    $server->stop;
};

subtest 'timer_resolution: the clock is read that often' => sub {
    my $server = Bulan::Test::Server->new(
        main_config => "timer_resolution 100s;\n",
        config => 'location / { return 200 "$msec"; } location /wait { echo_sleep 0.05; echo "$msec"; }')->start;
    my $first = $server->get('/')->{body};
    is $server->get('/')->{body}, $first, 'no news' for 1 .. 3;
    cmp_ok $server->get('/wait')->{body}, '>', $first, 'a deadline is not missed';
    $server->stop;
};

done_testing;
