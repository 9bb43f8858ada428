# srcache_fetch, srcache_store: a cache made of subrequests.
use lib 't/lib';
use Bulan::Test;

run_tests();

__DATA__

=== TEST 1: stored, and found again
--- config
location /memc {
    internal;
    set $memc_key $arg_key;
    set $memc_cmd $arg_cmd;
    memc_pass 127.0.0.1:$TEST_NGINX_MEMCACHED_PORT;
}
location /page {
    default_type text/css;
    srcache_fetch GET /memc cmd=get&key=$uri;
    srcache_store PUT /memc cmd=set&key=$uri;
    content_by_lua_block {
        ngx.log(ngx.WARN, "made anew")
        ngx.header["X-Made"] = "yes"
        ngx.say("hello")
        ngx.flush(true)
        ngx.say(string.rep("x", 10000))
    }
}
location /clear { set $memc_cmd flush_all; memc_pass 127.0.0.1:$TEST_NGINX_MEMCACHED_PORT; }
--- request eval
['GET /clear', 'GET /page/1', 'GET /page/1', 'HEAD /page/1']
--- response_body eval
["OK\r\n", "hello\n" . 'x' x 10000 . "\n", "hello\n" . 'x' x 10000 . "\n", '']
--- response_headers eval
['', "Content-Type: text/css\nX-Made: yes", "Content-Type: text/css\nX-Made: yes\nContent-Length: 10007",
    "X-Made: yes"]
--- grep_error_log: made anew
--- grep_error_log_out
made anew



=== TEST 2: what is stored; errors are not, nor what is too large
--- config
location /store {
    content_by_lua_block {
        ngx.log(ngx.WARN, "stored: ", ngx.req.get_method(), " ", (ngx.req.get_body_data():gsub("\r\n", "|")))
    }
}
location /t { default_type text/css; srcache_store POST /store; echo hello; echo world; }
location /e { srcache_store POST /store; return 404; }
location /l { srcache_store POST /store; srcache_store_max_size 5; echo 123456; }
location /off { srcache_store POST /store; location /off/in { srcache_store off; echo x; } }
--- request eval
['GET /t', 'GET /e', 'GET /l', 'GET /off/in', 'POST /t']
--- error_code eval
[200, 404, 200, 200, 200]
--- response_body_like eval
[qr/^hello\nworld\n$/, qr/404/, qr/^123456$/, qr/^x$/, qr/^hello\nworld\n$/]
--- grep_error_log eval
qr/stored: .*?(?=, client)/s
--- grep_error_log_out eval
"stored: POST HTTP/1.1 200 OK|Content-Type: text/css||hello\nworld\n\n"



=== TEST 3: a store that fails, or has nonsense, is none
--- config
location /bad { return 200 nonsense; }
location /fails { return 500; }
location /t { srcache_fetch GET /bad; srcache_store PUT /fails; echo made; }
--- request
GET /t
--- response_body
made
--- error_log
no response in what was found



=== TEST 4: what is for one client alone is not stored, nor what is between two hops
--- config
location /store {
    content_by_lua_block {
        ngx.log(ngx.WARN, "stored: ", (ngx.req.get_body_data():gsub("\r\n", "|")))
    }
}
location /cookie { srcache_store POST /store; content_by_lua_block { ngx.header.set_cookie = 'a=b' ngx.header.x_other = 'c' ngx.print 'x' } }
location /cc { srcache_store POST /store; content_by_lua_block { ngx.header.cache_control = ngx.unescape_uri(ngx.var.arg_a) ngx.print 'x' } }
location /old { srcache_store POST /store; content_by_lua_block { ngx.header.expires = ngx.http_time(ngx.time() - 5) ngx.print 'x' } }
location /to { srcache_store POST /store; return 302 /elsewhere; }
--- request eval
['GET /cookie', 'GET /cc?a=private', 'GET /cc?a=max-age=3,%20no-store', 'GET /cc?a=No-Cache', 'GET /cc?a=max-age=0', 'GET /old', 'GET /cc?a=max-age=3',
 'GET /to']
--- error_code eval
[(200) x 7, 302]
--- ignore_response_body
--- grep_error_log eval
qr/stored: .*?(?=\|\|)/
--- grep_error_log_out
stored: HTTP/1.1 200 OK|Content-Type: text/plain|x-other: c
stored: HTTP/1.1 200 OK|Content-Type: text/plain|cache-control: max-age=3
stored: HTTP/1.1 302 Moved Temporarily|Content-Type: text/html|Location: /elsewhere



=== TEST 5: a redirect and a charset, found again
--- http_config
server { listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1; charset utf-8; default_type text/html; return 200 x; }
--- config
location /memc { internal; set $memc_key $arg_key; set $memc_cmd $arg_cmd; memc_pass 127.0.0.1:$TEST_NGINX_MEMCACHED_PORT; }
srcache_fetch GET /memc cmd=get&key=$uri;
srcache_store PUT /memc cmd=set&key=$uri;
location /a/to { return 302 /elsewhere; }
location /a/type { proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
--- request eval
[('GET /a/to') x 2, ('GET /a/type') x 2]
--- error_code eval
[302, 302, 200, 200]
--- response_headers_like eval
[('Location: http://localhost:\d+/elsewhere') x 2, ('Content-Type: text/html; charset=utf-8') x 2]
