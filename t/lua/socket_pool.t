use lib 't/lib';
use Bulan::Test;

add_block_preprocessor(sub {
    my $block = shift;
    $block->set_value(config => $block->config . <<'CONFIG');
location /line { return 200 "line\n"; }
location /peer { return 200 "$connection $connection_requests"; }
CONFIG
    $block->set_value(user_files => <<'LUA');
>>> peer.lua
local peer = {}

-- Exchanges one request over a connected socket; its answer is the server's connection and count.
function peer.ask(sock)
    sock:send("GET /peer HTTP/1.1\r\nHost: x\r\n\r\n")
    local length
    repeat
        local line = assert(sock:receive())
        length = line:match("^Content%-Length: (%d+)") or length
    until line == ""
    return (sock:receive(tonumber(length)))
end

function peer.connect(...)
    local sock = ngx.socket.tcp()
    local ok, err = sock:connect("127.0.0.1", ngx.var.server_port, ...)
    return ok and sock, err
end

return peer
LUA
    $block->set_value(http_config => 'lua_package_path "$TEST_NGINX_HTML_DIR/?.lua;;";');
});

run_tests();

__DATA__

=== TEST 1: kept and taken again, the newest first
--- config
location /t {
    content_by_lua_block {
        local peer = require "peer"
        local a, b = peer.connect(), peer.connect()
        local name_a, name_b = peer.ask(a):match("%d+"), peer.ask(b):match("%d+")
        ngx.say(a:setkeepalive(), b:setkeepalive(nil, nil))
        ngx.say(a:setkeepalive())
        ngx.say(a:send("x"))
        ngx.say(a:getreusedtimes())
        a, b = peer.connect(), peer.connect()
        ngx.say(a:getreusedtimes(), b:getreusedtimes())
        ngx.say(peer.ask(a) == name_b .. " 2", peer.ask(b) == name_a .. " 2")
        a:setkeepalive()
        a = peer.connect()
        ngx.say(a:getreusedtimes())
    }
}
--- request
GET /t
--- response_body
11
nilclosed
nilclosed
nilclosed
11
truetrue
2
--- error_log
lua tcp socket get keepalive peer: using connection
lua tcp socket connection pool size: 30



=== TEST 2: pools by name, and their sizes
--- config
location /t {
    content_by_lua_block {
        local peer = require "peer"
        local function keep(n, size, ...)
            local all = {}
            for i = 1, n do all[i] = peer.connect(...) end
            for i = 1, n do all[i]:setkeepalive(0, size) end
        end
        local function count(n, ...)
            local reused, all = 0, {}
            for i = 1, n do
                all[i] = peer.connect(...)
                reused = reused + all[i]:getreusedtimes()
            end
            return reused
        end
        keep(3, 2)
        ngx.say(count(3))
        keep(3, 9, { pool = "a", pool_size = 1 })
        ngx.say(count(3, { pool = "b" }), count(3, { pool = "a" }))
        keep(2, 5, { pool = 3.5 })
        ngx.say(count(2, { pool = "3.5" }))
    }
}
--- request
GET /t
--- response_body
2
01
2
--- error_log
lua tcp socket keepalive create connection pool for key "a"
lua tcp socket keepalive timeout: unlimited
lua tcp socket keepalive: free connection pool for "3.5"



=== TEST 3: what may not be kept
--- config
location /t {
    content_by_lua_block {
        local peer = require "peer"
        local sock = peer.connect()
        sock:send("GET /line HTTP/1.0\r\n\r\n")
        sock:receive(1)
        ngx.say(sock:setkeepalive())
        sock:receive("*a")
        ngx.say(sock:setkeepalive())
        for _, bad in ipairs { { 0, 0 }, { "x" }, { 1, "x" }, { 1, 2, 3 } } do
            sock = peer.connect()
            ngx.say((select(2, pcall(sock.setkeepalive, sock, unpack(bad)))))
        end
    }
}
--- request
GET /t
--- response_body
nilunread data in buffer
nilclosed
bad argument #3 to '?' (bad "pool_size" option value: 0)
bad argument #2 to '?' (number expected, got string)
bad argument #3 to '?' (number expected, got string)
ngx.socket setkeepalive: expecting 1 to 3 arguments (including the object), but got 4



=== TEST 4: data that nobody asked for closes an idle connection
--- config
location /late {
    content_by_lua_block {
        local raw = ngx.req.socket(true)
        raw:send("a")
        repeat ngx.sleep(0.001) until package.loaded.kept
        raw:send("b")
        raw:settimeout(5000)
        raw:receive()
    }
}
location /t {
    content_by_lua_block {
        local peer = require "peer"
        local sock = peer.connect()
        sock:send("GET /late HTTP/1.1\r\nHost: x\r\n\r\n")
        ngx.say(sock:receive(1))
        ngx.say(sock:setkeepalive())
        package.loaded.kept = true
        local reused
        repeat
            ngx.sleep(0.001)
            sock = peer.connect()
            reused = sock:getreusedtimes()
            sock:setkeepalive()
        until reused == 0
        ngx.say("closed")
    }
}
--- request
GET /t
--- response_body
a
1
closed
--- error_log
lua tcp socket keepalive close handler



=== TEST 5: the peer closes an idle connection; time closes another
--- config
keepalive_timeout 50ms;
location /t {
    content_by_lua_block {
        local peer = require "peer"
        local sock = peer.connect()
        peer.ask(sock)
        sock:setkeepalive()
        ngx.sleep(0.15)
        sock = peer.connect()
        ngx.say(sock:getreusedtimes())
        peer.ask(sock)
        sock:setkeepalive(10)
        ngx.sleep(0.04)
        ngx.say(peer.connect():getreusedtimes())
    }
}
--- request
GET /t
--- response_body
0
0
--- grep_error_log: lua tcp socket keepalive close handler
--- grep_error_log_out
lua tcp socket keepalive close handler
lua tcp socket keepalive close handler



=== TEST 6: a limit to connections in use: who waits goes on when one is given back
--- config
location /t {
    content_by_lua_block {
        local peer = require "peer"
        local options = { pool = "p", pool_size = 1, backlog = 2 }
        local first = peer.connect(options)
        local function connect()
            local sock, err = peer.connect(options)
            if not sock then return err end
            local reused = sock:getreusedtimes()
            ngx.sleep(0)
            sock:close()
            return reused
        end
        local one, two = ngx.thread.spawn(connect), ngx.thread.spawn(connect)
        ngx.say(peer.connect(options))
        first:setkeepalive()
        ngx.say(select(2, ngx.thread.wait(one)), " ", select(2, ngx.thread.wait(two)))
        first = peer.connect(options)
        local sock = ngx.socket.tcp()
        sock:settimeout(10)
        ngx.say(sock:connect("127.0.0.1", ngx.var.server_port, options))
        one, two = ngx.thread.spawn(connect), ngx.thread.spawn(connect)
        ngx.thread.kill(one)
        first:close()
        ngx.say(select(2, ngx.thread.wait(two)))
    }
}
--- request
GET /t
--- response_body
niltoo many waiting connect operations
1 0
niltimeout
0
--- error_log
lua tcp socket queue connect operation for connection pool "p"
lua tcp socket queued connect timed out, when trying to connect to 127.0.0.1:
lua tcp socket abort queueing



=== TEST 7: a connect that fails makes room for the next in the queue
--- config
location /t {
    content_by_lua_block {
        local options = { pool = "p", pool_size = 1, backlog = 4 }
        local function connect(host, port)
            local sock, err = ngx.socket.connect(host, port, options)
            if not sock then return err end
            sock:close()
            return "connected"
        end
        local first = ngx.socket.connect("127.0.0.1", ngx.var.server_port, options)
        local threads = {
            ngx.thread.spawn(connect, "", 1),
            ngx.thread.spawn(connect, "127.0.0.1", 1),
            ngx.thread.spawn(connect, "unix:/no/such"),
            ngx.thread.spawn(connect, "127.0.0.1", ngx.var.server_port),
        }
        first:close()
        for i = 1, #threads do
            ngx.say(select(2, ngx.thread.wait(threads[i])))
        end
    }
}
--- request
GET /t
--- response_body
failed to parse host name "": no host
connection refused
no such file or directory
connected



=== TEST 8: options that are none
--- config
location /t {
    content_by_lua_block {
        local peer = require "peer"
        for _, bad in ipairs {
            { pool = {} }, { pool = true }, { pool_size = "a" }, { pool_size = 0 }, { backlog = -1 }
        } do
            ngx.say((select(2, pcall(peer.connect, bad)):gsub("^.-: ", "")))
        end
        ngx.say(peer.connect({}) and "good")
        ngx.say(peer.connect(nil) and "good")
    }
}
--- request
GET /t
--- response_body
bad argument #3 to 'connect' (bad "pool" option type: table)
bad argument #3 to 'connect' (bad "pool" option type: boolean)
bad argument #3 to 'connect' (bad "pool_size" option type: string)
bad argument #3 to 'connect' (bad "pool_size" option value: 0)
bad argument #3 to 'connect' (bad "backlog" option value: -1)
good
good
