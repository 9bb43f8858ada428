# ngx.pipe: programs end with their VM: when a worker stops, is replaced by a reload, or dies.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Bulan::Test::Process 'wait_until';
use Bulan::Test::Server;

my %settings = (
    workers   => 1,
    log_level => 'notice',
    http_config => 'lua_shared_dict go 100k;',
    config    => <<'CONF',
location = /wait {
    content_by_lua_block {
        local p = require("ngx.pipe").spawn("read line; echo $line")
        ngx.log(ngx.NOTICE, "reads from ", p:pid())
        local th = ngx.thread.spawn(function() return p:stdout_read_line() end)
        while not ngx.shared.go:get("go") do ngx.sleep(0.01) end
        p:write("still here\n")
        local _, line = ngx.thread.wait(th)
        ngx.print(line, " ", (select(2, p:wait())))
    }
}
location = /go { content_by_lua_block { ngx.shared.go:set("go", true) } }
location = /both {
    content_by_lua_block {
        KEPT = require("ngx.pipe").spawn({ "sleep", "3600" })
        ngx.print(ngx.worker.pid(), " ", KEPT:pid())
    }
}
location = /many {
    content_by_lua_block {
        local pipe = require "ngx.pipe"
        local failed = 0
        for _ = 1, 500 do
            failed = failed + (pipe.spawn({ "true" }, { merge_stderr = true }) and 0 or 1)
        end
        ngx.print(failed)
    }
}
location = /start {
    content_by_lua_block {
        local pipe = require "ngx.pipe"
        KEPT = pipe.spawn({ "sleep", "3600" })
        ngx.print(KEPT:pid())
    }
}
CONF
);
my $server = Bulan::Test::Server->new(%settings, allow => [qr/exited on signal 9/]);

# A zombie of somebody else's is gone for us.
sub gone {
    my ($pid) = @_;
    return wait_until(10, sub {
        open my $f, '<', "/proc/$pid/stat" or return 1;
        my $line = <$f> // return 1;
        return $line =~ /\) Z/;
    });
}

$server->start;
my $pid = $server->get('/start')->{body};
like $pid, qr/^\d+$/, 'a program runs';
ok $server->reload, 'reload';
ok gone($pid), 'it ends with the old worker';

my ($worker, $next) = split / /, $server->get('/both')->{body};
kill KILL => $worker;
ok gone($next), 'another ends with a worker that is killed';
ok $server->wait_log(qr/exited on signal 9/), 'as it was';

$pid = $server->get('/start')->{body};
$server->stop;
ok gone($pid), 'another ends with the server';

$server = Bulan::Test::Server->new(%settings, master => 0);
$server->start;
my $client = $server->connect;
$client->send("GET /wait HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
ok $server->wait_log(qr/reads from \d+/), 'a request talks to its program';
my ($reader) = $server->log =~ /reads from (\d+)/;
$server->signal('HUP');
ok $server->wait_log(qr/reconfiguring/), 'it is told to reload';
ok !!$server->get('/go'), 'a reload comes in between';
is $client->response->{body}, 'still here exit', 'and does not disturb it';
ok gone($reader), 'it has ended';
$pid = $server->get('/start')->{body};
$server->stop;
ok gone($pid), 'another ends with a single process';

$server = Bulan::Test::Server->new(%settings, main_config => 'worker_rlimit_nofile 150;',
    allow => [$ENV{TEST_NGINX_USE_VALGRIND} ? qr/setrlimit\(RLIMIT_NOFILE\) failed/ : ()]); # it has some for itself
$server->start;
is $server->get('/many')->{body}, 0, 'programs that nobody holds do not use up the descriptors';
$server->stop;

done_testing();
