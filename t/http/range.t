# Conditional requests and ranges.
use lib 't/lib';
use Bulan::Test;

add_block_preprocessor(sub {
    my $block = shift;
    $block->set_value(config => "location / { }\n") unless defined $block->config;
    $block->set_value(user_files => ">>> a.txt\n0123456789abcdef\n") unless defined $block->user_files;
});

run_tests();

__DATA__

=== TEST 1: one range
--- request eval
[("GET /a.txt") x 5]
--- more_headers eval
["Range: bytes=2-5", "Range: bytes=10-", "Range: bytes=-3", "range: bytes=15-1000", "Range: bytes=0-0"]
--- error_code eval
[(206) x 5]
--- response_headers eval
["Content-Range: bytes 2-5/17\n!Accept-Ranges", "Content-Range: bytes 10-16/17", "Content-Range: bytes 14-16/17",
 "Content-Range: bytes 15-16/17", "Content-Length: 1"]
--- response_body eval
["2345", "abcdef\n", "ef\n", "f\n", "0"]



=== TEST 2: several ranges
--- request
GET /a.txt
--- more_headers
Range: bytes=12-13, 0-1,-2
--- error_code: 206
--- response_headers_like
Content-Type: multipart/byteranges; boundary=\d{20}
--- response_body_like eval
qr!^\r\n--(\d{20})\r\nContent-Type: text/plain\r\nContent-Range: bytes 12-13/17\r\n\r\ncd\r\n--\1\r\n.*bytes 0-1/17\r\n\r\n01\r\n--\1\r\n.*bytes 15-16/17\r\n\r\nf\n\r\n--\1--\r\n$!s



=== TEST 3: several ranges of a file that goes through memory
--- config
location / { sendfile off; output_buffers 1 4k; }
--- perl
my $text = join '', map { sprintf '%07d.', $_ } 0 .. 9999;
open my $to, '>', $server->path('html') . '/big' or die; print $to $text; close $to;
my $r = $server->get('/big', Range => 'bytes=70000-70007,0-7,40000-40015');
is $r->{status}, 206, 'partial';
like $r->{body}, qr/0008750\..*0000000\..*0005000\.0005001\./s, 'all of them, in the order asked for';
is $server->get('/big', Range => 'bytes=5000-69999')->{body}, substr($text, 5000, 65000), 'a long one';



=== TEST 4: not satisfiable, not understood, too many
--- config
location / { }
location /two/ { alias $TEST_NGINX_HTML_DIR/; max_ranges 1; }
location /none/ { alias $TEST_NGINX_HTML_DIR/; max_ranges 0; }
--- request eval
["GET /a.txt", "GET /a.txt", "GET /a.txt", "GET /two/a.txt", "GET /none/a.txt", "GET /a.txt"]
--- more_headers eval
["Range: bytes=17-", "Range: bytes=x", "Range: lines=1-2", "Range: bytes=0-1,3-4", "Range: bytes=0-1",
 "Range: bytes=0-,0-"]
--- error_code eval
[416, 416, 200, 200, 200, 200]
--- response_headers eval
["Content-Range: bytes */17", "Content-Range: bytes */17", "Accept-Ranges: bytes", "Accept-Ranges: bytes", "!Accept-Ranges",
 "Content-Length: 17"]



=== TEST 5: If-Range
--- perl
my $r = $server->get('/a.txt');
my ($etag, $time) = map { $r->{headers}{$_}[0] } qw(etag last-modified);
my @range = (Range => 'bytes=0-1');
is $server->get('/a.txt', @range, 'If-Range' => $etag)->{status}, 206, 'its tag';
is $server->get('/a.txt', @range, 'If-Range' => '"x"')->{status}, 200, 'another tag';
is $server->get('/a.txt', @range, 'If-Range' => $time)->{status}, 206, 'its time';
is $server->get('/a.txt', @range, 'If-Range' => 'Mon, 28 Sep 1970 06:00:00 GMT')->{status}, 200, 'another time';



=== TEST 6: conditions
--- perl
my $r = $server->get('/a.txt');
my ($etag, $time) = map { $r->{headers}{$_}[0] } qw(etag last-modified);
my $old = 'Mon, 28 Sep 1970 06:00:00 GMT';
my @cases = (
    ['If-Modified-Since' => $time, 304], ['If-Modified-Since' => $old, 200],
    ['If-Unmodified-Since' => $time, 200], ['If-Unmodified-Since' => $old, 412],
    ['If-None-Match' => $etag, 304], ['If-None-Match' => "W/$etag", 304], ['If-None-Match' => '"x", ' . $etag, 304],
    ['If-None-Match' => '*', 304], ['If-None-Match' => '"x"', 200],
    ['If-Match' => $etag, 200], ['If-Match' => "W/$etag", 412], ['If-Match' => '"x"', 412], ['If-Match' => '*', 200],
);
is $server->get('/a.txt', $_->[0] => $_->[1])->{status}, $_->[2], "$_->[0]: $_->[1]" for @cases;



=== TEST 7: if_modified_since
--- config
location /off/ { alias $TEST_NGINX_HTML_DIR/; if_modified_since off; }
location /before/ { alias $TEST_NGINX_HTML_DIR/; if_modified_since before; }
location /exact/ { alias $TEST_NGINX_HTML_DIR/; }
--- request eval
["GET /off/a.txt", "GET /before/a.txt", "GET /exact/a.txt"]
--- more_headers
If-Modified-Since: Fri, 31 Dec 2100 00:00:00 GMT
--- error_code eval
[200, 304, 200]
