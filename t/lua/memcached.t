use lib 't/lib';
use Bulan::Test;
use Bulan::Test::Backend;
use Bulan::Test::Memcached;
use Bulan::Test::Tls;

my $memcached = Bulan::Test::Memcached->start('-m', 16);

# A server that answers "get KEY" with what stands here, then closes or, with "+" in front of the key,
# waits.
my %reply = (
    garbage    => "HTTP/1.1 400 Bad Request\r\n\r\n",
    other      => "VALUE another 0 1\r\na\r\nEND\r\n",
    twice      => "VALUE %2Btwice 0 1\r\na\r\nVALUE %2Btwice 0 1\r\nb\r\nEND\r\n",
    short      => "VALUE %2Bshort 0 1\r\nabc\r\nEND\r\n",
    huge       => "VALUE %2Bhuge 0 99999999999\r\nabc",
    negative   => "VALUE %2Bnegative 0 -1\r\nabc",
    lengthless => "VALUE %2Blengthless 0 \r\n\r\nEND\r\n",
    cut        => "VALUE %2Bcut 0 10\r\nabc",
    closed     => "VALUE closed 0 10\r\nabc",
    no_end     => "VALUE no_end 0 3\r\nabc\r\n",
    line       => 'x' x 10_000,
    rest       => "VALUE %2Brest 0 1\r\na\r\nEND\r\nEND\r\n",
    pieces     => "VALUE %2Bpieces 7 3\r\nabc\r\nEND\r\n",
    fault      => "SERVER_ERROR out of memory\r\n",
);
my $liar = Bulan::Test::Backend->tcp(sub {
    my ($connection) = @_;
    while (defined(my $request = eval { $connection->take(qr/\r\n/, time + 30) })) {
        my ($wait, $key) = $request =~ /^get (%2B)?(\w+)\r\n/ or return;
        for my $piece ($key eq 'pieces' ? split(//, $reply{$key}) : $reply{$key}) {
            eval { $connection->send($piece); 1 } or return;
        }
        return if !$wait;
    }
}, parallel => 1);

($ENV{TEST_NGINX_MEMCACHED_PORT}, $ENV{TEST_NGINX_LIAR}) = ($memcached->port, $liar->port);
my $tls  = Bulan::Test::Tls->new;
my $cert = $tls->certificate('memcached.test');
($ENV{TEST_NGINX_CERT}, $ENV{TEST_NGINX_KEY}, $ENV{TEST_NGINX_CA}) = ($cert->{cert}, $cert->{key}, $tls->authority->{cert});

add_block_preprocessor(sub {
    my $block = shift;
    $block->set_value(http_config => 'lua_socket_log_errors off; lua_package_path "$TEST_NGINX_HTML_DIR/?.lua;;";');
    $block->set_value(user_files => <<'LUA');
>>> tools.lua
local memcached = require "resty.memcached"
local tools = {}

function tools.connect(options, port)
    local memc = assert(memcached:new(options))
    memc:set_timeouts(5000, 5000, 5000)
    assert(memc:connect("127.0.0.1", port or $TEST_NGINX_MEMCACHED_PORT))
    return memc
end

function tools.fresh(options)
    local memc = tools.connect(options)
    assert(memc:flush_all())
    return memc
end

function tools.show(...)
    local values, n = { ... }, select("#", ...)
    while n > 1 and values[n] == nil do n = n - 1 end
    for i = 1, n do values[i] = tostring(values[i]) end
    ngx.say(table.concat(values, " "))
end

return tools
LUA
});

run_tests();

__DATA__

=== TEST 1: storing and getting
--- config
location /t {
    content_by_lua_block {
        local tools = require "tools"
        local show, memc = tools.show, tools.fresh()
        show(memc:get("dog"))
        show(memc:set("dog", 32))
        show(memc:get("dog"))
        show(memc:add("dog", 1))
        show(memc:replace("dog", { "a ", { "kind of", {} }, " ani", "mal\r\n", 1 }, 0, 4294967295))
        show(memc:get("dog"))
        show(memc:append("dog", "END\r\n"))
        show(memc:prepend("dog", ""))
        show(memc:get("dog"))
        show(memc:append("cat", 1))
        show(memc:prepend("cat", 1))
        show(memc:replace("cat", 1))
        show(memc:add("cat", "", 0, 5))
        show(memc:get("cat"))
        show(memc:delete("cat"))
        show(memc:delete("cat"))
        show(memc:set("gone", 1, -1))
        show(memc:get("gone"))
        local long = ("0123456789"):rep(100000)
        show(memc:set("long", long))
        show(memc:get("long") == long)
        show(memc:close())
        show(memc:get("dog"))
        show(memc:set("dog", 1))
    }
}
--- request
GET /t
--- response_body eval
"nil
1
32 0
nil NOT_STORED
1
a kind of animal\r
1 4294967295
1
1
a kind of animal\r
1END\r
 4294967295
nil NOT_STORED
nil NOT_STORED
nil NOT_STORED
1
 5
1
nil NOT_FOUND
1
nil
1
true
1
nil nil closed
nil closed
"



=== TEST 2: many keys, unique numbers
--- config
location /t {
    content_by_lua_block {
        local tools = require "tools"
        local show, memc = tools.show, tools.fresh()
        memc:set("a b", "one\r\n")
        memc:set("ü%", "two", 0, 7)
        local all = memc:get { "a b", "none", "ü%" }
        show(all["a b"][1], all["a b"][2], all.none, all["ü%"][1], all["ü%"][2])
        all = memc:gets { "ü%" }
        show(all["ü%"][1], all["ü%"][2], memc:cas("ü%", "three", all["ü%"][3], 0, 8))
        show(memc:cas("ü%", "four", all["ü%"][3]))
        local value, flags, unique, err = memc:gets("ü%")
        show(value, flags, unique:find("^%d+$"), err)
        show(memc:cas("none", 1, unique))
        show(memc:cas("ü%", 1, "1 noreply"))
        show(memc:gets("none"))
        show(next(memc:get {}), next((memc:gets { "none" })))
    }
}
--- request
GET /t
--- response_body eval
"one\r
 0 nil two 7
two 7 1
nil EXISTS
three 8 1
nil NOT_FOUND
nil invalid number
nil
nil
"



=== TEST 3: counters, touch, and the server's own commands
--- config
location /t {
    content_by_lua_block {
        local tools = require "tools"
        local show, memc = tools.show, tools.fresh()
        show(memc:incr("n", 1))
        memc:set("n", 10)
        show(memc:incr("n", 5))
        show(memc:decr("n", 6))
        show(memc:decr("n", 60))
        memc:set("n", "18446744073709551614")
        show(memc:incr("n", 1ULL))
        memc:set("n", "x")
        local value, err = memc:incr("n", 1)
        show(value, err:match("^CLIENT_ERROR cannot increment"))
        show(memc:incr("n", -1))
        show(memc:decr("n", "1 noreply"))
        show(memc:incr("n"))
        show(memc:touch("n", 100))
        show(memc:touch("none", 100))
        show(memc:touch("n", 1.5))
        show(memc:verbosity(1))
        show(memc:verbosity("1\r\nflush_all"))
        show(memc:version():match("^%d+%.%d+") ~= nil)
        show(memc:stats()[1]:match("^STAT pid"), #memc:stats("items") > 0, memc:stats("a\r\nb"))
        show(memc:flush_all(100))
        show(memc:get("n"))
        show(memc:flush_all())
        show(memc:get("n"))
        show(memc:quit())
        show(memc:version())
    }
}
--- request
GET /t
--- response_body
nil NOT_FOUND
15
9
0
18446744073709551615
nil CLIENT_ERROR cannot increment
nil invalid number
nil invalid number
nil invalid number
1
nil NOT_FOUND
nil invalid number
1
nil invalid number
true
STAT pid true nil invalid key
1
x 0
1
nil
1
nil closed



=== TEST 4: a key can't smuggle a command
--- config
location /t {
    content_by_lua_block {
        local tools = require "tools"
        local show, memc = tools.show, tools.fresh()
        memc:set("safe", "yes")
        local evil = "x\r\nflush_all\r\nget"
        show(memc:get(evil))
        show(memc:set(evil, "kept"))
        show(memc:get(evil))
        show(memc:set(("k"):rep(250), 1), memc:set(("k"):rep(251), 1))
        show(memc:get(("ü"):rep(42)))
        show(memc:set("", 1))
        local same = function(key) return key end
        memc = tools.connect { key_transform = { same, same } }
        for _, key in ipairs { evil, "a b", "a\tb", "a\0b", "", "a\127" } do
            show(memc:get(key))
            show(memc:gets(key))
            show(memc:get { "safe", key })
            show(memc:set(key, 1), memc:delete(key), memc:incr(key, 1), memc:touch(key, 1))
        end
        show(memc:set("dog&cat", 1), memc:get("dog&cat"))
        show(memc:set("safe", "no", "0 5\r\nx"))
        show(memc:set("safe", "no", 0, "1 2"))
        show(memc:flush_all("0 noreply"))
        show(memc:get("safe"))
        memc = tools.connect { key_transform = { ngx.escape_uri, same } }
        show(memc:get { "dog&cat", "safe" }["safe"][1], memc:set("&", 1), memc:get { "&" }["%26"][1])
    }
}
--- request
GET /t
--- response_body eval
"nil
1
kept 0
1 nil invalid key
nil nil invalid key
nil invalid key
" . "nil nil invalid key
nil nil nil invalid key
nil invalid key
nil nil nil nil invalid key
" x 6 . "1 1 0
nil invalid number
nil invalid number
nil invalid number
yes 0
yes 1 1
"



=== TEST 5: pipelines
--- config
location /t {
    content_by_lua_block {
        local tools = require "tools"
        local show, memc = tools.show, tools.fresh()
        show(memc:commit_pipeline())
        show(memc:init_pipeline("x"))
        show(memc:init_pipeline(10))
        show(memc:init_pipeline())
        show(memc:commit_pipeline())
        memc:init_pipeline()
        memc:set("n", 10, 30, 4)
        memc:get("n")
        memc:get("bad" .. ("x"):rep(250))
        memc:get("none")
        memc:incr("n", 3)
        memc:add("n", 1)
        memc:get { "n", "none" }
        memc:get {}
        memc:gets("n")
        memc:delete("n")
        memc:touch("n", 1)
        memc:stats("items")
        memc:version()
        local results = memc:commit_pipeline()
        for i, r in ipairs(results) do
            if type(r[1]) ~= "table" and i ~= 9 and i ~= 13 then show(i, r[1], r[2], r[3]) end
        end
        show(#results, results[7][1].n[1], next(results[8][1]), results[9][1], results[9][2])
        memc:init_pipeline()
        memc:set("n", 1)
        memc:cancel_pipeline()
        show(memc:get("n"))
        memc:init_pipeline()
        for i = 1, 1000 do memc:set("k" .. i, i) end
        for i = 1, 1000 do memc:get("k" .. i) end
        results = memc:commit_pipeline()
        local sum = 0
        for i = 1001, 2000 do sum = sum + results[i][1] end
        show(#results, sum, memc:set_keepalive(1000, 10))
        show(memc:get("n"))
        memc = tools.connect()
        show(memc:get_reused_times(), memc:get("k7"))
    }
}
--- request
GET /t
--- response_body
nil no pipeline
bad n arg: number expected, but got string

already init pipeline
nil no more cmds
1 1
2 10 4
3 nil nil invalid key
4
5 13
6 nil NOT_STORED
10 1
11 nil NOT_FOUND
13 13 nil 13 4
nil
2000 500500 1
nil nil closed
1 7 0



=== TEST 6: a server that lies or dies
--- config
location /t {
    content_by_lua_block {
        local tools = require "tools"
        for key in ("garbage other twice short huge negative lengthless cut line rest pieces fault"):gmatch("%S+") do
            local memc = tools.connect(nil, $TEST_NGINX_LIAR)
            memc:set_timeout(key == "cut" and 50 or 5000)
            tools.show(key .. ":", memc:get("+" .. key))
            tools.show(memc:set_keepalive())
        end
        for key in ("closed no_end"):gmatch("%S+") do
            local memc = tools.connect(nil, $TEST_NGINX_LIAR)
            tools.show(key .. ":", memc:get(key))
            memc = tools.connect(nil, $TEST_NGINX_LIAR)
            memc:init_pipeline()
            memc:get(key)
            memc:get(key)
            tools.show(memc:commit_pipeline())
        end
    }
}
--- request
GET /t
--- response_body
garbage: nil nil unexpected reply
nil closed
other: nil nil unexpected reply
nil closed
twice: nil nil unexpected reply
nil closed
short: nil nil unexpected reply
nil closed
huge: nil nil unexpected reply
nil closed
negative: nil nil unexpected reply
nil closed
lengthless: nil nil unexpected reply
nil closed
cut: nil nil timeout
nil closed
line: nil nil unexpected reply
nil closed
rest: a 0
nil unread data in buffer
pieces: abc 7
1
fault: nil nil SERVER_ERROR out of memory
1
closed: nil nil closed
nil closed
no_end: nil nil closed
nil closed



=== TEST 7: a value that is too large leaves the connection usable
--- config
location /t {
    content_by_lua_block {
        local tools = require "tools"
        local memc = tools.fresh()
        tools.show(memc:set("big", ("x"):rep(2 * 1024 * 1024)))
        tools.show(memc:set("small", 1), memc:get("small"))
    }
}
--- request
GET /t
--- response_body
nil SERVER_ERROR object too large for cache
1 1 0



=== TEST 8: TLS, checked unless told otherwise
--- server_config
listen $TEST_NGINX_SERVER_PORT;
listen $TEST_NGINX_RAND_PORT_1 ssl;
ssl_certificate $TEST_NGINX_CERT;
ssl_certificate_key $TEST_NGINX_KEY;
--- config
location = /cache {
    content_by_lua_block {
        local sock = assert(ngx.req.socket(true))
        sock:receive()
        sock:send("VALUE dog 0 3\r\ncat\r\nEND\r\n")
    }
}
location /t {
    lua_ssl_trusted_certificate $TEST_NGINX_CA;
    content_by_lua_block {
        local tools = require "tools"
        for _, check in ipairs { { "memcached.test" }, { "other.test" }, { "other.test", false } } do
            local memc = tools.connect(nil, $TEST_NGINX_RAND_PORT_1)
            local ok, err = memc:sslhandshake(false, check[1], check[2])
            tools.show(ok, err)
            if ok then
                -- The head of a request makes the server speak as told above.
                memc._sock:send("GET /cache HTTP/1.1\r\nHost: a\r\n\r\n")
                tools.show(memc:get("dog"))
            end
        end
    }
}
--- request
GET /t
--- response_body
true
cat 0
nil certificate host mismatch
true
cat 0



=== TEST 9: how long a line may be does not depend on the pieces it comes in
--- config
location /t {
    content_by_lua_block {
        local reader = require "bulan.reader"
        for _, cut in ipairs { 1, 7, 11, 100 } do
            local all = {}
            for n = 9, 12 do
                local text, at = ("x"):rep(n) .. "\r\n", 1
                local sock = {}
                function sock.receiveany()
                    local piece = text:sub(at, at + cut - 1)
                    at = at + cut
                    return piece ~= "" and piece or nil, "closed"
                end
                local self = { _sock = sock }
                reader.reset(self)
                local line, err = reader.line(self, 10)
                all[#all + 1] = line and #line or err
            end
            ngx.say(table.concat(all, ", "))
        end
    }
}
--- request
GET /t
--- response_body
9, 10, too long a line, too long a line
9, 10, too long a line, too long a line
9, 10, too long a line, too long a line
9, 10, too long a line, too long a line
