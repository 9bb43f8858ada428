--- resty.openssl.bn: whole numbers of any size, as keys and certificates hold them.
--
--     local bn = require "resty.openssl.bn"
--     local n = assert(bn.from_hex("ff00"))
--     ngx.say(n:to_dec())                     -- 65280
--
-- Errors are nil and a message.

local crypto = require "resty.openssl.crypto"
local ffi = require "ffi"

local C = ffi.C
local find = string.find
local getmetatable = getmetatable
local setmetatable = setmetatable
local type = type

local _M = { _VERSION = "1.0" }

---@class resty.openssl.bn
local mt = { __index = _M }

local function wrap(ctx)
    ctx = crypto.owned(ctx, C.bl_BN_clear_free)
    return ctx and setmetatable({ ctx = ctx }, mt) or nil
end

local function convert(what, text, pattern, convertor)
    local holder = ffi.new("void *[1]")
    if type(text) ~= "string" or not find(text, pattern) then
        return nil, what .. ": malformed number"
    end
    if convertor(holder, text) == 0 then
        return crypto.failure(what)
    end
    return wrap(holder[0])
end

--- From decimal digits.
---@param text string
---@return resty.openssl.bn? n
---@return string? err
function _M.from_dec(text)
    return convert("bn.from_dec", text, "^%-?%d+$", C.bl_BN_dec2bn)
end

--- From hexadecimal digits.
---@param text string
---@return resty.openssl.bn? n
---@return string? err
function _M.from_hex(text)
    return convert("bn.from_hex", text, "^%-?%x+$", C.bl_BN_hex2bn)
end

--- From bytes, the most significant first.
---@param bytes string
---@return resty.openssl.bn? n
---@return string? err
function _M.from_binary(bytes)
    return wrap(C.bl_BN_bin2bn(bytes, #bytes, nil))
end

--- From a Lua number, or from text in base 10 or 16.
---@param n? number|string 0
---@param base? integer 10
---@return resty.openssl.bn? n
---@return string? err
function _M.new(n, base)
    if type(n) == "string" then
        return base == 16 and _M.from_hex(n) or _M.from_dec(n)
    end
    if n and n % 1 ~= 0 then
        return nil, "bn.new: not a whole number"
    end
    return _M.from_dec(string.format("%.0f", n or 0))
end

-- For the other modules: takes a BIGNUM over.
function _M._wrap(ctx)
    return wrap(ctx)
end

--- Whether a value is one of these.
---@param value any
---@return boolean
function _M.istype(value)
    return type(value) == "table" and getmetatable(value) == mt
end

--- Its bytes, the most significant first, filled up with zeros to `len`.
---@param len? integer
---@return string
function _M:to_binary(len)
    return crypto.number_bytes(self.ctx, len)
end

--- Its hexadecimal digits, in capitals and an even number of them.
---@return string
function _M:to_hex()
    return crypto.take(C.bl_BN_bn2hex(self.ctx))
end

--- Its decimal digits.
---@return string
function _M:to_dec()
    return crypto.take(C.bl_BN_bn2dec(self.ctx))
end

mt.__tostring = _M.to_dec

mt.__eq = function(a, b)
    return C.bl_BN_cmp(a.ctx, b.ctx) == 0
end

mt.__lt = function(a, b)
    return C.bl_BN_cmp(a.ctx, b.ctx) < 0
end

mt.__le = function(a, b)
    return C.bl_BN_cmp(a.ctx, b.ctx) <= 0
end

return _M
