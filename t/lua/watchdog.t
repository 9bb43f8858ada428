# lua_block_warn and lua_block_abort: code that holds the event loop is named, and ended.
use lib 't/lib';
use Bulan::Test;

# How long a block lasts in these tests: far longer than what is too long in them.
add_block_preprocessor(sub {
    my ($block) = @_;
    $block->set_value(http_config => "lua_block_warn 40ms;\n" . ($block->http_config || ''))
        if ($block->http_config || '') !~ /lua_block_warn/;
});

run_tests();

__DATA__

=== TEST 1: a compiled loop is named with its place, phase, request and time
--- config
location = /t {
    access_by_lua_block {
        local function heavy()
            local ends = os.clock() + 0.4
            repeat local x = 0 for i = 1, 1000 do x = x + i end until os.clock() > ends
        end
        heavy()
    }
    content_by_lua_block { ngx.say("done") }
}
--- request
GET /t
--- response_body
done
--- error_log eval
[qr/\[error\] .*Lua code has held the event loop for \d{2,} ms in access_by_lua\*\nstack traceback:\n\taccess_by_lua\(nginx.conf:\d+\):4 .*, client: 127\.0\.0\.1, server: .*, request: "GET \/t/s,
qr/\taccess_by_lua\(nginx.conf:\d+\):6/,
qr/\[error\] .*Lua code let the event loop go after \d{3,} ms/]



=== TEST 2: a system call that blocks is named, too
--- config
location = /t {
    content_by_lua_block {
        os.execute("sleep 0.4")
        ngx.say("done")
    }
}
--- request
GET /t
--- response_body
done
--- error_log eval
qr/has held the event loop for \d+ ms in content_by_lua\*\nstack traceback:\n\tcontent_by_lua\(nginx.conf:\d+\):[23] /



=== TEST 3: a place is reported once a minute
--- http_config
lua_block_warn 40ms;
init_by_lua_block {
    function block()
        local ends = os.clock() + 0.3
        while os.clock() < ends do end
    end
}
--- config
location = /t {
    content_by_lua_block {
        for i = 1, 3 do
            block()
            ngx.sleep(0)
        end
        ngx.say("done")
    }
}
--- request
GET /t
--- response_body
done
--- grep_error_log eval: qr/has held the event loop/
--- grep_error_log_out
has held the event loop



=== TEST 4: a loop without end becomes an error, whoever catches errors
--- http_config
lua_block_warn 40ms;
lua_block_abort 200ms;
--- config
location = /t {
    content_by_lua_block {
        while true do
            pcall(function() while true do end end)
        end
    }
}
location = /after { content_by_lua_block { ngx.say("alive") } }
--- request eval
["GET /t", "GET /after"]
--- error_code eval
[500, 200]
--- response_body_like eval
["500 Internal Server Error", "alive"]
--- error_log
ended after it held the event loop for
content_by_lua(nginx.conf:



=== TEST 5: with coroutines in between
--- http_config
lua_block_warn 0;
lua_block_abort 100ms;
--- config
location = /t {
    content_by_lua_block {
        local co = coroutine.wrap(function()
            local x = 0
            for i = 1, 1e15 do x = x + i % 3 end
        end)
        co()
    }
}
--- request
GET /t
--- error_code: 500
--- error_log
lua_block_abort
--- no_error_log
has held the event loop



=== TEST 6: a timer's code, in a VM that goes with its request too
--- config
location = /t {
    lua_code_cache off;
    content_by_lua_block {
        local ends = os.clock() + 0.3
        while os.clock() < ends do end
        ngx.say("done")
    }
}
--- request
GET /t
--- response_body
done
--- error_log eval
[qr/has held the event loop for \d+ ms in content_by_lua\*\nstack traceback:\n\tcontent_by_lua/, qr/lua_code_cache is off/]



=== TEST 7: waiting is not blocking
--- config
location = /t {
    content_by_lua_block {
        ngx.sleep(0.3)
        ngx.say("done")
    }
}
--- request
GET /t
--- response_body
done
--- no_error_log
event loop



=== TEST 8: a program that uses the profiler itself is reported all the same
--- http_config
lua_block_warn 40ms;
init_worker_by_lua_block {
    require("jit.profile").start("fi1000", function() end)
}
--- config
location = /t {
    content_by_lua_block {
        local ends = os.clock() + 0.3
        while os.clock() < ends do end
        ngx.say("done")
    }
}
--- request
GET /t
--- response_body
done
--- error_log
Lua code has held the event loop for
none: it is in compiled code or in a call of the system



=== TEST 9: a compiled loop that goes back to the interpreter only at its end
--- config
location = /t {
    content_by_lua_block {
        local x = 0
        for i = 1, 6e8 do x = x + i end
        ngx.say("done")
    }
}
--- request
GET /t
--- response_body
done
--- error_log
Lua code has held the event loop for
Lua code let the event loop go after
