# A dictionary keeps what it holds over a reload, also when its size has changed.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Bulan::Test::Server;

my $server = Bulan::Test::Server->new(
    workers     => 1,
    http_config => 'lua_shared_dict d 100k;',
    config      => <<'CONF',
location = /fill {
    content_by_lua_block {
        local d = ngx.shared.d
        d:set("text", "moon", 1000, 5)
        d:set("number", 1.5)
        d:set("yes", true)
        d:rpush("list", "a") d:rpush("list", 2)
        d:expire("list", 1000)
        for i = 1, 200 do d:set("k" .. i, ("x"):rep(50)) end
        ngx.print("full")
    }
}
location = /see {
    content_by_lua_block {
        local d = ngx.shared.d
        local text, flags = d:get("text")
        local count = 0
        for i = 1, 200 do count = count + (d:get("k" .. i) and 1 or 0) end
        ngx.print(text, " ", flags, " ", math.ceil((d:ttl("text") or 0) / 100), " ", d:get("number"), " ", d:get("yes"), " ",
                  d:llen("list"), " ", math.ceil((d:ttl("list") or 0) / 100), " ", count, " ", d:capacity())
    }
}
location = /last { content_by_lua_block { ngx.print(ngx.shared.d:get("k200"), " ", ngx.shared.d:get("k1")) } }
CONF
)->start;

sub resize {
    my ($size) = @_;
    $server->configure(http_config => "lua_shared_dict d $size;");
    ok $server->reload, "reloaded with $size";
}

sub get { $server->get($_[0])->{body} }

is get('/fill'), 'full', 'filled';
is get('/see'), 'moon 5 10 1.5 true 2 10 200 102400', 'what is there';
resize('1m');
is get('/see'), 'moon 5 10 1.5 true 2 10 200 1048576', 'all of it is there in a larger one';
resize('8m');
is get('/see'), 'moon 5 10 1.5 true 2 10 200 8388608', 'in one of several shards';
resize('1m');
get('/fill');
resize('16k');
is get('/last'), ('x' x 50) . ' nil', 'in a smaller one what was used last is';
$server->stop;
done_testing;
