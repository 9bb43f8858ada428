# ngx.pipe: programs end with their VM: when a worker stops, is replaced by a reload, or dies.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Bulan::Test::Process 'wait_until';
use Bulan::Test::Server;

my %settings = (
    workers   => 1,
    log_level => 'notice',
    config    => <<'CONF',
location = /both {
    content_by_lua_block {
        KEPT = require("ngx.pipe").spawn({ "sleep", "3600" })
        ngx.print(ngx.worker.pid(), " ", KEPT:pid())
    }
}
location = /start {
    content_by_lua_block {
        local pipe = require "ngx.pipe"
        KEPT = pipe.spawn({ "sleep", "3600" })
        ngx.print(KEPT:pid())
    }
}
CONF
);
my $server = Bulan::Test::Server->new(%settings, allow => [qr/exited on signal 9/]);

# A zombie of somebody else's is gone for us.
sub gone {
    my ($pid) = @_;
    return wait_until(10, sub {
        open my $f, '<', "/proc/$pid/stat" or return 1;
        my $line = <$f> // return 1;
        return $line =~ /\) Z/;
    });
}

$server->start;
my $pid = $server->get('/start')->{body};
like $pid, qr/^\d+$/, 'a program runs';
ok $server->reload, 'reload';
ok gone($pid), 'it ends with the old worker';

my ($worker, $next) = split / /, $server->get('/both')->{body};
kill KILL => $worker;
ok gone($next), 'another ends with a worker that is killed';
ok $server->wait_log(qr/exited on signal 9/), 'as it was';

$pid = $server->get('/start')->{body};
$server->stop;
ok gone($pid), 'another ends with the server';

$server = Bulan::Test::Server->new(%settings, master => 0);
$server->start;
$pid = $server->get('/start')->{body};
$server->stop;
ok gone($pid), 'another ends with a single process';

done_testing();
