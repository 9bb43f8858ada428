# resty.router: what leads where, and what dispatch() answers.
use lib 't/lib';
use Bulan::Test;

run_tests();

__DATA__

=== TEST 1: which route
--- config
location /t {
    content_by_lua_block {
        local r = require("resty.router").new()
        r:get("/", "root"):get("/a", "a"):get("/a/", "a/"):get("/notes/new", "new")
        r:get("/notes/:id(\\d+)", "number"):get("/notes/:name", "name"):post("/notes/:name", "post")
        r:get("/notes/:id/tags/:tag", "tag"):get("/files/:name.json", "json"):get("/files/v:n-:m", nil or "x", {})
    }
}
--- request
GET /t
--- error_code: 500
--- response_body_like: 500
--- error_log
bad route "/files/v:n-:m": two parameters in one segment



=== TEST 2: literal text, parameters, expressions, the rest
--- config
location /t {
    content_by_lua_block {
        local r = require("resty.router").new()
        r:get("/", "root"):get("/a", "a"):get("/a/", "a/"):get("/notes/new", "new")
        r:get("/notes/:name", "name"):get("/notes/:id(\\d+)", "number"):post("/notes/:name", "post")
        r:get("/notes/:id/tags/:tag", "tag"):get("/files/:name.json", "json"):get("/files/v:version", "version")
        r:get("/files/:any", "any"):get("/rest/*path", "rest"):get("/date/:d(\\d+/\\d+|x)/y", "no slash comes in")
        r:any("/any", "any method"):get("/deep/:a/x", "x"):get("/deep/*rest", "deep rest")
        local function try(path, method)
            local handler, params, methods = r:match(method or "GET", path)
            if not handler then
                return ngx.say(path, ": ", params, methods and " " .. methods or "")
            end
            local list = {}
            for k, v in pairs(params) do list[#list + 1] = k .. "=" .. v end
            table.sort(list)
            ngx.say(path, ": ", handler, " ", table.concat(list, " "))
        end
        try("/") try("/a") try("/a/") try("/b") try("/notes/new") try("/notes/7") try("/notes/seven") try("/notes/7", "POST")
        try("/notes/7", "PUT") try("/notes/") try("/notes/a%20b%2Fc+d") try("/notes/1/tags/x%") try("/notes/1/tags/") try("/files/a.json")
        try("/files/.json") try("/files/v12") try("/files/v") try("/files/v12.json") try("/rest/") try("/rest/a//b/") try("/rest")
        try("/any", "BREW") try("/any", "GET") try("/deep/1/x") try("/deep/1/y") try("/date/x/y") try("/date/1/2/y") try("/a", "HEAD") try("/a", "DELETE")
    }
}
--- request
GET /t
--- response_body
/: root 
/a: a 
/a/: a/ 
/b: not found
/notes/new: new 
/notes/7: number id=7
/notes/seven: name name=seven
/notes/7: post name=7
/notes/7: method not allowed GET, HEAD, POST
/notes/: not found
/notes/a%20b%2Fc+d: name name=a b/c+d
/notes/1/tags/x%: tag id=1 tag=x%
/notes/1/tags/: not found
/files/a.json: json name=a
/files/.json: any any=.json
/files/v12: version version=12
/files/v: any any=v
/files/v12.json: json name=v12
/rest/: rest path=
/rest/a//b/: rest path=a//b/
/rest: not found
/any: any method 
/any: any method 
/deep/1/x: x a=1
/deep/1/y: deep rest rest=1/y
/date/x/y: no slash comes in d=x
/date/1/2/y: not found
/a: a 
/a: method not allowed GET, HEAD



=== TEST 3: priorities, trailing slashes, later routes, what is refused
--- config
location /t {
    content_by_lua_block {
        local router = require "resty.router"
        local r = router.new()
        r:get("/x/y", "literal"):get("/x/:p", "parameter", { priority = 5 }):get("/x/*r", "rest", { priority = 3 })
        ngx.say((r:match("GET", "/x/y")), " ", (r:match("GET", "/x/y/z")))
        r = router.new { ignore_trailing_slash = true }
        r:get("/a/", 1):get("/b", 2):get("/c/:d", 3)
        ngx.say((r:match("GET", "/a")), (r:match("GET", "/a/")), (r:match("GET", "/b/")), (r:match("GET", "/c/d/")), (r:match("GET", "/")))
        r:get("/b", 4)
        ngx.say((r:match("GET", "/b")))
        for _, bad in ipairs { "x", "/:", "/:a/:a", "/*a/b", "/:a(", "/:a([)" } do
            local ok, err = pcall(r.get, r, bad, 1)
            ngx.say(ok, " ", (err:match("bad route.*"):gsub("pcre2_.*", "pcre2")))
        end
        ngx.say((select(2, pcall(r.get, r, "/q")):match("bad route.*")))
    }
}
--- request
GET /t
--- response_body
parameter rest
1123nil
4
false bad route "x": it has to begin with "/"
false bad route "/:": a parameter needs a name
false bad route "/:a/:a": two parameters of one name
false bad route "/*a/b": "*" must be at the end
false bad route "/:a(": a parenthesis is not closed
false bad route "/:a([)": pcre2
bad route "/q": there is no function for it



=== TEST 4: requests
--- http_config
init_by_lua_block {
    local router = require("resty.router").new()
    router:get("/hello/:name", function(params, extra) ngx.say("hello, ", params.name, " ", extra) end)
    router:post("/hello/:name", function(params) ngx.say("posted ", params.name) end)
    local function check(params)
        if ngx.var.arg_key ~= "k" then return ngx.exit(403) end
    end
    local api = router:group("/api", check)
    api:get("/me", function() ngx.say("me") end)
    api:group("/deep", function(params) params.seen = "twice" end):get("/:x", function(params) ngx.say(params.x, params.seen) end)
    routes = router
}
--- config
rewrite ^/old/(.*)$ /hello/$1 last;
location / { content_by_lua_block { routes:dispatch("!") } }
--- request eval
["GET /hello/dewi%20a%2Fb", "POST /hello/x", "HEAD /hello/x", "OPTIONS /hello/x", "DELETE /hello/x", "GET /nobody", "GET /x/../hello//y?q", "GET /old/z",
 "GET /api/me", "GET /api/me?key=k", "GET /api/deep/1?key=k", "GET http://localhost/hello/abs", "GET /hello/%2e%2e/hello/p%2525"]
--- error_code eval
[200, 200, 200, 204, 405, 404, 200, 200, 403, 200, 200, 200, 200]
--- response_body eval
["hello, dewi a/b !\n", "posted x\n", "", "", qr/405/, qr/404/, "hello, y !\n", "hello, z !\n", qr/403/, "me\n", "1twice\n", "hello, abs !\n", "hello, p%25 !\n"]
--- response_headers eval
["", "", "", "Allow: GET, HEAD, POST", "Allow: GET, HEAD, POST", "", "", "", "", "", "", "", ""]



=== TEST 5: ten thousand routes, each of them found
--- config
location /t {
    content_by_lua_block {
        local r = require("resty.router").new()
        for i = 1, 2500 do
            r:get("/s/" .. i .. "/x", i):get("/p/" .. i .. "/:a", i):post("/p/" .. i .. "/:a/b/:c", i):get("/w/" .. i .. "/*rest", i)
        end
        for i = 1, 2500 do
            assert(r:match("GET", "/s/" .. i .. "/x") == i)
            local h, p = r:match("GET", "/p/" .. i .. "/v" .. i)
            assert(h == i and p.a == "v" .. i)
            h, p = r:match("POST", "/p/" .. i .. "/1/b/" .. i)
            assert(h == i and p.a == "1" and p.c == tostring(i))
            h, p = r:match("GET", "/w/" .. i .. "/a/b")
            assert(h == i and p.rest == "a/b")
        end
        ngx.say("all")
    }
}
--- request
GET /t
--- response_body
all
