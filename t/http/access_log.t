# access_log and log_format.
use lib 't/lib';
use Bulan::Test;

run_tests();

__DATA__

=== TEST 1: formats, conditions, several logs, off
--- http_config
log_format a '$request_method $uri $status "$http_x" $arg_none';
log_format json escape=json '{"x":"$http_x","n":"$arg_none"}';
log_format none escape=none '$http_x|$arg_none|';
--- config
location / {
    access_log logs/a.log a;
    access_log logs/json.log json;
    access_log logs/none.log none;
    access_log logs/if.log a if=$arg_log;
    return 200 x;
    location /off { access_log off; return 200 x; }
}
--- perl
$server->get($_, X => "q\"\\\x01\x7f") for '/one', '/two?log=1', '/three?log=0', '/off';
$server->stop; # a line is written when the client has its response already
sub lines { open my $in, '<', $server->path("logs/$_[0].log") or die "$_[0]: $!"; my @l = <$in>; chomp @l; \@l }
is_deeply lines('a'), [map { qq(GET /$_ 200 "q\\x22\\x5C\\x01\\x7F" -) } qw(one two three)], 'default escapes';
is lines('json')->[0], qq({"x":"q\\"\\\\\\u0001\x7f","n":""}), 'JSON';
is lines('none')->[0], qq(q"\\\x01\x7f||), 'none';
is_deeply lines('if'), [qq(GET /two 200 "q\\x22\\x5C\\x01\\x7F" -)], 'if=';



=== TEST 2: buffered until the end, or until the time is up
--- http_config
log_format a '$uri';
--- config
location / { access_log logs/buffer.log a buffer=4k; access_log logs/flush.log a buffer=4k flush=50ms; return 200 x; }
--- perl
use Bulan::Test::Process 'wait_until';
$server->get('/a');
is -s $server->path('logs/buffer.log'), 0, 'not yet';
ok wait_until(2, sub { -s $server->path('logs/flush.log') }), 'after its time';
$server->stop;
is -s $server->path('logs/buffer.log'), 3, 'at the end';



=== TEST 3: gzip
--- http_config
log_format a '$uri';
--- config
location / { access_log logs/a.gz a gzip=6; return 200 x; }
--- perl
$server->get('/a') for 1 .. 3;
$server->stop;
my $file = $server->path('logs/a.gz');
is `gzip -dc $file`, "/a\n" x 3, 'a gzip file';



=== TEST 4: files named by variables
--- config
location / { access_log logs/$arg_f.log; return 200 x; }
location /cached { open_log_file_cache max=2 min_uses=1; access_log logs/c_$arg_f.log; return 200 x; }
--- perl
$server->get("/?f=$_"), $server->get("/cached?f=$_") for qw(a b a);
$server->stop;
sub count { open my $in, '<', $server->path("logs/$_[0].log") or return 0; my @l = <$in>; scalar @l }
is count($_), 2, $_ for qw(a c_a);
is count($_), 1, $_ for qw(b c_b);



=== TEST 5: what can't be
--- config
access_log logs/a.log none;
--- must_die
--- error_log
unknown log format "none"
