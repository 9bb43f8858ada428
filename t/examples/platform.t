# The examples of examples/platform: each starts as its README says (only its ports are others), and
# answers what its README promises.
use strict;
use warnings;
use lib 't/lib';
use Cwd ();
use Test::More;
use Bulan::Test::Backend;
use Bulan::Test::Command;
use Bulan::Test::Example 'start_example';
use Bulan::Test::Process 'wait_until';

my $FOLDER = 'examples/platform';
my %tested;

sub start {
    my ($name, %port) = @_;
    $tested{$name} = 1;
    return start_example("$FOLDER/$name", %port);
}

subtest 'watchdog' => sub {
    my $server = start('watchdog');
    is $server->get('/polite')->{body}, "That took a while, too.\n", '/polite';
    is $server->get('/slow')->{body}, "That took a while.\n", '/slow';
    like $server->log, qr/has held the event loop for \d+ ms in content_by_lua\*.*"GET \/slow/s, 'is named';
    unlike $server->log, qr/\/polite/, 'the polite one is not';
    is $server->get('/endless')->{status}, 500, '/endless ends';
    $server->stop;
};

subtest 'worker-events' => sub {
    my $server = start('worker-events');
    wait_until(5, sub { $server->get('/motto/set?text=onward')->{body} eq "told 4 workers\n" });
    ok wait_until(5, sub { $server->get('/motto')->{body} =~ /^worker \d: onward$/ }), 'a worker has heard it';
    my $waits = $server->connect;
    $waits->send("GET /work HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    $server->get('/work/new?what=sweep');
    like $waits->take(qr/sweep/, time + 5), qr/sweep/, 'work is handed out';
    $server->stop;
};

subtest 'tasks' => sub {
    my $server = start('tasks');
    is $server->get('/alarm?name=tea&in=60')->{body}, "set\n", 'an alarm';
    $server->get('/alarm?name=rice&in=60');
    is $server->get('/alarms')->{body}, "rice tea\n", 'two are set';
    is $server->get('/alarm/off?name=tea')->{body}, "off\n", 'one is called off';
    is $server->get('/alarm/off?name=tea')->{body}, "there is none of that name\n", 'once';
    is $server->get('/alarms')->{body}, "rice\n", 'the other one is not';
    $server->get('/patience');
    like $server->wait_log(qr/timer: the slow one/), qr/the slow one/, 'a run that took too long is told';
    my @clients = map { $server->connect } 1 .. 20;
    $clients[$_]->send("GET /ask?q=question$_ HTTP/1.1\r\nHost: a\r\n\r\n") for 0 .. $#clients;
    is join('', map { $_->response->{body} } @clients), join('', map { "QUESTION$_\n" } 0 .. $#clients),
        'each gets its own answer over the one connection';
    $server->stop;
};

subtest 'hot-reload' => sub {
    my $server = start('hot-reload');
    is $server->get('/')->{body}, "1: The tide turns.\n", 'before';
    my $path = $server->path('lua/fortune.lua');
    my $text = Bulan::Test::Server::slurp($path) =~ s/You will see the moon/You will see the sun/r;
    open my $file, '>', $path or die $!;
    print $file $text;
    close $file;
    ok wait_until(5, sub { $server->get('/')->{body} =~ /^(\d+): You will see the sun/ && $1 > 1 }), 'after';
    $server->stop;
};

subtest 'shared-dict' => sub {
    my $server = start('shared-dict');
    is $server->get('/take?seat=7&name=ayu')->{body}, "it is yours\n", 'a seat';
    is $server->get('/take?seat=7&name=budi')->{body}, "it is taken\n", 'the same seat';
    is join('', map { $server->get('/ask')->{body} } 1 .. 4), "yes?\n" x 3 . "not so fast\n", '/ask';
    like $server->get('/seats')->{body}, qr/^seat7: ayu\n/m, '/seats';
    like $server->get('/seats')->{body}, qr/^2 entries\n/m, 'and their number';
    $server->stop;
};

subtest 'tool' => sub {
    $tested{tool} = 1;
    my $folder = Cwd::abs_path("$FOLDER/tool");
    my $backend = Bulan::Test::Backend->tcp(sub { });
    my $port = $backend->port;
    my $in = Bulan::Test::Command->new;
    my $r = $in->run('run', '-I', "$folder/lua", "$folder/knock.lua", "127.0.0.1:$port", 'nowhere');
    is $r->{out}, "127.0.0.1:$port is open\nnowhere is no HOST:PORT\n", 'the script';
    $r = $in->run('test', '-I', "$folder/lua", $folder);
    is $r->{status}, 0, 'its tests';
    like $r->{out}, qr/^3 passed, 0 failed, 0 errors/m, 'all of them';
};

is_deeply [sort keys %tested], [map { m{([^/]+)\z} } sort glob "$FOLDER/*"], 'all examples are tested';
done_testing;
