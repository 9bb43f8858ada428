# resty.mlcache: the three levels, one callback for all, invalidation between workers; tablepool.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Bulan::Test::Command;
use Bulan::Test::Process 'wait_until';
use Bulan::Test::Server;

my $in = Bulan::Test::Command->new;

# say(...) prints its arguments with blanks between; a time is not printed.
$in->file('work/begin.lua', <<'LUA');
mlcache = require "resty.mlcache"
function say(...)
    local parts = {}
    for i = 1, select("#", ...) do parts[i] = tostring((select(i, ...))) end
    print(table.concat(parts, " "))
end
function value(v, err, ttl) return function() return v, err, ttl end end
function none() error("the callback was called") end
-- Until it has expired.
function expire(seconds)
    local ends = ngx.now() + seconds
    repeat ngx.sleep(0.005) ngx.update_time() until ngx.now() > ends
end
LUA

sub prints {
    my ($text, $out, $name, $err) = @_;
    $in->file('work/a.lua', $text);
    my $r = $in->run('run', '--shdict', 'cache 1m', '--shdict', 'miss 1m', '--shdict', 'locks 1m', '--shdict', 'small 32k',
        '-e', 'dofile "begin.lua"', 'a.lua');
    is $r->{out}, $out, $name;
    $err ? like($r->{err}, $err, "$name: log") : is($r->{err}, '', "$name: no error");
}

prints <<'LUA', <<'OUT', 'levels, types, negative hits';
local cache = assert(mlcache.new("c", "cache"))
for _, v in ipairs { "text", "", "a\0b", 1.5, -0.0, 1e300, true, false } do
    local key = type(v) .. tostring(v)
    local a, err, level = cache:get(key, nil, value(v))
    local b, err2, level2 = cache:get(key, nil, none)
    cache.lru:delete(key)
    local c, err3, level3 = cache:get(key, nil, none)
    assert(a == v and b == v and c == v and type(c) == type(v) and not (err or err2 or err3))
    assert(level == 3 and level2 == 1 and level3 == 2, key)
end
say(cache:get("nil", nil, value(nil)))
say(cache:get("nil", nil, none))
cache.lru:delete("nil")
say(cache:get("nil", nil, none))
say(cache:get("not there"))
local t = cache:get("table", nil, function(a, b) return { a, { b = b, n = ngx.null } } end, 1, "x")
cache.lru:delete("table")
local u, _, level = cache:get("table", nil, none)
say(t ~= u, u[1], u[2].b, u[2].n == ngx.null, level)
local other = mlcache.new("other", "cache")
say(other:get("nil"))
say(mlcache.new("c", "cache"):get("nil"))
LUA
nil nil 3
nil nil 1
nil nil 2
nil nil -1
true 1 x true 2
nil nil -1
nil nil 1
OUT

prints <<'LUA', <<'OUT', 'times to live';
local cache = assert(mlcache.new("c", "cache", { ttl = 0.02, neg_ttl = 0.02 }))
cache:get("a", nil, value(1))
cache:get("nil", nil, value(nil))
cache:get("mine", { ttl = 0 }, value(1))
cache:get("callback's", nil, value(1, nil, 100))
say(cache:get("uncached", nil, value(7, nil, -1)))
say(cache:get("uncached"))
expire(0.03)
say(cache:get("a", nil, value(2)))
say(cache:get("nil", nil, value(3)))
say(cache:get("mine", nil, none))
say(cache:get("callback's", nil, none))
local ttl, err, v = cache:peek("callback's")
say(ttl > 99 and ttl <= 100, err, v)
say(cache:peek("mine"))
say(cache:peek("nothing"))
cache:get("b", nil, value("old"))
expire(0.03)
say(cache:peek("b"))
ttl, err, v = cache:peek("b", true)
say(ttl < 0, err, v)
-- L1 does not outlive L2
cache:get("c", { ttl = 0.05 }, value(1))
expire(0.03)
cache.lru:delete("c")
say(cache:get("c"))
expire(0.03)
say(cache:get("c"))
LUA
7 nil 3
nil nil -1
2 nil 3
3 nil 3
1 nil 1
1 nil 1
true nil 1
0 nil 1
nil nil
nil
true nil old
1 nil 2
nil nil -1
OUT

prints <<'LUA', <<'OUT', 'callbacks that fail; stale values', qr/callback returned an error \(db is gone\) but stale value/;
local cache = assert(mlcache.new("c", "cache", { ttl = 0.02, neg_ttl = 0.02, resurrect_ttl = 0.03 }))
say(cache:get("a", nil, value(nil, "db is gone")))
say(cache:get("a", nil, value("half", "db is gone")))
say((select(2, cache:get("a", nil, function() error("oops") end)):match("^[^\n]+")))
say(cache:get("a", nil, value(print)))
say((select(2, cache:get("a", nil, value { print })):match("^[%w ]+:")))
say(cache:get("a"))
cache:get("a", nil, value("good"))
cache:get("nil", nil, value(nil))
expire(0.03)
say(cache:get("a", nil, value(nil, "db is gone")))
say(cache:get("a", nil, none))
cache.lru:delete("a")
say(cache:get("a", nil, none))
say(cache:get("nil", nil, value(nil, "db is gone")))
say((cache:get("a")))
expire(0.04)
say((select(2, cache:get("a", nil, function() error("oops") end)):match("^[^\n]+")))
say(cache:get("a", nil, value("new")))
LUA
nil db is gone nil
half db is gone nil
callback threw an error: a.lua:4: oops
nil cannot cache value of type function nil
could not encode value:
nil nil -1
good nil 4
good nil 1
good nil 4
nil nil 4
good
callback threw an error: a.lua:18: oops
new nil 3
OUT

prints <<'LUA', <<'OUT', 'one callback within a worker: the others are woken, and have its error';
local cache = assert(mlcache.new("c", "cache", { shm_locks = "locks" }))
local function many(key, callback, opts)
    local levels, threads = {}, {}
    for i = 1, 20 do
        threads[i] = ngx.thread.spawn(cache.get, cache, key, opts, callback)
    end
    local last
    for i = 1, 20 do
        local ok, v, err, level = ngx.thread.wait(threads[i])
        assert(ok, v)
        last = tostring(v) .. " " .. tostring(err):match("^[^\n]+")
        levels[level or 0] = (levels[level or 0] or 0) + 1
    end
    return last, "3:", levels[3], "other:", 20 - (levels[3] or 0)
end
local calls = 0
say(many("a", function() calls = calls + 1 ngx.sleep(0.02) return "v" end))
say(many("nil", function() calls = calls + 1 ngx.sleep(0.02) return nil end))
say(many("fails", function() calls = calls + 1 ngx.sleep(0.02) return nil, "no db" end))
say(many("throws", function() calls = calls + 1 ngx.sleep(0.02) error("oops", 0) end))
say(calls)
say(many("private", function() calls = calls + 1 ngx.sleep(0) return calls, nil, -1 end))
say(calls)
-- the locks are in their own dictionary, and gone
say(#ngx.shared.locks:get_keys(0), #ngx.shared.cache:get_keys(0))
-- who waits too long
cache = mlcache.new("t", "cache", { resty_lock_opts = { timeout = 0.02 }, ttl = 0.01 })
local thread = ngx.thread.spawn(cache.get, cache, "slow", nil, function() ngx.sleep(0.1) return 1 end)
say(cache:get("slow", nil, none))
ngx.thread.wait(thread)
expire(0.02)
thread = ngx.thread.spawn(cache.get, cache, "slow", nil, function() ngx.sleep(0.1) return 2 end)
say(cache:get("slow", { resurrect_ttl = 1 }, none))
ngx.thread.wait(thread)
say((cache:get("slow")))
-- a thread that is killed in its callback holds up nobody for ever
thread = ngx.thread.spawn(cache.get, cache, "killed", nil, function() ngx.sleep(10) return 1 end)
ngx.thread.kill(thread)
thread = nil
collectgarbage() collectgarbage()
say(cache:get("killed", nil, value("alive")))
LUA
v nil 3: 1 other: 19
nil nil 3: 1 other: 19
nil no db 3: nil other: 20
nil callback threw an error: oops 3: nil other: 20
4
24 nil 3: 20 other: 0
24
0 2
nil could not acquire callback lock: timeout nil
1 nil 4
2
alive nil 3
OUT

prints <<'LUA', <<'OUT', 'set, delete, purge; what a callback brings meanwhile';
local cache = assert(mlcache.new("c", "cache", { shm_miss = "miss" }))
say(cache:set("a", nil, { 1 }))
say(cache:get("a", nil, none)[1])
say(cache:set("a", nil, nil), (ngx.shared.cache:get("ca")), ngx.shared.miss:get("ca") ~= nil)
say(cache:get("a", nil, none))
cache.lru:delete("a")
say(cache:get("a", nil, none))
say(cache:set("a", nil, 2), (ngx.shared.miss:get("ca")))
say(cache:delete("a"), cache:get("a"))
cache:get("nil", nil, value(nil))
say(cache:delete("nil"), cache:get("nil"))
local thread = ngx.thread.spawn(cache.get, cache, "race", nil, function() ngx.sleep(0.01) return "old" end)
cache:set("race", nil, "new")
local _, old = ngx.thread.wait(thread)
say(old, cache:get("race", nil, none))
cache.lru:delete("race")
say(cache:get("race", nil, none))
thread = ngx.thread.spawn(cache.get, cache, "gone", nil, function() ngx.sleep(0.01) return "old" end)
cache:delete("gone")
ngx.thread.wait(thread)
say(cache:get("gone"))
say(cache:purge(true), cache:get("race"))
say(cache:update())
local ok, err = cache:set("a", nil, print)
say(ok, err)
LUA
true
1
true nil true
nil nil 1
nil nil 2
true nil
true nil nil -1
true nil nil -1
old new nil 1
new nil 2
nil nil -1
true nil nil -1
true
nil cannot cache value of type function
OUT

prints <<'LUA', <<'OUT', 'l1_serializer, another L1, a full dictionary', qr/after 2 tries \(no memory\)/;
local calls = 0
local cache = assert(mlcache.new("c", "cache", { l1_serializer = function(v) calls = calls + 1 return { made = v } end }))
say(cache:get("a", nil, value("x")).made, cache:get("a").made, calls)
cache.lru:delete("a")
say(cache:get("a").made, calls)
say(cache:get("nil", nil, value(nil)))
say(cache:get("b", { l1_serializer = function() error("oops", 0) end }, value(1)))
say(cache:get("c", { l1_serializer = function() return nil, "can't" end }, value(1)))
say(cache:get("d", { l1_serializer = function() end }, value(1)))
local lru = require("resty.lrucache.pureffi").new(10)
local one, two = mlcache.new("one", "cache", { lru = lru }), mlcache.new("two", "cache", { lru = lru })
say(one:get("k", nil, value(1)), two:get("k", nil, value(2)))
say(one:get("k"), lru:count())
one:delete("k")
say(lru:count())
local small = mlcache.new("s", "small", { shm_set_tries = 2 })
say(#small:get("big", nil, value(("x"):rep(100000))))
LUA
x x 1
x 2
nil nil 3
nil l1_serializer threw an error: oops nil
nil can't nil
nil l1_serializer returned a nil value nil
1 2 nil 3
1 2
1
100000
OUT

prints <<'LUA', <<'OUT', 'several at once';
local cache = assert(mlcache.new("c", "cache"))
cache:get("c", nil, value(nil))
local running, most = 0, 0
local function slow(v)
    running = running + 1
    most = math.max(most, running)
    ngx.sleep(0.005)
    running = running - 1
    if v == 5 then return nil, "five" end
    return v
end
local bulk = mlcache.new_bulk(7)
for i = 1, 6 do bulk:add("k" .. i, nil, slow, i) end
bulk:add("c", nil, none)
local res = assert(cache:get_bulk(bulk, { concurrency = 2 }))
for i, data, err, level in mlcache.each_bulk_res(res) do say(i, data, err, level) end
say(res.n, most)
res = cache:get_bulk { "k1", nil, none, nil, "x", { ttl = 1 }, slow, "y", n = 2 }
for i, data, err, level in mlcache.each_bulk_res(res) do say(i, data, err, level) end
LUA
1 1 nil 3
2 2 nil 3
3 3 nil 3
4 4 nil 3
5 nil five nil
6 6 nil 3
7 nil nil 1
21 2
1 1 nil 1
2 y nil 3
OUT

prints <<'LUA', <<'OUT', 'errors of use';
local function fails(f, ...)
    local ok, err = pcall(f, ...)
    say(ok and "ok" or (tostring(err):gsub("^%S+:%d+: ", "")))
end
fails(mlcache.new, 1, "cache")
fails(mlcache.new, "x")
fails(mlcache.new, "x", "cache", { ttl = -1 })
fails(mlcache.new, "x", "cache", { resurrect_ttl = 0 })
fails(mlcache.new, "x", "cache", { lru_size = "1" })
fails(mlcache.new, "x", "cache", { ipc = { register_listeners = 1 } })
say(mlcache.new("x", "nope"))
say(mlcache.new("x", "cache", { shm_miss = "nope" }))
say(mlcache.new("x", "cache", { shm_locks = "nope" }))
say(mlcache.new("x", "cache", { ipc_shm = "nope" }))
local cache = assert(mlcache.new("x", "cache", { ipc_shm = "miss" }))
fails(cache.get, cache)
fails(cache.get, cache, "a", 1, none)
fails(cache.get, cache, "a", { ttl = "1" }, none)
fails(cache.get, cache, "a", nil, 1)
fails(cache.get_bulk, cache, {})
fails(cache.get_bulk, cache, { 1, nil, none, nil, n = 1 })
fails(mlcache.each_bulk_res, {})
local events, sent = nil, {}
cache = mlcache.new("i", "cache", { ipc = {
    register_listeners = function(e) events = e end,
    broadcast = function(channel, data) sent[#sent + 1] = channel .. " " .. data return true end,
    poll = function(timeout) return nil, "poll " .. timeout end,
} })
cache:set("k", nil, 1)
cache:purge()
say(sent[1], "|", sent[2], "|", events.invalidation.channel, events.purge.channel)
cache:set("k", nil, 1)
ngx.shared.cache:flush_all()
events.invalidation.handler("k")
say(cache:get("k"))
say(cache:update(2))
LUA
name must be a string
shm must be a string
opts.ttl must be >= 0
opts.resurrect_ttl must be > 0
opts.lru_size must be a number
opts.ipc.register_listeners must be a function
nil no such lua_shared_dict: nope
nil no such lua_shared_dict for opts.shm_miss: nope
nil no such lua_shared_dict for opts.shm_locks: nope
nil no such lua_shared_dict for opts.ipc_shm: nope
key must be a string
opts must be a table
opts.ttl must be a number
callback must be nil or a function
bulk must have n field
key at index 1 must be a string for operation 1
res must have res.n field; is this a get_bulk() result?
mlcache:invalidations:i k | mlcache:purge:i  | mlcache:invalidations:i mlcache:purge:i
nil nil -1
nil could not poll ipc events: poll 2
OUT

prints <<'LUA', <<'OUT', 'tablepool';
local pool = require "tablepool"
local a = pool.fetch("t", 4, 0)
a[1], a.x = 1, 2
setmetatable(a, { __index = { y = 3 } })
pool.release("t", a)
say(pool.fetch("other", 0, 4) == a)
local b = pool.fetch("t", 4, 0)
say(a == b, next(b), getmetatable(b), pool.fetch("t", 1, 1) == b)
b.kept = 1
pool.release("t", b, true)
say(pool.fetch("t").kept)
pool.release("t", b)
say(pcall(pool.release, "t", b))
say(pcall(pool.release, "t", nil))
for i = 1, 500 do pool.release("many", { i }) end
say(next(pool.fetch("many")))
LUA
false
true nil nil false
1
false released twice
false object empty
nil
OUT

# ---------------------------------------------------------------- several workers

my $server = Bulan::Test::Server->new(
    workers     => 3,
    log_level   => 'notice',
    http_config => <<'CONF',
lua_shared_dict cache 1m;
lua_shared_dict seen 1m;
init_by_lua_block {
    mlcache = require "resty.mlcache"
    events = require "ngx.worker.events"
    cache = assert(mlcache.new("c", "cache"))
}
init_worker_by_lua_block {
    seen = ngx.shared.seen
    events.subscribe("do", function(what)
        local ok, result = pcall(assert(loadstring(what.code)))
        events.push(what.reply, tostring(result))
    end)
}
CONF
    config => <<'CONF',
location = /on {
    content_by_lua_block {
        ngx.req.read_body()
        local reply = "reply" .. ngx.var.request_id
        local reached = events.publish("do", { code = ngx.req.get_body_data(), reply = reply }, tonumber(ngx.var.arg_worker))
        ngx.print(reached == 1 and events.pop(reply, 10) or "nobody")
    }
}
location = /all {
    content_by_lua_block {
        ngx.req.read_body()
        local reply = "reply" .. ngx.var.request_id
        local reached = events.publish("do", { code = ngx.req.get_body_data(), reply = reply })
        local all = {}
        for i = 1, reached do all[i] = events.pop(reply, 10) end
        table.sort(all)
        ngx.print(table.concat(all, " "))
    }
}
CONF
)->start;

# on(WORKER, CODE): what the code returns when that worker runs it.
sub on  { my ($worker, $code) = @_; return $server->post("/on?worker=$worker", $code)->{body} }
sub all { return $server->post('/all', $_[0])->{body} }

ok wait_until(5, sub { all('return "here"') eq 'here here here' }), 'three workers';

is on(0, 'return cache:get("a", nil, function() return "one" end)'), 'one', 'one worker has it from its callback';
is on($_, 'local v, err, level = cache:get("a") return v .. level'), 'one2', "worker $_ has it from L2" for 1, 2;
is all('local v, err, level = cache:get("a") return v .. level'), 'one1 one1 one1', 'all have it in L1';

is on(1, 'return cache:set("a", nil, "two")'), 'true', 'one sets another value';
is on($_, 'cache:update() return cache:get("a")'), 'two', "worker $_ has it at once" for 0, 1, 2;
is on(2, 'return cache:delete("a")'), 'true', 'one deletes it';
is on($_, 'cache:update() local v, err, level = cache:get("a") return level'), '-1', "worker $_ knows it no more" for 0, 1, 2;

all('return cache:get("b", nil, function() return 1 end)');
is on(1, 'return cache:set("b", nil, 2)'), 'true', 'another value, without update()';
ok wait_until(5, sub { all('return cache:get("b")') eq '2 2 2' }), 'it gets around by itself';
is on(0, 'return cache:purge()'), 'true', 'one purges';
is all('cache:update() local v, err, level = cache:get("b") return level'), '-1 -1 -1', 'all have forgotten';

is all(<<'LUA'), 'v1 v1 v1', 'a key that no worker has: all ask, and have the same value';
local v = cache:get("slow", nil, function()
    local n = seen:incr("calls", 1, 0)
    ngx.sleep(0.05)
    return "v" .. n
end)
return v
LUA

$server->stop;

done_testing;
