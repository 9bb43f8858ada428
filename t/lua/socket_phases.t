use lib 't/lib';
use Bulan::Test;

# In every phase: an exchange with a server, and a sleep. Each leaves its word in a shared dictionary.
add_block_preprocessor(sub {
    my $block = shift;
    $block->set_value(http_config => <<'CONFIG' . ($block->http_config // ''));
lua_shared_dict words 100k;
lua_package_path "$TEST_NGINX_HTML_DIR/?.lua;;";
server {
    listen $TEST_NGINX_RAND_PORT_1;
    location / { return 200 "pong"; }
}
CONFIG
    $block->set_value(user_files => <<'LUA');
>>> exchange.lua
return function(word)
    local sock = ngx.socket.tcp()
    assert(sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
    ngx.sleep(0.001)
    assert(sock:send("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
    assert(sock:receiveuntil("\r\n\r\n")())
    local answer = assert(sock:receive(4))
    ngx.sleep(0.001)
    assert(sock:setkeepalive())
    ngx.shared.words:set(word or ngx.get_phase(), answer)
end
LUA
});

run_tests();

__DATA__

=== TEST 1: the phases of a request
--- config
server_rewrite_by_lua_block { if ngx.var.uri == "/t" then require "exchange" () end }
location /t {
    set_by_lua_block $x { require "exchange" () }
    rewrite_by_lua_block { require "exchange" () }
    access_by_lua_block { require "exchange" () }
    precontent_by_lua_block { require "exchange" () }
    content_by_lua_block { require "exchange" () ngx.say("done") }
    header_filter_by_lua_block { require "exchange" () }
    body_filter_by_lua_block { require "exchange" () }
    log_by_lua_block { require "exchange" () }
}
location /words {
    content_by_lua_block {
        repeat ngx.sleep(0.001) until ngx.shared.words:get("log")
        local words = ngx.shared.words:get_keys()
        table.sort(words)
        ngx.say(table.concat(words, " "))
    }
}
--- request eval
["GET /t", "GET /words"]
--- response_body eval
["done\n", "access body_filter content header_filter log precontent rewrite server_rewrite set\n"]
--- no_error_log
[error]



=== TEST 2: where there is no request
--- http_config
init_worker_by_lua_block {
    ngx.timer.at(0, function()
        require "exchange" ()
    end)
    require "exchange" ()
}
--- config
location /t {
    content_by_lua_block {
        repeat ngx.sleep(0.001) until #ngx.shared.words:get_keys() == 2
        local words = ngx.shared.words:get_keys()
        table.sort(words)
        ngx.say(table.concat(words, " "))
    }
}
--- request
GET /t
--- response_body
init_worker timer
--- no_error_log
[error]



=== TEST 3: a socket of one phase in later ones, and its end with the request
--- config
location /t {
    access_by_lua_block {
        ngx.ctx.sock = ngx.socket.tcp()
        ngx.ctx.sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1)
        ngx.ctx.sock:send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    }
    content_by_lua_block { ngx.say(ngx.ctx.sock:receive()) }
    header_filter_by_lua_block { ngx.ctx.sock:receiveuntil("\r\n\r\n")() }
    body_filter_by_lua_block { ngx.ctx.pong = ngx.ctx.pong or ngx.ctx.sock:receive(4) }
    log_by_lua_block { ngx.log(ngx.WARN, ngx.ctx.pong, ngx.ctx.sock:close()) }
}
--- request
GET /t
--- response_body
HTTP/1.1 200 OK
--- error_log
pong1



=== TEST 4: a module whose top level connects, loaded by require
--- config
location /t {
    content_by_lua_block {
        package.preload.late = function() require "exchange" ("module") return "loaded" end
        ngx.say(require "late", " ", ngx.shared.words:get("module"))
    }
}
--- request
GET /t
--- response_body
loaded pong



=== TEST 5: through coroutines, pcall and iterators
--- config
location /t {
    content_by_lua_block {
        local exchange = require "exchange"
        local co = coroutine.create(function()
            exchange("one")
            coroutine.yield(1)
            ngx.say(pcall(exchange, "two"))
            for _ in coroutine.wrap(function() exchange("three") coroutine.yield(true) end) do
                break
            end
        end)
        ngx.say(coroutine.resume(co))
        ngx.say(coroutine.resume(co))
        ngx.say(#ngx.shared.words:get_keys())
    }
}
--- request
GET /t
--- response_body
true1
true
true
3



=== TEST 6: not where the loop does not run yet
--- http_config
init_by_lua_block {
    ngx.log(ngx.WARN, (select(2, pcall(ngx.socket.tcp))))
}
--- config
location /t { return 200; }
--- request
GET /t
--- error_log
API disabled in the context of init_by_lua*
