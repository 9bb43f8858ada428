# The examples of the course that are APIs: each starts as its README says (only its ports are
# others), and answers what its README promises.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Time::HiRes 'time';
use Bulan::Test::Example 'start_example';
use Bulan::Test::Port 'free_port';
use Bulan::Test::Process 'wait_until';
use Bulan::Test::Readme 'readme_holds';
use Bulan::Test::Redis;

my $COURSE = 'examples/course';

subtest 'REST' => sub {
    my $server = start_example("$COURSE/11-rest-api");
    my @json = ('Content-Type' => 'application/json');
    readme_holds($server, "$COURSE/11-rest-api");

    is $server->post('/tasks', '{"title"', @json)->{status}, 400, 'broken JSON';
    is $server->post('/tasks', '3', @json)->{status}, 400, 'no object';
    is $server->post('/tasks', '{"title": "x"}')->{status}, 415, 'another type';
    is $server->post('/tasks', '{"title": "x", "done": 1}', @json)->{status}, 422, 'a wrong field';
    my $answer = $server->post('/tasks', '{"title": " Write ", "id": 77, "owner": "x"}', @json);
    is $answer->{status}, 201, 'a good one';
    is $answer->{headers}{location}[0], '/tasks/2', 'where it is';
    like $answer->{body}, qr/"title":"Write"/, 'without blanks around';
    unlike $answer->{body}, qr/77|owner/, 'and without fields that nobody knows';
    $answer = $server->send_request('PUT', '/tasks/2', '{"title": "Read", "stars": 5}', @json);
    is $answer->{status}, 200, 'PUT';
    like $answer->{body}, qr/"id":2/, 'keeps the number';
    like $server->send_request('PATCH', '/tasks/2', '{"done": true}', @json)->{body}, qr/"stars":5/, 'PATCH keeps the rest';
    unlike $server->send_request('PUT', '/tasks/2', '{"title": "Rest"}', @json)->{body}, qr/stars/, 'PUT does not';
    like $server->get('/tasks')->{body}, qr/^\[\{[^{}]*"title":"Rest"[^{}]*\}\]$/, 'the list';
    is $server->get("/tasks/$_")->{status}, 404, "/tasks/$_" for 99, 'x', '2/3';
    is $server->send_request('DELETE', '/tasks/99', '')->{status}, 404, 'nothing to delete';
    is $server->send_request('PUT', '/tasks/99', '{"title": "x"}', @json)->{status}, 404, 'nothing to change';
    $answer = $server->send_request('DELETE', '/tasks/2', '');
    is $answer->{status}, 204, 'deleted';
    is $answer->{body}, '', 'without a word';
    $server->stop;
};

subtest 'JWT' => sub {
    my $server = start_example("$COURSE/12-jwt");
    my $login = sub {
        my ($name, $password) = @_;
        my $answer = $server->post('/login', qq({"name": "$name", "password": "$password"}));
        return $answer->{body} =~ /"access_token":"([^"]+)"/ ? (Authorization => "Bearer $1") : ();
    };
    readme_holds($server, "$COURSE/12-jwt");

    is_deeply [$login->(@$_)], [], "@$_ is refused" for ['dewi', 'x'], ['nobody', ''], ['', ''];
    is $server->post('/login', '{"name": {}}')->{status}, 401, 'no name';
    my $answer = $server->get('/me');
    is $answer->{status}, 401, 'no token';
    is $answer->{headers}{'www-authenticate'}[0], 'Bearer', '… and how to bring one';

    my ($refresh) = $server->post('/login', '{"name": "dewi", "password": "bunga-7"}')->{body} =~ /"refresh_token":"([^"]+)"/;
    my $again = sub { $server->post('/refresh', qq({"refresh_token": "$_[0]"}))->{status} };
    is_deeply [map { $again->($_) } $refresh, $refresh, "used:$refresh", "good:$refresh"], [200, 401, 401, 401],
        'a refresh token is good once, and no other entry is one';

    my @dewi = $login->('dewi', 'bunga-7');
    my @raka = $login->('raka', 'ombak-3');
    is $server->get('/me', Authorization => $dewi[1] =~ s/\.[^.]*\./.eyJzdWIiOiJyYWthIn0./r)->{status}, 401, 'another payload';
    is $server->get('/me', Authorization => 'Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJyYWthIn0.')->{status}, 401, 'no signature';
    is $server->post('/keys/rotate', '', @raka)->{body}, qq({"kid":"k2"}\n), 'an administrator rotates';
    is $server->get('/me', @dewi)->{status}, 200, 'the old token is still good';
    my @new = $login->('dewi', 'bunga-7');
    isnt +($new[1] =~ /^([^.]+)/)[0], ($dewi[1] =~ /^([^.]+)/)[0], 'a new one has another key';
    is $server->get('/me', @new)->{status}, 200, '… and is good';
    $server->stop;

    $server = start_example("$COURSE/12-jwt", env => { TOKEN_SECONDS => 1 });
    my @short = $login->('dewi', 'bunga-7');
    ok wait_until(5, sub { $server->get('/me', @short)->{status} == 401 }), 'a token expires';
    ok $server->wait_log(qr/token refused: .*exp/), 'the log knows why';
    $server->stop;
};

subtest 'rate limit' => sub {
    plan skip_all => 'no redis-server' if !Bulan::Test::Redis::available();
    my $redis = Bulan::Test::Redis->start;
    my $server = start_example("$COURSE/13-rate-limit", env => { REDIS_PORT => $redis->port });
    $server->wait_workers;
    readme_holds($server, "$COURSE/13-rate-limit");

    my $start = time;
    is $server->get('/steady')->{status}, 200, "steady, $_" for 1 .. 4;
    cmp_ok time - $start, '>', 0.5, '… and 0.2 s apart';
    my $answer = $server->get('/burst');
    is $answer->{status}, 429, 'too many at once';
    is $answer->{headers}{'retry-after'}[0], 5, 'when to come again';

    is $server->get('/quota', 'X-Api-Key' => "made up $_")->{status}, 429, 'a key that nobody has given out' for 1, 2;

    for my $left (reverse 0 .. 4) {
        $answer = $server->get('/fleet');
        is $answer->{status}, 200, 'fleet';
        is $answer->{headers}{'x-ratelimit-remaining'}[0], $left, "$left left";
    }
    $answer = $server->get('/fleet');
    is $answer->{status}, 429, 'the quota is used';
    is $answer->{headers}{'x-ratelimit-remaining'}[0], 0, 'nothing left';
    cmp_ok $answer->{headers}{'retry-after'}[0], '<=', 60, 'within a minute';
    $redis->stop;
    is $server->get('/fleet')->{status}, 200, 'without Redis all come in';
    ok $server->wait_log(qr/\[error\].*cannot count: /), '… which the log tells';
    $server->stop;
};

subtest 'client' => sub {
    my $port = free_port();
    my $server = start_example("$COURSE/19-web-api-client", 8081 => $port, env => { API_URL => "http://127.0.0.1:$port" });
    readme_holds($server, "$COURSE/19-web-api-client");
    is $server->get('/price?item=emas')->{status}, 404, 'a 404 is one here, too';
    is $server->get('/stubborn')->{body}, qq({"call":6}\n), 'the third try';
    ok $server->wait_log(qr/\[warn\].*the shop says 503, try 2 of 3/), '… which the log tells';
    $server->stop;

    $server = start_example("$COURSE/19-web-api-client", 8081 => free_port(), env => { API_URL => "http://127.0.0.1:" . free_port() });
    is $server->get('/stubborn')->{status}, 502, 'nobody is there';
    like $server->get('/prices')->{body}, qr/"kopi":null/, 'not even one price';
    $server->stop;
};

done_testing;
