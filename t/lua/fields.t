# Header fields and arguments as tables, of clients that repeat themselves and of others.
use lib 't/lib';
use Bulan::Test;

run_tests();

__DATA__

=== TEST 1: what a program does with its table is not seen by the next
--- config
location /t {
    content_by_lua_block {
        local h, a = ngx.req.get_headers(), ngx.req.get_uri_args()
        ngx.say(h["X-Thing"], h.x_thing, h["x-thing"], h.none, " ", a.x, a.y, a.added, rawget(h, "X-Thing"))
        h["x-thing"], h.none, a.x, a.added = "changed", "there", "changed", "there"
        a.y = nil
    }
}
--- more_headers
X-Thing: one
--- request eval
[("GET /t?x=1&y") x 5]
--- response_body eval
[("oneoneonenil 1truenilnil\n") x 5]



=== TEST 2: fields that are set meanwhile are in the next table
--- config
location /t {
    content_by_lua_block {
        local before = ngx.req.get_headers().x
        ngx.req.set_header("X", "2")
        local between = ngx.req.get_headers().x
        ngx.req.clear_header("X")
        ngx.say(before, between, ngx.req.get_headers().x)
        ngx.req.set_uri_args("b=2")
        ngx.say(ngx.req.get_uri_args().a, ngx.req.get_uri_args().b)
    }
}
--- more_headers
X: 1
--- request eval
[("GET /t?a=1") x 4]
--- response_body eval
[("12nil\nnil2\n") x 4]



=== TEST 3: several values are lists of their own each time
--- config
location /t {
    content_by_lua_block {
        local h, a = ngx.req.get_headers(), ngx.req.get_uri_args()
        ngx.say(table.concat(h.foo, ","), " ", table.concat(a.x, ","))
        h.foo[1], a.x[2] = "changed", "changed"
    }
}
--- more_headers
Foo: a
foo: b
--- request eval
[("GET /t?x=1&y=2&x=3") x 4]
--- response_body eval
[("a,b 1,3\n") x 4]



=== TEST 4: spellings, raw, a limit, nothing
--- config
location /t {
    content_by_lua_block {
        local h = ngx.req.get_headers(0, true)
        ngx.say(h["X-Thing"], h["x-thing"], h.x_thing, getmetatable(h))
        local some, err = ngx.req.get_headers(1)
        ngx.say(err, " ", select("#", ngx.req.get_headers()), select("#", ngx.req.get_uri_args()))
        local args, err = ngx.req.get_uri_args(1)
        ngx.say(err, next(ngx.req.get_uri_args()))
        ngx.say(ngx.req.get_headers()[1], rawget(ngx.req.get_headers(), "x-thing"))
    }
}
--- more_headers
X-Thing: one
--- request eval
[("GET /t") x 3, "GET /t?a=1&b=2"]
--- response_body_like eval
[(qr/^onenilnilnil\ntruncated 11\nnilnil\nnilone\n$/) x 3, qr/^onenilnilnil\ntruncated 11\ntruncated[ab][12]\nnilone\n$/]



=== TEST 5: many clients, each with its own fields
--- config
location /t {
    content_by_lua_block {
        local h = ngx.req.get_headers()
        ngx.print(h.x_number, " ", ngx.req.get_uri_args().n, " ", ngx.var.http_x_number)
    }
}
--- perl
my $wrong = 0;
for my $round (1 .. 4) {
    for my $n (1 .. 150) {
        my $answer = $server->get("/t?n=$n&long=" . "x" x ($n % 40), 'X-Number' => $n)->{body};
        $wrong++ if $answer ne "$n $n $n";
    }
}
is $wrong, 0, 'all are right';



=== TEST 6: fields that are written in every way
--- config
location /t {
    content_by_lua_block {
        for name, values in pairs { ["X-A"] = 1, x_b = "two", ["X C"] = "3\r\nX-Evil: 1", X_D = { "a", "b" } } do
            ngx.header[name] = values
        end
        ngx.header["X-A"] = 4
        ngx.header.content_type = "text/x"
        ngx.header.Server = "me"
        ngx.say(ngx.header["x-a"], ngx.header.x_b, ngx.header.x_d[2], ngx.header.none)
        ngx.say(7) ngx.say(-7) ngx.say(1.5) ngx.say(0) ngx.say(99999999999999) ngx.say(1e15) ngx.say(0/0 ~= 0/0)
        ngx.print(12)
    }
}
--- request eval
[("GET /t") x 3]
--- response_headers
X-A: 4
X-B: two
X%20C: 3%0D%0AX-Evil: 1
X-D: a, b
Content-Type: text/x
Server: me
--- response_body eval
[("4twobnil\n7\n-7\n1.5\n0\n99999999999999\n1e+15\ntrue\n12") x 3]



=== TEST 7: sections that came before
--- config
location /t { return 200 "$http_x $http_y $host $http_connection"; }
--- raw_request eval
["GET /t HTTP/1.1\r\nHost: a\r\nX: 1\r\nY: 2\r\n\r\n" x 3, "GET /t HTTP/1.1\r\nHost: a\r\nX: 1\r\nY: 2\r\n\r\n",
 "GET /t HTTP/1.1\r\nHost: a\r\nX: 1\r\nY: 2\r\n\r\n", "GET /t HTTP/1.1\r\nHost: b\r\nX: 1\r\nY: 2\r\n\r\n",
 "GET /t HTTP/1.1\r\nHost: a\r\nX: 1\r\nY: 2\r\n", "\r\n", "GET /t HTTP/1.1\r\nHost: c\r\nX: 3\r\nConnection: close\r\n\r\n"]
--- raw_response_like eval
qr/^(?:.*?1 2 a ){5}.*?1 2 b .*?1 2 a .*?3  c close$/s
