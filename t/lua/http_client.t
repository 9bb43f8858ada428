use lib 't/lib';
use Bulan::Test;
use Bulan::Test::Backend;
use Bulan::Test::Tls;
use IO::Select;
use IO::Socket::INET;

my $tls  = Bulan::Test::Tls->new;
my $ca   = $tls->authority->{cert};
my $good = $tls->certificate('good.test');

# Answers that no honest server gives, one a connection; the last connection gets none.
my $ok = "HTTP/1.1 200 OK\r\n";
my @lies = (
    '',
    "garbage\r\n\r\n",
    "${ok}no colon\r\n\r\n",
    "${ok}Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "${ok}Content-Length: -1\r\n\r\nab",
    "${ok}Content-Length: 10\r\n\r\nab",
    "${ok}Transfer-Encoding: chunked\r\n\r\nzz\r\nab",
    "${ok}Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
    "${ok}Transfer-Encoding: chunked\r\n\r\nffffffffffffff\r\nab",
    "${ok}X: " . 'y' x 70000 . "\r\n\r\n",
    "${ok}\r\nuntil closed",
    "${ok}Content-Length: 2\r\nX: a,\r\n  b\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 103 Early\r\nLink: x\r\n\r\n"
        . "${ok}Transfer-Encoding: chunked\r\n\r\n0002;x=y\r\nok\r\n0\r\nX-Trailer: behind\r\n\r\n",
);
# Framing that another reader of the same bytes would understand otherwise, and answers without end.
my @smuggled = (
    "HTTP/1.1 200 OK\nXContent-Length: 2\r\n\r\nab",
    "${ok}X: y\nContent-Length: 2\r\n\r\nab",
    "${ok}X: y\rContent-Length: 2\r\n\r\nab",
    "${ok}X: y\0\r\nContent-Length: 2\r\n\r\nab",
    "${ok}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "${ok}Transfer-Encoding: chunked, gzip\r\n\r\nas it is",
    "${ok}Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "${ok}Transfer-Encoding: chunked\r\n\r\n2;" . 'x' x 100_000 . "\r\nok\r\n0\r\n\r\n",
    "${ok}Transfer-Encoding: chunked\r\n\r\n2\nok\r\n0\r\n\r\n",
    "${ok}Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Trailer: " . 'x' x 100_000 . "\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n" x 1000 . "${ok}Content-Length: 2\r\n\r\nab",
);
my $smuggler = Bulan::Test::Backend->tcp(sub {
    my ($connection, $number) = @_;
    $connection->take(qr/\r\n\r\n/, time + 5);
    $connection->send($smuggled[$number - 1]);
});
$ENV{TEST_NGINX_SMUGGLER} = $smuggler->port;

my $liar = Bulan::Test::Backend->tcp(sub {
    my ($connection, $number) = @_;
    $connection->take(qr/\r\n\r\n/, time + 5);
    return eval { $connection->take(qr/never/, time + 5) } if $number > @lies;
    $connection->send($lies[$number - 1]);
});

# A proxy that opens tunnels for those who know the word.
my $tunnel = Bulan::Test::Backend->tcp(sub {
    my ($connection) = @_;
    my $head = $connection->take(qr/\r\n\r\n/, time + 5);
    if ($head !~ /^Proxy-Authorization: Basic eA==\r$/m) {
        return $connection->send("HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n");
    }
    my ($port) = $head =~ /^CONNECT \S+:(\d+) /;
    my $client = $connection->{socket};
    my $server = IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port") or die "$port: $!";
    $connection->send("HTTP/1.1 200 Connection established\r\n\r\n");
    my $select = IO::Select->new($client, $server);
    while (my @ready = $select->can_read(10)) {
        for my $from (@ready) {
            sysread $from, my $data, 65536 or return;
            syswrite $from == $client ? $server : $client, $data;
        }
    }
}, parallel => 1);

($ENV{TEST_NGINX_LIAR}, $ENV{TEST_NGINX_TUNNEL}) = ($liar->port, $tunnel->port);

add_block_preprocessor(sub {
    my $block = shift;
    my $http  = $block->http_config || '';
    $block->set_value(http_config => <<"CONFIG");
lua_ssl_trusted_certificate $ca;
server {
    listen \$TEST_NGINX_RAND_PORT_1 ssl;
    server_name good.test;
    ssl_certificate $good->{cert};
    ssl_certificate_key $good->{key};
    location / { return 200 "\$ssl_server_name \$connection_requests \$request"; }
}
$http
CONFIG
});

run_tests();

__DATA__

=== TEST 1: a whole exchange
--- config
location /t {
    content_by_lua_block {
        local http = require "resty.http"
        local base = "http://127.0.0.1:" .. ngx.var.server_port
        local res = assert(http.new():request_uri(base .. "/echo?a=1&b=2", {
            method = "POST",
            body = { "he", "llo" },
            headers = { ["X-One"] = "1", ["X-Many"] = { "2", "3" } },
        }))
        ngx.say(res.status, " ", res.reason, " ", res.has_body)
        ngx.say(res.headers["content-type"], " ", res.headers.content_type, " ", res.headers["X-None"])
        ngx.say(table.concat(res.headers["x-twice"], ","))
        ngx.print(res.body)
        res = assert(http.new():request_uri(base .. "/wrong?x=y", { path = "/echo", query = { c = "d e" } }))
        ngx.print(res.body)
        res = assert(http.new():request_uri(base .. "/echo", { method = "head" }))
        ngx.say(res.status, " ", res.has_body, " [", res.body, "]")
        ngx.say(assert(http.new():request_uri(base .. "/nothing")).status)
        ngx.say(http.new():request_uri("gopher://x/"))
        ngx.say(http.new():request_uri("http://127.0.0.1:1/"))
    }
}
location /echo {
    content_by_lua_block {
        ngx.req.read_body()
        ngx.header["X-Twice"] = { "a", "b" }
        local h = ngx.req.get_headers()
        local many = h["x-many"] and table.concat(h["x-many"], "+")
        ngx.say(ngx.req.get_method(), " ", ngx.var.request_uri, " ", ngx.req.get_body_data(), " ",
            h["x-one"], " ", many, " ", h["content-length"], " ", h.host == "127.0.0.1:" .. ngx.var.server_port)
    }
}
--- request
GET /t
--- response_body
200 OK true
text/plain text/plain nil
a,b
POST /echo?a=1&b=2 hello 1 2+3 5 true
GET /echo?c=d%20e nil nil nil nil true
200 false []
404
nilbad uri: gopher://x/
nilconnection refused
--- error_log
connect() failed (111: Connection refused)



=== TEST 2: keepalive: which connections are used again
--- config
location /t {
    content_by_lua_block {
        local http = require "resty.http"
        local httpc = http.new()
        local place = { host = "127.0.0.1", port = ngx.var.server_port }
        local function ask(params, read)
            assert(httpc:connect(place))
            local times = httpc:get_reused_times()
            local res = assert(httpc:request(params))
            if read ~= false then res:read_body() end
            ngx.say(times, " ", httpc:set_keepalive(1000, 10))
        end
        ask { path = "/length" }
        ask { path = "/chunks" }
        ask { path = "/length", headers = { Connection = "close" } }
        ask { path = "/length", version = 1.0 }
        ask { path = "/length", version = 1.0, headers = { Connection = "Keep-Alive" } }
        ask({ path = "/length" }, false)
        ask { path = "/length", method = "HEAD" }
        ask { path = "/none" }
        ask { path = "/close" }
        local res = httpc:request_uri("http://127.0.0.1:" .. place.port .. "/length",
            { keepalive_pool = 1, keepalive_timeout = 1000 })
        ngx.say(res.body)
        assert(httpc:connect(place))
        ngx.say(httpc:get_reused_times())
        httpc:close()
        httpc:request_uri("http://127.0.0.1:" .. place.port .. "/length", { keepalive = false })
        assert(httpc:connect(place))
        ngx.say(httpc:get_reused_times())
    }
}
location /length { return 200 "0123456789"; }
location /chunks { content_by_lua_block { ngx.print("abc") ngx.flush() ngx.print("def") } }
location /none { return 204; }
location /close { keepalive_timeout 0; return 200 "x"; }
--- request
GET /t
--- response_body
0 1
1 1
2 2connection must be closed
0 2connection must be closed
0 1
1 2connection must be closed
0 1
1 1
2 2connection must be closed
0123456789
1
0



=== TEST 3: bodies as streams, both ways
--- config
location /t {
    content_by_lua_block {
        local httpc = require("resty.http").new()
        assert(httpc:connect { host = "127.0.0.1", port = ngx.var.server_port })
        local function read(res, size)
            local sizes = {}
            for piece in res.body_reader, size do sizes[#sizes + 1] = piece end
            return table.concat(sizes, "|")
        end
        ngx.say(read(assert(httpc:request { path = "/length" }), 4))
        ngx.say(read(assert(httpc:request { path = "/length" })))
        ngx.say(read(assert(httpc:request { path = "/chunks" }), 4))
        ngx.say(read(assert(httpc:request { path = "/chunks" })))
        ngx.say(#assert(httpc:request { path = "/big" }):read_body())
        local function pieces(...)
            local list, i = { ... }, 0
            return function() i = i + 1 return list[i] end
        end
        local res = assert(httpc:request { method = "POST", path = "/echo", body = pieces("one,", "", "two") })
        ngx.say(res:read_body())
        res = assert(httpc:request { method = "POST", path = "/echo", body = pieces("one,", "two"),
            headers = { ["content-length"] = 7 } })
        ngx.say(res:read_body())
        res = assert(httpc:request { method = "POST", path = "/echo", body = "waited",
            headers = { Expect = "100-continue" } })
        ngx.say(res:read_body())
        ngx.say(httpc:request { version = 1.0, method = "POST", body = pieces("x") })
        ngx.say(httpc:set_keepalive(1000, 1))
        assert(httpc:connect { host = "127.0.0.1", port = ngx.var.server_port })
        ngx.say(httpc:get_reused_times())
        ngx.say(httpc:request { method = "POST", body = pieces("123", "45"), headers = { ["Content-Length"] = 4 } })
        ngx.say(httpc:set_keepalive())
    }
}
location /length { return 200 "0123456789"; }
location /chunks { content_by_lua_block { ngx.print("abcdef") ngx.flush(true) ngx.print("ghi") } }
location /big { content_by_lua_block { for i = 1, 1000 do ngx.print(("x"):rep(1000)) end } }
location /echo {
    content_by_lua_block {
        ngx.req.read_body()
        local h = ngx.req.get_headers()
        ngx.print(ngx.req.get_body_data(), " ", h["transfer-encoding"], " ", h["content-length"])
    }
}
--- request
GET /t
--- response_body
0123|4567|89
0123456789
abcd|ef|ghi
abcdef|ghi
1000000
one,two chunked nil
one,two nil 7
waited nil 6
nilRequest body is a function but a length or chunked encoding is not specified
1
1
nilbody longer than its content-length
2connection must be closed



=== TEST 4: a pipeline
--- config
location /t {
    content_by_lua_block {
        local httpc = require("resty.http").new()
        assert(httpc:connect { host = "127.0.0.1", port = ngx.var.server_port })
        local responses = assert(httpc:request_pipeline {
            { path = "/echo/1" }, { path = "/echo/2", method = "HEAD" }, { path = "/echo/3" },
        })
        for _, res in ipairs(responses) do
            ngx.say(res.status, " ", res:read_body(), " ", res.headers["Content-Length"])
        end
        ngx.say(httpc:set_keepalive())
        assert(httpc:connect { host = "127.0.0.1", port = ngx.var.server_port })
        responses = assert(httpc:request_pipeline {
            { path = "/echo/1", headers = { Connection = "close" } }, { path = "/echo/2" },
        })
        ngx.say(responses[1].status, " ", responses[1]:read_body(), " ", responses[2].status, " ", responses[2].err)
    }
}
location /echo { return 200 $uri; }
--- request
GET /t
--- response_body
200 /echo/1 7
200  7
200 /echo/3 7
1
200 /echo/1 nil closed



=== TEST 5: TLS: the certificate is verified; pools keep apart what was and was not
--- config
location /t {
    content_by_lua_block {
        local httpc = require("resty.http").new()
        local port = $TEST_NGINX_RAND_PORT_1
        local function try(params)
            local ok, err, session = httpc:connect(params)
            if not ok then return ngx.say(err) end
            local times = httpc:get_reused_times()
            ngx.say(times, " ", session ~= nil, " ", httpc:request({ path = "/x" }):read_body())
            assert(httpc:set_keepalive() == 1)
        end
        try { scheme = "https", host = "127.0.0.1", port = port, ssl_server_name = "good.test" }
        try { scheme = "https", host = "127.0.0.1", port = port, ssl_server_name = "good.test" }
        try { scheme = "https", host = "127.0.0.1", port = port, ssl_server_name = "bad.test" }
        try { scheme = "https", host = "127.0.0.1", port = port, ssl_server_name = "bad.test", ssl_verify = false }
        try { scheme = "https", host = "127.0.0.1", port = port, ssl_server_name = "bad.test" }
        local res = httpc:request_uri("https://127.0.0.1:" .. port .. "/u", { ssl_server_name = "good.test" })
        ngx.say(res.body)
        ngx.say(httpc:connect { scheme = "ftp", host = "127.0.0.1" })
    }
}
--- request
GET /t
--- response_body
0 true good.test 1 GET /x HTTP/1.1
1 false good.test 2 GET /x HTTP/1.1
certificate host mismatch
0 true bad.test 1 GET /x HTTP/1.1
certificate host mismatch
good.test 3 GET /u HTTP/1.1
nilscheme must be http or https
--- error_log
lua ssl certificate does not match host "bad.test"



=== TEST 6: a plain proxy gets the whole URI; no_proxy; authorization
--- config
location / {
    content_by_lua_block {
        ngx.say(ngx.var.request, " ", ngx.var.http_host, " ", ngx.var.http_proxy_authorization)
    }
}
location /t {
    content_by_lua_block {
        local httpc = require("resty.http").new()
        local me = "http://127.0.0.1:" .. ngx.var.server_port
        httpc:set_proxy_options { http_proxy = me, http_proxy_authorization = "Basic eA==",
            no_proxy = "other.test, .inner.test,127.0.0.1" }
        ngx.print(httpc:request_uri("http://outer.test/a?b=c").body)
        ngx.print(httpc:request_uri("http://outer.test:81/", { headers = { ["Proxy-Authorization"] = "mine" } }).body)
        ngx.print(httpc:request_uri(me .. "/direct").body:gsub("127.*:%d+", "HOST"), "")
        ngx.print(httpc:request_uri(me .. "/sub", { proxy_opts = { http_proxy = me } }).body:gsub("127%S+", "HOST"), "")
        ngx.say(httpc:request_uri("http://x/", { proxy_opts = { http_proxy = "https://127.0.0.1" } }))
    }
}
--- request
GET /t
--- response_body
GET http://outer.test/a?b=c HTTP/1.1 outer.test Basic eA==
GET http://outer.test:81/ HTTP/1.1 outer.test:81 mine
GET /direct HTTP/1.1 HOST nil
GET http://HOST HTTP/1.1 HOST nil
nilprotocol https not supported for proxy connections



=== TEST 7: a tunnel for TLS, and a proxy that refuses
--- config
location /t {
    content_by_lua_block {
        local httpc = require("resty.http").new()
        local proxy = "http://127.0.0.1:$TEST_NGINX_TUNNEL"
        httpc:set_proxy_options { https_proxy = proxy, https_proxy_authorization = "Basic eA==" }
        ngx.say(httpc:request_uri("https://good.test:$TEST_NGINX_RAND_PORT_1/in").body)
        ngx.say(httpc:request_uri("https://good.test:$TEST_NGINX_RAND_PORT_1/again").body)
        httpc:set_proxy_options { https_proxy = proxy }
        ngx.say(httpc:request_uri("https://good.test:$TEST_NGINX_RAND_PORT_1/in"))
    }
}
--- request
GET /t
--- response_body
good.test 1 GET /in HTTP/1.1
good.test 2 GET /again HTTP/1.1
nilfailed to establish a tunnel through a proxy: 407



=== TEST 8: URIs
--- config
location /t {
    content_by_lua_block {
        local httpc = require("resty.http").new()
        local function show(...)
            local parts, err = httpc:parse_uri(...)
            ngx.say(parts and table.concat(parts, " ") or err)
        end
        show("http://example.com")
        show("HTTPS://example.com:8443/a/b?c=d?e#f")
        show("http://example.com/a?b=c", false)
        show("http://example.com?b=c", false)
        show("//example.com/x")
        show("https://[::1]:81/")
        show("http://user@example.com/")
        show("/path")
        show("http://example.com:x/")
    }
}
--- request
GET /t
--- response_body
http example.com 80 / 
https example.com 8443 /a/b?c=d?e 
http example.com 80 /a b=c
http example.com 80 / b=c
http example.com 80 /x 
https [::1] 81 / 
bad uri: http://user@example.com/
bad uri: /path
bad uri: http://example.com:x/



=== TEST 9: what would make data another request is refused
--- config
location /t {
    content_by_lua_block {
        local httpc = require("resty.http").new()
        assert(httpc:connect { host = "127.0.0.1", port = ngx.var.server_port })
        ngx.say(httpc:request { path = "/ HTTP/1.1\r\nX: y\r\n\r\nGET /" })
        ngx.say(httpc:request { method = "GET /x" })
        ngx.say(httpc:request { headers = { X = "a\r\nY: b" } })
        ngx.say(httpc:request { headers = { ["X: y\r\nZ"] = "a" } })
        ngx.say(httpc:request { headers = { X = { "a", "b\nc" } } })
    }
}
--- request
GET /t
--- response_body
nilinvalid request line
nilinvalid request line
nilinvalid header field
nilinvalid header field
nilinvalid header field



=== TEST 10: servers that lie
--- config
location /t {
    content_by_lua_block {
        local httpc = require("resty.http").new()
        httpc:set_timeouts(1000, 1000, 200)
        local uri = "http://127.0.0.1:$TEST_NGINX_LIAR/"
        for i = 1, 14 do
            local res, err = httpc:request_uri(uri)
            ngx.say(i, " ", res and res.body, " ", err, " ", res and res.headers["X-Trailer"])
        end
    }
}
--- request
GET /t
--- response_body
1 nil closed nil
2 nil invalid status line nil
3 nil invalid header line nil
4 nil invalid Content-Length nil
5 nil invalid Content-Length nil
6 nil closed nil
7 nil unable to read chunksize nil
8 nil bad chunk nil
9 nil unable to read chunksize nil
10 nil response header too large nil
11 until closed nil nil
12 ok nil nil
13 ok nil behind
14 nil timeout nil
--- error_log
lua tcp socket read timed out



=== TEST 14: answers that two readers would understand in two ways
--- config
location /t {
    content_by_lua_block {
        local httpc = require("resty.http").new()
        httpc:set_timeouts(1000, 1000, 2000)
        for i = 1, 11 do
            local res, err = httpc:request_uri("http://127.0.0.1:$TEST_NGINX_SMUGGLER/")
            ngx.say(i, " ", res and res.body, " ", err, " ", res and res.headers["Content-Length"])
        end
    }
}
--- request
GET /t
--- response_body
1 nil invalid status line nil
2 nil invalid header line nil
3 nil invalid header line nil
4 nil invalid header line nil
5 abc nil nil
6 as it is nil nil
7 ok nil nil
8 nil line too long nil
9 nil unable to read chunksize nil
10 nil line too long nil
11 nil too many interim responses nil



=== TEST 15: fields that contradict the body are not sent; a space in a path is no end of it
--- config
location /t {
    content_by_lua_block {
        local function ask(method, headers, body)
            local res, err = require("resty.http").new():request_uri("http://127.0.0.1:" .. ngx.var.server_port, {
                path = "/echo/a b", method = method, headers = headers, body = body,
            })
            ngx.say(res and res.body or err)
        end
        ask("POST", { ["Content-Length"] = 2 }, "abcd")
        ask("POST", { ["content-length"] = "4" }, "abcd")
        ask("POST", { ["Transfer-Encoding"] = "chunked", ["Content-Length"] = 3 }, "0\r\n\r\nGET /echo/smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
        ask("POST", { ["Transfer-Encoding"] = "chunked" })
        ask("GET", { ["Content-Length"] = 5 })
        local pieces = { "x", "yz" }
        ask("POST", { ["Transfer-Encoding"] = "chunked", ["Content-Length"] = 100 }, function() return table.remove(pieces) end)
        ngx.say(require("resty.http").new():connect { scheme = "https", host = "a\r\nX: y", proxy_opts = { https_proxy = "http://127.0.0.1:1/" } })
    }
}
location /echo/ {
    content_by_lua_block {
        ngx.req.read_body()
        local h = ngx.req.get_headers()
        ngx.print(ngx.var.request_uri, " ", #(ngx.req.get_body_data() or ""), " ", h["transfer-encoding"], " ", h["content-length"])
    }
}
--- request
GET /t
--- response_body
/echo/a%20b 4 nil 4
/echo/a%20b 4 nil 4
/echo/a%20b 45 nil 45
/echo/a%20b 0 nil 0
/echo/a%20b 0 nil nil
/echo/a%20b 3 chunked nil
nilinvalid host



=== TEST 11: proxying a request and its answer
--- config
location /t/ {
    content_by_lua_block {
        local httpc = require("resty.http").new()
        assert(httpc:connect { host = "127.0.0.1", port = ngx.var.server_port })
        ngx.req.set_uri("/echo/" .. ngx.var.uri:sub(4))
        local res, err = httpc:proxy_request()
        if not res then return ngx.say(err) end
        httpc:proxy_response(res)
        httpc:set_keepalive()
    }
}
location /echo/ {
    content_by_lua_block {
        ngx.req.read_body()
        ngx.status = 201
        ngx.header["X-Back"] = { "1", "2" }
        ngx.say(ngx.req.get_method(), " ", ngx.var.request_uri, " ", ngx.req.get_body_data(), " ", ngx.var.http_x_there)
    }
}
--- request eval
["GET /t/a%20b%3F?c=d", "POST /t/p\nbody"]
--- more_headers
X-There: yes
--- error_code eval
[201, 201]
--- response_headers
X-Back: 1, 2
--- response_body eval
["GET /echo/a%20b%3F?c=d nil yes\n", "POST /echo/p body yes\n"]



=== TEST 12: reading the client's body in pieces, also when it comes in chunks
--- config
location /t {
    content_by_lua_block {
        local httpc = require("resty.http").new()
        local reader, err = httpc:get_client_body_reader(4)
        if not reader then return ngx.say(reader, err) end
        local pieces = {}
        for piece in reader do pieces[#pieces + 1] = piece end
        ngx.say(table.concat(pieces, "|"))
    }
}
--- raw_request eval
["POST /t HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nabcdef" .
 "POST /t HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n" .
 "GET /t HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"]
--- raw_response_like eval
qr/abcd\|ef\n.*abcd\|ef\n.*nilnil\n/s



=== TEST 13: the old form of connect
--- config
location /t {
    content_by_lua_block {
        local http = require "resty.http"
        local httpc = http:new()
        httpc:set_timeout(1000)
        assert(httpc:connect("127.0.0.1", ngx.var.server_port + 0))
        ngx.print(httpc:request({ path = "/echo" }):read_body() == "127.0.0.1:" .. ngx.var.server_port)
        ngx.say(httpc:close())
        assert(httpc:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
        assert(httpc:ssl_handshake(nil, "good.test", true))
        ngx.say(httpc:request({ path = "/x" }):read_body())
    }
}
location /echo { return 200 $http_host; }
--- request
GET /t
--- response_body
true1
good.test 1 GET /x HTTP/1.1
