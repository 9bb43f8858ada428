# Four workers hammer one dictionary while they are killed, at random, in the middle of whatever
# they do. Every value carries its key, its length and a checksum: what is in the dictionary is
# whole, then and later. BL_HAMMER_SECONDS says how long (5).
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Time::HiRes qw(time sleep);
use Bulan::Test::Server;

my $SECONDS = $ENV{BL_HAMMER_SECONDS} || 5;

my $server = Bulan::Test::Server->new(
    workers     => 4,
    log_level   => 'notice',
    allow       => [qr/exited on signal 9/],
    http_config => <<'CONF',
lua_package_path "$prefix/html/?.lua;;";
lua_shared_dict zone 512k;
lua_shared_dict fresh 512k;
lua_shared_dict control 100k;
init_worker_by_lua_block { require("hammer").start() }
CONF
    config => <<'CONF',
location = /stop { content_by_lua_block { ngx.shared.control:set("stop", true) } }
location = /rounds { content_by_lua_block { ngx.print(ngx.shared.control:get("rounds") or 0) } }
location = /check { content_by_lua_block { require("hammer").check() } }
location = /write { content_by_lua_block { require("hammer").write(ngx.var.arg_losses) } }
CONF
    files => { 'hammer.lua' => <<'LUA' },
local hammer = {}
local zone, control = ngx.shared.zone, ngx.shared.control
local random = math.random

local function seal(key, payload)
    return table.concat({ key, #payload, ngx.crc32_long(key .. payload), payload }, ":")
end

local function is_whole(key, value)
    if type(value) ~= "string" then
        return false
    end
    local owner, length, crc, payload = value:match("^([^:]*):(%d+):(%d+):(.*)$")
    return owner == key and #payload == tonumber(length) and
        ngx.crc32_long(key .. payload) == tonumber(crc)
end

local function look(what, key, value)
    if value ~= nil and not is_whole(key, value) then
        ngx.log(ngx.ERR, "TORN ", what, " of ", key, ": ", tostring(value):sub(1, 80))
    end
end

local function value(key)
    return seal(key, string.char(random(97, 122)):rep(random(0, random(2) == 1 and 40 or 3000)))
end

local function key(family, count)
    return family .. random(count)
end

local deeds = {
    function() local k = key("s", 150); zone:set(k, value(k)) end,
    function() local k = key("s", 150); zone:set(k, value(k), 0.02) end,
    function() local k = key("s", 150); zone:safe_set(k, value(k)) end,
    function() local k = key("s", 150); zone:add(k, value(k)) end,
    function() local k = key("s", 150); zone:replace(k, value(k)) end,
    function() zone:delete(key("s", 150)) end,
    function() local k = key("s", 150); look("get", k, (zone:get(k))) end,
    function() local k = key("s", 150); look("get", k, (zone:get(k))) end,
    function() local k = key("s", 150); look("get_stale", k, (zone:get_stale(k))) end,
    function() local k = key("l", 5); if (zone:llen(k) or 0) < 20 then zone:lpush(k, value(k)) end end,
    function() local k = key("l", 5); if (zone:llen(k) or 0) < 20 then zone:rpush(k, value(k)) end end,
    function() local k = key("l", 5); look("rpop", k, (zone:rpop(k))) end,
    function() local k = key("l", 5); look("lpop", k, (zone:lpop(k))) end,
    function()
        local k = key("n", 8)
        local n, err = zone:incr(k, 1, 0)
        if not n or n < 1 or n % 1 ~= 0 then
            ngx.log(ngx.ERR, "TORN incr of ", k, ": ", n, " ", err)
        elseif n == 1 then
            ngx.log(ngx.NOTICE, "BEGINS ", k)
        end
    end,
}

local function run(premature)
    math.randomseed(ngx.worker.pid() + ngx.now() * 1000)
    while not premature and not ngx.worker.exiting() and not control:get("stop") do
        for _ = 1, 200 do
            deeds[random(#deeds)]()
        end
        control:incr("rounds", 1, 0)
        ngx.sleep(0)
    end
    ngx.log(ngx.NOTICE, "RESTS ", ngx.worker.pid())
end

function hammer.start()
    assert(ngx.timer.at(0, run))
end

-- What is wrong with what there is, a line each, and how much there was of each family.
function hammer.check()
    local seen = { s = 0, l = 0, n = 0 }
    for _, k in ipairs(zone:get_keys(0)) do
        local family = k:sub(1, 1)
        if not seen[family] then
            ngx.say("a strange key: ", k)
        elseif family == "s" then
            local v = zone:get(k)
            if v ~= nil and not is_whole(k, v) then
                ngx.say("torn: ", k)
            end
        elseif family == "n" then
            local v = zone:get(k)
            if type(v) ~= "number" or v < 1 or v % 1 ~= 0 then
                ngx.say("not a count: ", k, " ", tostring(v))
            end
        else
            local length = assert(zone:llen(k))
            for _ = 1, length do
                local v = zone:lpop(k)
                if not is_whole(k, v) then
                    ngx.say("torn: ", k)
                end
            end
            if zone:llen(k) ~= 0 then
                ngx.say("longer than it says: ", k)
            end
        end
        seen[family] = (seen[family] or 0) + 1
    end
    ngx.say("s ", seen.s > 0, " n ", seen.n > 0)
end

-- How many entries an empty dictionary takes.
local function room(dict)
    local count = 0
    dict:flush_all()
    dict:flush_expired()
    while dict:safe_set("e" .. count, ("z"):rep(1000)) do
        count = count + 1
    end
    return #dict:get_keys(0) == count and count or 0
end

-- More than the zone holds is written: the last of it is there. Then all is forgotten, and what a
-- dictionary holds that was never hammered, this one holds, but for what dying writers took along.
function hammer.write(losses)
    for i = 1, 2000 do
        local sealed = seal("w" .. i, ("y"):rep(i))
        local ok, err = zone:set("w" .. i, sealed)
        if not ok or zone:get("w" .. i) ~= sealed then
            ngx.say("write ", i, ": ", err)
        end
    end
    local here, there = room(zone), room(ngx.shared.fresh)
    ngx.log(ngx.NOTICE, "room for ", here, ", fresh for ", there)
    ngx.say(here >= there - losses and "room for all" or "room for " .. here .. " of " .. there)
    zone:flush_all()
    ngx.say((zone:incr("sum", 2, 40)))
end

return hammer
LUA
)->start;

$server->wait_workers;
my ($end, $kills, %born) = (time + $SECONDS, 0);
while (time < $end) {
    sleep rand 0.1;    # of random length: a blow may fall anywhere
    my @workers = $server->worker_pids;
    $born{$_} ||= time for @workers;
    # One that dies in its first second is not replaced at once, and nobody would hammer.
    my @grown = grep { time - $born{$_} > 1.1 } @workers or next;
    my $victim = $grown[rand @grown];
    $kills += kill 'KILL', $victim;
}
cmp_ok $kills, '>', $SECONDS, "$kills workers killed";
is scalar($server->wait_workers), 4, 'four again';
cmp_ok $server->get('/rounds')->{body}, '>', 10 * $kills, 'in the middle of much to do';
is $server->get('/stop')->{status}, 200, 'stop';
$server->wait_log(qr/RESTS $_\b/) for $server->worker_pids;

is $server->get('/check')->{body}, "s true n true\n", 'what is left is whole';
is_deeply [grep { /TORN/ } split /^/, $server->log], [], 'and was at all times';
cmp_ok scalar(() = $server->log =~ /BEGINS n\d/g), '<=', 8 + $kills, 'no counter was lost without a kill';
like $server->get("/write?losses=$kills")->{body}, qr/^room for all\n42\n\z/, 'the dictionary takes new entries';
$server->stop;
done_testing;
