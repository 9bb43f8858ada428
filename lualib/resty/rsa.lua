--- resty.rsa: RSA encryption and signatures.
--
--     local rsa = require "resty.rsa"
--     local public, private, err = rsa:generate_rsa_keys(2048)
--
--     local box = assert(rsa:new { public_key = public, padding = rsa.PADDING.RSA_PKCS1_OAEP_PADDING })
--     local secret = assert(box:encrypt("text"))
--
--     local signer = assert(rsa:new { private_key = private, algorithm = "SHA256" })
--     local signature = assert(signer:sign("text"))
--
-- Errors are nil (verify: false) and a message. Other keys, and more of RSA: resty.openssl.pkey.

local pkey = require "resty.openssl.pkey"

local lower = string.lower
local setmetatable = setmetatable

local _M = {
    _VERSION = "1.1.0",
    --- How texts are padded.
    PADDING = {
        RSA_PKCS1_PADDING = 1, RSA_NO_PADDING = 3, RSA_PKCS1_OAEP_PADDING = 4,
        RSA_PKCS1_PSS_PADDING = 6,
    },
    --- Of a public key: PKCS1 is "BEGIN RSA PUBLIC KEY", PKCS8 "BEGIN PUBLIC KEY". Either is recognized.
    KEY_TYPE = { PKCS1 = "PKCS1", PKCS8 = "PKCS8" },
}

---@class resty.rsa
local mt = { __index = _M }

---@class resty.rsa.options
---@field public_key? string PEM
---@field private_key? string PEM
---@field password? string of the private key
---@field padding? integer one of PADDING; PKCS #1
---@field algorithm? string of signatures: "SHA256", …
---@field key_type? string

--- Makes a pair of keys.
---@param bits integer
---@param in_pkcs8_fmt? boolean PKCS #8 and SubjectPublicKeyInfo instead of PKCS #1
---@return string? public PEM
---@return string? private PEM
---@return string? err
function _M.generate_rsa_keys(_, bits, in_pkcs8_fmt)
    local key, err = pkey.new { type = "RSA", bits = bits }
    if not key then
        return nil, nil, err
    end
    return key:to_PEM("public", not in_pkcs8_fmt), (key:to_PEM("private", not in_pkcs8_fmt))
end

--- Takes keys for use.
---@param options resty.rsa.options
---@return resty.rsa? box
---@return string? err
function _M.new(_, options)
    local text = options.private_key or options.public_key
    if not text then
        return nil, "no private_key or public_key"
    end
    local key, err = pkey.new(text, {
        type = options.private_key and "pr" or "pu", passphrase = options.password,
    })
    if not key then
        return nil, err
    end
    return setmetatable({
        _key = key,
        _padding = options.padding or _M.PADDING.RSA_PKCS1_PADDING,
        _algorithm = options.algorithm and lower(options.algorithm),
    }, mt)
end

--- Encrypts with the public key.
---@param text string
---@return string? secret
---@return string? err
function _M:encrypt(text)
    if self._key:is_private() then
        return nil, "not inited for encrypt"
    end
    return self._key:encrypt(text, self._padding)
end

--- Decrypts with the private key.
---@param secret string
---@return string? text
---@return string? err
function _M:decrypt(secret)
    if not self._key:is_private() then
        return nil, "not inited for decrypt"
    end
    return self._key:decrypt(secret, self._padding)
end

-- Encryption and signatures share `padding`; what is for encryption alone leaves signatures as they are.
local function signature_padding(self)
    return self._padding == _M.PADDING.RSA_PKCS1_PSS_PADDING and self._padding
        or _M.PADDING.RSA_PKCS1_PADDING
end

--- Signs with the private key.
---@param text string
---@return string? signature
---@return string? err
function _M:sign(text)
    if not self._algorithm or not self._key:is_private() then
        return nil, "not inited for sign"
    end
    return self._key:sign(text, self._algorithm, signature_padding(self))
end

--- Checks a signature with the public key.
---@param text string
---@param signature string
---@return boolean ok
---@return string? err
function _M:verify(text, signature)
    if not self._algorithm or self._key:is_private() then
        return false, "not inited for verify"
    end
    local ok, err = self._key:verify(signature, text, self._algorithm, signature_padding(self))
    if ok then
        return true
    end
    return false, err or "verification failed"
end

return _M
