--- resty.random: random bytes from OpenSSL's generator.
--
--     local random = require "resty.random"
--     local key = random.bytes(16, true)
--     if not key then error("no random bytes") end
--
-- OpenSSL's generator is a cryptographic one in either case; `strong` is accepted for
-- compatibility.

local ffi = require "ffi"

local C = ffi.C
local ffi_new = ffi.new
local ffi_string = ffi.string

ffi.cdef [[
int RAND_bytes(unsigned char *to, int len);
]]

local _M = { _VERSION = "0.16" }

--- `len` random bytes, or nil when the generator fails.
---@param len integer
---@param strong? boolean
---@return string?
function _M.bytes(len, strong) -- luacheck: ignore strong
    local to = ffi_new("unsigned char[?]", len)
    if C.RAND_bytes(to, len) ~= 1 then
        return nil
    end
    return ffi_string(to, len)
end

return _M
