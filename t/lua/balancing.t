# resty.chash, roundrobin, swrr, balancer.least_conn: among themselves, and in balancer_by_lua; chash
# chooses the servers that `hash … consistent` chooses, ours and Debian's nginx's.
use strict;
use warnings;
use lib 't/lib';
use File::Temp ();
use Test::More;
use Bulan::Test::Client;
use Bulan::Test::Command;
use Bulan::Test::Port 'free_port';
use Bulan::Test::Process 'wait_port';
use Bulan::Test::Server;

my $in = Bulan::Test::Command->new;

sub prints { local $Test::Builder::Level = $Test::Builder::Level + 1; $in->prints(@_) }

prints <<'LUA', "true true true true a\n", 'all of them at once';
local all = require "resty.balancer"
print(all.chash == require "resty.chash", all.roundrobin == require "resty.roundrobin", all.swrr == require "resty.swrr",
    all.least_conn == require "resty.least_conn", (all.roundrobin:new { a = 1 }:find()))
LUA

prints <<'LUA', <<'OUT', 'chash';
local chash = require "resty.chash"
local c = chash:new { a = 1, b = 2, c = 1, none = 0 }
local count, before = {}, {}
for i = 1, 20000 do
    local id = c:find(i)
    assert(id == c:find(tostring(i)))
    before[i] = id
    count[id] = (count[id] or 0) + 1
end
print(count.none, math.abs(count.a - 5000) < 1000, math.abs(count.b - 10000) < 1500, math.abs(count.c - 5000) < 1000)
-- what belongs to others stays theirs
local function moved(from)
    local n = 0
    for i = 1, 20000 do
        local id = c:find(i)
        if id ~= before[i] then
            n = n + 1
            assert(from == "any" or before[i] == from, before[i])
        end
    end
    return n
end
c:delete("b") print(moved("b") == count.b)
c:set("b", 2) print(moved())
c:incr("b") c:decr("b") c:incr("d", 2) c:delete("d") print(moved())
c:decr("b") print(moved("b") > 0)
c:decr("b", 5) print(moved("b") == count.b, c.nodes.b)
c:reinit { c = 1, b = 2, a = 1 } print(moved())
c:reinit { x = 1 } print((c:find("a")))
-- next() goes around, and comes to all
c:reinit { a = 1, b = 1, c = 1 }
local id, index = c:find("key")
local seen, first = { [id] = true }, index
for i = 1, 480 do
    id, index = c:next(index)
    seen[id] = true
end
print(index == first, seen.a and seen.b and seen.c)
c:reinit {}
print(c:find("a"), c:next(0))
-- points are in order, and each key at the first one behind it
c:reinit { a = 3, b = 5 }
for i = 1, 2000 do
    local hash, least, at = ngx.crc32_long("k" .. i), 2 ^ 33, 0
    for j = 0, c.count - 1 do
        if c.hashes[j] >= hash and c.hashes[j] < least then least, at = c.hashes[j], j end
    end
    local _, index = c:find("k" .. i)
    assert(c.hashes[index] == c.hashes[at])
end
print(pcall(chash.new, chash, { a = -1 }))
print(pcall(c.set, c, "a", 1.5))
print(pcall(chash.new, chash, 1))
LUA
nil true true true
true
0
0
true
true nil
0
x
true true
nil nil
false bad weight: an integer not less than zero expected
false bad weight: an integer not less than zero expected
false bad nodes: a table of weights by id expected
OUT

prints <<'LUA', <<'OUT', 'turns';
local function turns(class, nodes, n)
    local o = require(class):new(nodes)
    local got = {}
    for i = 1, n do got[i] = o:find() end
    return got, o
end
local function counted(got)
    local count = {}
    for _, id in ipairs(got) do count[id] = (count[id] or 0) + 1 end
    return ("a%d b%d c%d"):format(count.a or 0, count.b or 0, count.c or 0)
end
local nodes = { a = 6, b = 2, c = 2, none = 0 }
for _, class in ipairs { "resty.roundrobin", "resty.swrr" } do
    -- a round begins anywhere
    for i = 1, 50 do assert(counted((turns(class, nodes, 10))) == "a6 b2 c2", class) end
    local firsts = {}
    for i = 1, 200 do firsts[turns(class, { a = 1, b = 1, c = 1 }, 1)[1]] = true end
    assert(firsts.a and firsts.b and firsts.c, class)
    local _, o = turns(class, nodes, 3)
    o:delete("a") o:set("c", 1) o:incr("b") o:decr("none", 3)
    local got = {}
    for i = 1, 8 do got[i] = i % 2 == 0 and o:next() or o:find() end
    print(counted(got))
    o:reinit {}
    print(o:find())
    o:reinit { x = 7 }
    print(o:find(), o:find())
end
-- smoothly: a heavy node has no more than two turns in a row
local got = table.concat((turns("resty.swrr", { a = 6, b = 2, c = 2 }, 50)))
print(got:find("aaa", 1, true))
LUA
a0 b6 c2
nil
x x
a0 b6 c2
nil
x x
nil
OUT

prints <<'LUA', <<'OUT', 'least_conn';
local o = require("resty.least_conn"):new { a = 2, b = 1 }
local got = {}
for i = 1, 6 do got[i] = o:find() end
table.sort(got)
print(table.concat(got))
o:after_balance("b")
print(o:find(), o:find { a = true }, o:find { a = true, b = true })
for i = 1, 4 do o:after_balance("a") end
o:after_balance("b") o:after_balance("b") o:after_balance("b") o:after_balance("b") o:after_balance(nil)
print(o.conns.a, o.conns.b)
o:find() o:delete("a") o:delete("b")
print(o:find())
o:after_balance("a") o:after_balance("b")
print(o.conns.a, o.conns.b)
LUA
aaaabb
b b nil
0 0
nil
nil nil
OUT

# ---------------------------------------------------------------- in servers

my @ports   = map { free_port() } 1 .. 3;
my @weights = (1, 2, 3);
my $listens = join '', map { "server { listen 127.0.0.1:$_; location = / { return 200 $_; } }\n" } @ports;
my $servers = join '', map { "server 127.0.0.1:$ports[$_] weight=$weights[$_];\n" } 0 .. 2;
my $dead    = free_port();
my $nodes   = join ', ', map { qq(["127.0.0.1\\0" .. "$ports[$_]"] = $weights[$_]) } 0 .. 2;
my $plain   = join ', ', map { qq(["127.0.0.1:$ports[$_]"] = $weights[$_]) } 0 .. 2;

my $server = Bulan::Test::Server->new(
    log_level   => 'notice',
    http_config => <<"CONF",
init_by_lua_block {
    balancer = require "ngx.balancer"
    chash = require("resty.chash"):new { $nodes }
    rr = require("resty.roundrobin"):new { $plain }
    least = require("resty.balancer.least_conn"):new { $plain }
    retry = require("resty.chash"):new { ["127.0.0.1:$dead"] = 50, ["127.0.0.1:$ports[0]"] = 1 }
}
upstream ring { $servers hash \$arg_key consistent; }
upstream chash {
    balancer_by_lua_block {
        assert(balancer.set_current_peer((chash:find(ngx.var.arg_key or ""):gsub("%z", ":"))))
    }
}
upstream rr { balancer_by_lua_block { assert(balancer.set_current_peer(rr:find())) } }
upstream least {
    balancer_by_lua_block {
        ngx.ctx.peer = least:find()
        assert(balancer.set_current_peer(ngx.ctx.peer))
    }
}
upstream retry {
    balancer_by_lua_block {
        local ctx, id = ngx.ctx, nil
        if ctx.index then
            repeat id, ctx.index = retry:next(ctx.index) until id ~= ctx.failed
        else
            id, ctx.index = retry:find(ngx.var.arg_key)
            ctx.failed = id
            balancer.set_more_tries(1)
        end
        assert(balancer.set_current_peer(id))
    }
}
$listens
CONF
    config => <<'CONF',
location = /ring { proxy_pass http://ring/; }
location = /chash { proxy_pass http://chash/; }
location = /rr { proxy_pass http://rr/; }
location = /least { proxy_pass http://least/; log_by_lua_block { least:after_balance(ngx.ctx.peer) } }
location = /retry { proxy_pass http://retry/; }
location = /left { content_by_lua_block { local n = 0 for _, c in pairs(least.conns) do n = n + c end ngx.print(n) } }
CONF
)->start;

my @keys = map { "user$_" } 1 .. 120;
my (%ring, %chash);
for my $key (@keys) {
    $ring{$key}  = $server->get("/ring?key=$key")->{body};
    $chash{$key} = $server->get("/chash?key=$key")->{body};
}
is_deeply \%chash, \%ring, 'chash chooses what hash … consistent does';
my %used = map { $_ => 1 } values %ring;
is scalar(keys %used), 3, 'all three servers were used';

my %count;
$count{ $server->get('/rr')->{body} }++ for 1 .. 12;
is_deeply \%count, { map { $ports[$_] => 2 * $weights[$_] } 0 .. 2 }, 'turns by weight';
%count = ();
$count{ $server->get('/least')->{body} }++ for 1 .. 12;
is_deeply \%count, { $ports[2] => 12 }, 'with nothing under way the heaviest is the least busy';
is $server->get('/left')->{body}, 0, 'all of its requests are over';
is $server->get("/retry?key=$_")->{body}, $ports[0], "key $_: the next one when the first is dead" for 'a' .. 'e';

SKIP: {
    my $nginx = '/usr/sbin/nginx';
    skip 'no nginx', 2 if !-x $nginx;
    my $dir  = File::Temp->newdir('bulan-nginx-XXXXXX', TMPDIR => 1);
    my $port = free_port();
    open my $conf, '>', "$dir/nginx.conf" or die $!;
    print $conf <<"CONF";
daemon off;
master_process off;
pid $dir/pid;
error_log $dir/error.log;
events {}
http {
    access_log off;
    client_body_temp_path $dir/a; proxy_temp_path $dir/b; fastcgi_temp_path $dir/c; uwsgi_temp_path $dir/d; scgi_temp_path $dir/e;
    upstream ring { $servers hash \$arg_key consistent; }
    server { listen 127.0.0.1:$port; location / { proxy_pass http://ring/; } }
}
CONF
    close $conf;
    my $process = Bulan::Test::Process->spawn(sub { exec $nginx, '-p', "$dir", '-c', "$dir/nginx.conf", '-e', "$dir/error.log" });
    ok wait_port($port, 5), 'nginx serves';
    my %theirs;
    for my $key (@keys) {
        my $client = Bulan::Test::Client->connect($port);
        $client->send(Bulan::Test::Client->build('GET', "/?key=$key"));
        $theirs{$key} = $client->response->{body};
    }
    is_deeply \%chash, \%theirs, 'chash chooses what nginx does';
    $process->finish('TERM');
}

$server->stop;

done_testing;
