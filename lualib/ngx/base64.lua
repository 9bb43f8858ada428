--- ngx.base64: base64url (RFC 4648 section 5), without padding.
--
--     local b64 = require "ngx.base64"
--     local text = b64.encode_base64url("any bytes")

local codec = require "resty.core.base64"

local type = type

local _M = {version = codec.version}

---@param s string
---@return string|nil
---@return string? err
function _M.encode_base64url(s)
    if type(s) ~= "string" then
        return nil, "must provide a string"
    end
    return codec.encode(s, false, true)
end

---@param s string
---@return string|nil
---@return string? err
function _M.decode_base64url(s)
    if type(s) ~= "string" then
        return nil, "must provide a string"
    end
    local text = codec.decode(s, true, false)
    if not text then
        return nil, "invalid input"
    end
    return text
end

return _M
