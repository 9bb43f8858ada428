--- ngx.ssl.clienthello: what a client has said in its hello, for code in ssl_client_hello_by_lua.
--
--     local clienthello = require "ngx.ssl.clienthello"
--     local name, err = clienthello.get_client_hello_server_name()
--     if name == "old.example.com" then
--         assert(clienthello.set_protocols { "TLSv1.2", "TLSv1.3" })
--     end
--
-- Errors are nil and a message; in another phase an error is raised.

local ffi = require "ffi"
local tls = require "resty.core.tls"

ffi.cdef [[
    const char *bl_lua_ffi_tls_hello_name(const char **name, size_t *len);
    const char *bl_lua_ffi_tls_hello_ext(unsigned type, const char **data, size_t *len);
    const char *bl_lua_ffi_tls_hello_exts(int *to, size_t *count);
    const char *bl_lua_ffi_tls_hello_ciphers(const unsigned char **data, size_t *len);
    const char *bl_lua_ffi_tls_hello_protocols(int protocols);
]]

local C = ffi.C
local byte = string.byte
local bor = bit.bor
local here = require "resty.core.here"
local answer, filled = tls.answer, tls.filled
local text_ptr, len_ptr = tls.text, tls.len
local bytes_ptr = ffi.new("const unsigned char *[1]")

local EXTENSIONS = 256
local extensions = ffi.new("int[?]", EXTENSIONS)
local SUPPORTED_VERSIONS = 43

local protocol_bits = {
    SSLv2 = 1, SSLv3 = 2, TLSv1 = 4, ["TLSv1.1"] = 8, ["TLSv1.2"] = 16, ["TLSv1.3"] = 32,
}
local version_words = {
    [0x002] = "SSLv2", [0x300] = "SSLv3", [0x301] = "TLSv1", [0x302] = "TLSv1.1",
    [0x303] = "TLSv1.2", [0x304] = "TLSv1.3",
}

local _M = { version = require("resty.core.base").version }

local function need_hello()
    tls.need()
    if here.phase ~= 0x4000 then
        error("API disabled in the current context", 3)
    end
end

---@return string? name that the client asks for; nil without `err` when it does not
---@return string? err
function _M.get_client_hello_server_name()
    need_hello()
    return filled(C.bl_lua_ffi_tls_hello_name(text_ptr, len_ptr))
end

local function extension(kind)
    return filled(C.bl_lua_ffi_tls_hello_ext(kind, text_ptr, len_ptr))
end

--- An extension's bytes.
---@param kind integer
---@return string? data nil without `err` when it is not there
---@return string? err
function _M.get_client_hello_ext(kind)
    need_hello()
    return extension(kind)
end

---@return integer[]? kinds of extensions, in the client's order
---@return string? err
function _M.get_client_hello_ext_present()
    need_hello()
    len_ptr[0] = EXTENSIONS
    local ok, err = answer(C.bl_lua_ffi_tls_hello_exts(extensions, len_ptr))
    if not ok then
        return nil, err
    end
    local list = {}
    for i = 1, tonumber(len_ptr[0]) do
        list[i] = extensions[i - 1]
    end
    return list
end

-- RFC 8701: 0x0a0a, 0x1a1a …
local function is_grease(high, low)
    return high == low and high % 16 == 10
end

---@return integer[]? ciphers
---@return string? err
function _M.get_client_hello_ciphers()
    need_hello()
    local ok, err = answer(C.bl_lua_ffi_tls_hello_ciphers(bytes_ptr, len_ptr))
    if not ok then
        return nil, err
    end
    local list, n, bytes = {}, 0, bytes_ptr[0]
    for i = 0, tonumber(len_ptr[0]) - 2, 2 do
        if not is_grease(bytes[i], bytes[i + 1]) then
            n = n + 1
            list[n] = bytes[i] * 256 + bytes[i + 1]
        end
    end
    return list
end

--- The versions that the client lists (clients of TLS 1.2 and older don't).
---@return string[]? versions "TLSv1.3" …
---@return string? err
function _M.get_supported_versions()
    need_hello()
    local data, err = extension(SUPPORTED_VERSIONS)
    if not data then
        return nil, err
    end
    if #data < 1 or byte(data, 1) ~= #data - 1 then
        return nil, "malformed supported_versions"
    end
    local list, n = {}, 0
    for i = 2, #data - 1, 2 do
        local word = version_words[byte(data, i) * 256 + byte(data, i + 1)]
        if word then
            n = n + 1
            list[n] = word
        end
    end
    return list
end

--- The connection may use these versions alone.
---@param protocols string[] "TLSv1.2" …
---@return boolean? ok
---@return string? err
function _M.set_protocols(protocols)
    need_hello()
    local bits = 0
    for _, word in ipairs(protocols) do
        local value = protocol_bits[word]
        if not value then
            return nil, "invalid protocols failed"
        end
        bits = bor(bits, value)
    end
    return answer(C.bl_lua_ffi_tls_hello_protocols(bits))
end

return _M
