# Files read in threads and around the page cache: thread_pool, aio, directio; ranges through memory.
use lib 't/lib';
use Bulan::Test;

run_tests();

__DATA__

=== TEST 1: the same bytes on every way
--- main_config
thread_pool two threads=2;
--- config
location /memory/ { alias $TEST_NGINX_HTML_DIR/; aio threads=two; }
location /sendfile/ { alias $TEST_NGINX_HTML_DIR/; aio threads=two; sendfile on; }
location /named/ { alias $TEST_NGINX_HTML_DIR/; aio threads=$arg_pool; output_buffers 1 3000; }
location /direct/ { alias $TEST_NGINX_HTML_DIR/; directio 20000; sendfile on; output_buffers 3 10k; }
location /both/ { alias $TEST_NGINX_HTML_DIR/; directio 1; directio_alignment 4k; aio threads=two; }
location /zip/ { alias $TEST_NGINX_HTML_DIR/; aio threads=two; sendfile on; gzip on; gzip_types *; }
location /ahead/ { alias $TEST_NGINX_HTML_DIR/; read_ahead 1k; }
location /loop/ { alias $TEST_NGINX_HTML_DIR/; sendfile on; sendfile_max_chunk 4k; }
--- perl
my $dir = $server->path('html');
for my $size (0, 1, 511, 16384, 16385, 100_000, 1_500_001) {
    my $text = join '', map { chr 33 + ($_ * 7 + ($_ >> 8)) % 90 } 1 .. $size;
    open my $to, '>', "$dir/f$size" or die; print $to $text; close $to;
    for my $way (qw(memory sendfile named direct both zip ahead loop)) {
        for (1, 2) {
            my $got = $server->get("/$way/f$size?pool=two");
            ok $got->{status} == 200 && $got->{body} eq $text, "$size bytes, $way, $_";
        }
        next if $size < 1000;
        for my $range ([0, 0], [1, 700], [511, 513], [$size - 5, $size - 1]) {
            my ($from, $to) = @$range;
            my $got = $server->get("/$way/f$size?pool=two", Range => "bytes=$from-$to");
            ok $got->{status} == 206 && $got->{body} eq substr($text, $from, $to - $from + 1),
                "$size bytes, $way, $from-$to";
        }
        my $got = $server->get("/$way/f$size?pool=two", Range => 'bytes=0-3,10-12');
        like $got->{body}, qr/\Q@{[substr $text, 0, 4]}\E\r\n.*\Q@{[substr $text, 10, 3]}\E\r\n/s, 'two ranges';
        is $server->send_request('HEAD', "/$way/f$size?pool=two")->{body}, '', 'HEAD';
    }
}



=== TEST 2: the reads are in threads, which are started when there is something to do
--- main_config
thread_pool two threads=2;
--- config
location / { }
location /aio/ { alias $TEST_NGINX_HTML_DIR/; aio threads=two; }
location /default/ { alias $TEST_NGINX_HTML_DIR/; aio on; }
--- user_files eval
">>> big\n" . ('x' x 100_000) . "\n"
--- perl
my ($worker) = $server->worker_pids;
my $threads = sub { my @all = glob "/proc/$worker/task/*"; scalar @all };
SKIP: {
    skip 'no /proc', 3 if !-d "/proc/$worker/task";
    my $before = $threads->();
    $server->get('/big');
    is $threads->() - $before, 0, 'none';
    $server->get('/aio/big');
    my $two = $threads->() - $before;
    ok $two == 2 || $two == 3, 'those of the pool';    # a sanitizer has one of its own
    $server->get('/default/big');
    is $threads->() - $before - $two, 32, 'and the default ones';
}



=== TEST 3: clients that go while a thread reads, and slow ones
--- config
location / { aio threads; limit_rate 10m; output_buffers 2 16k; }
--- user_files eval
">>> big\n" . ('x' x 3_000_000) . "\n"
--- perl
for (1 .. 20) {
    my $client = $server->connect;
    $client->send("GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
    $client->close;
}
is length $server->get('/big')->{body}, 3_000_001, 'serves on';



=== TEST 4: a pool that is not there, for this request
--- config
location / { aio threads=$arg_p; }
--- user_files eval
">>> big\n" . ('x' x 100_000) . "\n"
--- request
GET /big?p=nope
--- error_code: 500
--- error_log
thread pool "nope" not found



=== TEST 5: a full queue
--- main_config
thread_pool one threads=1 max_queue=0;
--- config
location / { aio threads=one; output_buffers 1 64k; }
--- user_files eval
">>> big\n" . ('x' x 20_000_000) . "\n"
--- perl
my @clients = map { $server->connect } 1 .. 40;
$_->send("GET /big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n") for @clients;
ok $server->wait_log(qr/thread pool "one" queue overflow: \d+ tasks waiting/), 'overflow';
$_->close for @clients;
ok Bulan::Test::Process::wait_until(5, sub { length $server->get('/big')->{body} == 20_000_001 }), 'one fits';



=== TEST 6: what is wrong is said
--- main_config
thread_pool x max_queue=1;
--- config
--- must_die
--- error_log
"thread_pool" must have "threads" parameter



=== TEST 7: an unknown pool
--- config
location / { aio threads=x; }
--- must_die
--- error_log
unknown thread pool "x"



=== TEST 8: twice the same
--- main_config
thread_pool x threads=1;
thread_pool x threads=2;
--- config
--- must_die
--- error_log
duplicate thread pool "x"



=== TEST 9: reload while threads read
--- main_config
thread_pool x threads=2;
--- config
location / { aio threads=x; }
--- user_files eval
">>> big\n" . ('x' x 3_000_000) . "\n"
--- perl
my $client = $server->connect;
$client->send("GET /big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
$server->signal('HUP');    # without writing the files anew, as reload does
ok $server->wait_log('gracefully shutting down'), 'reloaded';
is length $server->get('/big')->{body}, 3_000_001, 'new workers';
is length $client->response->{body}, 3_000_001, 'old ones';
