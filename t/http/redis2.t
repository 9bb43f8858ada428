# redis2_pass: a location that asks a Redis server.
use lib 't/lib';
use Bulan::Test;

run_tests();

__DATA__

=== TEST 1: commands, and replies of all kinds
--- config
location /t {
    redis2_query set $arg_key $arg_value;
    redis2_query get $arg_key;
    redis2_query get nowhere;
    redis2_query incr n;
    redis2_query rpush l a b;
    redis2_query lrange l 0 -1;
    redis2_query lrange none 0 -1;
    redis2_query bad;
    redis2_query eval "return {1,{2,{'x'}},'y'}" 0;
    redis2_pass 127.0.0.1:$TEST_NGINX_REDIS_PORT;
}
--- request
GET /t?key=k&value=hello%0Aworld
--- response_body_like eval
qr/\A\+OK\r\n\$13\r\nhello%0Aworld\r\n\$-1\r\n:1\r\n:2\r\n\*2\r\n\$1\r\na\r\n\$1\r\nb\r\n\*0\r\n-ERR unknown command.*?\r\n\*3\r\n:1\r\n\*2\r\n:2\r\n\*1\r\n\$1\r\nx\r\n\$1\r\ny\r\n\z/



=== TEST 2: raw queries, by the number that is said
--- config
location /one {
    redis2_literal_raw_query "echo one\r\n";
    redis2_pass 127.0.0.1:$TEST_NGINX_REDIS_PORT;
}
location /two {
    redis2_raw_queries $arg_n "echo one\r\necho $arg_two\r\n";
    redis2_pass 127.0.0.1:$TEST_NGINX_REDIS_PORT;
}
location /none {
    redis2_pass 127.0.0.1:$TEST_NGINX_REDIS_PORT;
}
--- request eval
['GET /one', 'GET /two?n=2&two=2', 'GET /two?n=x', 'GET /none']
--- error_code eval
[200, 200, 500, 500]
--- response_body_like eval
[qr/^\$3\r\none\r\n$/, qr/^\$3\r\none\r\n\$1\r\n2\r\n$/, qr/500/, qr/500/]



=== TEST 3: connections are kept, large values pass
--- http_config
upstream redis {
    server 127.0.0.1:$TEST_NGINX_REDIS_PORT;
    keepalive 1;
}
--- config
location /ask {
    redis2_query $arg_c $arg_a $arg_b;
    redis2_pass redis;
}
location /t {
    content_by_lua_block {
        local big = string.rep("x", 100000)
        local redis = require("resty.redis"):new()
        redis:connect("127.0.0.1", $TEST_NGINX_REDIS_PORT)
        redis:set("big", big)
        local before = redis:info("stats"):match("total_connections_received:(%d+)")
        for i = 1, 3 do
            local body = ngx.location.capture("/ask?c=getrange&a=big&b=0").body
            ngx.say(body:sub(1, 4))
        end
        local after = redis:info("stats"):match("total_connections_received:(%d+)")
        ngx.say("connections: ", after - before)
    }
}
location /big {
    redis2_query get big;
    redis2_pass redis;
}
location /len {
    content_by_lua_block { ngx.say(#ngx.location.capture("/big").body) }
}
--- request eval
['GET /t', 'GET /len']
--- response_body eval
["-ERR\n-ERR\n-ERR\nconnections: 1\n", "100011\n"]



=== TEST 4: a server that says nonsense
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_reply: hello
--- config
location /t {
    redis2_query ping;
    redis2_pass 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
}
--- request
GET /t
--- error_code: 502
--- error_log
redis sent invalid response



=== TEST 5: … in binary: a NUL begins no reply
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_reply eval
"\0\r\n"
--- config
location /t {
    redis2_query ping;
    redis2_pass 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
}
--- request
GET /t
--- error_code: 502
--- error_log
redis sent invalid response
