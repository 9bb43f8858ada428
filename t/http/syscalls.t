# What a request over a kept connection costs in system calls: it is waited for, read and answered,
# once each, and nothing else happens.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Bulan::Test::Process qw(wait_until);
use Bulan::Test::Server;

plan skip_all => 'strace is not installed' if !grep { -x "$_/strace" } split /:/, $ENV{PATH};
plan skip_all => 'valgrind has calls of its own' if $ENV{TEST_NGINX_USE_VALGRIND};

my $REQUESTS = 1000;
my $SPARE    = 20;    # calls of the connection, its timers, and strace's coming and going

my $server = Bulan::Test::Server->new(
    log_level   => 'error',
    http_config => 'access_log off; keepalive_requests 100000;',
    config      => <<'CONF',
location = /return { return 200 "hello\n"; }
location = /lua { content_by_lua_block { ngx.say("hello") } }
CONF
)->start;
my ($worker) = $server->wait_workers;

# ask(CLIENT, PATH, COUNT): one after another, as fast as the answers come.
sub ask {
    my ($client, $path, $count) = @_;
    for (1 .. $count) {
        $client->send("GET $path HTTP/1.1\r\nHost: localhost\r\n\r\n");
        my $answer = $client->response;
        return 0 if $answer->{error} || $answer->{body} ne "hello\n";
    }
    return 1;
}

# The process that traces the worker; 0: none.
sub tracer {
    my ($pid) = Bulan::Test::Server::slurp("/proc/$worker/status") =~ /^TracerPid:\s+(\d+)/m;
    return $pid;
}

# count(PATH): { CALL => TIMES } of $REQUESTS requests over one connection, its beginning not counted.
sub count {
    my ($path) = @_;
    my $table  = $server->path('logs/strace');
    my $client = $server->connect;

    ask($client, $path, 10) or return;
    my $strace = Bulan::Test::Process->spawn(['strace', '-c', '-f', '-p', $worker, '-o', $table],
        stderr => $server->path('logs/strace.stderr'));
    return if wait_until(5, sub { defined $strace->status ? -1 : tracer() ? 1 : 0 }) != 1;
    my $fine = ask($client, $path, $REQUESTS);
    $strace->finish('INT', 5);
    wait_until(5, sub { !tracer() });
    ok $fine, "$path: $REQUESTS answers";

    my %calls;
    for (split /\n/, Bulan::Test::Server::slurp($table)) {
        my @column = split;
        $calls{ $column[-1] } += $column[3] if @column >= 5 && $column[3] =~ /^\d+\z/;
    }
    delete $calls{total};
    return \%calls;
}

for my $path ('/return', '/lua') {
    subtest $path => sub {
        my $calls = count($path);
        plan skip_all => 'no process may be traced here' if !$calls;
        my %kinds = (
            wait  => [qw(epoll_wait epoll_pwait epoll_pwait2)],
            read  => [qw(read recvfrom readv recvmsg)],
            write => [qw(write sendto writev sendmsg)],
        );
        my $all = join ', ', map { "$_ $calls->{$_}" } sort keys %$calls;
        for my $kind (sort keys %kinds) {
            my $times = 0;
            $times += delete $calls->{$_} || 0 for @{ $kinds{$kind} };
            cmp_ok $times, '<=', $REQUESTS + $SPARE, "${kind}s ($all)";
            cmp_ok $times, '>=', $REQUESTS - 1, "… which strace saw" if $kind ne 'wait';
        }
        # a sanitizer takes memory whenever it likes
        delete @$calls{qw(mmap munmap madvise mprotect)} if $ENV{ASAN_OPTIONS};
        # the watcher of Lua code looks now and then, by time and not by request
        delete @$calls{qw(clock_nanosleep clock_gettime futex)};
        my $others = 0;
        $others += $_ for values %$calls;
        cmp_ok $others, '<=', $SPARE, "no other call per request ($all)";
    };
}

$server->stop;
done_testing;
