--- ngx.resp: changes to the response that `ngx` itself has no function for.
--
--     local resp = require "ngx.resp"
--     resp.add_header("Set-Cookie", "a=1")           -- beside those that are there
--     resp.set_status(200, "Fine")                   -- with a reason of one's own
--
-- After the head has been sent, they do nothing but write to the error log.

local ffi = require "ffi"
local here = require "resty.core.here"
local no_request = require("resty.core.phase").no_request
local set_header = require("resty.core.response").set_header

ffi.cdef[[
    int bl_lua_ffi_set_status_line(int status, const char *reason, size_t len);
    void bl_lua_ffi_bypass_if_checks(void);
]]

local C = ffi.C
local type, tostring, error = type, tostring, error

local _M = { version = require("resty.core.base").version }

local function check()
    if here.request == nil then
        no_request(3)
    end
end

--- Adds a response header field beside those of the same name.
---@param name string
---@param value string | number | (string | number)[]
function _M.add_header(name, value)
    check()
    name = tostring(name)
    if value == nil then
        error("invalid header value", 2)
    elseif type(value) ~= "table" then
        set_header(name, value, 1)
        return
    end
    for i = 1, #value do
        set_header(name, value[i], 1)
    end
end

---@param status integer
---@param reason string?
function _M.set_status(status, reason)
    check()
    if type(status) ~= "number" then
        error("bad status: number expected, got " .. type(status), 2)
    end
    reason = reason or ""
    C.bl_lua_ffi_set_status_line(status, reason, #reason)
end

--- The conditions of the request (If-Modified-Since, …) are not looked at.
function _M.bypass_if_checks()
    check()
    C.bl_lua_ffi_bypass_if_checks()
end

return _M
