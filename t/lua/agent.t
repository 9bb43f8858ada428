# ngx.process: the privileged agent.
use lib 't/lib';
use Bulan::Test;
use Bulan::Test::Process 'wait_until';
use Test::More;

my $server = Bulan::Test::Server->new(
    workers => 2,
    http_config => <<'_EOC_',
init_by_lua_block {
    local process = require "ngx.process"
    print("enabled: ", process.enable_privileged_agent(100), " in ", process.type())
    local bad = { process.enable_privileged_agent(-1) }
    print("bad: ", bad[2])
}
init_worker_by_lua_block {
    local process = require "ngx.process"
    require("ngx.worker.events").subscribe("agent", function(data)
        if process.type() == "privileged agent" then print("agent hears: ", data) end
    end)
    print("type: ", process.type(), ", id: ", ngx.worker.id())
    ngx.timer.at(0, function()
        if process.type() == "privileged agent" then
            while #ngx.worker.pids() < 2 do ngx.sleep(0.01) end
            print("agent may wait: ", ngx.worker.count(), " ", #ngx.worker.pids(), " ",
                  process.get_master_pid())
        end
    end)
}
exit_worker_by_lua_block {
    print("ends: ", require("ngx.process").type())
}
_EOC_
    config => <<'_EOC_',
location = /tell {
    content_by_lua_block { ngx.print(require("ngx.worker.events").publish("agent", ngx.var.args)) }
}
location /t {
    content_by_lua_block {
        ngx.say(require("ngx.process").type(), " ",
                select(2, require("ngx.process").enable_privileged_agent()))
    }
}
_EOC_
);
$server->start;
ok $server->wait_log(qr/enabled: true in master/), 'enabled';
ok $server->wait_log(qr/bad: bad 'connections' argument/), 'a bad limit';
ok $server->wait_log(qr/type: privileged agent, id: nil/), 'the agent runs init_worker_by_lua';
ok $server->wait_log(qr/type: worker, id: 1/), 'workers too';
ok $server->wait_log(qr/agent may wait: 2 2 @{[$server->master_pid]}\b/), 'it has timers';
is_deeply [grep { $_ ne "worker API disabled in the current context\n" } map { $server->get('/t')->{body} } 1 .. 50], [],
    'it serves nobody';
$server->get('/tell?first');
ok $server->wait_log(qr/agent hears: first/), 'workers of another user wake it';
$server->get('/tell?second');
ok $server->wait_log(qr/agent hears: second/), 'again';
my ($agent) = $server->log =~ /start privileged agent process (\d+)/;
kill KILL => $agent;
ok $server->wait_log(qr/\[alert\] .*privileged agent process $agent exited on signal 9/), 'it dies';
ok $server->wait_log(qr/start privileged agent process (?!$agent\b)\d+/), 'and is replaced';
ok wait_until(10, sub { $server->get('/tell?third'); $server->log =~ /agent hears: third/ }), 'by one that hears, too';
$server->{allow} = [qr/privileged agent process \d+ exited on signal 9/];
$server->quit;
like $server->log, qr/ends: privileged agent/, 'exit_worker_by_lua runs in it';
done_testing;
