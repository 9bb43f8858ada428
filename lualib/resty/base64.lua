--- resty.base64: base64 in its two alphabets, with and without padding (RFC 4648).
--
--     local base64 = require "resty.base64"
--     base64.encode("\255\254")         -- "//4="
--     base64.encode_url("\255\254")     -- "__4": for URLs, cookies, tokens
--     base64.decode("//4=")             -- "\255\254"
--     base64.decode("***")              -- nil
--
-- Decoding what is no base64 gives nil.

local base64url = require "ngx.base64"

local encode_base64, decode_base64 = ngx.encode_base64, ngx.decode_base64

local _M = { _VERSION = "1.0" }

--- With + and /.
---@param s string
---@param no_padding? boolean without "=" at the end
---@return string
function _M.encode(s, no_padding)
    return encode_base64(s, no_padding)
end

--- The bytes of encode().
---@param s string with or without padding
---@return string?
function _M.decode(s)
    return decode_base64(s)
end

--- With - and _, without padding.
---@param s string
---@return string
function _M.encode_url(s)
    return (base64url.encode_base64url(s))
end

--- The bytes of encode_url().
---@param s string
---@return string?
function _M.decode_url(s)
    return (base64url.decode_base64url(s))
end

return _M
