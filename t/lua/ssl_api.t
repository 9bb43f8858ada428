# What ngx.ssl, ngx.ocsp and ngx.proxyssl tell and do, beside handshakes (ssl_phases.t).
use lib 't/lib';
use Bulan::Test;
use Bulan::Test::Tls;

my $tls = Bulan::Test::Tls->new;
my %cert = map { $_ => $tls->certificate("$_.test") } qw(a client);
my $locked = $tls->certificate('locked.test', password => 'secret');
my $ca = $tls->authority->{cert};
$ENV{TEST_NGINX_CA}     = $ca;
$ENV{TEST_NGINX_A}      = "ssl_certificate $cert{a}{cert}; ssl_certificate_key $cert{a}{key};";
$ENV{TEST_NGINX_CLIENT} = "lua_ssl_certificate $cert{client}{cert}; lua_ssl_certificate_key $cert{client}{key};";
$ENV{TEST_NGINX_ACRT}   = $cert{a}{cert};
$ENV{TEST_NGINX_AKEY}   = $cert{a}{key};
$ENV{TEST_NGINX_LOCKED} = $locked->{key};

add_block_preprocessor(sub {
    my $block = shift;
    my $http = $block->http_config || '';
    $block->set_value(http_config => <<"EOC" . $http);
lua_package_path '\$TEST_NGINX_HTML_DIR/?.lua;;';
EOC
    $block->set_value(user_files => <<'LUA');
>>> client.lua
return { get = function(path, ...)
    local sock = ngx.socket.tcp()
    assert(sock:connect("127.0.0.1", $TEST_NGINX_RAND_PORT_1))
    assert(sock:sslhandshake(nil, "a.test", ...))
    sock:send("GET " .. path .. " HTTP/1.0\r\nHost: a.test\r\n\r\n")
    return sock:receive("*a"):match("\r\n\r\n(.*)")
end, pem = function(file)
    return assert(io.open(file)):read("*a")
end }
LUA
});

run_tests();

__DATA__

=== TEST 1: conversions, and what is none
--- config
location /t {
    content_by_lua_block {
        local ssl = require "ngx.ssl"
        local pem = require("client").pem
        local cert, key, locked = pem("$TEST_NGINX_ACRT"), pem("$TEST_NGINX_AKEY"), pem("$TEST_NGINX_LOCKED")
        local chain = cert .. pem("$TEST_NGINX_CA")
        local der = assert(ssl.cert_pem_to_der(chain))
        ngx.say(#der == #ssl.cert_pem_to_der(cert) + #ssl.cert_pem_to_der(pem("$TEST_NGINX_CA")))
        ngx.say(type(ssl.parse_pem_cert(chain)), " ", type(ssl.parse_der_cert(der)))
        ngx.say(type(ssl.parse_pem_priv_key(key)), " ", type(ssl.parse_der_priv_key(ssl.priv_key_pem_to_der(key))))
        ngx.say(type(ssl.priv_key_pem_to_der(locked, "secret")), " ", ssl.priv_key_pem_to_der(locked, "wrong"))
        ngx.say(ssl.priv_key_pem_to_der(locked))
        ngx.say(ssl.cert_pem_to_der(""))
        ngx.say(ssl.cert_pem_to_der(cert .. "-----BEGIN CERTIFICATE-----\nxx\n-----END CERTIFICATE-----\n"))
        ngx.say(ssl.parse_der_cert("x"))
        ngx.say(ssl.parse_der_priv_key("x"))
        ngx.say(ssl.parse_pem_priv_key(cert))
        collectgarbage()
    }
}
--- request
GET /t
--- response_body
true
cdata cdata
cdata cdata
string nilPEM_read_bio_PrivateKey() failed
nilPEM_read_bio_PrivateKey() failed
nilPEM_read_bio_X509_AUX() failed
nilPEM_read_bio_X509() failed
nild2i_X509_bio() failed
nild2i_PrivateKey_bio() failed
nilPEM_read_bio_PrivateKey() failed



=== TEST 2: the connection, in a handshake and in its requests
--- http_config
server {
    listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1 ssl;
    server_name a.test;
    $TEST_NGINX_A
    ssl_certificate_by_lua_block {
        local ssl = require "ngx.ssl"
        ngx.ctx.random = ssl.get_client_random()
        ngx.ctx.said = table.concat({ ssl.server_name(), ssl.get_tls1_version_str(), ssl.server_port(),
            (ssl.raw_server_addr():gsub(".", function(c) return c:byte() .. "." end)),
            select(2, ssl.raw_client_addr()) }, " ")
    }
    location / {
        content_by_lua_block {
            local ssl = require "ngx.ssl"
            ngx.say(ngx.ctx.said)
            ngx.say(ssl.get_client_random() == ngx.ctx.random, " ", #ngx.ctx.random, " ",
                    ssl.get_client_random(0), " ", #ssl.get_client_random(5), " ",
                    #ssl.get_server_random(), " ", #ssl.get_session_master_key())
            ngx.say(("0x%x"):format(ssl.get_tls1_version()), " ", ssl.get_tls1_version() == ssl.TLS1_3_VERSION)
            ngx.say(#ssl.export_keying_material(16, "EXPERIMENTAL x"), " ",
                    ssl.export_keying_material(16, "x", "") == ssl.export_keying_material(16, "x", "y"), " ",
                    ssl.export_keying_material_early(16, "x"))
            local ids = {}
            for _, id in ipairs(ssl.get_req_shared_ssl_ciphers()) do
                ids[id] = true
            end
            ngx.say(ids[0x1301], " ", ids[0])
            local pointer = ssl.get_req_ssl_pointer()
            ngx.say(type(pointer), " ", ssl.ssl_session_reused(pointer), " ", ssl.get_upstream_ssl_pointer())
        }
    }
}
--- config
location /t {
    content_by_lua_block { ngx.print(require("client").get("/")) }
}
location /plain {
    content_by_lua_block {
        local ssl = require "ngx.ssl"
        ngx.say(ssl.server_name())
        ngx.say(ssl.get_tls1_version())
        ngx.say(ssl.raw_client_addr())
        ngx.say(ssl.get_req_ssl_pointer())
        ngx.timer.at(0, function() ngx.log(ngx.WARN, "timer: ", select(2, pcall(ssl.server_name))) end)
    }
}
--- request eval
["GET /t", "GET /plain"]
--- response_body_like eval
[qr/\Aa\.test TLSv1\.3 \d+ 127\.0\.0\.1\. inet
true 32 32 5 32 48
0x304 true
16 false nilSSL_export_keying_material_early\(\) failed
true nil
cdata false nilbad request
\z/, qr/\Anilbad request
nilbad request
nilnilbad request
nilbad request
\z/]
--- error_log
no request found



=== TEST 3: a certificate is asked of the client
--- http_config
server {
    listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1 ssl;
    server_name a.test;
    $TEST_NGINX_A
    ssl_certificate_by_lua_block {
        local ssl = require "ngx.ssl"
        local port = ngx.shared.how:get("how")
        local ca = ssl.parse_pem_cert(require("client").pem("$TEST_NGINX_CA"))
        if port == "clients" then
            assert(ssl.verify_client(ca, 1))
        elseif port == "trusted" then
            assert(ssl.verify_client(nil, nil, ca))
        elseif port == "none" then
            assert(ssl.verify_client())
        end
    }
    location / { return 200 "$ssl_client_verify $ssl_client_s_dn\n"; }
}
lua_shared_dict how 64k;
--- config
location /t {
    $TEST_NGINX_CLIENT
    content_by_lua_block {
        for _, how in ipairs { "clients", "trusted", "none", "not at all" } do
            ngx.shared.how:set("how", how)
            ngx.print(how, ": ", require("client").get("/"))
        end
    }
}
--- request
GET /t
--- response_body_like
\Aclients: SUCCESS CN=client\.test
trusted: SUCCESS CN=client\.test
none: FAILED:unable to .* CN=client\.test
not at all: NONE $



=== TEST 4: C functions under the names that libraries declare
--- http_config
server {
    listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1 ssl;
    server_name a.test;
    $TEST_NGINX_A
    ssl_certificate_by_lua_block {
        local ffi = require "ffi"
        pcall(ffi.cdef, [[
            int ngx_http_lua_ffi_ssl_clear_certs(void *r, char **err);
            void *ngx_http_lua_ffi_parse_pem_cert(const unsigned char *pem, size_t len, char **err);
            void *ngx_http_lua_ffi_parse_pem_priv_key(const unsigned char *pem, size_t len, char **err);
            int ngx_http_lua_ffi_set_cert(void *r, void *cdata, char **err);
            int ngx_http_lua_ffi_set_priv_key(void *r, void *cdata, char **err);
            void ngx_http_lua_ffi_free_cert(void *cdata);
            void ngx_http_lua_ffi_free_priv_key(void *cdata);
            int ngx_http_lua_ffi_ssl_client_random(ngx_http_request_t *r, unsigned char *out, size_t *len, char **err);
            void *ngx_http_lua_ffi_get_req_ssl_pointer(void *r);
        ]])
        local C, err = ffi.C, ffi.new("char *[1]")
        local r = require("resty.core.base").get_request()
        local pem = require("client").pem
        assert(C.ngx_http_lua_ffi_ssl_clear_certs(r, err) == 0)
        local cert, key = pem("$TEST_NGINX_ACRT"), pem("$TEST_NGINX_AKEY")
        local chain = C.ngx_http_lua_ffi_parse_pem_cert(cert, #cert, err)
        local pkey = C.ngx_http_lua_ffi_parse_pem_priv_key(key, #key, err)
        assert(C.ngx_http_lua_ffi_set_cert(r, chain, err) == 0)
        assert(C.ngx_http_lua_ffi_set_priv_key(r, pkey, err) == 0)
        C.ngx_http_lua_ffi_free_cert(chain)
        C.ngx_http_lua_ffi_free_priv_key(pkey)
        assert(C.ngx_http_lua_ffi_set_priv_key(r, nil, err) == -1)
        assert(ffi.string(err[0]) == "SSL_use_PrivateKey() failed")
        local out, len = ffi.new("unsigned char[32]"), ffi.new("size_t[1]", 32)
        assert(C.ngx_http_lua_ffi_ssl_client_random(r, out, len, err) == 0 and len[0] == 32)
        assert(C.ngx_http_lua_ffi_get_req_ssl_pointer(r) ~= nil)
    }
    location / { return 200 "good\n"; }
}
--- config
lua_ssl_trusted_certificate $TEST_NGINX_CA;
location /t {
    content_by_lua_block { ngx.print(require("client").get("/", true)) }
}
--- request
GET /t
--- response_body
good



=== TEST 5: OCSP: what can't be asked, what is no answer
--- http_config
server {
    listen 127.0.0.1:$TEST_NGINX_RAND_PORT_1 ssl;
    server_name a.test;
    $TEST_NGINX_A
    ssl_certificate_by_lua_block {
        ngx.log(ngx.WARN, "staple: ", require("ngx.ocsp").set_ocsp_status_resp("anything"))
    }
    location / { return 200; }
}
--- config
location /t {
    content_by_lua_block {
        local ssl, ocsp = require "ngx.ssl", require "ngx.ocsp"
        local pem = require("client").pem
        local cert, ca = ssl.cert_pem_to_der(pem("$TEST_NGINX_ACRT")), ssl.cert_pem_to_der(pem("$TEST_NGINX_CA"))
        ngx.say(ocsp.get_ocsp_responder_from_der_chain(cert .. ca))
        ngx.say(ocsp.create_ocsp_request(cert))
        ngx.say(ocsp.create_ocsp_request(cert .. cert))
        ngx.say(ocsp.create_ocsp_request(""))
        ngx.say(ocsp.create_ocsp_request(cert .. ca, 10))
        ngx.say(#ocsp.create_ocsp_request(cert .. ca))
        ngx.say(ocsp.validate_ocsp_response("x", cert .. ca))
        ngx.say(ocsp.validate_ocsp_response("\48\3\10\1\3", cert .. ca, 30))
        require("client").get("/")
        require("client").get("/", false, true)
    }
}
--- request
GET /t
--- response_body_like
\Anil
nilno issuer certificate in chain
nilissuer certificate not next to leaf
nild2i_X509_bio\(\) failed
niloutput buffer too small: \d+ > 10
\d+
nild2i_OCSP_RESPONSE\(\) failednil
nilOCSP response not successful \(nil$
--- error_log eval
["staple: trueno status req,", qr/staple: true(?:nil)?,/]
