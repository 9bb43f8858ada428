# A single process (master_process off) reloads while Lua of the old configuration still waits, has
# timers and keeps connections: what they need stays until they are over.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Bulan::Test::Process 'wait_until';
use Bulan::Test::Server;

my $server = Bulan::Test::Server->new(
    main_config => 'master_process off;',
    log_level   => 'notice',
    http_config => <<'CONF',
lua_shared_dict box 100k;
init_worker_by_lua_block {
    local events = require "ngx.worker.events"
    events.subscribe("news", function(text) ngx.shared.box:set("news", text) end)
    ngx.timer.at(0, function(premature)
        local box = ngx.shared.box
        while not ngx.shared.box:get("go") do ngx.sleep(0.005) end
        ngx.log(ngx.NOTICE, "the old code goes on")
        ngx.timer.at(0, function() ngx.log(ngx.NOTICE, "and its timer") end)
        local sock = ngx.socket.tcp()
        ngx.log(ngx.NOTICE, "its socket: ", tostring(sock:connect("127.0.0.1", 1)))
    end)
}
CONF
    config => <<'CONF',
location = /kept {
    content_by_lua_block {
        local sock = ngx.socket.tcp()
        assert(sock:connect("127.0.0.1", ngx.var.server_port))
        sock:send("GET /plain HTTP/1.1\r\nHost: a\r\n\r\n")
        sock:receiveuntil("moonlight")()
        ngx.print(sock:setkeepalive(50, 10))
    }
}
location = /plain { return 200 "moonlight"; }
location = /go { content_by_lua_block { ngx.shared.box:set("go", true) ngx.print("gone") } }
location = /publish { content_by_lua_block { ngx.print(require("ngx.worker.events").publish("news", ngx.var.arg_text)) } }
location = /long {
    content_by_lua_block {
        local box = ngx.shared.box
        box:set("long", 1)
        ngx.req.read_body()
        ngx.print(box:get("news"))
    }
}
location = /long-runs { content_by_lua_block { ngx.print(ngx.shared.box:get("long") or 0) } }
location = /news { content_by_lua_block { ngx.print(ngx.shared.box:get("news") or "none") } }
CONF
)->start;

sub get { $server->get($_[0])->{body} }

is get('/kept'), 1, 'a connection is kept';
for my $round (1 .. 3) {
    $server->signal('HUP');
    ok wait_until(5, sub { (() = $server->log =~ /reconfiguring/g) == $round }), "reload $round";
    ok wait_until(5, sub { get('/publish?text=moon' . $round) eq '1' }), 'messages go';
    ok wait_until(5, sub { get('/news') eq "moon$round" }), 'and arrive';
}
is get('/kept'), 1, 'another connection is kept';
is get('/go'), 'gone', 'the old code is let go';
ok $server->wait_log(qr/the old code goes on/), 'it goes on';
ok $server->wait_log(qr/its socket: nil/), 'and may use sockets';
ok wait_until(5, sub { (() = $server->log =~ /its socket: nil/g) >= 4 }), 'of each configuration';
is get("/plain"), "moonlight", 'the new one serves';

# A request of an old configuration outlives the memory that newer ones have changed twice since.
my $long = $server->connect;
$long->send("POST /long HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nConnection: close\r\n\r\n");
ok wait_until(5, sub { get('/long-runs') eq '1' }), 'a long request';
my $before = 3;
for my $size ('100k', '200k') {
    $server->configure(http_config => $server->{http_config} =~ s/lua_shared_dict box \w+;/lua_shared_dict box $size;/r);
    $server->signal('HUP');
    $before++;
    ok wait_until(5, sub { (() = $server->log =~ /reconfiguring/g) == $before }), "a dictionary of $size";
    is get('/news'), 'moon3', 'holds what it held';
}
$long->send('go');
is $long->response->{body}, 'moon3', 'and the long one has its dictionary still';
$server->quit;
done_testing;
