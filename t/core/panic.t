# Assertions that fail: what is said, what becomes of the worker, and debug_points.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Bulan::Test::Process 'wait_until';
use Bulan::Test::Server;

# The server's functions are there for Lua's FFI: a panic on request.
my $config = 'location /panic { content_by_lua_block {
        local ffi = require "ffi"
        ffi.cdef "void bl_panic(const char *file, int line, const char *function, const char *condition);"
        ffi.C.bl_panic("moon.c", 7, "shine", "sky != NULL")
    } }
    location / { return 200 moon; }';

sub server {
    return Bulan::Test::Server->new(
        config => $config, main_config => "worker_rlimit_core 0;\n@_",
        allow => [qr/panic/, qr/exited on signal 6/])->start;
}

sub ask {
    my ($server) = @_;
    my $client = $server->connect;
    $client->send("GET /panic?x HTTP/1.1\r\nHost: h.test\r\n\r\n");
    return $client;
}

sub state { return (Bulan::Test::Server::slurp("/proc/$_[0]/stat") =~ /\) (\S)/)[0] || '' }

subtest 'a panic' => sub {
    my $server = server('');
    my ($worker) = $server->wait_workers;
    my $client = ask($server);
    ok $client->is_closed, 'the client is let go';
    ok $server->wait_log(qr/\[alert\] $worker#\S+ \*1 panic.*client: 127\.0\.0\.1.*request: "GET \/panic\?x HTTP\/1\.1".*host: "h\.test"/),
        'whom it served';
    ok $server->wait_log(qr/worker process $worker exited on signal 6/), 'the worker ends';
    like $server->stderr . $server->log, qr/panic in process $worker at moon\.c:7, shine\(\): sky != NULL/, 'where';
    ok wait_until(5, sub { my ($new) = $server->worker_pids; $new && $new != $worker }), 'another takes its place';
    is $server->get('/')->{body}, 'moon', 'and serves';
    $server->stop(quiet => 1);
};

subtest 'debug_points stop' => sub {
    my $server = server("debug_points stop;\n");
    my ($worker) = $server->wait_workers;
    my $client = ask($server);
    ok wait_until(5, sub { state($worker) eq 'T' }), 'the worker stands still';
    kill 'CONT', $worker;
    ok $server->wait_log(qr/worker process $worker exited on signal 6/), 'until it may go on';
    $server->stop(quiet => 1);
};

done_testing;
