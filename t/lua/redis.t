use lib 't/lib';
use Bulan::Test;

run_tests();

__DATA__

=== TEST 1: replies of every kind
--- config
location /t {
    content_by_lua_block {
        local red = require("resty.redis"):new()
        red:set_timeouts(5000, 5000, 5000)
        assert(red:connect("127.0.0.1", $TEST_NGINX_REDIS_PORT))
        local cjson = require "cjson"
        ngx.say(red:flushall())
        ngx.say(red:set("dog", "a\r\nb"))
        ngx.say(cjson.encode((red:get("dog"))))
        ngx.say((red:get("cat")) == ngx.null)
        ngx.say(red:set("empty", ""), " [", (red:get("empty")), "]")
        ngx.say(type((red:incr("n"))), " ", (red:incr("n")))
        ngx.say(cjson.encode({red:incr("dog")}))
        ngx.say(cjson.encode((red:mget("dog", "cat", "n"))))
        ngx.say((red:blpop("nothing", "0.01")) == ngx.null)
        local long = ("0123456789"):rep(10000)
        red:set("long", long)
        ngx.say((red:get("long")) == long)
        ngx.say(#red:lrange("none", 0, -1))
        ngx.say(red:close())
        ngx.say(red:get("dog"))
    }
}
--- request
GET /t
--- response_body
OK
OK
"a\r\nb"
true
OK []
number 2
[false,"ERR value is not an integer or out of range"]
["a\r\nb",null,"2"]
true
true
0
1
nilclosed



=== TEST 2: arguments
--- config
location /t {
    content_by_lua_block {
        local red = require("resty.redis"):new()
        assert(red:connect("127.0.0.1", $TEST_NGINX_REDIS_PORT))
        for _, n in ipairs { 1, -1824192940134586, 2 ^ 53, 3.14, 2 ^ 64, 1e15, true, 5LL, 7ULL } do
            red:set("x", n)
            ngx.say((red:get("x")))
        end
        red:del("animals")
        ngx.say((red:hmset("animals", { dog = "bark", cat = 9 })))
        ngx.say((red:hmset("animals", "cow", "moo")))
        ngx.say(table.concat(red:hmget("animals", "dog", "cat", "cow"), " "))
        ngx.say(table.concat(red:hmget("animals", { "cow", "dog" }), " "))
        local hash = red:array_to_hash(red:hgetall("animals"))
        ngx.say(hash.dog, hash.cat, hash.cow)
        local many = {}
        for i = 1, 20000 do many["f" .. i] = i end
        ngx.say((red:hmset("many", many)), " ", (red:hlen("many")))
        ngx.say(pcall(red.hmset, red, "animals", "cat"))
    }
}
--- request
GET /t
--- response_body
1
-1824192940134586
9007199254740992
3.14
1.844674407371e+19
1000000000000000
true
5
7
OK
OK
bark 9 moo
moo bark
bark9moo
OK 20000
falsebad argument #2 to 'hmset' (table expected, got string)



=== TEST 3: pipelines
--- config
location /t {
    content_by_lua_block {
        local cjson = require "cjson"
        local red = require("resty.redis"):new()
        assert(red:connect("127.0.0.1", $TEST_NGINX_REDIS_PORT))
        ngx.say(select("#", red:init_pipeline(4)))
        red:set("cat", "lost")
        red:init_pipeline()
        ngx.say(select("#", red:set("dog", "an animal")))
        red:get("dog")
        red:incr("dog")
        red:get("no")
        ngx.say(cjson.encode((red:commit_pipeline())))
        ngx.say(red:commit_pipeline())
        red:init_pipeline()
        ngx.say(cjson.encode((red:commit_pipeline())))
        red:init_pipeline()
        red:set("dog", "never")
        red:cancel_pipeline()
        ngx.say((red:get("dog")))
    }
}
--- request
GET /t
--- response_body
0
0
["OK","an animal",[false,"ERR value is not an integer or out of range"],null]
nilno pipeline
{}
an animal



=== TEST 4: transactions keep the connection out of the pool
--- config
location /t {
    content_by_lua_block {
        local cjson = require "cjson"
        local red = require("resty.redis"):new()
        assert(red:connect("127.0.0.1", $TEST_NGINX_REDIS_PORT))
        ngx.say((red:multi()), " ", (red:set("a", "abc")), " ", (red:lpop("a")))
        ngx.say(red:set_keepalive())
        ngx.say(cjson.encode((red:exec())))
        red:init_pipeline()
        red:multi()
        red:get("a")
        red:commit_pipeline()
        ngx.say(red:set_keepalive())
        ngx.say((red:discard()))
        ngx.say(red:set_keepalive(1000, 10))
        assert(red:connect("127.0.0.1", $TEST_NGINX_REDIS_PORT))
        ngx.say(red:get_reused_times())
    }
}
--- request
GET /t
--- response_body
OK QUEUED QUEUED
nilin transaction
["OK",[false,"WRONGTYPE Operation against a key holding the wrong kind of value"]]
nilin transaction
OK
1
1



=== TEST 5: publish and subscribe
--- config
location /t {
    content_by_lua_block {
        local cjson = require "cjson"
        local redis = require "resty.redis"
        local red, other = redis:new(), redis:new()
        assert(red:connect("127.0.0.1", $TEST_NGINX_REDIS_PORT))
        assert(other:connect("127.0.0.1", $TEST_NGINX_REDIS_PORT))
        ngx.say(red:read_reply())
        ngx.say(cjson.encode((red:subscribe("dog"))))
        ngx.say(cjson.encode((red:psubscribe("c*"))))
        ngx.say((other:publish("dog", "Hello")), (other:publish("cat", "Miau")))
        ngx.say(cjson.encode((red:read_reply())))
        ngx.say(cjson.encode((red:read_reply())))
        red:set_timeout(20)
        ngx.say(red:read_reply())
        red:set_timeout(5000)
        other:publish("dog", "again")
        ngx.say(cjson.encode((red:read_reply())))
        ngx.say(red:set_keepalive())
        ngx.say(cjson.encode((red:unsubscribe("dog"))))
        ngx.say(red:set_keepalive())
        ngx.say(cjson.encode((red:punsubscribe())))
        ngx.say(red:set_keepalive())
    }
}
--- request
GET /t
--- response_body
nilnot subscribed
["subscribe","dog",1]
["psubscribe","c*",2]
11
["message","dog","Hello"]
["pmessage","c*","cat","Miau"]
niltimeout
["message","dog","again"]
nilsubscribed state
["unsubscribe","dog",1]
nilsubscribed state
["punsubscribe","c*",0]
1
--- error_log
lua tcp socket read timed out



=== TEST 6: a command that times out closes the connection
--- config
location /t {
    content_by_lua_block {
        local red = require("resty.redis"):new()
        assert(red:connect("127.0.0.1", $TEST_NGINX_REDIS_PORT))
        red:set_timeout(50)
        ngx.say(red:blpop("nothing-comes", 5))
        ngx.say(red:get("x"))
        ngx.say(red:set_keepalive())
    }
}
--- request
GET /t
--- response_body
niltimeout
nilclosed
nilclosed
--- error_log
lua tcp socket read timed out



=== TEST 7: database, user and pool
--- config
location /t {
    content_by_lua_block {
        local red = require("resty.redis"):new()
        local host, port = "127.0.0.1", $TEST_NGINX_REDIS_PORT
        local options = { db = 1 }
        assert(red:connect(host, port, options))
        red:set("where", "db 1")
        ngx.say(options.pool, " ", (red:set_keepalive(0, 10)))
        assert(red:connect(host, port))
        ngx.say((red:get_reused_times()), " ", (red:get("where")) == ngx.null)
        red:acl("setuser", "alice", "reset", "on", ">secret", "~*", "+@all")
        red:set_keepalive(0, 10)
        assert(red:connect(host, port, { db = "1" }))
        ngx.say((red:get_reused_times()), " ", (red:get("where")))
        red:close()
        assert(red:connect(host, port, { username = "alice", password = "secret" }))
        ngx.say((red:acl("whoami")))
        red:close()
        local ok, err = red:connect(host, port, { username = "alice", password = "wrong" })
        ngx.say(ok, " ", err:match("^failed to authenticate: WRONGPASS") )
        ngx.say(red:get_reused_times())
        -- An idle connection serves only those with the password that it was opened with.
        assert(red:connect(host, port, { username = "alice", password = "secret" }))
        red:set_keepalive(0, 10)
        ok, err = red:connect(host, port, { username = "alice", password = "wrong" })
        ngx.say(ok, " ", err and err:match("WRONGPASS"))
        assert(red:connect(host, port, { username = "alice", password = "secret" }))
        ngx.say((red:get_reused_times()))
        red:close()
        ngx.say(red:connect(host, port, { db = 99999 }))
        ngx.say(pcall(red.connect, red, host, port, { db = "x" }))
        assert(red:connect(host, port, { pool = "mine", password = "", tcp_keepalive = true }))
        ngx.say((red:ping()))
    }
}
--- request
GET /t
--- response_body
nil 1
0 true
1 db 1
alice
nil failed to authenticate: WRONGPASS
nilclosed
nil WRONGPASS
1
nilfailed to select database 99999: ERR DB index is out of range
falsebad option db: number expected, got string
PONG



=== TEST 8: any name is a command, and modules have prefixes
--- config
location /t {
    content_by_lua_block {
        local redis = require "resty.redis"
        redis.add_commands("foo")
        redis.register_module_prefix("bf")
        local red = redis:new()
        assert(red:connect("127.0.0.1", $TEST_NGINX_REDIS_PORT))
        for _, call in ipairs {
            function() return red:foo("a") end,
            function() return red:brandnew() end,
            function() return red:bf():add("dog", 1) end,
            function() return red:bf():multi() end,
        } do
            local res, err = call()
            ngx.say(res, " ", err:match("^ERR unknown command .[%w.]+"))
        end
        ngx.say((red:client("setname", "me")), " ", (red:client("getname")))
        ngx.say(red:set_keepalive())
    }
}
--- request
GET /t
--- response_body
false ERR unknown command 'foo
false ERR unknown command 'brandnew
false ERR unknown command 'bf.add
false ERR unknown command 'bf.multi
OK me
1



=== TEST 9: failures to connect, and a server that does not speak Redis
--- config
location /t {
    content_by_lua_block {
        local redis = require "resty.redis"
        local red = redis:new()
        ngx.say(red:connect("127.0.0.1", 1))
        ngx.say(red:connect("unix:/no/such/socket"))
        ngx.say((red:connect("unix:/no/such/socket", { pool = "p" })))
        assert(red:connect("127.0.0.1", ngx.var.server_port))
        ngx.say(red:get("x"))
        ngx.say(red:get("x"))
    }
}
--- request
GET /t
--- response_body
nilconnection refused
nilno such file or directory
nil
nilunknown prefix: "H"
nilclosed
--- error_log
connect() failed (111: Connection refused)
