# Every way to wait, in every phase, cut short in every way: requests end, the worker lives, and nothing
# stays behind (descriptors, timers, programs, memory).
#
# A request names its wait and its end in its arguments; those in handshakes, in the server name. A
# wait that nobody cuts short comes to a deadline of its own.
use strict;
use warnings;
use lib 't/lib';
use IO::Select;
use IO::Socket::INET;
use Test::More;
use Time::HiRes 'time';
use Bulan::Test::Port 'free_port';
use Bulan::Test::Process qw(patience wait_until);
use Bulan::Test::Server;
use Bulan::Test::Tls;

my $ms = 240 * ($ENV{TEST_NGINX_SLOW} || 1); # a wait's own deadline
my $quick = $ms / 4;
my $cert = Bulan::Test::Tls->new->certificate('ends.test', names => ['*.ends.test']);

# Servers that say nothing; `full` accepts nobody and has no room for more.
my $silent = IO::Socket::INET->new(Listen => 1024, LocalAddr => '127.0.0.1', Blocking => 0) or die $!;
my @accepted;
my $full = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die $!;
my $udp = IO::Socket::INET->new(Proto => 'udp', LocalAddr => '127.0.0.1') or die $!;
my @fill = map { IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $full->sockport, Blocking => 0) } 1 .. 4;
my $tls_port = free_port();

my $ends = <<"LUA" . <<'LUA';
local MS, SILENT, FULL, UDP, TLS = $ms, @{[$silent->sockport]}, @{[$full->sockport]}, @{[$udp->sockport]}, $tls_port
LUA
local ends, waits, SECONDS, pools = {}, {}, MS / 1000, 0
local much = ("x"):rep(8000000)
local semaphore, pipe, events = require "ngx.semaphore", require "ngx.pipe", require "ngx.worker.events"

local function connected()
    local socket = ngx.socket.tcp()
    socket:settimeout(MS)
    assert(socket:connect("127.0.0.1", SILENT))
    return socket
end

local function started(...)
    local program = assert(pipe.spawn({ ... }, { write_timeout = MS, stdout_read_timeout = MS, wait_timeout = MS }))
    return program
end

function waits.sleep() ngx.sleep(SECONDS) end
function waits.connect()
    local socket = ngx.socket.tcp()
    socket:settimeout(MS)
    socket:connect("127.0.0.1", FULL)
end
function waits.queued()
    pools = pools + 1
    local options = { pool = "pool " .. pools, pool_size = 1, backlog = 1 }
    assert(ngx.socket.tcp():connect("127.0.0.1", SILENT, options))
    local socket = ngx.socket.tcp()
    socket:settimeout(MS)
    socket:connect("127.0.0.1", SILENT, options)
end
function waits.resolve() ngx.socket.tcp():connect("never.test", 80) end
function waits.handshake() connected():sslhandshake(nil, "x.test", false) end
function waits.line() connected():receive() end
function waits.size() connected():receive(10) end
function waits.all() connected():receive("*a") end
function waits.any() connected():receiveany(10) end
waits["until"] = function() connected():receiveuntil("x")() end
function waits.send() connected():send(much) end
function waits.datagram()
    local socket = ngx.socket.udp()
    socket:settimeout(MS)
    assert(socket:setpeername("127.0.0.1", UDP))
    socket:receive()
end
function waits.capture() ngx.location.capture("/slow") end
function waits.captures() ngx.location.capture_multi { { "/slow" }, { "/word" }, { "/slow" } } end
function waits.thread() ngx.thread.wait(ngx.thread.spawn(waits.sleep), ngx.thread.spawn(waits.line)) end
function waits.semaphore() semaphore.new():wait(SECONDS) end
function waits.output() started("sleep", "9"):stdout_read_line() end
function waits.program() started("sleep", "9"):wait() end
function waits.input() started("sleep", "9"):write(("x"):rep(1000000)) end
function waits.worker() ngx.run_worker_thread("pool", "napping", "nap", SECONDS) end
function waits.queue() events.pop("empty", SECONDS) end
function waits.body() ngx.req.read_body() end
function waits.bodysocket()
    local socket = assert(ngx.req.socket())
    socket:settimeout(MS)
    socket:receive("*a")
end
function waits.raw()
    local socket = assert(ngx.req.socket(true))
    socket:settimeout(MS)
    socket:receive("*a")
end
function waits.flush()
    ngx.print(much)
    ngx.flush(true)
end

local function later(f, ...)
    ngx.thread.spawn(function(...)
        ngx.sleep(SECONDS / 8)
        f(...)
    end, ...)
end

local cuts = {}
function cuts.plain(wait) wait() end
cuts.abort = cuts.plain
function cuts.caught(wait) pcall(wait) ngx.sleep(0) end
function cuts.inside(wait)
    coroutine.wrap(function() return coroutine.wrap(wait)() end)()
end
function cuts.kill(wait)
    local thread = ngx.thread.spawn(wait)
    ngx.sleep(SECONDS / 8)
    ngx.thread.kill(thread)
    collectgarbage()
end
function cuts.both(wait)
    ngx.thread.spawn(wait)
    wait()
end
function cuts.exit(wait) later(ngx.exit, 200) wait() end
function cuts.drop(wait) later(ngx.exit, 444) wait() end
function cuts.exec(wait) later(ngx.exec, "/word") wait() end
function cuts.error(wait)
    ngx.thread.spawn(wait)
    ngx.sleep(SECONDS / 8)
    error("meant")
end

function ends.run(wait, cut)
    cuts[cut](waits[wait])
end

function ends.args()
    ends.run(ngx.var.arg_wait, ngx.var.arg_cut)
end

function ends.named(phase, name)
    local wait, cut, where = (name or ""):match("^(%w+)%.(%w+)%.(%w+)")
    if where == phase then
        ends.run(wait, cut)
    end
end

-- Where a session is fetched the server's name is not known yet.
local fetching = {}
function ends.fetch()
    local job = table.remove(fetching)
    if job then
        ends.run(job[1], job[2])
    end
end

function ends.timer(deadline)
    local wait, cut = ngx.var.arg_wait, ngx.var.arg_cut
    local timer = ngx.timer.at(0, function() ends.run(wait, cut) end)
    if deadline then
        timer:deadline(SECONDS / 8)
    end
end

function ends.handshake(phase)
    local socket = ngx.socket.tcp()
    socket:settimeout(ngx.var.arg_cut == "abort" and MS / 4 or 10 * MS)
    assert(socket:connect("127.0.0.1", TLS))
    local name, session = ("%s.%s.%s.ends.test"):format(ngx.var.arg_wait, ngx.var.arg_cut, phase), nil
    if phase == "fetch" then
        session = assert(socket:sslhandshake(nil, name, false))
        socket:send("GET / HTTP/1.0\r\n\r\n")
        socket:receive("*a")
        socket:close()
        socket = ngx.socket.tcp()
        assert(socket:connect("127.0.0.1", TLS))
        fetching[#fetching + 1] = { ngx.var.arg_wait, ngx.var.arg_cut }
    end
    socket:sslhandshake(session, name, false)
    socket:close()
end

local names = {}
for name in pairs(waits) do
    names[#names + 1] = name
end

-- In init_worker: all at once, and what is left of them after a moment is killed.
function ends.init()
    for _, name in ipairs(names) do
        local thread = ngx.thread.spawn(waits[name])
        if name:find("[aeiou]", 2) == 2 then
            ngx.thread.spawn(function() ngx.sleep(SECONDS / 8) end)
            ngx.thread.kill(thread)
        end
    end
end
table.sort(names)
ends.names = table.concat(names, " ")

function ends.state()
    collectgarbage()
    collectgarbage()
    ngx.say(ngx.timer.running_count(), " ", ngx.timer.pending_count(), " ", require("ngx.stats").sum().writing)
    ngx.say(math.floor(collectgarbage("count")))
end

return ends
LUA

sub lua { my ($phase, $code) = @_; "${phase}_by_lua_block { $code }" }
my $args = 'require("ends").args()';

my @phases = (qw(server_rewrite rewrite access precontent content header body log set balancer timer deadline
    subrequest hello certificate fetch store proxy_certificate verify));

my $server = Bulan::Test::Server->new(
    log_level => 'warn', worker_connections => 4096,
    main_config => "thread_pool pool threads=16; worker_shutdown_timeout ${quick}ms;",
    files => {
        'ends.lua' => $ends,
        'napping.lua' => "local ffi = require 'ffi' ffi.cdef 'int usleep(unsigned);'\n"
            . 'return { nap = function(s) ffi.C.usleep(s * 1e6) end }',
    },
    http_config => <<"CONF",
lua_package_path '\$prefix/html/?.lua;;';
lua_worker_thread_vm_pool_size 100;
lua_socket_log_errors off;
lua_check_client_abort on;
client_body_timeout ${ms}ms;
send_timeout ${ms}ms;
resolver 127.0.0.1:@{[$udp->sockport]} ipv6=off;
resolver_timeout ${ms}ms;
init_by_lua_block { require "resty.core" }
@{[lua 'init_worker', 'require("ends").init()']}
@{[lua 'ssl_session_fetch', 'require("ends").fetch()']}
@{[lua 'ssl_session_store', 'require("ends").named("store", require("ngx.ssl").server_name())']}
upstream chosen {
    server 0.0.0.1;
    @{[lua 'balancer', $args . ' assert(require("ngx.balancer").set_current_peer("127.0.0.1", tonumber(ngx.var.server_port)))']}
}
server {
    listen 127.0.0.1:$tls_port ssl;
    ssl_certificate $cert->{cert};
    ssl_certificate_key $cert->{key};
    ssl_protocols TLSv1.2;
    ssl_session_tickets off;
    ssl_verify_client optional_no_ca;
    @{[lua 'ssl_client_hello', 'require("ends").named("hello", require("ngx.ssl.clienthello").get_client_hello_server_name())']}
    @{[lua 'ssl_certificate', 'require("ends").named("certificate", require("ngx.ssl").server_name())']}
    location / { return 200 secret; }
}
CONF
    config => <<"CONF",
server_rewrite_by_lua_block { if ngx.var.uri == "/server_rewrite" then $args end }
location = /word { return 200 word; }
location = /slow { content_by_lua_block { ngx.sleep($ms / 1000) ngx.say("slow") } }
location = /names { content_by_lua_block { ngx.say(require("ends").names) } }
location = /state { content_by_lua_block { require("ends").state() } }
location = /server_rewrite { return 200 done; }
location = /rewrite { @{[lua 'rewrite', $args]} echo done; }
location = /access { @{[lua 'access', $args]} echo done; }
location = /precontent { @{[lua 'precontent', $args]} echo done; }
location = /content { @{[lua 'content', $args . ' ngx.say("done")']} }
location = /header { return 200 done; @{[lua 'header_filter', $args]} }
location = /body { return 200 done; @{[lua 'body_filter', 'ngx.arg[1] = "done" ' . $args]} }
location = /log { return 200 done; @{[lua 'log', $args]} }
location = /set { set_by_lua_block \$x { $args return 1 } return 200 done; }
location = /balancer { proxy_pass http://chosen/word; }
location = /timer { content_by_lua_block { require("ends").timer() } }
location = /deadline { content_by_lua_block { require("ends").timer(true) } }
location = /subrequest { content_by_lua_block { ngx.say(ngx.location.capture("/content", { args = ngx.var.args }).status) } }
location = /hello { content_by_lua_block { require("ends").handshake("hello") } }
location = /certificate { content_by_lua_block { require("ends").handshake("certificate") } }
location = /store { content_by_lua_block { require("ends").handshake("store") } }
location = /fetch { content_by_lua_block { require("ends").handshake("fetch") } }
location = /proxy_certificate {
    proxy_pass https://127.0.0.1:$tls_port/;
    @{[lua 'proxy_ssl_certificate', $args]}
}
location = /verify {
    proxy_pass https://127.0.0.1:$tls_port/;
    @{[lua 'proxy_ssl_verify', $args]}
}
CONF
)->start;

my ($worker) = $server->wait_workers;
my @waits = split ' ', $server->get('/names')->{body};
my @cuts = qw(plain abort caught inside kill both exit drop exec error);
my %cuts = map { $_ => [qw(plain abort kill error)] } qw(timer deadline hello certificate fetch store
    proxy_certificate verify); # there is less to end there, and handshakes are slow

# ---- a round of requests ----

sub begin {
    my ($phase, $wait, $cut) = @_;
    my $client = $server->connect;
    my $method = $wait =~ /^body/ ? 'POST' : 'GET';
    my $length = $wait =~ /^body/ ? "Content-Length: 10\r\n" : '';
    $client->send("$method /$phase?wait=$wait&cut=$cut HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n$length\r\nab");
    return { name => "$wait in $phase, $cut", client => $client, socket => $client->socket, reads => $wait ne 'flush',
        from => time, gives_up => $cut eq 'abort' };
}

sub leave {
    my ($each) = @_;
    delete $each->{socket};
    $each->{client}->close;
}

# Reads until the server closes; those that are to give up do so. The names of those that hang.
sub finish {
    my ($patience, @open) = @_;
    my $from = time;

    while (@open && time - $from < $patience) {
        while (my $socket = $silent->accept) {
            push @accepted, $socket;
        }
        for my $each (grep { $_->{gives_up} && time - $_->{from} > $ms / 4000 } @open) {
            leave($each);
        }
        @open = grep { $_->{socket} } @open;
        my %by = map { $_->{socket} => $_ } @open;
        for my $ready (IO::Select->new(map { $_->{socket} } @open)->can_read(0.02)) {
            my $each = $by{$ready};
            next if !$each->{reads} && time - $each->{from} < $ms / 2000;
            leave($each) if !sysread $ready, my $piece, 1_000_000;
        }
        @open = grep { $_->{socket} } @open;
    }
    return map { $_->{name} } @open;
}

sub descriptors {
    opendir my $folder, "/proc/$worker/fd" or return -1;
    return scalar grep { /^\d+\z/ } readdir $folder;
}

sub programs { scalar(my @pids = $server->worker_pids($worker)) }

sub memory { (split ' ', $server->get('/state')->{body})[3] }

sub is_idle {
    my ($descriptors) = @_;
    my ($running, $pending, $writing) = split ' ', $server->get('/state')->{body};
    return $running == 0 && $pending == 0 && $writing == 1 && programs() == 0 && descriptors() <= $descriptors;
}

sub describe { 'timers, requests, memory: ' . $server->get('/state')->{body} . ' descriptors: ' . descriptors() . ' programs: ' . programs() }

sub round {
    my (@phases) = @_;
    my @open;

    @accepted = ();
    for my $phase (@phases) {
        for my $cut (@{ $cuts{$phase} || \@cuts }) {
            push @open, map { begin($phase, $_, $cut) } @waits;
        }
    }
    return finish(20 * $ms / 1000 * patience(1), @open);
}

round('content');
my $idle = descriptors() + 2; # connections of a check and of the resolver
ok wait_until(5, sub { is_idle($idle) }), 'idle' or diag describe();
$idle = descriptors() + 2;
my $before = memory();

for (my @left = @phases; my @pair = splice @left, 0, 2;) {
    is_deeply [round(@pair)], [], "@pair: every request ends";
    ok wait_until(5, sub { is_idle($idle) }), "@pair: nothing stays" or diag describe();
}
my $after = memory();
cmp_ok $after - $before, '<', 1000, 'kB that Lua has more';
is_deeply [$server->wait_workers], [$worker], 'the worker lives';

# ---- the end of the worker ----

sub begin_all {
    return map { my $phase = $_; map { begin($phase, $_, 'both'), begin($phase, $_, 'plain') } @waits } @phases;
}

my @open = begin_all();
ok $server->reload, 'a reload while all wait';
push @open, begin_all();
$server->quit;
is_deeply [finish(5, @open)], [], 'all end with the worker';

done_testing;
