# The examples of examples/platform: each starts as its README says (only its ports are others), and
# answers what its README promises.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Bulan::Test::Example 'start_example';

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

is_deeply [sort keys %tested], [map { m{([^/]+)\z} } sort glob "$FOLDER/*"], 'all examples are tested';
done_testing;
