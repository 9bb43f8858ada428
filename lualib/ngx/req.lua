--- ngx.req: changes to the request that `ngx.req` itself has no function for.

local add_header = package.loaded["bulan.add_header"]

local _M = { version = require("resty.core.base").version }

--- Adds a request header field beside those of the same name.
---@param name string
---@param value string | number | (string | number)[]
function _M.add_header(name, value)
    return add_header(name, value)
end

return _M
