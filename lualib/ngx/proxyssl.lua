--- ngx.proxyssl: what was agreed upon with an upstream, for code behind its TLS handshake.
--
--     -- header_filter_by_lua_block
--     local proxyssl = require "ngx.proxyssl"
--     ngx.header["X-Upstream-TLS"] = proxyssl.get_tls1_version_str()      -- TLSv1.3
--
-- get_tls1_version() gives the version as a number, one of the constants SSL3_VERSION, TLS1_VERSION,
-- TLS1_1_VERSION, TLS1_2_VERSION and TLS1_3_VERSION; get_tls1_version_str() as text. Errors are nil and a
-- message.

local _M = { version = require("resty.core.base").version }

require("resty.core.tls").agreement(_M, true)

return _M
