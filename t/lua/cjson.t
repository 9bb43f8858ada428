use lib 't/lib';
use Bulan::Test;

run_tests();

__DATA__

=== TEST 1: both modules are there, each with its own settings
--- config
location /t {
    content_by_lua_block {
        local cjson, safe = require "cjson", require "cjson.safe"
        ngx.say(cjson.encode(cjson.decode('{"a":[1,2,{"b":null}]}')))
        ngx.say(cjson.null == ngx.null)
        ngx.say(pcall(cjson.decode, "Oops"))
        ngx.say(safe.decode("Oops"))
        cjson.encode_escape_forward_slash(false)
        ngx.say(cjson.encode("/"), safe.encode("/"))
        ngx.say(cjson.encode({ cjson.empty_array, setmetatable({}, safe.array_mt), {} }))
    }
}
--- request
GET /t
--- response_body
{"a":[1,2,{"b":null}]}
true
falseExpected value but found invalid token at character 1
nilExpected value but found invalid token at character 1
"/""\/"
[[],[],{}]



=== TEST 2: in coroutines, and a document from the request
--- config
location /t {
    content_by_lua_block {
        local cjson = require "cjson.safe"
        ngx.req.read_body()
        local doc, err = cjson.decode(ngx.req.get_body_data())
        local threads = {}
        for i = 1, 3 do
            threads[i] = ngx.thread.spawn(function()
                local text = cjson.encode({ i, doc })
                ngx.sleep(0)
                return text
            end)
        end
        for i = 1, 3 do ngx.say(select(2, ngx.thread.wait(threads[i]))) end
    }
}
--- request
POST /t
{"name": "Łódź \u2603", "n": -0.5e1}
--- response_body_like eval
qr/^(\[[123],\{("name":"Łódź ☃"|"n":-5|,){3}\}\]\n){3}$/
