# ngx.location.capture and capture_multi: results in their places, bodies of every kind, refusals.
use lib 't/lib';
use Bulan::Test;

run_tests();

__DATA__

=== TEST 1: the results of several stand in the order of the requests, whichever ends first
--- config
    location = /late { internal; content_by_lua_block { ngx.sleep(0.05) ngx.print("late") } }
    location = /soon { internal; return 201 "soon"; }
    location = /none { internal; return 404; }
    location / {
        content_by_lua_block {
            local a, b, c = ngx.location.capture_multi { { "/late" }, { "/soon" }, { "/none" } }
            ngx.say(a.status, " ", a.body, ", ", b.status, " ", b.body, ", ", c.status)
        }
    }
--- request
GET /
--- response_body
200 late, 201 soon, 404



=== TEST 2: what the caller has on its stack stays there
--- config
    location = /sub { internal; return 200 "$arg_n"; }
    location / {
        content_by_lua_block {
            local function get(n)
                return ngx.location.capture("/sub", { args = { n = n } })
            end
            local t = { get(1).body, get(2).body, (select(2, ngx.location.capture_multi {
                { "/sub?n=3" }, { "/sub?n=4" } })).body, get(5).body .. get(6).body }
            ngx.say(table.concat(t, " "))
        }
    }
--- request
GET /
--- response_body
1 2 4 56



=== TEST 3: from within a coroutine within pcall
--- config
    location = /sub { internal; return 200 "$arg_n"; }
    location / {
        content_by_lua_block {
            local co = coroutine.wrap(function(n)
                while true do
                    local ok, res = pcall(ngx.location.capture, "/sub?n=" .. n)
                    n = coroutine.yield(ok and res.body)
                end
            end)
            ngx.say(co("a"), co("b"), co("c"))
        }
    }
--- request
GET /
--- response_body
abc



=== TEST 4: bodies of many pieces, and of a file
--- config
    sendfile on;
    location = /pieces {
        internal;
        content_by_lua_block {
            for i = 1, 500 do ngx.print(i, ",") ngx.flush(true) end
        }
    }
    location = /file { internal; alias html/big; }
    location / {
        content_by_lua_block {
            local expected = {}
            for i = 1, 500 do expected[i] = i .. "," end
            local res = ngx.location.capture("/pieces")
            ngx.say(res.body == table.concat(expected), " ", res.truncated)
            res = ngx.location.capture("/file")
            ngx.say(#res.body, " ", ngx.md5(res.body) == ngx.md5(string.rep("0123456789", 20000)), " ",
                    res.header["Content-Length"], " ", res.header["Content-Type"], " ",
                    res.header["Last-Modified"] ~= nil, " ", res.header.ETag ~= nil)
        }
    }
--- user_files eval
">>> big\n" . "0123456789" x 20000
--- request
GET /
--- response_body
true false
200000 true 200000 text/plain true true



=== TEST 5: an empty body
--- config
    location = /sub { internal; return 204; }
    location / {
        content_by_lua_block {
            local res = ngx.location.capture("/sub")
            ngx.say(res.status, " ", type(res.body), " ", #res.body, " ", res.truncated)
        }
    }
--- request
GET /
--- response_body
204 string 0 false



=== TEST 6: what can't be asked for
--- config
    location / {
        content_by_lua_block {
            local capture, multi = ngx.location.capture, ngx.location.capture_multi
            local function try(f, ...)
                local ok, err = pcall(f, ...)
                ngx.say(ok, " ", (err:gsub("^[^:]*:%d+: ", "")))
            end
            try(capture)
            try(capture, "/a", {}, 1)
            try(capture, "/a", 1)
            try(capture, "/../a")
            try(capture, "")
            try(capture, "/a", { method = "GET" })
            try(capture, "/a", { vars = 1 })
            try(multi)
            try(multi, {})
            try(multi, { "/a" })
            try(multi, { { "/a" }, { "/a", 1 } })
        }
    }
    location = /a { internal; return 200 a; }
--- request
GET /
--- response_body
false expecting one or two arguments
false expecting one or two arguments
false the query option must be a table
false unsafe uri in argument #1: "/../a"
false unsafe uri in argument #1: ""
false Bad http request method
false Bad vars option value type number, expected a Lua table
false only one argument is expected, but got 0
false at least one subrequest should be specified
false bad argument #3 to '?' (table expected, got string)
false the query option must be a table



=== TEST 7: a thread that waits for subrequests can't be killed, and gets its results
--- config
    location = /late { internal; content_by_lua_block { ngx.sleep(0.05) ngx.print("late") } }
    location = /soon { internal; return 200 soon; }
    location / {
        content_by_lua_block {
            local t = ngx.thread.spawn(function()
                local a, b = ngx.location.capture_multi { { "/soon" }, { "/late" } }
                ngx.say(a.body, " ", b.body)
            end)
            ngx.say(ngx.thread.kill(t))
            ngx.thread.wait(t)
        }
    }
--- request
GET /
--- response_body
nilpending subrequests
soon late



=== TEST 8: a value of a field can't become another field
--- http_config
server {
    listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
    location / { return 200 "$http_x_user,$http_x_admin,$http_x_list"; }
}
--- config
    location = /pass { internal; proxy_pass http://127.0.0.1:$TEST_NGINX_RAND_PORT_1; }
    location / {
        content_by_lua_block {
            local res = ngx.location.capture("/pass", { headers = {
                ["X-User"] = "a\r\nX-Admin: yes", ["X-List"] = { "b\r\nX-Admin: yes", 7 }, ["X\r\nX-Admin"] = "yes",
            } })
            ngx.say(res.status, " ", res.body)
        }
    }
--- request
GET /
--- response_body
200 a%0D%0AX-Admin: yes,,b%0D%0AX-Admin: yes, 7
