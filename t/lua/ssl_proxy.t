# Lua code in handshakes with upstreams.
use lib 't/lib';
use Bulan::Test;
use Bulan::Test::Tls;

my $tls = Bulan::Test::Tls->new;
my %cert = map { $_ => $tls->certificate("$_.test") } qw(a client other);
my $ca = $tls->authority->{cert};
$ENV{TEST_NGINX_CA}     = $ca;
$ENV{TEST_NGINX_A}      = "ssl_certificate $cert{a}{cert}; ssl_certificate_key $cert{a}{key};";
$ENV{TEST_NGINX_CRT}    = $cert{client}{cert};
$ENV{TEST_NGINX_KEY}    = $cert{client}{key};
$ENV{TEST_NGINX_OTHER}  = "proxy_ssl_certificate $cert{other}{cert}; proxy_ssl_certificate_key $cert{other}{key};";
$ENV{TEST_NGINX_STRANGER} = $cert{other}{cert};

add_block_preprocessor(sub {
    my $block = shift;
    my $http = $block->http_config || '';
    $block->set_value(http_config => <<"EOC" . $http);
lua_package_path '\$TEST_NGINX_HTML_DIR/?.lua;;';
server {
    listen 127.0.0.1:\$TEST_NGINX_RAND_PORT_1 ssl;
    server_name a.test;
    \$TEST_NGINX_A
    ssl_client_certificate $ca;
    ssl_verify_client optional;
    location / { return 200 "\$ssl_client_s_dn \$ssl_protocol \$ssl_session_reused\\n"; }
}
EOC
    $block->set_value(user_files => <<'LUA');
>>> own.lua
local ssl = require "ngx.ssl"
local function pem(file) return assert(io.open(file)):read("*a") end
return {
    cert = ssl.parse_pem_cert(pem("$TEST_NGINX_CRT")),
    key = ssl.parse_pem_priv_key(pem("$TEST_NGINX_KEY")),
    cert_der = ssl.cert_pem_to_der(pem("$TEST_NGINX_CRT")),
    key_der = ssl.priv_key_pem_to_der(pem("$TEST_NGINX_KEY")),
}
LUA
});

run_tests();

__DATA__

=== TEST 1: a certificate for the upstream
--- config
proxy_ssl_session_reuse off;
location /parsed {
    proxy_pass https://127.0.0.1:$TEST_NGINX_RAND_PORT_1;
    $TEST_NGINX_OTHER
    proxy_ssl_certificate_by_lua_block {
        local use, own = require "ngx.ssl.proxysslcert", require "own"
        ngx.sleep(0.005)
        assert(use.clear_certs() and use.set_cert(own.cert) and use.set_priv_key(own.key))
    }
}
location /der {
    proxy_pass https://127.0.0.1:$TEST_NGINX_RAND_PORT_1;
    proxy_ssl_protocols TLSv1.2;
    rewrite_by_lua_block { ngx.ctx.word = "from rewrite" }
    proxy_ssl_certificate_by_lua_block {
        local use, own = require "ngx.ssl.proxysslcert", require "own"
        assert(use.set_der_cert(own.cert_der) and use.set_der_priv_key(own.key_der))
        ngx.log(ngx.WARN, ngx.ctx.word, " ", ngx.get_phase(), " ", ngx.var.uri, " ",
                require("ngx.proxyssl").get_tls1_version_str(), " ",
                type(require("ngx.ssl").get_upstream_ssl_pointer()))
    }
}
location /plain {
    proxy_pass https://127.0.0.1:$TEST_NGINX_RAND_PORT_1;
    $TEST_NGINX_OTHER
    proxy_ssl_certificate_by_lua_block { }
}
--- request eval
["GET /parsed", "GET /der", "GET /plain"]
--- response_body eval
["CN=client.test TLSv1.3 .\n", "CN=client.test TLSv1.2 .\n", "CN=other.test TLSv1.3 .\n"]
--- error_log
from rewrite proxy_ssl_cert /der TLSv1.2 cdata while loading proxy ssl certificate by lua



=== TEST 2: code that fails is a bad gateway
--- config
proxy_ssl_session_reuse off;
location /error {
    proxy_pass https://127.0.0.1:$TEST_NGINX_RAND_PORT_1;
    proxy_ssl_certificate_by_lua_block { ngx.sleep(0) error("in vain") }
}
location /exit {
    proxy_pass https://127.0.0.1:$TEST_NGINX_RAND_PORT_1;
    proxy_ssl_verify_by_lua_block { ngx.exit(ngx.ERROR) }
}
location /slow {
    proxy_pass https://127.0.0.1:$TEST_NGINX_RAND_PORT_1;
    proxy_connect_timeout 30ms;
    proxy_ssl_verify_by_lua_block { ngx.sleep(10) }
}
--- request eval
["GET /error", "GET /exit", "GET /slow"]
--- error_code eval
[502, 502, 504]
--- error_log eval
["runtime error: proxy_ssl_certificate_by_lua(", "certificate verify failed",
 "upstream timed out (110: Connection timed out) while loading proxy ssl verify by lua",
 "proxy_ssl_verify_by_lua: cert verify callback aborted"]



=== TEST 3: the verdict on the upstream's certificate
--- config
proxy_ssl_session_reuse off;
proxy_ssl_verify on;
proxy_ssl_name a.test;
location /good {
    proxy_pass https://127.0.0.1:$TEST_NGINX_RAND_PORT_1;
    proxy_ssl_trusted_certificate $TEST_NGINX_CA;
    proxy_ssl_verify_by_lua_block {
        local verify = require "ngx.ssl.proxysslverify"
        ngx.sleep(0.005)
        ngx.log(ngx.WARN, "verdict: ", verify.get_verify_result(), " ", type(verify.get_verify_cert()))
    }
}
location /revoked {
    proxy_pass https://127.0.0.1:$TEST_NGINX_RAND_PORT_1;
    proxy_ssl_trusted_certificate $TEST_NGINX_CA;
    proxy_ssl_verify_by_lua_block { require("ngx.ssl.proxysslverify").set_verify_result(23) }
}
location /stranger {
    proxy_pass https://127.0.0.1:$TEST_NGINX_RAND_PORT_1;
    proxy_ssl_trusted_certificate $TEST_NGINX_STRANGER;
    proxy_ssl_verify_by_lua_block {
        local verify = require "ngx.ssl.proxysslverify"
        ngx.log(ngx.WARN, "stranger: ", verify.get_verify_result() > 0)
        ngx.sleep(0)
        verify.set_verify_result(0)
    }
}
location /skipped {
    proxy_pass https://127.0.0.1:$TEST_NGINX_RAND_PORT_1;
    proxy_ssl_trusted_certificate $TEST_NGINX_STRANGER;
    lua_upstream_skip_openssl_default_verify on;
    proxy_ssl_verify_by_lua_block { }
}
location /outside {
    content_by_lua_block { ngx.say(require("ngx.ssl.proxysslverify").set_verify_result(0)) }
}
--- request eval
["GET /good", "GET /revoked", "GET /stranger", "GET /skipped", "GET /outside"]
--- error_code eval
[200, 502, 200, 200, 200]
--- response_body_like eval
["TLSv1.3", "502", "TLSv1.3", "TLSv1.3", "nilAPI disabled in the current context"]
--- error_log
verdict: 0 cdata
upstream SSL certificate verify error: certificate revoked
stranger: true



=== TEST 4: only where TLS is spoken
--- config
location / {
    proxy_pass http://127.0.0.1:1;
    proxy_ssl_verify_by_lua_block { }
}
--- must_die
--- error_log
proxy_ssl_verify_by_lua* should be used with proxy_pass https url
--- allow
proxy_ssl_verify_by_lua* should be used with proxy_pass https url



=== TEST 5: sessions are resumed with peers that are found while serving
--- http_config
upstream chosen {
    server 0.0.0.1;
    balancer_by_lua_block {
        assert(require("ngx.balancer").set_current_peer("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
    }
}
--- config
location /balancer { proxy_pass https://chosen; }
location /variable {
    set $where 127.0.0.1;
    proxy_pass https://$where:$TEST_NGINX_RAND_PORT_1;
}
location /other {
    set $where 127.0.0.1;
    proxy_ssl_server_name on;
    proxy_ssl_name other.test;
    proxy_pass https://$where:$TEST_NGINX_RAND_PORT_1;
}
--- request eval
["GET /balancer", "GET /balancer", "GET /variable", "GET /variable", "GET /other", "GET /other"]
--- response_body eval
[" TLSv1.3 .\n", " TLSv1.3 r\n", " TLSv1.3 .\n", " TLSv1.3 r\n", " TLSv1.3 .\n", " TLSv1.3 r\n"]



=== TEST 6: a kept connection is nobody else's: neither with another's certificate nor past the code
--- http_config
upstream asking { server 127.0.0.1:$TEST_NGINX_RAND_PORT_1; keepalive 4; }
upstream indifferent { server 127.0.0.1:$TEST_NGINX_RAND_PORT_2; keepalive 4; }
server {
    listen 127.0.0.1:$TEST_NGINX_RAND_PORT_2 ssl;
    $TEST_NGINX_A
    location = / { return 200 "connection $connection_requests\n"; }
}
proxy_http_version 1.1;
proxy_set_header Connection "";
proxy_ssl_session_reuse off;
--- config
location = /asking {
    proxy_pass https://asking/;
    proxy_ssl_certificate_by_lua_block {
        if ngx.var.arg_own then
            local use, own = require "ngx.ssl.proxysslcert", require "own"
            assert(use.clear_certs() and use.set_cert(own.cert) and use.set_priv_key(own.key))
        end
    }
}
location = /plain { proxy_pass https://asking/; }
location = /indifferent {
    proxy_pass https://indifferent/;
    proxy_ssl_certificate_by_lua_block { }
}
location = /also { proxy_pass https://indifferent/; }
--- request eval
["GET /asking?own=1", "GET /asking", "GET /plain", "GET /asking", "GET /asking?own=1",
 "GET /indifferent", "GET /indifferent", "GET /also", "GET /also"]
--- response_body eval
["CN=client.test TLSv1.3 .\n", " TLSv1.3 .\n", " TLSv1.3 .\n", " TLSv1.3 .\n", "CN=client.test TLSv1.3 .\n",
 "connection 1\n", "connection 2\n", "connection 1\n", "connection 2\n"]
