use lib 't/lib';
use Bulan::Test;

run_tests();

__DATA__

=== TEST 1: the cookies of a request
--- config
location /t {
    content_by_lua_block {
        local cookie = require("resty.cookie"):new()
        for _, name in ipairs { "a", "b", "c", "d", "e e", "none" } do
            ngx.say(name, ": ", cookie:get(name))
        end
        local all, n = cookie:get_all(), 0
        for _ in pairs(all) do n = n + 1 end
        ngx.say(n, " ", all.a)
    }
}
--- request
GET /t
--- more_headers
Cookie: a=1; b="two words";c=x=y ; d=; a=again; nothing; =z
--- response_body
a: 1
b: two words
c: x=y
d: 
e e: nilno cookie named "e e"
none: nilno cookie named "none"
4 1



=== TEST 2: none
--- config
location /t {
    content_by_lua_block {
        local cookie = require("resty.cookie"):new()
        ngx.say(cookie:get("a"))
        ngx.say(cookie:get_all())
    }
}
--- request
GET /t
--- response_body
nilno cookie found in the current request
nilno cookie found in the current request



=== TEST 3: setting some
--- config
location /t {
    content_by_lua_block {
        local cookie = require("resty.cookie"):new()
        assert(cookie:set { key = "Name", value = "Bob", path = "/", domain = "example.com", secure = true,
            httponly = true, expires = "Wed, 09 Jun 2021 10:18:14 GMT", max_age = 50, samesite = "Strict",
            extension = "a4334aebaec" })
        assert(cookie:set { key = "Age", value = 20 })
        assert(cookie:set { key = "Age", value = "20" })
        assert(cookie:set { key = "Age", value = "21", secure = false })
        for i, text in ipairs(ngx.header["Set-Cookie"]) do ngx.say(text) end
    }
}
--- request
GET /t
--- raw_response_headers_like
Set-Cookie: Name=Bob; .*\r
Set-Cookie: Age=20\r
Set-Cookie: Age=21\r
--- response_body
Name=Bob; Expires=Wed, 09 Jun 2021 10:18:14 GMT; Max-Age=50; Domain=example.com; Path=/; Secure; HttpOnly; SameSite=Strict; a4334aebaec
Age=20
Age=21



=== TEST 4: what would break out of the field is refused
--- config
location /t {
    content_by_lua_block {
        local cookie = require("resty.cookie"):new()
        ngx.say(cookie:set { key = "a" })
        ngx.say(cookie:set { value = "a" })
        ngx.say(cookie:set { key = "a b", value = "x" })
        ngx.say(cookie:set { key = "a", value = "x; Domain=evil" })
        ngx.say(cookie:set { key = "a", value = "x\r\nX: y" })
        ngx.say(cookie:set { key = "a", value = "x", path = "/; Secure" })
        ngx.say(cookie:set { key = "a", value = "x", samesite = "Never" })
        ngx.say(ngx.header["Set-Cookie"])
    }
}
--- request
GET /t
--- response_body
nilmissing key or value
nilmissing key or value
nilbad cookie key
nilbad cookie value
nilbad cookie value
nilbad cookie path
nilbad cookie samesite
nil



=== TEST 5: much white space costs no more than other bytes
--- config
location /t {
    content_by_lua_block {
        local cookie = require "resty.cookie"
        local begun = os.clock()
        local all
        for _ = 1, 50 do
            all = cookie:new():get_all()
        end
        ngx.say(os.clock() - begun < 2, " ", #all.a, " ", all.b)
    }
}
--- request
GET /t
--- more_headers eval
"Cookie: a=x" . ' ' x 7000 . "y \t; b = z  "
--- response_body
true 7002 z
