# resty.postgres and servers made of a script: answers that no honest server gives, and servers that
# do not know the password.
use lib 't/lib';
use Bulan::Test;
use Bulan::Test::Backend;

sub message { my ($kind, $body) = @_; return $kind . pack('N', 4 + length $body) . $body }

my $READY = message('R', pack('N', 0)) . message('S', "server_version\00015\0") . message('K', pack('NN', 1, 2)) . message('Z', 'I');
my $ROW_DESCRIPTION = message('T', pack('n', 1) . "a\0" . pack('NnNnNn', 0, 0, 25, 0xffff, 0xffffffff, 0));
my $REFUSED = message('E', "SERROR\0VERROR\0C42P01\0Mno such thing\0P7\0\0");

sub row { return message('D', pack('n', scalar @_) . join '', map { pack('N', length) . $_ } @_) }

# What is answered to a query, by its text.
my %answer = (
    nothing     => '',
    half        => substr($ROW_DESCRIPTION, 0, 9),
    huge        => "D\x7f\xff\xff\xff",
    negative    => "D\0\0\0\3",
    unknown     => message('!', 'x'),
    row_first   => row('x'),
    description => message('T', pack('n', 3) . "a\0"),
    columns     => $ROW_DESCRIPTION . row('x', 'y'),
    row_long    => $ROW_DESCRIPTION . message('D', pack('nN', 1, 5) . 'x'),
    row_rest    => $ROW_DESCRIPTION . message('D', pack('nN', 1, 1) . 'xy'),
    rows_cut    => $ROW_DESCRIPTION . row('x'),
    tag         => message('C', 'SELECT'),
    error       => message('E', "SERROR\0Mnever ends"),
    replication => message('W', "\0\0\0"),
    notify      => message('A', "\0\0"),
    fatal       => message('E', "SFATAL\0VFATAL\0Mgoing away\0\0"),
    refused     => $REFUSED . message('Z', 'I'),
    more        => message('C', "SELECT 0\0") . message('Z', 'I') . message('N', "SNOTICE\0Mlate\0\0"),
    failed      => $REFUSED . message('Z', 'E'),
    good        => $ROW_DESCRIPTION . row('x') . message('C', "SELECT 1\0") . message('Z', 'I'),
);

sub read_startup {
    my ($connection) = @_;
    my $length = unpack 'N', $connection->take(4, time + 10);
    return $connection->take($length - 4, time + 10);
}

sub read_message {
    my ($connection) = @_;
    my ($kind, $length) = unpack 'aN', $connection->take(5, time + 10);
    return ($kind, $connection->take($length - 4, time + 10));
}

my $server = Bulan::Test::Backend->tcp(sub {
    my ($connection) = @_;
    eval {
        read_startup($connection);
        $connection->send($READY);
        while (1) {
            my ($kind, $body) = read_message($connection);
            last if $kind eq 'X';
            $body =~ s/\0\z//;
            $connection->send($answer{$body});
            last if $body =~ /half|cut|huge|fatal/;
        }
    };
}, parallel => 1);

# Logins: pieces that are sent one after another, each once the client has said something. NONCE is
# the client's, with something of the server's behind it.
my $scram = message('R', pack('N', 10) . "SCRAM-SHA-256\0SCRAM-SHA-256-PLUS\0\0");
sub continued { return message('R', pack('N', 11) . $_[0]) }
my $salt = 'c2FsdHNhbHRzYWx0';
my @logins = (
    [$scram, $READY],
    [$scram, continued("r=NONCE,s=$salt,i=4096"), message('R', pack('N', 12) . 'v=' . 'A' x 43 . '=') . $READY],
    [$scram, continued("r=NONCE,s=$salt,i=4096"), message('R', pack('N', 12) . 'e=other-error')],
    [$scram, continued("r=NONCE,s=$salt,i=4096"), $READY],
    [$scram, continued("r=other,s=$salt,i=4096")],
    [$scram, continued("r=NONCE,s=$salt,i=1000000000")],
    [$scram, continued("r=NONCE,s=$salt,i=0")],
    [$scram, continued("r=NONCE,s=!!!,i=4096")],
    [$scram, continued('nonsense')],
    [$scram, continued("r=NONCE,s=$salt,i=4096"), continued("r=NONCE,s=$salt,i=4096")],
    [$scram, message('R', pack('N', 12) . 'v=AAAA')],
    [message('R', pack('N', 10) . "OTHER\0\0")],
    [message('R', pack('N', 11) . 'r=x')],
    [message('R', pack('N', 5) . 'abc')],
    [message('R', pack('N', 7))],
    [message('R', 'x')],
    [message('R', pack('N', 3))],
    [message('Z', 'I')],
    [$ROW_DESCRIPTION],
    ['HTTP/1.1 400 Bad Request'],
    [''],
    [message('E', "SFATAL\0VFATAL\0Mtoo many clients\0\0")],
);
my $none = Bulan::Test::Backend->tcp(sub {
    my ($connection, $number) = @_;
    my $nonce = '';
    eval {
        read_startup($connection);
        for my $piece (@{ $logins[($number - 1) % @logins] }) {
            # A nonce is as long as it is: the length is put right.
            if ($piece =~ /NONCE/) {
                $piece = message('R', substr($piece =~ s/NONCE/${nonce}server/r, 5));
            }
            $connection->send($piece);
            last if $piece eq '' || $piece !~ /^R/;
            my ($kind, $body) = read_message($connection);
            $nonce = $1 if $body =~ /r=([^,]+)/;
        }
    };
    $connection->shutdown;
    $connection->read_all(5);
});

# Answers to the wish for TLS.
my @tls = ('N', 'X', '', 'Sgarbage that is no TLS at all');
my $no_tls = Bulan::Test::Backend->tcp(sub {
    my ($connection, $number) = @_;
    eval { read_startup($connection) };
    $connection->send($tls[($number - 1) % @tls]);
    $connection->shutdown;
    $connection->read_all(5);
});

@ENV{qw(TEST_NGINX_PEER TEST_NGINX_NONE TEST_NGINX_TLS)} = map { $_->port } $server, $none, $no_tls;
$ENV{TEST_NGINX_LOGINS} = @logins;

add_block_preprocessor(sub { $_[0]->set_value(http_config => 'lua_socket_log_errors off;') });

run_tests();

__DATA__

=== TEST 1: answers that are wrong close the connection
--- config
location /t {
    content_by_lua_block {
        local function connect()
            local pg = require("resty.postgres").new { port = $TEST_NGINX_PEER, pool = "one for all" }
            pg:settimeout(10000)
            assert(pg:connect())
            return pg
        end
        for _, query in ipairs { "nothing", "half", "huge", "negative", "unknown", "row_first", "description", "columns",
            "row_long", "row_rest", "rows_cut", "tag", "error", "replication", "notify", "fatal", "refused", "more", "failed", "good" } do
            local pg = connect()
            -- Only a refusal leaves the connection as it was.
            assert(pg.sock:getreusedtimes() == (query == "more" and 1 or 0))
            if query == "nothing" then pg:settimeout(30) end
            local res, err = pg:query(query)
            ngx.say(query, ": ", res and "a result" or err, ", ", (select(2, pg:keepalive())))
        end
        local pg = connect()
        ngx.say(pg.sock:getreusedtimes(), " ", pg:query("good")[1].a)
    }
}
--- request
GET /t
--- response_body
nothing: timeout, not connected
half: closed, not connected
huge: message too big: 2147483643, not connected
negative: message too big: -1, not connected
unknown: unexpected message of type "!", not connected
row_first: unexpected row, not connected
description: malformed row description, not connected
columns: malformed row, not connected
row_long: malformed row, not connected
row_rest: malformed row, not connected
rows_cut: closed, not connected
tag: malformed command tag, not connected
error: malformed error, not connected
replication: unexpected replication, not connected
notify: malformed notification, not connected
fatal: FATAL: going away, not connected
refused: ERROR: no such thing (7), nil
more: a result, connection is busy
failed: ERROR: no such thing (7), in transaction
good: a result, nil
1 x



=== TEST 2: logins at servers that are none, or do not know the password
--- config
location /t {
    content_by_lua_block {
        for i = 1, $TEST_NGINX_LOGINS do
            local pg = require("resty.postgres").new { port = $TEST_NGINX_NONE, password = "very secret" }
            pg:settimeout(10000)
            ngx.say(i, " ", select(2, pg:connect()))
        end
    }
}
--- request
GET /t
--- response_body
1 the server does not know the password
2 the server does not know the password
3 the server does not know the password
4 the server does not know the password
5 bad SCRAM nonce
6 bad number of SCRAM iterations
7 bad number of SCRAM iterations
8 malformed SCRAM message
9 malformed SCRAM message
10 bad SCRAM nonce
11 the server does not know the password
12 the server has no SASL mechanism in common
13 unexpected SASL message
14 malformed authentication request
15 don't know how to auth: 7
16 malformed authentication request
17 the server wants the password in cleartext over a connection that is not encrypted
18 unexpected message while connecting
19 unexpected message while connecting
20 message too big: 1414811691
21 closed
22 FATAL: too many clients
--- no_error_log
very secret



=== TEST 3: answers to the wish for TLS
--- config
location /t {
    content_by_lua_block {
        for i, required in ipairs { true, false, false, false } do
            local pg = require("resty.postgres").new { port = $TEST_NGINX_TLS, ssl = true, ssl_required = required }
            pg:settimeout(10000)
            local ok, err = pg:connect()
            ngx.say(ok, " ", (err:gsub("failed: .*", "failed")))
        end
    }
}
--- request
GET /t
--- response_body
nil the server does not support SSL connections
nil unknown response to the SSL request
nil closed
nil SSL handshake failed



=== TEST 4: parsers and any bytes: no error is raised, and nothing behind the message matters
--- config
location /t {
    content_by_lua_block {
        local protocol, types = require "resty.postgres.protocol", require "resty.postgres.types"
        local client = require("resty.postgres").new { convert_null = true }
        math.randomseed(tonumber(ngx.var.arg_seed))
        local columns = types.prepare({ count = 4, names = { "a", "b", "c", "d" }, oids = { 23, 16, 25, 17 } }, client)
        local function row(s, pos, last)
            return protocol.data_row(s, pos, last, columns, client)
        end
        local seeds = {
            { protocol.report, "SERROR\0VERROR\0C42P01\0Mno such thing\0P7\0Ddetail\0\0" },
            { protocol.notification, "\0\0\1\2channel\0payload\0" },
            { protocol.row_description, "\0\2a\0\0\0\0\1\0\1\0\0\0\23\0\4\255\255\255\255\0\0b\0\0\0\0\1\0\2\0\0\0\25\255\255\255\255\255\255\0\0" },
            { row, "\0\4\0\0\0\1" .. "7\0\0\0\1t\255\255\255\255\0\0\0\4\\x0a" },
        }
        local function mutate(s)
            local bytes = { s:byte(1, -1) }
            for _ = 1, math.random(0, 4) do
                bytes[math.random(#bytes)] = math.random() < 0.3 and math.random(0, 3) or math.random(0, 255)
            end
            return string.char(unpack(bytes, 1, math.random() < 0.5 and #bytes or math.random(1, #bytes)))
        end
        local function show(value, depth)
            if type(value) ~= "table" or depth > 3 or value == client.NULL then return tostring(value) end
            local inner = {}
            for key, each in pairs(value) do inner[#inner + 1] = tostring(key) .. "=" .. show(each, depth + 1) end
            table.sort(inner)
            return table.concat(inner, ",")
        end
        local behind = { "", ("\0"):rep(64), ("\255"):rep(64), ("a\0"):rep(40) }
        local good, bad = 0, 0
        for round = 1, tonumber(ngx.var.arg_rounds) do
            for i, seed in ipairs(seeds) do
                local s = round == 1 and seed[2] or mutate(seed[2])
                local expected
                for _, rest in ipairs(behind) do
                    local fine, value = pcall(seed[1], "xx" .. s .. rest, 3, #s + 2)
                    local got = tostring(fine) .. " " .. show(value, 1)
                    if not fine or (expected and got ~= expected) then
                        ngx.say("parser ", i, " of ", ("%q"):format(s), ": ", got, " and ", expected)
                        return
                    end
                    expected = got
                end
                if expected == "true nil" then bad = bad + 1 else good = good + 1 end
                if round == 1 and expected == "true nil" then ngx.say("seed ", i, " is not well formed") end
            end
        end
        ngx.say(good > 500 and "some good, " or good, bad > 500 and "some bad" or bad)
    }
}
--- request
GET /t?seed=2&rounds=4000
--- timeout: 60s
--- response_body
some good, some bad
