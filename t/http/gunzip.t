# gzip_static and gunzip.
use lib 't/lib';
use Bulan::Test;

add_block_preprocessor(sub { shift->set_value(init => <<'END') });
my $dir = $ENV{TEST_NGINX_HTML_DIR};
open my $to, '>', "$dir/a.txt" or die; print $to "plain\n"; close $to;
system("(printf 'first '; seq 1 20000) | gzip -c >$dir/a.txt.gz; gzip -c $dir/a.txt >>$dir/a.txt.gz") == 0 or die;
END

run_tests();

__DATA__

=== TEST 1: to those who take it
--- config
gzip_static on;
gzip_vary on;
--- request eval
["GET /a.txt", "GET /a.txt"]
--- more_headers eval
["Accept-Encoding: gzip", ""]
--- response_headers eval
["Content-Encoding: gzip\nContent-Type: text/plain\nVary: Accept-Encoding", "!Content-Encoding\nVary: Accept-Encoding"]
--- response_body_like eval
[qr/^\x1f\x8b/, qr/^plain\n$/]



=== TEST 2: always, and gunzip for those who don't
--- config
gzip_static always;
gunzip on;
--- request eval
["GET /a.txt", "GET /a.txt", "HEAD /a.txt"]
--- more_headers eval
["Accept-Encoding: gzip", "", ""]
--- response_headers_like eval
["Content-Encoding: gzip\nETag: \"[^\"]+\"", "ETag: W/\"[^\"]+\"", "ETag: W/\"[^\"]+\""]
--- response_body_like eval
[qr/^\x1f\x8b/, qr/^first 1\n2\n.*\n19999\n20000\nplain\n$/s, qr/^$/]
