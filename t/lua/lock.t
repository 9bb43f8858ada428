use lib 't/lib';
use Bulan::Test;

add_block_preprocessor(sub {
    my $block = shift;
    my $http = $block->http_config || '';
    $block->set_value(http_config => "lua_shared_dict locks 100k;\n$http");
});

run_tests();

__DATA__

=== TEST 1: one holder at a time
--- config
location /t {
    content_by_lua_block {
        local resty_lock = require "resty.lock"
        local a = assert(resty_lock:new("locks"))
        local b = assert(resty_lock:new("locks", { timeout = 0.02 }))
        ngx.say(a:lock("key"))
        ngx.say(a:lock("key"))
        ngx.say(b:lock("key"))
        ngx.say(b:unlock())
        ngx.say(b:lock("other"))
        ngx.say(b:unlock())
        ngx.say(a:unlock())
        ngx.say(a:unlock())
        ngx.say(b:lock("key"), b:unlock())
        ngx.say(resty_lock:new("nowhere"))
        ngx.say(a:lock(nil))
        ngx.say(resty_lock:new("locks", { timeout = 0 }):lock("free"))
    }
}
--- request
GET /t
--- response_body
0
nillocked
niltimeout
nilunlocked
0
1
1
nilunlocked
01
nildictionary not found
nilnil key
0



=== TEST 2: a waiting thread gets the lock when it is given back
--- config
location /t {
    content_by_lua_block {
        local resty_lock = require "resty.lock"
        local order = {}
        local first = resty_lock:new("locks")
        first:lock("key")
        local thread = ngx.thread.spawn(function()
            local second = resty_lock:new("locks")
            local elapsed = second:lock("key")
            order[#order + 1] = "second"
            assert(elapsed > 0)
            return second:unlock()
        end)
        ngx.sleep(0)
        order[#order + 1] = "first"
        first:unlock()
        local _, ok = ngx.thread.wait(thread)
        ngx.say(table.concat(order, " "), " ", ok)
    }
}
--- request
GET /t
--- response_body
first second 1



=== TEST 3: an expired lock is not taken from its new holder
--- config
location /t {
    content_by_lua_block {
        local resty_lock = require "resty.lock"
        local a = resty_lock:new("locks", { exptime = 0.01 })
        local b = resty_lock:new("locks")
        a:lock("key")
        assert(b:lock("key"))
        ngx.say(a:unlock())
        ngx.say(a:expire(1))
        ngx.say(b:expire(100))
        ngx.say(ngx.shared.locks:ttl("key") > 50)
        ngx.say(b:unlock())
    }
}
--- request
GET /t
--- response_body
nilunlocked
nilunlocked
true
true
1



=== TEST 4: a collected object gives its lock back
--- config
location /t {
    content_by_lua_block {
        local resty_lock = require "resty.lock"
        local function forget()
            assert(resty_lock:new("locks"):lock("key"))
        end
        forget()
        collectgarbage()
        collectgarbage()
        ngx.say(resty_lock:new("locks", { timeout = 0 }):lock("key"))
    }
}
--- request
GET /t
--- response_body
0
