--- resty.digest: message digests by OpenSSL; resty.md5 and resty.sha* are one line each.
--
--     local class = require("resty.digest").class("SHA256")
--     local sha256 = class:new()
--     sha256:update("hello, ")
--     sha256:update("world")
--     local binary = sha256:final()      -- resty.string's to_hex() makes it readable
--
-- An object is used up by final(); reset() makes it new. update() and final() return nil when
-- OpenSSL fails (which it does not, short of memory), and after final() without a reset().

local crypto = require "resty.openssl.crypto"
local ffi = require "ffi"

local C = ffi.C
local ffi_string = ffi.string
local remove = table.remove
local setmetatable = setmetatable
local tostring = tostring
local type = type

local out = ffi.new("unsigned char[64]") -- EVP_MAX_MD_SIZE
local out_len = ffi.new("unsigned int[1]")

local _M = { _VERSION = "0.16" }

---@class resty.digest
local methods = {}
local mt = { __index = methods }

--- Adds bytes.
---@param s string
---@param len? integer only so many bytes of `s`; no more than it has, no less than 0
---@return boolean? ok
function methods.update(self, s, len)
    if type(s) ~= "string" then
        s = tostring(s)
    end
    if not len or not (len >= 0 and len <= #s) then
        len = len and len < 0 and 0 or #s
    end
    local ctx = self._ctx
    return ctx and C.bl_EVP_DigestUpdate(ctx, s, len) == 1 or nil
end

-- A context of OpenSSL, ready for bytes. One that is through serves the next object: making and freeing
-- them takes longer than the digest of a short text.
local SPARE = 32
local spare = {}

local function open(self)
    local ctx = self._ctx or remove(spare)
    if not ctx then
        ctx = crypto.owned(C.bl_EVP_MD_CTX_new(), C.bl_EVP_MD_CTX_free)
    end
    if not ctx or C.bl_EVP_DigestInit_ex(ctx, self._type, nil) ~= 1 then
        self._ctx = nil
        return nil
    end
    self._ctx = ctx
    return true
end

--- The digest of all bytes added.
---@return string? binary
function methods.final(self)
    local ctx = self._ctx
    if not ctx or C.bl_EVP_DigestFinal_ex(ctx, out, out_len) ~= 1 then
        return nil
    end
    self._ctx = nil
    if #spare < SPARE then
        spare[#spare + 1] = ctx
    end
    return ffi_string(out, out_len[0])
end

--- Forgets what was added.
---@return boolean? ok
function methods.reset(self)
    return open(self)
end

--- The class of one algorithm.
---@param name string as OpenSSL calls it, "MD5", "SHA256"
---@return table class with new()
function _M.class(name)
    local kind = crypto.digest(name)
    local class = setmetatable({ _VERSION = _M._VERSION }, mt)

    --- Makes an object without bytes.
    ---@return resty.digest?
    function class.new(_)
        local self = kind and setmetatable({ _type = kind, _ctx = nil }, mt)
        return self and open(self) and self or nil
    end

    return class
end

return _M
