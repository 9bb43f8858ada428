# set, if, rewrite, return, break.
use lib 't/lib';
use Bulan::Test;

run_tests();

__DATA__

=== TEST 1: return: text, code, URL
--- config
default_type text/x-moon;
location /text { return 200 "hi $arg_a\n"; }
location /bare { return 201; }
location /gone { return 410; }
location /url { return 307 /other; }
location /only { return http://example.com/x; }
location /page.html { return 200 x; } # an extension's type, as files have it
--- request eval
["GET /text?a=b", "GET /bare", "GET /gone", "GET /url", "GET /only", "GET /page.html"]
--- error_code eval
[200, 201, 410, 307, 302, 200]
--- response_headers_like eval
["Content-Type: text/x-moon", "Content-Length: 0", "Content-Type: text/html",
 "Location: http://localhost:\\d+/other", "Location: http://example.com/x", "Content-Type: text/html"]
--- response_body_like eval
["^hi b\n\$", "^\$", "410 Gone", "307", "302", "^x\$"]



=== TEST 2: return 444 closes without a word
--- config
location / { return 444; }
--- request
GET /
--- raw_response chomp
--- ignore_response



=== TEST 3: if: all conditions
--- config
location / {
    set $r "";
    if ($arg_a) { set $r "${r}1"; }
    if ($arg_a = x) { set $r "${r}2"; }
    if ($arg_a != x) { set $r "${r}3"; }
    if ($arg_a ~ ^X$) { set $r "${r}4"; }
    if ($arg_a ~* ^X$) { set $r "${r}5"; }
    if ($arg_a !~ ^X$) { set $r "${r}6"; }
    if ($arg_a !~* ^X$) { set $r "${r}7"; }
    if ( $arg_a = "" ) { set $r "${r}8"; }
    return 200 $r;
}
--- request eval
["GET /?a=x", "GET /?a=X", "GET /?a=0", "GET /"]
--- response_body eval
["1256", "1345", "367", "3678"]



=== TEST 4: if: files
--- config
location / {
    set $r "";
    if (-f $document_root$uri) { set $r "${r}f"; }
    if (-d $document_root$uri) { set $r "${r}d"; }
    if (-e $document_root$uri) { set $r "${r}e"; }
    if (!-e $document_root$uri) { set $r "${r}-"; }
    return 200 $r;
}
--- user_files
>>> a/b.txt
x
--- request eval
["GET /a/b.txt", "GET /a", "GET /none"]
--- response_body eval
["fe", "de", "-"]



=== TEST 5: the settings of an if block are the request's
--- config
location / {
    add_header X-In no;
    if ($arg_a) {
        add_header X-In yes;
        set $b in;
    }
    return 200 "$b";
}
--- request eval
["GET /?a=1", "GET /"]
--- response_headers eval
["X-In: yes", "X-In: no"]
--- response_body eval
["in", ""]



=== TEST 6: rewrite: last, break, none, arguments
--- config
location /last { rewrite ^/last(.*)$ /to$1?x=1 last; return 200 not; }
location /drop { rewrite ^ /to? last; }
location /break { rewrite ^ /to/b break; return 200 not; }
location /go-on { rewrite ^ /a; rewrite ^/a /to/c; }
location /to { return 200 "$uri|$args|$request_uri"; }
--- user_files
>>> to/b
file
--- request eval
["GET /last/q?y=2", "GET /last", "GET /drop?y=2", "GET /go-on?y", "GET /break"]
--- response_body eval
["/to/q|x=1&y=2|/last/q?y=2", "/to|x=1|/last", "/to||/drop?y=2", "/to/c|y|/go-on?y", "file\n"]



=== TEST 7: rewrite: redirects keep or drop arguments
--- config
location /a { rewrite ^/a(.*) http://example.com$1 permanent; }
location /b { rewrite ^ http://example.com/? redirect; }
location /c { rewrite ^ http://example.com/c?d; }
location /d { rewrite ^ /here redirect; }
--- request eval
["GET /a/x%20y?q=1", "GET /b?q=1", "GET /c?q=1", "GET /d"]
--- error_code eval
[301, 302, 302, 302]
--- response_headers_like eval
["Location: http://example.com/x%20y\\?q=1", "Location: http://example.com/", "Location: http://example.com/c\\?d&q=1",
 "Location: http://localhost:\\d+/here"]



=== TEST 8: captures that came escaped are escaped in arguments
--- config
location /a { rewrite ^/a/(.*)$ /to?x=$1 last; }
location /to { return 200 "$args"; }
--- request
GET /a/b%26c%20d
--- response_body chomp
x=b%26c%20d



=== TEST 9: a cycle ends
--- config
location / { rewrite ^ /x last; }
--- request
GET /
--- error_code: 500
--- error_log
rewrite or internal redirection cycle while processing



=== TEST 10: server level, and break
--- server_config
listen $TEST_NGINX_SERVER_PORT;
server_name localhost;
set $a server;
if ($arg_stop) { return 200 "stopped\n"; }
rewrite ^/old(.*)$ /new$1 last;
rewrite ^ /never last;
location /new { set $b "$a-loc"; break; return 200 not; }
location / { return 200 "$uri"; }
--- request eval
["GET /x?stop=1", "GET /old/f"]
--- user_files
>>> new/f
the file
--- response_body eval
["stopped\n", "the file\n"]



=== TEST 11: named groups are variables; unset ones are warned of
--- config
location / {
    if ($uri ~ ^/(?<first>[a-z]+)/) { set $x "got $first"; }
    return 200 "$x";
}
--- request eval
["GET /abc/", "GET /1"]
--- response_body eval
["got abc", ""]
--- error_log
using uninitialized "x" variable



=== TEST 12: rewrite_log
--- config
rewrite_log on;
location / { rewrite ^/(a) /$1$1 break; return 200 x; }
--- request
GET /a
--- error_code: 404
--- error_log
"^/(a)" matches "/a"
rewritten data: "/aa", args: ""



=== TEST 13: a condition that is none
--- config
location / { if (x = y) { return 200; } }
--- must_die
--- error_log
invalid condition "x"
