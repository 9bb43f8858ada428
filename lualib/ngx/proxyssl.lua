--- ngx.proxyssl: the TLS connection of a request to its upstream.

local _M = { version = require("resty.core.base").version }

require("resty.core.tls").agreement(_M, true)

return _M
