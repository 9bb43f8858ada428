--- One character of a text for another, without a pattern, in code that is compiled.

local ffi = require "ffi"
local base = require "resty.core.base"

local byte, find = string.byte, string.find
local ffi_copy, ffi_string = ffi.copy, ffi.string
local get_string_buf = base.get_string_buf

local _M = { version = base.version }

---@param str string
---@param char string the one that goes; with any other length `str` comes back as it is
---@param replacement string the one that comes
---@return string
function _M.str_replace_char(str, char, replacement)
    if #char ~= 1 or #replacement ~= 1 or not find(str, char, 1, true) then
        return str
    end
    local len, from, to = #str, byte(char), byte(replacement)
    local buf = get_string_buf(len)
    ffi_copy(buf, str, len)
    for i = 0, len - 1 do
        if buf[i] == from then
            buf[i] = to
        end
    end
    local text = ffi_string(buf, len)
    return text
end

return _M
