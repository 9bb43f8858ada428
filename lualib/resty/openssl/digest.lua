--- resty.openssl.digest: message digests of every algorithm that OpenSSL has.
--
--     local digest = assert(require("resty.openssl.digest").new("sha512"))
--     digest:update("hello, ", "world")
--     local binary = assert(digest:final())
--
-- Errors are nil and a message, for instance 'digest.new: invalid digest type "sha257"'.

local crypto = require "resty.openssl.crypto"
local ffi = require "ffi"

local C = ffi.C
local ffi_string = ffi.string
local failure = crypto.failure
local select = select
local setmetatable = setmetatable

local out = ffi.new("unsigned char[64]") -- EVP_MAX_MD_SIZE
local out_len = crypto.uint

local _M = { _VERSION = "1.0" }

---@class resty.openssl.digest
local mt = { __index = _M }

--- Makes a digest without bytes.
---@param name? string as OpenSSL calls it: "sha256", "sha3-512", "blake2b512", "md5"; sha1
---@return resty.openssl.digest? digest
---@return string? err
function _M.new(name)
    name = name or "sha1"
    local md = crypto.digest(name)
    if not md then
        return nil, 'digest.new: invalid digest type "' .. name .. '"'
    end
    local ctx = crypto.owned(C.bl_EVP_MD_CTX_new(), C.bl_EVP_MD_CTX_free)
    if not ctx or C.bl_EVP_DigestInit_ex(ctx, md, nil) ~= 1 then
        return failure("digest.new")
    end
    return setmetatable({ ctx = ctx, algo = md }, mt)
end

--- Adds bytes.
---@param ... string
---@return boolean? ok
---@return string? err
function _M:update(...)
    for i = 1, select("#", ...) do
        local s = select(i, ...)
        if C.bl_EVP_DigestUpdate(self.ctx, s, #s) ~= 1 then
            return failure("digest:update")
        end
    end
    return true
end

--- Adds the last bytes, if any are given, and ends it.
---@param s? string
---@return string? binary
---@return string? err
function _M:final(s)
    if s then
        local ok, err = self:update(s)
        if not ok then
            return nil, err
        end
    end
    if C.bl_EVP_DigestFinal_ex(self.ctx, out, out_len) ~= 1 then
        return failure("digest:final")
    end
    return ffi_string(out, out_len[0])
end

--- Forgets what was added; also after final().
---@return boolean? ok
---@return string? err
function _M:reset()
    if C.bl_EVP_DigestInit_ex(self.ctx, self.algo, nil) ~= 1 then
        return failure("digest:reset")
    end
    return true
end

return _M
