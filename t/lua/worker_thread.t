# ngx.run_worker_thread: functions of modules, called in threads of a pool.
use lib 't/lib';
use Bulan::Test;

add_block_preprocessor(sub {
    my $block = shift;
    my $http = $block->http_config || '';
    $block->set_value(http_config => "lua_package_path '\$TEST_NGINX_HTML_DIR/?.lua;;';\n$http");
    $block->set_value(main_config => 'thread_pool pool threads=2;') unless $block->main_config;
});

run_tests();

__DATA__

=== TEST 1: values there and back
--- config
location /t {
    content_by_lua_block {
        local ok, a, b, c, d, e = ngx.run_worker_thread("pool", "m", "back", "x", 2.5, true, nil,
                                                        {1, {k = "v", n = ngx.null}})
        ngx.say(ok, " ", a, " ", b, " ", c, " ", d, " ", e[1], " ", e[2].k, " ",
                e[2].n == ngx.null)
        ngx.say(ngx.run_worker_thread("pool", "m", "back"))
    }
}
--- user_files
>>> m.lua
return { back = function(...) return ... end }
--- request
GET /t
--- response_body
true x 2.5 true nil 1 v true
true



=== TEST 2: errors
--- config
location /t {
    content_by_lua_block {
        local run = ngx.run_worker_thread
        local loop = {}
        loop.loop = loop
        ngx.say(run("pool", "m"))
        ngx.say(run(1, "m", "f"))
        ngx.say(run("pool", 1, "f"))
        ngx.say(run("pool", "m", 1))
        ngx.say(run("elsewhere", "m", "fails"))
        ngx.say(run("pool", "m", "fails", print))
        ngx.say(run("pool", "m", "fails", loop))
        ngx.say(run("pool", "m", "gives_function"))
        ngx.say(run("pool", "m", "fails"))
        ngx.say(run("pool", "m", "throws"))
        ngx.say((select(2, run("pool", "m", "missing")):match("attempt to call a nil value")))
        ngx.say((select(2, run("pool", "nowhere", "f")):match("module 'nowhere' not found")))
        ngx.say(run("pool", "m", "works"))
    }
}
--- user_files
>>> m.lua
return {
    fails = function() error("no", 0) end,
    throws = function() error({}) end,
    works = function() return 1 end,
    gives_function = function() return {print} end,
}
--- request
GET /t
--- response_body
falseexpecting at least 3 arguments
falsethreadpool should be a string
falsemodule name should be a string
falsefunction name should be a string
falsethread pool elsewhere not found
falseunsupported Lua type: LUA_TFUNCTION in the argument
falsesuspicious circular references, table depth exceed max depth: 100 in the argument
falseunsupported Lua type: LUA_TFUNCTION in the return value
falseno
falseunknown error
attempt to call a nil value
module 'nowhere' not found
true1



=== TEST 3: the loop goes on meanwhile
--- http_config
lua_shared_dict d 1m;
--- config
location /t {
    content_by_lua_block {
        local turns = 0
        local thread = ngx.thread.spawn(function()
            while not ngx.shared.d:get("stop") do
                turns = turns + 1
                if turns == 3 then ngx.shared.d:set("go", 1) end
                ngx.sleep(0.001)
            end
        end)
        ngx.say(ngx.run_worker_thread("pool", "m", "wait"))
        ngx.shared.d:set("stop", 1)
        ngx.thread.wait(thread)
        ngx.say(turns >= 3)
    }
}
--- user_files
>>> m.lua
return { wait = function()
    while not ngx.shared.d:get("go") do os.execute("sleep 0.01") end
    return "went"
end }
--- request
GET /t
--- response_body
truewent
true



=== TEST 4: no more VMs than are allowed
--- http_config
lua_shared_dict d 1m;
lua_worker_thread_vm_pool_size 1;
--- config
location /t {
    content_by_lua_block {
        local thread = ngx.thread.spawn(ngx.run_worker_thread, "pool", "m", "wait")
        ngx.say(ngx.run_worker_thread("pool", "m", "wait"))
        ngx.shared.d:set("go", 1)
        ngx.say(select(3, ngx.thread.wait(thread)))
        ngx.say(ngx.run_worker_thread("pool", "m", "wait"))
    }
}
--- user_files
>>> m.lua
return { wait = function()
    while not ngx.shared.d:get("go") do os.execute("sleep 0.01") end
    return "went"
end }
--- request
GET /t
--- response_body
falseno available Lua vm
went
truewent



=== TEST 5: nobody waits any more
--- http_config
lua_shared_dict d 1m;
--- config
location /t {
    content_by_lua_block {
        local thread = ngx.thread.spawn(ngx.run_worker_thread, "pool", "m", "wait")
        ngx.say(ngx.thread.kill(thread) == 1)
    }
}
location /go {
    content_by_lua_block {
        ngx.shared.d:set("go", 1)
        ngx.say(ngx.run_worker_thread("pool", "m", "wait"))
    }
}
--- user_files
>>> m.lua
return { wait = function()
    while not ngx.shared.d:get("go") do os.execute("sleep 0.01") end
    return "went"
end }
--- request eval
["GET /t", "GET /go"]
--- response_body eval
["true\n", "truewent\n"]



=== TEST 6: the API that is there
--- http_config
lua_shared_dict d 1m;
--- config
location /t {
    content_by_lua_block {
        ngx.shared.d:set("n", 1)
        ngx.say(select(2, ngx.run_worker_thread("default", "m", "use")))
        ngx.say(ngx.shared.d:get("n"))
    }
}
--- user_files
>>> m.lua
return { use = function()
    ngx.shared.d:incr("n", 41)
    return table.concat({ngx.md5("x"), ngx.encode_base64("x"), ngx.encode_args({a = 1}),
        ngx.decode_args("b=2").b, ngx.quote_sql_str("'"), ngx.crc32_short("x"),
        #ngx.hmac_sha1("k", "x"), ngx.config.subsystem, ngx.config.nginx_version,
        tostring(ngx.config.prefix() == ngx.config.prefix():gsub("$", "")),
        require("cjson").encode({1})}, " ")
end }
--- request
GET /t
--- response_body
9dd4e461268c8034f5c8564e155c67a6 eA== a=1 2 '\'' 2363233923 20 http 1031004 true [1]
42



=== TEST 7: a pool of its name is already there
--- main_config
thread_pool pool threads=2;
thread_pool pool threads=3;
--- config
--- must_die
--- error_log
duplicate thread pool "pool"



=== TEST 8: a pool of no threads
--- main_config
thread_pool pool max_queue=3;
--- config
--- must_die
--- error_log
"thread_pool" must have "threads" parameter
