use lib 't/lib';
use Bulan::Test;

add_block_preprocessor(sub {
    my $block = shift;
    $block->set_value(http_config => "lua_shared_dict store 200k;\nlua_shared_dict other 200k;\n" . ($block->http_config || ''));
});

run_tests();

__DATA__

=== TEST 1: req: excess, delay, rejection, dry runs
--- config
location /t {
    content_by_lua_block {
        local limit_req = require "resty.limit.req"
        ngx.say(limit_req.new("nowhere", 1, 1))
        local lim = assert(limit_req.new("store", 0.01, 2))
        local function show(commit)
            local delay, excess = lim:incoming("key", commit)
            if not delay then return ngx.say(excess) end
            ngx.say(math.floor(delay + 0.5), " ", string.format("%.2f", excess))
        end
        show(false)
        show(true)
        show(true)
        show(false)
        show(true)
        show(true)
        show(true)
        ngx.say(lim:uncommit("key"))
        show(true)
        lim:set_burst(3)
        show(true)
        ngx.say(lim:incoming("another", true))
        ngx.say(lim:uncommit("none"))
    }
}
--- request
GET /t
--- response_body
nilshared dict not found
0 0.00
0 0.00
100 1.00
200 2.00
200 2.00
rejected
rejected
true
200 2.00
300 3.00
00
nilnot found



=== TEST 2: req: the bucket leaks with time
--- config
location /t {
    content_by_lua_block {
        local lim = assert(require("resty.limit.req").new("store", 50, 0))
        local passed, rejected = 0, 0
        ngx.update_time()
        local from = ngx.now()
        repeat
            if lim:incoming("key", true) then passed = passed + 1 else rejected = rejected + 1 end
            ngx.sleep(0.001)
        until ngx.now() - from > 0.3
        local elapsed = ngx.now() - from
        local most = elapsed * 50 + 2
        ngx.say(passed <= most, " ", passed >= 5, " ", rejected > 0)
        if passed > most then ngx.say(passed, " of ", most) end
    }
}
--- request
GET /t
--- response_body
true true true



=== TEST 3: req: workers count together
--- workers: 2
--- config
location /one {
    content_by_lua_block {
        local lim = require("resty.limit.req").new("store", 0.001, 20)
        ngx.say((lim:incoming("key", true)) and "ok" or "no")
    }
}
--- perl
my %count;
for (1 .. 40) {
    my $body = $server->get('/one')->{body};
    chomp $body;
    $count{$body}++;
}
is $count{ok}, 21, 'one and the burst';
is $count{no}, 19, 'the others are rejected';



=== TEST 4: conn
--- config
location /t {
    content_by_lua_block {
        local limit_conn = require "resty.limit.conn"
        ngx.say(limit_conn.new("nowhere", 1, 1, 1))
        local lim = assert(limit_conn.new("store", 2, 2, 0.5))
        ngx.say(lim:incoming("key"), " ", lim:is_committed())
        for i = 1, 5 do
            local delay, conn = lim:incoming("key", true)
            ngx.say(delay, " ", conn, " ", lim:is_committed())
        end
        ngx.say(lim:leaving("key", 1.5))
        ngx.say(lim:incoming("key", true))
        ngx.say(lim:uncommit("key"), lim:is_committed())
        lim:set_conn(10)
        ngx.say(lim:incoming("key", true))
        lim:set_conn(1)
        lim:set_burst(0)
        ngx.say(lim:incoming("key", true))
        for i = 1, 4 do lim:leaving("key") end
        ngx.say(lim:incoming("key", true))
        ngx.say(lim:leaving("none"))
    }
}
--- request
GET /t
--- response_body
nilshared dict not found
0 false
0 1 true
0 2 true
0.5 3 true
0.5 4 true
nil rejected false
3
14
3false
04
nilrejected
01
nilnot found



=== TEST 5: conn: requests that are there at the same time
--- config
location /t {
    access_by_lua_block {
        local lim = require("resty.limit.conn").new("store", 1, 0, 0.1)
        local delay, err = lim:incoming("key", true)
        if not delay then return ngx.exit(503) end
        ngx.ctx.lim = lim
    }
    content_by_lua_block {
        if ngx.var.args then
            ngx.say(ngx.location.capture("/inner").status)
        else
            ngx.say("alone")
        end
    }
    log_by_lua_block {
        if ngx.ctx.lim then ngx.ctx.lim:leaving("key", tonumber(ngx.var.request_time)) end
    }
}
location /inner {
    content_by_lua_block {
        local delay, err = require("resty.limit.conn").new("store", 1, 0, 0.1):incoming("key", true)
        ngx.exit(delay and 200 or 503)
    }
}
--- request eval
["GET /t?x", "GET /t"]
--- response_body eval
["503\n", "alone\n"]



=== TEST 6: count
--- config
location /t {
    content_by_lua_block {
        local limit_count = require "resty.limit.count"
        ngx.say(limit_count.new("nowhere", 1, 1))
        local lim = assert(limit_count.new("store", 2, 100))
        ngx.say(lim:incoming("key"))
        ngx.say(lim:incoming("key", true))
        ngx.say(lim:incoming("key", true))
        ngx.say(lim:incoming("key", true))
        ngx.say(lim:incoming("key", true))
        ngx.say(lim:incoming("key"))
        ngx.say(lim:uncommit("key"))
        ngx.say(lim:incoming("key", true))
        ngx.say(lim:uncommit("none"))
        ngx.say(ngx.shared.store:ttl("key") > 90)
        local short = assert(limit_count.new("other", 1, 0.01))
        ngx.say(short:incoming("key", true))
        while ngx.shared.other:get("key") do ngx.sleep(0.002) end
        ngx.say(short:incoming("key", true))
    }
}
--- request
GET /t
--- response_body
nilshared dict not found
01
01
00
nilrejected
nilrejected
nilrejected
1
00
2
true
00
00



=== TEST 7: traffic: the longest delay; all or none
--- config
location /t {
    content_by_lua_block {
        local traffic = require "resty.limit.traffic"
        local req = require("resty.limit.req").new("store", 0.01, 2)
        local conn = require("resty.limit.conn").new("other", 1, 1, 7)
        local count = require("resty.limit.count").new("other", 3, 100)
        local limiters, keys, states = { req, conn, count }, { "r", "c", "n" }, {}
        local function show()
            local delay, err = traffic.combine(limiters, keys, states)
            ngx.say(delay and math.floor(delay + 0.5), " ", err, " ", table.concat(states, " ", 2, 3), " left ",
                ngx.shared.other:get("c"), " ", ngx.shared.other:get("n"))
        end
        show()
        show()
        show()
        conn:leaving("c")
        conn:leaving("c")
        show()
        show()
        -- A limiter that changes its mind: what the others have counted is taken back.
        local calls = 0
        local moody = { incoming = function(_, _, commit)
            if commit then return nil, "rejected" end
            return 0, 0
        end }
        count = require("resty.limit.count").new("other", 100, 100)
        local c2 = require("resty.limit.conn").new("other", 10, 1, 7)
        ngx.say(traffic.combine({ c2, moody, count }, { "c2", "m", "n2" }))
        ngx.say(ngx.shared.other:get("c2"), " ", ngx.shared.other:get("n2"))
    }
}
--- request
GET /t
--- response_body
0 nil 1 2 left 1 2
100 nil 2 1 left 2 1
nil rejected 2 1 left 2 1
200 nil 1 0 left 1 0
nil rejected 1 0 left 1 0
nilrejected
0 100
