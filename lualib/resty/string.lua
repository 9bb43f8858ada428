--- resty.string: hexadecimal form of binary strings, and numbers from text.
--
--     local str = require "resty.string"
--     str.to_hex("\1\255")    -- "01ff"
--     str.atoi("12abc")       -- 12
--
-- No errors: to_hex() of a value that is no string or number is nil.

local format = string.format
local gsub = string.gsub
local match = string.match
local tonumber = tonumber
local type = type

local _M = { _VERSION = "0.16" }

local hex = {}
for i = 0, 255 do
    hex[string.char(i)] = format("%02x", i)
end

--- Two lower-case hexadecimal digits for each byte.
---@param s string|number
---@return string? hex
function _M.to_hex(s)
    if type(s) ~= "string" and type(s) ~= "number" then
        return nil
    end
    return (gsub(s, ".", hex))
end

--- The whole number at the start of `s`, after white space; 0 when there is none.
---@param s string
---@return number
function _M.atoi(s)
    return tonumber(match(s, "^%s*([+-]?%d+)")) or 0
end

return _M
