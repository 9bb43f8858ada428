# Compressed WebSocket messages (RFC 7692): what is agreed upon, messages both ways, what must be refused.
use lib 't/lib';
use Bulan::Test;

add_block_preprocessor(sub {
    my $block = shift;
    $block->set_value(http_config => <<'CONFIG');
init_by_lua_block {
    function echo(options)
        local wb, err = require("resty.websocket.server"):new {
            timeout = 5000, max_payload_len = 1000000, permessage_deflate = options,
        }
        if not wb then return ngx.exit(400) end
        while true do
            local data, typ, err = wb:recv_frame()
            if not data then return ngx.log(ngx.WARN, "server: ", err, ", fatal: ", wb.fatal) end
            if typ == "close" then return wb:send_close(1000) end
            if typ == "ping" then wb:send_pong(data)
            else wb:send_frame(err ~= "again", typ == "continuation" and 0 or 1, data) end
        end
    end
}
CONFIG
    $block->set_value(config => <<'CONFIG' . ($block->config || ''));
location /on { content_by_lua_block { echo(true) } }
location /off { content_by_lua_block { echo(nil) } }
location /takeover { content_by_lua_block { echo { context_takeover = true, window_bits = 12 } } }
CONFIG
});

run_tests();

__DATA__

=== TEST 1: conversations, whoever compresses
--- config
location /t {
    content_by_lua_block {
        local client = require "resty.websocket.client"
        local function talk(path, options)
            local wb = assert(client:new { timeout = 5000, max_payload_len = 1000000, permessage_deflate = options })
            local _, _, head = assert(wb:connect("ws://127.0.0.1:" .. ngx.var.server_port .. path))
            local good = true
            for _, text in ipairs { "", "short", ("long "):rep(20), ("very long "):rep(90000), ngx.md5("x"):rep(3), ("very long "):rep(9000) } do
                assert(wb:send_text(text))
                local whole = ""
                repeat
                    local data, typ, err = wb:recv_frame()
                    whole = whole .. data
                until err ~= "again"
                good = good and whole == text
            end
            assert(wb:send_frame(false, 2, ("piece one, "):rep(50)))
            assert(wb:send_ping("p"))
            assert(wb:send_frame(false, 0, ("piece two, "):rep(50)))
            assert(wb:send_frame(true, 0, "end"))
            local whole, pong = "", false
            repeat
                local data, typ, err = wb:recv_frame()
                if typ == "pong" then pong = data else whole = whole .. data end
            until typ ~= "pong" and err ~= "again"
            good = good and pong == "p" and whole == ("piece one, "):rep(50) .. ("piece two, "):rep(50) .. "end"
            ngx.say(path, " ", good, " ", head:match("Extensions: ([^\r]*)"))
            wb:close()
        end
        talk("/on", true)
        talk("/on", nil)
        talk("/off", true)
        talk("/takeover", true)
        talk("/takeover", { context_takeover = true, threshold = 0 })
        talk("/on", { context_takeover = true, level = 9 })
    }
}
--- request
GET /t
--- response_body
/on true permessage-deflate; server_no_context_takeover; client_no_context_takeover
/on true nil
/off true nil
/takeover true permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12
/takeover true permessage-deflate; server_max_window_bits=12
/on true permessage-deflate; server_no_context_takeover; client_no_context_takeover



=== TEST 3: a last fragment with nothing in it
--- config
location /fragments {
    content_by_lua_block {
        local wb = assert(require("resty.websocket.server"):new { permessage_deflate = { context_takeover = true, window_bits = 8 } })
        for i = 1, 3 do
            assert(wb:send_frame(false, 1, ("text "):rep(50)))
            assert(wb:send_frame(true, 0, ""))
        end
        wb:recv_frame()
    }
}
location /t {
    content_by_lua_block {
        local wb = require("resty.websocket.client"):new { permessage_deflate = { context_takeover = true } }
        assert(wb:connect("ws://127.0.0.1:" .. ngx.var.server_port .. "/fragments"))
        for i = 1, 3 do
            local data, typ, err = wb:recv_frame()
            local rest, more, fin = wb:recv_frame()
            ngx.say(data and #data, " ", typ, " ", err, " ", rest and #rest, " ", more, " ", fin)
        end
        wb:close()
    }
}
--- request
GET /t
--- response_body
250 text again 0 continuation nil
250 text again 0 continuation nil
250 text again 0 continuation nil



=== TEST 2: the RFC's own bytes (7.2.3.1, 7.2.3.2), and offers of every kind
--- perl
my $hello = sub {
    my ($path, $offer) = @_;
    my $client = $server->connect;
    $client->send("GET $path HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        . "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" . ($offer ? "Sec-WebSocket-Extensions: $offer\r\n" : '') . "\r\n");
    my $head = $client->take(qr/\r\n\r\n/, time + 5);
    return ($client, $head =~ /Extensions: (.*)\r/ ? $1 : '');
};
# A client's frame with the mask 0: the payload is as it is.
my $frame = sub { my ($first, $payload) = @_; return pack('CC', $first, 0x80 | length $payload) . "\0\0\0\0" . $payload };
my $usual = 'permessage-deflate; server_no_context_takeover; client_no_context_takeover';
my $packed = "\xf2\x48\xcd\xc9\xc9\x07\x00";
my ($client, $agreed) = $hello->('/on', 'permessage-deflate');
is $agreed, $usual, 'agreed';
$client->send($frame->(0xc1, $packed));
is $client->take(7, time + 5), "\x81\x05Hello", 'one frame; what is short goes as it is';
$client->send($frame->(0x41, substr $packed, 0, 3));
is $client->take(2, time + 5) & "\x7f\x00", "\x01\x00", 'a fragment';
$client->close;

($client, $agreed) = $hello->('/takeover', 'permessage-deflate');
$client->send($frame->(0xc1, $packed) . $frame->(0xc1, "\xf2\x00\x11\x00\x00"));
is $client->take(14, time + 5), "\x81\x05Hello" x 2, 'the second message leans on the first';
$client->close;

for my $case (
    [ 'x-none', '' ], [ 'permessage-deflate; what', '' ], [ 'permessage-deflate; server_max_window_bits=16', '' ],
    [ 'permessage-deflate; server_max_window_bits=8', '' ], [ 'permessage-deflate; server_max_window_bits', '' ],
    [ 'permessage-deflate; client_max_window_bits; client_max_window_bits', '' ],
    [ 'permessage-deflate; server_no_context_takeover; Server_No_Context_Takeover', '' ], [ 'permessage-deflate; server_no_context_takeover=1', '' ],
    [ 'permessage-deflate; what, permessage-deflate; server_max_window_bits="10"', "$usual; server_max_window_bits=10" ],
    [ 'x, permessage-deflate; client_max_window_bits=9', $usual ],
) {
    my (undef, $agreed) = $hello->('/on', $case->[0]);
    is $agreed, $case->[1], $case->[0];
}



=== TEST 3: what breaks the protocol, and what unpacks to too much
--- perl
my $hello = sub {
    my ($path, $offer) = @_;
    my $client = $server->connect;
    $client->send("GET $path HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        . "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: $offer\r\n\r\n");
    $client->take(qr/\r\n\r\n/, time + 5);
    return $client;
};
my $frame = sub {
    my ($first, $payload) = @_;
    my $length = length $payload;
    return pack('C', $first) . ($length < 126 ? pack 'C', 0x80 | $length : pack 'Cn', 0xfe, $length) . "\0\0\0\0" . $payload;
};
require Compress::Zlib;
my ($z) = Compress::Zlib::deflateInit(-WindowBits => -15);
my ($head) = $z->deflate('0' x 20_000_000);
my ($tail) = $z->flush(Compress::Zlib::Z_SYNC_FLUSH());
my $bomb = substr $head . $tail, 0, -4;
ok length $bomb < 60_000, 'a bomb';
for my $case (
    [ '/on', $frame->(0xc1, $bomb), 'exceeding max payload len' ],
    [ '/on', $frame->(0xc1, "\xff\xff\xff\xff"), 'bad compressed message' ],
    [ '/on', $frame->(0xc9, ''), 'bad RSV1, RSV2, or RSV3 bits set' ],
    [ '/on', $frame->(0xa1, ''), 'bad RSV1, RSV2, or RSV3 bits set' ],
    [ '/on', $frame->(0x41, '') . $frame->(0xc0, ''), 'bad RSV1, RSV2, or RSV3 bits set' ],
    [ '/off', $frame->(0xc1, "\xf2\x48\xcd\xc9\xc9\x07\x00"), 'bad RSV1, RSV2, or RSV3 bits set' ],
) {
    my $client = $hello->($case->[0], 'permessage-deflate');
    $server->mark;
    $client->send($case->[1]);
    like $server->wait_log(qr/server: .*fatal: true/), qr/server: $case->[2], fatal: true/, $case->[2];
}



=== TEST 4: servers that agree to what was not offered
--- config
location /lie {
    content_by_lua_block {
        ngx.status = 101
        ngx.header["Upgrade"] = "websocket"
        ngx.header["Connection"] = "upgrade"
        ngx.header["Sec-WebSocket-Accept"] = ngx.encode_base64(ngx.sha1_bin(ngx.var.http_sec_websocket_key .. "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
        ngx.header["Sec-WebSocket-Extensions"] = ngx.unescape_uri(ngx.var.args)
        ngx.send_headers()
        ngx.flush(true)
    }
}
location /t {
    content_by_lua_block {
        local client = require "resty.websocket.client"
        local function try(options, lie)
            local wb = assert(client:new { timeout = 5000, permessage_deflate = options })
            local ok, err = wb:connect("ws://127.0.0.1:" .. ngx.var.server_port .. "/lie?" .. ngx.escape_uri(lie))
            ngx.say(ok, " ", err, " ", ok and wb:set_keepalive() or "")
            if ok then wb:close() end
        end
        try(nil, "permessage-deflate")
        try(true, "x-other")
        try(true, "permessage-deflate")
        try(true, "permessage-deflate; server_no_context_takeover; client_max_window_bits=8")
        try(true, "permessage-deflate; server_no_context_takeover; server_no_context_takeover")
        try(true, "permessage-deflate; server_no_context_takeover; x")
        try(true, "permessage-deflate; server_no_context_takeover")
        try({ context_takeover = true }, "permessage-deflate; client_max_window_bits=10")
    }
}
--- request
GET /t
--- response_body
nil bad "sec-websocket-extensions" response header 
nil bad "sec-websocket-extensions" response header 
nil bad "sec-websocket-extensions" response header 
nil bad "sec-websocket-extensions" response header 
nil bad "sec-websocket-extensions" response header 
nil bad "sec-websocket-extensions" response header 
1 nil 
1 nil 



=== TEST 5: who agreed to remember does, behind conversations that did not
--- config
location /t {
    content_by_lua_block {
        local client = require "resty.websocket.client"
        local noise = require("resty.random").bytes(2000)
        local function talk(path, options)
            local wb = assert(client:new { timeout = 5000, permessage_deflate = options })
            assert(wb:connect("ws://127.0.0.1:" .. ngx.var.server_port .. path))
            for i = 1, 3 do
                local bytes = assert(wb:send_binary(noise))
                ngx.say(path, " ", bytes < 200, " ", (wb:recv_frame()) == noise)
            end
            wb:close()
        end
        talk("/on", true)
        talk("/takeover", { context_takeover = true })
    }
}
--- request
GET /t
--- response_body
/on false true
/on false true
/on false true
/takeover false true
/takeover true true
/takeover true true
