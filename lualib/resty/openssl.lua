--- resty.openssl: OpenSSL's digests, ciphers, keys and certificates.
--
--     local openssl = require "resty.openssl"
--     openssl.load_modules()
--     local key = openssl.pkey.new { type = "Ed25519" }
--
-- Each module may be required alone, too: resty.openssl.digest, hmac, cipher, kdf, rand, bn, pkey, x509,
-- x509.name and x509.store. They have the functions of the module of that name that most programs use;
-- what is not there can be had from a copy of that module on lua_package_path, which goes before these.

require "resty.openssl.crypto" -- declares what is called here
local ffi = require "ffi"

local C = ffi.C
local ipairs = ipairs

local _M = {
    _VERSION = "1.0",
    --- The version of OpenSSL as a number: 0x30000000 for 3.0.0.
    version_num = tonumber(C.bl_OpenSSL_version_num()),
    --- The same as text: "OpenSSL 3.0.0 …".
    version_text = ffi.string(C.bl_OpenSSL_version(0)),
}

--- Makes the modules fields of this one: openssl.pkey, openssl.x509, ….
function _M.load_modules()
    for _, name in ipairs { "bn", "cipher", "digest", "hmac", "kdf", "pkey", "rand", "x509" } do
        _M[name] = require("resty.openssl." .. name)
    end
end

--- Nothing to do: the server is linked with OpenSSL.
---@return string name
function _M.load_library()
    return "crypto"
end

--- Compares two texts in a time that tells nothing of where they differ.
---@param a string
---@param b string
---@return boolean
function _M.equal(a, b)
    return #a == #b and C.bl_CRYPTO_memcmp(a, b, #a) == 0
end

return _M
