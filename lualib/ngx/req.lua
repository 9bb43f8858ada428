--- ngx.req: a field of the request more, where ngx.req.set_header() would replace those that there are.
--
--     require("ngx.req").add_header("Via", "1.1 gate")
--
-- A bad name or value raises an error.

local add_header = package.loaded["bulan.add_header"]
local error, next, tostring, type = error, next, tostring, type

local _M = { version = require("resty.core.base").version }

--- Adds a request header field beside those of the same name.
---@param name string
---@param value string | number | (string | number)[]
function _M.add_header(name, value)
    if name == nil then
        error("bad 'name' argument: string expected, got nil", 2)
    elseif value == nil then
        error("bad 'value' argument: string or table expected, got nil", 2)
    elseif type(value) == "table" and next(value) == nil then
        error("bad 'value' argument: non-empty table expected", 2)
    end
    return add_header(tostring(name), value)
end

return _M
