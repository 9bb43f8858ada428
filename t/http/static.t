# Files: static, index, try_files, root and alias, the memory for small ones.
use lib 't/lib';
use Bulan::Test;

run_tests();

__DATA__

=== TEST 1: a file and its validators
--- config
location / { }
--- user_files
>>> a.txt
hello
--- request
GET /a.txt
--- response_body
hello
--- response_headers_like
Content-Type: text/plain
Content-Length: 6
Last-Modified: \w{3}, \d\d \w{3} \d{4} .* GMT
ETag: "[0-9a-f]+-6"
Accept-Ranges: bytes



=== TEST 2: what is not there, not allowed, a folder without slash
--- config
location / { }
--- user_files
>>> d/x
x
--- request eval
["GET /none", "PUT /d/x\nabc", "POST /d/x\nabc", "GET /d?q=1", "GET /d/", "GET /none/"]
--- error_code eval
[404, 405, 405, 301, 403, 404]
--- error_log eval
[qr/open\(\) ".*\/none" failed \(2: No such file or directory\)/, qr/directory index of ".*\/d\/" is forbidden/]



=== TEST 3: log_not_found off
--- config
location / { log_not_found off; }
--- request
GET /none
--- error_code: 404
--- no_error_log
[error]



=== TEST 4: a small file that changes is never stale
--- config
location / { }
--- user_files
>>> a.txt
one
--- perl
my $file = $server->path('html') . '/a.txt';
for my $text (qw(one two three four five)) {
    for my $old (0, 1) {                     # kept in memory only when it is old enough
        open my $to, '>', $file or die; print $to $text; close $to;
        select undef, undef, undef, 0.1 if $old;
        is $server->get('/a.txt')->{body}, $text, "$text, " . ($old ? 'kept' : 'fresh') for 1 .. 2;
    }
}
open my $to, '>', "$file.new" or die; print $to 'other'; close $to;
rename "$file.new", $file;
is $server->get('/a.txt')->{body}, 'other', 'another file under the name';
unlink $file;
is $server->get('/a.txt')->{status}, 404, 'gone';



=== TEST 5: files of all sizes, by sendfile and through memory
--- config
location /s/ { alias $TEST_NGINX_HTML_DIR/; sendfile on; }
location /m/ { alias $TEST_NGINX_HTML_DIR/; sendfile off; output_buffers 1 1k; }
--- perl
my $dir = $server->path('html');
for my $size (0, 1, 1460, 16384, 16385, 100_000, 3_000_001) {
    my $text = substr 'moon' x ($size / 4 + 1), 0, $size;
    open my $to, '>', "$dir/f$size" or die; print $to $text; close $to;
    for my $way (qw(s m)) {
        ok $server->get("/$way/f$size")->{body} eq $text, "$size bytes, $way";
    }
}



=== TEST 6: index
--- config
location / { index $arg_i first.html second.html; }
location /abs/ { index none.html /second.html; }
--- user_files
>>> second.html
second
>>> third.html
third
>>> abs/x
x
--- request eval
["GET /", "GET /?i=third.html", "GET /abs/", "POST /\nabc"]
--- error_code eval
[200, 200, 200, 405]
--- response_body_like eval
["^second\n\$", "^third\n\$", "^second\n\$", "405"]



=== TEST 7: try_files
--- config
location / { try_files $uri $uri/ /fallback?x=1; }
location /code { try_files /none =418; }
location /named { try_files /none @here; }
location /fallback { return 200 "fallback $args"; }
location @here { return 200 "named $uri"; }
location /al/ { alias $TEST_NGINX_HTML_DIR/sub/; try_files $uri found.txt =404; }
location ~ ^/re/ { alias $TEST_NGINX_HTML_DIR/sub; try_files /found.txt =404; }
--- user_files
>>> a.txt
a
>>> sub/index.html
index
>>> sub/found.txt
found
--- request eval
["GET /a.txt", "GET /sub/", "GET /none?q", "GET /code", "GET /named", "GET /al/none", "GET /al/index.html", "GET /re/x"]
--- error_code eval
[200, 200, 200, 418, 200, 200, 200, 200]
--- response_body_like eval
["^a\n\$", "^index\n\$", "^fallback x=1\$", "^\$", "^named /named\$", "^found\n\$", "^index\n\$", "^found\n\$"]



=== TEST 8: open_file_cache
--- config
location / { open_file_cache max=2 inactive=10s; open_file_cache_valid 10s; open_file_cache_errors on; }
--- user_files
>>> a.txt
one
>>> b.txt
b
>>> c.txt
c
--- perl
my $file = $server->path('html') . '/a.txt';
is $server->get('/a.txt')->{body}, "one\n", 'opened';
open my $to, '>', "$file.new" or die; print $to 'two'; close $to;
rename "$file.new", $file;
is $server->get('/a.txt')->{body}, "one\n", 'still the open one';
is $server->get('/none')->{status}, 404, 'not there';
open $to, '>', $server->path('html') . '/none' or die; close $to;
is $server->get('/none')->{status}, 404, 'remembered';
is $server->get("/$_.txt")->{status}, 200, $_ for qw(b c b);
is $server->get('/a.txt')->{body}, 'two', 'pushed out and opened anew';



=== TEST 9: disable_symlinks
--- config
location /on/ { alias $TEST_NGINX_HTML_DIR/; disable_symlinks on; }
location /off/ { alias $TEST_NGINX_HTML_DIR/; }
--- user_files
>>> d/a.txt
a
--- perl
my $dir = $server->path('html');
symlink 'd', "$dir/folder";
symlink 'd/a.txt', "$dir/file";
is $server->get("/on/d/a.txt")->{status}, 200, 'no link';
is $server->get("/on/$_")->{status}, 403, "link: $_" for qw(file folder/a.txt);
is $server->get("/off/$_")->{status}, 200, "allowed: $_" for qw(file folder/a.txt);
--- error_log
Too many levels of symbolic links



=== TEST 10: HEAD
--- config
location / { sendfile on; }
--- user_files
>>> a.txt
hello
--- request
HEAD /a.txt
--- response_headers
Content-Length: 6
--- response_body chomp



=== TEST 11: disable_symlinks: what stands in front of "from" is trusted
--- config
location /all/ { alias $TEST_NGINX_HTML_DIR/up/; disable_symlinks on; }
location /from/ { alias $TEST_NGINX_HTML_DIR/up/; disable_symlinks on from=$TEST_NGINX_HTML_DIR/up; }
location /root/ { root $TEST_NGINX_HTML_DIR/up; disable_symlinks if_not_owner from=$document_root; }
location /other/ { alias $TEST_NGINX_HTML_DIR/up/; disable_symlinks on from=$TEST_NGINX_HTML_DIR/u; }
location /file/ { alias $TEST_NGINX_HTML_DIR/; disable_symlinks on from=$request_filename; }
--- user_files
>>> d/a.txt
a
>>> d/root/a.txt
a
--- perl
my $dir = $server->path('html');
symlink 'd', "$dir/up";
symlink 'a.txt', "$dir/d/link";
my %status = (
    '/all/a.txt' => 403, '/from/a.txt' => 200, '/from/link' => 403, '/root/a.txt' => 200,
    '/other/a.txt' => 403, '/file/d/link' => 200, '/from/none' => 404,
);
is $server->get($_)->{status}, $status{$_}, $_ for sort keys %status;
--- error_log
Too many levels of symbolic links



=== TEST 12: disable_symlinks: what one location has opened is not another's
--- config
open_file_cache max=10;
location /off/ { alias $TEST_NGINX_HTML_DIR/; }
location /on/ { alias $TEST_NGINX_HTML_DIR/; disable_symlinks on; }
--- user_files
>>> a.txt
a
--- perl
my $dir = $server->path('html');
symlink 'a.txt', "$dir/link";
for (1, 2) {
    is $server->get('/off/link')->{status}, 200, 'allowed';
    is $server->get('/on/link')->{status}, 403, 'not allowed';
}
--- error_log
Too many levels of symbolic links



=== TEST 13: disable_symlinks: words
--- config
location / { disable_symlinks off from=/x; }
--- must_die
--- error_log
"from=" cannot be used with "off" parameter
