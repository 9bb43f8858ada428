# ngx.timer: what nobody else has. Timers are objects: they can be cancelled, named, and limited.
use lib 't/lib';
use Bulan::Test;

run_tests();

__DATA__

=== TEST 1: cancel
--- config
location /t {
    content_by_lua_block {
        local ran = 0
        local t = assert(ngx.timer.at(0.01, function() ran = ran + 1 end))
        ngx.say(t:pending(), " ", ngx.timer.pending_count())
        ngx.say(t:cancel())
        ngx.say(t:pending(), " ", ngx.timer.pending_count())
        ngx.say(t:cancel())
        assert(ngx.timer.at(0.03, function() ran = ran + 10 end))
        ngx.sleep(0.06)
        ngx.say(ran)
    }
}
--- request
GET /t
--- response_body
true 1
true
false 0
nilnot pending
10



=== TEST 2: one that repeats, cancelled from inside
--- config
location /t {
    content_by_lua_block {
        local ran, t = 0
        t = assert(ngx.timer.every(0.005, function()
            ran = ran + 1
            if ran == 3 then t:cancel() end
        end))
        ngx.sleep(0.1)
        ngx.say(ran, " ", t:pending())
    }
}
--- request
GET /t
--- response_body
3 false



=== TEST 3: the name stands in the log
--- config
location /t {
    content_by_lua_block {
        ngx.timer.at(0, function() error("sad") end):name("cleanup")
        ngx.timer.at(0, function(_, what) ngx.log(ngx.WARN, what) end, "hello"):name("greeter")
        ngx.sleep(0.02)
        ngx.say("done")
    }
}
--- request
GET /t
--- response_body
done
--- error_log eval
[qr/sad\n.*context: ngx\.timer, timer: cleanup, client: 127\.0\.0\.1/s, qr/\[warn\] .*hello, context: ngx\.timer, timer: greeter/]



=== TEST 4: a run is ended at its deadline, with all that it waits for
--- config
location /t {
    content_by_lua_block {
        local reached
        local t = ngx.timer.at(0, function()
            ngx.thread.spawn(function() ngx.sleep(100) end)
            ngx.sleep(100)
            reached = true
        end)
        t:name("slow"):deadline(0.02)
        local fine
        ngx.timer.at(0, function() ngx.sleep(0.001) fine = true end):deadline(5)
        ngx.sleep(0.1)
        ngx.say(reached, " ", fine, " ", ngx.timer.running_count())
    }
}
--- request
GET /t
--- response_body
nil true 0
--- error_log
ngx.timer: ended at its deadline of 20 ms, timer: slow, client: 127.0.0.1



=== TEST 5: handles outlive their timers, and go before them
--- config
location /t {
    content_by_lua_block {
        local fired = 0
        for i = 1, 1000 do ngx.timer.at(0.01, function() fired = fired + 1 end):name("n" .. i) end
        collectgarbage() collectgarbage()
        local t = ngx.timer.at(0, function() end)
        ngx.sleep(0.05)
        collectgarbage()
        ngx.say(fired, " ", t:pending())
        t:name("too late")
    }
}
--- request
GET /t
--- response_body
1000 false
--- no_error_log
[error]



=== TEST 6: a shared socket is everybody's
--- http_config
server {
    listen unix:$TEST_NGINX_SERVER_ROOT/echo.sock;
    location / {
        content_by_lua_block {
            local s = assert(ngx.req.socket(true))
            s:settimeout(5000)
            while true do
                local line = s:receive()
                if not line then return end
                s:send(line:upper() .. "\n")
            end
        }
    }
}
init_by_lua_block {
    function ask(text)
        assert(shared:send(text .. "\n"))
        return assert(shared:receive())
    end
}
--- config
location /open {
    content_by_lua_block {
        shared = ngx.socket.tcp{ shared = true }
        assert(shared:connect("unix:$TEST_NGINX_SERVER_ROOT/echo.sock"))
        shared:send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        ngx.say(ask("one"))
    }
}
location /ask {
    content_by_lua_block {
        ngx.timer.at(0, function() ngx.log(ngx.WARN, ask("timer")) end)
        ngx.sleep(0.05)
        ngx.say(ask("two"))
    }
}
--- request eval
["GET /open", "GET /ask"]
--- response_body eval
["ONE\n", "TWO\n"]
--- error_log
TIMER



=== TEST 7: a hundred thousand pending timers take less than 60 MB
--- http_config
lua_max_pending_timers 200000;
--- config
location /t {
    content_by_lua_block {
        local function resident()
            for line in io.lines("/proc/self/status") do
                local kb = line:match("^VmRSS:%s+(%d+)")
                if kb then return tonumber(kb) / 1024 end
            end
        end
        local function nothing() end
        local before = resident()
        for i = 1, 100000 do assert(ngx.timer.at(3600 + i, nothing, i)) end
        local took = resident() - before
        ngx.log(ngx.WARN, "MB: ", took)
        ngx.say(ngx.timer.pending_count(), " ", took < 60 and "small" or "large: " .. took)
    }
}
--- request
GET /t
--- response_body
100000 small



=== TEST 8: without a code cache, a timer that outlives its request logs for itself
--- config
lua_code_cache off;
location /t {
    content_by_lua_block {
        ngx.timer.at(0.02, function() ngx.log(ngx.WARN, "late") end)
        ngx.say("early")
    }
}
--- request
GET /t
--- response_body
early
--- error_log eval
qr/\d#\d+: \[lua\] \S+:2: late, context: ngx\.timer, client: 127\.0\.0\.1, server: /
--- allow
lua_code_cache is off



=== TEST 9: timers of requests with a VM of their own end with the worker, too
--- config
location /t {
    lua_code_cache off;
    content_by_lua_block {
        local run
        run = function(premature, name)
            ngx.log(ngx.WARN, name, ": ", premature, " ", (ngx.timer.at(1, run)))
        end
        ngx.timer.every(100, run, "repeats")
        ngx.timer.at(100, run, "late")
        ngx.say("made")
    }
}
--- request eval
["GET /t", "GET /t"]
--- response_body eval
["made\n", "made\n"]
--- perl
ok $server->reload, 'the worker is told to go';
ok $server->wait_log(qr/$_: true nil/), $_ for qw(repeats late);
--- allow
lua_code_cache is off



=== TEST 10: printed, a timer is the number 1
--- config
location /t {
    content_by_lua_block {
        local t = ngx.timer.at(0, function() end)
        ngx.log(ngx.WARN, "logged: ", t, "; joined: " .. t .. "!")
        ngx.say("time: ", t)
        ngx.say(t)
        ngx.say("a", "b", t, "c", "d")
    }
}
--- request
GET /t
--- response_body
time: 1
1
ab1cd
--- error_log
logged: 1; joined: 1!
