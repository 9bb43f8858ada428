use lib 't/lib';
use Bulan::Test::Backend;
use Bulan::Test::RedisCluster;
use Bulan::Test::Server;
use Test::More;

my $cluster = Bulan::Test::RedisCluster->start(replicas => 1);
my @ports = $cluster->ports;

# Each location runs a function of this file.
my $server = Bulan::Test::Server->new(
    allow       => [qr/connect\(\) failed|recv\(\) failed|timed out/],
    http_config => 'lua_socket_log_errors off; lua_package_path "$prefix/html/?.lua;;";',
    config      => <<'CONF',
location / {
    content_by_lua_block {
        local cases = require "cases"
        ngx.print(cases[ngx.var.uri:sub(2)](ngx.req.get_uri_args()))
    }
}
CONF
    files => { 'cases.lua' => <<"LUA" . <<'LUA2' });
local ports = { $ports[0], $ports[1], $ports[2], $ports[3] }
LUA
local cjson = require "cjson"
local cluster = require "resty.redis.cluster"
local slots = require "resty.redis.slots"
local cases = {}

local function new(options)
    options = options or {}
    options.name = options.name or "test"
    options.serv_list = options.serv_list or { { ip = "127.0.0.1", port = ports[2] } }
    return assert(cluster:new(options))
end

local function show(value, err)
    if not value then return tostring(value) .. " " .. tostring(err) end
    return type(value) == "table" and cjson.encode(value) or tostring(value)
end

function cases.slots()
    local found = {}
    for i, key in ipairs { "123456789", "dog", "{dog}:name", "a{dog}b{cat}", "a{}{dog}", "{dog", "" } do
        found[i] = slots.of_key(key)
    end
    return table.concat(found, " ")
end

function cases.commands()
    local out = {}
    local function of(name, ...) out[#out + 1] = tostring(slots.of_command(name, { ... }, select("#", ...))) end
    of("get", "dog")
    of("ping")
    of("eval", "return 1", 0)
    of("eval", "return 1", 1, "dog", "x")
    of("xread", "COUNT", 2, "STREAMS", "dog", "0")
    of("zunion", 2, "dog", "cat")
    of("bitop", "and", "dog", "cat")
    of("blmpop", 1, 1, "dog", "left")
    of("get", 5)
    return table.concat(out, " ")
end

function cases.values()
    local red = new()
    local out = {}
    local function say(...) out[#out + 1] = show(...) end
    for i = 1, 300 do assert(red:set("key" .. i, i)) end
    local sum = 0
    for i = 1, 300 do sum = sum + red:get("key" .. i) end
    say(sum)
    say(red:get("none"))
    say(red:hmset("h", { a = 1 }))
    say(red:hgetall("h"))
    say(red:lpop("h"))
    say(red:mget("key1", "key2"))
    say(red:mget("{key1}", "key1"))
    say(red:eval("return redis.call('incrby', KEYS[1], ARGV[1])", 1, "counter", 2))
    say(red:ping())
    say(red:multi())
    say(red:SET("upper", 1))
    local sizes, count = 0, 0
    assert(red:each_master(function(node)
        count = count + 1
        sizes = sizes + node:dbsize()
    end))
    say(count .. " " .. sizes)
    local node = assert(red:connect_for("key5"))
    node:multi()
    node:get("key5")
    say(node:exec())
    say(node:set_keepalive())
    return table.concat(out, "\n")
end

function cases.pipeline()
    local red = new()
    red:init_pipeline()
    for i = 1, 300 do red:set("key" .. i, i) end
    red:lpop("key1")
    red:ping()
    for i = 1, 300 do red:get("key" .. i) end
    local results = assert(red:commit_pipeline())
    for i = 1, 300 do
        if results[i] ~= "OK" or results[302 + i] ~= tostring(i) then return "wrong at " .. i end
    end
    red:init_pipeline()
    red:get("key1")
    red:cancel_pipeline()
    red:init_pipeline()
    return show(results[301]) .. show(results[302]) .. show(red:commit_pipeline()) .. show(red:commit_pipeline())
end

-- Where the connections of commands went to, by port.
function cases.replicas(args)
    local red = new { read_from = args.from }
    local before, after = {}, {}
    local function reads(into)
        local redis = require "resty.redis"
        for i, port in ipairs { ports[1], ports[4] } do
            local one = redis:new()
            one:connect("127.0.0.1", port)
            into[i] = tonumber((one:info("commandstats") or ""):match("cmdstat_get:calls=(%d+)") or 0)
            one:close()
        end
    end
    local key
    for i = 1, 1000 do
        key = "r" .. i
        if slots.of_key(key) < 5000 then break end
    end
    red:set(key, "there")
    local master = red:connect_for(key)
    master:wait(1, 5000)
    master:close()
    reads(before)
    for _ = 1, 30 do
        local value, err = red:get(key)
        if value ~= "there" then return show(value, err) end
    end
    reads(after)
    return (after[1] - before[1]) .. " " .. (after[2] - before[2])
end

-- Counts up a key while a slot moves.
function cases.count(args)
    local red = new()
    local n
    for _ = 1, tonumber(args.n) do
        local err
        n, err = red:incr(args.key)
        if not n then return "error: " .. tostring(err) end
    end
    return tostring(n)
end

function cases.count_pipelined(args)
    local red = new()
    red:init_pipeline()
    for _ = 1, tonumber(args.n) do
        red:incr(args.key)
        red:incr("other" .. args.key)
    end
    local results, err = red:commit_pipeline()
    if not results then return "error: " .. err end
    for i, n in ipairs(results) do
        if type(n) ~= "number" then return "error at " .. i .. show(n) end
    end
    return tostring(results[#results - 1])
end

function cases.slot_of(args) return tostring(slots.of_key(args.key)) end

-- Reads and writes of a key, retried by the library alone.
function cases.try(args)
    local red = new { max_redirection = tonumber(args.tries or 5) }
    if args.value then return show(red:set(args.key, args.value)) end
    return show(red:get(args.key))
end

-- One that waits in the server, so that the test can kill it.
function cases.block(args)
    local red = new { read_timeout = 20000 }
    return show(red:blpop(args.key, 0))
end

function cases.nowhere()
    local red = new { name = "nowhere", serv_list = { { ip = "127.0.0.1", port = 1 } } }
    local out = { show(red:get("x")) }
    red:init_pipeline()
    red:get("x")
    out[2] = show(red:commit_pipeline())
    out[3] = show(red:connect_for("x"))
    out[4] = show(cluster:new {})
    return table.concat(out, "\n")
end

-- Many requests that know nothing of the cluster yet.
function cases.cold(args)
    local threads, found = {}, 0
    for i = 1, 30 do
        threads[i] = ngx.thread.spawn(function()
            local options = { name = args.name, connect_timeout = 200, read_timeout = 300 }
            if new(options):get("key" .. i) == tostring(i) then found = found + 1 end
        end)
    end
    if args.kill then ngx.thread.kill(threads[1]) end
    for i = args.kill and 2 or 1, 30 do ngx.thread.wait(threads[i]) end
    return tostring(found)
end

-- A limiter that all requests share.
local limit

function cases.limit()
    limit = limit or assert(require("resty.limit.redis.count").new({
        cluster = { name = "test", serv_list = { { ip = "127.0.0.1", port = ports[1] } } },
    }, 30, 1000))
    local passed, threads = 0, {}
    for i = 1, 40 do
        threads[i] = ngx.thread.spawn(function()
            local delay, err = limit:incoming("key" .. i % 2, true)
            if delay then passed = passed + 1 elseif err ~= "rejected" then error(err) end
        end)
    end
    for i = 1, 40 do ngx.thread.wait(threads[i]) end
    return tostring(passed)
end

-- A node that is no cluster, and one that does not speak Redis.
function cases.strange(args)
    local red = new { name = "strange" .. args.port, serv_list = { { ip = "127.0.0.1", port = tonumber(args.port) } } }
    return show(red:get("x"))
end

return cases
LUA2

$server->start;
sub body { my ($path) = @_; return $server->get($path)->{body} }

my @keys = ('123456789', 'dog', '{dog}:name', 'a{dog}b{cat}', 'a{}{dog}', '{dog', '');
my @slots = map { $cluster->ask(0, 'cluster', 'keyslot', $_) =~ /(\d+)/ } @keys;
is body('/slots'), "@slots", 'CRC16 and hash tags';
is $slots[1], $slots[3], '... of which the first counts';
like body('/commands'), qr/^(\d+) nil nil \1 \1 \1 \1 \1 \d+$/, 'where commands have their keys';

like body('/values'), qr/^45150\nuserdata:\ NULL\nOK\n\["a","1"\]\n
false\ WRONGTYPE[^\n]*\nfalse\ CROSSSLOT[^\n]*\n\[null,"1"\]\n2\nPONG\nnil\ not\ for\ a\ cluster:\ multi\nOK\n3\ 303\n\["5"\]\n1$/x,
    'commands go where their keys are';
like body('/pipeline'), qr/^\[false,"WRONGTYPE[^"]*"\]PONG\{\}nil no pipeline$/, 'a pipeline over all nodes, in order';

is body('/replicas?from=master'), '30 0', 'reads at the master';
is body('/replicas?from=replica'), '0 30', 'reads at the replica';
my ($master, $replica) = split / /, body('/replicas?from=any');
is $master + $replica, 30, 'reads at both';
ok $master && $replica, '... of them';

sub asked_for_slots { my ($n) = $cluster->ask(1, 'info', 'commandstats') =~ /cmdstat_cluster\|slots:calls=(\d+)/; return $n }
my $before = asked_for_slots();
is body('/cold?name=cold'), 30, 'many at once, from nothing';
is asked_for_slots() - $before, 1, '... of whom one asks for the slots';
is body('/cold?name=killed&kill=1'), 29, 'the one that asks is killed';
is body('/limit') + body('/limit'), 60, 'a limiter over the cluster';

# A slot that moves, step by step.
my $slot = body('/slot_of?key=moving');
my $from = int($slot / int(16384 / 3));
my $to = ($from + 1) % 3;
is body('/count?key=moving&n=10'), 10, 'before the move';
$cluster->begin_move($slot, $from, $to);
is body('/count?key=moving&n=5'), 15, 'the key is still there';
is body('/count_pipelined?key=moving&n=5'), 20, '... for a pipeline, too';
is body('/count?key=%7Bmoving%7Dnew&n=5'), 5, 'one that is not yet: ASK';
is body('/count_pipelined?key=%7Bmoving%7Dnew&n=5'), 10, '... for a pipeline, too';
$cluster->move_keys($slot, $from, $to);
is body('/count?key=moving&n=5'), 25, 'the key has gone: ASK';
$cluster->end_move($slot, $from, $to);
is body('/count?key=moving&n=5'), 30, 'it has moved: MOVED';
is body('/count_pipelined?key=moving&n=5'), 35, '... for a pipeline, too';

# And one that moves to and fro while requests run.
pipe my $read, my $write;
my $pid = fork;
if (!$pid) {
    my $wrong = 0;
    for my $round (1 .. 40) {
        my $want = 35 + $round * 10;
        $wrong++ if body('/count?key=moving&n=5') != $want - 5;
        $wrong++ if body('/count_pipelined?key=moving&n=5') != $want;
    }
    syswrite $write, "$wrong\n";
    require POSIX;
    POSIX::_exit(0);
}
for (1 .. 3) {
    $cluster->begin_move($slot, $to, $from);
    $cluster->end_move($slot, $to, $from);
    ($from, $to) = ($to, $from);
}
is scalar(<$read>), "0\n", 'no count is lost or doubled while a slot moves';
waitpid $pid, 0;

like body('/nowhere'), qr/^nil no node of the cluster answers: connection refused\nnil no node[^\n]*\nnil no node[^\n]*\nnil no serv_list$/,
    'no node is there';
like body("/strange?port=" . $server->port), qr/^nil no node of the cluster answers: unknown prefix: "H"$/, 'a server of another kind';
my @nodes = ("*1\r\n:5\r\n", "*2\r\n*0\r\n:7001\r\n", "*2\r\n\$1\r\na\r\n\$1\r\nb\r\n", ":1\r\n");
my $liar = Bulan::Test::Backend->tcp(sub {
    my ($connection) = @_;
    for my $node (@nodes) {
        $connection->take(qr/slots\r\n/, time + 5);
        $connection->send("*1\r\n*3\r\n:0\r\n:16383\r\n" . $node);
    }
});
is body("/strange?port=" . $liar->port), 'nil no node of the cluster answers: invalid slots', "a node that is none: $_" for 1 .. @nodes;
my @answers = (":5\r\n", "+OK\r\n", "\$-1\r\n", "*-1\r\n", "*0\r\n");
my $odd = Bulan::Test::Backend->tcp(sub {
    my ($connection) = @_;
    for my $answer (@answers) {
        $connection->take(qr/slots\r\n/, time + 5);
        $connection->send($answer);
    }
});
is body("/strange?port=" . $odd->port), 'nil no node of the cluster answers: no slots', "no list of slots: $_" for 1 .. @answers;

# A master dies while a request waits for its reply; then its replica takes over.
my ($key) = grep { body("/slot_of?key=$_") < 5000 } map { "k$_" } 1 .. 100;
is body("/try?key=$key&value=1"), 'OK', 'a key of the master that will die';
$pid = fork;
if (!$pid) {
    syswrite $write, body("/block?key=list%7B$key%7D") . "\n";
    require POSIX;
    POSIX::_exit(0);
}
Bulan::Test::Process::wait_until(10, sub { $cluster->ask(0, 'client', 'list') =~ /cmd=blpop/ }) or fail 'blpop has not come';
$cluster->kill(0);
is scalar(<$read>), "nil closed\n", 'a write that may have been done is not sent again';
waitpid $pid, 0;
ok $cluster->wait_master(3), 'the replica takes over';
is body("/try?key=$key&value=2"), 'OK', 'writes find the new master';
is body("/try?key=$key"), '2', 'reads, too';
is body('/count_pipelined?key=' . $key . 'n&n=50'), 50, 'and pipelines';

$server->stop;
done_testing;
