--- resty.openssl.cipher: encryption with one key for both sides.
--
--     local cipher = assert(require("resty.openssl.cipher").new("aes-256-gcm"))
--     local secret = assert(cipher:encrypt(key, iv, "text", false, "also authentic"))
--     local tag = assert(cipher:get_aead_tag())
--
--     local text, err = cipher:decrypt(key, iv, secret, false, "also authentic", tag)
--     if not text then return ngx.exit(403) end
--
-- or, a piece at a time: init(), update() for each, final(). With an AEAD cipher (GCM, CCM, OCB,
-- ChaCha20-Poly1305) what decrypt() returns is authentic; a wrong tag, key or iv is nil and a message.
-- An iv must never be used twice with the same key.

local crypto = require "resty.openssl.crypto"
local ffi = require "ffi"

local C = ffi.C
local band = bit.band
local concat = table.concat
local failure = crypto.failure
local ffi_new = ffi.new
local ffi_string = ffi.string
local select = select
local setmetatable = setmetatable
local tonumber = tonumber

local CTRL_SET_IV_LENGTH = 9
local CTRL_GET_TAG = 16
local CTRL_SET_TAG = 17
local MODE_CCM = 7
local FLAG_AEAD = 0x200000

local _M = { _VERSION = "1.0" }

---@class resty.openssl.cipher
local mt = { __index = _M }

--- Makes one.
---@param name string as OpenSSL calls it: "aes-128-cbc", "aes-256-gcm", "chacha20-poly1305"
---@return resty.openssl.cipher? cipher
---@return string? err
function _M.new(name)
    local algo = name and crypto.cipher(name)
    if not algo then
        return nil, 'cipher.new: invalid cipher type "' .. (name or "nil") .. '"'
    end
    local ctx = crypto.owned(C.bl_EVP_CIPHER_CTX_new(), C.bl_EVP_CIPHER_CTX_free)
    if not ctx then
        return failure("cipher.new")
    end
    return setmetatable({
        ctx = ctx,
        algo = algo,
        key_size = C.bl_EVP_CIPHER_get_key_length(algo),
        iv_size = C.bl_EVP_CIPHER_get_iv_length(algo),
        block_size = C.bl_EVP_CIPHER_get_block_size(algo),
        is_aead = band(tonumber(C.bl_EVP_CIPHER_get_flags(algo)), FLAG_AEAD) ~= 0,
        is_ccm = C.bl_EVP_CIPHER_get_mode(algo) == MODE_CCM,
        initialized = false,
    }, mt)
end

---@class resty.openssl.cipher.options
---@field is_encrypt? boolean false: to decrypt
---@field no_padding? boolean the text must be whole blocks then
---@field tag? string of a CCM cipher, to decrypt

-- nil: room for one of 16 bytes. OpenSSL copies it, but takes no const pointer.
local function set_tag(self, tag)
    local copy = tag and ffi_new("unsigned char[?]", #tag + 1, tag)
    return C.bl_EVP_CIPHER_CTX_ctrl(self.ctx, CTRL_SET_TAG, tag and #tag or 16, copy) == 1
end

--- Begins a message.
---@param key string of exactly key_size bytes
---@param iv string of exactly iv_size bytes (AEAD ciphers: of any length but 0)
---@param options? resty.openssl.cipher.options
---@return boolean? ok
---@return string? err
function _M:init(key, iv, options)
    local ctx, encrypt = self.ctx, options and options.is_encrypt and 1 or 0
    iv = iv or ""
    if #key ~= self.key_size then
        return nil, "cipher:init: incorrect key size, expected " .. self.key_size
    end
    if #iv ~= self.iv_size and not (self.is_aead and #iv > 0) then
        return nil, "cipher:init: incorrect iv size, expected " .. self.iv_size
    end
    if C.bl_EVP_CipherInit_ex(ctx, self.algo, nil, nil, nil, encrypt) ~= 1
        or #iv ~= self.iv_size
            and C.bl_EVP_CIPHER_CTX_ctrl(ctx, CTRL_SET_IV_LENGTH, #iv, nil) ~= 1
        or self.is_ccm and not set_tag(self, options and options.tag)
        or C.bl_EVP_CipherInit_ex(ctx, nil, nil, key, iv, encrypt) ~= 1 then
        return failure("cipher:init")
    end
    C.bl_EVP_CIPHER_CTX_set_padding(ctx, options and options.no_padding and 0 or 1)
    self.initialized = true
    return true
end

--- Adds what is authentic but not secret; before update().
---@param aad string
---@return boolean? ok
---@return string? err
function _M:update_aead_aad(aad)
    if C.bl_EVP_CipherUpdate(self.ctx, nil, crypto.int, aad, #aad) ~= 1 then
        return failure("cipher:update_aead_aad")
    end
    return true
end

--- Encrypts or decrypts the next pieces.
---@param ... string
---@return string? piece as much as is ready
---@return string? err
function _M:update(...)
    if not self.initialized then
        return nil, "cipher:update: cipher not initialized, call cipher:init first"
    end
    local parts = {}
    for i = 1, select("#", ...) do
        local s = select(i, ...)
        local to = ffi_new("unsigned char[?]", #s + self.block_size)
        if C.bl_EVP_CipherUpdate(self.ctx, to, crypto.int, s, #s) ~= 1 then
            return failure("cipher:update")
        end
        parts[i] = ffi_string(to, crypto.int[0])
    end
    return parts[2] and concat(parts) or parts[1] or ""
end

--- The end of the message, behind the last piece if one is given.
---@param s? string
---@return string? piece what was left; of an AEAD cipher it may only be used when this succeeds
---@return string? err
function _M:final(s)
    local front = ""
    if s then
        local piece, err = self:update(s)
        if not piece then
            return nil, err
        end
        front = piece
    end
    local to = ffi_new("unsigned char[?]", self.block_size)
    if C.bl_EVP_CipherFinal_ex(self.ctx, to, crypto.int) ~= 1 then
        return failure("cipher:final")
    end
    return front .. ffi_string(to, crypto.int[0])
end

--- The tag of the message that was encrypted.
---@param size? integer 16 bytes
---@return string? tag
---@return string? err
function _M:get_aead_tag(size)
    size = size or 16
    local to = ffi_new("unsigned char[?]", size)
    if C.bl_EVP_CIPHER_CTX_ctrl(self.ctx, CTRL_GET_TAG, size, to) ~= 1 then
        return failure("cipher:get_aead_tag")
    end
    return ffi_string(to, size)
end

--- The tag that the message to be decrypted must have; before final(). Check its length when it comes from
--- somebody else: decrypt() does.
---@param tag string
---@return boolean? ok
---@return string? err
function _M:set_aead_tag(tag)
    if not set_tag(self, tag) then
        return failure("cipher:set_aead_tag")
    end
    return true
end

-- The whole message at once. CCM has to know its length first, and has the tag already.
local function run(self, key, iv, s, aad, options)
    local ok, err = self:init(key, iv, options)
    if ok and self.is_ccm then
        ok = C.bl_EVP_CipherUpdate(self.ctx, nil, crypto.int, nil, #s) == 1
        if not ok then
            return failure("cipher")
        end
    end
    if ok and aad then
        ok, err = self:update_aead_aad(aad)
    end
    if not ok then
        return nil, err
    end
    if self.is_ccm then
        return self:update(s)
    end
    if options.tag then
        ok, err = self:set_aead_tag(options.tag)
        if not ok then
            return nil, err
        end
    end
    return self:final(s)
end

--- Encrypts a text.
---@param key string
---@param iv string
---@param s string
---@param no_padding? boolean
---@param aad? string
---@return string? secret
---@return string? err
function _M:encrypt(key, iv, s, no_padding, aad)
    return run(self, key, iv, s, aad, { is_encrypt = true, no_padding = no_padding })
end

--- Decrypts one.
---@param key string
---@param iv string
---@param s string
---@param no_padding? boolean
---@param aad? string
---@param tag? string of an AEAD cipher, 12 to 16 bytes (CCM: from 4 on); without it nothing is decrypted
---@return string? text
---@return string? err
function _M:decrypt(key, iv, s, no_padding, aad, tag)
    if self.is_aead and not tag then
        return nil, "cipher:decrypt: an AEAD cipher needs the tag"
    end
    -- OpenSSL takes a tag of one byte, too, which an attacker guesses in 256 tries.
    if self.is_aead and (#tag > 16 or #tag < (self.is_ccm and 4 or 12)) then
        return nil, "cipher:decrypt: a tag of a wrong length"
    end
    return run(self, key, iv, s, aad, { no_padding = no_padding, tag = tag })
end

--- A key and an iv from a password, as `openssl enc` did it in the past (EVP_BytesToKey). New programs
--- take resty.openssl.kdf.
---@param key string
---@param salt? string 8 bytes
---@param count? integer 1
---@param md? string sha1
---@return string? key
---@return string iv_or_err
function _M:derive(key, salt, count, md)
    local digest = crypto.digest(md or "sha1")
    if not digest then
        return nil, 'cipher:derive: invalid digest type "' .. md .. '"'
    end
    if salt and #salt ~= 8 then
        return nil, "cipher:derive: a salt has 8 bytes"
    end
    local to, iv = ffi_new("unsigned char[64]"), ffi_new("unsigned char[16]")
    if C.bl_EVP_BytesToKey(self.algo, digest, salt, key, #key, count or 1, to, iv) == 0 then
        return failure("cipher:derive")
    end
    return ffi_string(to, self.key_size), ffi_string(iv, self.iv_size)
end

return _M
