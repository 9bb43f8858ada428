use lib 't/lib';
use Bulan::Test;

run_tests();

__DATA__

=== TEST 1: a body as a stream, with a length and in chunks
--- config
location /t {
    content_by_lua_block {
        local sock = ngx.req.socket()
        ngx.say(sock:receive(), "|", sock:receiveuntil("--")(), "|", sock:receiveany(2))
        ngx.say(sock:receive(100))
        ngx.say(sock:receive())
        ngx.say(sock.send, sock.close, sock.setkeepalive, sock.sslhandshake)
    }
}
--- raw_request eval
["POST /t HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\nfirst\r\nsecond--tail!" .
 "POST /t HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n" .
 "3\r\nfir\r\n5\r\nst\r\ns\r\n", "9\r\necond--ta\r\n2\r\nil\r\n0\r\n\r\n"]
--- raw_response_like eval
qr/first\|second\|ta\nnilclosedil!\nnilclosed\nnilnilnilnil\n.*first\|second\|ta\nnilclosedil\nnilclosed\n/s



=== TEST 2: why there is none
--- config
location /t {
    content_by_lua_block {
        ngx.say(ngx.req.socket())
        ngx.say(pcall(ngx.req.socket, true, 1))
    }
}
location /read {
    content_by_lua_block {
        ngx.req.read_body()
        ngx.say(ngx.req.socket())
    }
}
location /twice {
    content_by_lua_block {
        local first = ngx.req.socket()
        ngx.say(ngx.req.socket())
        ngx.say(ngx.req.socket(true))
    }
}
location /sub {
    content_by_lua_block {
        ngx.print(ngx.location.capture("/inner", { method = ngx.HTTP_POST, body = "x" }).body)
    }
}
location /inner {
    content_by_lua_block { ngx.say((select(2, pcall(ngx.req.socket)))) }
}
--- request eval
["GET /t", "POST /read\nbody", "POST /twice\nbody", "POST /sub\nbody"]
--- response_body eval
["nilno body\nfalseexpecting zero arguments, but got 2\n", "nilrequest body already exists\n",
 "nilduplicate call\nnilduplicate call\n",
 "attempt to read the request body in a subrequest\n"]



=== TEST 3: a body that does not come: what came so far
--- config
location /t {
    content_by_lua_block {
        local sock = ngx.req.socket()
        sock:settimeout(20)
        local data, err, partial = sock:receive(10)
        ngx.say(data, " ", err, " ", partial)
        ngx.exit(200)
    }
}
--- raw_request eval
"POST /t HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 10\r\n\r\nhalf"
--- raw_response_like eval
qr/nil timeout half/
--- error_log
lua tcp socket read timed out, client:



=== TEST 4: a body that waits for 100 Continue
--- config
location /t {
    content_by_lua_block { ngx.say(ngx.req.socket():receive(4)) }
}
--- perl
my $client = Bulan::Test::Client->connect($server->port);
$client->send("POST /t HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n");
is $client->take(qr/\r\n\r\n/, time + 5), "HTTP/1.1 100 Continue\r\n\r\n", 'it is asked for';
$client->send("body");
is $client->response->{body}, "body\n", 'and comes';



=== TEST 5: the connection itself, behind a 101
--- config
location /t {
    content_by_lua_block {
        ngx.status = 101
        ngx.header.Upgrade = "shout"
        ngx.send_headers()
        ngx.flush(true)
        local sock = ngx.req.socket(true)
        while true do
            local line = sock:receive()
            if not line then break end
            sock:send { line:upper(), "!\n" }
        end
        ngx.log(ngx.WARN, "over")
    }
}
--- perl
my $client = Bulan::Test::Client->connect($server->port);
$client->send("GET /t HTTP/1.1\r\nHost: x\r\nUpgrade: shout\r\n\r\none\nt");
like $client->take(qr/ONE!\n/, time + 5), qr/\AHTTP\/1\.1 101 .*\r\nUpgrade: shout\r\n\r\nONE!\n\z/s, 'the head';
$client->send("wo\nthree\n");
is $client->take(qr/THREE!\n/, time + 5), "TWO!\nTHREE!\n", 'what comes later';
$client->close;
--- error_log
over



=== TEST 6: an answer of one's own; what is forbidden with it
--- config
location /t {
    content_by_lua_block {
        local sock = ngx.req.socket(true)
        local results = {}
        for _, f in ipairs { ngx.say, ngx.print, ngx.flush, ngx.eof, ngx.send_headers } do
            results[#results + 1] = (select(2, f("x")))
        end
        results[#results + 1] = (select(2, ngx.req.socket(true)))
        local text = sock:receive(4) .. "\n" .. table.concat(results, "\n") .. "\n"
        sock:send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: " .. #text .. "\r\n\r\n" .. text)
    }
}
--- request
POST /t
body
--- response_body
body
raw request socket acquired
raw request socket acquired
raw request socket acquired
raw request socket acquired
raw request socket acquired
duplicate call



=== TEST 7: not with output on its way, or held back
--- config
location /t {
    content_by_lua_block {
        ngx.print("x")
        ngx.say(ngx.req.socket(true))
    }
}
location /head {
    content_by_lua_block {
        ngx.send_headers()
        ngx.say(ngx.req.socket(true))
    }
}
--- request eval
["GET /t", "GET /head", "GET /t HTTP/1.0"]
--- response_body eval
["xnilpending data to write\n", "nilpending data to write\n", "xnilhttp 1.0 buffering\n"]



=== TEST 8: the client goes away: the reader is told, then ngx.on_abort's function
--- config
location /t {
    lua_check_client_abort on;
    content_by_lua_block {
        ngx.on_abort(function() ngx.log(ngx.WARN, "aborted") end)
        local sock = ngx.req.socket(true)
        sock:send("HTTP/1.1 200 OK\r\n\r\n")
        ngx.log(ngx.WARN, "reader: ", (select(2, sock:receive())))
    }
}
--- raw_request eval
"GET /t HTTP/1.1\r\nHost: x\r\n\r\n"
--- timeout: 100ms
--- abort
--- ignore_response
--- error_log
reader: client aborted
aborted



=== TEST 9: a client that goes away in the middle of its body
--- config
location /t {
    content_by_lua_block {
        local sock = ngx.req.socket()
        local data, err, partial = sock:receive("*a")
        ngx.log(ngx.WARN, "received ", data, ", ", err, ": ", partial)
    }
}
--- perl
my $client = $server->connect;
$client->send("POST /t HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhello");
$client->close;
ok $server->wait_log(qr/received nil, client aborted: hello/), 'its reader knows';
