--- resty.hmac: keyed digests (RFC 2104).
--
--     local hmac = require "resty.hmac"
--     local mac = assert(hmac:new("key", hmac.ALGOS.SHA256))
--     mac:update("hello, ")
--     local hex = mac:final("world", true)
--
-- update() and final() return false or nil when OpenSSL fails. reset() makes an object new.

local openssl_hmac = require "resty.openssl.hmac"
local to_hex = require("resty.string").to_hex

local setmetatable = setmetatable

local _M = {
    _VERSION = "0.06",
    --- The digests: MD5, SHA1, SHA224, SHA256, SHA384, SHA512.
    ALGOS = {
        MD5 = "md5", SHA1 = "sha1", SHA224 = "sha224", SHA256 = "sha256", SHA384 = "sha384",
        SHA512 = "sha512",
    },
}

---@class resty.hmac
local mt = { __index = _M }

--- Makes one.
---@param key string
---@param algorithm? string one of ALGOS; MD5
---@return resty.hmac? mac
function _M.new(_, key, algorithm)
    local ctx = openssl_hmac.new(key, algorithm or "md5")
    return ctx and setmetatable({ _ctx = ctx }, mt) or nil
end

--- Adds bytes.
---@param s string
---@return boolean ok
function _M:update(s)
    return self._ctx:update(s) == true
end

--- Adds the last bytes, and gives the result. The object is new then.
---@param s? string
---@param hex? boolean in hexadecimal digits
---@return string? mac
function _M:final(s, hex)
    local mac = self._ctx:final(s)
    return mac and (hex and to_hex(mac) or mac) or nil
end

--- Forgets what was added.
---@return boolean ok
function _M:reset()
    return self._ctx:reset() == true
end

return _M
