use lib 't/lib';
use Bulan::Test;
use Bulan::Test::MariaDB;
use Bulan::Test::Tls;

my $tls = Bulan::Test::Tls->new;
my $ca  = $tls->authority->{cert};
my $db  = Bulan::Test::MariaDB->start(
    tls     => $tls->certificate('db.test'),
    options => ['--plugin-load-add=auth_ed25519', '--max-allowed-packet=64M', '--character-set-server=utf8mb4'],
    sql     => <<'SQL');
CREATE OR REPLACE USER empty IDENTIFIED BY '';
GRANT ALL ON *.* TO empty;
CREATE OR REPLACE USER ed IDENTIFIED VIA ed25519 USING PASSWORD('a long password, longer than thirty-two bytes');
GRANT ALL ON *.* TO ed;
CREATE OR REPLACE USER tls IDENTIFIED BY 'secret' REQUIRE SSL;
SQL

add_block_preprocessor(sub {
    my $block = shift;
    $block->set_value(http_config => qq{lua_package_path "\$TEST_NGINX_HTML_DIR/?.lua;;";});
    (my $config = $block->config) =~ s/%CA/$ca/g;
    $block->set_value(config => $config);
    $block->set_value(user_files => <<'LUA');
>>> test.lua
local test = {}

-- A connection of the test's user unless told otherwise; or what connect returned.
function test.connect(opts)
    local all = { user = "test", password = "secret", database = "test" }
    for name, value in pairs(opts or {}) do all[name] = value end
    if not all.path then
        all.host, all.port = "127.0.0.1", $TEST_NGINX_MYSQL_PORT
    end
    local db = require("resty.mysql"):new()
    db:set_timeout(10000)
    local ok, err, code, state = db:connect(all)
    if ok then return db end
    return nil, err, code, state
end

-- A value in letters, with keys in order.
function test.text(value)
    if value == ngx.null then return "null" end
    if type(value) == "string" then return ("%q"):format(value) end
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

run_tests();

__DATA__

=== TEST 1: values of all types, the same from a query and from a prepared statement
--- config
location /t {
    content_by_lua_block {
        local test = require "test"
        local db = test.connect()
        ngx.say(db:server_ver():match("%d+%.[^%s%z]+") and "a version")
        test.show(db:query("DROP TABLE IF EXISTS v"))
        assert(db:query([[CREATE TABLE v (id SERIAL, ti TINYINT, tu TINYINT UNSIGNED, si SMALLINT,
            su SMALLINT UNSIGNED, mi MEDIUMINT, i INT, iu INT UNSIGNED, bi BIGINT, bu BIGINT UNSIGNED, f FLOAT,
            d DOUBLE, de DECIMAL(12, 4), y YEAR, b BIT(10), da DATE, dt DATETIME, dt3 DATETIME(3), ts TIMESTAMP(6) NULL,
            t TIME, t2 TIME(2), c CHAR(3), vc VARCHAR(300), bl LONGBLOB, te TEXT, e ENUM('x', 'y'), s SET('a', 'b'), j JSON)]]))
        test.show(db:query([[INSERT INTO v VALUES (1, -128, 255, -32768, 65535, -8388608, -2147483648, 4294967295,
            -9223372036854775808, 18446744073709551615, 3.14, -2.5e100, 12345678.9012, 1998, b'1000000101',
            '2020-02-29', '2020-02-29 01:02:03', '2020-02-29 01:02:03.4', '2020-02-29 01:02:03.000405', '-838:59:59',
            '00:00:01.5', 'abc', REPEAT('v', 300), x'00ff27', '', 'y', 'a,b', '{"a": [1]}')]]))
        assert(db:query("INSERT INTO v (id, da, dt, t) VALUES (2, '0000-00-00', '0000-00-00', '100:00:00')") or
            db:query("INSERT INTO v (id) VALUES (2)"))
        local rows = db:query("SELECT * FROM v ORDER BY id")
        rows[1].vc, rows[1].bl = #rows[1].vc, #rows[1].bl
        test.show(rows[1])
        local stmt = assert(db:prepare("SELECT * FROM v ORDER BY id"))
        local same = assert(stmt:execute())
        same[1].vc, same[1].bl = #same[1].vc, #same[1].bl
        ngx.say(test.text(rows) == test.text(same) or test.text(same))
        test.show(rows[2].id, rows[2].ti, rows[2].j)
        test.show(db:query("SELECT * FROM v WHERE id = 7"))
        test.show(db:query("SELECT SUM(ti) FROM v"))
    }
}
--- request
GET /t
--- response_body
a version
{affected_rows=0 insert_id=0 server_status=2 warning_count=1}
{affected_rows=1 insert_id=1 server_status=2 warning_count=0}
{b="\2\5" bi="-9223372036854775808" bl=3 bu="18446744073709551615" c="abc" d=-2.5e+100 da="2020-02-29" de=12345678.9012 dt="2020-02-29 01:02:03" dt3="2020-02-29 01:02:03.400" e="y" f=3.14 i=-2147483648 id="1" iu=4294967295 j="{\"a\": [1]}" mi=-8388608 s="a,b" si=-32768 su=65535 t="-838:59:59" t2="00:00:01.50" te="" ti=-128 ts="2020-02-29 01:02:03.000405" tu=255 vc=300 y=1998}
true
"2" null null
{}
{{SUM(ti)=-128}}



=== TEST 2: several results, and what may be done between them
--- config
location /t {
    content_by_lua_block {
        local test = require "test"
        local db = test.connect()
        test.show(db:query("SELECT 1 a; SELECT 'x' b; DO 1"))
        test.show(db:query("SELECT 2"))
        test.show(db:set_keepalive())
        test.show(db:read_result())
        test.show(db:read_result())
        test.show(db:read_result())
        test.show(db:query("SELECT 1 a; SELECT nonsense; SELECT 3"))
        test.show(db:read_result())
        test.show(db:query("bad SQL"))
        test.show(db:send_query("SELECT 4 four"))
        test.show(db:read_result(1))
        assert(db:query("DROP PROCEDURE IF EXISTS two"))
        assert(db:query("CREATE PROCEDURE two(n INT) BEGIN SELECT n + 1 x; SELECT n + 2 y; END"))
        local stmt = assert(db:prepare("CALL two(?)"))
        local res, err = stmt:execute(5)
        while res do
            test.show(res.server_status or res, err)
            if err ~= "again" then break end
            test.show((db:query("SELECT 1")))
            res, err = db:read_result()
        end
        test.show(db:set_keepalive())
        test.show(db:query("SELECT 1"))
        test.show(db:close())
    }
}
--- request
GET /t
--- response_body
{{a=1}} "again"
nil "failed to send query: cannot send query in the current context: 2"
nil "cannot be reused in the current connection state: 2"
{{b="x"}} "again"
{affected_rows=0 insert_id=0 server_status=2 warning_count=0}
nil "cannot read result in the current context: 1"
{{a=1}} "again"
nil "Unknown column 'nonsense' in 'SELECT'" 1054 "42S22"
nil "You have an error in your SQL syntax; check the manual that corresponds to your MariaDB server version for the right syntax to use near 'bad SQL' at line 1" 1064 "42000"
18
{{four=4}}
{{x="6"}} "again"
nil
{{y="7"}} "again"
nil
2 nil
1
nil "failed to send query: cannot send query in the current context: nil"
nil "closed"



=== TEST 3: results without rows
--- config
location /t {
    content_by_lua_block {
        local test = require "test"
        local db = test.connect()
        assert(db:query("CREATE OR REPLACE TABLE r (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9)) AUTO_INCREMENT=5000000312"))
        test.show(db:query("INSERT INTO r (name) VALUES ('a'), ('b')"))
        test.show(db:query("UPDATE r SET name = 'a'"))
        test.show(test.connect({ found_rows = false }):query("UPDATE r SET name = 'a'"))
        test.show(db:query("INSERT INTO r VALUES (18446744073709551613, 'c')"))
        assert(db:query("INSERT INTO r VALUES (9223372036854775806, 'c')"))
    }
}
--- request
GET /t
--- response_body
{affected_rows=2 insert_id=5000000312 message="Records: 2  Duplicates: 0  Warnings: 0" server_status=2 warning_count=0}
{affected_rows=2 insert_id=0 message="Rows matched: 2  Changed: 1  Warnings: 0" server_status=34 warning_count=0}
{affected_rows=0 insert_id=0 message="Rows matched: 2  Changed: 0  Warnings: 0" server_status=34 warning_count=0}
{affected_rows=1 insert_id="18446744073709551613" server_status=2 warning_count=0}



=== TEST 4: compact arrays
--- config
location /t {
    content_by_lua_block {
        local test = require "test"
        local db = test.connect { compact_arrays = true }
        test.show(db:query("SELECT 1 a, NULL a, 'x' b"))
        db:set_compact_arrays(false)
        test.show(db:query("SELECT 1 a, NULL a, 'x' b"))
        db:set_compact_arrays(true)
        test.show(assert(db:prepare("SELECT 1 a, NULL a, 'x' b")):execute())
    }
}
--- request
GET /t
--- response_body
{{1 null "x"}}
{{a=null b="x"}}
{{1 null "x"}}



=== TEST 5: prepared statements
--- config
location /t {
    content_by_lua_block {
        local test = require "test"
        local db = test.connect()
        assert(db:query("CREATE OR REPLACE TABLE p (a INT, b TEXT, c DOUBLE, d BIGINT UNSIGNED, e BOOL, f1 INT, f2 INT, f3 INT, f4 INT)"))
        local insert = assert(db:prepare("INSERT INTO p VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"))
        ngx.say(insert.parameters, " ", insert.columns)
        test.show(insert:execute(-5, "it's \0 \\", 1.5, 18446744073709551615ULL, true, nil, 1, ngx.null, 3))
        test.show(insert:execute())
        test.show(insert:execute(1, 2, 3, 4, 5, 6, 7, 8, 9, 10))
        test.show(insert:execute({}))
        test.show(insert:execute("no number"))
        local select = assert(db:prepare("SELECT * FROM p WHERE a = ?"))
        test.show(select:execute(-5))
        test.show(db:execute(select, -5LL))
        test.show(assert(db:prepare("SELECT ? + 0 big")):execute(9007199254740991))
        test.show(db:prepare("SELECT nonsense"))
        test.show(select:close())
        test.show(select:close())
        test.show(select:execute(1))
        test.show(db:query("SHOW STATUS LIKE 'Prepared_stmt_count'"))
        test.show(db:set_keepalive())
        test.show(test.connect():query("SHOW STATUS LIKE 'Prepared_stmt_count'"))
    }
}
--- request
GET /t
--- response_body
9 0
{affected_rows=1 insert_id=0 server_status=2 warning_count=0}
{affected_rows=1 insert_id=0 server_status=2 warning_count=0}
nil "too many parameters: 10"
nil "parameter 1 is of an unsupported type: table"
nil "Incorrect integer value: 'no number' for column `test`.`p`.`a` at row 1" 1366 "22007"
{{a=-5 b="it's \0 \\" c=1.5 d="18446744073709551615" e=1 f1=null f2=1 f3=null f4=3}}
{{a=-5 b="it's \0 \\" c=1.5 d="18446744073709551615" e=1 f1=null f2=1 f3=null f4=3}}
{{big="9007199254740991"}}
nil "Unknown column 'nonsense' in 'SELECT'" 1054 "42S22"
true
nil "the statement is closed"
nil "the statement is closed"
{{Value="2" Variable_name="Prepared_stmt_count"}}
1
{{Value="0" Variable_name="Prepared_stmt_count"}}



=== TEST 6: logging in
--- config
lua_ssl_trusted_certificate %CA;
location /t {
    content_by_lua_block {
        local test = require "test"
        local ed = "a long password, longer than thirty-two bytes"
        local function try(opts)
            local db, err, code, state = test.connect(opts)
            if not db then return test.show(nil, (err:gsub("'@'[^']+'", "'@host")), code, state) end
            local user = db:query("SELECT CURRENT_USER() u")[1].u
            local cipher = db:query("SHOW STATUS LIKE 'Ssl_cipher'")[1].Value
            ngx.say(user, cipher ~= "" and " TLS" or "")
            db:close()
        end
        try { path = "$TEST_NGINX_MYSQL_PATH" }
        try { user = "empty", password = "" }
        try { user = "empty", password = "x" }
        try { user = "test", password = "x" }
        try { user = "nobody" }
        try { database = "nowhere" }
        try { user = "ed", password = ed }
        try { user = "ed", password = ed .. "x", }
        try { user = "ed", password = ed, ssl = true }
        local kept = assert(test.connect { user = "ed", password = ed })
        kept:set_keepalive(0, 10)
        try { user = "ed", password = ed .. "x", }
        try { user = "tls", database = "" }
        try { user = "tls", database = "", ssl = true }
        try { ssl = true, ssl_verify = true }
        try { ssl = true, ssl_verify = true, ssl_server_name = "db.test" }
        try { ssl = true, ssl_verify = true, ssl_server_name = "other.test" }
        try { charset = "nonsense" }
        try { user = "a\0b" }
        local db = require("resty.mysql"):new()
        test.show(db:connect { host = "127.0.0.1", port = 1 })
        test.show(db:connect {})
        local ok, err = db:connect { host = "does-not-exist.invalid" }
        ngx.say(ok, " ", err:match("^failed to connect: "))
    }
}
--- request
GET /t
--- response_body
test@%
empty@%
nil "Access denied for user 'empty'@host (using password: YES)" 1045 "28000"
nil "Access denied for user 'test'@host (using password: YES)" 1045 "28000"
nil "Access denied for user 'nobody'@host (using password: YES)" 1045 "28000"
nil "Unknown database 'nowhere'" 1049 "42000"
ed@%
nil "Access denied for user 'ed'@host (using password: YES)" 1045 "28000"
ed@% TLS
nil "Access denied for user 'ed'@host (using password: YES)" 1045 "28000"
nil "Access denied for user 'tls'@host (using password: YES)" 1045 "28000"
tls@% TLS
test@% TLS
test@% TLS
nil "failed to do ssl handshake: certificate host mismatch" nil nil
nil "charset 'nonsense' is not supported" nil nil
nil "bad user or database name" nil nil
nil "failed to connect: connection refused"
nil "neither \"host\" nor \"path\" options are specified"
nil failed to connect: 
--- error_log
certificate does not match host



=== TEST 7: a certificate that nobody trusts
--- config
location /t {
    content_by_lua_block {
        local test = require "test"
        test.show(test.connect { ssl = true, ssl_verify = true })
        ngx.say(test.connect { ssl = true } and "not checked")
    }
}
--- request
GET /t
--- response_body_like
^nil "failed to do ssl handshake: \d+: [^"]+" nil nil
not checked$
--- error_log
lua ssl certificate verify error



=== TEST 8: the pool
--- config
location /t {
    content_by_lua_block {
        local test = require "test"
        local function use(opts)
            local db = test.connect(opts)
            ngx.print(db:get_reused_times(), " ")
            test.show(db:query("SELECT @mark mark, @mark := 1"), db:server_ver() ~= nil)
            assert(db:set_keepalive(10000, 10))
            return db
        end
        local db = use()
        use()
        use { ssl = true }
        use { charset = "latin1" }
        use { pool = "mine" }
        use { pool = "mine", database = "mysql" }
        test.show(db:get_reused_times())
        test.show(db:set_keepalive())
        test.show(db:close())
    }
}
--- request
GET /t
--- response_body
0 {{@mark := 1=1 mark=null}} true
1 {{@mark := 1=1 mark="1"}} false
0 {{@mark := 1=1 mark=null}} true
0 {{@mark := 1=1 mark=null}} true
0 {{@mark := 1=1 mark=null}} true
1 {{@mark := 1=1 mark="1"}} false
nil "closed"
nil "cannot be reused in the current connection state: nil"
nil "closed"
--- grep_error_log eval
qr/create connection pool for key "test:test:127[^"]+"/
--- grep_error_log_out eval
qr/^create connection pool for key "test:test:127.0.0.1:\d+:[0-9a-f]{32}"\n.*:tls:false:.*\n.*:latin1/



=== TEST 9: character sets
--- config
location /t {
    content_by_lua_block {
        local test = require "test"
        for _, charset in ipairs { "utf8mb4", "latin1", "big5", "gbk" } do
            local db = test.connect { charset = charset }
            local row = db:query("SELECT CONVERT(0xe6849b USING utf8) x, @@character_set_client c")[1]
            ngx.say(row.c, " ", (row.x:gsub(".", function(c) return ("%02x"):format(c:byte()) end)))
        end
    }
}
--- request
GET /t
--- response_body
utf8mb4 e6849b
latin1 3f
big5 b752
gbk 90db



=== TEST 10: long values, and packets of more than 16 MB in both directions
--- config
location /t {
    content_by_lua_block {
        local test = require "test"
        local db = test.connect { max_packet_size = 40 * 1024 * 1024 }
        for _, size in ipairs { 250, 251, 65535, 65536, 1000000, 0xffffff - 5, 0xffffff - 4, 0xffffff, 20000000, 2 * 0xffffff - 9 } do
            local rows = assert(db:query("SELECT REPEAT('x', " .. size .. ") x UNION ALL SELECT 'y'"))
            ngx.say(#rows[1].x, " ", rows[1].x:sub(-2), " ", rows[2].x)
        end
        local head = "SELECT LENGTH('"
        for _, size in ipairs { 0xffffff - 2, 0xffffff - 1, 0xffffff, 0x1000000, 20000000 } do
            local text = ("x"):rep(size - #head - 2)
            local res = assert(db:query(head .. text .. "')"))
            local _, length = next(res[1])
            ngx.say(size, " ", length == #text, " ", db:query("SELECT 1 one")[1].one)
        end
        local stmt = assert(db:prepare("SELECT LENGTH(?) l, ? same"))
        local text = ("y"):rep(17000000)
        local row = assert(stmt:execute(text, text))[1]
        ngx.say(row.l, " ", row.same == text)
        db:close()
    }
}
--- request
GET /t
--- timeout: 30s
--- response_body
250 xx y
251 xx y
65535 xx y
65536 xx y
1000000 xx y
16777210 xx y
16777211 xx y
16777215 xx y
20000000 xx y
33554421 xx y
16777213 true 1
16777214 true 1
16777215 true 1
16777216 true 1
20000000 true 1
17000000 true



=== TEST 11: a packet that is too big ends the connection
--- config
location /t {
    content_by_lua_block {
        local test = require "test"
        local db = test.connect { max_packet_size = 1024 }
        test.show(#db:query("SELECT REPEAT('x', 1021) x")[1].x)
        test.show(db:query("SELECT REPEAT('x', 1022) x"))
        test.show(db:query("SELECT 1"))
        test.show(db:set_keepalive())
        db = test.connect { max_packet_size = 17000000 }
        test.show(db:query("SELECT REPEAT('x', 18000000) x"))
    }
}
--- request
GET /t
--- timeout: 30s
--- response_body
1021
nil "packet size too big: 1025"
nil "failed to send query: cannot send query in the current context: nil"
nil "cannot be reused in the current connection state: nil"
nil "packet size too big: 18000009"



=== TEST 12: many rows and many columns
--- config
location /t {
    content_by_lua_block {
        local test = require "test"
        local db = test.connect()
        local rows = assert(db:query("SELECT seq, CONCAT('row ', seq) name FROM seq_1_to_20000", 20000))
        local good = 0
        for i, row in ipairs(rows) do
            if row.seq == tostring(i) and row.name == "row " .. i then good = good + 1 end
        end
        ngx.say(#rows, " ", good)
        local columns = {}
        for i = 1, 1500 do columns[i] = i .. " c" .. i end
        local row = assert(db:query("SELECT " .. table.concat(columns, ",")))[1]
        ngx.say(row.c1, " ", row.c251, " ", row.c1500)
    }
}
--- request
GET /t
--- response_body
20000 20000
1 251 1500



=== TEST 13: a connection that the server ends, and a query that takes too long
--- config
lua_socket_log_errors off;
location /t {
    content_by_lua_block {
        local test = require "test"
        local db, other = test.connect(), test.connect()
        local id = db:query("SELECT CONNECTION_ID() id")[1].id
        assert(other:query("KILL " .. id))
        local ok, err = db:query("SELECT 1")
        ngx.say(ok, " ", err:match("^failed to receive packet header: ") or err:match("killed") or err)
        ngx.say((db:set_keepalive()))
        other:set_timeout(50)
        test.show(other:query("SELECT SLEEP(20)"))
        test.show(other:read_result())
        test.show(other:set_keepalive())
        test.show(pcall(require("resty.mysql").close, require("resty.mysql")))
    }
}
--- request
GET /t
--- response_body_like
^nil (?:failed to receive packet header: |killed|failed to send query: .*)
nil
nil "failed to receive packet header: timeout"
nil "cannot read result in the current context: nil"
nil "cannot be reused in the current connection state: nil"
true nil "not initialized"$
