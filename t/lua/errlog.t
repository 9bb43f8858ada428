# ngx.errlog: captured lines.
use lib 't/lib';
use Bulan::Test;

log_level('info');
run_tests();

__DATA__

=== TEST 1: lines with level and time, taken out
--- http_config
lua_capture_error_log 100k;
--- config
location /t {
    content_by_lua_block {
        local errlog = require "ngx.errlog"
        errlog.get_logs()
        ngx.log(ngx.WARN, "one")
        ngx.log(ngx.ERR, "two")
        ngx.log(ngx.INFO, "three")
        local some = errlog.get_logs(2)
        ngx.say(#some, " ", some[1], " ", some[4], " ", math.abs(some[2] - ngx.now()) < 10)
        ngx.say(some[3]:match("%[warn%] %d+#%d+: .*one"))
        local old = {1, 2, 3, 4, 5}
        ngx.say(errlog.get_logs(0, old) == old, " ", old[1], " ", old[4], " ", old[5])
        ngx.say(#errlog.get_logs())
    }
}
--- request
GET /t
--- response_body_like chomp
^6 5 4 true
\[warn\] \d+#\d+: \*1 \[lua\] content_by_lua\(nginx.conf:\d+\):4: one
true 7 nil 5
0$



=== TEST 2: a level, and what init_by_lua has said
--- http_config
lua_capture_error_log 4k;
init_by_lua_block {
    local errlog = require "ngx.errlog"
    ngx.log(ngx.WARN, "from init")
    print(errlog.set_filter_level(ngx.WARN))
    print(errlog.set_filter_level("x"))
}
--- config
location /t {
    content_by_lua_block {
        ngx.log(ngx.INFO, "no")
        ngx.log(ngx.WARN, "yes")
        for i, what in ipairs(require("ngx.errlog").get_logs()) do
            if i % 3 == 0 then ngx.say(what:match("%d: (%w+ ?%w*)")) end
        end
    }
}
--- request
GET /t
--- response_body
from init
yes
--- error_log
bad argument #1 to 'set_filter_level'



=== TEST 3: the ring: the oldest go, whatever their lengths
--- http_config
lua_capture_error_log 4k;
--- config
location /t {
    content_by_lua_block {
        local errlog = require "ngx.errlog"
        math.randomseed(1)
        local total = 0
        for round = 1, 200 do
            local lines = math.random(1, 30)
            for i = 1, lines do
                ngx.log(ngx.WARN, "n=", total + i, " ", string.rep("x", math.random(0, 900)), " end")
            end
            total = total + lines
            local last = total
            local logs = errlog.get_logs()
            assert(#logs >= 3, "nothing kept")
            for i = #logs, 3, -3 do
                local n = tonumber(logs[i]:match("n=(%d+) x* end"))
                assert(n == last, (n or "none") .. " is not " .. last)
                last = last - 1
            end
        end
        ngx.say("ok")
    }
}
--- request
GET /t
--- response_body
ok



=== TEST 4: not asked for
--- config
location /t {
    content_by_lua_block {
        local errlog = require "ngx.errlog"
        ngx.say(errlog.get_logs())
        ngx.say(errlog.set_filter_level(ngx.WARN))
    }
}
--- request
GET /t
--- response_body
nildirective "lua_capture_error_log" is not set
nildirective "lua_capture_error_log" is not set



=== TEST 5: too small
--- http_config
lua_capture_error_log 3k;
--- config
--- must_die
--- error_log
invalid capture error log size "3k", minimum size is 4096



=== TEST 6: a line that a signal's handler logs while others are captured
--- http_config
lua_capture_error_log 8m;
lua_block_warn 20ms;
init_by_lua_block { require("ngx.errlog").set_filter_level(ngx.WARN) }
init_worker_by_lua_block { require("jit.profile").start("fi1000", function() end) } # no safe point
--- config
location /t {
    content_by_lua_block {
        local errlog = require "ngx.errlog"
        errlog.get_logs()
        local n, ends = 0, os.clock() + 0.8
        repeat
            n = n + 1
            ngx.log(ngx.WARN, "n=", n, " ", string.rep("x", 500), " end")
            local pause = os.clock() + 0.0002
            repeat until os.clock() > pause
        until os.clock() > ends
        local said, last = 0, 0
        local logs = errlog.get_logs(100000)
        for i = 3, #logs, 3 do
            local number = tonumber(logs[i]:match("n=(%d+) x* end"))
            if number then
                assert(number == last + 1, number .. " behind " .. last)
                last = number
            else
                if logs[i]:find("Lua code has held the event loop", 1, true) then said = said + 1 end
            end
        end
        ngx.say(last == n, " ", said)
    }
}
--- request
GET /t
--- response_body
true 1
--- error_log
none: it is in compiled code or in a call of the system
