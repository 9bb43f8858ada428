# What must fail does: each case is a block whose expectation does not hold. It is written to a file,
# run by prove, and must come out as a failure that says why.
use strict;
use warnings;
use Cwd 'abs_path';
use File::Basename 'dirname';
use File::Temp 'tempdir';
use Test::More;

my $root   = abs_path(dirname(__FILE__) . '/../..');
my $folder = tempdir(CLEANUP => 1);

my @cases = (
    ['status', "--- request\nGET /none\n", qr/error_code.*got: '404'.*expected: '200'/s],
    ['another status', "--- request\nGET /ok\n--- error_code: 204\n", qr/error_code/],
    ['status by pattern', "--- request\nGET /ok\n--- error_code_like: ^4\n", qr/error_code_like/],
    ['body', "--- request\nGET /ok\n--- response_body\nko\n", qr/response_body.*got: 'ok/s],
    ['body without line end', "--- request\nGET /ok\n--- response_body chomp\nok\n", qr/response_body/],
    ['long body', "--- request\nGET /long\n--- response_body eval: 'x' x 2000 . \"y\\n\"\n", qr/first difference is at 2000/],
    ['body by pattern', "--- request\nGET /ok\n--- response_body_like: ko\n", qr/response_body_like/],
    ['body not by pattern', "--- request\nGET /ok\n--- response_body_unlike: ok\n", qr/response_body_unlike/],
    ['header', "--- request\nGET /ok\n--- response_headers\nX-Moon: none\n", qr/response_headers: X-Moon/],
    ['no header', "--- request\nGET /ok\n--- response_headers\n!Content-Length\n", qr/no Content-Length/],
    ['header by pattern', "--- request\nGET /ok\n--- response_headers_like\nContent-Length: x+\n", qr/response_headers_like/],
    ['raw headers', "--- request\nGET /ok\n--- raw_response_headers_like: X-Moon\n", qr/raw_response_headers_like/],
    ['not raw headers', "--- request\nGET /ok\n--- raw_response_headers_unlike: Content-Length\n", qr/raw_response_headers_unlike/],
    ['second of two', "--- request eval: ['GET /ok', 'GET /ok']\n--- response_body eval: [\"ok\\n\", \"ko\\n\"]\n", qr/request 2 - response_body/],
    ['second of a pipeline', "--- pipelined_requests eval: ['GET /ok', 'GET /ok']\n--- error_code eval: [200, 404]\n", qr/request 2 - error_code/],
    ['log', "--- request\nGET /ok\n--- error_log\nno such line\n", qr/error_log: no such line/],
    ['not in the log', "--- request\nGET /none\n--- error_code: 404\n--- no_error_log\n[error]\n", qr/no_error_log: \[error\].*the line:/s],
    ['grep in the log', "--- request\nGET /none\n--- error_code: 404\n--- grep_error_log eval: qr/open/\n--- grep_error_log_out\nshut\n", qr/grep_error_log_out/],
    ['shutdown log', "--- request\nGET /ok\n--- shutdown_error_log\nno such line\n", qr/shutdown_error_log/],
    ['killed worker', "--- perl\nkill 'KILL', \$server->worker_pids; \$server->wait_log('exited on signal');\n--- request\nGET /ok\n", qr/lives and ends well.*exited on signal 9/s],
    ['killed master', "--- perl\nmy \@w = \$server->worker_pids; kill 'KILL', \$server->master_pid; kill 'KILL', \@w;\n--- request\nGET /ok\n", qr/ended (?:by itself )?with signal 9/],
    ['alert', "--- perl\nappend(\$server, 'error.log', '2026/01/01 00:00:00 [alert] 1#1: odd');\n--- request\nGET /ok\n", qr/not expected in error\.log: .*odd/],
    ['emerg on reload', "--- perl\n\$server->write_file('conf/nginx.conf', 'nonsense;'); \$server->signal('HUP'); \$server->wait_log('unknown directive');\n--- request\nGET /ok\n", qr/not expected in error\.log: .*emerg.*nonsense/],
    ['address sanitizer', "--- perl\nappend(\$server, 'stderr', '==1==ERROR: AddressSanitizer: heap-use-after-free');\n--- request\nGET /ok\n", qr/sanitizer reports.*heap-use-after-free/s],
    ['undefined behaviour', "--- perl\nappend(\$server, 'error.log', 'src/x.c:1:2: runtime error: signed integer overflow');\n--- request\nGET /ok\n", qr/sanitizer reports.*integer overflow/s],
    ['panic', "--- perl\nappend(\$server, 'stderr', 'bulan: panic in process 1 at x.c:1');\n--- request\nGET /ok\n", qr/a panic: bulan/],
    ['does not stop', "--- perl\n\$server->{stop_seconds} = 0.2; kill 'STOP', \$server->master_pid;\n--- request\nGET /ok\n", qr/did not stop when told to/],
    ['does not start', "--- main_config\nnonsense;\n--- request\nGET /ok\n", qr/the server ended with status 1.*unknown directive "nonsense"/s],
    ['starts against must_die', "--- must_die\n--- timeout: 1\n", qr/does not start/],
    ['timeout', "--- request\nGET /silent\n--- timeout: 100ms\n", qr/a complete response.*timeout/s],
    ['closed early', "--- request\nGET /short\n", qr/a complete response.*closed/s],
    ['no request', "--- response_body\nok\n", qr/no request section/],
    ['unknown section', "--- request\nGET /ok\n--- respnse_body\nok\n", qr/unknown section respnse_body/],
    ['section twice', "--- request\nGET /ok\n--- request\nGET /ok\n", qr/request appears twice/],
    ['broken eval', "--- request eval: 1 +) 2\n", qr/eval of a section failed/],
    ['broken perl', "--- perl\ndie 'oops';\n", qr/the perl section runs.*oops/s],
    ['empty perl', "--- perl\n1;\n", qr/tests something/],
    ['unset variable', "--- request\nGET /\$TEST_NGINX_NOTHING\n", qr/nothing sets \$TEST_NGINX_NOTHING/],
    ['tcp query', "--- tcp_listen: \$TEST_NGINX_RAND_PORT_2\n--- tcp_query: abc\n--- request\nGET /ok\n", qr/tcp_query/],
    ['curl', "--- curl\n--- curl_url: http://127.0.0.1:1/\n--- request\nGET /ok\n", qr/a complete response.*curl:/s],
);

for (@cases) {
    my ($name, $sections, $expected) = @$_;
    my ($output, $status) = run_block($name, $sections);
    isnt $status, 0, "$name: the file fails";
    like $output, qr/^not ok|appears twice/m, "$name: an assertion fails";
    like $output, $expected, "$name: it says why";
}

my ($output, $status) = run_block('good', "--- request\nGET /ok\n--- response_body\nok\n");
is $status, 0, 'a good block passes';
unlike $output, qr/^not ok/m, 'and nothing in it fails';

done_testing;

# The output of a file with one block, and its exit status.
sub run_block {
    my ($name, $sections) = @_;
    (my $file = "$folder/$name.t") =~ s/ /_/g;

    open my $out, '>', $file or die "$file: $!";
    print $out <<"HEAD", $sections;
use lib '$root/t/lib';
use Bulan::Test;
use Bulan::Test::Backend;

# What a server that closes in the middle of a body, or says nothing, looks like.
our \$back = Bulan::Test::Backend->tcp(sub {
    my \$connection = shift;
    my \$request = \$connection->request or return;
    return select undef, undef, undef, 5 if \$request->{target} eq '/silent';
    \$connection->send("HTTP/1.0 200 OK\\r\\nContent-Length: 10\\r\\n\\r\\nshort");
});
\$ENV{TEST_NGINX_BACK} = \$back->port;

sub append {
    my (\$server, \$log, \$line) = \@_;
    open my \$out, '>>', \$server->path("logs/\$log") or die;
    print \$out "\$line\\n";
}

run_tests();

__DATA__

=== $name
--- config
location /ok { return 200 "ok\\n"; }
location /long { return 200 "@{['x' x 2000]}z\\n"; }
location /silent { proxy_pass http://127.0.0.1:\$TEST_NGINX_BACK; }
location /short { proxy_pass http://127.0.0.1:\$TEST_NGINX_BACK; }
HEAD
    close $out;

    local $ENV{TEST_NGINX_NO_KEEP}  = 1;
    local $ENV{TEST_NGINX_LOG_WAIT} = 0.2;
    local $ENV{PERL5LIB} = "$root/t/lib";
    my $output = `cd "$root" && "$^X" "$file" 2>&1`;
    return ($output, $?);
}
