use lib 't/lib';
use Bulan::Test;
use Bulan::Test::Tls;

my $cert = Bulan::Test::Tls->new->certificate('a.test');
$ENV{TEST_NGINX_CERT} = "ssl_certificate $cert->{cert}; ssl_certificate_key $cert->{key};";

add_block_preprocessor(sub {
    my $block = shift;
    my $http = $block->http_config || '';
    $block->set_value(http_config => <<"EOC" . $http);
server {
    listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_1;
    location / { return 200 "one \$http_x_try \$request_uri\\n"; }
    location /port { content_by_lua_block { ngx.say(ngx.var.remote_addr, " ", ngx.var.connection_requests) } }
    location /404 { return 404; }
    location /503 { return 503; }
    location /body { content_by_lua_block { ngx.req.read_body() ngx.say(ngx.req.get_body_data()) } }
    location /slow { content_by_lua_block { ngx.sleep(10) } }
}
server {
    listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_2;
    location / { return 200 "two\\n"; }
}
EOC
});

run_tests();

__DATA__

=== TEST 1: the peer that the code says; the group's otherwise
--- http_config
upstream backend {
    server 127.0.0.1:$TEST_NGINX_RAND_PORT_2;
    balancer_by_lua_block {
        if ngx.var.arg_one then
            ngx.ctx.phase = ngx.get_phase()
            assert(require("ngx.balancer").set_current_peer("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
        end
    }
}
--- config
location /t {
    proxy_pass http://backend/x;
    header_filter_by_lua_block { ngx.header.Phase = ngx.ctx.phase }
}
--- request eval
["GET /t?one=1", "GET /t"]
--- response_body eval
["one  /x?one=1\n", "two\n"]
--- response_headers eval
["Phase: balancer", "!Phase"]



=== TEST 2: without server lines, a port inside the address, from a file
--- http_config
upstream backend {
    balancer_by_lua_file html/b.lua;
}
--- user_files
>>> b.lua
assert(require("ngx.balancer").set_current_peer("127.0.0.1:$TEST_NGINX_RAND_PORT_2"))
--- config
location /t { proxy_pass http://backend; }
--- request
GET /t
--- response_body
two



=== TEST 3: no peer at all
--- http_config
upstream backend {
    balancer_by_lua_block { print("nothing to say") }
}
--- config
location /t { proxy_pass http://backend; }
--- request
GET /t
--- error_code: 500
--- error_log
nothing to say while connecting to upstream,
lua balancer: no peer set



=== TEST 4: errors and exits
--- http_config
upstream backend {
    server 127.0.0.1:$TEST_NGINX_RAND_PORT_2;
    balancer_by_lua_block {
        local how = ngx.var.arg_how
        if how == "error" then error("oh no") end
        ngx.exit(tonumber(how))
    }
}
upstream bad {
    server 127.0.0.1:$TEST_NGINX_RAND_PORT_2;
    balancer_by_lua_block { ngx.log( }
}
--- config
location /t { proxy_pass http://backend; }
location /bad { proxy_pass http://bad; }
--- request eval
["GET /t?how=error", "GET /t?how=403", "GET /t?how=0", "GET /t?how=-1", "GET /bad"]
--- error_code eval
[500, 403, 200, 500, 500]
--- error_log
failed to run balancer_by_lua*: balancer_by_lua(
oh no
failed to load inlined Lua code: balancer_by_lua(



=== TEST 5: names and nonsense are refused
--- http_config
upstream backend {
    balancer_by_lua_block {
        local b = require "ngx.balancer"
        local function try(...)
            local ok, err = b.set_current_peer(...)
            ngx.log(ngx.WARN, "told: ", ok, " ", err, ";")
        end
        try("example.com", 80)
        try("")
        try("127.0.0.1", 70000)
        try("127.0.0.1", "x")
        local ok, err = b.bind_to_local_addr("nowhere")
        ngx.log(ngx.WARN, "told: ", ok, " ", err, ";")
        ok, err = b.enable_keepalive()
        ngx.log(ngx.WARN, "told: ", ok, " ", err, ";")
        ok, err = b.set_upstream_tls(true)
        ngx.log(ngx.WARN, "told: ", ok, " ", err, ";")
        assert(b.set_current_peer("[::ffff:127.0.0.1]", $TEST_NGINX_RAND_PORT_1))
        assert(b.set_current_peer("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
        ok, err = pcall(b.set_current_peer, "127.0.0.1", 80, true)
        ngx.log(ngx.WARN, "told: ", ok, " ", err, ";")
    }
}
--- config
location /t { proxy_pass http://backend/x; }
--- request
GET /t
--- response_body
one  /x
--- grep_error_log eval
qr/told: \S+ [^:;,]+/
--- grep_error_log_out
told: nil no IP address
told: nil no host
told: nil invalid port
told: nil invalid port
told: nil invalid addr
told: nil no current peer set
told: nil no TLS configured for the upstream
told: false bad argument #3 to 'set_current_peer' (string expected



=== TEST 6: in other phases
--- http_config
upstream backend { server 127.0.0.1:$TEST_NGINX_RAND_PORT_2; }
--- config
location /t {
    content_by_lua_block {
        local b = require "ngx.balancer"
        ngx.say(b.set_current_peer("127.0.0.1", 80))
        ngx.say(b.set_more_tries(1))
        ngx.say(b.set_timeouts(1, 1, 1))
        ngx.say(b.recreate_request())
        ngx.say(b.get_last_failure())
        ngx.say(b.enable_keepalive())
        ngx.say(pcall(b.enable_keepalive, true))
        ngx.say(pcall(b.enable_keepalive, nil, -1))
    }
}
location /proxy {
    proxy_pass http://backend;
    log_by_lua_block {
        local ok, err = require("ngx.balancer").set_current_peer("127.0.0.1", 80)
        ngx.log(ngx.WARN, "told: ", err)
    }
}
--- request eval
["GET /t", "GET /proxy"]
--- response_body eval
["nilno upstream found\n" x 4 . "nilnilno upstream found\nnilno upstream found\n" .
"falsebad argument #1 to 'enable_keepalive' (number expected, got boolean)\n" .
"falsebad argument #2 to 'enable_keepalive' (expected >= 0)\n", "two\n"]
--- error_log
told: API disabled in the current context



=== TEST 7: more tries, and how those before failed
--- http_config
upstream backend {
    balancer_by_lua_block {
        local b = require "ngx.balancer"
        local ctx = ngx.ctx
        local state, status = b.get_last_failure()
        ctx.n = (ctx.n or 0) + 1
        ngx.log(ngx.WARN, "try ", ctx.n, ": ", state, " ", status)
        if ctx.n == 1 then
            assert(b.set_more_tries(2))
            assert(b.set_current_peer("127.0.0.1", 1))
        elseif ctx.n == 2 then
            assert(b.set_current_peer("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
        else
            assert(b.set_current_peer("127.0.0.1", $TEST_NGINX_RAND_PORT_2))
        end
    }
}
--- config
location / {
    proxy_pass http://backend;
    proxy_next_upstream error http_404 http_503;
    add_header Peers "$upstream_status";
}
--- request eval
["GET /404", "GET /503"]
--- response_body eval
["two\n", "two\n"]
--- response_headers eval
["Peers: 502, 404, 200", "Peers: 502, 503, 200"]
--- grep_error_log eval
qr/try \d: \S+ [^,\s]+/
--- grep_error_log_out
try 1: nil nil
try 2: failed 502
try 3: next 404
try 1: nil nil
try 2: failed 502
try 3: failed 503



=== TEST 8: tries have a limit
--- http_config
proxy_next_upstream_tries 5;
upstream backend {
    server 127.0.0.1:1;
    balancer_by_lua_block {
        local b = require "ngx.balancer"
        ngx.ctx.n = (ngx.ctx.n or 0) + 1
        local ok, err = b.set_more_tries(2)
        ngx.log(ngx.WARN, "try ", ngx.ctx.n, ": ", ok, " ", err)
        assert(b.set_current_peer("127.0.0.1", 1))
    }
}
--- config
location /t { proxy_pass http://backend; }
--- request
GET /t
--- error_code: 502
--- grep_error_log eval
qr/try \d: true (?:nil|[^,]+limit)/
--- grep_error_log_out
try 1: true nil
try 2: true nil
try 3: true nil
try 4: true reduced tries due to limit
try 5: true reduced tries due to limit



=== TEST 9: the request made anew for the next try
--- http_config
upstream backend {
    balancer_by_lua_block {
        local b = require "ngx.balancer"
        ngx.ctx.n = (ngx.ctx.n or 0) + 1
        if ngx.ctx.n == 1 then
            b.set_more_tries(1)
            assert(b.set_current_peer("127.0.0.1", 1))
        else
            ngx.var.try = "second"
            ngx.req.set_body_data("a new body")
            assert(b.recreate_request())
            assert(b.set_current_peer("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
        end
    }
}
--- config
set $try first;
location / {
    proxy_pass http://backend;
    proxy_set_header X-Try $try;
}
--- request eval
["GET /x", "GET /body"]
--- response_body eval
["one second /x\n", "a new body\n"]



=== TEST 10: it may sleep
--- http_config
upstream backend {
    balancer_by_lua_block {
        ngx.sleep(0.01)
        assert(require("ngx.balancer").set_current_peer("127.0.0.1", $TEST_NGINX_RAND_PORT_2))
        ngx.sleep(0)
    }
}
--- config
location /t { proxy_pass http://backend; }
location /sub {
    content_by_lua_block {
        local a, b = ngx.location.capture_multi { { "/t" }, { "/t" } }
        ngx.print(a.body, b.body)
    }
}
--- request eval
["GET /t", "GET /sub"]
--- response_body eval
["two\n", "two\ntwo\n"]



=== TEST 11: it may ask others whom to ask, for each try
--- http_config
server {
    listen 127.0.0.1:$TEST_NGINX_RAND_PORT_3;
    location /1 { return 200 1; }
    location /2 { return 200 $TEST_NGINX_RAND_PORT_1; }
}
upstream backend {
    balancer_by_lua_block {
        local b = require "ngx.balancer"
        ngx.ctx.n = (ngx.ctx.n or 0) + 1
        local sock = ngx.socket.tcp()
        sock:settimeout(5000)
        assert(sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_3))
        assert(sock:send("GET /" .. ngx.ctx.n .. " HTTP/1.0\r\n\r\n"))
        local answer = assert(sock:receive("*a"))
        local port = tonumber(answer:match("%d+$"))
        sock:close()
        if ngx.ctx.n == 1 then b.set_more_tries(1) end
        assert(b.set_current_peer("127.0.0.1", port))
    }
}
--- config
location / { proxy_pass http://backend; }
--- request eval
["GET /x", "GET /y"]
--- response_body eval
["one  /x\n", "one  /y\n"]



=== TEST 12: an error and an exit behind a wait
--- http_config
upstream backend {
    balancer_by_lua_block {
        ngx.sleep(0.001)
        if ngx.var.arg_exit then ngx.exit(403) end
        error("too late")
    }
}
--- config
location /t { proxy_pass http://backend; }
--- request eval
["GET /t", "GET /t?exit=1"]
--- error_code eval
[500, 403]
--- error_log
too late



=== TEST 13: the client goes away meanwhile
--- http_config
upstream backend {
    balancer_by_lua_block {
        ngx.log(ngx.WARN, "waiting")
        ngx.sleep(5)
        ngx.log(ngx.WARN, "still here")
    }
}
--- config
location /t { proxy_pass http://backend; log_by_lua_block { ngx.log(ngx.WARN, "status ", ngx.status) } }
--- request
GET /t
--- timeout: 50ms
--- abort
--- ignore_response
--- wait: 0.5
--- error_log
waiting
status 499
--- no_error_log
still here



=== TEST 14: connections are kept when the code asks for it
--- http_config
upstream backend {
    balancer_by_lua_block {
        local b = require "ngx.balancer"
        assert(b.set_current_peer("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
        if ngx.var.arg_keep then
            assert(b.enable_keepalive(5, tonumber(ngx.var.arg_keep)))
        end
        if ngx.var.arg_from then
            assert(b.bind_to_local_addr(ngx.var.arg_from))
        end
    }
}
--- config
location /port {
    proxy_pass http://backend;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
}
--- request eval
["GET /port", "GET /port", "GET /port?keep=3", "GET /port?keep=3", "GET /port?keep=3",
 "GET /port?keep=3", "GET /port", "GET /port?keep=3&from=127.0.0.5", "GET /port?keep=3&from=127.0.0.5",
 "GET /port?keep=3&from=127.0.0.6"]
--- response_body eval
["127.0.0.1 1\n", "127.0.0.1 1\n", "127.0.0.1 1\n", "127.0.0.1 2\n", "127.0.0.1 3\n",
 "127.0.0.1 1\n", "127.0.0.1 1\n", "127.0.0.5 1\n", "127.0.0.5 2\n", "127.0.0.6 1\n"]



=== TEST 15: keepalive behind the balancer; balancer_keepalive is no word to keep
--- http_config
upstream backend {
    balancer_by_lua_block {
        require("ngx.balancer").set_current_peer("127.0.0.1", $TEST_NGINX_RAND_PORT_1)
    }
    keepalive 4;
}
upstream other {
    balancer_keepalive 4;
    balancer_by_lua_block {
        require("ngx.balancer").set_current_peer("127.0.0.1", $TEST_NGINX_RAND_PORT_1)
    }
}
--- config
proxy_http_version 1.1;
proxy_set_header Connection "";
location /port { proxy_pass http://backend; }
location /other { proxy_pass http://other/port; }
--- request eval
["GET /port", "GET /port", "GET /other", "GET /other"]
--- response_body eval
["127.0.0.1 1\n", "127.0.0.1 2\n", "127.0.0.1 1\n", "127.0.0.1 1\n"]



=== TEST 16: balancer_keepalive bounds the idle connections
--- http_config
upstream backend {
    balancer_keepalive 1;
    balancer_by_lua_block {
        local b = require "ngx.balancer"
        assert(b.set_current_peer("127.0.0.1", tonumber(ngx.var.arg_port)))
        assert(b.enable_keepalive())
    }
}
--- config
location /x {
    proxy_pass http://backend;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
}
--- request eval
["GET /x?port=$ENV{TEST_NGINX_RAND_PORT_1}", "GET /x?port=$ENV{TEST_NGINX_RAND_PORT_2}",
 "GET /x?port=$ENV{TEST_NGINX_RAND_PORT_2}"]
--- ignore_response_body
--- grep_error_log eval
qr/lua balancer: keepalive [a-z ]+ connection/
--- grep_error_log_out
lua balancer: keepalive no free connection
lua balancer: keepalive saving connection
lua balancer: keepalive no free connection
lua balancer: keepalive closing connection
lua balancer: keepalive saving connection
lua balancer: keepalive reusing connection
lua balancer: keepalive saving connection



=== TEST 17: timeouts
--- http_config
upstream backend {
    balancer_by_lua_block {
        local b = require "ngx.balancer"
        if ngx.var.arg_bad then b.set_timeouts(1, 0, 1) end
        assert(b.set_timeouts(nil, 5, 0.05))
        assert(b.set_current_peer("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
    }
}
--- config
location /slow { proxy_pass http://backend; }
--- request eval
["GET /slow", "GET /slow?bad=1"]
--- error_code eval
[504, 500]
--- error_log eval
["upstream timed out", qr/balancer_by_lua\([^)]+\):3: bad send timeout/]



=== TEST 18: settings are the request's own; proxy's variables know their target
--- http_config
upstream backend {
    server 127.0.0.1:$TEST_NGINX_RAND_PORT_2;
    balancer_by_lua_block {
        if ngx.var.arg_short then require("ngx.balancer").set_timeouts(0.05, 0.05, 0.05) end
        ngx.ctx.host = ngx.var.proxy_host
    }
}
--- config
location /t {
    proxy_pass http://backend;
    header_filter_by_lua_block { ngx.header.Host = ngx.ctx.host ngx.header.Then = ngx.var.proxy_host }
}
--- request eval
["GET /t?short=1", "GET /t"]
--- response_headers eval
["Host: backend\nThen: backend", "Host: backend\nThen: backend"]
--- response_body eval
["two\n", "two\n"]



=== TEST 19: twice
--- http_config
upstream backend {
    balancer_by_lua_block { }
    balancer_by_lua_block { }
}
--- config
location /t { return 200; }
--- must_die
--- error_log
"balancer_by_lua_block" directive is duplicate



=== TEST 20: TLS or not, and the name that is asked for; connections are kept by it
--- http_config
server {
    listen 127.0.0.1:$TEST_NGINX_RAND_PORT_3 ssl;
    $TEST_NGINX_CERT
    location / { return 200 "$ssl_server_name $connection_requests\n"; }
}
upstream backend {
    balancer_by_lua_block {
        local b = require "ngx.balancer"
        if ngx.var.arg_plain then
            assert(b.set_upstream_tls(false))
            assert(b.set_current_peer("127.0.0.1", $TEST_NGINX_RAND_PORT_2))
            return
        end
        assert(b.set_upstream_tls(false))
        assert(b.set_upstream_tls(true))
        assert(b.set_current_peer("127.0.0.1", $TEST_NGINX_RAND_PORT_3, ngx.var.arg_name))
        assert(b.enable_keepalive())
    }
}
--- config
location / {
    proxy_pass https://backend;
    proxy_ssl_server_name on;
    proxy_ssl_name configured.test;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
}
--- request eval
["GET /?name=a.test", "GET /?name=b.test", "GET /?name=a.test", "GET /", "GET /", "GET /?plain=1"]
--- response_body eval
["a.test 1\n", "b.test 1\n", "a.test 2\n", "configured.test 1\n", "configured.test 2\n", "two\n"]
