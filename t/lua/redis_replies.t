use lib 't/lib';
use Bulan::Test;
use Bulan::Test::Backend;
use Bulan::Test::Redis;
use Bulan::Test::Tls;

my $redis = Bulan::Test::Redis->start('enable-debug-command' => 'yes');

# A server that answers GET with what stands here under the key, then closes or, with "+" in front
# of the key, waits.
my %reply = (
    empty     => '',
    garbage   => "HTTP/1.1 400 Bad Request\r\n\r\n",
    length    => "\$x\r\nabc\r\n",
    none      => "\$\r\n",
    negative  => "\$-5\r\n",
    huge      => "\$536870913\r\nabc",
    short     => "\$3\r\nabcde\r\n",
    long      => "\$5\r\nabc\r\n",
    count     => "*y\r\n",
    many      => "*2147483649\r\n",
    cut       => "*3\r\n:1\r\n\$5\r\nab",
    number    => ":12x\r\n",
    deep      => "*1\r\n" x 65 . ":1\r\n",
    line      => '+' . 'x' x 1_200_000,
    boolean   => "#x\r\n",
    double    => ",one\r\n",
    nan_key   => "%1\r\n,nan\r\n:1\r\n",
    push      => "*1\r\n>1\r\n+x\r\n",
    stream    => "\$?\r\n;4\r\nabcd\r\n",
    pushes    => ">2\r\n+a\r\n:1\r\n" x 10_001,
    half      => "+OK\r\n\$5\r\nab",
    rest      => "+OK\r\n+more\r\n",
    blob      => "!11\r\nERR is long\r\n",
    attribute => "|1\r\n+ttl\r\n:9\r\n\$2\r\nab\r\n",
    inside    => "*2\r\n|1\r\n+a\r\n:1\r\n:5\r\n-ERR x\r\n",
    big       => "(-3492890328409238509324850943850943825024385\r\n",
    inf       => "*3\r\n,inf\r\n,-inf\r\n,-1.5e3\r\n",
    null      => "*2\r\n_\r\n*-1\r\n",
    map       => "%2\r\n:7\r\n#f\r\n\$1\r\na\r\n-ERR no\r\n",
);
my $liar = Bulan::Test::Backend->tcp(sub {
    my ($connection) = @_;
    while (defined(my $request = eval { $connection->take(qr/\*\d+\r\n(?:\$\d+\r\n[^\r]*\r\n)+/, time + 30) })) {
        my ($wait, $key) = $request =~ /get\r\n\$\d+\r\n(\+?)(\w+)\r\n/ or return;
        for my $piece ($key eq 'attribute' ? split(//, $reply{$key}) : $reply{$key}) {
            eval { $connection->send($piece); 1 } or return;
        }
        return if !$wait;
    }
}, parallel => 1);

my $tls  = Bulan::Test::Tls->new;
my $cert = $tls->certificate('redis.test');
my $safe = Bulan::Test::Redis->start(tls => 1, 'tls-cert-file' => $cert->{cert}, 'tls-key-file' => $cert->{key},
    'tls-ca-cert-file' => $tls->authority->{cert}, 'tls-auth-clients' => 'no', requirepass => 'sesame');

$ENV{TEST_NGINX_TLS_REDIS} = $safe->port;
$ENV{TEST_NGINX_CA} = $tls->authority->{cert};
$ENV{TEST_NGINX_REDIS_PORT} = $redis->port;
$ENV{TEST_NGINX_LIAR} = $liar->port;

add_block_preprocessor(sub {
    my $block = shift;
    $block->set_value(http_config => 'lua_socket_log_errors off; lua_package_path "$TEST_NGINX_HTML_DIR/?.lua;;";');
    $block->set_value(user_files => <<'LUA');
>>> tools.lua
local cjson = require "cjson"
local redis = require "resty.redis"
local tools = { liar = $TEST_NGINX_LIAR, port = $TEST_NGINX_REDIS_PORT }

function tools.connect(options)
    local red = redis:new()
    red:set_timeouts(5000, 5000, 5000)
    assert(red:connect("127.0.0.1", tools.port, options))
    return red
end

function tools.show(value, err)
    if value == nil then return "nil " .. tostring(err) end
    if value == false then return "false " .. tostring(err) end
    if type(value) ~= "table" then return type(value) .. " " .. tostring(value) end
    return cjson.encode(value)
end

return tools
LUA
});

run_tests();

__DATA__

=== TEST 1: each kind of value of RESP3, and the same under RESP2
--- config
location /t {
    content_by_lua_block {
        local tools = require "tools"
        for _, protocol in ipairs { 2, 3 } do
            local red = tools.connect { protocol = protocol }
            for _, kind in ipairs { "string", "integer", "double", "null", "array", "set", "bignum",
                                    "true", "false", "verbatim" } do
                ngx.say(kind, ": ", tools.show(red:debug("protocol", kind)))
            end
            local map, err = red:debug("protocol", "map")
            if protocol == 2 then
                ngx.say("map: ", tools.show(map))
            else
                ngx.say("map: ", map[0], map[1], map[2])
            end
            ngx.say(red:set_keepalive(10000, 10))
        end
        local red = tools.connect { protocol = 3 }
        ngx.say(red:get_reused_times(), " ", tools.show(red:debug("protocol", "true")))
        ngx.say(tools.show(red:debug("protocol", "attrib")))
        ngx.say(tools.show(red:get_attributes()))
        ngx.say(tools.show(red:get("none")), " ", red:get_attributes())
        red:hset("h", "a", 1)
        ngx.say(tools.show(red:hgetall("h")), tools.show(red:array_to_hash(red:hgetall("h"))))
        red:init_pipeline()
        red:debug("protocol", "false")
        red:lpop("h")
        red:ping()
        ngx.say(tools.show(red:commit_pipeline()))
        red:set_keepalive()
        red = tools.connect()
        ngx.say(tools.show(red:debug("protocol", "true")), " ", tools.show(red:hgetall("h")))
        ngx.say(red:hello(3).proto, " ", tools.show(red:debug("protocol", "true")))
    }
}
--- request
GET /t
--- response_body
string: string Hello World
integer: number 12345
double: string 3.141
null: userdata userdata: NULL
array: [0,1,2]
set: [0,1,2]
bignum: string 1234567999999999999999999999999999999
true: number 1
false: number 0
verbatim: string This is a verbatim
string
map: [0,0,1,1,2,0]
1
string: string Hello World
integer: number 12345
double: number 3.141
null: userdata userdata: NULL
array: [0,1,2]
set: [0,1,2]
bignum: string 1234567999999999999999999999999999999
true: boolean true
false: false nil
verbatim: string This is a verbatim
string
map: falsetruefalse
1
1 boolean true
string Some real reply following the attribute
{"key-popularity":["key:123",90]}
userdata userdata: NULL nil
{"a":"1"}{"a":"1"}
[false,[false,"WRONGTYPE Operation against a key holding the wrong kind of value"],"PONG"]
number 1 ["a","1"]
3 boolean true



=== TEST 2: publish and subscribe over RESP3, with commands between
--- config
location /t {
    content_by_lua_block {
        local tools = require "tools"
        local show = tools.show
        local red, other = tools.connect { protocol = 3 }, tools.connect()
        ngx.say(show(red:subscribe("a", "b")))
        ngx.say(show(red:psubscribe("c*")))
        other:publish("a", "one")
        other:publish("cat", "two")
        ngx.say(show(red:set("x", 1)), " ", show(red:get("x")))
        red:init_pipeline()
        red:incr("x")
        red:incr("x")
        ngx.say(show(red:commit_pipeline()))
        for _ = 1, 3 do ngx.say(show(red:read_reply())) end
        red:set_timeout(20)
        ngx.say(show(red:read_reply()))
        red:set_timeout(5000)
        ngx.say(show(red:set_keepalive()))
        ngx.say(show(red:unsubscribe("a")), show(red:unsubscribe("b")), show(red:punsubscribe()))
        ngx.say(show(red:set_keepalive()))
    }
}
--- request
GET /t
--- response_body
["subscribe","a",1]
["psubscribe","c*",3]
string OK string 1
[2,3]
["subscribe","b",2]
["message","a","one"]
["pmessage","c*","cat","two"]
nil timeout
nil subscribed state
["unsubscribe","a",2]["unsubscribe","b",1]["punsubscribe","c*",0]
number 1



=== TEST 3: a message before the reply to SUBSCRIBE, under RESP2; a message in pieces
--- config
location /t {
    content_by_lua_block {
        local tools = require "tools"
        local show = tools.show
        local red, other = tools.connect(), tools.connect()
        red:subscribe("a")
        other:publish("a", "first")
        ngx.say(show(red:subscribe("b")), show(red:ping()), show(red:read_reply()))
        local long = ("x"):rep(3000000)
        local thread = ngx.thread.spawn(function() return other:publish("a", long) end)
        red:set_timeout(1)
        local message, err
        repeat
            message, err = red:read_reply()
        until message or err ~= "timeout"
        ngx.say(err, " ", message[2], " ", message[3] == long)
        ngx.thread.wait(thread)
        red:set_timeout(5000)
        red:ssubscribe("s")
        ngx.say(show(red:unsubscribe("a", "b")), show(red:read_reply()))
        ngx.say(show(red:set_keepalive()), show(red:sunsubscribe()))
    }
}
--- request
GET /t
--- response_body
["subscribe","b",2]["pong",""]["message","a","first"]
nil a true
["unsubscribe","a",1]["unsubscribe","b",0]
nil subscribed state["sunsubscribe","s",0]



=== TEST 4: messages of client-side caching; what was not read keeps the connection from the pool
--- config
location /t {
    content_by_lua_block {
        local tools = require "tools"
        local show = tools.show
        local red, other = tools.connect { protocol = 3 }, tools.connect()
        red:client("tracking", "on")
        red:get("tracked")
        other:set("tracked", 1)
        ngx.say(show(red:read_reply()))
        red:get("tracked")
        other:set("tracked", 2)
        ngx.say(show(red:ping()), " ", show(red:set_keepalive()), " ", show(red:get("x")))
        red = tools.connect()
        red:watch("x")
        ngx.say(show(red:set_keepalive()))
        red:unwatch()
        ngx.say(show(red:set_keepalive()))
        red = tools.connect()
        red:watch("x")
        other:set("x", 1)
        red:multi()
        red:get("x")
        ngx.say(show(red:exec()), " ", show(red:set_keepalive()))
    }
}
--- request
GET /t
--- response_body
["invalidate",["tracked"]]
string PONG nil unread data in buffer nil closed
nil in transaction
number 1
userdata userdata: NULL number 1



=== TEST 5: a server that lies or dies
--- config
location /t {
    content_by_lua_block {
        local tools = require "tools"
        local redis = require "resty.redis"
        for key in ([[empty garbage length none negative huge short long count many cut number deep line
                boolean double nan_key push stream pushes rest blob attribute inside big inf null
                map]]):gmatch("%S+") do
            local red = redis:new()
            red:set_timeouts(5000, 5000, 5000)
            assert(red:connect("127.0.0.1", tools.liar))
            local waits = key == "empty" or key == "long" or key == "cut"
            red:set_timeout(waits and 50 or 5000)
            local value, err = red:get("+" .. key)
            if key == "inf" then
                ngx.say("inf: ", value[1], value[2], value[3])
            elseif key == "map" then
                ngx.say("map: ", value[7], value.a[1], value.a[2])
            elseif key ~= "empty" then
                ngx.say(key, ": ", tools.show(value, err))
            end
            if value == nil then
                local again, why = red:get("x")
                if again ~= nil or why ~= "closed" then ngx.say("not closed after ", key) end
            end
            if key == "attribute" then ngx.say(tools.show(red:get_attributes())) end
            if key == "rest" then ngx.say(tools.show(red:set_keepalive())) end
        end
    }
}
--- timeout: 20
--- request
GET /t
--- response_body
garbage: nil unknown prefix: "H"
length: nil invalid reply: bad length
none: nil invalid reply: bad length
negative: nil invalid reply: bad length
huge: nil invalid reply: bad length
short: nil invalid reply: no line end after a string
long: nil timeout
count: nil invalid reply: bad count
many: nil invalid reply: bad count
cut: nil timeout
number: nil invalid reply: bad number
deep: nil invalid reply: too many levels
line: nil invalid reply: too long a line
boolean: nil invalid reply: bad boolean
double: nil invalid reply: bad number
nan_key: nil invalid reply: bad key of a map
push: nil invalid reply: a push message inside a value
stream: nil invalid reply: bad length
pushes: nil too many push messages
rest: string OK
nil unread data in buffer
blob: false ERR is long
attribute: string ab
{"ttl":9}
inside: [5,[false,"ERR x"]]
big: string -3492890328409238509324850943850943825024385
inf: inf-inf-1500
null: [null,null]
map: falsefalseERR no



=== TEST 6: a connection that ends within a reply
--- config
location /t {
    content_by_lua_block {
        local tools = require "tools"
        local redis = require "resty.redis"
        for _, key in ipairs { "empty", "cut", "long", "huge" } do
            local red = redis:new()
            assert(red:connect("127.0.0.1", tools.liar))
            ngx.say(tools.show(red:get(key)), ", ", tools.show(red:set_keepalive()))
        end
        local red = redis:new()
        assert(red:connect("127.0.0.1", tools.liar))
        red:init_pipeline()
        red:get("half")
        red:get("half")
        ngx.say(tools.show(red:commit_pipeline()))
    }
}
--- request
GET /t
--- response_body
nil closed, nil closed
nil closed, nil closed
nil closed, nil closed
nil invalid reply: bad length, nil closed
nil closed



=== TEST 7: TLS, and a password in the same round trip as the protocol and the database
--- config
location /t {
    lua_ssl_trusted_certificate $TEST_NGINX_CA;
    content_by_lua_block {
        local tools = require "tools"
        local redis = require "resty.redis"
        local red = redis:new()
        local function connect(options)
            options.ssl = true
            local ok, err = red:connect("127.0.0.1", $TEST_NGINX_TLS_REDIS, options)
            if not ok then return ngx.say(err:sub(1, 46)) end
            local info = red:client("info")
            ngx.say(red:get_reused_times(), info:match(" db=%d+"), info:match(" resp=%d"))
            red:set_keepalive(10000, 10)
        end
        local name = "redis.test"
        connect { ssl_verify = true, server_name = name, password = "sesame", protocol = 3, database = 2 }
        connect { ssl_verify = true, server_name = name, password = "sesame", protocol = 3, database = 2 }
        connect { ssl_verify = true, server_name = name, password = "sesame", username = "default" }
        connect { ssl_verify = true, server_name = "other.test", password = "sesame" }
        connect { ssl_verify = false, password = "open", protocol = 3 }
        connect { ssl_verify = false, protocol = 3 }
        connect { ssl_verify = false, password = "sesame", protocol = 4 }
    }
}
--- request
GET /t
--- response_body
0 db=2 resp=3
1 db=2 resp=3
0 db=0 resp=2
failed to do ssl handshake: certificate host m
failed to authenticate: WRONGPASS invalid user
failed to select protocol 3: NOAUTH HELLO must
failed to select protocol 4: NOPROTO unsupport
--- no_error_log
sesame



=== TEST 8: replies changed at random are read or refused
--- config
location /t {
    content_by_lua_block {
        local reader = require "bulan.reader"
        local reply = require "resty.redis.reply"
        local base = "*4\r\n$3\r\nabc\r\n:12\r\n%1\r\n+k\r\n,1.5\r\n~2\r\n#t\r\n_\r\n"
            .. "|1\r\n+ttl\r\n:9\r\n=7\r\ntxt:abc\r\n>2\r\n+m\r\n(99\r\n!5\r\nERR x\r\n-ERR y\r\n$-1\r\n*0\r\n"
        -- A generator of this test's own: the same changes in every run.
        local state = 4711
        local function random(n)
            state = (state * 16807) % 2147483647
            return state % n + 1
        end
        -- A socket that has these bytes, in pieces of any size.
        local function socket(text)
            local at = 1
            local sock = {}
            function sock:receiveany()
                if at > #text then return nil, "closed" end
                local piece = text:sub(at, at + random(20))
                at = at + #piece
                return piece
            end
            function sock:receive(n) return nil, "closed", (text:sub(at, at + n - 1)) end
            return sock
        end
        local function read_all(text)
            local self = { _sock = socket(text) }
            reader.reset(self)
            local count = 0
            while true do
                local value, err = reply.read(self)
                if value == nil then
                    assert(type(err) == "string")
                    return count, err
                end
                count = count + 1
            end
        end
        ngx.say(read_all(base))
        local whole, refused = 0, 0
        for _ = 1, 10000 do
            local bytes = { base:byte(1, -1) }
            for _ = 1, random(3) do bytes[random(#bytes)] = random(2) == 1 and random(256) - 1 or base:byte(random(#base)) end
            local _, err = read_all(string.char(unpack(bytes)))
            if err == "closed" then whole = whole + 1 else refused = refused + 1 end
        end
        ngx.say(whole + refused, " ", whole > 500, " ", refused > 500)
    }
}
--- timeout: 20
--- request
GET /t
--- response_body
7closed
10000 true true
