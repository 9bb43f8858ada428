--- resty.openssl.hmac: keyed digests (RFC 2104).
--
--     local hmac = assert(require("resty.openssl.hmac").new("key", "sha256"))
--     hmac:update("hello, ", "world")
--     local binary = assert(hmac:final())
--
-- After final() the object may be used again: the key is set up once, at new(). Errors are nil and
-- a message.

local crypto = require "resty.openssl.crypto"
local ffi = require "ffi"

local C = ffi.C
local ffi_string = ffi.string
local failure = crypto.failure
local select = select
local setmetatable = setmetatable

local OUT = 64 -- EVP_MAX_MD_SIZE
local out = ffi.new("unsigned char[?]", OUT)
local out_len = crypto.size
local algorithm

local _M = { _VERSION = "1.0" }

---@class resty.openssl.hmac
local mt = { __index = _M }

--- Makes one.
---@param key string
---@param name? string the digest: "sha256", …; sha1
---@return resty.openssl.hmac? hmac
---@return string? err
function _M.new(key, name)
    name = name or "sha1"
    if not crypto.digest(name) then
        return nil, 'hmac.new: invalid digest type "' .. name .. '"'
    end
    algorithm = algorithm or crypto.owned(C.bl_EVP_MAC_fetch(nil, "HMAC", nil), C.bl_EVP_MAC_free)
    local ctx = crypto.owned(C.bl_EVP_MAC_CTX_new(algorithm), C.bl_EVP_MAC_CTX_free)
    local params = crypto.params { { "text", "digest", name } }
    -- An empty key still has to be a pointer: without one the context would keep an old key.
    if not ctx or C.bl_EVP_MAC_init(ctx, key == "" and "\0" or key, #key, params) ~= 1 then
        return failure("hmac.new")
    end
    return setmetatable({ ctx = ctx }, mt)
end

--- Adds bytes.
---@param ... string
---@return boolean? ok
---@return string? err
function _M:update(...)
    for i = 1, select("#", ...) do
        local s = select(i, ...)
        if C.bl_EVP_MAC_update(self.ctx, s, #s) ~= 1 then
            return failure("hmac:update")
        end
    end
    return true
end

--- Forgets what was added.
---@return boolean? ok
---@return string? err
function _M:reset()
    if C.bl_EVP_MAC_init(self.ctx, nil, 0, nil) ~= 1 then
        return failure("hmac:reset")
    end
    return true
end

--- Adds the last bytes, if any are given, and ends the message.
---@param s? string
---@return string? binary
---@return string? err
function _M:final(s)
    local ctx = self.ctx
    if s and C.bl_EVP_MAC_update(ctx, s, #s) ~= 1
        or C.bl_EVP_MAC_final(ctx, out, out_len, OUT) ~= 1 then
        return failure("hmac:final")
    end
    local mac = ffi_string(out, out_len[0])
    self:reset()
    return mac
end

return _M
