# The examples of the course that keep data in MariaDB and Redis: each starts as its README says (only
# its ports are others), and answers what its README promises.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Bulan::Test::Client;
use Bulan::Test::Example 'start_example';
use Bulan::Test::MariaDB;
use Bulan::Test::Process 'wait_until';
use Bulan::Test::Readme 'readme_holds';
use Bulan::Test::Redis;
use Bulan::Test::Server;

my $COURSE = 'examples/course';

subtest 'MySQL' => sub {
    plan skip_all => 'no mariadbd' if !Bulan::Test::MariaDB::available();
    my $db = Bulan::Test::MariaDB->start;
    my $mariadb = 'mariadb --no-defaults -u root -S ' . $db->socket;
    is system("$mariadb < $COURSE/09-mysql/sql/kopi.sql"), 0, 'the database is prepared';
    my $server = start_example("$COURSE/09-mysql", env => { MYSQL_PORT => $db->port });

    readme_holds($server, "$COURSE/09-mysql");
    my $answer = $server->get('/products');
    is $answer->{status}, 200, 'products';
    like $answer->{body}, qr/"name":"Gayo".*"name":"Toraja"/, 'in their order';

    $answer = $server->post('/products', q({"name": "O'Reilly", "price": 70000, "stock": 2}));
    is $answer->{status}, 201, 'a new one, with a quote';
    like $answer->{body}, qr/"id":4/, 'and its number';
    like $server->get("/products?name=O'Reilly")->{body}, qr/"price":70000/, 'is found';
    is $server->post('/products', '{"name": "Gayo", "price": 1}')->{status}, 409, 'not twice';
    is $server->post('/products', $_)->{status}, 422, "not $_"
        for '{"name": "Gayo"}', '{"name": {}, "price": 1}', '{"name": "a", "price": 1e12}', '[]', '7', '{',
        '{"name": "a", "price": 1, "note": {}}', '{"name": "a", "price": 1, "stock": -1}';

    is $server->post('/orders', '{"product": 2, "count": 3}')->{status}, 409, 'more than there is';
    is $server->post('/orders', '{"product": 99, "count": 1}')->{status}, 404, 'no such product';
    like $server->get('/products?name=Toraja')->{body}, qr/"stock":1/, 'the stock, once';
    is `$mariadb -N -e 'SELECT COUNT(*) FROM kopi.orders'`, "1\n", 'the order that failed left nothing behind';
    my ($used) = $server->get('/pool')->{body} =~ /"used_before":(\d+)/;
    cmp_ok $used, '>', 5, 'one connection for all';
    my @clients = map { $server->connect } 1 .. 6;
    my $order = Bulan::Test::Client->build('POST', '/orders', body => '{"product": 2, "count": 1}');
    $_->send($order) for @clients;
    is join(' ', sort map { $_->response->{status} } @clients), '201 409 409 409 409 409', 'the last one is sold once';


    $db->stop;
    # Connections of the pool may seem to live for a moment.
    ok wait_until(5, sub { ($answer = $server->get('/products'))->{status} == 503 }), 'without a database';
    is $answer->{body}, qq({"error":"the database is not at hand"}\n), '… and why';
    ok $server->wait_log(qr/\[error\].*MySQL: .*refused/), '… which the log tells';
    unlike $server->log, qr/rahasia/, '… without the password';
    $server->stop;
};

subtest 'Redis and its pool' => sub {
    plan skip_all => 'no redis-server' if !Bulan::Test::Redis::available();
    my $redis = Bulan::Test::Redis->start;
    my $server = start_example("$COURSE/10-redis-pool", env => { REDIS_PORT => $redis->port });

    readme_holds($server, "$COURSE/10-redis-pool");
    like $server->get('/pool?keep=no')->{body}, qr/^used before: [1-9]\d* times$/, 'closed';
    is $server->get('/pool')->{body}, "used before: 0 times\n", 'so the next one is new';

    for my $expected (qw(MISS HIT HIT)) {
        my $answer = $server->get('/report');
        is $answer->{headers}{'x-cache'}[0], $expected, $expected;
        like $answer->{body}, qr/^sold this month: 1234 /, 'the report';
    }
    is $server->send_request('DELETE', '/report', '')->{status}, 204, 'forgotten';
    is $server->get('/report')->{headers}{'x-cache'}[0], 'MISS', 'so it is made anew';

    $redis->stop;
    my $answer = $server->get('/report');
    is $answer->{status}, 200, 'without Redis there is a report';
    is $answer->{headers}{'x-cache'}[0], 'BYPASS', '… without the cache';
    ok $server->wait_log(qr/\[warn\].*working without the cache/), '… which the log tells';
    $answer = $server->post('/visit?page=borobudur', '');
    is $answer->{status}, 503, 'but nothing is counted';
    is $answer->{headers}{'retry-after'}[0], 5, '… yet';
    ok $server->wait_log(qr/\[error\].*Redis: .*refused/), '… which the log tells';
    $server->stop;
};

done_testing;
