# ngx.upstream and resty.upstream.healthcheck: peers that fail and recover, in all workers.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Bulan::Test::Port 'free_port';
use Bulan::Test::Process 'wait_until';
use Bulan::Test::Server;
use Bulan::Test::Tls;

my ($good, $flaky, $backup, $secure) = map { free_port() } 1 .. 4;
my $tls  = Bulan::Test::Tls->new;
my $cert = $tls->certificate('a.test');

# The backends are servers of the same process tree; a dictionary says what is wrong with them.
my %part = (
    workers     => 3,
    log_level   => 'notice',
    http_config => <<"CONF",
lua_shared_dict healthcheck 1m;
lua_shared_dict mood 1m;
lua_socket_log_errors off;
lua_ssl_trusted_certificate $tls->{authority}{cert};
upstream plain {
    server 127.0.0.1:$good weight=2;
    server 127.0.0.1:$flaky max_fails=3 fail_timeout=7s max_conns=9;
    server 127.0.0.1:$backup backup;
}
upstream shared {
    zone shared 64k;
    server 127.0.0.1:$good;
    server 127.0.0.1:$flaky;
}
upstream zoned {
    zone zoned 64k;
    server 127.0.0.1:$good;
    server 127.0.0.1:$flaky;
}
upstream secure { server 127.0.0.1:$secure; }
upstream stranger { server 127.0.0.1:$secure; }
upstream trusting { server 127.0.0.1:$secure; }
upstream unchecked { server 127.0.0.1:$good down; server 127.0.0.1:$flaky; }
init_by_lua_block {
    events = require "ngx.worker.events"
    upstream = require "ngx.upstream"
    hc = require "resty.upstream.healthcheck"
    cjson = require "cjson"
}
init_worker_by_lua_block {
    events.subscribe("do", function(what)
        local ok, result = pcall(assert(loadstring(what.code)))
        events.push(what.reply, tostring(result))
    end)
    local function check(name, opts)
        opts.shm, opts.upstream, opts.interval, opts.timeout, opts.fall, opts.rise = "healthcheck", name, 20, 500, 2, 2
        assert(hc.spawn_checker(opts))
    end
    local request = "GET /status HTTP/1.0\\r\\nHost: x\\r\\n\\r\\n"
    check("plain", { type = "http", http_req = request, valid_statuses = { 200 }, concurrency = 3 })
    check("shared", { type = "tcp" })
    check("stranger", { type = "https", http_req = request, host = "b.test" })
    check("trusting", { type = "https", http_req = request, host = "b.test", ssl_verify = false })
    check("secure", { type = "https", http_req = request, host = "a.test" })
}
server {
    listen 127.0.0.1:$good;
    listen 127.0.0.1:$flaky;
    listen 127.0.0.1:$backup;
    listen 127.0.0.1:$secure ssl;
    ssl_certificate $cert->{cert};
    ssl_certificate_key $cert->{key};
    location = / { return 200 \$server_port; }
    location = /status {
        content_by_lua_block {
            local mood = ngx.shared.mood:get(ngx.var.server_port)
            if mood == "garbage" then
                local sock = ngx.req.socket(true)
                sock:send(("x"):rep(5000))
                return ngx.exit(444)
            elseif mood then
                return ngx.exit(mood)
            end
            ngx.print("fine")
        }
    }
}
CONF
    config => <<'CONF',
location = /plain { proxy_pass http://plain/; header_filter_by_lua_block { ngx.header.Group = upstream.current_upstream_name() } }
location = /zoned { proxy_pass http://zoned/; }
location = /unchecked { proxy_pass http://unchecked/; }
location = /mood { content_by_lua_block { ngx.print(ngx.shared.mood:set(ngx.var.arg_port, tonumber(ngx.var.arg_mood) or ngx.var.arg_mood)) } }
location = /status { content_by_lua_block { ngx.print(hc.status_page()) } }
location = /metrics { content_by_lua_block { ngx.print(hc.prometheus_status_page()) } }
location = /all {
    content_by_lua_block {
        ngx.req.read_body()
        local reply = "reply" .. ngx.var.request_id
        local all = {}
        for i = 1, events.publish("do", { code = ngx.req.get_body_data(), reply = reply }) do all[i] = events.pop(reply, 10) end
        table.sort(all)
        ngx.print(table.concat(all, "\n"))
    }
}
location = /run { content_by_lua_block { ngx.req.read_body() ngx.print(assert(loadstring(ngx.req.get_body_data()))()) } }
CONF
);
my $server = Bulan::Test::Server->new(%part)->start;

sub all { return $server->post('/all', $_[0])->{body} }
sub run { return $server->post('/run', $_[0])->{body} }

# The ports of a group's peers that are down in each worker.
sub down_everywhere {
    my ($group) = @_;
    return all(<<"LUA");
local down = {}
for _, f in ipairs { upstream.get_primary_peers, upstream.get_backup_peers } do
    for _, peer in ipairs(f("$group")) do
        if peer.down then down[#down + 1] = peer.name:match("%d+\$") end
    end
end
return "down: " .. table.concat(down, " ")
LUA
}

sub soon_down {
    my ($group, $ports, $name) = @_;
    my $got;
    ok wait_until(5, sub { ($got = down_everywhere($group)) eq join "\n", ("down: $ports") x 3 }), $name or diag $got;
}

ok wait_until(5, sub { all('return "here"') eq "here\nhere\nhere" }), 'three workers';

subtest 'ngx.upstream' => sub {
    is run('return table.concat(upstream.get_upstreams(), " ")'), 'plain shared zoned secure stranger trusting unchecked', 'groups';
    is run(<<'LUA'), "127.0.0.1:$good 2 1 10 nil|127.0.0.1:$flaky 1 3 7 nil|127.0.0.1:$backup 1 1 10 true|", 'servers';
local all = ""
for _, s in ipairs(upstream.get_servers("plain")) do
    assert(s.name == s.addr)
    all = all .. ("%s %d %d %d %s|"):format(s.addr, s.weight, s.max_fails, s.fail_timeout, tostring(s.backup))
end
return all
LUA
    is run(<<'LUA'), "0 127.0.0.1:$good 2 0 nil|1 127.0.0.1:$flaky 1 9 nil|", 'primaries';
local all = ""
for _, p in ipairs(upstream.get_primary_peers("plain")) do
    assert(p.conns == 0 and p.fails == 0 and p.accessed == nil)
    all = all .. ("%d %s %d %d %s|"):format(p.id, p.name, p.weight, p.max_conns, tostring(p.down))
end
return all
LUA
    is run('local p = upstream.get_backup_peers("plain") return #p .. " " .. p[1].name .. " " .. p[1].id'), "1 127.0.0.1:$backup 0", 'backups';
    is run('return tostring(upstream.get_primary_peers("nope")) .. select(2, upstream.get_servers("nope"))'), 'nilupstream not found', 'no such group';
    is run('return select(2, upstream.set_peer_down("plain", true, 1, true))'), 'bad peer id', 'no such peer';
    is run('return select(2, upstream.set_peer_down("plain", false, -1, true))'), 'bad peer id', 'nor this one';
    is run('return tostring(upstream.current_upstream_name())'), 'nil', 'no group here';
    my $r = $server->get('/plain');
    is $r->{headers}{group}[0], 'plain', 'the group of the request';
    is run('return tostring(upstream.get_primary_peers("unchecked")[1].down)'), 'true', 'down by the configuration';
    is $server->get('/unchecked')->{body}, $flaky, 'it is not asked';
    is all('return upstream.set_peer_down("unchecked", false, 0, false) and upstream.set_peer_down("unchecked", false, 1, true)'), "true\ntrue\ntrue", 'the other way round';
    is $server->get('/unchecked')->{body}, $good, "now it is ($_)" for 1 .. 3;
    all('return upstream.set_peer_down("unchecked", false, 0, true)');
    is $server->get('/unchecked')->{status}, 502, 'nobody is left';
};

subtest 'a zone' => sub {
    run('return upstream.set_peer_down("zoned", false, 1, true)');
    is down_everywhere('zoned'), join("\n", ("down: $flaky") x 3), 'down for all workers';
    is $server->get('/zoned')->{body}, $good, "it is not asked ($_)" for 1 .. 4;
    is run('local age = ngx.time() - upstream.get_primary_peers("zoned")[1].accessed return tostring(age >= 0 and age < 100)'), 'true', 'when it was asked';
    run('return upstream.set_peer_down("zoned", false, 1, false)');
    is down_everywhere('zoned'), join("\n", ('down: ') x 3), 'up for all workers';
    run('return upstream.set_peer_down("shared", false, 1, true)');
    soon_down('shared', '', 'a checker sets up what it finds well');
};

subtest 'a peer that fails and recovers' => sub {
    soon_down('plain', '', 'all are up');
    for my $mood (500, 'garbage', 444) {
        $server->get("/mood?port=$flaky&mood=$mood");
        soon_down('plain', $flaky, "$mood: down in all workers");
        is $server->get('/plain')->{body}, $good, "it is not asked ($_)" for 1 .. 4;
        $server->get("/mood?port=$flaky");
        soon_down('plain', '', 'up again in all workers');
    }
    $server->wait_log(qr/peer 127\.0\.0\.1:$flaky of upstream plain: bad status code: 500/);
    $server->wait_log(qr/peer 127\.0\.0\.1:$flaky of upstream plain is turned down after 2 failure/);
    $server->wait_log(qr/peer 127\.0\.0\.1:$flaky of upstream plain is turned up after 2 success/);
    $server->wait_log(qr/peer 127\.0\.0\.1:$flaky of upstream plain: failed to receive status line: no line/);
    $server->wait_log(qr/peer 127\.0\.0\.1:$flaky of upstream plain: failed to receive status line: closed/);
    my %ports;
    wait_until(5, sub { $ports{ $server->get('/plain')->{body} } = 1; $ports{$flaky} });
    ok $ports{$flaky}, 'it is asked again';
};

subtest 'certificates' => sub {
    soon_down('stranger', $secure, 'one of another name is none');
    $server->wait_log(qr/of upstream stranger: failed to do SSL handshake/);
    soon_down($_, '', "$_: good") for 'secure', 'trusting';
};

subtest 'primaries down: the backup' => sub {
    $server->get("/mood?port=$_&mood=503") for $good, $flaky;
    soon_down('plain', "$good $flaky", 'both are down');
    is $server->get('/plain')->{body}, $backup, 'the backup answers';
    is $server->get('/status')->{body}, <<"PAGE", 'the status page';
Upstream plain
    Primary Peers
        127.0.0.1:$good DOWN
        127.0.0.1:$flaky DOWN
    Backup Peers
        127.0.0.1:$backup UP

Upstream shared
    Primary Peers
        127.0.0.1:$good UP
        127.0.0.1:$flaky UP
    Backup Peers

Upstream zoned (NO checkers)
    Primary Peers
        127.0.0.1:$good UP
        127.0.0.1:$flaky UP
    Backup Peers

Upstream secure
    Primary Peers
        127.0.0.1:$secure UP
    Backup Peers

Upstream stranger
    Primary Peers
        127.0.0.1:$secure DOWN
    Backup Peers

Upstream trusting
    Primary Peers
        127.0.0.1:$secure UP
    Backup Peers

Upstream unchecked (NO checkers)
    Primary Peers
        127.0.0.1:$good DOWN
        127.0.0.1:$flaky DOWN
    Backup Peers
PAGE
    my $page = $server->get('/metrics')->{body};
    like $page, qr/\A# HELP nginx_upstream_status_info .*\n# TYPE nginx_upstream_status_info gauge\n/, 'metrics';
    for my $line (
        'name="plain",status="UP"} 1', 'name="plain",status="DOWN"} 0', 'name="plain",status="UNKNOWN"} 0',
        qq(name="plain",endpoint="127.0.0.1:$good",status="DOWN",role="PRIMARY"} 1),
        qq(name="plain",endpoint="127.0.0.1:$backup",status="UP",role="BACKUP"} 1),
        qq(name="secure",endpoint="127.0.0.1:$secure",status="UP",role="PRIMARY"} 1),
        'name="unchecked",status="UNKNOWN"} 1', 'name="unchecked",status="UP"} 0',
    ) {
        like $page, qr/^nginx_upstream_status_info\{\Q$line\E$/m, $line;
    }
    unlike $page, qr/unchecked",endpoint/, 'no peers of what is not checked';
};

subtest 'a reload, a new worker' => sub {
    ok $server->reload, 'reloaded';
    is $server->get('/plain')->{body}, $backup, "what was known is known ($_)" for 1 .. 3;
    my ($victim) = $server->worker_pids;
    kill 'TERM', $victim;
    wait_until(5, sub { !grep { $_ == $victim } $server->worker_pids });
    ok wait_until(5, sub { all('return "here"') eq "here\nhere\nhere" }), 'another worker';
    is down_everywhere('plain'), join("\n", ("down: $good $flaky") x 3), 'it knows, too';
    $server->get("/mood?port=$_") for $good, $flaky;
    soon_down('plain', '', 'up again');
};

is run($_->[0]), $_->[1], $_->[1] for
    [ 'return select(2, hc.spawn_checker {})', '"type" option required' ],
    [ 'return select(2, hc.spawn_checker { type = "http" })', '"http_req" option required' ],
    [ 'return select(2, hc.spawn_checker { type = "udp" })', 'only "http", "https" and "tcp" types are supported' ],
    [ 'return select(2, hc.spawn_checker { type = "tcp" })', '"shm" option required' ],
    [ 'return select(2, hc.spawn_checker { type = "tcp", shm = "x" })', 'shm "x" not found' ],
    [ 'return select(2, hc.spawn_checker { type = "tcp", shm = "mood" })', 'no upstream specified' ],
    [ 'return select(2, hc.spawn_checker { type = "tcp", shm = "mood", upstream = "x" })', 'failed to get primary peers: upstream not found' ],
    [ 'return select(2, hc.spawn_checker { type = "tcp", shm = "mood", upstream = "plain", interval = 0 })', 'bad "interval" option: 0' ],
    [ 'return select(2, hc.spawn_checker { type = "tcp", shm = "mood", upstream = "plain", port = 0 })', 'bad "port" option: 0' ];

$server->stop;

done_testing;
