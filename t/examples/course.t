# The examples of examples/course: each starts as its README says (only its ports are others), and
# answers what its README promises.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Bulan::Test::Example 'start_example';
use Bulan::Test::Port 'free_port';
use Bulan::Test::Redis;
use Bulan::Test::Server;

my $COURSE = 'examples/course';

sub start {
    my ($name, %port) = @_;
    return start_example("$COURSE/$name", %port);
}

sub body_is {
    my ($server, $path, $body) = @_;
    is $server->get($path)->{body}, $body, $path;
}

subtest 'hello' => sub {
    my $server = start('01-hello');
    like $server->get('/')->{body}, qr/^Bulan is up/, '/';
    body_is $server, '/tide', "At 6 o'clock the water is falling.\n";
    body_is $server, '/tide?hour=15', "At 15 o'clock the water is rising.\n";
    $server->stop;
};

subtest 'the language' => sub {
    my $server = start('02-lua-language');
    body_is $server, '/phase?day=15', "day 15: full\n";
    is $server->get('/phase')->{status}, 400, 'without a day';
    body_is $server, '/month', "new: 4\nwaxing: 10\nfull: 4\nwaning: 12\n";
    body_is $server, '/diary',
        "Lembang\n 1 (new): too dark to see the path\n15 (full): no lamp needed\n2 notes\n";
    $server->stop;
};

subtest 'upstream' => sub {
    my %port = map { $_ => free_port() } 8081 .. 8083;
    my $server = start('03-upstream', %port);
    my (%seen, $passed_on);
    my $cloudy = ":$port{8083}, ";
    for (1 .. 8) {
        my $answer = $server->get('/saturn');
        is $answer->{status}, 200, 'nobody sees the 503';
        $seen{ $answer->{body} }++;
        $passed_on ||= index($answer->{headers}{'x-answered-by'}[0], $cloudy) > 0;
    }
    is_deeply [sort keys %seen], ["Bosscha sees /saturn\n", "Timau sees /saturn\n"], 'both answer';
    ok $passed_on, 'one was asked in vain first';
    $server->stop;
};

subtest 'access and JSON' => sub {
    my $server = start('04-access-and-json');
    my @reader = (Authorization => 'Bearer blue-7');
    my @writer = (Authorization => 'Bearer red-3');
    my $answer = $server->get('/shelf');
    is $answer->{status}, 401, 'no key';
    is $answer->{headers}{'www-authenticate'}[0], 'Bearer', '… and how to bring one';
    is $server->get('/shelf', Authorization => 'Bearer x')->{status}, 401, 'a wrong key';
    $answer = $server->get('/shelf', @reader);
    is $answer->{headers}{'content-type'}[0], 'application/json', 'type';
    like $answer->{body}, qr/"role":"reader"/, 'the role came along';
    like $answer->{body}, qr/"title":"Eclipses"/, 'books';
    is $server->post('/shelf', '{}', @reader)->{status}, 403, 'a reader does not write';
    $answer = $server->post('/shelf', '{"title": "Comets"}', @writer);
    is $answer->{status}, 201, 'a librarian does';
    like $answer->{body}, qr/"title":"Comets"/, 'the book';
    $answer = $server->post('/shelf', '{"title"', @writer);
    is $answer->{status}, 400, 'broken JSON';
    like $answer->{body}, qr/this is no JSON/, '… is said so';
    is $server->post('/shelf', '[1]', @writer)->{status}, 422, 'no book';
    $server->stop;
};

subtest 'log and pcall' => sub {
    my $server = start('05-log-and-pcall');
    body_is $server, '/fahrenheit?c=21', "69.8 F\n";
    ok $server->wait_log(qr/\[info\].*converted 21/), 'info';
    my $answer = $server->get('/fahrenheit?c=-300');
    is $answer->{status}, 422, 'an error that is a table';
    is $answer->{body}, "colder than cold\n", '… and its text';
    ok $server->wait_log(qr/\[warn\].*refused: colder than cold/), 'warn';
    $answer = $server->get('/fahrenheit?c=warm');
    is $answer->{status}, 400, 'an error that is a text';
    is $answer->{body}, "not a number: warm\n", '… and itself';
    body_is $server, '/trace', "failed, see logs/error.log\n";
    ok $server->wait_log(qr/\[error\].*attempt to index local 'thermometer'/), 'error';
    ok $server->wait_log(qr/stack traceback/), 'with the stack';
    is $server->get('/uncaught')->{status}, 500, 'uncaught';
    ok $server->wait_log(qr/\[error\].*the glass is broken/), '… and logged';
    $server->stop;
};

subtest 'capture' => sub {
    my $server = start('06-capture');
    my $body = $server->get('/trip?to=Bawean')->{body};
    like $body, qr/"leaves":"09:30"/, 'from the one';
    like $body, qr/"weather":"rain"/, 'from the other';
    is $server->get('/trip?to=Mars')->{status}, 404, 'a status is handed on';
    my $answer = $server->post('/book', 'two seats');
    is $answer->{status}, 202, 'another status';
    is $answer->{body}, "POST: noted, two seats\n", 'a body is handed on';
    is $server->get($_)->{status}, 404, "$_ from outside" for '/inside/ferry', '/inside/desk';
    $server->stop;
};

subtest 'shared dictionary' => sub {
    my $server = start('07-shared-dict');
    $server->wait_workers(2);
    is $server->get('/vote?for=durian')->{status}, 405, 'GET does not vote';
    is $server->post('/vote?for=durian', '')->{body}, "$_\n", "durian, vote $_" for 1 .. 10;
    is $server->post('/vote?for=mangga', '')->{body}, "1\n", 'another fruit';
    body_is $server, '/result', "durian 10\nmangga 1\n";
    for my $cache (qw(MISS HIT)) {
        my $answer = $server->get('/winner');
        is $answer->{body}, "durian\n", 'the winner';
        is $answer->{headers}{'x-cache'}[0], $cache, $cache;
    }
    body_is $server, '/reset', "counted anew\n";
    body_is $server, '/result', '';
    body_is $server, '/winner', "nobody\n";
    $server->stop;
};

subtest 'Redis' => sub {
    plan skip_all => 'no redis-server' if !Bulan::Test::Redis::available();
    my $redis = Bulan::Test::Redis->start;
    my $server = start('08-redis', 6379 => $redis->port);
    for my $n (1 .. 4) {
        my $answer = $server->post('/guests', "guest no. $n");
        is $answer->{status}, 201, 'signed';
        is $answer->{body}, "guest $n\n", 'counted';
    }
    body_is $server, '/guests', "guest no. 4\nguest no. 3\nguest no. 2\n";
    $redis->stop;
    is $server->get('/guests')->{status}, 503, 'without Redis';
    ok $server->wait_log(qr/\[error\].*Redis: /), '… which the log tells';
    $server->stop;
};

# This file's examples, and those of its neighbours.
my $tests = join '', map { Bulan::Test::Server::slurp($_) } glob 't/examples/course*.t';
for my $folder (glob "$COURSE/*") {
    my ($name) = $folder =~ m{([^/]+)\z};
    like $tests, qr{start(?:_example)?\((?:'|"\$COURSE/)\Q$name\E['"]}, "$name is tested";
    my $readme = Bulan::Test::Server::slurp("$folder/README.md");
    like $readme, qr{bin/bulan -p \$PWD/$folder -c conf/nginx\.conf}, '… and says how to start it';
    like $readme, qr/^## $_$/m, "… in $_" for 'Indonesia', 'English';
}

done_testing;
