use lib 't/lib';
use Bulan::Test;

$ENV{TEST_NGINX_SOCKET} = Bulan::Test::Server::new_tree() . '/peer.sock';

run_tests();

__DATA__

=== TEST 1: lines, sizes, what is there, all
--- config
location /t {
    content_by_lua_block {
        local sock = ngx.socket.tcp()
        ngx.say(sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
        ngx.say(sock:getreusedtimes(), " ", type(sock:getfd()), " ", sock:send("."))
        ngx.say(sock:receive())
        ngx.say(sock:receive("*l"))
        ngx.say("[", sock:receive(0), "]", sock:receive(3), "|", sock:receive("2"))
        ngx.say(sock:receiveany(4))
        ngx.say((sock:receive("*a")))
        ngx.say(sock:receive())
        ngx.say(sock:close())
        ngx.say(sock:close())
    }
}
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_query_len: 1
--- tcp_reply eval: "first\r\nse\rco\rnd\r\nabcdefghijklm\nlast"
--- request
GET /t
--- response_body
1
0 number 1
first
second
[]abc|de
fghi
jklm
last
nilclosed
1
nilclosed
--- error_log
attempt to receive data on a closed socket



=== TEST 2: the same bytes through the smallest buffer
--- config
location /t {
    lua_socket_buffer_size 1;
    content_by_lua_block {
        local sock = ngx.socket.tcp()
        sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1)
        sock:send(".")
        ngx.say(sock:receive(), "|", sock:receive(10), "|", sock:receiveany(5))
        ngx.say(sock:receiveuntil("--")(), "|", (sock:receive("*a")))
    }
}
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_query_len: 1
--- tcp_reply eval: ["fi", "rst\r", "\n01234", "56789", "abc-", "--", "all of ", "it"]
--- request
GET /t
--- response_body
first|0123456789|a
bc|-all of it



=== TEST 3: failures to connect
--- config
location /t {
    content_by_lua_block {
        local sock = ngx.socket.tcp()
        ngx.say(sock:connect("127.0.0.1", 1))
        ngx.say(sock:send("x"))
        ngx.say(sock:receive())
        ngx.say(sock:close())
        ngx.say(sock:setkeepalive())
        ngx.say(sock:connect("127.0.0.1"))
        ngx.say(sock:connect("127.0.0.1", {}))
        ngx.say(sock:connect("127.0.0.1", 65536))
        ngx.say(sock:connect("", 80))
        ngx.say(sock:connect("unix:/no/such/socket"))
        ngx.say(sock:connect("unix:/" .. ("x"):rep(200)))
        ngx.say(ngx.socket.connect("127.0.0.1", 1))
        ngx.say(pcall(sock.connect, sock))
        ngx.say(pcall(ngx.socket.tcp, 1))
    }
}
--- request
GET /t
--- response_body
nilconnection refused
nilclosed
nilclosed
nilclosed
nilclosed
nilmissing the port number
nilmissing the port number
nilbad port number: 65536
nilfailed to parse host name "": no host
nilno such file or directory
nilfailed to parse host name: too long
nilconnection refused
falsengx.socket connect: expecting 2, 3, or 4 arguments (including the object), but seen 1
falseexpecting zero arguments, but got 1
--- error_log eval
[qr/\[error\] .*connect\(\) failed \(111: Connection refused\), upstream: 127\.0\.0\.1:1\(127\.0\.0\.1\), client: /,
 qr/\[crit\] .*connect\(\) to unix:\/no\/such\/socket failed \(2: No such file or directory\)/,
 "attempt to send data on a closed socket"]



=== TEST 4: failures that nobody wants to read about
--- config
location /t {
    lua_socket_log_errors off;
    content_by_lua_block {
        local sock = ngx.socket.tcp()
        sock:settimeout(10)
        ngx.say(sock:connect("127.0.0.1", 1))
        ngx.say(sock:receive())
        sock:connect("127.0.0.1", ngx.var.server_port)
        ngx.say(sock:receive())
    }
}
--- request
GET /t
--- response_body
nilconnection refused
nilclosed
niltimeout
--- no_error_log
[error]



=== TEST 5: the limit of a read gives what came so far, and the connection lives on
--- config
location /t {
    content_by_lua_block {
        local sock = ngx.socket.tcp()
        sock:connect("127.0.0.1", ngx.var.server_port)
        sock:send("GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        sock:receiveuntil("\r\n\r\nabc")()
        sock:settimeouts(1000, 1000, 30)
        ngx.shared.flags:set("more", 1)
        ngx.say(sock:receiveany(10))
        ngx.say(select(2, sock:receive(10)), " ", (select(3, sock:receive(10))))
        ngx.shared.flags:set("go", 1)
        sock:settimeout(5000)
        ngx.say(sock:receive("*a"))
        for _, bad in ipairs { -1, 2 ^ 31 } do
            ngx.say((select(2, pcall(sock.settimeout, sock, bad))))
        end
    }
}
location /slow {
    chunked_transfer_encoding off;
    content_by_lua_block {
        ngx.print("abc")
        ngx.flush(true)
        repeat ngx.sleep(0.001) until ngx.shared.flags:get("more")
        ngx.print("d")
        ngx.flush(true)
        repeat ngx.sleep(0.005) until ngx.shared.flags:get("go")
        ngx.print("rest")
    }
}
--- http_config
lua_shared_dict flags 100k;
--- request
GET /t
--- response_body
d
timeout 
rest
bad timeout value
bad timeout value
--- error_log
lua tcp socket read timed out, upstream: 127.0.0.1:



=== TEST 6: everything that send takes
--- config
location /t {
    content_by_lua_block {
        local sock = ngx.socket.tcp()
        sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1)
        ngx.say(sock:send("text"), sock:send(12.5), sock:send(""), sock:send({}))
        ngx.say(sock:send { "a", { 1, { "b" } }, "c" }, sock:send(true), sock:send(nil))
        for _, bad in ipairs { { "x", true }, { "x", ngx.null }, { a = 1 }, print } do
            ngx.say((select(2, pcall(function() sock:send(bad) end)):gsub("^.-: ", "")))
        end
        ngx.say((select(2, pcall(sock.send, sock))))
        ngx.say((select(2, pcall(sock.send, "x", "y"))))
        sock:send("\n")
        ngx.say(sock:receive())
    }
}
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_query eval: "text12.5a1bctruenil\n"
--- tcp_query_len: 20
--- tcp_reply eval: "ok\n"
--- request
GET /t
--- response_body
4400
443
bad argument #1 to 'send' (bad data type boolean found)
bad argument #1 to 'send' (bad data type userdata found)
bad argument #1 to 'send' (non-array table found)
bad argument #1 to 'send' (string, number, boolean, nil, or array table expected, got function)
expecting 2 arguments (including the object), but got 1
bad argument #1 to '?' (table expected, got string)
ok



=== TEST 7: more than a socket takes at once, both ways, and longer than any buffer
--- config
location /t {
    content_by_lua_block {
        local sock = ngx.socket.tcp()
        sock:connect("127.0.0.1", ngx.var.server_port)
        local body = ("0123456789abcdef"):rep(512 * 1024)
        local writer = ngx.thread.spawn(function()
            return sock:send { "POST /echo HTTP/1.0\r\nContent-Length: ", #body, "\r\n\r\n", body }
        end)
        sock:receiveuntil("\r\n\r\n")()
        local data = sock:receive(#body)
        ngx.say(data == body, " ", sock:receive("*a"))
        ngx.say(select(2, ngx.thread.wait(writer)) > #body)
    }
}
location /echo {
    client_max_body_size 0;
    content_by_lua_block {
        local body = ngx.req.socket()
        ngx.header["Content-Length"] = ngx.var.content_length
        while true do
            local piece = body:receiveany(65536)
            if not piece then break end
            ngx.print(piece)
            ngx.flush(true)
        end
    }
}
--- request
GET /t
--- timeout: 20
--- response_body
true 
true



=== TEST 8: a peer that does not read: the limit of a send, which ends sending
--- config
location /t {
    lua_socket_send_timeout 40ms;
    content_by_lua_block {
        local sock = ngx.socket.tcp()
        sock:connect("127.0.0.1", ngx.var.server_port)
        sock:send("POST /deaf HTTP/1.0\r\nContent-Length: 99999999\r\n\r\n")
        local big = ("x"):rep(32 * 1024 * 1024)
        ngx.say(sock:send(big))
        ngx.say(sock:send("more"))
        ngx.say(sock:close())
        ngx.shared.flags:set("go", 1)
    }
}
location /deaf {
    client_max_body_size 0;
    content_by_lua_block {
        repeat ngx.sleep(0.005) until ngx.shared.flags:get("go")
        ngx.exit(444)
    }
}
--- http_config
lua_shared_dict flags 100k;
--- request
GET /t
--- response_body
niltimeout
nilclosed
1
--- error_log
lua tcp socket write timed out, upstream: 127.0.0.1:



=== TEST 9: one reads, one writes; a second of either is refused
--- config
location /t {
    content_by_lua_block {
        local sock = ngx.socket.tcp()
        sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1)
        local reader = ngx.thread.spawn(function() return sock:receive() end)
        ngx.say(sock:receive())
        ngx.say(sock:receiveany(1))
        ngx.say(sock:receiveuntil("x")())
        ngx.say(sock:close())
        ngx.say(sock:setkeepalive())
        ngx.say(sock:connect("127.0.0.1", 1))
        ngx.say(sock:send("go\n"))
        ngx.say(select(2, ngx.thread.wait(reader)))
        reader = ngx.thread.spawn(function() return sock:receive() end)
        ngx.say(ngx.thread.kill(reader))
        ngx.say(sock:close())
    }
}
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_query_len: 3
--- tcp_reply eval: "there\n"
--- tcp_no_close
--- request
GET /t
--- response_body
nilsocket busy reading
nilsocket busy reading
nilsocket busy reading
nilsocket busy reading
nilsocket busy reading
nilsocket busy reading
3
there
1
1



=== TEST 10: unix sockets, options, bind
--- config
location /t {
    content_by_lua_block {
        local sock = ngx.socket.stream()
        ngx.say(sock:connect("unix:$TEST_NGINX_SOCKET"))
        sock:send(".")
        ngx.say(sock:receive())
        sock:close()
        ngx.say(sock:setoption("keepalive", true))
        ngx.say(sock:bind("127.0.0.2"))
        ngx.say(sock:bind("nowhere"))
        ngx.say(sock:connect("127.0.0.1", ngx.var.server_port))
        for _, name in ipairs { "keepalive", "reuseaddr", "tcp-nodelay" } do
            ngx.say(name, " ", sock:setoption(name, true), " ", sock:getoption(name) ~= 0)
        end
        ngx.say(sock:setoption("sndbuf", 16384), " ", sock:getoption("sndbuf") >= 16384)
        ngx.say(sock:setoption("rcvbuf", 16384), " ", sock:getoption("rcvbuf") >= 16384)
        ngx.say(sock:setoption("speed", 1))
        sock:send("GET /addr HTTP/1.0\r\n\r\n")
        sock:receiveuntil("\r\n\r\n")()
        ngx.say(sock:receive("*a"))
        sock:bind("192.0.2.1")
        ngx.say(sock:connect("127.0.0.1", ngx.var.server_port))
    }
}
location /addr { return 200 $remote_addr; }
--- tcp_listen: $TEST_NGINX_SOCKET
--- tcp_query_len: 1
--- tcp_reply eval: "hello\n"
--- request
GET /t
--- response_body
1
hello
nilclosed
1
nilbad address
1
keepalive true true
reuseaddr true true
tcp-nodelay true true
true true
true true
nilunsupported option speed
127.0.0.2
nilcannot assign requested address
--- error_log
bind(192.0.2.1) failed



=== TEST 11: names: the system's, and those that nobody knows
--- config
location /t {
    content_by_lua_block {
        local sock = ngx.socket.tcp()
        ngx.say(sock:connect("localhost", ngx.var.server_port))
        sock:settimeout(5)
        sock:receive()
    }
}
--- request
GET /t
--- response_body
1
--- error_log eval
qr/lua tcp socket read timed out, upstream: localhost:\d+\(127\.0\.0\.1\)/



=== TEST 12: a socket is its owner's
--- http_config
lua_package_path "$TEST_NGINX_HTML_DIR/?.lua;;";
--- config
location /keep {
    content_by_lua_block {
        local mine = require "mine"
        mine.sock = ngx.socket.tcp()
        mine.sock:connect("127.0.0.1", ngx.var.server_port)
        for _, method in ipairs { "receive", "send", "close", "setkeepalive", "connect" } do
            local res = ngx.location.capture("/other?" .. method)
            ngx.print(res.body)
        end
        ngx.say(mine.sock:send("GET"))
    }
}
location /other {
    content_by_lua_block {
        local sock, method = require("mine").sock, ngx.var.args
        ngx.say(method, ": ", (select(2, pcall(sock[method], sock, "x"))))
    }
}
location /later {
    content_by_lua_block {
        local sock = require("mine").sock
        ngx.say(sock:send("x"))
        ngx.say(sock:connect("127.0.0.1", ngx.var.server_port))
    }
}
--- user_files
>>> mine.lua
return {}
--- request eval
["GET /keep", "GET /later"]
--- response_body eval
["receive: bad request\nsend: bad request\nclose: bad request\nsetkeepalive: bad request\n" .
 "connect: bad request\n3\n", "nilclosed\n1\n"]



=== TEST 13: a socket that nobody holds is closed, but not while somebody waits in it
--- config
location /t {
    content_by_lua_block {
        local function connect()
            local sock = ngx.socket.tcp()
            sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1)
            sock:send(".")
            return sock
        end
        local waits = ngx.thread.spawn(function()
            return connect():receive()
        end)
        local fd = connect():getfd()
        collectgarbage()
        collectgarbage()
        ngx.say(connect():getfd() == fd)
        ngx.say(select(2, ngx.thread.wait(waits)))
        collectgarbage()
    }
}
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_query_len: 1
--- tcp_reply_delay: 100ms
--- tcp_reply eval: "late\n"
--- request
GET /t
--- response_body
true
late
--- error_log
lua finalize socket



=== TEST 14: a connection that is reset
--- config
location /t {
    content_by_lua_block {
        local sock = ngx.socket.tcp()
        sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1)
        sock:send(("x"):rep(1000))
        local data, err, partial = sock:receive(10)
        ngx.say(data, " ", err, " [", partial, "]")
        ngx.say(sock:receive(10))
    }
}
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_query_len: 1
--- tcp_reply: abc
--- request
GET /t
--- response_body_like
\Anil (?:closed|connection reset by peer) \[(?:abc)?\]
nilclosed$



=== TEST 15: receiveany() of much gives more than a buffer, and mixes with the other ways to read
--- config
location /t {
    content_by_lua_block {
        local sock = ngx.socket.tcp()
        assert(sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
        sock:send(".")
        local pieces, large = { sock:receive(3), sock:receiveany(10) }, 0
        while true do
            local piece, err, partial = sock:receiveany(65536)
            if not piece then
                ngx.say(err, " ", #partial)
                break
            end
            pieces[#pieces + 1] = piece
            if #piece > 4096 then large = large + 1 end
            assert(#piece <= 65536)
            if #pieces < 10 then pieces[#pieces + 1] = sock:receive(2) end
        end
        local text = table.concat(pieces)
        ngx.say(#text, " ", text == ("0123456789"):rep(100000), " ", large > 0)
    }
}
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_query_len: 1
--- tcp_reply eval: "0123456789" x 100000
--- request
GET /t
--- response_body
closed 0
1000000 true true
--- no_error_log
[error]
