# Listening sockets at the edge: no descriptor is left, workers that go, a reload that has fewer.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Bulan::Test::Port 'free_port';
use Bulan::Test::Process qw(patience wait_until);
use Bulan::Test::Server;

my $slow = 'location / { return 200 moon; }
    location /held { lua_check_client_abort on; content_by_lua_block {
        ngx.say("begun") ngx.flush(true)
        while not ngx.shared.state:get("go") do ngx.sleep(0.02) end
        ngx.say("done")
    } }
    location /go { content_by_lua_block { ngx.shared.state:set("go", true) } }';

sub server {
    return Bulan::Test::Server->new(
        http_config => "lua_shared_dict state 100k;", config => $slow, log_level => 'notice', @_)->start;
}

# A request that its worker waits for.
sub held {
    my ($server) = @_;
    my $client = $server->connect;
    $client->send("GET /held HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    ok said($client, qr/begun/), 'a request that stays';
    return $client;
}

sub said {
    my ($client, $what) = @_;
    return eval { $client->take($what, time + patience(5)) };
}

sub refused {
    my ($port) = @_;
    return wait_until(5, sub {
        !IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $port, Timeout => 5);
    });
}

subtest 'no descriptor is left' => sub {
    my $server = server(main_config => "worker_rlimit_nofile 40;\n", worker_connections => 1000);
    $server->wait_workers;
    my @clients = (held($server), map { $server->connect } 1 .. 60);
    $_->send("GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n") for @clients[1 .. 60];
    ok $server->wait_log('Too many open files'), 'said';
    my $times = () = $server->log =~ /accept4\(\) failed/g;
    ok $times <= 3, 'said once';
    $_->close for @clients;
    is $server->get('/')->{body}, 'moon', 'later all are served';
    $server->stop;
};

subtest 'idle connections make room' => sub {
    my $server = server(main_config => "worker_rlimit_nofile 40;\n", worker_connections => 1000);
    $server->wait_workers;
    my @clients;
    for (1 .. 60) {
        push @clients, my $client = $server->connect;
        $client->send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
        my $body = $client->response->{body};
        is $body, 'moon', "client $_" if $_ % 20 == 0;
    }
    ok $clients[0]->is_closed, 'the oldest has gone';
    $server->stop;
};

subtest 'who shuts down listens no more' => sub {
    my $server = server();
    my $client = held($server);
    $server->signal('QUIT');
    ok $server->wait_log('gracefully shutting down'), 'the end begins';
    ok refused($server->port), 'nobody is left waiting in a queue';
    $server->signal('HUP');
    $server->signal('USR2');
    ok $server->wait_log('SIGUSR2'), 'too late for a reload and a new binary';
    $server->stop(signal => 'TERM');
    unlike $server->log, qr/start new binary|start worker process.*start worker process/s, 'neither happens';
};

subtest 'an address that a reload takes away' => sub {
    my $other = free_port();
    my $server = server(server_config => "listen 127.0.0.1:\$TEST_NGINX_SERVER_PORT;\nlisten 127.0.0.1:$other;");
    my $client = held($server);
    $server->configure(server_config => 'listen 127.0.0.1:$TEST_NGINX_SERVER_PORT;');
    $server->signal('HUP');
    ok $server->wait_log('gracefully shutting down'), 'reload';
    ok refused($other), 'is free, although the old worker still has a request';
    is $server->get('/go')->{status}, 200, 'the new one serves';
    ok said($client, qr/done/), 'the old request is answered';
    $server->stop;
};

subtest 'a reload with fewer sockets of reuseport' => sub {
    my $server = server(workers => 4, server_config => 'listen 127.0.0.1:$TEST_NGINX_SERVER_PORT reuseport;');
    $server->wait_workers;
    my @held = map { held($server) } 1 .. 16;
    $server->configure(workers => 1);
    $server->signal('HUP');
    ok wait_until(10, sub { 4 == (() = $server->log =~ /gracefully shutting down/g) }), 'reload';
    my $served = grep { ($server->get('/')->{body} || '') eq 'moon' } 1 .. 40;
    is $served, 40, 'every connection has somebody';
    $server->get('/go');
    is scalar(grep { said($_, qr/done/) } @held), 16,
        'what the old workers had is answered';
    $server->stop;
};

subtest 'a signal while it starts' => sub {
    my $root = '$TEST_NGINX_SERVER_ROOT';
    {
        my $server = Bulan::Test::Server->new(
            config => '', server_config => "listen unix:$root/sock;", log_level => 'notice',
            http_config => "init_by_lua_block { os.execute('touch $root/begun; while test -e $root/begun; do sleep 0.01; done') }");
        $server->launch;
        ok wait_until(5, sub { -e $server->path('begun') && -S $server->path('sock') }), 'it has a socket, and no pid file';
        kill 'TERM', $server->{process}->pid;
        ok wait_until(5, sub { unlink $server->path('begun'); defined $server->{process}->status }), 'TERM ends it';
        ok !-e $server->path('sock'), 'nothing stays behind';
    }
    my $server = Bulan::Test::Server->new(
        config => 'location / { return 200 moon; }', log_level => 'notice',
        http_config => "init_by_lua_block { os.execute('touch $root/begun; while test -e $root/begun; do sleep 0.01; done') }");
    $server->launch;
    ok wait_until(5, sub { -e $server->path('begun') }), 'it begins';
    kill $_, $server->{process}->pid for qw(HUP USR1 WINCH);
    unlink $server->path('begun');
    ok wait_until(5, sub { $server->log =~ /SIGHUP\).*reconfiguring/ && -e $server->path('begun') }), 'HUP waits for its turn';
    unlink $server->path('begun');
    ok $server->wait_log('reopening logs'), 'so does USR1';
    is $server->get('/')->{body}, 'moon', 'and it serves';
    $server->stop;
};

subtest 'reuseport in a single process' => sub {
    my $server = server(
        master => 0, main_config => "worker_processes 4;\n", workers => 0,
        server_config => 'listen 127.0.0.1:$TEST_NGINX_SERVER_PORT reuseport;');
    is scalar(grep { ($server->get('/')->{body} || '') eq 'moon' } 1 .. 20), 20, 'all are served';
    $server->stop;
};

done_testing;
