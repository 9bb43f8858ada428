# autoindex.
use lib 't/lib';
use Bulan::Test;

add_block_preprocessor(sub { shift->set_value(user_files => ">>> d/b&c\nxx\n>>> d/.hidden\nx\n>>> d/sub/x\nx\n>>> e/index.html\nindex\n") });

run_tests();

__DATA__

=== TEST 1: HTML
--- config
autoindex on;
--- request
GET /d/
--- response_headers
Content-Type: text/html
--- response_body_like eval
qr!<h1>Index of /d/</h1><hr><pre><a href="\.\./">\.\./</a>\r\n<a href="sub/">sub/</a> {47}\d\d-\w{3}-\d{4} \d\d:\d\d {19}-\r\n<a href="b%26c">b&amp;c</a> {48}\d\d-\w{3}-\d{4} \d\d:\d\d {19}3\r\n</pre>!
--- response_body_unlike: hidden



=== TEST 2: an index comes first; off is off
--- config
location /on/ { alias $TEST_NGINX_HTML_DIR/; autoindex on; }
location /off/ { alias $TEST_NGINX_HTML_DIR/; }
--- request eval
["GET /on/e/", "GET /off/d/"]
--- error_code eval
[200, 403]
--- response_body_like eval
["^index", "403"]



=== TEST 3: JSON, JSONP, XML
--- config
autoindex on;
autoindex_format json;
location /p/ { alias $TEST_NGINX_HTML_DIR/; autoindex_format jsonp; }
location /x/ { alias $TEST_NGINX_HTML_DIR/; autoindex_format xml; }
--- request eval
["GET /d/", "GET /p/d/?callback=f", "GET /x/d/", "GET /p/d/?callback=a(b"]
--- error_code eval
[200, 200, 200, 400]
--- response_body_like eval
[qr/^\[\r\n\{ "name":"sub", "type":"directory", "mtime":"[^"]+ GMT" \},\r\n\{ "name":"b&c", "type":"file", "mtime":"[^"]+", "size":3 \}\r\n\]$/,
 qr/^\/\* callback \*\/\r\nf\(\[.*\]\);$/s, qr/<directory mtime="[-\dT:]+Z">sub<\/directory>\r\n<file mtime="[-\dT:]+Z" size="3">b&amp;c<\/file>/,
 qr/400/]
