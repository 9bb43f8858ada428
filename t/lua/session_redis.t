# resty.session with a cluster, with sentinels, and with a storage of one's own.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Bulan::Test::Port 'free_port';
use Bulan::Test::Process qw(wait_port);
use Bulan::Test::Redis;
use Bulan::Test::RedisCluster;
use Bulan::Test::Server;

my $cluster = Bulan::Test::RedisCluster->start;
my $master  = Bulan::Test::Redis->start;

# Its state is in its file.
my $port   = free_port();
my $folder = Bulan::Test::Server::new_tree();
open my $out, '>', "$folder/sentinel.conf" or die $!;
print $out "port $port\nbind 127.0.0.1\ndir $folder\nsentinel monitor shop 127.0.0.1 ", $master->port, " 1\n";
close $out;
my $sentinel = Bulan::Test::Process->spawn(['redis-server', "$folder/sentinel.conf", '--sentinel'], stderr => "$folder/stderr");
wait_port($port, 10) or die "sentinel does not start\n";

my $nodes  = join ', ', map { "{ ip = '127.0.0.1', port = $_ }" } $cluster->ports;
my $server = Bulan::Test::Server->new(
    http_config => <<"HTTP",
init_by_lua_block {
    session = require "resty.session"
    local waits = { connect_timeout = 5000, send_timeout = 5000, read_timeout = 5000 }
    local function patient(options)
        for name, value in pairs(waits) do options[name] = value end
        return options
    end
    local kept, calls = {}, {}
    local own = {}
    function own:set(name, key, value, ttl, now, old_key, stale_ttl, metadata)
        calls[#calls + 1] = ("set %s %d %s %s %s"):format(name, #key, ttl, old_key and stale_ttl or "-", metadata and table.concat(metadata.subjects, ",") or "-")
        kept[key] = value
        return true
    end
    function own:get(name, key) return kept[key] end
    function own:delete(name, key) calls[#calls + 1] = "delete" kept[key] = nil return true end
    package.loaded["own.storage"] = { new = function(options) return options.made end }
    options = {
        cluster = { secret = "s", storage = "redis", store_metadata = true, redis = patient { nodes = { $nodes }, prefix = "p" } },
        sentinel = { secret = "s", storage = "redis", redis = patient { sentinels = { { host = "127.0.0.1", port = $port } }, master = "shop" } },
        own = { secret = "s", storage = own, store_metadata = true, hash_subject = true },
        module = { secret = "s", storage = "own.storage", ["own.storage"] = { made = own } },
    }
    function told() local text = table.concat(calls, "; ") calls = {} return text end
}
HTTP
    config => <<'CONFIG');
location = /login {
    content_by_lua_block {
        local s = session.new(options[ngx.var.arg_s])
        s:set_subject("dewi")
        s:set("n", 5)
        ngx.print(tostring(s:save()), " ", told())
    }
}
location = /show {
    content_by_lua_block {
        local s, err, exists = session.open(options[ngx.var.arg_s])
        ngx.print(tostring(exists), " ", tostring(s:get("n")), " ", tostring(err))
    }
}
location = /save {
    content_by_lua_block {
        local s = session.open(options[ngx.var.arg_s])
        ngx.print(tostring(s:save()), " ", told())
    }
}
location = /logout {
    content_by_lua_block { ngx.print(tostring(session.logout(options[ngx.var.arg_s])), " ", told()) }
}
CONFIG
$server->start;

my $cookie;
sub get {
    my ($path) = @_;
    my $r = $server->get($path, $cookie ? (Cookie => $cookie) : ());
    my ($set) = @{ $r->{headers}{'set-cookie'} || [] };
    $cookie = $1 if $set && $set =~ /^(session=[^;]+)/;
    return "$r->{status} $r->{body}";
}

for my $storage (qw(cluster sentinel own module)) {
    undef $cookie;
    my $told = $storage eq 'own' ? qr/set session 43 3600 - [\w-]{43}/ : $storage eq 'module' ? qr/set session 43 3600 - -/ : qr//;
    like get("/login?s=$storage"), qr/^200 true $told$/, "$storage: login";
    is get("/show?s=$storage"), '200 true 5 nil', "$storage: opened";
    my $old = $cookie;
    $told = $storage eq 'own' ? qr/set session 43 3600 10 [\w-]{43}/ : $storage eq 'module' ? qr/set session 43 3600 10 -/ : qr//;
    like get("/save?s=$storage"), qr/^200 true $told$/, "$storage: saved";
    isnt $cookie, $old, "$storage: another id";
    is get("/show?s=$storage"), '200 true 5 nil', "$storage: opened again";
    $old = $cookie;
    is get("/logout?s=$storage"), '200 true ' . ($storage =~ /own|module/ ? 'delete' : ''), "$storage: logged out";
    $cookie = $old;
    is get("/show?s=$storage"), '200 false nil missing session data', "$storage: for good";
}

$master->stop;
undef $cookie;
like get('/login?s=sentinel'), qr/^200 nil /, 'the master is gone';
ok !$cookie, 'and nothing was sent';
ok $server->stop, 'no crash';
done_testing();
