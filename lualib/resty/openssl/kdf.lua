--- resty.openssl.kdf: keys from passwords and from other keys.
--
--     local kdf = require "resty.openssl.kdf"
--     local key = assert(kdf.derive {
--         type = kdf.PBKDF2, outlen = 32, pass = "secret", salt = salt, md = "sha256",
--         pbkdf2_iter = 600000,
--     })
--
-- A function that is made to be slow holds the worker as long as it takes: 600,000 rounds of PBKDF2
-- are some tenths of a second. ngx.run_worker_thread takes it elsewhere. Errors are nil and a message.

local crypto = require "resty.openssl.crypto"
local ffi = require "ffi"

local C = ffi.C
local ipairs = ipairs

local _M = {
    _VERSION = "1.0",
    PBKDF2 = "PBKDF2", -- RFC 8018: pass, salt, md, pbkdf2_iter (1)
    SCRYPT = "SCRYPT", -- RFC 7914: pass, salt, scrypt_N, scrypt_r, scrypt_p, scrypt_maxmem
    HKDF = "HKDF",     -- RFC 5869: hkdf_key, salt, md, hkdf_info, hkdf_mode
    HKDEF_MODE_EXTRACT_AND_EXPAND = 0,
    HKDEF_MODE_EXTRACT_ONLY = 1,
    HKDEF_MODE_EXPAND_ONLY = 2,
}

-- What each takes: the option, and how OpenSSL wants it.
local PARAMETERS = {
    PBKDF2 = {
        { "pass", "bytes", "pass" }, { "salt", "bytes", "salt" }, { "md", "text", "digest" },
        { "pbkdf2_iter", "size", "iter" },
    },
    SCRYPT = {
        { "pass", "bytes", "pass" }, { "salt", "bytes", "salt" }, { "scrypt_N", "size", "n" },
        { "scrypt_r", "size", "r" }, { "scrypt_p", "size", "p" },
        { "scrypt_maxmem", "size", "maxmem_bytes" },
    },
    HKDF = {
        { "hkdf_key", "bytes", "key" }, { "salt", "bytes", "salt" }, { "md", "text", "digest" },
        { "hkdf_info", "bytes", "info" }, { "hkdf_mode", "int", "mode" },
    },
}

---@class resty.openssl.kdf.options
---@field type string kdf.PBKDF2, kdf.SCRYPT or kdf.HKDF
---@field outlen integer bytes
---@field pass? string
---@field salt? string
---@field md? string a digest; sha1
---@field pbkdf2_iter? integer 1
---@field hkdf_key? string
---@field hkdf_info? string
---@field hkdf_mode? integer
---@field scrypt_N? integer 1
---@field scrypt_r? integer 1
---@field scrypt_p? integer 1
---@field scrypt_maxmem? integer bytes

local DEFAULTS = {
    PBKDF2 = { pass = "", salt = "", md = "sha1", pbkdf2_iter = 1 },
    SCRYPT = { pass = "", salt = "", scrypt_N = 1, scrypt_r = 1, scrypt_p = 1 },
    HKDF = { md = "sha1" },
}

--- Derives a key.
---@param options resty.openssl.kdf.options
---@return string? key
---@return string? err
function _M.derive(options)
    local parameters = PARAMETERS[options.type]
    if not parameters then
        return nil, "kdf.derive: unknown type"
    end
    local list = {}
    for _, p in ipairs(parameters) do
        local value = options[p[1]]
        if value == nil then
            value = DEFAULTS[options.type][p[1]]
        end
        if value ~= nil then
            list[#list + 1] = { p[2], p[3], value }
        end
    end
    local kdf = crypto.owned(C.bl_EVP_KDF_fetch(nil, options.type, nil), C.bl_EVP_KDF_free)
    local ctx = kdf and crypto.owned(C.bl_EVP_KDF_CTX_new(kdf), C.bl_EVP_KDF_CTX_free)
    local to = ffi.new("unsigned char[?]", options.outlen)
    if not ctx or C.bl_EVP_KDF_derive(ctx, to, options.outlen, crypto.params(list)) ~= 1 then
        return crypto.failure("kdf.derive")
    end
    return ffi.string(to, options.outlen)
end

return _M
