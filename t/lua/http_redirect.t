# resty.http: redirects that are followed, and those that are not.
use lib 't/lib';
use Bulan::Test;
use Bulan::Test::Tls;

my $tls  = Bulan::Test::Tls->new;
my $ca   = $tls->authority->{cert};
my $good = $tls->certificate('localhost');

add_block_preprocessor(sub {
    my $block = shift;
    my $show = 'content_by_lua_block { ngx.req.read_body() local h = ngx.req.get_headers()
        ngx.say(ngx.req.get_method(), " ", ngx.var.request_uri, " ", tostring(ngx.req.get_body_data()), " ", tostring(h.authorization), " ",
                tostring(h.cookie), " ", tostring(h["content-type"]), " ", tostring(h["x-own"]), " ", ngx.var.server_port == tostring(h.host):match("%d+$")) }';
    $block->set_value(http_config => <<"CONFIG");
lua_ssl_trusted_certificate $ca;
server { listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_1; location / { $show } }
server {
    listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_2 ssl;
    ssl_certificate $good->{cert};
    ssl_certificate_key $good->{key};
    location /down { return 302 http://127.0.0.1:\$TEST_NGINX_RAND_PORT_1/; }
    location / { $show }
}
CONFIG
    $block->set_value(config => <<"CONFIG" . ($block->config || ''));
location /show { $show }
location /to/ { content_by_lua_block { ngx.header.Location = ngx.unescape_uri(ngx.var.arg_l) return ngx.exit(tonumber(ngx.var.arg_s)) } }
location /loop { content_by_lua_block { ngx.header.Location = "/loop?" .. (tonumber(ngx.var.args) + 1) return ngx.exit(302) } }
CONFIG
});

run_tests();

__DATA__

=== TEST 1: methods, bodies, fields
--- config
location /t {
    content_by_lua_block {
        local http = require "resty.http"
        local base = "http://127.0.0.1:" .. ngx.var.server_port
        local function go(status, location, options)
            options = options or {}
            options.max_redirects = options.max_redirects or 3
            options.headers = options.headers or { Authorization = "a", Cookie = "c", ["X-Own"] = "o", ["Content-Type"] = "text/x" }
            local res, err = http.new():request_uri(base .. "/to/a/b?s=" .. status .. "&l=" .. ngx.escape_uri(location), options)
            ngx.print(status, " ", res and res.status, " ", res and res.body:gsub("<.*", "\n") or err .. "\n")
        end
        for _, status in ipairs { 301, 302, 303, 307, 308 } do
            go(status, "/show?x", { method = "POST", body = "b" })
            go(status, "/show", { method = "PUT", body = "b" })
        end
        go(303, "/show", { method = "HEAD", body = nil })
        go(300, "/show")
        go(307, "/show", { method = "POST", body = coroutine.wrap(function() coroutine.yield("b") end), headers = { ["Content-Length"] = 1 } })
        go(302, "http://127.0.0.1:$TEST_NGINX_RAND_PORT_1/other")
        go(302, "//127.0.0.1:" .. ngx.var.server_port .. "/show?same")
        go(302, "../../show/./x/../y#fragment")
        go(302, "?s=200&l=q")
        go(302, "ftp://127.0.0.1/")
        go(302, "/show", { max_redirects = 0 })
        local res = http.new():request_uri(base .. "/loop?0", { max_redirects = 5 })
        ngx.say(res.status, " ", res.headers.Location, " ", res.uri == base .. "/loop?5")
    }
}
--- request
GET /t
--- response_body
301 200 GET /show?x nil a c nil o true
301 200 PUT /show b a c text/x o true
302 200 GET /show?x nil a c nil o true
302 200 PUT /show b a c text/x o true
303 200 GET /show?x nil a c nil o true
303 200 GET /show nil a c nil o true
307 200 POST /show?x b a c text/x o true
307 200 PUT /show b a c text/x o true
308 200 POST /show?x b a c text/x o true
308 200 PUT /show b a c text/x o true
303 200 300 300 
307 307 
302 200 GET /other nil nil nil text/x o true
302 200 GET /show?same nil a c text/x o true
302 200 GET /show/y nil a c text/x o true
302 200 302 nil redirect to what is no http URI
302 302 
302 /loop?6 true



=== TEST 2: from https to http, and to a certificate that must be good
--- config
location /t {
    content_by_lua_block {
        local http = require "resty.http"
        local tls = "https://localhost:$TEST_NGINX_RAND_PORT_2"
        local here = "http://127.0.0.1:" .. ngx.var.server_port
        ngx.say(http.new():request_uri(tls .. "/down", { max_redirects = 1 }))
        local res, err = http.new():request_uri(here .. "/to/x?s=302&l=" .. ngx.escape_uri(tls .. "/up"), { max_redirects = 1 })
        ngx.print(res and res.body or err)
        ngx.say(http.new():request_uri(here .. "/to/x?s=302&l=" .. ngx.escape_uri("https://127.0.0.1:$TEST_NGINX_RAND_PORT_2/up"), { max_redirects = 1 }))
    }
}
--- request
GET /t
--- response_body_like
^nilredirect from https to http
GET /up nil nil nil nil nil true
nil.*certificate.*
--- error_log
--- no_error_log
[alert]



=== TEST 3: another server sees no client certificate; a path without slashes
--- config
location /t {
    content_by_lua_block {
        local follow = require("resty.http_redirect").follow
        local asked = {
            scheme = "https", host = "a.test", path = "*", ssl_client_cert = "c", ssl_client_priv_key = "k", ssl_reused_session = "s",
        }
        for _, location in ipairs { "b", "https://a.test:443/c", "https://b.test/" } do
            local uri, next = follow(asked, { status = 302, headers = { Location = location } })
            ngx.say(uri, " ", next.ssl_client_cert, " ", next.ssl_client_priv_key, " ", next.ssl_reused_session)
        end
    }
}
--- request
GET /t
--- response_body
https://a.test/b c k s
https://a.test:443/c c k s
https://b.test/ nil nil nil
