--- ngx.encode_base64, decode_base64, decode_base64mime.

local ffi = require "ffi"
local base = require "resty.core.base"

local C = ffi.C
local ffi_string = ffi.string
local get_string_buf = base.get_string_buf
local type = type
local tostring = tostring
local tonumber = tonumber
local error = error
local floor = math.floor
local ngx = ngx

ffi.cdef [[
size_t bl_lua_base64_encode(char *to, const char *s, size_t len, bool padding, bool url);
long bl_lua_base64_decode(char *to, const char *s, size_t len, bool url, bool mime);
]]

local function encode(s, padding, url)
    local buffer = get_string_buf(floor((#s + 2) / 3) * 4)
    return ffi_string(buffer, C.bl_lua_base64_encode(buffer, s, #s, padding, url))
end

local function decode(s, url, mime)
    local buffer = get_string_buf(floor(#s / 4) * 3 + 3)
    local len = tonumber(C.bl_lua_base64_decode(buffer, s, #s, url, mime))
    if len < 0 then
        return nil
    end
    return ffi_string(buffer, len)
end

---@param s string|number|boolean|nil
---@param no_padding? boolean
---@return string
function ngx.encode_base64(s, no_padding)
    if type(s) ~= "string" then
        s = s == nil and "" or tostring(s)
    end
    if no_padding ~= nil and type(no_padding) ~= "boolean" then
        error("bad argument #2 to 'encode_base64' (boolean expected, got "
              .. type(no_padding) .. ")", 2)
    end
    return encode(s, not no_padding, false)
end

---@param s string
---@return string|nil nil: malformed
function ngx.decode_base64(s)
    if type(s) ~= "string" then
        error("string argument only", 2)
    end
    return decode(s, false, false)
end

---@param s string bytes outside the alphabet are passed over
---@return string|nil
---@return string? err
function ngx.decode_base64mime(s)
    if type(s) ~= "string" then
        return error("string argument only", 2)
    end
    return decode(s, false, true)
end

return {version = base.version, encode = encode, decode = decode}
