use lib 't/lib';
use Bulan::Test;

$ENV{TEST_NGINX_SOCKET} = Bulan::Test::Server::new_tree() . '/peer.sock';

run_tests();

__DATA__

=== TEST 1: datagrams there and back
--- config
location /t {
    content_by_lua_block {
        local sock = ngx.socket.udp()
        ngx.say(sock:setpeername("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
        ngx.say(sock:send("one"), sock:send { "t", { "w", "o" } }, sock:send(3))
        ngx.say(sock:receive(), " ", sock:receive(2), " ", sock:receive(100000))
        ngx.say(sock:setpeername("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
        ngx.say(sock:close(), sock:close())
        ngx.say(sock:send("x"))
        ngx.say(sock:receive())
    }
}
--- udp_listen: $TEST_NGINX_RAND_PORT_1
--- udp_reply eval: sub { "<$_[0]>" }
--- request
GET /t
--- response_body
1
111
<one> <t <3>
1
1nilclosed
nilclosed
nilclosed
--- error_log
lua udp socket receive buffer size: 65536
lua udp socket reconnect without shutting down
attempt to send data on a closed socket



=== TEST 2: a unix socket
--- config
location /t {
    content_by_lua_block {
        local sock = ngx.socket.udp()
        ngx.say(sock:setpeername("unix:$TEST_NGINX_SOCKET"))
        sock:send("hello")
        ngx.say(sock:receive())
    }
}
--- udp_listen: $TEST_NGINX_SOCKET
--- udp_reply eval: sub { uc $_[0] }
--- request
GET /t
--- response_body
1
HELLO



=== TEST 3: nobody there; nobody answers
--- config
location /t {
    content_by_lua_block {
        local sock = ngx.socket.udp()
        sock:settimeout(20)
        sock:setpeername("127.0.0.1", 1)
        sock:send("x")
        ngx.say(sock:receive())
        sock:setpeername("127.0.0.1", $TEST_NGINX_RAND_PORT_1)
        ngx.say(sock:receive())
        sock:send("x")
        sock:settimeout(5000)
        ngx.say(sock:receive())
        ngx.say(sock:setpeername("127.0.0.1", 65536))
        ngx.say(sock:setpeername("127.0.0.1"))
        ngx.say(sock:setpeername("unix:/no/such"))
        ngx.say(sock:bind("nowhere"))
    }
}
--- udp_listen: $TEST_NGINX_RAND_PORT_1
--- udp_reply: late
--- request
GET /t
--- response_body
nilconnection refused
niltimeout
late
nilbad port number: 65536
nilmissing the port number
nilno such file or directory
nilbad address
--- error_log eval
[qr/recv\(\) failed \(111: Connection refused\), upstream: 127\.0\.0\.1:1\(127\.0\.0\.1\)/,
 qr/lua udp socket read timed out, upstream: 127\.0\.0\.1:\d+\(127\.0\.0\.1\)/]



=== TEST 4: one reader, and many datagrams
--- config
location /t {
    content_by_lua_block {
        local sock = ngx.socket.udp()
        sock:setpeername("127.0.0.1", $TEST_NGINX_RAND_PORT_1)
        local reader = ngx.thread.spawn(function() return sock:receive() .. sock:receive() end)
        ngx.say(sock:receive())
        sock:send("x")
        ngx.say(select(2, ngx.thread.wait(reader)))
    }
}
--- udp_listen: $TEST_NGINX_RAND_PORT_1
--- udp_reply eval: ["a", "b"]
--- request
GET /t
--- response_body
nilsocket busy reading
ab
