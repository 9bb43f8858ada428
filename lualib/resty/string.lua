--- resty.string: hexadecimal form of binary strings, and numbers from text.
--
--     local str = require "resty.string"
--     str.to_hex("\1\255")    -- "01ff"
--     str.atoi("12abc")       -- 12
--
-- No errors: to_hex() of a value that is no string or number is nil.

local ffi = require "ffi"

local ffi_cast = ffi.cast
local ffi_new = ffi.new
local ffi_string = ffi.string
local format = string.format
local match = string.match
local tonumber = tonumber
local tostring = tostring
local type = type

local _M = { _VERSION = "0.16" }

-- The two digits of each byte.
local digits = ffi_new("uint16_t[256]")
for i = 0, 255 do
    ffi.copy(digits + i, format("%02x", i), 2)
end

local KEPT = 4096
local kept = ffi_new("uint16_t[?]", KEPT)
local bytes_ct = ffi.typeof("const unsigned char *")

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
    local len = #s
    local to = len <= KEPT and kept or ffi_new("uint16_t[?]", len)
    local from = ffi_cast(bytes_ct, s)
    for i = 0, len - 1 do
        to[i] = digits[from[i]]
    end
    return ffi_string(to, 2 * len)
end

--- The whole number at the start of `s`, after white space; 0 when there is none.
---@param s string
---@return number
function _M.atoi(s)
    return tonumber(match(s, "^%s*([+-]?%d+)")) or 0
end

return _M
