# add_header, add_trailer, expires, and what is inherited.
use lib 't/lib';
use Bulan::Test;

run_tests();

__DATA__

=== TEST 1: add_header: statuses, values, several
--- config
add_header X-A "a $arg_v";
add_header X-A b;
add_header X-Empty $arg_none;
add_header X-Always yes always;
location /ok { return 200 x; }
location /bad { return 404; }
--- request eval
["GET /ok?v=1", "GET /bad"]
--- error_code eval
[200, 404]
--- response_headers eval
["X-A: a 1, b\nX-Always: yes\n!X-Empty", "!X-A\nX-Always: yes"]



=== TEST 2: validators are replaced
--- config
location / { add_header ETag '"mine"'; add_header Last-Modified "Mon, 28 Sep 1970 06:00:00 GMT"; }
location /none/ { alias $TEST_NGINX_HTML_DIR/; add_header Last-Modified ""; add_header ETag ""; }
--- user_files
>>> a
a
--- request eval
["GET /a", "GET /none/a"]
--- response_headers eval
["ETag: \"mine\"\nLast-Modified: Mon, 28 Sep 1970 06:00:00 GMT", "!ETag\n!Last-Modified"]



=== TEST 3: inheritance
--- config
add_header X-S s;
location /in { return 200 x; }
location /own { add_header X-L l; return 200 x; }
location /merge { add_header X-L l; add_header_inherit merge; return 200 x; }
location /off { add_header_inherit off; return 200 x; }
--- request eval
["GET /in", "GET /own", "GET /merge", "GET /off"]
--- response_headers eval
["X-S: s", "!X-S\nX-L: l", "X-S: s\nX-L: l", "!X-S"]



=== TEST 4: expires
--- http_config
map $arg_e $expires { default off; long max; old epoch; hour 1h; }
--- config
location /hour { expires 1h; return 200 x; }
location /past { expires -1; return 200 x; }
location /epoch { expires epoch; return 200 x; }
location /max { expires max; return 200 x; }
location /daily { expires @15h30m; return 200 x; }
location /map { expires $expires; return 200 x; }
location /bad { expires 1h; return 404; }
--- request eval
["GET /hour", "GET /past", "GET /epoch", "GET /max", "GET /daily", "GET /map", "GET /map?e=hour", "GET /bad"]
--- error_code eval
[(200) x 7, 404]
--- response_headers_like eval
["Cache-Control: max-age=3600\nExpires: .* GMT", "Cache-Control: no-cache", "Expires: Thu, 01 Jan 1970 00:00:01 GMT",
 "Cache-Control: max-age=315360000", "Cache-Control: max-age=\\d+", "Content-Length: 1", "Cache-Control: max-age=3600",
 "Content-Type: text/html"]



=== TEST 5: expires modified
--- config
location / { expires modified 1d; }
--- user_files
>>> a
a
--- request
GET /a
--- response_headers_like
Cache-Control: max-age=86(?:400|39\d)



=== TEST 6: trailers
--- config
location / { add_trailer X-Sent $body_bytes_sent; add_trailer X-Always 1 always; return 200 hello; }
location /bad { add_trailer X-T 1; return 404; }
--- request eval
["GET /", "GET /bad"]
--- error_code eval
[200, 404]
--- response_headers eval
["Transfer-Encoding: chunked\n!Content-Length", "!Transfer-Encoding"]
--- response_trailers eval
["X-Always: 1", ""]



=== TEST 7: charset and recoding
--- http_config
charset_map koi8-r utf-8 { C1 D0B0; C2 D0B1; }
charset_map B A { 58 59; }
--- config
location /name { charset utf-8; return 200 x; }
location /type.bin { charset utf-8; default_type application/x; return 200 x; }
location /one { alias $TEST_NGINX_HTML_DIR/x; charset A; source_charset B; default_type text/plain; }
location /to { alias $TEST_NGINX_HTML_DIR/koi; charset utf-8; source_charset koi8-r; default_type text/plain; }
location /from { alias $TEST_NGINX_HTML_DIR/utf; charset koi8-r; source_charset utf-8; default_type text/plain; }
--- user_files eval
">>> x\naXXb\n>>> koi\na\xc1\xc2\xff\n>>> utf\na\xd0\xb0\xd1\x84\xff\n"
--- request eval
["GET /name", "GET /type.bin", "GET /one", "GET /to", "GET /from"]
--- response_headers eval
["Content-Type: text/plain; charset=utf-8", "Content-Type: application/x", "Content-Type: text/plain; charset=A",
 "Content-Type: text/plain; charset=utf-8", "Content-Type: text/plain; charset=koi8-r"]
--- response_body eval
["x", "x", "aYYb\n", "a\xd0\xb0\xd0\xb1?\n", "a\xc1&#1092;?\n"]



=== TEST 8: more_set_headers, more_clear_headers
--- config
add_header X-Hidden-A 1 always;
add_header X-Hidden-B 2 always;
more_set_headers "X-Out: outer $arg_v" "Server: moon";
location / {
    more_clear_headers "X-Hidden-*" Date;
    more_set_headers -s "404 410" "X-Gone: yes";
    more_set_headers -t "text/html" "Content-Type: text/x-moon";
    return 200 x;
}
location /gone { more_set_headers -s "404 410" "X-Gone: yes"; more_set_headers -a "X-Hidden-A: 3"; return 410; }
location /etag { alias $TEST_NGINX_HTML_DIR/a; more_clear_headers ETag Last-Modified Accept-Ranges Content-Type; }
--- user_files
>>> a
a
--- request eval
["GET /?v=1", "GET /gone", "GET /etag"]
--- error_code eval
[200, 410, 200]
--- response_headers eval
["X-Out: outer 1\nServer: moon\n!Date\n!X-Hidden-A\n!X-Hidden-B\n!X-Gone\nContent-Type: text/plain",
 "X-Gone: yes\nX-Hidden-A: 1, 3", "!ETag\n!Last-Modified\n!Accept-Ranges\n!Content-Type\nX-Out: outer"]



=== TEST 9: more_set_input_headers
--- config
location / {
    more_set_input_headers "X-In: set $http_x_old" "X-New: n";
    more_set_input_headers -r "X-None: never";
    more_clear_input_headers X-Gone;
    echo "$http_x_in|$http_x_new|$http_x_none|$http_x_gone";
}
--- more_headers
X-In: sent
X-Old: old
X-Gone: here
--- request
GET /
--- response_body
set old|n||



=== TEST 10: a long value in lines of its own
--- http_config
server { listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1; return 200 "$http_x_long|$http_x_end"; }
--- config
location = / {
    add_header Content-Security-Policy "
        default-src 'self';
        img-src $http_host;
    ";
    proxy_set_header X-Long "one,
    two";
    proxy_set_header X-End "three
four";
    proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1;
}
--- request
GET / HTTP/1.1
--- response_headers_like
Content-Security-Policy: default-src 'self'; img-src localhost; ?
--- response_body chomp
one, two|three%0Afour
