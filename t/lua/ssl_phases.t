# Lua code in handshakes of clients: hello, certificate, sessions.
use lib 't/lib';
use Bulan::Test;
use Bulan::Test::Tls;

my $tls = Bulan::Test::Tls->new;
my %cert = map { $_ => $tls->certificate("$_.test") } qw(a b);
$ENV{TEST_NGINX_CA}   = $tls->authority->{cert};
$ENV{TEST_NGINX_A}    = "ssl_certificate $cert{a}{cert}; ssl_certificate_key $cert{a}{key};";
$ENV{TEST_NGINX_B}    = "ssl_certificate $cert{b}{cert}; ssl_certificate_key $cert{b}{key};";
$ENV{TEST_NGINX_ACRT} = $cert{a}{cert};
$ENV{TEST_NGINX_AKEY} = $cert{a}{key};
$ENV{TEST_NGINX_BCRT} = $cert{b}{cert};
$ENV{TEST_NGINX_BKEY} = $cert{b}{key};

add_block_preprocessor(sub {
    my $block = shift;
    $block->set_value(http_config => "lua_ssl_trusted_certificate \$TEST_NGINX_CA;\n"
        . "lua_package_path '\$TEST_NGINX_HTML_DIR/?.lua;;';\n" . $block->http_config);
    $block->set_value(user_files => <<'LUA') if !defined $block->user_files;
>>> client.lua
local client = {}

-- One connection: the handshake's results, then the body of a response.
function client.get(name, session, path)
    local sock = ngx.socket.tcp()
    sock:settimeout(5000)
    assert(sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
    local new, err = sock:sslhandshake(session, name, true)
    if not new then
        return nil, err
    end
    sock:send("GET " .. (path or "/") .. " HTTP/1.0\r\nHost: " .. (name or "a.test") .. "\r\n\r\n")
    local response = assert(sock:receive("*a"))
    return response:match("\r\n\r\n(.*)"), new
end

function client.pem(file)
    return assert(io.open(file)):read("*a")
end

return client
LUA
});

run_tests();

__DATA__

=== TEST 1: certificates that the code brings, after waiting
--- http_config
server {
    listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1 ssl;
    server_name a.test;
    $TEST_NGINX_A
    ssl_certificate_by_lua_block {
        local ssl = require "ngx.ssl"
        local pem = require("client").pem
        local name = ssl.server_name()
        ngx.sleep(0.01)
        if name == "b.test" then
            assert(ssl.clear_certs())
            assert(ssl.set_der_cert(assert(ssl.cert_pem_to_der(pem("$TEST_NGINX_BCRT")))))
            assert(ssl.set_der_priv_key(assert(ssl.priv_key_pem_to_der(pem("$TEST_NGINX_BKEY")))))
        elseif name == "parsed" then
            assert(ssl.clear_certs())
            assert(ssl.set_cert(assert(ssl.parse_pem_cert(pem("$TEST_NGINX_BCRT")))))
            assert(ssl.set_priv_key(assert(ssl.parse_pem_priv_key(pem("$TEST_NGINX_BKEY")))))
        elseif name == "none" then
            ssl.clear_certs()
        elseif name == "exit" then
            ngx.exit(ngx.ERROR)
        elseif name == "late" then
            ngx.sleep(0)
            error("in vain")
        end
    }
    location / { return 200 "$ssl_server_name $ssl_protocol"; }
}
--- config
location /t {
    content_by_lua_block {
        local get = require("client").get
        ngx.say((get("a.test")))
        ngx.say((get("b.test")))
        ngx.say(select(2, get("parsed")))
        for _, name in ipairs { "none", "exit", "late" } do
            ngx.say(name, ": ", select(2, get(name)))
        end
        ngx.say((get()))
    }
}
--- request
GET /t
--- response_body
a.test TLSv1.3
b.test TLSv1.3
certificate host mismatch
none: handshake failed
exit: handshake failed
late: handshake failed
 TLSv1.3
--- error_log eval
[qr/lua entry thread aborted: runtime error: ssl_certificate_by_lua\(nginx\.conf:\d+\):\d+: in vain/,
 qr/context: ssl_certificate_by_lua\*, client: 127\.0\.0\.1, server: 127\.0\.0\.1:\d+/]



=== TEST 2: sockets, threads, timers; what needs a request is refused
--- http_config
server {
    listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1 ssl;
    $TEST_NGINX_A
    ssl_client_hello_by_lua_block {
        local sock = ngx.socket.tcp()
        assert(sock:connect("127.0.0.1", $TEST_NGINX_SERVER_PORT))
        assert(sock:send("GET /word HTTP/1.0\r\n\r\n"))
        ngx.ctx.word = assert(sock:receive("*a")):match("\r\n\r\n(.*)")
        ngx.ctx.phases = { ngx.get_phase() }
    }
    ssl_certificate_by_lua_block {
        local ctx = ngx.ctx
        table.insert(ctx.phases, ngx.get_phase())
        local thread = ngx.thread.spawn(function() ngx.sleep(0.001) return "thread" end)
        ctx.thread = select(2, ngx.thread.wait(thread))
        assert(ngx.timer.at(0, function() ngx.log(ngx.WARN, "from a timer") end))
        ctx.errors = {}
        for name, call in pairs {
            var = function() return ngx.var.host end,
            say = function() ngx.say("x") end,
            headers = function() ngx.req.get_headers() end,
            capture = function() ngx.location.capture("/") end,
        } do
            table.insert(ctx.errors, name .. ": " .. select(2, pcall(call)):match("API.*"))
        end
        table.sort(ctx.errors)
    }
    location / {
        content_by_lua_block {
            local ctx = ngx.ctx
            ngx.say(ctx.word, " ", table.concat(ctx.phases, " "), " ", ctx.thread)
            ngx.say(table.concat(ctx.errors, "\n"))
            ctx.word = "mine"
        }
    }
}
--- config
location /word { return 200 "word"; }
location /t {
    content_by_lua_block { ngx.print((require("client").get("a.test"))) }
}
--- request
GET /t
--- response_body
word ssl_client_hello ssl_cert thread
capture: API disabled in the context of ssl_certificate_by_lua*
headers: API disabled in the current context
say: API disabled in the context of ssl_certificate_by_lua*
var: API disabled in the current context
--- error_log
from a timer



=== TEST 3: the client hello
--- http_config
server {
    listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1 ssl;
    server_name a.test;
    $TEST_NGINX_A
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_client_hello_by_lua_block {
        local hello = require "ngx.ssl.clienthello"
        local ctx = ngx.ctx
        ngx.sleep(0.001)
        ctx.name = hello.get_client_hello_server_name()
        ctx.versions = table.concat(hello.get_supported_versions(), ",")
        ctx.raw = hello.get_client_hello_ext(0)
        ctx.missing = hello.get_client_hello_ext(4711)
        local kinds = {}
        for _, kind in ipairs(hello.get_client_hello_ext_present()) do
            kinds[kind] = true
        end
        ctx.kinds = tostring(kinds[0]) .. tostring(kinds[43]) .. tostring(kinds[4711])
        for _, id in ipairs(hello.get_client_hello_ciphers()) do
            ctx.cipher = ctx.cipher or id == 0x1301
        end
        ctx.bad = select(2, hello.set_protocols { "TLSv9" })
        if ctx.name == "b.test" then
            assert(hello.set_protocols { "TLSv1.2" })
        elseif ctx.name == "none.test" then
            assert(hello.set_protocols { "TLSv1.1" })
        end
    }
    ssl_certificate_by_lua_block {
        ngx.ctx.outside = select(2, pcall(require("ngx.ssl.clienthello").get_client_hello_server_name))
    }
    location / {
        content_by_lua_block {
            local ctx = ngx.ctx
            ngx.say(ctx.name, " ", ctx.versions, " ", #ctx.raw, " ", ctx.missing, " ", ctx.kinds, " ",
                    ctx.cipher, " ", ctx.bad)
            ngx.say(ctx.outside)
            ngx.say(ngx.var.ssl_protocol, " ", ngx.var.server_name)
        }
    }
}
server {
    listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1 ssl;
    server_name b.test;
    $TEST_NGINX_B
    ssl_client_hello_by_lua_block { ngx.log(ngx.ERR, "not the default server's") }
    location / { return 200 "$ssl_protocol $server_name\n"; }
}
--- config
location /t {
    content_by_lua_block {
        local get = require("client").get
        ngx.print((get("a.test")))
        ngx.print((get("b.test")))
        ngx.say(select(2, get("none.test")))
    }
}
--- request
GET /t
--- response_body
a.test TLSv1.3,TLSv1.2,TLSv1.1,TLSv1 11 nil truetruenil true invalid protocols failed
API disabled in the current context
TLSv1.3 a.test
TLSv1.2 b.test
handshake failed
--- no_error_log
not the default server's



=== TEST 4: a server without code of its own does not pass by the default one's
--- http_config
server {
    listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1 ssl;
    server_name a.test;
    $TEST_NGINX_A
    ssl_certificate_by_lua_block { ngx.ctx.seen = true }
    location / { return 200 "a\n"; }
}
server {
    listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1 ssl;
    server_name c.test;
    location / { return 200 "c\n"; }
}
server {
    listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1 ssl;
    server_name b.test;
    $TEST_NGINX_B
    location / { return 200 "b\n"; }
}
--- config
location /t {
    content_by_lua_block {
        local get = require("client").get
        ngx.print((get("a.test")), (get("b.test")), (select(2, get("c.test"))))
    }
}
--- request
GET /t
--- response_body chomp
a
b
handshake failed
--- error_log
no ssl_certificate_by_lua* defined in server c.test
--- allow
no ssl_certificate_by_lua* defined in server c.test



=== TEST 5: sessions are stored and fetched, both may wait
--- http_config
lua_shared_dict sessions 1m;
lua_ssl_protocols TLSv1.2;
ssl_session_store_by_lua_block {
    local session = require "ngx.ssl.session"
    local id, data = session.get_session_id(), session.get_serialized_session()
    assert(#id == 64 and not id:find("%X"))
    ngx.sleep(0.01)
    assert(session.get_session_id() == id and session.get_serialized_session() == data)
    ngx.shared.sessions:set(id, data)
    ngx.log(ngx.WARN, "stored")
}
ssl_session_fetch_by_lua_block {
    local session = require "ngx.ssl.session"
    local id = session.get_session_id()
    ngx.sleep(0.01)
    ngx.ctx.bad = select(2, session.set_serialized_session("nonsense"))
    ngx.ctx.wrong = select(2, session.get_serialized_session())
    local data = ngx.shared.sessions:get(id)
    if data then
        assert(session.set_serialized_session(data))
    end
}
server {
    listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1 ssl;
    $TEST_NGINX_A
    ssl_session_tickets off;
    ssl_certificate_by_lua_block { ngx.ctx.whole = true }
    location / {
        content_by_lua_block {
            ngx.say(ngx.var.ssl_session_reused, " ", ngx.ctx.bad, " ", ngx.ctx.wrong, " ", ngx.ctx.whole)
        }
    }
}
--- config
location /t {
    content_by_lua_block {
        local get = require("client").get
        local body, session = get("a.test")
        ngx.print(body)
        repeat ngx.sleep(0.001) until #ngx.shared.sessions:get_keys() == 1
        ngx.print((get("a.test", session)))
        ngx.shared.sessions:flush_all()
        ngx.print((get("a.test", session)))
    }
}
--- request
GET /t
--- response_body
. nil nil true
r failed to de-serialize session bad session in lua context nil
. failed to de-serialize session bad session in lua context true
--- error_log
stored



=== TEST 6: a fetch that fails is a session that is not there
--- http_config
lua_ssl_protocols TLSv1.2;
ssl_session_fetch_by_lua_block { ngx.sleep(0) error("in vain") }
ssl_session_store_by_lua_block { error("in vain, too") }
server {
    listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1 ssl;
    $TEST_NGINX_A
    ssl_session_tickets off;
    location / { return 200 "$ssl_session_reused"; }
}
--- config
location /t {
    content_by_lua_block {
        local get = require("client").get
        local body, session = get("a.test")
        ngx.print(body, (get("a.test", session)))
    }
}
--- request
GET /t
--- response_body chomp
..
--- error_log
failed to run session_store_by_lua*: ssl_session_store_by_lua(
ssl_session_fetch_by_lua(



=== TEST 7: TLS 1.3 sessions are not looked up; tickets neither
--- http_config
ssl_session_fetch_by_lua_block { ngx.log(ngx.ERR, "fetching") }
ssl_session_store_by_lua_block { ngx.log(ngx.ERR, "storing") }
server {
    listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1 ssl;
    $TEST_NGINX_A
    location / { return 200 "$ssl_protocol $ssl_session_reused\n"; }
}
--- config
location /t {
    content_by_lua_block {
        local get = require("client").get
        local sock = ngx.socket.tcp()
        sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1)
        sock:sslhandshake(false)
        sock:send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        sock:receive()
        ngx.print((get("a.test", sock:getsslsession())))
    }
}
--- request
GET /t
--- response_body
TLSv1.3 r
--- error_log
ssl_session_store_by_lua*: skipped since TLS version >= 1.3
--- no_error_log
fetching
storing



=== TEST 8: a client that goes away while the code waits
--- http_config
server {
    listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1 ssl;
    $TEST_NGINX_A
    client_header_timeout 50ms;
    ssl_certificate_by_lua_block {
        local sock = ngx.socket.tcp()
        sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_2)
        sock:receive()
    }
}
--- config
location /t {
    content_by_lua_block { ngx.say(select(2, require("client").get("a.test"))) }
}
--- tcp_listen: $TEST_NGINX_RAND_PORT_2
--- tcp_no_close
--- request
GET /t
--- response_body
handshake failed
--- error_log
client timed out
ssl_certificate_by_lua: cert cb aborted



=== TEST 9: requests of a connection begin with a copy of the handshake's ngx.ctx
--- http_config
server {
    listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1 ssl;
    $TEST_NGINX_A
    ssl_client_hello_by_lua_block { ngx.ctx.n = 1; ngx.ctx.shared = { 0 } }
    ssl_certificate_by_lua_block { ngx.ctx.n = ngx.ctx.n + 1 }
    location / {
        content_by_lua_block {
            ngx.ctx.n = ngx.ctx.n + 1
            ngx.ctx.shared[1] = ngx.ctx.shared[1] + 1
            ngx.say(ngx.ctx.n, " ", ngx.ctx.shared[1])
        }
    }
}
--- config
location /t {
    content_by_lua_block {
        local sock = ngx.socket.tcp()
        assert(sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
        assert(sock:sslhandshake())
        for i = 1, 2 do
            sock:send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            repeat until sock:receive() == ""
            sock:receive()
            ngx.say(sock:receive())
            assert(sock:receive() == "" and sock:receive() == "0" and sock:receive() == "")
        end
    }
}
--- request
GET /t
--- response_body
3 1
3 2



=== TEST 10: files, and settings of the server
--- http_config
server {
    listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1 ssl;
    $TEST_NGINX_A
    lua_socket_connect_timeout 20ms;
    ssl_certificate_by_lua_file html/code.lua;
    location / { return 200 "served\n"; }
}
--- user_files
>>> code.lua
local sock = ngx.socket.tcp()
assert(sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_2))
assert(select(2, sock:sslhandshake()) == "timeout")
>>> client.lua
return { get = function(name)
    local sock = ngx.socket.tcp()
    assert(sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
    assert(sock:sslhandshake(nil, name, true))
    sock:send("GET / HTTP/1.0\r\n\r\n")
    return sock:receive("*a"):match("\r\n\r\n(.*)")
end }
--- config
location /t {
    content_by_lua_block { ngx.print(require("client").get("a.test")) }
}
--- tcp_listen: $TEST_NGINX_RAND_PORT_2
--- tcp_query_len: 1
--- tcp_no_close
--- request
GET /t
--- response_body
served



=== TEST 11: where the directives may stand
--- http_config
server {
    listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1 ssl;
    $TEST_NGINX_A
    ssl_session_store_by_lua_block { }
    location / { ssl_certificate_by_lua_block { } }
}
--- config
--- must_die
--- error_log
"ssl_session_store_by_lua_block" directive is not allowed here
"ssl_certificate_by_lua_block" directive is not allowed here
--- allow
is not allowed here



=== TEST 12: without a code cache
--- http_config
server {
    listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1 ssl;
    $TEST_NGINX_A
    lua_code_cache off;
    ssl_client_hello_by_lua_block { seen = (seen or 0) + 1 }
    ssl_certificate_by_lua_block {
        seen = seen + 1
        ngx.timer.at(0.01, function() ngx.log(ngx.WARN, "timer of ", seen) end)
        ngx.sleep(0.001)
        ngx.log(ngx.WARN, "seen ", seen)
    }
    location / { content_by_lua_block { ngx.say(seen, " ", ngx.ctx.x) } }
}
--- config
location /t {
    content_by_lua_block {
        local get = require("client").get
        ngx.print((get("a.test")), (get("a.test")))
    }
}
--- request
GET /t
--- response_body
nil nil
nil nil
--- grep_error_log eval: qr/seen \d/
--- grep_error_log_out
seen 2
seen 2
--- error_log
timer of 2
--- allow
lua_code_cache is off
