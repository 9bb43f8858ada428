use lib 't/lib';
use Bulan::Test;

run_tests();

__DATA__

=== TEST 1: digests of "abc"
--- config
location /t {
    content_by_lua_block {
        local to_hex = require("resty.string").to_hex
        for _, name in ipairs { "md5", "sha1", "sha224", "sha256", "sha384", "sha512" } do
            local digest = require("resty." .. name):new()
            assert(digest:update("a") and digest:update("bcd", 2))
            ngx.say(to_hex(digest:final()))
        end
    }
}
--- request
GET /t
--- response_body
900150983cd24fb0d6963f7d28e17f72
a9993e364706816aba3e25717850c26c9cd0d89d
23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7
ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad
cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7
ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f



=== TEST 2: reset, and use after final
--- config
location /t {
    content_by_lua_block {
        local to_hex = require("resty.string").to_hex
        local md5 = require("resty.md5"):new()
        md5:update("xyz")
        ngx.say(md5:reset())
        ngx.say(to_hex(md5:final()))
        ngx.say(md5:final(), " ", md5:update("x"))
        ngx.say(md5:reset(), " ", md5:update(12), " ", to_hex(md5:final()))
        ngx.say(to_hex(ngx.md5_bin("12")))
        for _, len in ipairs { 2, 1e9, 0, -1 } do
            md5:reset()
            ngx.print(md5:update("12345", len), " ", to_hex(md5:final()) == to_hex(ngx.md5_bin(("12345"):sub(1, math.max(len, 0)))), "; ")
        end
    }
}
--- request
GET /t
--- response_body chop
true
d41d8cd98f00b204e9800998ecf8427e
nil nil
true true c20ad4d76fe97759aa27a0c99bff6710
c20ad4d76fe97759aa27a0c99bff6710
true true; true true; true true; true true; 



=== TEST 3: resty.string and resty.random
--- config
location /t {
    content_by_lua_block {
        local str, random = require "resty.string", require "resty.random"
        ngx.say(str.to_hex("\0\n\r%\255"), " ", str.to_hex(12), " ", str.to_hex({}))
        ngx.say(str.atoi("12abc"), " ", str.atoi(" -7"), " ", str.atoi("x"))
        local a, b = random.bytes(16), random.bytes(16, true)
        ngx.say(#a, " ", #b, " ", a ~= b, " ", #random.bytes(0))
    }
}
--- request
GET /t
--- response_body
000a0d25ff 3132 nil
12 -7 0
16 16 true 0
