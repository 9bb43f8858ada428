# The examples of the course about modules, in Lua and in C: each starts as its README says (only its
# ports are others), and answers what its README promises.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Bulan::Test::Example 'start_example';
use Bulan::Test::Process 'wait_until';
use Bulan::Test::Readme 'readme_holds';
use Bulan::Test::Server;

my $COURSE = 'examples/course';

# Two requests at the same time.
sub both {
    my ($server, @paths) = @_;
    my @clients = map { $server->connect } @paths;
    $clients[$_]->send("GET $paths[$_] HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n") for 0 .. $#paths;
    return map { $_->response->{body} } @clients;
}

subtest 'modules' => sub {
    my $server = start_example("$COURSE/17-modules");
    $server->wait_workers;
    readme_holds($server, "$COURSE/17-modules");
    is_deeply [both($server, '/greet?name=Ani', '/greet?name=Budi')], ["Hello, Ani\n", "Hello, Budi\n"], 'who is who';

    # The new code counts on.
    my $path = $server->path('lua/counter.lua');
    my $text = Bulan::Test::Server::slurp($path) =~ s/here = here \+ 1/here = here + 100/r;
    my ($all) = $server->get('/counter')->{body} =~ /(\d+) in all/;
    $server->write_file('lua/counter.lua', $text);
    ok wait_until(5, sub { $server->get('/counter')->{body} =~ /: 1\d\d here, (\d+) in all/ && $1 > $all }),
        'a module that was changed goes on from what it knew';
    $server->stop;
};

subtest 'FFI' => sub {
    plan skip_all => 'no compiler' if system('cc --version >/dev/null 2>&1') || system('pkg-config --exists luajit');
    my $server = start_example("$COURSE/18-ffi", make => 1);
    readme_holds($server, "$COURSE/18-ffi");
    like $server->get('/libc')->{body}, qr/^process @{[($server->worker_pids)[0]]}, up for \d+ s$/, 'its own number';
    my ($km) = $server->get('/distance?from=jakarta&to=makassar')->{body} =~ /: (\d+) km/;
    ok $km > 1380 && $km < 1410, "about 1400 km ($km)";
    ($km) = $server->get('/way')->{body} =~ /^(\d+) km/;
    ok $km > 5000 && $km < 6000, "the whole way ($km)";
    is $server->get('/distance?from=here')->{status}, 404, 'no such place';
    like $server->post('/zip', '')->{body}, qr/^0 bytes become 8, crc32 00000000$/, 'nothing is packed, too';
    $server->stop;

    $server = start_example("$COURSE/18-ffi");
    my $answer = $server->get('/way');
    is $answer->{status}, 503, 'without the library';
    is $answer->{body}, "the library is not there: make it first\n", '… that is said';
    ok $server->wait_log(qr/\[error\].*make -C \S+ first/), '… and how, in the log';
    $server->stop;
};

done_testing;
