use lib 't/lib';
use Bulan::Test;
use Bulan::Test::Redis;

my $redis = Bulan::Test::Redis->start;
$ENV{TEST_NGINX_REDIS_PORT} = $redis->port;

add_block_preprocessor(sub {
    my $block = shift;
    $block->set_value(http_config => "lua_socket_log_errors off; lua_package_path '\$TEST_NGINX_HTML_DIR/?.lua;;';\nlua_shared_dict store 200k;");
    $block->set_value(user_files => <<'LUA');
>>> tools.lua
local redis = require "resty.redis"
local tools = { now = 1000, port = $TEST_NGINX_REDIS_PORT }

-- Options with a clock that the test moves.
function tools.options(more)
    local options = { port = tools.port, connect_timeout = 5000, send_timeout = 5000, read_timeout = 5000 }
    options.clock = function() return tools.now end
    for name, value in pairs(more or {}) do options[name] = value end
    return options
end

function tools.red()
    local red = redis:new()
    assert(red:connect("127.0.0.1", tools.port))
    return red
end

return tools
LUA
});

run_tests();

__DATA__

=== TEST 1: req: excess, delay, rejection, dry runs, and the bucket leaks
--- config
location /t {
    content_by_lua_block {
        local tools = require "tools"
        local red = tools.red()
        red:flushall()
        red:script("flush")
        local lim = assert(require("resty.limit.redis.req").new(tools.options(), 4, 2))
        local function show(commit)
            local delay, excess = lim:incoming("key", commit)
            if not delay then return ngx.say(excess) end
            ngx.say(delay, " ", excess)
        end
        for _, commit in ipairs { false, true, true, false, true, true, true } do show(commit) end
        ngx.say(lim:uncommit("key"))
        show(true)
        lim:set_burst(3)
        show(true)
        ngx.say(lim:incoming("another", true))
        tools.now = tools.now + 0.5
        show(true)
        tools.now = tools.now + 100
        show(true)
        lim:set_rate(1)
        show(true)
        ngx.say(lim:uncommit("none"))
        ngx.say(red:ttl("limit:key") <= 3, " ", red:exists("limit:none"))
        -- The checksum is known by now.
        local scripts = red:info("commandstats"):match("cmdstat_eval:calls=(%d+)")
        ngx.say(scripts)
    }
}
--- request
GET /t
--- response_body
0 0
0 0
0.25 1
0.5 2
0.5 2
rejected
rejected
true
0.5 2
0.75 3
00
0.5 2
0 0
0.25 0.25
true
true 0
2



=== TEST 2: count: the window, what remains and when it ends
--- config
location /t {
    content_by_lua_block {
        local tools = require "tools"
        tools.red():flushall()
        local lim = assert(require("resty.limit.redis.count").new(tools.options { prefix = "c:" }, 3, 10))
        local function show(commit)
            ngx.say(table.concat({ tostring((lim:incoming("key", false))), " ", tostring(select(2, lim:incoming("key", commit))), " ", tostring(select(3, lim:incoming("key", false))) }))
        end
        show(false)
        show(true)
        tools.now = tools.now + 4
        show(true)
        show(true)
        show(true)
        ngx.say(lim:uncommit("key"))
        show(true)
        ngx.say(lim:incoming("another", true))
        tools.now = tools.now + 6
        show(true)
        ngx.say(lim:uncommit("none"), " ", tools.red():exists("c:none"))
    }
}
--- request
GET /t
--- response_body
0 2 10
0 2 10
0 1 6
0 0 6
nil rejected 6
1
0 0 6
0210
0 2 10
3 0



=== TEST 3: conn
--- config
location /leave {
    content_by_lua_block {
        local tools = require "tools"
        local lim = assert(require("resty.limit.redis.conn").new(tools.options { prefix = "log:" }, 1, 0, 1))
        ngx.say(lim:incoming("key", true))
        ngx.ctx.lim = lim
    }
    log_by_lua_block { ngx.log(ngx.NOTICE, "left: ", ngx.ctx.lim:leaving("key", 0.1)) }
}
location /t {
    content_by_lua_block {
        local tools = require "tools"
        tools.red():flushall()
        local limit_conn = require "resty.limit.redis.conn"
        local lim = assert(limit_conn.new(tools.options { lease = 50 }, 2, 1, 4))
        ngx.say(lim:incoming("key"))
        ngx.say(lim:is_committed())
        for _ = 1, 4 do
            local delay, conn = lim:incoming("key", true)
            ngx.say(tostring(delay), " ", conn, " ", lim:is_committed())
        end
        ngx.say(lim:leaving("key", 2), " ", lim.unit_delay)
        local other = assert(limit_conn.new(tools.options { lease = 50 }, 2, 1, 4))
        ngx.say(other:incoming("key", true))
        ngx.say(other:uncommit("key"), " ", other:is_committed())
        ngx.say(other:leaving("key"))
        tools.now = tools.now + 49
        ngx.say(lim:incoming("key"))
        -- The leases of the two are over.
        tools.now = tools.now + 2
        ngx.say(lim:incoming("key", true))
        lim:set_conn(1)
        lim:set_burst(0)
        ngx.say(lim:incoming("key", true))
    }
}
--- request eval
["GET /t", "GET /leave"]
--- response_body eval
["01
false
0 1 true
0 2 true
4 3 true
nil rejected false
2 3
43
2 false
nilnot found
33
01
nilrejected
", "01\n"]
--- error_log
left: true
--- perl
use Bulan::Test::Process 'wait_until';
ok wait_until(5, sub { `redis-cli -p $ENV{TEST_NGINX_REDIS_PORT} exists log:key` =~ /^0/ }), 'counted out behind log_by_lua';



=== TEST 4: in one combination with the limiters on a dictionary
--- config
location /t {
    content_by_lua_block {
        local tools = require "tools"
        tools.red():flushall()
        local traffic = require "resty.limit.traffic"
        local count = assert(require("resty.limit.redis.count").new(tools.options(), 5, 10))
        local conn = assert(require("resty.limit.redis.conn").new(tools.options { prefix = "n:" }, 3, 0, 1))
        local req = assert(require("resty.limit.redis.req").new(tools.options { prefix = "r:" }, 1, 10))
        local dict = assert(require("resty.limit.count").new("store", 2, 100))
        local limiters, keys = { count, conn, req, dict }, { "a", "b", "c", "d" }
        for _ = 1, 3 do
            local states = {}
            local delay, err = traffic.combine(limiters, keys, states)
            ngx.say(tostring(delay), " ", err, " ", table.concat(states, " "))
        end
        ngx.say(select(2, count:incoming("a")), " ", select(2, conn:incoming("b")), " ", select(2, req:incoming("c")))
    }
}
--- request
GET /t
--- response_body
0 nil 4 1 0 1
1 nil 3 2 1 0
nil rejected 2 3 2
2 3 2



=== TEST 5: many at a time, in several workers: never more than allowed, never fewer
--- workers: 2
--- config
location /fill {
    content_by_lua_block {
        local tools = require "tools"
        local kind = ngx.var.arg_kind
        local lim
        if kind == "count" then
            lim = assert(require("resty.limit.redis.count").new(tools.options(), 100, 1000))
        elseif kind == "req" then
            lim = assert(require("resty.limit.redis.req").new(tools.options(), 1, 99))
        else
            lim = assert(require("resty.limit.redis.conn").new(tools.options(), 60, 40, 1))
        end
        local passed, threads = 0, {}
        for i = 1, 50 do
            threads[i] = ngx.thread.spawn(function()
                local delay, err = lim:incoming(kind, true)
                if delay then passed = passed + 1 elseif err ~= "rejected" then error(err) end
            end)
        end
        for i = 1, 50 do ngx.thread.wait(threads[i]) end
        ngx.print(passed)
    }
}
--- perl
for my $kind (qw(count req conn)) {
    my @pipes;
    for (1 .. 4) {
        open my $pipe, '-|', 'curl', '-s', '-m', 30, 'http://127.0.0.1:' . $server->port . "/fill?kind=$kind" or die $!;
        push @pipes, $pipe;
    }
    my $sum = 0;
    $sum += <$_> for @pipes;
    is $sum, 100, "$kind: exactly as many as allowed";
}



=== TEST 6: without Redis, or with one that is not right
--- config
location /t {
    content_by_lua_block {
        local tools = require "tools"
        local limiters = {
            req = function(o) return require("resty.limit.redis.req").new(o, 1, 1) end,
            conn = function(o) return require("resty.limit.redis.conn").new(o, 1, 1, 1) end,
            count = function(o) return require("resty.limit.redis.count").new(o, 1, 1) end,
        }
        for _, name in ipairs { "req", "conn", "count" } do
            for _, fail in ipairs { "error", "open", "closed" } do
                local lim = limiters[name](tools.options { port = 1, fail = fail })
                local delay, err = lim:incoming("key", true)
                ngx.say(name, " ", fail, ": ", tostring(delay), " ", err)
            end
            tools.red():flushall()
            tools.red():rpush("limit:key", 1)
            local delay, err = limiters[name](tools.options()):incoming("key", true)
            ngx.say(tostring(delay), " ", err:match("WRONGTYPE") or err)
        end
        ngx.say(limiters.req())
        ngx.say(pcall(limiters.req, { fail = "maybe" }))
        local lim = limiters.count { connect = function() return nil, "no master" end }
        ngx.say(lim:incoming("key", true))
        ngx.say(lim:uncommit("key"))
    }
}
--- request
GET /t
--- response_body
req error: nil connection refused
req open: 0 0
req closed: nil rejected
nil WRONGTYPE
conn error: nil connection refused
conn open: 0 0
conn closed: nil rejected
nil WRONGTYPE
count error: nil connection refused
count open: 0 0
count closed: nil rejected
nil WRONGTYPE
nilno options of a Redis
falsebad option fail: "error", "open" or "closed" expected
nilno master
nilno master
--- error_log
a request passes uncounted, Redis fails: connection refused



=== TEST 7: by the clock of Redis
--- config
location /t {
    content_by_lua_block {
        local tools = require "tools"
        tools.red():flushall()
        local options = { port = tools.port, read_timeout = 5000 }
        local req = assert(require("resty.limit.redis.req").new(options, 1000000, 0))
        ngx.say(req:incoming("key", true))
        tools.red():ping()
        ngx.say(req:incoming("key", true))
        local count = assert(require("resty.limit.redis.count").new({ port = tools.port, prefix = "x" }, 2, 100))
        local _, remaining, reset = count:incoming("key", true)
        ngx.say(remaining, " ", reset <= 100 and reset > 50)
    }
}
--- request
GET /t
--- response_body
00
00
1 true



=== TEST 8: conn: what has left leaves nothing behind; one request's success is not another's
--- config
location /t {
    content_by_lua_block {
        local tools = require "tools"
        local red = tools.red()
        red:flushall()
        local limit_conn = require "resty.limit.redis.conn"
        local lim = assert(limit_conn.new(tools.options(), 1, 1, 1))
        for i = 1, 100 do
            lim:incoming("key" .. i, true)
            lim:leaving("key" .. i)
        end
        ngx.say(next(lim.names))
        -- The second request is committed while the first one waits for its rejection.
        local slow = tools.options { fail = "closed" }
        local many = assert(limit_conn.new(slow, 1, 0, 1))
        many:incoming("full", true)
        local run, first = many.store.run, true
        many.store.run = function(...)
            local res, err = run(...)
            if first then
                first = false
                many.committed = true -- as the other request sets it
            end
            return res, err
        end
        ngx.say(many:incoming("full", true))
        ngx.say(many:is_committed())
    }
}
--- request
GET /t
--- response_body
nil
nilrejected
false
