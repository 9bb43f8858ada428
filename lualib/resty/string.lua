--- resty.string: hexadecimal form of binary strings, and numbers from text.
--
--     local str = require "resty.string"
--     str.to_hex("\1\255")    -- "01ff"
--     str.atoi("12abc")       -- 12
--
-- No errors: to_hex() of a value that is no string or number is nil.

local ffi = require "ffi"
local get_string_buf = require("resty.core.base").get_string_buf

local C = ffi.C
local ffi_string = ffi.string
local match = string.match
local tonumber = tonumber
local tostring = tostring
local type = type

local _M = { _VERSION = "0.16" }

--- Two lower-case hexadecimal digits for each byte.
---@param s string|number
---@return string? hex
function _M.to_hex(s)
    if type(s) ~= "string" then
        if type(s) ~= "number" then
            return nil
        end
        s = tostring(s)
    end
    local to = get_string_buf(2 * #s)
    C.bl_lua_hex(to, s, #s)
    return ffi_string(to, 2 * #s)
end

--- The whole number at the start of `s`, after white space; 0 when there is none.
---@param s string
---@return number
function _M.atoi(s)
    return tonumber(match(s, "^%s*([+-]?%d+)")) or 0
end

return _M
