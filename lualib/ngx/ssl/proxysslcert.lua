--- ngx.ssl.proxysslcert: the certificate that an upstream is shown (proxy_ssl_certificate_by_lua).

local _M = { version = require("resty.core.base").version }

require("resty.core.tls").certificates(_M, true)

return _M
