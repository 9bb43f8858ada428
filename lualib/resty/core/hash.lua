--- ngx.md5, md5_bin, sha1_bin, hmac_sha1, crc32_short, crc32_long.

local ffi = require "ffi"
local base = require "resty.core.base"

local C = ffi.C
local ffi_string = ffi.string
local type = type
local tostring = tostring
local ngx = ngx

ffi.cdef [[
uint32_t bl_lua_crc32(const char *s, size_t len);
void bl_lua_md5(unsigned char *to, const char *s, size_t len);
void bl_lua_sha1(unsigned char *to, const char *s, size_t len);
void bl_lua_hmac_sha1(unsigned char *to, const char *key, size_t key_len, const char *s, size_t len);
void bl_lua_hex(char *to, const unsigned char *s, size_t len);
]]

local digest = ffi.new("unsigned char[20]")
local hex = ffi.new("char[32]")

local function text_of(value)
    if type(value) == "string" then
        return value
    end
    return value == nil and "" or tostring(value)
end

---@param s string
---@return string 16 bytes
function ngx.md5_bin(s)
    s = text_of(s)
    C.bl_lua_md5(digest, s, #s)
    return ffi_string(digest, 16)
end

---@param s string
---@return string 32 hexadecimal digits
function ngx.md5(s)
    s = text_of(s)
    C.bl_lua_md5(digest, s, #s)
    C.bl_lua_hex(hex, digest, 16)
    return ffi_string(hex, 32)
end

---@param s string
---@return string 20 bytes
function ngx.sha1_bin(s)
    s = text_of(s)
    C.bl_lua_sha1(digest, s, #s)
    return ffi_string(digest, 20)
end

---@param key string
---@param s string
---@return string 20 bytes
function ngx.hmac_sha1(key, s)
    key, s = text_of(key), text_of(s)
    C.bl_lua_hmac_sha1(digest, key, #key, s, #s)
    return ffi_string(digest, 20)
end

local function crc32(s)
    s = text_of(s)
    return C.bl_lua_crc32(s, #s)
end

---@param s string
---@return integer
ngx.crc32_short = crc32
ngx.crc32_long = crc32

return {version = base.version}
