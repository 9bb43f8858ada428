# What programs written for OpenResty rely on, one block for each thing that was different.
use lib 't/lib';
use Bulan::Test;

run_tests();

__DATA__

=== TEST 1: escaping by kind
--- config
location /t {
    content_by_lua_block {
        for kind = 0, 6 do
            ngx.say(kind, " ", ngx.escape_uri("a b?#&+%'\"<-_.!~*()\1", kind))
        end
        ngx.say(ngx.escape_uri("-_.!~*'(),$"))
        ngx.say((select(2, pcall(ngx.escape_uri, "a", 7)):match('"type".*')))
        ngx.say((select(2, pcall(ngx.escape_uri, "a", true)):match('"type".*')))
    }
}
--- request
GET /t
--- response_body
0 a%20b%3F%23&+%25'"<-_.!~*()%01
1 a%20b%3F%23%26%2B%25'"<-_.!~*()%01
2 a%20b%3F%23%26%2B%25'%22%3C-_.!~*()%01
3 a%20b?%23&+%25%27%22<-_.!~*()%01
4 a%20b?#&+%25%27%22<-_.!~*()%01
5 a%20b?#&+%25'"<-_.!~*()%01
6 a%20b?#&+%25'"<-_.!~*()%01
-_.!~*'()%2C%24
"type" 7 out of range
"type" is not a number



=== TEST 2: redirects to a path keep it a path, and their page says 302 Found
--- config
location /t { content_by_lua_block { ngx.redirect("/echo?a=1") } }
--- request
GET /t
--- error_code: 302
--- response_headers
Location: /echo?a=1
--- response_body_like: 302 Found



=== TEST 3: ngx.exit(0) behind output ends the request in early phases, too
--- config
location /t {
    access_by_lua_block {
        ngx.say("before")
        ngx.thread.spawn(function() ngx.sleep(0.01); ngx.exit(0) end)
        ngx.sleep(5)
        ngx.say("never")
    }
    echo never;
}
--- request
GET /t
--- response_body
before



=== TEST 4: not to refuse is to allow, where one who allows is enough
--- config
location /t {
    satisfy any;
    deny all;
    access_by_lua_block { return }
    echo in;
}
--- request
GET /t
--- response_body
in



=== TEST 5: rewrite_by_lua does not run behind a rewrite that leads elsewhere
--- config
location /main {
    rewrite ^ /there;
    rewrite_by_lua_block { ngx.exit(503) }
}
location /there { echo there; }
--- request
GET /main
--- response_body
there



=== TEST 6: /x is redirected to a location = /x/ that is proxied
--- config
location = /x/ { proxy_pass http://127.0.0.1:1; }
--- request
GET /x?a
--- error_code: 301
--- response_headers_like
Location: http://localhost(?::\d+)?/x/\?a



=== TEST 7: error_page serves what a head filter refuses
--- config
error_page 412 /refused;
error_page 582 =502 /filtered;
location /t { content_by_lua_block { ngx.say("never") } }
location = /refused { return 412 "refused"; }
location /f {
    echo never;
    header_filter_by_lua_block { return ngx.exit(582) }
}
location = /filtered { return 200 "filtered"; }
--- request eval
['GET /t', 'GET /f']
--- more_headers eval
["If-Match: 1", ""]
--- error_code eval
[412, 502]
--- response_body eval
["refused", "filtered"]



=== TEST 8: a body that was never asked for can't be replaced
--- config
location /t {
    content_by_lua_block {
        ngx.say((select(2, pcall(ngx.req.set_body_data, "x"))))
        ngx.req.read_body()
        ngx.say(pcall(ngx.req.set_body_data, "x"))
        ngx.say(ngx.req.get_body_data())
    }
}
--- request
GET /t
--- response_body
request body not read yet
true
x



=== TEST 9: heads as they came
--- config
location /t {
    content_by_lua_block {
        ngx.req.set_header("X-New", "1")
        ngx.print(ngx.req.raw_header())
        ngx.print(ngx.req.raw_header(true))
    }
}
--- raw_request eval
"GET /t HTTP/1.1\nHost:  a\r\nX_odd: 1\r\nConnection: close\n\n"
--- response_body eval
"GET /t HTTP/1.1\nHost:  a\r\nX_odd: 1\r\nConnection: close\n\nHost:  a\r\nX_odd: 1\r\nConnection: close\n\n"



=== TEST 10: Host set by a program names the host
--- config
location /t {
    rewrite_by_lua_block { ngx.req.set_header("Host", "Example.ORG:1984") }
    echo -n "$host $http_host";
}
--- request
GET /t
--- response_body: example.org Example.ORG:1984



=== TEST 11: what goes into request lines and fields is escaped
--- config
location /t {
    rewrite_by_lua_block {
        ngx.req.set_uri_args("a\r\nb c\0")
        ngx.req.set_header("X\xc3\xa4\r", "1")
    }
    proxy_pass http://127.0.0.1:$TEST_NGINX_SERVER_PORT/seen;
}
location /seen { content_by_lua_block { ngx.print(ngx.req.raw_header()) } }
--- request
GET /t
--- response_body_like chomp
GET /seen\?a%0D%0Ab%20c%00 HTTP/1\.1\r\n(?s:.*)X%C3%A4%0D: 1\r\n



=== TEST 12: bad arguments
--- config
location /t {
    content_by_lua_block {
        local _, length = pcall(function() ngx.header.content_length = "x" end)
        ngx.say((length:match("failed.*")))
        ngx.say((select(2, pcall(ngx.encode_args, true))))
        ngx.say((select(2, pcall(ngx.encode_args, {a = print}))))
        ngx.say(ngx.re.sub("a", "a", "$x"))
        ngx.say(ngx.re.gsub("a", "a", "${1"))
        ngx.say(ngx.re.gsub("a", "a", "a$"))
        ngx.var.args = nil
        ngx.say(ngx.var.args)
    }
}
--- request
GET /t?a
--- response_body
failed to set header content-length: invalid value "x"
bad argument #1 to '?' (table expected, got boolean)
attempt to use function as query arg value
nilnilfailed to compile the replacement template
nilnilfailed to compile the replacement template
nilnilfailed to compile the replacement template
nil
--- error_log
attempt to use named capturing variable "x"
the closing bracket in "1" variable is missing
invalid capturing variable name found in "a$"



=== TEST 13: ctx is left alone by what does not match; an iterator ends with one nil
--- config
location /t {
    content_by_lua_block {
        local ctx = {pos = 2}
        ngx.say(ngx.re.match("abc", "x", "", ctx), " ", ctx.pos, " ", select("#", ngx.re.gmatch("a", "x")()))
        local m = ngx.re.match("c", "(?:(?<x>a)|(?<x>b)|(?<y>c))", "D")
        ngx.say(m.x, " ", m.y[1])
    }
}
--- request
GET /t
--- response_body
nil 2 1
nil c



=== TEST 14: signals that are nobody's, and system calls that they interrupt
--- config
location /t {
    content_by_lua_block {
        for _, name in ipairs { "ALRM", "IO", "CHLD" } do
            local pipe = io.popen("kill -s " .. name .. " " .. ngx.worker.pid() .. " && sleep 0.01")
            ngx.say(name, " ", (select(2, pipe:read("*a"))))
            pipe:close()
        end
    }
}
--- request
GET /t
--- response_body
ALRM nil
IO nil
CHLD nil



=== TEST 15: no type for 304; tags without quotes
--- config
default_type text/plain;
location /n { content_by_lua_block { ngx.status = 304 } }
location /e { content_by_lua_block { ngx.header.ETag = "abc" ngx.say("x") } }
--- request eval
['GET /n', 'GET /e', 'GET /e']
--- more_headers eval
['', 'If-None-Match: x, abc', 'If-None-Match: ab']
--- error_code eval
[304, 304, 200]
--- response_headers eval
['!Content-Type', '!Content-Type', 'Content-Type: text/plain']



=== TEST 16: echo in a location is what its `if` says
--- config
location /t {
    set $a 1;
    if ($a) { set $b 2; }
    echo "$a$b";
}
--- request
GET /t
--- response_body
12



=== TEST 17: the tables that programs look into
--- http_config
lua_shared_dict d 1m;
--- config
location /t {
    content_by_lua_block {
        local function count(t) local n = 0 for _ in pairs(t) do n = n + 1 end return n end
        ngx.say(count(ngx), " ", count(ngx.worker) >= 5, " ", count(ngx.shared.d.__index) >= 22, " ",
                count(getmetatable(ngx.socket.udp())), " ", count(getmetatable(ngx.req.socket())),
                " ", #ngx.worker.pids(), " ", ngx.worker.pids()[1] == ngx.worker.pid())
    }
}
--- request
POST /t
x
--- response_body
117 true true 7 9 1 true



=== TEST 18: ngx.exec with too much, and with a path that climbs
--- config
location /many { content_by_lua_block { ngx.exec("/a", 1, 2) } }
location /climbs { content_by_lua_block { ngx.exec("/a/../b") } }
location @there { echo "there $args"; }
location /named { content_by_lua_block { ngx.exec("@there?x", "y=1") } }
--- request eval
['GET /many', 'GET /climbs', 'GET /named?q']
--- error_code eval
[500, 500, 200]
--- response_body_like eval
[qr/500/, qr/500/, qr/^there q$/]
--- error_log
expecting one or two arguments, but got 3
unsafe URI "/a/../b" was detected



=== TEST 19: an error that a captured location ends with is its status, without a page
--- config
error_page 404 /word;
location /gone { return 410; }
location /said { return 403 "no"; }
location /word { return 200 word; }
location /moved { return 302 /word; }
location /exit { content_by_lua_block { ngx.exit(503) } }
location /t {
    content_by_lua_block {
        for _, path in ipairs { "/gone", "/said", "/missing", "/moved", "/exit" } do
            local res = ngx.location.capture(path)
            ngx.say(res.status, " [", res.body, "] ", res.header.Location)
        end
    }
}
--- request
GET /t
--- response_body
410 [] nil
403 [no] nil
404 [] nil
302 [] /word
503 [] nil



=== TEST 20: what is logged is logged whole, zero bytes too; the level "stderr" has no name
--- config
location /t {
    content_by_lua_block {
        ngx.log(ngx.WARN, "one\0two")
        ngx.log(ngx.STDERR, "three")
        require("ngx.errlog").raw_log(ngx.WARN, "four\0five")
        ngx.say("done")
    }
}
--- request
GET /t
--- response_body
done
--- error_log eval
["one\0two, client", qr/ \[\] \d+#\d+: \*\d+ \[lua\] content_by_lua\(nginx\.conf:\d+\):3: three/, "four\0five, client"]



=== TEST 21: set_by_lua makes a variable, and no response
--- config
location /t { set_by_lua_block $x { ngx.exit(404) } return 200 $x; }
--- request
GET /t
--- error_code: 500
--- error_log
API disabled in the context of set_by_lua*



=== TEST 22: a resolver that can't be reached
--- config
location /t {
    resolver 127.0.0.1:$TEST_NGINX_RAND_PORT_1;
    resolver_timeout 100ms;
    content_by_lua_block { ngx.say(ngx.socket.tcp():connect("a.test", 80)) }
}
--- request
GET /t
--- response_body_like: nila\.test could not be resolved
--- error_log eval
qr/recv\(\) failed \(111: Connection refused\) while resolving, resolver: 127\.0\.0\.1:\d+/



=== TEST 23: modules that libraries load by name
--- config
location /t {
    content_by_lua_block {
        for _, name in ipairs { "base", "base64", "ctx", "exit", "hash", "misc", "ndk", "param", "phase", "regex",
            "request", "response", "shdict", "socket", "time", "uri", "utils", "var", "worker" } do
            require("resty.core." .. name)
        end
        local replace = require("resty.core.utils").str_replace_char
        ngx.say(replace("a_b_c_", "_", "-"), " ", replace("abc", "_", "-"), " ", replace("a", "ab", "b"))
        local misc, kept = require "resty.core.misc", nil
        misc.register_ngx_magic_key_getter("weather", function() return kept or "sun" end)
        misc.register_ngx_magic_key_setter("weather", function(value) kept = value end)
        ngx.print(ngx.weather, " ")
        ngx.weather = "rain"
        ngx.say(ngx.weather, " ", rawget(ngx, "weather"))
    }
}
--- request
GET /t
--- response_body
a-b-c- abc a
sun rain nil



=== TEST 24: an error page that Lua makes keeps the status of ngx.exit; others have their own
--- config
error_page 404 = /lua;
error_page 403 = /word;
location = /exit { content_by_lua_block { ngx.exit(404) } }
location = /early { access_by_lua_block { ngx.exit(404) } }
location = /return { return 404; }
location = /other { content_by_lua_block { ngx.exit(403) } }
location = /lua { content_by_lua_block { ngx.say("page ", ngx.status) } }
location = /word { return 200 word; }
--- request eval
["GET /exit", "GET /early", "GET /return", "GET /other"]
--- error_code eval
[404, 404, 200, 200]
--- response_body eval
["page 404\n", "page 404\n", "page 0\n", "word"]



=== TEST 25: server_rewrite_by_lua comes before the directives of rewrite
--- config
server_rewrite_by_lua_block { ngx.log(ngx.WARN, "it was ", ngx.var.uri) ngx.ctx.first = ngx.var.uri }
rewrite ^/t /now;
location /now { content_by_lua_block { ngx.say(ngx.ctx.first, " ", ngx.var.uri) } }
--- request
GET /t
--- response_body
/t /now
--- error_log
it was /t



=== TEST 26: a file that is a body no more goes at once, if it was to go
--- config
location /t {
    content_by_lua_block {
        ngx.req.read_body()
        local function file(name)
            local path = "$TEST_NGINX_HTML_DIR/" .. name
            local f = assert(io.open(path, "w"))
            f:write("text of ", name)
            f:close()
            return path
        end
        local function there(path) return io.open(path) ~= nil end
        local kept, first, second = file("kept"), file("first"), file("second")
        ngx.req.set_body_file(kept)
        ngx.req.set_body_file(first, true)
        ngx.req.set_body_file(second, true)
        ngx.say(there(kept), " ", there(first), " ", there(second))
        ngx.say(ngx.location.capture("/sub", { method = ngx.HTTP_POST, always_forward_body = true }).body)
    }
}
location /sub { echo_request_body; }
--- request
POST /t
hello
--- response_body
true false true
text of second



=== TEST 27: lua_malloc_trim, every so many requests
--- http_config
lua_malloc_trim 2;
lua_load_resty_core on;
--- config
location /t { echo_location /sub; }
location /sub { return 200 "ok\n"; }
--- request eval
["GET /t", "GET /t", "GET /t", "GET /t", "GET /t"]
--- response_body eval
["ok\n", "ok\n", "ok\n", "ok\n", "ok\n"]
--- grep_error_log eval: qr/malloc_trim\(1\) returned/
--- grep_error_log_out
malloc_trim(1) returned
malloc_trim(1) returned
--- error_log eval
qr/\[warn\] .*lua_load_resty_core is deprecated .*nginx\.conf:\d+/



=== TEST 28: errors of functions that need a request name the line that called them
--- config
location /t {
    content_by_lua_block {
        ngx.timer.at(0, function()
            ngx.log(ngx.WARN, "1: ", select(2, pcall(function() return (ngx.req.get_headers()) end)))
            ngx.log(ngx.WARN, "2: ", select(2, pcall(function() return (ngx.req.get_uri_args()) end)))
            ngx.log(ngx.WARN, "3: ", select(2, pcall(function() return (ngx.resp.get_headers()) end)))
        end)
        ngx.say("done")
    }
}
--- request
GET /t
--- response_body
done
--- error_log eval
[map { qr/$_: content_by_lua\(nginx\.conf:\d+\):\d+: API disabled in the current context/ } 1, 2, 3]



=== TEST 29: a body filter that returns ngx.ERROR breaks the response off
--- config
location /t { return 200 "text"; body_filter_by_lua_block { return ngx.ERROR } }
location /ok { return 200 "text"; body_filter_by_lua_block { return ngx.OK } }
location /capture {
    content_by_lua_block {
        local res = ngx.location.capture("/t")
        ngx.say(res.truncated, " [", res.body, "]")
        res = ngx.location.capture("/exit")
        ngx.say(res.status, " [", res.body, "]")
    }
}
location /exit { content_by_lua_block { ngx.exit(ngx.ERROR) } }
--- perl
is $server->get('/ok')->{body}, 'text', 'ngx.OK';
is $server->get('/capture')->{body}, "true []\n500 []\n", 'captured';
my $client = $server->connect;
$client->send("GET /t HTTP/1.1\r\nHost: x\r\n\r\n");
unlike $client->read_all, qr/text/, 'ngx.ERROR';



=== TEST 30: what functions of the libraries say to wrong arguments
--- config
location /t {
    content_by_lua_block {
        local req, resp = require "ngx.req", require "ngx.resp"
        local function try(f, ...) ngx.say((select(2, pcall(f, ...)))) end
        try(req.add_header)
        try(req.add_header, "a")
        try(req.add_header, "a", {})
        try(resp.add_header, "a")
        try(ndk.set_var.set_decode_hex, "a")
        ngx.say(ndk.set_var.set_decode_hex("61"))
        req.add_header(123, 4)
        req.add_header(123, 5)
        ngx.say(table.concat(ngx.req.get_headers()[123], " "))
        ngx.say(ngx.decode_base64mime("zaaLg=="), " ", ngx.decode_base64mime("YW\nI="))
    }
}
--- request
GET /t
--- response_body
bad 'name' argument: string expected, got nil
bad 'value' argument: string or table expected, got nil
bad 'value' argument: non-empty table expected
invalid header value
calling directive set_decode_hex failed with code -1
a
4 5
nil ab



=== TEST 31: options of sockets, and wrong arguments
--- http_config
lua_shared_dict box 100k;
--- config
location /t {
    content_by_lua_block {
        local sock = ngx.socket.tcp()
        assert(sock:connect("127.0.0.1", ngx.var.server_port))
        ngx.say(sock:getoption())
        ngx.say(sock:setoption("sndbuf"))
        ngx.say(sock:setoption("keepintvl", 3), sock:getoption("keepintvl"))
        ngx.say(sock:setoption("keepcnt", 5), sock:getoption("keepcnt"))
        local box = ngx.shared.box
        ngx.say((select(2, pcall(box.incr, box, "a", 1, "no"))))
        ngx.say((select(2, pcall(box.incr, box, "a", 1, 0, "no"))))
        ngx.say(box:incr("a", 1, "2", "3"))
    }
}
--- request
GET /t
--- response_body
nilmissing the "option" argument
nilmissing the "value" argument
true3
true5
bad init arg: number expected, got string
bad init_ttl arg: number expected, got string
3nilfalse



=== TEST 32: fields whose names have underscores, in any spelling
--- server_config
listen 127.0.0.1:$TEST_NGINX_SERVER_PORT;
underscores_in_headers on;
--- config
location /t {
    content_by_lua_block {
        local fields = ngx.req.get_headers()
        ngx.say(fields.X_Under, " ", fields.x_under, " ", fields["X-Under"], " ", fields.X_dash, " ", fields.None_such)
    }
}
--- request
GET /t
--- more_headers
X_Under: a
X-Dash: b
--- response_body
a a nil b nil



=== TEST 33: lua_malloc_trim gives memory back whatever the log's level is
--- log_level: notice
--- http_config
lua_malloc_trim 1;
--- config
location /t {
    content_by_lua_block {
        local ffi = require "ffi"
        ffi.cdef "void *malloc(size_t); void free(void *); void *memset(void *, int, size_t); void __asan_init(void);"
        local has_own_malloc = pcall(function() return ffi.C.__asan_init end) -- so has valgrind
            or io.open("/proc/self/maps"):read("*a"):find("vgpreload", 1, true) ~= nil
        local function resident()
            local pages = io.open("/proc/self/statm"):read("*a"):match("^%d+ (%d+)")
            return pages * 4096
        end
        if ngx.var.arg_second then
            return ngx.say(has_own_malloc or before - resident() > 40e6)
        end
        -- Holes of 60 kB, with a little between them, so that the heap has no end to cut off.
        local big, small = {}, {}
        for i = 1, 1000 do
            big[i] = ffi.C.memset(ffi.C.malloc(60000), 1, 60000)
            small[i] = ffi.C.malloc(2000)
        end
        for i = 1, 1000 do ffi.C.free(big[i]) end
        before = resident()
        ngx.say("first")
    }
}
--- request eval
["GET /t", "GET /t?second=1"]
--- response_body eval
["first\n", "true\n"]
