use lib 't/lib';
use Bulan::Test;
use Bulan::Test::Dns;

# What a name's reply is made of: HEAD(id, flags, counts...), the question, records.
sub answer {
    my ($query, $flags, $counts, @records) = @_;
    return substr($query, 0, 2) . pack('n5', $flags, 1, @$counts) . substr($query, 12) . join '', @records;
}
sub record { my ($type, $data, $name) = @_; return (defined $name ? $name : "\xc0\x0c") . pack('nnNn', $type, 1, 300, length $data) . $data }
sub name   { return join('', map { pack 'C/a*', $_ } split /\./, shift) . "\0" }
sub records { my @records = @_; return { reply => sub { answer($_[0], 0x8180, [scalar @records, 0, 0], @records) } } }
sub bytes  { my ($flags, $counts, @rest) = @_; return { reply => sub { answer($_[0], $flags, $counts, @rest) } } }

my $dns = Bulan::Test::Dns->start({
    'a.test'     => { A => ['127.0.0.1', '127.0.0.2'], ttl => 5 },
    'cached.test' => { A => ['10.9.0.1', '10.9.0.2'], AAAA => ['2001:db8::5'] },
    'mute.test'  => { A => ['10.0.0.1'], drop => 1000 },
    'mute2.test' => { A => ['10.0.0.1'], drop => 1000 },
    'six.test'   => { AAAA => ['2001:db8::1'] },
    'alias.test' => { CNAME => 'a.test' },
    'txt.test'   => { TXT => ['hello', ''] },
    'srv.test'   => { SRV => [[10, 5, 8080, 'a.test']] },
    '1.0.0.127.in-addr.arpa' => { PTR => 'a.test' },
    'big.test'   => { A => [map { "10.0.0.$_" } 1 .. 60], truncate => 1 },
    'lossy.test' => { A => ['10.0.0.1'], drop => 1 },
    'slow.test'  => { A => ['10.0.0.1'], delay => 0.15 },
    'fail.test'  => { rcode => 2 },
    'refuse.test' => { rcode => 5 },
    'odd.test'   => { rcode => 9 },
    'txts.test'  => records(record(16, "\5hello\5world")),
    'mx.test'    => records(record(15, pack('n', 10) . "\4mail\xc0\x0c")),
    'ns.test'    => records(record(2, "\3ns1\xc0\x0c"), record(6, "\3ns1\xc0\x0c" . name('host.master') . pack('N5', 1 .. 5))),
    'spf.test'   => records(record(99, "\6v=spf1"), record(257, "\x80\5issueca.test"), record(65280, "\0\1\2")),
    'naptr.test' => records(record(35, pack('nn', 10, 100) . "\1u\7E2U+sip\7!x!y\\1!" . "\0")),
    'dot.test'   => records(record(5, "\3a.b\4test\0")),
    'sections.test' => bytes(0x8180, [1, 1, 1], record(1, "\1\2\3\4"), record(2, name('ns.test')), record(1, "\5\6\7\x08", name('ns.test'))),
    'edns.test'  => { reply => sub { my $q = shift; answer(substr($q, 0, -11), 0x8180, [1, 0, 1], record(16, "\1" . (length($q) == 38 ? 'y' : 'n')), substr $q, -11) } },
    # what no honest server says
    'loop.test'  => records(record(5, "\xc0\x29")),
    'self.test'  => records(record(1, "\1\2\3\4", "\xc0\x1b")),
    'ahead.test' => records(record(5, "\xc0\xff")),
    'head.test'  => records(record(5, "\xc0\x02")),
    'label.test' => records(record(5, "\x80abc\0")),
    'long.test'  => records(record(5, ("\x3f" . 'x' x 63) x 5 . "\0")),
    'short.test' => records(record(1, "\1\2\3")),
    'wide.test'  => records(record(28, "\0" x 21)),
    'cname.test' => records(record(5, name('b.test') . 'more')),
    'string.test' => records(record(16, "\x09abc")),
    'count.test' => bytes(0x8180, [2000, 0, 0], record(1, "\1\2\3\4")),
    'cut.test'   => { reply => sub { substr answer($_[0], 0x8180, [1, 0, 0], record(1, "\1\2\3\4")), 0, -2 } },
    'query.test' => bytes(0x0100, [0, 0, 0]),
    'id.test'    => { reply => sub { my $q = shift; substr($q, 0, 2) ^= "\1\1"; answer($q, 0x8180, [1, 0, 0], record(1, "\1\2\3\4")) } },
    'other.test' => { reply => sub { my $q = shift; substr($q, 13, 5) = 'OTHES'; answer($q, 0x8180, [1, 0, 0], record(1, "\1\2\3\4")) } },
    'case.test'  => { reply => sub { my $q = shift; substr($q, 13, 4) = 'CaSe'; answer($q, 0x8180, [1, 0, 0], record(1, "\1\2\3\4")) } },
    'tiny.test'  => { reply => sub { 'a' } },
    'format.test' => { reply => sub { substr($_[0], 0, 2) . pack 'n5', 0x8181, 0, 0, 0, 0 } },
});
our $DNS = $dns;
my $refusing = Bulan::Test::Dns->start({ map { $_ => { rcode => 5 } } qw(a.test refuse.test) });
($ENV{TEST_NGINX_DNS_PORT}, $ENV{TEST_NGINX_REFUSING}) = ($dns->port, $refusing->port);

add_block_preprocessor(sub {
    my $block = shift;
    $block->set_value(http_config => 'lua_socket_log_errors off; lua_package_path "$TEST_NGINX_HTML_DIR/?.lua;;";');
    $block->set_value(user_files => <<'LUA');
>>> tools.lua
local resolver = require "resty.dns.resolver"
local tools = { port = $TEST_NGINX_DNS_PORT }

function tools.new(options)
    options = options or {}
    options.nameservers = options.nameservers or { { "127.0.0.1", tools.port } }
    options.timeout = options.timeout or 5000
    return assert(resolver:new(options))
end

-- The fields of each record, sorted by name.
function tools.show(answers, err)
    if not answers then return (tostring(err):gsub(":%d+:", ":PORT:")) end
    local lines = {}
    for i, answer in ipairs(answers) do
        local fields = {}
        for field, value in pairs(answer) do
            if type(value) == "table" then value = "{" .. table.concat(value, ",") .. "}" end
            fields[#fields + 1] = field .. "=" .. (tostring(value):gsub("%c", function(c) return "\\" .. c:byte() end))
        end
        table.sort(fields)
        lines[i] = table.concat(fields, " ")
    end
    if answers.errcode then lines[#lines + 1] = answers.errcode .. " " .. answers.errstr end
    return table.concat(lines, "\n")
end

return tools
LUA
});

run_tests();

__DATA__

=== TEST 1: records of every kind
--- config
location /t {
    content_by_lua_block {
        local tools = require "tools"
        local r = tools.new()
        for _, q in ipairs { { "a.test" }, { "A.test.", "A" }, { "six.test", "AAAA" }, { "alias.test" },
                { "txt.test", "TXT" }, { "txts.test", "TXT" }, { "srv.test", "SRV" }, { "mx.test", "MX" },
                { "ns.test", "NS" }, { "spf.test", "SPF" }, { "naptr.test", "NAPTR" }, { "dot.test" } } do
            ngx.say(tools.show(r:query(q[1], { qtype = q[2] and r["TYPE_" .. q[2]] })))
        end
        ngx.say(tools.show(r:reverse_query("127.0.0.1")))
        ngx.say("[", tools.show(r:query("six.test")), "]")
    }
}
--- request
GET /t
--- response_body
address=127.0.0.1 class=1 name=a.test section=1 ttl=5 type=1
address=127.0.0.2 class=1 name=a.test section=1 ttl=5 type=1
address=127.0.0.1 class=1 name=A.test section=1 ttl=5 type=1
address=127.0.0.2 class=1 name=A.test section=1 ttl=5 type=1
address=2001:db8:0:0:0:0:0:1 class=1 name=six.test section=1 ttl=60 type=28
class=1 cname=a.test name=alias.test section=1 ttl=60 type=5
address=127.0.0.1 class=1 name=a.test section=1 ttl=5 type=1
address=127.0.0.2 class=1 name=a.test section=1 ttl=5 type=1
class=1 name=txt.test section=1 ttl=60 txt=hello type=16
class=1 name=txt.test section=1 ttl=60 txt= type=16
class=1 name=txts.test section=1 ttl=300 txt={hello,world} type=16
class=1 name=srv.test port=8080 priority=10 section=1 target=a.test ttl=60 type=33 weight=5
class=1 exchange=mail.mx.test name=mx.test preference=10 section=1 ttl=300 type=15
class=1 name=ns.test nsdname=ns1.ns.test section=1 ttl=300 type=2
class=1 expire=4 minimum=5 mname=ns1.ns.test name=ns.test refresh=2 retry=3 rname=host.master section=1 serial=1 ttl=300 type=6
class=1 name=spf.test section=1 spf=v=spf1 ttl=300 type=99
class=1 flags=128 name=spf.test section=1 tag=issue ttl=300 type=257 value=ca.test
class=1 name=spf.test rdata=\0\1\2 section=1 ttl=300 type=65280
class=1 flags=u name=naptr.test order=10 preference=100 regexp=!x!y\1! replacements= section=1 services=E2U+sip ttl=300 type=35
class=1 cname=a\.b.test name=dot.test section=1 ttl=300 type=5
class=1 name=1.0.0.127.in-addr.arpa ptrdname=a.test section=1 ttl=60 type=12
[]



=== TEST 2: errors of servers, TCP, sections, EDNS
--- config
location /t {
    content_by_lua_block {
        local tools = require "tools"
        local r = tools.new()
        for _, name in ipairs { "none.test", "fail.test", "refuse.test", "odd.test", "format.test" } do
            ngx.say(tools.show(r:query(name)))
        end
        ngx.say(#r:query("big.test"), " ", #r:tcp_query("a.test"), " ", tools.show(r:tcp_query("none.test")))
        ngx.say(tools.show(r:tcp_query("other.test")))
        ngx.say(tools.show(r:query("sections.test")))
        ngx.say(tools.show(r:query("sections.test", { additional_section = true })))
        ngx.say(tools.show(r:query("sections.test", { authority_section = true, additional_section = true })))
        r = tools.new { edns = 1232 }
        ngx.say(r:query("edns.test", { qtype = r.TYPE_TXT, additional_section = true })[1].txt)
        for _, name in ipairs { "", "a..b", ".a", ("x"):rep(64), ("x."):rep(130) } do
            ngx.say(tools.show(r:query(name)))
        end
        ngx.say(tools.show(r:query(".")))
    }
}
--- request
GET /t
--- response_body
3 name error
2 server failure
5 refused
9 unknown
1 format error
60 2 3 name error
question mismatch in the DNS reply
address=1.2.3.4 class=1 name=sections.test section=1 ttl=300 type=1
address=1.2.3.4 class=1 name=sections.test section=1 ttl=300 type=1
address=5.6.7.8 class=1 name=ns.test section=3 ttl=300 type=1
address=1.2.3.4 class=1 name=sections.test section=1 ttl=300 type=1
class=1 name=sections.test nsdname=ns.test section=2 ttl=300 type=2
address=5.6.7.8 class=1 name=ns.test section=3 ttl=300 type=1
y
bad name
bad name
bad name
bad name
bad name
3 name error



=== TEST 3: tries, late answers, servers in turn
--- config
location /t {
    content_by_lua_block {
        local tools = require "tools"
        local resolver = require "resty.dns.resolver"
        ngx.say(select(2, resolver:new()), ", ", select(2, resolver:new {}))
        local r = tools.new { timeout = 50, retrans = 3 }
        local tries = {}
        ngx.say(#r:query("lossy.test", nil, tries), " ", #tries)
        -- The answer to the first transmission comes after the second or third.
        r = tools.new { timeout = 60, retrans = 20 }
        ngx.say(tools.show(r:query("slow.test")))
        r:set_timeout(1)
        r.retrans = 2
        local answers, err
        answers, err, tries = r:query("slow.test", {}, {})
        ngx.say(tools.show(answers, err), " ", #tries)
        local refusing = { "127.0.0.1", $TEST_NGINX_REFUSING }
        r = tools.new { nameservers = { refusing, { "127.0.0.1", tools.port } }, no_random = true }
        for _ = 1, 2 do
            answers, err, tries = r:query("a.test", {}, {})
            ngx.say(#answers, " ", err, " ", table.concat(tries, ";"):gsub(":%d+:", ":PORT:"), "") 
        end
        ngx.say(tools.show(r:query("refuse.test")))
        r = tools.new { nameservers = { { "127.0.0.1", 1 } }, retrans = 2, timeout = 1000 }
        ngx.say(tools.show(r:query("a.test")))
        ngx.say(tools.show(r:tcp_query("a.test")))
    }
}
--- request
GET /t
--- response_body
no options table specified, no nameservers specified
1 1
address=10.0.0.1 class=1 name=slow.test section=1 ttl=60 type=1
failed to receive reply from UDP server 127.0.0.1:PORT: timeout 2
2 nil 127.0.0.1:PORT: refused
2 nil 127.0.0.1:PORT: refused
5 refused
failed to receive reply from UDP server 127.0.0.1:PORT: connection refused
failed to connect to TCP server 127.0.0.1:PORT: connection refused



=== TEST 4: answers that lie
--- config
location /t {
    content_by_lua_block {
        local tools = require "tools"
        local r = tools.new { retrans = 1 }
        for name in ([[loop self ahead head label long short wide cname string count cut query tiny
                case]]):gmatch("%S+") do
            ngx.say(name, ": ", tools.show(r:query(name .. ".test")))
        end
        r:set_timeout(50)
        ngx.say(tools.show(r:query("id.test")))
        ngx.say(tools.show(r:query("other.test")))
    }
}
--- request
GET /t
--- response_body
loop: bad cname record: bad compression pointer
self: bad compression pointer
ahead: bad cname record: bad compression pointer
head: bad cname record: bad compression pointer
label: bad cname record: bad label
long: bad cname record: too long a name
short: bad A record value length: 3
wide: bad AAAA record value length: 21
cname: bad cname record length: 8 ~= 12
string: bad TXT record
count: truncated
cut: truncated
query: bad QR flag in the DNS response
tiny: truncated
case: address=1.2.3.4 class=1 name=CaSe.test section=1 ttl=300 type=1
failed to receive reply from UDP server 127.0.0.1:PORT: timeout
failed to receive reply from UDP server 127.0.0.1:PORT: timeout
--- error_log
id mismatch in the DNS reply
question mismatch in the DNS reply



=== TEST 5: addresses
--- config
location /t {
    content_by_lua_block {
        local r = require "resty.dns.resolver"
        for _, address in ipairs { "FF01::101", "::", "::1", "1::", "1:2:3:4:5:6:7:8", "::ffff:1.2.3.4" } do
            ngx.say(r.expand_ipv6_addr(address))
        end
        for _, address in ipairs { "FF01:0:0:0:0:0:0:101", "0:0:0:0:0:0:0:0", "1:0:2:0:0:0:3:4", "1:2:3:4:5:6:0:0",
                "1:0:2:3:4:5:6:7", "FF01::101" } do
            ngx.say(r.compress_ipv6_addr(address))
        end
        ngx.say(r.arpa_str("1.2.3.4"), "\n", r.arpa_str("FF01::101"), "\n", r.arpa_str("2001:db8::12"))
    }
}
--- request
GET /t
--- response_body
FF01:0:0:0:0:0:0:101
0:0:0:0:0:0:0:0
0:0:0:0:0:0:0:1
1:0:0:0:0:0:0:0
1:2:3:4:5:6:7:8
0:0:0:0:0:ffff:102:304
FF01::101
::
1:0:2::3:4
1:2:3:4:5:6::
1:0:2:3:4:5:6:7
FF01::101
4.3.2.1.in-addr.arpa
1.0.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.F.F.ip6.arpa
2.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa



=== TEST 6: answers changed at random are parsed or refused
--- config
location /t {
    content_by_lua_block {
        local message = require "resty.dns.message"
        local wire = message.query(7, "a.test", { qtype = 255 }):sub(13)
        local function record(kind, data)
            return "\192\12" .. string.char(math.floor(kind / 256), kind % 256) .. "\0\1\0\0\0\5\0" .. string.char(#data) .. data
        end
        local records = record(1, "\1\2\3\4") .. record(5, "\1b\192\14") .. record(15, "\0\1\1b\192\12")
            .. record(16, "\3abc\0") .. record(28, ("\1"):rep(16)) .. record(33, "\0\1\0\2\0\3\1b\192\12")
            .. record(6, "\1b\192\12\1c\192\12" .. ("\0"):rep(20)) .. record(35, "\0\1\0\2\1u\1v\1w\0")
            .. record(257, "\0\5issueca") .. record(999, "abc")
        local base = "\0\7\129\128\0\1\0\10\0\0\0\0" .. wire .. records
        local options = { qtype = 255, authority_section = true, additional_section = true }
        ngx.say(#message.parse(base, 7, "a.test", options))
        -- A generator of this test's own: the same changes in every run.
        local state = 12345
        local function random(n)
            state = (state * 16807) % 2147483647
            return state % n + 1
        end
        local parsed, refused = 0, 0
        for _ = 1, 20000 do
            local bytes = { base:byte(1, -1) }
            for _ = 1, random(4) do bytes[random(#bytes)] = random(256) - 1 end
            local text = string.char(unpack(bytes))
            if random(4) == 1 then text = text:sub(1, random(#text)) end
            local answers, err = message.parse(text, 7, "a.test", options)
            if answers then
                parsed = parsed + 1
                for _, answer in ipairs(answers) do
                    if #answer.name > 520 then error("a long name") end
                end
            elseif type(err) == "string" then
                refused = refused + 1
            end
        end
        ngx.say(parsed + refused, " ", parsed > 1000, " ", refused > 1000)
    }
}
--- timeout: 20
--- request
GET /t
--- response_body
10
20000 true true



=== TEST 7: the server's own resolver: its cache, its errors
--- config
location /t {
    resolver 127.0.0.1:$TEST_NGINX_DNS_PORT;
    resolver_timeout 100ms;
    content_by_lua_block {
        local tools = require "tools"
        local r = assert(require("resty.dns.resolver"):new { core = true })
        local function sorted(answers)
            table.sort(answers, function(a, b) return a.address < b.address end)
            return answers
        end
        for _ = 1, 2 do ngx.say((tools.show(sorted(r:query("cached.test"))):gsub("ttl=%d+", "ttl"))) end
        ngx.say((tools.show(r:query("cached.test", { qtype = r.TYPE_AAAA })):gsub("ttl=%d+", "ttl")))
        ngx.say(tools.show(r:query("none.test")))
        ngx.say(tools.show(r:query("fail.test")))
        ngx.say(tools.show(r:query("127.0.0.9")):match("address=%S+"))
        ngx.say(tools.show(r:query("mute.test")))
        ngx.say(tools.show(r:query("cached.test", { qtype = r.TYPE_MX })))
        local thread = ngx.thread.spawn(function() r:query("mute2.test") end)
        ngx.say(ngx.thread.kill(thread))
    }
}
--- request
GET /t
--- response_body
address=10.9.0.1 class=1 name=cached.test section=1 ttl type=1
address=10.9.0.2 class=1 name=cached.test section=1 ttl type=1
address=10.9.0.1 class=1 name=cached.test section=1 ttl type=1
address=10.9.0.2 class=1 name=cached.test section=1 ttl type=1
address=2001:db8:0:0:0:0:0:5 class=1 name=cached.test section=1 ttl type=28
3 name error
2 server failure
address=127.0.0.9
Operation timed out
not known to the server's resolver: records of type 15
1
--- perl
is scalar(grep { $_ eq 'cached.test A udp' } $main::DNS->queries), 1, 'asked once';
