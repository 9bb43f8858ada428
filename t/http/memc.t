# memc_pass: a location that is a memcached client.
use lib 't/lib';
use Bulan::Test;

add_block_preprocessor(sub {
    my $block = shift;
    my $config = $block->config || '';
    $block->set_value(config => <<"_EOC_" . $config);
location /memc {
    set \$memc_cmd \$arg_cmd;
    set \$memc_key \$arg_key;
    set \$memc_value \$arg_value;
    set \$memc_exptime \$arg_time;
    set \$memc_flags \$arg_flags;
    memc_pass 127.0.0.1:\$TEST_NGINX_MEMCACHED_PORT;
}
location /rest {
    set \$memc_key \$uri;
    memc_pass 127.0.0.1:\$TEST_NGINX_MEMCACHED_PORT;
}
_EOC_
});

run_tests();

__DATA__

=== TEST 1: values stored, found, changed, deleted
--- request eval
[map "GET /memc?key=t1&$_", 'cmd=flush_all', 'cmd=get', 'cmd=set&value=hello', 'cmd=get',
    'cmd=add&value=x', 'cmd=append&value=!', 'cmd=prepend&value=%3E', 'cmd=replace&value=new',
    'cmd=get', 'cmd=delete', 'cmd=delete', 'cmd=replace&value=y', 'cmd=set', 'cmd=get']
--- error_code eval
[200, 404, 201, 200, 200, 201, 201, 201, 200, 200, 404, 200, 201, 200]
--- response_body_like eval
[qr/^OK\r\n$/, qr/404 Not Found/, qr/^STORED\r\n$/, qr/^hello$/, qr/^NOT_STORED\r\n$/,
    qr/^STORED\r\n$/, qr/^STORED\r\n$/, qr/^STORED\r\n$/, qr/^new$/, qr/^DELETED\r\n$/,
    qr/404 Not Found/, qr/^NOT_STORED\r\n$/, qr/^STORED\r\n$/, qr/^$/]



=== TEST 2: counting
--- request eval
[map "GET /memc?key=t2&$_", 'cmd=incr&value=1', 'cmd=set&value=10', 'cmd=incr&value=5',
    'cmd=decr&value=2', 'cmd=incr']
--- error_code eval
[404, 201, 200, 200, 400]
--- response_body_like eval
[qr/404/, qr/STORED/, qr/^15\r\n$/, qr/^13\r\n$/, qr/400/]



=== TEST 3: by the method, with the body as the value, and a key that needs escaping
--- request eval
["PUT /rest/a%20b\nvalue one", 'GET /rest/a%20b', "POST /rest/a%20b\nother", 'HEAD /rest/a%20b',
    'DELETE /rest/a%20b', 'GET /rest/a%20b', 'OPTIONS /rest/a%20b']
--- error_code eval
[201, 200, 200, 200, 200, 404, 400]
--- response_body_like eval
[qr/^STORED\r\n$/, qr/^value one$/, qr/^NOT_STORED\r\n$/, qr/^$/, qr/^DELETED\r\n$/, qr/404/, qr/400/]



=== TEST 4: lists and versions
--- request eval
['GET /memc?cmd=stats', 'GET /memc?cmd=version']
--- response_body_like eval
[qr/\ASTAT pid \d+\r\n.*\r\nEND\r\n\z/s, qr/^VERSION \S+\r\n$/]



=== TEST 5: connections are kept, also behind what was not found
--- http_config
upstream mc {
    server 127.0.0.1:$TEST_NGINX_MEMCACHED_PORT;
    keepalive 1;
}
--- config
location /kept {
    set $memc_cmd $arg_cmd;
    set $memc_key t5;
    set $memc_value v;
    memc_pass mc;
}
location /t {
    content_by_lua_block {
        local function connections()
            local stats = ngx.location.capture("/memc?cmd=stats").body
            return tonumber(stats:match("total_connections (%d+)"))
        end
        local before = connections()
        for _, cmd in ipairs { "delete", "get", "set", "get", "stats", "get" } do
            local res = ngx.location.capture("/kept?cmd=" .. cmd)
            ngx.say(cmd, " ", res.status)
        end
        ngx.say("connections: ", connections() - before - 1)
    }
}
--- request
GET /t
--- response_body
delete 404
get 404
set 201
get 200
stats 200
get 200
connections: 1



=== TEST 6: what is not understood, and what is not allowed
--- config
location /some {
    set $memc_cmd $arg_cmd;
    set $memc_key k;
    memc_cmds_allowed get version;
    memc_pass 127.0.0.1:$TEST_NGINX_MEMCACHED_PORT;
}
location /no-key {
    memc_pass 127.0.0.1:$TEST_NGINX_MEMCACHED_PORT;
}
--- request eval
['GET /memc?cmd=frob&key=a', 'GET /some?cmd=flush_all', 'GET /some?cmd=version', 'GET /no-key']
--- error_code eval
[400, 403, 200, 400]
--- response_body_like eval
[qr/400/, qr/403/, qr/VERSION/, qr/400/]
--- error_log
the "$memc_key" variable is not set



=== TEST 7: a server that says nonsense
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_reply eval
"SERVER_ERROR out of memory\r\n"
--- config
location /bad {
    set $memc_key k;
    memc_pass 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
}
--- request
GET /bad
--- error_code: 502
--- response_body eval
"SERVER_ERROR out of memory\r\n"
--- error_log
memcached sent "SERVER_ERROR out of memory"



=== TEST 8: flags as a date; a server chosen by a variable
--- config
location /dated {
    set $memc_key t8;
    set $memc_cmd $arg_cmd;
    set $memc_value v;
    set $memc_flags 1000000000;
    set $to 127.0.0.1:$TEST_NGINX_MEMCACHED_PORT;
    memc_flags_to_last_modified on;
    memc_pass $to;
}
--- request eval
['GET /dated?cmd=set', 'GET /dated?cmd=get']
--- error_code eval
[201, 200]
--- response_headers eval
['!Last-Modified', 'Last-Modified: Sun, 09 Sep 2001 01:46:40 GMT']



=== TEST 9: an answer that belongs to no get
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_reply eval
"HELLO\r\n"
--- tcp_no_close
--- config
location /bad {
    set $memc_key k;
    memc_read_timeout 5s;
    memc_pass 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
}
--- request
GET /bad
--- error_code: 502
--- error_log
memcached sent invalid response "HELLO"



=== TEST 10: a value without a length
--- tcp_listen: $TEST_NGINX_RAND_PORT_1
--- tcp_reply eval
"VALUE k 0\r\n"
--- config
location /bad {
    set $memc_key k;
    memc_pass 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
}
--- request
GET /bad
--- error_code: 502
--- error_log
memcached sent invalid length in response "VALUE k 0"



=== TEST 11: what memcached would not take for a command, it would take the value behind it for one
--- perl
my $set = sub { $server->send_request('POST', "/memc?cmd=set&$_[0]", $_[1])->{status} };
is $set->('key=victim', 'alive'), 201, 'a value';
for my $args ('key=x&flags=abc', 'key=x&flags=4294967296', 'key=x&flags=-1', 'key=x&time=abc', 'key=x&time=99999999999', 'key=' . 'k' x 251) {
    is $set->($args, "flush_all\r\n"), 400, $args;
}
is $set->('key=' . 'k' x 250, 'long'), 201, 'as long as a key may be';
is $set->('key=past&time=-1', 'x'), 201, 'a time in the past';
is $server->get('/memc?cmd=incr&key=victim&value=abc')->{status}, 400, 'no number';
is $server->get('/memc?cmd=get&key=victim')->{body}, 'alive', 'nobody flushed it';
