use lib 't/lib';
use Bulan::Test;
use Bulan::Test::Postgres;
use Bulan::Test::Tls;

my $tls  = Bulan::Test::Tls->new;
my $ca   = $tls->authority->{cert};
my $own  = $tls->certificate('certified');
my $cert = $tls->certificate('db.test');
my $db   = Bulan::Test::Postgres->start(
    tls     => $cert,
    options => ["ssl_ca_file=$ca"],
    hba     => <<'HBA',
host all md5 all md5
host all scram all scram-sha-256
host all clear all password
hostssl all certified all cert
hostnossl all certified all reject
HBA
    sql => <<'SQL');
SET password_encryption = 'md5';
CREATE ROLE md5 LOGIN PASSWORD 'secret';
SET password_encryption = 'scram-sha-256';
CREATE ROLE scram LOGIN PASSWORD 'secret';
CREATE ROLE clear LOGIN PASSWORD 'secret';
CREATE ROLE certified LOGIN;
SQL
my $plain = Bulan::Test::Postgres->start;
$ENV{TEST_NGINX_PLAIN_PORT}    = $plain->port;
$ENV{TEST_NGINX_POSTGRES_PORT} = $db->port;
$ENV{TEST_NGINX_POSTGRES_PATH} = $db->socket;

add_block_preprocessor(sub {
    my $block = shift;
    $block->set_value(http_config => qq{lua_package_path "\$TEST_NGINX_HTML_DIR/?.lua;;";});
    (my $config = $block->config) =~ s/%CA/$ca/g;
    $config =~ s/%(CERT|KEY)/slurp($own->{lc $1})/ge;
    $block->set_value(config => $config);
    $block->set_value(user_files => <<'LUA');
>>> test.lua
local test = {}
local pgmoon = require "pgmoon"

-- A connection of the superuser unless told otherwise; or what connect returned.
function test.connect(opts)
    local all = { port = "$TEST_NGINX_POSTGRES_PORT", database = "postgres" }
    for name, value in pairs(opts or {}) do all[name] = value end
    local pg = pgmoon.new(all)
    pg:settimeout(10000)
    local ok, err = pg:connect()
    if ok then return pg end
    return nil, err
end

-- A value in letters, with keys in order.
function test.text(value)
    if value == ngx.null or value == pgmoon.NULL then return "null" end
    if type(value) == "string" then return ("%q"):format(value):gsub("\\\n", "\\n") end
    if type(value) ~= "table" then return tostring(value) end
    local parts, keys = {}, {}
    for i, each in ipairs(value) do parts[i] = test.text(each) end
    for key in pairs(value) do
        if type(key) ~= "number" then keys[#keys + 1] = key end
    end
    table.sort(keys)
    for _, key in ipairs(keys) do parts[#parts + 1] = key .. "=" .. test.text(value[key]) end
    return "{" .. table.concat(parts, " ") .. "}"
end

-- Says what a function returned.
function test.show(...)
    local parts = {}
    for i = 1, select("#", ...) do parts[i] = test.text((select(i, ...))) end
    ngx.say(table.concat(parts, " "))
end

return test
LUA
});

sub slurp { return Bulan::Test::Server::slurp($_[0]) }

run_tests();

__DATA__

=== TEST 1: what query returns
--- config
location /t {
    content_by_lua_block {
        local test = require "test"
        local pg = test.connect()
        local function q(...) test.show(pg:query(...)) end
        q "DROP TABLE IF EXISTS t"
        q "CREATE TABLE t (id serial PRIMARY KEY, name text)"
        q "INSERT INTO t (name) VALUES ('a'), ('b') RETURNING id"
        q "INSERT INTO t (name) VALUES ('c')"
        q "SELECT * FROM t ORDER BY id"
        q "SELECT * FROM t WHERE id = 7"
        q "UPDATE t SET name = 'x'"
        q "DELETE FROM t WHERE id = 7"
        q "TRUNCATE t"
        q "SELECT 1 AS a; SELECT 2 AS b; TRUNCATE t; UPDATE t SET name = 'y'"
        q "SELECT 1 AS a; SELECT * FROM nowhere; SELECT 3"
        q "SELECT 1; SELECT 2; SELECT nonsense"
        q "SELECT * FROM nowhere"
        q "SELECT 1 AS same, 2 AS same"
        q ""
        q "DO $$ BEGIN RAISE WARNING 'careful'; END $$"
        q "LISTEN c; NOTIFY c, 'hello'"
        q "COPY t FROM STDIN"
        q "COPY (SELECT 1) TO STDOUT"
        q("COPY t FROM STDIN", 1)
        q "INSERT INTO t VALUES (1), (1)"
        q "SELECT 1\0; DROP TABLE t"
        q "SELECT 'still here' AS it"
    }
}
--- request
GET /t
--- response_body_like
^true 1 nil \{"NOTICE: table \\"t\\" does not exist, skipping"\}
true 1 nil nil
\{\{id=1\} \{id=2\} affected_rows=2\} 1 nil nil
\{affected_rows=1\} 1 nil nil
\{\{id=1 name="a"\} \{id=2 name="b"\} \{id=3 name="c"\}\} 1 nil nil
\{\} 1 nil nil
\{affected_rows=3\} 1 nil nil
\{affected_rows=0\} 1 nil nil
true 1 nil nil
\{\{\{a=1\}\} \{\{b=2\}\} true \{affected_rows=0\}\} 4 nil nil
nil "ERROR: relation \\"nowhere\\" does not exist \(30\)" \{\{a=1\}\} 1 nil nil
nil "ERROR: column \\"nonsense\\" does not exist \(28\)" \{\{\{\?column\?=1\}\} \{\{\?column\?=2\}\}\} 2 nil nil
nil "ERROR: relation \\"nowhere\\" does not exist \(15\)" nil 0 nil nil
\{\{same=2\}\} 1 nil nil
true 0 nil nil
true 1 nil \{"WARNING: careful"\}
\{true true\} 2 \{\{channel="c" operation="notification" payload="hello" pid=\d+\}\} nil
nil "ERROR: COPY from stdin failed: COPY FROM STDIN is not supported" nil 0 nil nil
\{affected_rows=1\} 1 nil nil
nil "ERROR: COPY from stdin failed: COPY FROM STDIN is not supported" nil 0 nil nil
nil "ERROR: duplicate key value violates unique constraint \\"t_pkey\\"\\nKey \(id\)=\(1\) already exists." nil 0 nil nil
nil "the query has a NUL byte"
\{\{it="still here"\}\} 1 nil nil$



=== TEST 2: values of types
--- config
location /t {
    content_by_lua_block {
        local test = require "test"
        local pg = test.connect()
        local function q(...) test.show((assert(pg:query(...)))) end
        q "SELECT 1::int2 a, -2 b, 3::int8 c, 1.5::float4 d, 2.25::float8 e, 10.50::numeric f, true g, false h, NULL i"
        q "SELECT 'x'::text a, 'y'::varchar b, 'z'::char(3) c, '2020-02-29'::date d, 4::money e, row(1, 'a', 2.5) f"
        q [[SELECT '{"a": [1, null, {"b": "c"}]}'::json a, '[true]'::jsonb b, '"x"'::jsonb c, E'\\x00ff27'::bytea d]]
        q "SELECT '{1,2,3}'::int[] a, '{1.5,NULL}'::numeric[] b, '{t,f}'::bool[] c, '{{1,2},{3,4}}'::int8[] d, '{}'::text[] e"
        q [[SELECT ARRAY['a', 'b c', NULL, 'NULL', '', 'd"e\f', '{,}'] a, '{x}'::varchar[] b, '[0:1]={5,6}'::int[] c]]
        q [[SELECT '{192.168.1.1,::1}'::inet[] a, '{00000000-0000-0000-0000-000000000000}'::uuid[] b, ARRAY['{"a":1}'::json] c]]
        q "SET bytea_output = escape"
        q [[SELECT E'a\\000\\\\001\\377'::bytea AS a]]
        test.show(pg:query("SELECT NULL x, 1 y")[1].x, pg:query("SELECT NULL x, 1 y")[1].y)
        pg.convert_null = true
        q "SELECT NULL x, '{NULL}'::int[] y"
        pg.NULL = "nothing"
        q "SELECT NULL x, '{NULL}'::int[] y"
        test.show(test.connect { convert_null = true }:query("SELECT NULL x"))
        q("SELECT oid FROM pg_type WHERE typname = 'bool'")
        pg:set_type_deserializer(20, "bignumber", function(self, text, column)
            return self == pg and column .. " is " .. text
        end)
        pg:set_type_deserializer(701, "bignumber")
        pg:set_type_oid(26, "number")
        q "SELECT 9223372036854775807 a, 1.5::float8 b, 1 c, 5::oid d"
        test.show(test.connect():query("SELECT 1::int8 a"))
        pg:set_type_deserializer(25, "raises", function() error("my error") end)
        ngx.say(pcall(pg.query, pg, "SELECT 'x'::text; SELECT 1"))
        test.show(pg:query("SELECT 1"))
    }
}
--- request
GET /t
--- response_body_like
^\{\{a=1 b=-2 c=3 d=1.5 e=2.25 f=10.5 g=true h=false\}\}
\{\{a="x" b="y" c="z  " d="2020-02-29" e="\$4.00" f="\(1,a,2.5\)"\}\}
\{\{a=\{a=\{1 null \{b="c"\}\}\} b=\{true\} c="x" d="\\0.'"\}\}
\{\{a=\{1 2 3\} b=\{1.5 null\} c=\{true false\} d=\{\{1 2\} \{3 4\}\} e=\{\}\}\}
\{\{a=\{"a" "b c" null "NULL" "" "d\\"e\\\\f" "\{,\}"\} b=\{"x"\} c=\{5 6\}\}\}
\{\{a=\{"192.168.1.1" "::1"\} b=\{"00000000-0000-0000-0000-000000000000"\} c=\{\{a=1\}\}\}\}
true
\{\{a="a\\0\\\\001."\}\}
nil 1
\{\{x=null y=\{null\}\}\}
\{\{x="nothing" y=\{"nothing"\}\}\}
\{\{x=null\}\} 1 nil nil
\{\{oid="16"\}\}
\{\{a="a is 9223372036854775807" b="b is 1.5" c=1 d=5\}\}
\{\{a=1\}\} 1 nil nil
false.*my error
nil "not connected"$



=== TEST 3: parameters
--- config
location /t {
    content_by_lua_block {
        local test = require "test"
        local pg = test.connect()
        local PostgresArray = require("pgmoon.arrays").PostgresArray
        local cjson = require "cjson"
        local function q(...) test.show(pg:query(...)) end
        q("SELECT $1 a, $2 b, $3 c, $4 d, $5 e", true, false, pg.NULL, 44, "it's")
        q("SELECT $1 a, $2 b", 1, nil)
        q("SELECT $1 + $1 AS sum, pg_typeof($1)", 7)
        q("SELECT $1 AS a, $2 AS b", 0.1, 12345678901234567)
        q("SELECT $1 AS hi", 1, 2)
        q("SELECT 1", 1)
        test.show(pg:extended_query("SELECT 1 AS one"))
        test.show(pg:extended_query("SELECT $1 AS one"))
        q("SELECT $1; SELECT 2", 1)
        local json = { __index = {}, pgmoon_serialize = function(v) return 114, cjson.encode(v[1]) end }
        q("SELECT $1 AS a", setmetatable({ { x = { 1, cjson.null } } }, json))
        q("SELECT $1 AS a", { 1 })
        q("SELECT $1 AS a", print)
        q("SELECT $1 AS a", setmetatable({}, { pgmoon_serialize = function() return nil, "no way" end }))
        q("SELECT $1 a, pg_typeof($1) t", PostgresArray { "he\"llo", "a\\b", pg.NULL, ",", "NULL" })
        q("SELECT $1 a, pg_typeof($1) t", PostgresArray { false, pg.NULL, true })
        q("SELECT $1::numeric[][] a", PostgresArray { PostgresArray { 1, 2 }, PostgresArray { 3, 4 } })
        q("SELECT $1::json[] a", PostgresArray { setmetatable({ { a = 1 } }, json), setmetatable({ { 1, 2 } }, json) })
        q("SELECT $1::text[] a", PostgresArray {})
        q("INSERT INTO nowhere VALUES ($1)", 1)
        q("SELECT $1 a, pg_typeof($1) t", 5)
        local big = test.connect { integers = true }
        test.show(big:query("SELECT $1 a, pg_typeof($1) t, pg_typeof($2) u", 5, 5.5))
        local long = ("x"):rep(3000000)
        ngx.say(pg:query("SELECT $1 a", long)[1].a == long)
        q("SELECT 'fine' AS it")
    }
}
--- request
GET /t
--- response_body
{{a=true b=false d=44 e="it's"}} 1 nil nil
{{a=1}} 1 nil nil
{{pg_typeof="numeric" sum=14}} 1 nil nil
{{a=0.1 b=1.2345678901235e+16}} 1 nil nil
{{hi=1}} 1 nil nil
{{?column?=1}} 1 nil nil
{{one=1}} 1 nil nil
nil "ERROR: bind message supplies 0 parameters, but prepared statement \"\" requires 1" nil 0 nil nil
nil "ERROR: cannot insert multiple commands into a prepared statement" nil 0 nil nil
{{a={x={1 null}}}} 1 nil nil
nil "pgmoon: param 1: table does not implement pgmoon_serialize, can't serialize"
nil "pgmoon: param 1: don't know how to serialize type function"
nil "pgmoon: param 1: no way"
{{a={"he\"llo" "a\\b" null "," "NULL"} t="text[]"}} 1 nil nil
{{a={false null true} t="boolean[]"}} 1 nil nil
{{a={{1 2} {3 4}}}} 1 nil nil
{{a={{a=1} {1 2}}}} 1 nil nil
{{a={}}} 1 nil nil
nil "ERROR: relation \"nowhere\" does not exist (13)" nil 0 nil nil
{{a=5 t="numeric"}} 1 nil nil
{{a=5 t="bigint" u="numeric"}} 1 nil nil
true
{{it="fine"}} 1 nil nil



=== TEST 4: encoding and decoding
--- config
location /t {
    content_by_lua_block {
        local test = require "test"
        local pgmoon = require "pgmoon"
        local pg = pgmoon.new()
        local arrays, json, hstore = require "pgmoon.arrays", require "pgmoon.json", require "pgmoon.hstore"
        for _, value in ipairs { 3434, 34.342, "cat's soft fur", true, false, pg.NULL, ngx.null, pgmoon.Postgres.NULL } do
            ngx.print(pg:escape_literal(value), " ")
        end
        ngx.say(pg:escape_identifier('love"fish'), " ", pg:encode_bytea("a\0'"))
        ngx.say((select(2, pcall(pg.escape_literal, pg, {})):gsub("0x%x+", "ADDRESS")))
        ngx.say(arrays.encode_array {}, arrays.encode_array { 1, "it's", true }, arrays.encode_array { { 4, 5 }, { 6, 7 } })
        ngx.say(json.encode_json { a = "it's" }, " ", json.encode_json({ 1 }, function(v) return "`" .. v .. "`" end))
        test.show(json.decode_json('{"a":1}'))
        ngx.say(hstore.encode_hstore { ["a\"b"] = "it's \\" })
        test.show(hstore.decode_hstore([["a"=>"b", "c d"=>"e\"\\f", "n"=>NULL, ""=>""]]), hstore.decode_hstore(""))
        for _, text in ipairs { "{1, 2}", "{", "{1", "{1}x", "1", "", '{"a', "{1,}", "{,1}", ("{"):rep(1000), "[0:1]", [[{"a\]] } do
            ngx.print(select(2, pcall(arrays.decode_array, text)):match("failed to parse.*"), "; ")
        end
        ngx.say()
        for _, text in ipairs { "a", '"a"', '"a"=>', '"a"=>"b"x', '"a"=>"b', '"a"=>"b\\' } do
            ngx.print(select(2, pcall(hstore.decode_hstore, text)):match("failed to parse.*"), "; ")
        end
        ngx.say()
        test.show(arrays.decode_array("{1one,NULL}"), arrays.decode_array("{5.3}", tonumber))
        local array = arrays.decode_array("{}")
        ngx.say(getmetatable(array) == arrays.PostgresArray.__base, " ", getmetatable(arrays.PostgresArray {}) == getmetatable(array))
        test.show(array.pgmoon_serialize(arrays.PostgresArray { pg.NULL, -5 }, pg))
        ngx.say(tostring(pg):match("^<Postgres socket: "), tostring(pg.NULL), " ", pgmoon.VERSION)
        ngx.say(require "pgmoon" == require "resty.postgres", require "pgmoon" == require "pgmoon.init")
        test.show(pg:query("SELECT 1"))
        test.show(pg:keepalive())
        test.show(pgmoon.Postgres({ database = "x\0" }):connect())
    }
}
--- request
GET /t
--- response_body
3434 34.342 'cat''s soft fur' TRUE FALSE NULL NULL NULL "love""fish" E'\\x610027'
don't know how to escape value: table: ADDRESS
ARRAY[]ARRAY[1,'it''s',TRUE]ARRAY[[4,5],[6,7]]
'{"a":"it''s"}' `[1]`
{a=1}
'"a\"b"=>"it''s \\"'
{="" a="b" c d="e\"\\f"} {}
failed to parse postgresql array; failed to parse postgresql array; failed to parse postgresql array; failed to parse postgresql array; failed to parse postgresql array; failed to parse postgresql array; failed to parse postgresql array; failed to parse postgresql array; failed to parse postgresql array; failed to parse postgresql array; failed to parse postgresql array; failed to parse postgresql array; 
failed to parse hstore; failed to parse hstore; failed to parse hstore; failed to parse hstore; failed to parse hstore; failed to parse hstore; 
{"1one" null} {5.3}
true true
1231 "{NULL,-5}"
<Postgres socket: NULL 1.16.0
truetrue
nil "not connected"
nil "not connected"
nil "bad user, database or application name"



=== TEST 5: logging in
--- config
lua_ssl_trusted_certificate %CA;
lua_socket_log_errors off;
location /t {
    content_by_lua_block {
        local test = require "test"
        local auth = require "resty.postgres.auth"
        local begin = auth.scram_begin
        local mechanism = ""
        auth.scram_begin = function(...)
            local exchange, err = begin(...)
            mechanism = exchange and exchange.mechanism or ""
            return exchange, err
        end
        local function try(opts)
            mechanism = ""
            local pg, err = test.connect(opts)
            if not pg then return test.show(nil, err) end
            local row = pg:query([[SELECT current_user u, ssl, application_name app FROM pg_stat_ssl
                JOIN pg_stat_activity USING (pid) WHERE pid = pg_backend_pid()]])[1]
            ngx.say(row.u, row.ssl and " TLS " or " plain ", row.app, " ", mechanism)
            pg:disconnect()
        end
        try()
        try { socket_path = "$TEST_NGINX_POSTGRES_PATH", application_name = "mine" }
        try { user = "md5", password = "secret" }
        try { user = "md5", password = "wrong" }
        assert(test.connect { user = "md5", password = "secret" }):keepalive(0, 10)
        try { user = "md5", password = "wrong" }
        try { user = "scram", password = "secret" }
        try { user = "scram", password = "wrong" }
        try { user = "scram" }
        try { user = "clear", password = "secret" }
        try { user = "clear", password = "secret", allow_cleartext = true }
        try { user = "clear", password = "secret", ssl = true }
        try { user = "scram", password = "secret", ssl = true }
        try { user = "md5", password = "secret", ssl = true, ssl_verify = true, ssl_server_name = "db.test" }
        try { user = "md5", password = "secret", ssl = true, ssl_verify = true, ssl_server_name = "other.test" }
        try { user = "certified", ssl = true }
        try { user = "certified", ssl = true, cert = [[%CERT]], key = [[%KEY]] }
        try { user = "certified", ssl = true, cert = "nonsense", key = "x" }
        try { port = $TEST_NGINX_PLAIN_PORT, ssl = true }
        try { port = $TEST_NGINX_PLAIN_PORT, ssl = true, ssl_required = true }
        try { port = $TEST_NGINX_PLAIN_PORT, ssl = true, ssl_verify = true }
        try { database = "nowhere" }
        try { port = 1 }
    }
}
--- request
GET /t
--- response_body
postgres plain pgmoon 
postgres plain mine 
md5 plain pgmoon 
nil "FATAL: password authentication failed for user \"md5\""
nil "FATAL: password authentication failed for user \"md5\""
scram plain pgmoon SCRAM-SHA-256
nil "FATAL: password authentication failed for user \"scram\""
nil "missing password, required for connect"
nil "the server wants the password in cleartext over a connection that is not encrypted"
clear plain pgmoon 
clear TLS pgmoon 
scram TLS pgmoon SCRAM-SHA-256-PLUS
md5 TLS pgmoon 
nil "SSL handshake failed: certificate host mismatch"
nil "FATAL: connection requires a valid client certificate"
certified TLS pgmoon 
nil "bad certificate or key: PEM_read_bio_X509_AUX() failed"
postgres plain pgmoon 
nil "the server does not support SSL connections"
nil "the server does not support SSL connections"
nil "FATAL: database \"nowhere\" does not exist"
nil "connection refused"



=== TEST 6: the pool
--- config
location /t {
    content_by_lua_block {
        local test = require "test"
        local function use(opts, before)
            local pg = assert(test.connect(opts))
            if before then pg:query(before) end
            ngx.print(pg.sock:getreusedtimes(), " ")
            test.show(pg:keepalive(10000, 10))
            return pg
        end
        local pg = use()
        use()
        test.show(pg:query("SELECT 1"))
        test.show(pg:connect())
        test.show(pg:query("SELECT 1 AS one"))
        test.show(pg:keepalive())
        use({}, "BEGIN")
        use({}, "BEGIN; SELECT nonsense")
        use({}, "BEGIN; COMMIT")
        use({ ssl = true })
        use({ pool_name = "mine" })
        use({ pool = "mine" })
    }
}
--- request
GET /t
--- response_body
0 1
1 1
nil "not connected"
true
{{one=1}} 1 nil nil
1
3 nil "in transaction"
0 nil "in transaction"
0 1
0 1
0 1
1 1



=== TEST 7: notifications
--- config
lua_socket_log_errors off;
location /t {
    content_by_lua_block {
        local test = require "test"
        local pg, other = test.connect(), test.connect()
        test.show(pg:query("LISTEN news"))
        pg:settimeout(20)
        test.show(pg:wait_for_notification())
        pg:settimeout(10000)
        local thread = ngx.thread.spawn(function()
            return { pg:wait_for_notification(), pg:wait_for_notification() }
        end)
        test.show(pg:query("SELECT 1"))
        test.show(other:query("NOTIFY news, 'one'"))
        test.show(other:query("SELECT pg_notify('news', 'two'), pg_notify('other', 'x')"))
        local _, got = ngx.thread.wait(thread)
        ngx.say(#got, " ", got[1].channel, " ", got[1].payload, " ", got[2].payload)
        other:query("NOTIFY news, 'three'")
        local _, _, notifications = pg:query("SELECT 1")
        if not notifications then notifications = { pg:wait_for_notification() } end
        test.show(notifications[1].payload)
        other:query("SELECT pg_terminate_backend(" .. pg:query("SELECT pg_backend_pid() p")[1].p .. ")")
        test.show(pg:wait_for_notification())
        test.show(pg:wait_for_notification())
        test.show(pg:keepalive())
    }
}
--- request
GET /t
--- response_body
true 1 nil nil
nil "timeout"
nil "connection is busy"
true 1 nil nil
{{pg_notify=""}} 1 nil nil
2 news one two
"three"
nil "FATAL: terminating connection due to administrator command"
nil "not connected"
nil "not connected"



=== TEST 8: hstore, when the server has it
--- config
location /t {
    content_by_lua_block {
        local test = require "test"
        local pg = test.connect()
        local encode_hstore = require("pgmoon.hstore").encode_hstore
        local there = pg:query("SELECT 1 FROM pg_available_extensions WHERE name = 'hstore'")[1]
        if not there then
            return ngx.say('nil "hstore oid not found"\ntrue\n{{h={a="it\'s \\"b\\""}}}')
        end
        test.show(pg:setup_hstore())
        assert(pg:query("CREATE EXTENSION hstore"))
        test.show(pg:setup_hstore())
        test.show((pg:query("SELECT " .. encode_hstore { a = "it's \"b\"" } .. "::hstore AS h")))
    }
}
--- request
GET /t
--- response_body
nil "hstore oid not found"
true
{{h={a="it's \"b\""}}}



=== TEST 9: many rows, long values, limits, and queries that take too long
--- config
lua_socket_log_errors off;
location /t {
    content_by_lua_block {
        local test = require "test"
        local pg = test.connect()
        local rows = assert(pg:query("SELECT i, 'row ' || i AS name FROM generate_series(1, 20000) i"))
        local good = 0
        for i, row in ipairs(rows) do
            if row.i == i and row.name == "row " .. i then good = good + 1 end
        end
        ngx.say(#rows, " ", good)
        ngx.say(#pg:query("SELECT repeat('x', 20000000) x")[1].x)
        pg:settimeout(30)
        test.show(pg:query("SELECT pg_sleep(20)"))
        test.show(pg:query("SELECT 1"))
        test.show(pg:keepalive())
        pg = test.connect { max_message_size = 2000 }
        test.show(#pg:query("SELECT repeat('x', 1990) x")[1].x)
        test.show(pg:query("SELECT 1; SELECT repeat('x', 2000) x"))
        test.show(pg:query("SELECT 1"))
    }
}
--- request
GET /t
--- timeout: 20s
--- response_body
20000 20000
20000000
nil "timeout" nil 0
nil "not connected"
nil "not connected"
1990
nil "message too big: 2006" {{?column?=1}} 1
nil "not connected"
