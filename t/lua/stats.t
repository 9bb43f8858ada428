# ngx.stats: what the server counts, of all workers together.
use lib 't/lib';
use Bulan::Test;

run_tests();

__DATA__

=== TEST 1: counters and what they mean
--- config
location /t {
    content_by_lua_block {
        local stats = require "ngx.stats"
        local before = stats.sum()
        ngx.sleep(0.02)
        local busy = os.clock() + 0.05
        ngx.timer.at(0, function() end)
        while os.clock() < busy do end
        ngx.sleep(1.1)
        local after, about = stats.sum(), stats.about()
        ngx.say(before.requests, " ", before.accepted, " ", before.writing, " ", before.status_2xx)
        ngx.say(after.timers_fired - before.timers_fired >= 2, " ", after.timers_late_ms - before.timers_late_ms >= 40)
        ngx.say(after.lua_bytes > 100000, " ", about.lua_bytes)
        for name in pairs(after) do
            if not about[name] then ngx.say("nothing is said about ", name) end
        end
    }
}
location /again { content_by_lua_block { local s = require("ngx.stats").sum() ngx.say(s.status_2xx, " ", s.request_ms >= 1100) } }
--- request eval
["GET /t", "GET /again"]
--- response_body eval
["1 1 1 0\ntrue true\ntrue gauge: memory of Lua, taken once a second\n", "1 true\n"]
