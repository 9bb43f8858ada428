use lib 't/lib';
use Bulan::Test;
use Bulan::Test::Tls;

my $tls  = Bulan::Test::Tls->new;
my $ca   = $tls->authority->{cert};
my $good = $tls->certificate('good.test');

# /echo sends back what it gets; the certificate of the other server is good.test's.
my $echo = <<'CONFIG';
location /echo {
    content_by_lua_block {
        local wb, err = require("resty.websocket.server"):new { timeout = 5000, max_payload_len = 3000000 }
        if not wb then
            ngx.status = 400
            return ngx.say(err)
        end
        local whole = ""
        while true do
            local data, typ, err = wb:recv_frame()
            if not data then
                ngx.log(ngx.WARN, "server: ", err, ", fatal: ", wb.fatal)
                return
            elseif typ == "close" then
                ngx.log(ngx.WARN, "closed by the client: ", err, " ", data)
                return wb:send_close(err or 1000, data)
            elseif typ == "ping" then
                wb:send_pong(data)
            elseif typ ~= "pong" then
                whole = whole .. data
                if err ~= "again" then
                    wb:send_text(whole)
                    whole = ""
                end
            end
        end
    }
}
CONFIG

add_block_preprocessor(sub {
    my $block = shift;
    $block->set_value(http_config => <<"CONFIG");
lua_ssl_trusted_certificate $ca;
server {
    listen \$TEST_NGINX_RAND_PORT_1 ssl;
    ssl_certificate $good->{cert};
    ssl_certificate_key $good->{key};
    $echo
}
CONFIG
    $block->set_value(config => $echo . ($block->config || ''));
});

run_tests();

__DATA__

=== TEST 1: a conversation of both ends; payloads of every length form
--- config
location /t {
    content_by_lua_block {
        local client = require "resty.websocket.client"
        local wb = assert(client:new { timeout = 5000, max_payload_len = 3000000 })
        local ok, err, head = wb:connect("ws://127.0.0.1:" .. ngx.var.server_port .. "/echo")
        ngx.say(ok, " ", err, " ", head:match("^[^\r]*"))
        ngx.say(wb:send_text("hello"))
        ngx.say(wb:recv_frame())
        ngx.say(wb:send_ping("are you there"))
        ngx.say(wb:recv_frame())
        for _, n in ipairs { 0, 1, 7, 8, 9, 125, 126, 127, 65535, 65536, 65537, 2000003 } do
            local text = {}
            for i = 1, math.ceil(n / 7) do text[i] = string.format("%07d", i) end
            text = table.concat(text):sub(1, n)
            assert(wb:send_binary(text))
            local data, typ = wb:recv_frame()
            ngx.say(n, " ", data == text, " ", typ)
        end
        assert(wb:send_frame(false, 0x1, "one, "))
        assert(wb:send_ping("between"))
        assert(wb:send_frame(false, 0x0, "two, "))
        assert(wb:send_frame(true, 0x0, "three"))
        ngx.say(wb:recv_frame())
        ngx.say(wb:recv_frame())
        ngx.say(wb:send_close(4321, "enough"))
        ngx.say(wb:send_close(1000), " ", (select(2, wb:send_text("too late"))))
        ngx.say(wb:recv_frame())
        ngx.say(wb:close(), " ", wb:close())
        ngx.say(wb:recv_frame())
        ngx.say(wb:send_text("x"))
    }
}
--- request
GET /t
--- response_body
1 nil HTTP/1.1 101 Switching Protocols
11
hellotextnil
19
are you therepongnil
0 true text
1 true text
7 true text
8 true text
9 true text
125 true text
126 true text
127 true text
65535 true text
65536 true text
65537 true text
2000003 true text
betweenpongnil
one, two, threetextnil
14
nil already closed
enoughclose4321
1 nilalready closed
nilnilalready closed
nilalready closed
--- error_log
closed by the client: 4321 enough



=== TEST 2: the bytes of the handshake and of frames (RFC 6455, 1.3 and 5.7)
--- perl
my $client = Bulan::Test::Client->connect($server->port);
my $ask = "GET /echo HTTP/1.1\r\nHost: x\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n"
    . "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: chat, superchat\r\n"
    . "Sec-WebSocket-Version: 13\r\n\r\n";
$client->send($ask . "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
my $head = $client->take(qr/\r\n\r\n/, time + 5);
like $head, qr/^HTTP\/1\.1 101 /, 'agreed';
like $head, qr/\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r\n/, 'the key is answered';
like $head, qr/\r\nUpgrade: websocket\r\n/, 'the protocol is named';
like $head, qr/\r\nConnection: upgrade\r\n/i, 'and the connection';
like $head, qr/\r\nSec-WebSocket-Protocol: chat\r\n/, 'and the subprotocol';
unlike $head, qr/Content-Type|Transfer-Encoding|Content-Length/i, 'nothing about a body';
is $client->take(qr/Hello/, time + 5), "\x81\x05Hello", 'the frame of the RFC, back without mask';
$client->send("\x88\x80\x01\x02\x03\x04");
is $client->take(qr/\x88.../s, time + 5), "\x88\x02\x03\xe8", 'close';
$client->close;

for my $case (
    ["\x81\x05Hello", qr/server: frame unmasked, fatal: true/],
    ["\xc1\x80\0\0\0\0", qr/server: bad RSV1, RSV2, or RSV3 bits set/],
    ["\x83\x80\0\0\0\0", qr/server: reserved non-control frames/],
    ["\x8b\x80\0\0\0\0", qr/server: reserved control frames/],
    ["\x09\x80\0\0\0\0", qr/server: fragmented control frame/],
    ["\x89\xfe\0\x7e\0\0\0\0", qr/server: too long payload for control frame/],
    ["\x88\x81\0\0\0\0x", qr/server: close frame with a body must carry a 2-byte status code/],
    ["\x82\xff\0\0\0\0\0\x7f\0\0\0\0\0\0", qr/server: exceeding max payload len/],
    ["\x82\xff\xff\0\0\0\0\x7f\0\0\0\0\0\0", qr/server: payload len too large/],
    ["\x80\x80\0\0\0\0", qr/server: continuation frame without a beginning/],
    ["\x01\x80\0\0\0\0\x81\x80\0\0\0\0", qr/server: continuation frame expected/],
) {
    my ($frame, $log) = @$case;
    my $bad = Bulan::Test::Client->connect($server->port);
    $bad->send($ask . $frame);
    ok $server->wait_log($log), "refused: $log";
    $bad->close;
}



=== TEST 3: handshakes that are refused
--- config
location /sent {
    content_by_lua_block {
        ngx.send_headers()
        ngx.say(require("resty.websocket.server"):new())
    }
}
--- perl
my $good = "GET /echo HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    . "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
for my $case (
    [sub { s/Upgrade: websocket\r\n// },           'missing "upgrade" request header'],
    [sub { s/websocket/h2c/ },                     'bad "upgrade" request header: h2c'],
    [sub { s/Connection: \S+/Connection: close/ }, 'bad "connection" request header'],
    [sub { s/Sec-WebSocket-Key: .*\r\n// },        'missing "sec-websocket-key" request header'],
    [sub { s/dGhl/x/ },                            'bad "sec-websocket-key" request header'],
    [sub { s/: 13/: 8/ },                          'bad "sec-websocket-version" request header value: 8'],
    [sub { s/HTTP\/1\.1/HTTP\/1.0/ },              'bad http version'],
    [sub { s/echo/sent/ },                         'nilresponse header already sent'],
) {
    my ($change, $message) = @$case;
    local $_ = $good;
    $change->();
    my $client = Bulan::Test::Client->connect($server->port);
    $client->send($_);
    is $client->response->{body}, "$message\n", $message;
    $client->close;
}



=== TEST 4: timeouts: before a frame harmless, within one fatal
--- config
location /t {
    content_by_lua_block {
        local client = require "resty.websocket.client"
        local wb = client:new()
        assert(wb:connect("ws://127.0.0.1:" .. ngx.var.server_port .. "/slow"))
        wb:set_timeout(30)
        local data, typ, err = wb:recv_frame()
        ngx.say(data, " ", typ, " ", err, " ", wb.fatal)
        wb:send_text("go")
        wb:set_timeout(5000)
        ngx.say(wb:recv_frame())
        wb:set_timeout(30)
        data, typ, err = wb:recv_frame()
        ngx.say(data, " ", typ, " ", err, " ", wb.fatal)
        ngx.say(wb:recv_frame())
        ngx.say(wb:send_text("x"))
        ngx.say(wb:set_keepalive())
        ngx.say(wb:close())
    }
}
location /slow {
    content_by_lua_block {
        local wb = assert(require("resty.websocket.server"):new { timeout = 5000 })
        wb:recv_frame()
        wb.sock:send("\129\2hi\129\5hal")
        wb:recv_frame()
    }
}
--- request
GET /t
--- response_body
nil nil failed to receive the first 2 bytes: timeout false
hitextnil
nil nil failed to receive the payload: timeout true
nilnilfatal error already happened
nilfatal error already happened
nilfatal error already happened
1
--- error_log
lua tcp socket read timed out



=== TEST 5: what is too long or makes no sense is not sent
--- config
location /t {
    content_by_lua_block {
        local client = require "resty.websocket.client"
        local uri = "ws://127.0.0.1:" .. ngx.var.server_port .. "/echo"
        local wb = client:new { max_payload_len = 200, max_recv_len = 3 }
        assert(wb:connect(uri))
        ngx.say(wb:send_text(("x"):rep(201)))
        ngx.say(wb:send_ping(("x"):rep(126)))
        ngx.say(wb:send_frame(false, 0x9, ""))
        ngx.say(wb:send_close(99, ""))
        ngx.say(wb.fatal)
        wb:send_text("abcd")
        ngx.say(wb:recv_frame())
        wb = client:new { send_unmasked = true }
        assert(wb:connect(uri))
        wb:send_text("naked")
        ngx.say(wb:recv_frame())
        local protocol = require "resty.websocket.protocol"
        ngx.say(protocol.build_frame(true, 1, 5, "Hello", false) == "\129\5Hello")
        ngx.say(#protocol.build_frame(true, 1, 5, "Hello", true))
    }
}
--- request
GET /t
--- response_body
nilpayload too big
niltoo much payload for control frame
nilfragmented control frame
nilbad status code
false
nilnilexceeding max payload len
nilnilfailed to receive the first 2 bytes: closed
true
11
--- error_log
server: frame unmasked



=== TEST 6: the pool
--- config
location /t {
    content_by_lua_block {
        local client = require "resty.websocket.client"
        local uri = "ws://127.0.0.1:" .. ngx.var.server_port .. "/echo"
        local wb = client:new()
        assert(wb:connect(uri))
        ngx.say(wb:set_keepalive(5000, 5), " ", (select(2, wb:send_text("x"))))
        local ok, err, head = wb:connect(uri)
        ngx.say(ok, " ", err, " ", head, " ", wb.sock:getreusedtimes())
        wb:send_text("still there")
        ngx.say(wb:recv_frame())
        wb:set_keepalive(5000, 5)
        ok, err, head = wb:connect(uri, { protocols = { "a", "b" } })
        ngx.say(wb.sock:getreusedtimes(), " ", head:match("Sec%-WebSocket%-Protocol: %w+"))
        wb:send_close()
        ngx.say(wb:set_keepalive())
    }
}
--- request
GET /t
--- response_body
1 already closed
1 nil nil 1
still theretextnil
0 Sec-WebSocket-Protocol: a
nilconnection must be closed



=== TEST 7: TLS, and servers that are none
--- config
location /t {
    content_by_lua_block {
        local client = require "resty.websocket.client"
        local wb = client:new()
        local port = $TEST_NGINX_RAND_PORT_1
        assert(wb:connect("wss://127.0.0.1:" .. port .. "/echo", { server_name = "good.test", ssl_verify = true }))
        wb:send_text("secret")
        ngx.say(wb:recv_frame())
        wb:close()
        ngx.say(wb:connect("wss://127.0.0.1:" .. port .. "/echo", { server_name = "bad.test", ssl_verify = true }))
        ngx.say(wb:connect("ws://127.0.0.1:" .. ngx.var.server_port .. "/none"))
        ngx.say(wb:connect("ws://127.0.0.1:" .. ngx.var.server_port .. "/wrong"))
        ngx.say(wb:connect("ws://127.0.0.1:1/"))
        ngx.say(wb:connect("http://127.0.0.1/"))
        ngx.say(wb:connect("ws://127.0.0.1:" .. ngx.var.server_port .. "/echo", { headers = { "A: b\r\nC: d" } }))
    }
}
location /none { return 204; }
location /wrong {
    content_by_lua_block {
        ngx.status = 101
        ngx.header["Upgrade"] = "websocket"
        ngx.header["Sec-WebSocket-Accept"] = "x"
        ngx.send_headers()
    }
}
--- request
GET /t
--- response_body
secrettextnil
nilssl handshake failed: certificate host mismatch
nilbad HTTP response status line: HTTP/1.1 204 No Content
nilbad "sec-websocket-accept" response header
nilfailed to connect: connection refused
nilbad websocket uri
nilbad request header
--- error_log
lua ssl certificate does not match host "bad.test"
