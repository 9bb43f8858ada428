--- ngx.ssl.proxysslcert: the certificate that an upstream is shown, for code in proxy_ssl_certificate_by_lua.
--
--     local proxysslcert = require "ngx.ssl.proxysslcert"
--     assert(proxysslcert.clear_certs())
--     assert(proxysslcert.set_cert(pair.chain))         -- of ngx.ssl's parse_pem_cert()
--     assert(proxysslcert.set_priv_key(pair.key))
--
-- There are clear_certs(), set_cert(chain), set_priv_key(key), set_der_cert(der) and set_der_priv_key(der).
-- Errors are nil and a message.

local _M = { version = require("resty.core.base").version }

require("resty.core.tls").certificates(_M, true)

return _M
