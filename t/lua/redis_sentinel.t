use lib 't/lib';
use Bulan::Test::Backend;
use Bulan::Test::Port 'free_port';
use Bulan::Test::Process qw(wait_until wait_port);
use Bulan::Test::Redis;
use Bulan::Test::Server;
use Test::More;

my $master  = Bulan::Test::Redis->start('repl-diskless-sync-delay' => 0);
my $replica = Bulan::Test::Redis->start('replicaof', '127.0.0.1 ' . $master->port);
my @sentinels = map { start_sentinel() } 1 .. 2;

# A sentinel keeps its state in its file. The first one of the list below is not there at all.
sub start_sentinel {
    my $port = free_port();
    my $folder = Bulan::Test::Server::new_tree();
    open my $out, '>', "$folder/sentinel.conf" or die $!;
    print $out "port $port\nbind 127.0.0.1\ndir $folder\nsentinel monitor shop 127.0.0.1 ", $master->port, " 1\n",
        "sentinel down-after-milliseconds shop 1000\nsentinel failover-timeout shop 10000\n";
    close $out;
    my $process = Bulan::Test::Process->spawn(['redis-server', "$folder/sentinel.conf", '--sentinel'], stderr => "$folder/stderr");
    wait_port($port, 10) or die "sentinel does not start\n";
    return { port => $port, process => $process };
}

sub cli { my ($port, @command) = @_; open my $out, '-|', 'redis-cli', '-p', $port, @command or die $!; local $/; return scalar <$out> }

for my $sentinel (@sentinels) {
    wait_until(20, sub { cli($sentinel->{port}, 'sentinel', 'slaves', 'shop') =~ /master-link-status\nok/ }) or die "no replica\n";
}

my $list = join ', ', '{ host = "127.0.0.1", port = 1 }', map { "{ host = '127.0.0.1', port = $_->{port} }" } @sentinels;
my $server = Bulan::Test::Server->new(
    http_config => 'lua_socket_log_errors off; lua_package_path "$prefix/html/?.lua;;";',
    config      => <<'CONF',
location / {
    content_by_lua_block {
        local cases = require "cases"
        ngx.print(cases[ngx.var.uri:sub(2)](ngx.req.get_uri_args()))
    }
}
CONF
    files => { 'cases.lua' => "local list = { $list }\n" . <<'LUA' });
local sentinel = require "resty.redis.sentinel"
local cases = {}

local function new(options)
    options = options or {}
    options.sentinels = options.sentinels or list
    options.master_name = options.master_name or "shop"
    options.connect_timeout, options.read_timeout = 5000, 5000
    return sentinel.new(options)
end

-- The role and the port of who is at the other end.
function cases.role(args)
    local s = assert(new { role = args.role })
    local red, err = s:connect(args.url and { url = args.url })
    if not red then return err end
    local port = red:config("get", "port")[2]
    local db = red:client("info"):match(" db=(%d+)")
    local answer = red:role()[1] .. " " .. port .. " " .. db .. " " .. red:get_reused_times()
    s:set_keepalive(red)
    return answer
end

function cases.addresses()
    local s = assert(new())
    local replicas = assert(s:replicas())
    return s:master().port .. " " .. #replicas .. " " .. replicas[1].port
end

function cases.faults()
    local out = {}
    local function try(options, more)
        local s, err = new(options)
        if s then s, err = s:connect(more) end
        out[#out + 1] = tostring(err)
    end
    try { master_name = "unknown" }
    try { sentinels = { { host = "127.0.0.1", port = 1 } } }
    try { sentinels = {} }
    try({}, { url = "redis://x" })
    try { url = "sentinel://nothing" }
    try { username = "nobody", password = "wrong" }
    out[#out + 1] = tostring(select(2, pcall(new, { role = "boss" }))):match("bad option.*")
    return table.concat(out, "\n")
end

function cases.strange(args)
    local s = assert(new {
        sentinels = { { host = "127.0.0.1", port = tonumber(args.port) } }, master_name = args.name, role = args.role,
    })
    return (select(2, s:connect()))
end

return cases
LUA
$server->start;
sub body { my ($path) = @_; return $server->get($path)->{body} }
my ($one, $two) = ($master->port, $replica->port);

is body('/addresses'), "$one 1 $two", 'addresses';
is body('/role'), "master $one 0 0", 'a connection to the master';
is body('/role'), "master $one 0 1", '... and from the pool';
is body('/role?role=slave'), "slave $two 0 0", 'one to a replica';
is body('/role?role=any'), "master $one 0 2", 'any: the master';
is body('/role?url=sentinel://shop:s/3'), "slave $two 3 0", 'by an address, with a database';
like body('/faults'), qr/^no such master: unknown
no sentinel answers: connection refused
no sentinels
bad url
bad url
failed to authenticate: [^\n]*
bad option role: [^\n]*$/, 'faults';

# Answers that no sentinel gives, by the master's name.
my %reply = (number => ":5\r\n", word => "+OK\r\n", null => "\$-1\r\n", list => "*1\r\n:5\r\n", nested => "*1\r\n*2\r\n,nan\r\n:1\r\n",
    flags => "*1\r\n*6\r\n+ip\r\n+a\r\n+port\r\n+1\r\n+flags\r\n*0\r\n", nowhere => "*1\r\n*2\r\n+port\r\n+1\r\n");
my $liar = Bulan::Test::Backend->tcp(sub {
    my ($connection) = @_;
    while (defined(my $request = eval { $connection->take(qr/(?:slaves|by-name)\r\n\$\d+\r\n\w+\r\n/, time + 5) })) {
        $connection->send($reply{ $request =~ /(\w+)\r\n\z/ && $1 });
    }
}, parallel => 1);
for my $name (sort keys %reply) {
    is body("/strange?role=master&name=$name&port=" . $liar->port), "no such master: $name", "no address of a master: $name";
    is body("/strange?role=slave&name=$name&port=" . $liar->port), 'no sentinel answers: invalid list of replicas', "no replicas: $name";
}

# The sentinels make the replica the master. What they do to the old one some seconds later, the test
# does at once.
cli($sentinels[0]{port}, 'sentinel', 'failover', 'shop');
ok wait_until(30, sub { cli($_->{port}, 'sentinel', 'get-master-addr-by-name', 'shop') =~ /^$two$/m }), 'fail-over' for @sentinels;
cli($one, 'replicaof', '127.0.0.1', $two);
cli($one, 'client', 'kill', 'type', 'normal');
like cli($one, 'role'), qr/^slave/, 'the old master has stepped down';
like body('/role'), qr/^master $two 0 \d+$/, 'the new master is found';
$master->stop;
like body('/role?role=any'), qr/^master $two 0 \d+$/, '... when the old one has gone, too';

# The master dies, and there is no replica.
$replica->stop;
is body('/role'), 'connection refused', 'no master';
like body('/role?role=any'), qr/^no replica can be reached: /, 'nothing at all';

$server->stop;
done_testing;
