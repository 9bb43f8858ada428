--- resty.aes: AES encryption.
--
--     local aes = require "resty.aes"
--     local box = assert(aes:new(key, nil, aes.cipher(256, "gcm"), { iv = iv }))
--     local secret = box:encrypt("text")          -- GCM: { text, tag }
--     local text = box:decrypt(secret[1], secret[2])
--
-- Keys and ivs are given as they are ({ iv = … }), or made from a password and a salt: aes:new("pass",
-- "saltsalt", aes.cipher(128, "cbc"), aes.hash.sha256, 5). That (EVP_BytesToKey) is weak, and there for
-- what was encrypted with it; new programs take resty.openssl.kdf.
--
-- new() returns nil and a message ("bad iv", …); encrypt() and decrypt() return nil and a message when
-- they fail: a wrong tag or key, text that is not whole blocks.

local cipher = require "resty.openssl.cipher"

local format = string.format
local setmetatable = setmetatable
local type = type

local _M = {
    _VERSION = "0.16",
    --- Digests for keys from passwords: md5, sha1, sha224, sha256, sha384, sha512.
    hash = {
        md5 = "md5", sha1 = "sha1", sha224 = "sha224", sha256 = "sha256", sha384 = "sha384",
        sha512 = "sha512",
    },
}

---@class resty.aes
local mt = { __index = _M }

--- A cipher for new().
---@param size? integer bits of the key: 128, 192 or 256; 128
---@param mode? string "cbc", "ecb", "ctr", "gcm", "cfb", "cfb1", "cfb8", "cfb128", "ofb"; cbc
---@return table? cipher nil when OpenSSL has none of that name
function _M.cipher(size, mode)
    local name = format("aes-%d-%s", size or 128, mode or "cbc")
    if not cipher.new(name) then
        return nil
    end
    return { size = size or 128, cipher = mode or "cbc", method = name }
end

-- Key and iv from what new() is given; nil and a message.
local function key_and_iv(self, key, salt, hash, rounds)
    local c = self._cipher
    if type(hash) == "table" then
        if not hash.iv then
            return nil, "iv is needed"
        end
        if hash.method then
            key = hash.method(key)
        end
        if #key ~= c.key_size then
            return nil, "bad key length"
        end
        if #hash.iv ~= c.iv_size and not c.is_aead then
            return nil, "bad iv length"
        end
        return key, hash.iv
    end
    if salt and #salt ~= 8 then
        return nil, "salt must be 8 characters or nil"
    end
    return c:derive(key, salt, rounds, hash)
end

--- Makes a box that encrypts and decrypts.
---@param key string a password, or with { iv = … } the key itself
---@param salt? string 8 bytes, for a password
---@param kind? table of aes.cipher(): AES-128-CBC
---@param hash? string|table one of aes.hash for a password: md5; or { iv = …, method = function(key) … end }
---@param hash_rounds? integer 1
---@param iv_len? integer of GCM with a password: the iv is cut to it; 12
---@param enable_padding? boolean true
---@return resty.aes? box
---@return string? err
function _M.new(_, key, salt, kind, hash, hash_rounds, iv_len, enable_padding)
    kind = kind or _M.cipher()
    local c, err = cipher.new(kind.method)
    if not c then
        return nil, err
    end
    local self = setmetatable({
        _cipher = c, _kind = kind, _no_padding = enable_padding == false,
    }, mt)
    local secret, iv = key_and_iv(self, key, salt, hash or "md5", hash_rounds or 1)
    if not secret then
        return nil, iv
    end
    if iv_len and c.is_aead then
        iv = iv:sub(1, iv_len)
    end
    self._key, self._iv = secret, iv
    return self
end

--- Encrypts a text.
---@param s string
---@param aad? string of GCM: what is authentic but not secret
---@return string|string[]|nil secret of GCM {secret, tag}
---@return string? err
function _M:encrypt(s, aad)
    local c = self._cipher
    local secret, err = c:encrypt(self._key, self._iv, s, self._no_padding, aad)
    if not secret then
        return nil, err
    end
    if c.is_aead then
        return { secret, c:get_aead_tag() }
    end
    return secret
end

--- Decrypts one.
---@param s string
---@param tag? string of GCM
---@param aad? string of GCM
---@return string? text
---@return string? err
function _M:decrypt(s, tag, aad)
    return self._cipher:decrypt(self._key, self._iv, s, self._no_padding, aad, tag)
end

return _M
