use lib 't/lib';
use Bulan::Test;
use Bulan::Test::Tls;

my $tls = Bulan::Test::Tls->new;
my $ca  = $tls->authority->{cert};
my ($good, $client) = ($tls->certificate('good.test'), $tls->certificate('client'));

$ENV{TEST_NGINX_KEYS} = $tls->folder . '/keys';

add_block_preprocessor(sub {
    my $block = shift;
    $block->set_value(http_config => <<"CONFIG");
lua_package_path "\$TEST_NGINX_HTML_DIR/?.lua;;";
server {
    listen \$TEST_NGINX_RAND_PORT_1 ssl;
    server_name good.test;
    ssl_certificate $good->{cert};
    ssl_certificate_key $good->{key};
    ssl_client_certificate $ca;
    ssl_verify_client optional;
    ssl_session_cache shared:s:1m;
    location / { return 200 "\$ssl_protocol \$ssl_session_reused \$ssl_client_verify \$ssl_server_name \$connection_requests"; }
}
CONFIG
    my $config = $block->config;
    $config =~ s/%CA/$ca/g;
    $config =~ s/%CERT/$client->{cert}/g;
    $config =~ s/%KEY/$client->{key}/g;
    $block->set_value(config => $config);
    $block->set_value(user_files => <<'LUA');
>>> tls.lua
local tls = {}

function tls.connect(...)
    local sock = ngx.socket.tcp()
    assert(sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
    local session, err = sock:sslhandshake(...)
    return session and sock, err, session
end

function tls.ask(sock)
    sock:send("GET / HTTP/1.1\r\nHost: good.test\r\n\r\n")
    local length
    repeat
        local line = assert(sock:receive())
        length = line:match("^Content%-Length: (%d+)") or length
    until line == ""
    return (sock:receive(tonumber(length)))
end

return tls
LUA
});

run_tests();

__DATA__

=== TEST 1: handshakes, checked and not
--- config
lua_ssl_trusted_certificate %CA;
location /t {
    content_by_lua_block {
        local tls = require "tls"
        local sock, _, session = tls.connect(nil, "good.test", true)
        ngx.say(type(session), " ", tls.ask(sock))
        ngx.say(type(sock:sslhandshake()), " ", sock:sslhandshake(false))
        ngx.say(type(sock:getsslpointer()), " ", type(sock:getsslctx()), " ", type(sock:getsslsession()))
        ngx.say(tls.ask(tls.connect()))
        ngx.say(tls.connect(nil, "other.test", true))
        ngx.say(tls.connect(false, "other.test", false) and "unchecked")
    }
}
location /stranger {
    lua_ssl_trusted_certificate %CERT;
    content_by_lua_block {
        local ok, err = require("tls").connect(nil, "good.test", true)
        ngx.say(ok, " ", err)
    }
}
--- request eval
["GET /t", "GET /stranger"]
--- response_body_like eval
[qr/\Acdata TLSv1\.3 \. NONE good\.test 1
cdata true
cdata cdata cdata
TLSv1\.3 \. NONE  1
nilcertificate host mismatchnil
unchecked
\z/, qr/\Anil \d+: (?:unable to|self)/]
--- error_log eval
["lua ssl certificate does not match host \"other.test\"", "lua ssl certificate verify error: ("]



=== TEST 2: sessions are resumed
--- config
lua_ssl_protocols TLSv1.2;
location /t {
    content_by_lua_block {
        local tls = require "tls"
        local sock, _, session = tls.connect()
        ngx.say(tls.ask(sock))
        sock:close()
        for i = 1, 2 do
            sock = tls.connect(session)
            session = sock:getsslsession()
            ngx.say(tls.ask(sock))
            collectgarbage()
        end
    }
}
location /late {
    lua_ssl_protocols TLSv1.3;
    content_by_lua_block {
        local tls = require "tls"
        local sock = tls.connect(false)
        tls.ask(sock)
        ngx.say(tls.ask((tls.connect(sock:getsslsession()))))
    }
}
--- request eval
["GET /t", "GET /late"]
--- response_body eval
["TLSv1.2 . NONE  1\nTLSv1.2 r NONE  1\nTLSv1.2 r NONE  1\n", "TLSv1.3 r NONE  1\n"]



=== TEST 3: a certificate of our own
--- config
lua_ssl_certificate %CERT;
lua_ssl_certificate_key %KEY;
location /t {
    content_by_lua_block {
        local tls = require "tls"
        local sock = tls.connect()
        ngx.say(tls.ask(sock))
        ngx.say(sock:setclientcert("x", "y"))
        ngx.say(sock:setclientcert("x", nil))
        ngx.say(sock:setclientcert(nil, "x"))
        ngx.say(sock:setclientcert(nil, nil))
        ngx.say(sock:settrustedstore(nil))
    }
}
--- request
GET /t
--- response_body
TLSv1.3 . SUCCESS  1
nilbad cert arg: cdata expected, got string
nilclient certificate must be supplied with corresponding private key
nilclient certificate must be supplied with corresponding private key
true
nilssl handshake already done; trusted store cannot be changed on an established TLS connection



=== TEST 4: a handshake that comes to nothing
--- config
location /t {
    content_by_lua_block {
        local sock = ngx.socket.tcp()
        ngx.say(sock:sslhandshake())
        sock:connect("127.0.0.1", ngx.var.server_port)
        ngx.say(sock:sslhandshake())
        ngx.say(sock:send("x"))
        ngx.say(pcall(sock.sslhandshake))
        sock:settimeout(30)
        sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_2)
        ngx.say(sock:sslhandshake())
        ngx.say(sock:close())
    }
}
--- tcp_listen: $TEST_NGINX_RAND_PORT_2
--- tcp_query_len: 1
--- tcp_no_close
--- request
GET /t
--- response_body_like
\Anilclosed
nilhandshake failed
nilclosed
false.*ngx\.socket sslhandshake: expecting 1 ~ 5 arguments \(including the object\), but seen 0
niltimeout
nilclosed$
--- error_log
SSL_do_handshake() failed



=== TEST 5: kept connections stay encrypted, tickets that come late do no harm
--- config
location /t {
    content_by_lua_block {
        local tls = require "tls"
        local sock = tls.connect(false)
        ngx.say(tls.ask(sock))
        ngx.say(sock:setkeepalive())
        sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1)
        ngx.say(sock:getreusedtimes(), " ", sock:sslhandshake(false))
        ngx.say(tls.ask(sock))
        sock:close()
        sock = tls.connect(false)
        ngx.sleep(0.02)
        ngx.say(sock:setkeepalive())
    }
}
--- request
GET /t
--- response_body
TLSv1.3 . NONE  1
1
1 true
TLSv1.3 . NONE  2
1



=== TEST 6: a key log, ciphers, commands
--- config
location /t {
    lua_ssl_key_log $TEST_NGINX_KEYS;
    lua_ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256;
    lua_ssl_conf_command Options -SessionTicket;
    lua_ssl_conf_command Ciphersuites TLS_CHACHA20_POLY1305_SHA256;
    lua_ssl_protocols TLSv1.2 TLSv1.3;
    content_by_lua_block {
        local tls = require "tls"
        tls.ask((tls.connect(false)))
        ngx.say(io.open("$TEST_NGINX_KEYS"):read("*a"):match("CLIENT_HANDSHAKE_TRAFFIC_SECRET"))
    }
}
--- request
GET /t
--- response_body
CLIENT_HANDSHAKE_TRAFFIC_SECRET
--- error_log
SSL: TLSv1.3, cipher: "TLS_CHACHA20_POLY1305_SHA256



=== TEST 7: much, both ways, in records
--- config
location /t {
    content_by_lua_block {
        local tls = require "tls"
        local sock = tls.connect(false)
        local n = 3000
        local writer = ngx.thread.spawn(function()
            return sock:send(("GET / HTTP/1.1\r\nHost: good.test\r\nX: " .. ("x"):rep(500) .. "\r\n\r\n"):rep(n))
        end)
        local read, got = sock:receiveuntil("TLSv1.3 . NONE  "), 0
        repeat
            assert(read())
            got = got + 1
        until got == 1000
        ngx.say(got)
        ngx.thread.kill(writer)
    }
}
--- request
GET /t
--- timeout: 20
--- response_body
1000



=== TEST 8: what came in clear is not taken for what was said under encryption
--- config
location = /clear {
    content_by_lua_block {
        local sock = assert(ngx.req.socket(true))
        sock:send("Sinjected")
        sock:receive("*l")
    }
}
location /t {
    content_by_lua_block {
        local sock = ngx.socket.tcp()
        assert(sock:connect("127.0.0.1", ngx.var.server_port))
        sock:send("GET /clear HTTP/1.1\r\nHost: x\r\n\r\n")
        ngx.say(sock:receive(1))
        ngx.say(sock:sslhandshake(false))
        ngx.say(sock:receive(1))
    }
}
--- request
GET /t
--- response_body
S
nilunread data in buffer
nilclosed
