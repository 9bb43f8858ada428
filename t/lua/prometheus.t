# resty.prometheus: what collect() says is in Prometheus' text format, and right; over workers and reloads.
use strict;
use warnings;
use lib 't/lib';
use File::Temp ();
use Test::More;
use Bulan::Test::Client;
use Bulan::Test::Command;
use Bulan::Test::Process 'wait_until';
use Bulan::Test::Server;

my $in = Bulan::Test::Command->new;

# Text format 0.0.4, strictly: what a page does wrong, or '' when nothing.
sub faults {
    my ($page) = @_;
    my (%type, %seen, $family, %done);
    my $label  = qr/[a-zA-Z_]\w*="(?:[^"\\\n]|\\[\\"n])*"/;
    my $number = qr/[-+]?(?:\d+(?:\.\d+)?(?:e[-+]?\d+)?|Inf)|NaN/;
    return "no line end at the end\n" if $page !~ /\n\z/;
    for my $line (split /\n/, $page) {
        if ($line =~ /^# (HELP|TYPE) ([a-zA-Z_:][\w:]*) (.*)$/) {
            my ($kind, $name, $rest) = ($1, $2, $3);
            if (($family // '') ne $name) {
                return "$name is there in two places\n" if $done{$name}++;
                $family = $name;
            }
            return "type behind samples: $line\n" if $seen{$name};
            return "bad escape: $line\n" if $kind eq 'HELP' && $rest !~ /\A(?:[^\\]|\\[\\n])*\z/;
            next if $kind eq 'HELP';
            return "bad type: $line\n" if $rest !~ /\A(?:counter|gauge|histogram)\z/ || $type{$name};
            $type{$name} = $rest;
        } elsif ($line =~ /^([a-zA-Z_:][\w:]*)(\{$label(?:,$label)*\})? ($number)$/) {
            my ($name, $labels, $value) = ($1, $2 // '', $3);
            my $base = $name;
            $base =~ s/_(?:bucket|sum|count)\z// if ($type{ $family // '' } // '') eq 'histogram';
            return "sample of another metric: $line\n" if $base ne ($family // '');
            return "no type: $line\n" if !$type{$base};
            return "twice: $line\n" if $seen{"$name$labels"}++;
            return "a counter below zero: $line\n" if $type{$base} eq 'counter' && $value =~ /^-/;
            $seen{$base} = 1;
        } else {
            return "malformed: $line\n";
        }
    }
    return buckets($page);
}

# Buckets grow, and the last one has all.
sub buckets {
    my ($page) = @_;
    my (%last, %bound, %inf);
    while ($page =~ /^(\w+)_bucket\{(.*?),?le="([^"]+)"\} (\d+)$/mg) {
        my ($of, $le, $count) = ("$1 $2", $3, $4);
        return "$of: buckets are not in order\n" if exists $bound{$of} && $le ne '+Inf' && $le <= $bound{$of};
        return "$of: a bucket shrinks\n" if $count < ($last{$of} // 0);
        ($last{$of}, $bound{$of}) = ($count, $le);
        $inf{$of} = $count if $le eq '+Inf';
    }
    while ($page =~ /^(\w+)_count(?:\{(.*)\})? (\d+)$/mg) {
        my $of = "$1 " . ($2 // '');
        return "$of: count is not the last bucket\n" if exists $last{$of} && ($inf{$of} // -1) != $3;
    }
    return '';
}

sub is_good {
    my ($page, $name) = @_;
    is faults($page), '', "$name: the format";
  SKIP: {
        skip 'no promtool', 1 if !-x '/usr/bin/promtool';
        my $file = File::Temp->new;
        print $file $page;
        close $file;
        is `/usr/bin/promtool check metrics < $file 2>&1`, '', "$name: promtool";
    }
}

# The check itself finds faults.
for my $bad ("a 1\n", "# TYPE a counter\na -1\n", "# TYPE a counter\na{x=\"\\q\"} 1\n", "# TYPE a counter\na 1", "# TYPE a counter\na 1\na 1\n",
    "# TYPE a histogram\na_bucket{le=\"1\"} 2\na_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 1\n", "# TYPE a counter\na 0x1\n", "# TYPE a counter\na 1\n# TYPE b gauge\nb 1\n# TYPE a counter\n") {
    isnt faults($bad), '', "not the format: $bad";
}

sub output {
    my ($text, $err) = @_;
    $in->file('work/a.lua', $text);
    my $r = $in->run('run', '--shdict', 'm 1m', '--shdict', 'small 64k', 'a.lua');
    $err ? like($r->{err}, $err, 'the log') : is($r->{err}, '', 'no error');
    is $r->{status}, 0, 'ends well';
    return $r->{out};
}

my $out = output(<<'LUA', qr/Inconsistent labels count.*Value of c_total.*Metric name '1x'.*Duplicate.*'le'.*label name '__x'.*twice.*is not a number/s);
local p = require("prometheus").init("m", { sync_interval = 0.01 })
assert(require("prometheus") == require("resty.prometheus"))
local c = p:counter("c_total", "Counter, \\ and\nline.", { "host", "status" })
c:inc(1, { "a", 200 })
c:inc(2, { "a", "200" })
c:inc(0.5, { "b", 404 })
c:inc(nil, { 'q"\\\n\0\255é€\240\159\152\128\237\160\128', "x" })
c:inc(1, { [2] = "hole" })
c:inc(1, { "a" }) c:inc(1, { "a", "b", "c" }) c:inc(1) c:inc(1, "x")
c:inc(-1, { "a", 200 }) c:inc("x", { "a", 200 }) c:inc(0 / 0, { "a", 200 })
assert(not p:counter("1x") and not p:gauge("c_total") and not p:histogram("h", "", { "le" }) and not p:gauge("g", "", { "__x" }))
assert(not p:gauge("g", "", { "a", "a" }))
local g = p:gauge("g", "Gauge.")
g:set("x") g:set(1.1) g:inc(-3) g:inc()
local big = p:gauge("big", "Numbers.", { "n" })
big:set(2 ^ 60, { 1 }) big:set(1 / 0, { 2 }) big:set(-1 / 0, { 3 }) big:set(0 / 0, { 4 }) big:set(0.1, { 5 }) big:set(1e300, { 6 }) big:set(-5, { 7 })
local h = p:histogram("h_seconds", "Histogram.", { "x" }, { 10, 0.5, 1 })
for _, v in ipairs { 0.125, 0.5, 0.75, 7, 11, 12 } do h:observe(v, { "y" }) end
p:histogram("plain_seconds", "Default buckets."):observe(0.3)
io.write(table.concat(p:metric_data()))
LUA
is_good($out, 'all kinds');
is $out =~ /\A(.*plain_seconds histogram\n)/s && $1, <<'PAGE', 'the page';
# HELP big Numbers.
# TYPE big gauge
big{n="1"} 1.152921504606847e+18
big{n="2"} +Inf
big{n="3"} -Inf
big{n="4"} NaN
big{n="5"} 0.1
big{n="6"} 1e+300
big{n="7"} -5
# HELP c_total Counter, \\ and\nline.
# TYPE c_total counter
c_total{host="a",status="200"} 3
c_total{host="b",status="404"} 0.5
c_total{host="nil",status="hole"} 1
c_total{host="q\"\\é€😀",status="x"} 1
# HELP g Gauge.
# TYPE g gauge
g -0.8999999999999999
# HELP h_seconds Histogram.
# TYPE h_seconds histogram
h_seconds_bucket{x="y",le="0.5"} 2
h_seconds_bucket{x="y",le="1"} 3
h_seconds_bucket{x="y",le="10"} 4
h_seconds_bucket{x="y",le="+Inf"} 6
h_seconds_sum{x="y"} 31.375
h_seconds_count{x="y"} 6
# HELP nginx_metric_errors_total Errors while counting metrics.
# TYPE nginx_metric_errors_total counter
nginx_metric_errors_total 13
# HELP plain_seconds Default buckets.
# TYPE plain_seconds histogram
PAGE

$out = output(<<'LUA');
local p = require("prometheus").init("m", { sync_interval = 0.01, prefix = "my_", error_metric_name = "oops_total", lookup_max_size = 5 })
local c, g = p:counter("c_total", "C.", { "l" }), p:gauge("g", "G.", { "l" })
local h = p:histogram("h", "H.", { "l" }, { 1 })
for i = 1, 30 do c:inc(1, { i % 15 }) end
for i = 1, 3 do g:set(i, { i }) h:observe(i, { i }) end
local function show(name)
    for _, line in ipairs(p:metric_data()) do
        if line:find("^" .. name) and not line:find("_bucket") then io.write((line:gsub("\n", " "))) end
    end
    print()
end
show("my_c_total")
c:del { 3 } g:del { 2 } h:del { 1 }
show("my_c_total") show("my_g") show("my_h")
c:inc(7, { 3 }) g:set(9, { 2 }) h:observe(0, { 1 })
show("my_c_total") show("my_g") show("my_h")
c:reset() g:reset() h:reset()
c:inc(1, { "new" })
show("my_[cgh]")
show("my_oops")
print(#ngx.shared.m:get_keys(0))
LUA
my @c = map { qq(my_c_total{l="$_"} 2 ) } sort 0 .. 14;
my @d = grep { !/"3"/ } @c;
is $out, join("\n",
    join('', @c), join('', @d), 'my_g{l="1"} 1 my_g{l="3"} 3 ', 'my_h_sum{l="2"} 2 my_h_count{l="2"} 1 my_h_sum{l="3"} 3 my_h_count{l="3"} 1 ',
    join('', map { /"3"/ ? 'my_c_total{l="3"} 7 ' : $_ } @c), 'my_g{l="1"} 1 my_g{l="2"} 9 my_g{l="3"} 3 ',
    'my_h_sum{l="1"} 0 my_h_count{l="1"} 1 my_h_sum{l="2"} 2 my_h_count{l="2"} 1 my_h_sum{l="3"} 3 my_h_count{l="3"} 1 ',
    'my_c_total{l="new"} 1 ', 'my_oops_total 0 ', 7) . "\n", 'del, reset; more series than are remembered; nothing is left in the dictionary';

$out = output(<<'LUA', qr/Error while adding to the dictionary 'small': no memory/);
local p = require("prometheus").init("small", { sync_interval = 0.01 })
local c, g = p:counter("c_total", "C.", { "l" }), p:gauge("g", "G.", { "l" })
c:inc(1, { "first" })
p:metric_data()
for i = 1, 1000 do c:inc(1, { i .. ("x"):rep(100) }) end
io.write((table.concat(p:metric_data()):gsub("x+", "x")))
LUA
like $out, qr/^c_total\{l="first"\} 1$/m, 'a full dictionary: what is there stays';
is faults($out), '', 'and the page is good';
cmp_ok scalar(() = $out =~ /^c_total/mg), '>', 10, 'what found room is there';

is output('print(pcall(require("prometheus").init, "nope"))'), "false\tDictionary 'nope' does not seem to exist. Please define the dictionary using `lua_shared_dict`.\n", 'no such dictionary';

# ---------------------------------------------------------------- workers

my %part = (
    workers     => 3,
    log_level   => 'notice',
    allow       => [qr/exited on signal 9/],
    http_config => <<'CONF',
lua_shared_dict prometheus_metrics 2m;
init_worker_by_lua_block {
    prometheus = require("prometheus").init("prometheus_metrics", { sync_interval = 0.05, server = true })
    requests = prometheus:counter("http_requests_total", "Requests.", { "status" })
    latency = prometheus:histogram("http_request_seconds", "Latency.", { "host" })
    alive = prometheus:gauge("worker_alive", "Workers.", { "id" })
    alive:set(1, { ngx.worker.id() })
}
log_by_lua_block {
    if ngx.var.uri == "/x" then
        requests:inc(1, { ngx.var.status })
        latency:observe(tonumber(ngx.var.request_time), { ngx.var.server_name })
    end
}
CONF
    config => <<'CONF',
location = /x { return 204; }
location = /slow { content_by_lua_block { requests:inc(1, { 200 }) ngx.print("counted") } }
location = /metrics { content_by_lua_block { prometheus:collect() } }
CONF
);
my $server = Bulan::Test::Server->new(%part)->start;

sub value {
    my ($name) = @_;
    return $server->get('/metrics')->{body} =~ /^\Q$name\E (\S+)$/m ? $1 : 'none';
}

sub soon {
    my ($name, $value, $title) = @_;
    my $got;
    ok wait_until(5, sub { ($got = value($name)) eq $value }), $title or diag "$name: $got";
}

$server->get('/x') for 1 .. 30;
soon('http_requests_total{status="204"}', 30, 'requests of all workers');
soon('http_request_seconds_count{host="localhost"}', 30, 'of the histogram, too');
soon(qq(worker_alive{id="$_"}), 1, "gauge of worker $_") for 0 .. 2;
my $page = $server->get('/metrics');
is_good($page->{body}, 'of a server');
is $page->{headers}{'content-type'}[0], 'text/plain; version=0.0.4', 'its type';
cmp_ok value('nginx_responses_total{class="2xx"}'), '>=', 30, 'the server\'s own counters';
cmp_ok value('nginx_requests_total'), '>=', 30, 'requests';
soon('nginx_connections{state="writing"}', 1, 'connections');

ok $server->reload, 'a reload';
$server->get('/x');
soon('http_requests_total{status="204"}', 31, 'counts go on');

# The old workers add what they have when they end, before the interval is over.
$part{http_config} =~ s/0\.05/1000/;
$server->configure(%part);
ok $server->reload, 'a long interval';
$server->get('/x') for 1 .. 9;
is value('nginx_metric_errors_total'), 0, 'no errors';
ok $server->reload, 'another reload';
soon('http_requests_total{status="204"}', 40, 'what old workers had is there');

$part{http_config} =~ s/1000/0.05/;
$server->configure(%part);
ok $server->reload, 'a short interval again';
$server->get('/x');
soon('http_requests_total{status="204"}', 41, 'counted');
my ($victim) = $server->worker_pids;
kill 'KILL', $victim;
ok wait_until(5, sub { my @now = $server->worker_pids; @now == 3 && !grep { $_ == $victim } @now }), 'a worker is killed';
$server->get('/x');
soon('http_requests_total{status="204"}', 42, 'nothing that was added is lost');

$server->stop;

# Made before the workers: they share what is in the dictionary, and nothing twice.
$server = Bulan::Test::Server->new(
    workers     => 2,
    log_level   => 'notice',
    http_config => <<'CONF',
lua_shared_dict m 2m;
init_by_lua_block {
    prometheus = require("prometheus").init("m", { sync_interval = 1000 })
    boots = prometheus:counter("boots_total", "Boots.")
    sizes = prometheus:histogram("size_bytes", "Sizes.", nil, { 1 })
    boots:inc(1)
    boots:inc(1)
    sizes:observe(1)
}
init_worker_by_lua_block {
    prometheus:init_worker(0.05)
    boots:inc(10)
}
CONF
    config => 'location = /metrics { content_by_lua_block { prometheus:collect() } }',
)->start;
soon('boots_total', 22, 'counted before the workers, and in them');
is value('size_bytes_count'), 1, 'a histogram, too';
is value('nginx_metric_errors_total'), 0, 'no errors';
$server->stop;

done_testing;
