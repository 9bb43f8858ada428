# ngx.worker.events: messages between workers, through the real processes.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Bulan::Test::Process 'wait_until';
use Bulan::Test::Server;

my $server = Bulan::Test::Server->new(
    workers     => 3,
    log_level   => 'notice',
    allow       => [qr/exited on signal 9/],
    http_config => <<'CONF',
lua_shared_dict seen 2m;
init_by_lua_block { events = require "ngx.worker.events" }
init_worker_by_lua_block {
    local seen = ngx.shared.seen
    events.mine = events.subscribe("news", function(data, info)
        if type(data) == "table" then data = "table " .. data.x end
        seen:rpush("news", ngx.worker.pid() .. " " .. tostring(data) .. " " .. info.channel .. " " .. info.pid)
        ngx.sleep(0.001)
    end)
    events.subscribe("order", function(data) seen:rpush("order" .. ngx.worker.id(), data) end)
    events.subscribe("filled", function(data) seen:rpush("filled", #data) end)
    events.subscribe("exits", function(data) if data == 1 then ngx.exit(0) end end)
    events.subscribe("exits", function(data)
        seen:rpush("exits", tostring(data))
        ngx.sleep(0)
        seen:rpush("exits", data .. " later")
    end)
    events.subscribe("echo", function(data)
        seen:incr("echoes", 1, 0)
        if seen:get("echo") then events.publish("echo", data, ngx.worker.id()) end
    end)
    events.subscribe("bad", function() error("a subscriber fails") end)
}
CONF
    config => <<'CONF',
location = /pid { content_by_lua_block { ngx.print(ngx.worker.pid()) } }
location = /publish {
    content_by_lua_block {
        local data = ngx.var.arg_data
        if data == "table" then data = { x = 7 } elseif data == "true" then data = true end
        local to = tonumber(ngx.var.arg_to) or ngx.var.arg_to
        ngx.print(ngx.worker.pid(), " ", events.publish(ngx.var.arg_channel or "news", data, to))
    }
}
location = /many {
    content_by_lua_block {
        for i = 1, 1000 do assert(events.publish("order", i)) end
        ngx.print("sent")
    }
}
location = /seen {
    content_by_lua_block {
        local line = ngx.shared.seen:lpop(ngx.var.arg_list or "news")
        while line do
            ngx.say(line)
            line = ngx.shared.seen:lpop(ngx.var.arg_list or "news")
        end
    }
}
location = /count { content_by_lua_block { ngx.print(ngx.shared.seen:llen(ngx.var.arg_list or "news")) } }
location = /quiet { content_by_lua_block { ngx.print(events.mine:unsubscribe(), " ", events.mine:unsubscribe()) } }
location = /pop {
    content_by_lua_block {
        ngx.shared.seen:incr("asking", 1, 0)
        local data, err = events.pop("jobs", tonumber(ngx.var.arg_wait))
        ngx.shared.seen:incr("asking", -1)
        ngx.print(type(data), " ", tostring(data), " ", err or "")
    }
}
location = /echo {
    content_by_lua_block {
        local seen = ngx.shared.seen
        seen:set("echo", true)
        events.publish("echo", 1, ngx.worker.id())
        repeat ngx.sleep(0.001) until (seen:get("echoes") or 0) >= 10
        seen:delete("echo")
        ngx.print("served")
    }
}
location = /asking { content_by_lua_block { ngx.print(ngx.shared.seen:get("asking") or 0) } }
location = /push {
    content_by_lua_block {
        for i = 1, tonumber(ngx.var.arg_times or 1) do ngx.print(events.push("jobs", ngx.var.arg_data .. i), " ") end
    }
}
location = /exits {
    content_by_lua_block {
        events.publish("exits", 1)
        ngx.print(ngx.worker.pid(), " ", events.publish("exits", 2))
    }
}
location = /fill {
    content_by_lua_block {
        -- room for one or two of three
        local data, n = ("x"):rep(100000), 0
        while events.push("ballast", data) do n = n + 1 end
        while #data > 100 do
            data = data:sub(1, #data / 2)
            while events.push("ballast", data) do n = n + 1 end
        end
        events.pop("ballast")
        local reached, err = events.publish("filled", ("y"):rep(40000))
        ngx.print(reached, " ", err)
        while events.pop("ballast") do end
    }
}
location = /large { content_by_lua_block { ngx.print(events.publish("large", ("x"):rep(50000))) } }
location = /errors {
    content_by_lua_block {
        ngx.say(pcall(events.publish, "", 1))
        ngx.say(pcall(events.subscribe, "x"))
        ngx.say(events.publish("x", function() end))
        ngx.say(events.push("big", ("x"):rep(2000000)))
        ngx.say(events.length("nothing"), " ", events.pop("nothing"))
    }
}
CONF
)->start;

my @workers = $server->wait_workers;
$server->wait_log(qr/start worker process/);

# get(PATH): the body. Several processes accept: which one answers is not decided here.
sub get { $server->get($_[0])->{body} }

sub lines_seen {
    my ($count, $list) = @_;
    $list ||= 'news';
    wait_until(5, sub { get("/count?list=$list") >= $count });
    return split /\n/, get("/seen?list=$list");
}

subtest 'all workers hear it' => sub {
    # All three are there once a message reaches three.
    wait_until(5, sub { (split ' ', get('/publish?channel=warm-up&data=1'))[1] == 3 });
    my ($from, $reached) = split ' ', get('/publish?data=hello');
    is $reached, 3, 'sent to three';
    my @lines = grep { / hello news $from\z/ } lines_seen(3);
    is_deeply [sort map { (split)[0] } @lines], [sort @workers], 'each of them got it once';
};

subtest 'some workers hear it' => sub {
    my ($from, $reached) = split ' ', get('/publish?data=true&to=others');
    is $reached, 2, 'sent to two';
    my @lines = lines_seen(2);
    is_deeply [sort map { (split)[0] } @lines], [sort grep { $_ != $from } @workers], 'the others';
    like $lines[0], qr/ true /, 'a boolean stays one';
    (undef, $reached) = split ' ', get('/publish?data=table&to=1');
    is $reached, 1, 'sent to one';
    like +(lines_seen(1))[0], qr/ table 7 /, 'a table stays one';
};

subtest 'order' => sub {
    is get('/many'), 'sent', 'a thousand messages';
    for my $worker (0 .. 2) {
        is_deeply [lines_seen(1000, "order$worker")], [1 .. 1000], "in order, in worker $worker";
    }
};

subtest 'a subscriber that fails' => sub {
    get('/publish?channel=bad&data=x');
    ok $server->wait_log(qr/a subscriber fails/), 'is logged';
    like get('/quiet'), qr/^true nil/, 'unsubscribe';
};

subtest 'a subscriber that calls ngx.exit' => sub {
    my ($from, $reached) = split ' ', get('/exits');
    is $reached, 3, 'two messages';
    is_deeply [sort map { s/ later//r } lines_seen(12, 'exits')], [('1') x 6, ('2') x 6], 'the other subscriber hears both';
};

is get('/echo'), 'served', 'a subscriber that answers itself for ever leaves time for others';

subtest 'a zone that is full' => sub {
    is get('/fill'), 'nil no memory', 'no memory for all three';
    get('/publish?data=after');
    lines_seen(2); # one of the three has unsubscribed
    is get('/count?list=filled'), 0, 'so nobody hears it';
};

subtest 'queues' => sub {
    is get('/pop'), 'nil nil timeout', 'nothing there, not waiting';
    is get('/push?data=job'), '1 ', 'put in';
    is get('/pop'), 'string job1 ', 'taken out';
    my @clients = map { $server->connect } 1 .. 6;
    $_->send("GET /pop?wait=20 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") for @clients;
    ok wait_until(5, sub { get('/asking') == 6 }), 'six wait';
    get('/push?data=w&times=6');
    my @got = map { ($_->take(qr/string w\d /, time + 10) =~ /(w\d)/)[0] } @clients;
    is_deeply [sort @got], [map { "w$_" } 1 .. 6], 'each gets one';
};

subtest 'across a reload and a death' => sub {
    get('/push?data=kept');
    kill 'KILL', $workers[0];
    ok wait_until(5, sub { my @now = $server->worker_pids; @now == 3 && !grep { $_ == $workers[0] } @now }), 'replaced';
    ok $server->reload, 'reloaded';
    is get('/pop'), 'string kept1 ', 'the queue was kept';
    ok wait_until(5, sub { (split ' ', get('/publish?data=again'))[1] == 3 }), 'the dead are not counted';
};

subtest 'a process that dies with messages that it has not read' => sub {
    my @old = $server->worker_pids;
    kill 'STOP', $old[0];
    $server->signal('HUP');
    my $of_old = join '|', @old;
    ok wait_until(5, sub { grep({ !/^(?:$of_old)$/ } $server->worker_pids) == 3 }), 'there is a new configuration';
    ok wait_until(5, sub { get('/large') =~ /no memory/ }), 'one of the old one does not read';
    kill 'KILL', $old[0];
    ok wait_until(5, sub { my @now = $server->worker_pids; @now == 3 && !grep { $_ == $old[0] } @now }), 'it is gone';
    ok wait_until(5, sub { get('/large') eq '3' }), 'and so are its messages';
};

like get('/errors'), qr/^false.*bad channel.*\nfalse.*bad callback.*\nnila function can't be sent\nnilno memory\n0 niltimeout\n/, 'errors';
unlike $server->log, qr/runtime error: \S*events\.lua/, 'the library itself makes no error';
$server->stop;
done_testing;
