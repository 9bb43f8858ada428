--- resty.openssl.rand: random bytes from OpenSSL's generators.
--
--     local key = assert(require("resty.openssl.rand").bytes(32, true))

local crypto = require "resty.openssl.crypto"
local ffi = require "ffi"

local C = ffi.C

local _M = { _VERSION = "1.0" }

--- Random bytes.
---@param len integer
---@param private? boolean from the generator of secrets, which nothing public is drawn from
---@return string? bytes
---@return string? err
function _M.bytes(len, private)
    local to = ffi.new("unsigned char[?]", len)
    local ok = private and C.bl_RAND_priv_bytes(to, len) or not private and C.bl_RAND_bytes(to, len)
    if ok ~= 1 then
        return crypto.failure("rand.bytes")
    end
    return ffi.string(to, len)
end

return _M
