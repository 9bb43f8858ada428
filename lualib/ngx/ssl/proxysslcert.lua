--- The certificate that an upstream is shown: for code in proxy_ssl_certificate_by_lua.

local _M = { version = require("resty.core.base").version }

require("resty.core.tls").certificates(_M, true)

return _M
