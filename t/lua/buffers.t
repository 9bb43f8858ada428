# Output that does not reach its client gives its memory back: a handler that breaks off, a filter that
# fails, a subrequest whose body nobody reads.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Bulan::Test::Server;

plan skip_all => 'a sanitizer keeps memory for itself' if Bulan::Test::Server::binary() =~ /build-[at]san/;

my $server = Bulan::Test::Server->new(log_level => 'crit', config => <<'CONF')->start;
location = /closed { content_by_lua_block { ngx.say(("x"):rep(1000)) ngx.exit(444) } }
location = /broken { content_by_lua_block { ngx.say(("x"):rep(1000)) ngx.exit(ngx.ERROR) } }
location = /filter {
    content_by_lua_block { ngx.say(("x"):rep(1000)) ngx.say("more") }
    body_filter_by_lua_block { ngx.arg[1] = ("y"):rep(3000) error("meant") }
}
location = /parked {
    content_by_lua_block { ngx.say(("x"):rep(1000)) ngx.say(("x"):rep(1000)) }
    body_filter_by_lua_block { ngx.arg[1] = ("y"):rep(3000) ngx.sleep(0) error("meant") }
}
location = /head {
    content_by_lua_block { ngx.say(("x"):rep(1000)) ngx.say(("x"):rep(1000)) }
    header_filter_by_lua_block { ngx.sleep(0) error("meant") }
}
location = /auth { content_by_lua_block { ngx.say("yes") } }
location = /auth_allowed { auth_request /auth; echo allowed; }
CONF

my ($worker) = $server->wait_workers;

sub resident {
    my ($kb) = Bulan::Test::Server::slurp("/proc/$worker/status") =~ /^RssAnon:\s+(\d+)/m;
    return $kb;
}

for my $path (qw(closed broken filter parked head auth_allowed)) {
    $server->get("/$path") for 1 .. 300;
    my $before = resident();
    $server->get("/$path") for 1 .. 1000;
    cmp_ok resident() - $before, '<', 2000, "$path: kB more after 1000 requests";
}
$server->stop;

done_testing;
