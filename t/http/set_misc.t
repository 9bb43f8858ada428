# set_escape_uri and its kin; ndk.set_var.
use lib 't/lib';
use Bulan::Test;

run_tests();

__DATA__

=== TEST 1: one text from another, and from itself
--- config
location /t {
    set_unescape_uri $a $arg_a;
    set $b $a;
    set_escape_uri $b;
    set_quote_sql_str $c $a;
    set_quote_pgsql_str $d $a;
    set_quote_json_str $e $a;
    set_encode_base32 $f "hello";
    set_decode_base32 $g $f;
    set_encode_base64 $h $a;
    set_decode_base64 $i $h;
    set_encode_hex $j "a\tb";
    set_decode_hex $k $j;
    set_md5 $l "x";
    set_sha1 $m "x";
    return 200 "$a $b\n$c $d $e\n$f $g $h $i\n$j [$k] $l $m\n";
}
--- request
GET /t?a=it%27s+%C3%A4
--- response_body eval
"it's \xc3\xa4 it%27s%20%C3%A4\n'it\\'s \xc3\xa4' E'it\\'s \xc3\xa4' \"it's \xc3\xa4\"\n"
. "d1imor3f hello aXQncyDDpA== it's \xc3\xa4\n"
. "610962 [a\tb] 9dd4e461268c8034f5c8564e155c67a6 11f6ad8ec52a2984abaafd7c3b516503785c2072\n"



=== TEST 2: what can't be decoded is empty
--- config
location /t {
    set_decode_hex $a "1";
    set_decode_hex $b "zz";
    set_decode_base64 $c "?";
    set_decode_base32 $d "*";
    return 200 "[$a$b$c$d]";
}
--- request
GET /t
--- response_body: []



=== TEST 3: defaults, random numbers, rotation, keys
--- config
location /t {
    set $a "";
    set_if_empty $a x;
    set_if_empty $a y;
    set_random $r 3 3;
    set_random $s 9 5;
    set_secure_random_alphanum $t 20;
    set_secure_random_lcalpha $u 5;
    set $v 2;
    set_rotate $v 0 2;
    set $w 0;
    set_rotate $w 0 2;
    set_hmac_sha1 $m key text;
    set_encode_hex $m;
    set_local_today $today;
    set_formatted_gmt_time $year "%Y";
    return 200 "$a $r $s $t $u $v $w $m $today $year";
}
--- request
GET /t
--- response_body_like chomp
^x 3 [5-9] [0-9A-Za-z]{20} [a-z]{5} 0 1 369e2959eb49450338b212748f77d8ded74847bb \d{4}-\d\d-\d\d \d{4}$



=== TEST 4: a list of servers, chosen by a key
--- http_config
upstream one { server 127.0.0.1:$TEST_NGINX_SERVER_PORT; }
upstream two { server 127.0.0.1:$TEST_NGINX_SERVER_PORT; }
upstream_list both one two;
--- config
location /t {
    set_hashed_upstream $to both $arg_key;
    proxy_pass http://$to/where;
}
location /where {
    return 200 $http_host;
}
location /spread {
    content_by_lua_block {
        local seen = {}
        for i = 1, 20 do
            local to = ngx.location.capture("/t?key=" .. i).body
            assert(to == ngx.location.capture("/t?key=" .. i).body)
            seen[to] = true
        end
        ngx.say(seen.one, " ", seen.two)
    }
}
--- request
GET /spread
--- response_body
true true



=== TEST 5: no such list
--- config
location /t {
    set_hashed_upstream $to nowhere $arg_key;
}
--- must_die
--- error_log
upstream list "nowhere" not found



=== TEST 6: as functions of Lua
--- config
location /t {
    content_by_lua_block {
        local set = ndk.set_var
        ngx.say(set.set_encode_base32("hello"), " ", pcall(set.set_decode_hex, "x"), " ",
                set.set_quote_sql_str("a'b"), " ", #set.set_local_today())
        ngx.say(pcall(function() return set.set_if_empty end))
        ngx.say(pcall(function() set.x = 1 end))
    }
}
--- request
GET /t
--- response_body_like chomp
\Ad1imor3f false 'a\\'b' 10
false.*directive "set_if_empty" not found or does not use ndk_set_var_value
false.*not allowed
\z
