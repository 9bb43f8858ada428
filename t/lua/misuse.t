# What a program must not do, or does by accident: it gets an error, and the worker lives.
use lib 't/lib';
use Bulan::Test;

run_tests();

__DATA__

=== TEST 1: waiting in a coroutine below a function that can't be suspended
--- config
location = /word { return 200 word; }
location = /t {
    content_by_lua_block {
        local function below(f)
            return pcall(string.gsub, "a", ".", function() return coroutine.wrap(f)() end)
        end
        local sem = require("ngx.semaphore").new()
        local function sleep() ngx.sleep(0.001) end
        ngx.say(below(sleep))
        ngx.say(below(function() return coroutine.wrap(sleep)() end))
        ngx.say(below(function() ngx.location.capture("/word") end))
        ngx.say(below(function() ngx.thread.spawn(function() ngx.say("never") end) end))
        ngx.say(below(function() ngx.thread.wait(ngx.thread.spawn(sleep)) end))
        ngx.say(below(function() sem:wait(1) end), sem:count())
        ngx.say(below(function() ngx.exit(403) end))
        local co = coroutine.create(sleep)
        table.sort({ 1, 2 }, function(a, b)
            ngx.say(coroutine.resume(co))
            return a < b
        end)
        ngx.say(coroutine.resume(co))
        ngx.sleep(0.001)
        ngx.say(ngx.location.capture("/word").body)
    }
}
--- request
GET /t
--- response_body
falseattempt to yield across C-call boundary
falseattempt to yield across C-call boundary
falseattempt to yield across C-call boundary
falseattempt to yield across C-call boundary
falseattempt to yield across C-call boundary
false0
falseattempt to yield across C-call boundary
falseattempt to yield across C-call boundary
falsecannot resume running coroutine
word



=== TEST 2: a light thread that its parent, resumed inside it, wants to kill
--- config
location = /t {
    content_by_lua_block {
        local thread
        local parent = coroutine.create(function(me)
            thread = ngx.thread.spawn(function(parent)
                ngx.sleep(0.001)
                coroutine.resume(parent)
                collectgarbage()
                ngx.sleep(0.001)
                ngx.say("lives")
            end, coroutine.running())
            coroutine.yield()
            ngx.say(ngx.thread.kill(thread))
        end)
        coroutine.resume(parent)
    }
}
--- request
GET /t
--- response_body
nilrunning
lives



=== TEST 3: a coroutine with a light thread wanders into another request
--- config
lua_check_client_abort on;
location = /a {
    content_by_lua_block {
        wanderer = coroutine.create(function()
            local thread = ngx.thread.spawn(function() ngx.sleep(0.1) end)
            coroutine.yield()
            ngx.say(ngx.thread.kill(thread))
            ngx.say(pcall(ngx.thread.wait, thread))
        end)
        coroutine.resume(wanderer)
    }
}
location = /b { content_by_lua_block { coroutine.resume(wanderer) } }
--- perl
my $first = $server->connect;
$first->send("GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
ok Bulan::Test::Process::wait_until(5, sub {
    $server->get('/b')->{body} eq "nilkiller not parent\nfalseonly the parent coroutine can wait on the thread\n";
}), 'it has no children there';
is $first->response->{status}, 200, 'the first one ends';



=== TEST 4: text of objects that change what else is to be sent, and of arrays of holes
--- config
location = /t {
    content_by_lua_block {
        local list, object = { "a" }, newproxy(true)
        getmetatable(object).__tostring = function()
            for i = 1, 1000 do
                list[i] = ("x"):rep(100)
            end
            return "object"
        end
        ngx.print(list, object)
        ngx.say(pcall(ngx.print, { [1e15] = "a" }))
        ngx.say({ [3] = "a" })
    }
}
--- request
GET /t
--- response_body eval
"x" x 100000 . "objectfalsebad argument #1 to 'print' (non-array table found)\nnilnila\n"



=== TEST 5: filters that change what is being sent
--- config
location = /t {
    content_by_lua_block {
        local list = { "a" }
        ngx.ctx.list = list
        ngx.print(list)
        ngx.print(list, list)
    }
    header_filter_by_lua_block { ngx.ctx.list[1] = ("x"):rep(10000) }
    body_filter_by_lua_block { ngx.ctx.list[1] = ("y"):rep(20000) }
}
--- request
GET /t
--- response_body eval
"a" . "y" x 40000



=== TEST 6: a flush that came to its deadline is not told later that all has left
--- config
location = /t {
    send_timeout 200ms;
    content_by_lua_block {
        ngx.print(("x"):rep(8000000))
        ngx.log(ngx.WARN, "flush: ", select(2, ngx.flush(true)))
        local from = ngx.now()
        ngx.sleep(1)
        ngx.update_time()
        ngx.log(ngx.WARN, "slept: ", ngx.now() - from > 0.9)
    }
}
--- perl
my $client = $server->connect;
$client->send("GET /t HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
my $slow = sub { sysread($client->socket, my $piece, 200_000); $server->log =~ /flush: timeout/ };
ok Bulan::Test::Process::wait_until(5, $slow), 'the reader is too slow';
1 while sysread($client->socket, my $piece, 1_000_000);
ok $server->wait_log(qr/slept: true/), 'the sleep is not disturbed';



=== TEST 7: bytes gone over where nobody may wait are there for the next reader
--- config
location = /word { return 200 "0123456789"; }
location = /t {
    content_by_lua_block {
        local function below(f) return (select(2, pcall(string.gsub, "a", ".", f))) end
        local socket = ngx.socket.tcp()
        assert(socket:connect("127.0.0.1", ngx.var.server_port))
        socket:send("GET /word HTTP/1.1\r\nHost: x\r\n\r\n")
        socket:receiveuntil("\r\n\r\n")()
        ngx.say(socket:receive(1))
        ngx.say(below(function() return socket:receive(10000) end))
        ngx.say(socket:receive(2))
        ngx.say(below(function() return socket:receiveuntil("none")() end))
        ngx.say(socket:receive(3))
        ngx.say(below(function() return socket:receive("*a") end))
        ngx.say(socket:receive(4))
    }
}
--- request
GET /t
--- response_body
0
attempt to yield across C-call boundary
12
attempt to yield across C-call boundary
345
attempt to yield across C-call boundary
6789



=== TEST 8: more subrequests than may run at once, one after another
--- config
location = /word { return 200 word; }
location = /t {
    content_by_lua_block {
        for i = 1, 500 do
            assert(ngx.location.capture("/word").body == "word")
        end
        ngx.say("ok")
    }
}
--- request
GET /t
--- response_body
ok



=== TEST 9: arguments that are not what they should be
--- config
location = /t {
    content_by_lua_block {
        local ffi = require "ffi"
        local socket = ngx.socket.tcp()
        assert(socket:connect("127.0.0.1", ngx.var.server_port))
        for _, value in ipairs { ffi.new("int", 5), 5LL, ffi.new("char[8]") } do
            ngx.say(socket:sslhandshake(value))
            ngx.say(socket:setclientcert(value, value))
            ngx.say(socket:settrustedstore(value))
        end
        ngx.say((select(2, pcall(ngx.escape_uri, "/", 0 / 0)):gsub("^.-: ", "")))
        ngx.req.get_headers(-2 ^ 31)
        ngx.req.read_body()
        ngx.req.init_body(2 ^ 53)
        ngx.req.append_body("abc")
        ngx.req.finish_body()
        ngx.say(ngx.req.get_body_data(), " ", pcall(ngx.req.init_body, 0 / 0))
    }
}
--- request
GET /t
--- response_body
nilbad session arg: what an earlier handshake returned expected
nilbad cert or pkey arg: pointers expected
nilbad store arg: pointer expected
nilbad session arg: what an earlier handshake returned expected
nilbad cert or pkey arg: pointers expected
nilbad store arg: pointer expected
nilbad session arg: what an earlier handshake returned expected
nilbad cert or pkey arg: pointers expected
nilbad store arg: pointer expected
"type" nan out of range
abc falsebad argument #1 to 'init_body' (invalid buffer size)



=== TEST 10: very many light threads
--- config
location = /t {
    content_by_lua_block {
        local threads, count = {}, 0
        for i = 1, 50000 do
            threads[i] = ngx.thread.spawn(function()
                ngx.sleep(0.001)
                count = count + 1
            end)
        end
        ngx.thread.wait(unpack(threads, 1, 1000))
        for i = 1, #threads do
            ngx.thread.wait(threads[i])
        end
        ngx.say(count)
    }
}
--- timeout: 20s
--- request
GET /t
--- response_body
50000



=== TEST 11: a field of very many values
--- config
location = /t {
    content_by_lua_block {
        local values = {}
        for i = 1, 30000 do
            values[i] = "a"
        end
        ngx.req.set_header("X-Many", values)
        ngx.req.set_header("X-Many", "one")
        ngx.say(ngx.req.get_headers(0)["X-Many"])
    }
}
--- request
GET /t
--- response_body
one
