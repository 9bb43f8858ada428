--- resty.random: random bytes from OpenSSL's generator.
--
--     local random = require "resty.random"
--     local key = random.bytes(16, true)
--     if not key then error("no random bytes") end
--
-- OpenSSL's generator is a cryptographic one in either case; `strong` is accepted for
-- compatibility.

local rand = require "resty.openssl.rand"

local _M = { _VERSION = "0.16" }

--- `len` random bytes, or nil when the generator fails.
---@param len integer
---@param strong? boolean
---@return string?
function _M.bytes(len, strong) -- luacheck: ignore strong
    return (rand.bytes(len))
end

return _M
