--- resty.openssl.pkey: key pairs and public keys (RSA, EC, Ed25519, X25519, …): signatures, encryption,
-- agreement.
--
--     local pkey = require "resty.openssl.pkey"
--     local key = assert(pkey.new { type = "EC", curve = "prime256v1" })
--     local signature = assert(key:sign("text", "sha256"))
--
--     local public = assert(pkey.new(key:to_PEM("public")))
--     local ok, err = public:verify(signature, "text", "sha256")
--
-- Keys come as PEM, DER or JWK (RFC 7517). Errors are nil and a message; a signature that is wrong is
-- false. Private keys that are encrypted need their passphrase: nothing is ever asked for at a terminal.

local bn = require "resty.openssl.bn"
local crypto = require "resty.openssl.crypto"
local ffi = require "ffi"
local jwk = require "resty.openssl.jwk"

local C = ffi.C
local failure = crypto.failure
local ffi_new = ffi.new
local ffi_string = ffi.string
local getmetatable = getmetatable
local owned = crypto.owned
local setmetatable = setmetatable
local tonumber = tonumber
local tostring = tostring
local type = type
local upper = string.upper

local SELECT_PRIVATE = 0x87 -- EVP_PKEY_KEYPAIR
local SELECT_PUBLIC = 0x86  -- EVP_PKEY_PUBLIC_KEY

-- EVP_PKEY_get_base_id() of what signs without a digest of the caller's.
local ONE_SHOT = { [1087] = true, [1088] = true } -- Ed25519, Ed448
local RSA = 6
local EC = 408

local PADDING_NAMES = { [1] = "pkcs1", [3] = "none", [4] = "oaep", [5] = "x931", [6] = "pss" }

local _M = {
    _VERSION = "1.0",
    PADDINGS = {
        RSA_PKCS1_PADDING = 1, RSA_NO_PADDING = 3, RSA_PKCS1_OAEP_PADDING = 4,
        RSA_X931_PADDING = 5, RSA_PKCS1_PSS_PADDING = 6,
    },
}

---@class resty.openssl.pkey
local mt = { __index = _M }

local function wrap(ctx, private)
    return setmetatable({ ctx = ctx, private = private, kind = C.bl_EVP_PKEY_get_base_id(ctx) }, mt)
end

-- Takes over an EVP_PKEY of which only the public half counts.
function _M._public(ctx)
    return wrap(owned(ctx, C.bl_EVP_PKEY_free), false)
end

-- ------------------------------------------------------------- where keys come from

local KEYGEN = {
    RSA = { { "bits", "rsa_keygen_bits" }, { "exp", "rsa_keygen_pubexp" } },
    EC = { { "curve", "ec_paramgen_curve" } },
    DH = { { "group", "dh_param" } },
}
local KEYGEN_DEFAULTS = { bits = 2048, exp = 65537, curve = "prime256v1", group = "ffdhe2048" }

local function generate(options)
    local name = options.type or "RSA"
    local ctx = owned(C.bl_EVP_PKEY_CTX_new_from_name(nil, name, nil), C.bl_EVP_PKEY_CTX_free)
    if not ctx or C.bl_EVP_PKEY_keygen_init(ctx) ~= 1 then
        return failure("pkey.new: type " .. tostring(name))
    end
    for _, option in ipairs(KEYGEN[upper(name)] or {}) do
        local value = tostring(options[option[1]] or KEYGEN_DEFAULTS[option[1]])
        if C.bl_EVP_PKEY_CTX_ctrl_str(ctx, option[2], value) ~= 1 then
            return failure("pkey.new: " .. option[1] .. " " .. value)
        end
    end
    local holder = ffi_new("void *[1]")
    if C.bl_EVP_PKEY_generate(ctx, holder) ~= 1 then
        return failure("pkey.new")
    end
    return wrap(owned(holder[0], C.bl_EVP_PKEY_free), true)
end

-- One try of OpenSSL's decoders: the key or nil.
local function decode(text, format, selection, passphrase)
    local holder = ffi_new("void *[1]")
    local ctx = owned(C.bl_OSSL_DECODER_CTX_new_for_pkey(holder, format, nil, nil, selection, nil, nil),
                      C.bl_OSSL_DECODER_CTX_free)
    local data, len = ffi_new("const unsigned char *[1]", ffi.cast("const unsigned char *", text)),
        ffi_new("size_t[1]", #text)
    if ctx and C.bl_OSSL_DECODER_CTX_set_passphrase(ctx, passphrase, #passphrase) == 1
        and C.bl_OSSL_DECODER_from_data(ctx, data, len) == 1 and holder[0] ~= nil then
        return owned(holder[0], C.bl_EVP_PKEY_free)
    end
end

---@class resty.openssl.pkey.load_options
---@field format? string "PEM", "DER", "JWK" or "*" (the first two): *
---@field type? string "pr" private, "pu" public, "*" either: *
---@field passphrase? string

local function load(text, options)
    local format, kind = options.format or "*", options.type or "*"
    if format == "JWK" then
        local ctx, private = jwk.read(text, kind)
        if not ctx then
            return nil, "pkey.new: " .. private
        end
        return wrap(ctx, private)
    end
    local passphrase = options.passphrase or ""
    local decoder = format ~= "*" and format or nil
    if kind ~= "pu" then
        local key = decode(text, decoder, SELECT_PRIVATE, passphrase)
        if key then
            C.bl_ERR_clear_error()
            return wrap(key, true)
        end
    end
    if kind ~= "pr" then
        local key = decode(text, decoder, SELECT_PUBLIC, passphrase)
        if key then
            C.bl_ERR_clear_error()
            return wrap(key, false)
        end
    end
    return failure("pkey.new: no key could be read")
end

--- Reads a key from text, or makes a new one.
---@param what? string|table PEM, DER or JWK text; or {type="RSA", bits=2048, exp=65537},
---     {type="EC", curve="prime256v1"}, {type="Ed25519"}, {type="X25519"}, …; {type="RSA"}
---@param options? resty.openssl.pkey.load_options
---@return resty.openssl.pkey? key
---@return string? err
function _M.new(what, options)
    if type(what) == "string" then
        return load(what, options or {})
    end
    return generate(what or {})
end

--- Whether a value is a key.
---@param value any
---@return boolean
function _M.istype(value)
    return type(value) == "table" and getmetatable(value) == mt
end

-- ------------------------------------------------------------- what they are

--- Whether it has its private half.
---@return boolean
function _M:is_private()
    return self.private
end

--- What kind of key it is: {sn = "rsaEncryption", ln = …, nid = 6, id = …}; with `nid_only` the number.
---@param nid_only? boolean
---@return table|integer
function _M:get_key_type(nid_only)
    if nid_only then
        return self.kind
    end
    return {
        sn = ffi_string(C.bl_OBJ_nid2sn(self.kind)), ln = ffi_string(C.bl_OBJ_nid2ln(self.kind)),
        nid = self.kind,
    }
end

--- The size of its signatures and of what it encrypts, at most, in bytes.
---@return integer
function _M:get_size()
    return C.bl_EVP_PKEY_get_size(self.ctx)
end

--- Its size in bits.
---@return integer
function _M:get_bits()
    return C.bl_EVP_PKEY_get_bits(self.ctx)
end

local NUMBERS = {
    [RSA] = {
        n = "n", e = "e", d = "d", p = "rsa-factor1", q = "rsa-factor2", dmp1 = "rsa-exponent1",
        dmq1 = "rsa-exponent2", iqmp = "rsa-coefficient1",
    },
    [EC] = { x = "qx", y = "qy", private = "priv" },
}

--- The numbers it is made of, as resty.openssl.bn: n e d p q dmp1 dmq1 iqmp of RSA; x y private and
--- `group` (the curve's name) of EC; of others the bytes `public` and `private`.
---@return table parameters
function _M:get_parameters()
    local parameters = {}
    for name, openssl_name in pairs(NUMBERS[self.kind] or {}) do
        local holder = ffi_new("void *[1]")
        if C.bl_EVP_PKEY_get_bn_param(self.ctx, openssl_name, holder) == 1 then
            parameters[name] = bn._wrap(holder[0])
        end
    end
    if self.kind == EC then
        parameters.group = jwk.group(self.ctx)
    elseif self.kind ~= RSA then
        parameters.public = jwk.raw(self.ctx, C.bl_EVP_PKEY_get_raw_public_key)
        parameters.private = jwk.raw(self.ctx, C.bl_EVP_PKEY_get_raw_private_key)
    end
    C.bl_ERR_clear_error()
    return parameters
end

-- ------------------------------------------------------------- text

--- The key as text.
---@param which? string "public" (the default) or "private"
---@param format? string "PEM" (the default), "DER" or "JWK"
---@param pkcs1? boolean an RSA or EC key in its old form instead of PKCS #8 and SubjectPublicKeyInfo
---@return string? text
---@return string? err
function _M:tostring(which, format, pkcs1)
    local private = which == "private" or which == "PrivateKey"
    if private and not self.private then
        return nil, "pkey:tostring: this is a public key"
    end
    format = format or "PEM"
    if format == "JWK" then
        return jwk.write(self, private)
    end
    local structure = pkcs1 and "type-specific" or private and "PrivateKeyInfo"
        or "SubjectPublicKeyInfo"
    local ctx = owned(C.bl_OSSL_ENCODER_CTX_new_for_pkey(self.ctx,
        private and SELECT_PRIVATE or SELECT_PUBLIC, format, structure, nil),
        C.bl_OSSL_ENCODER_CTX_free)
    local data, len = ffi_new("unsigned char *[1]"), ffi_new("size_t[1]")
    if not ctx or C.bl_OSSL_ENCODER_to_data(ctx, data, len) ~= 1 then
        return failure("pkey:tostring")
    end
    return crypto.take(data[0], len[0])
end

--- The key as PEM.
---@param which? string "public" (the default) or "private"
---@param pkcs1? boolean as for tostring
---@return string? pem
---@return string? err
function _M:to_PEM(which, pkcs1)
    return self:tostring(which, "PEM", pkcs1)
end

-- ------------------------------------------------------------- signatures

---@class resty.openssl.pkey.sign_options
---@field pss_saltlen? integer|string bytes, "digest", "max" or "auto"
---@field mgf1_md? string
---@field ecdsa_use_raw? boolean r and s side by side, as JWS has them, instead of ASN.1

local function set(ctx, name, value)
    return C.bl_EVP_PKEY_CTX_ctrl_str(ctx, name, value) == 1
end

local function set_padding(ctx, padding, options)
    if not padding or padding == 0 then
        return true
    end
    local name = PADDING_NAMES[padding]
    return name ~= nil and set(ctx, "rsa_padding_mode", name)
        and (not (options and options.pss_saltlen)
            or set(ctx, "rsa_pss_saltlen", tostring(options.pss_saltlen)))
        and (not (options and options.mgf1_md) or set(ctx, "rsa_mgf1_md", options.mgf1_md))
end

-- Of a digest object or a name: OpenSSL's digest; nil, err.
local function digest_for(self, md)
    if ONE_SHOT[self.kind] then
        return nil
    end
    local digest = crypto.digest(md or "sha256")
    if not digest then
        return nil, 'invalid digest type "' .. tostring(md) .. '"'
    end
    return digest
end

-- ECDSA's ASN.1 signature as r and s of the same length, and back.
local function ecdsa_to_raw(self, der)
    local data = ffi_new("const unsigned char *[1]", ffi.cast("const unsigned char *", der))
    local sig = owned(C.bl_d2i_ECDSA_SIG(nil, data, #der), C.bl_ECDSA_SIG_free)
    if not sig then
        return failure("pkey:sign")
    end
    local r, s = ffi_new("const void *[1]"), ffi_new("const void *[1]")
    local len = math.ceil(self:get_bits() / 8)
    C.bl_ECDSA_SIG_get0(sig, r, s)
    return crypto.number_bytes(r[0], len) .. crypto.number_bytes(s[0], len)
end

local function ecdsa_from_raw(self, raw)
    local len = math.ceil(self:get_bits() / 8)
    if #raw ~= 2 * len then
        return nil
    end
    local sig = owned(C.bl_ECDSA_SIG_new(), C.bl_ECDSA_SIG_free)
    C.bl_ECDSA_SIG_set0(sig, C.bl_BN_bin2bn(raw, len, nil),
                        C.bl_BN_bin2bn(ffi.cast("const unsigned char *", raw) + len, len, nil))
    local to = ffi_new("unsigned char *[1]")
    local n = C.bl_i2d_ECDSA_SIG(sig, to)
    return n > 0 and crypto.take(to[0], n) or nil
end

-- An EVP_MD_CTX ready to sign or to verify; nil, err.
local function begin(self, what, init, md, padding, options)
    local digest, err = digest_for(self, md)
    if err then
        return nil, what .. ": " .. err
    end
    local ctx = owned(C.bl_EVP_MD_CTX_new(), C.bl_EVP_MD_CTX_free)
    local pctx = ffi_new("void *[1]")
    if not ctx or init(ctx, pctx, digest, nil, self.ctx) ~= 1
        or not set_padding(pctx[0], padding, options) then
        return failure(what)
    end
    return ctx
end

-- A digest object that was given instead of the text: its value, and OpenSSL's name for it.
local function finished(digest)
    return digest:final(), digest.algo
end

local function sign_digest(self, digest, padding, options)
    local value, algo = finished(digest)
    local ctx = owned(C.bl_EVP_PKEY_CTX_new(self.ctx, nil), C.bl_EVP_PKEY_CTX_free)
    local len = ffi_new("size_t[1]", C.bl_EVP_PKEY_get_size(self.ctx))
    local to = ffi_new("unsigned char[?]", len[0])
    if not ctx or C.bl_EVP_PKEY_sign_init(ctx) ~= 1 or not set_padding(ctx, padding, options)
        or C.bl_EVP_PKEY_CTX_set_signature_md(ctx, algo) ~= 1
        or C.bl_EVP_PKEY_sign(ctx, to, len, value, #value) ~= 1 then
        return failure("pkey:sign")
    end
    return ffi_string(to, len[0])
end

local function sign_text(self, text, md, padding, options)
    local ctx, err = begin(self, "pkey:sign", C.bl_EVP_DigestSignInit, md, padding, options)
    if not ctx then
        return nil, err
    end
    local len = ffi_new("size_t[1]", C.bl_EVP_PKEY_get_size(self.ctx))
    local to = ffi_new("unsigned char[?]", len[0])
    if C.bl_EVP_DigestSign(ctx, to, len, text, #text) ~= 1 then
        return failure("pkey:sign")
    end
    return ffi_string(to, len[0])
end

--- Signs.
---@param text string|resty.openssl.digest a digest is ended by this
---@param md? string the digest of a text: sha256. Ed25519 and Ed448 have their own
---@param padding? integer of RSA: one of PADDINGS; PKCS #1
---@param options? resty.openssl.pkey.sign_options
---@return string? signature
---@return string? err
function _M:sign(text, md, padding, options)
    if not self.private then
        return nil, "pkey:sign: this is a public key"
    end
    local signer = type(text) == "table" and sign_digest or sign_text
    local signature, err
    if signer == sign_digest then
        signature, err = sign_digest(self, text, padding, options)
    else
        signature, err = sign_text(self, text, md, padding, options)
    end
    if signature and self.kind == EC and options and options.ecdsa_use_raw then
        return ecdsa_to_raw(self, signature)
    end
    return signature, err
end

local function verify_digest(self, signature, digest, padding, options)
    local value, algo = finished(digest)
    local ctx = owned(C.bl_EVP_PKEY_CTX_new(self.ctx, nil), C.bl_EVP_PKEY_CTX_free)
    if not ctx or C.bl_EVP_PKEY_verify_init(ctx) ~= 1 or not set_padding(ctx, padding, options)
        or C.bl_EVP_PKEY_CTX_set_signature_md(ctx, algo) ~= 1 then
        return failure("pkey:verify")
    end
    return C.bl_EVP_PKEY_verify(ctx, signature, #signature, value, #value) == 1
end

local function verify_text(self, signature, text, md, padding, options)
    local ctx, err = begin(self, "pkey:verify", C.bl_EVP_DigestVerifyInit, md, padding, options)
    if not ctx then
        return nil, err
    end
    return C.bl_EVP_DigestVerify(ctx, signature, #signature, text, #text) == 1
end

--- Checks a signature. Arguments as for sign().
---@param signature string
---@param text string|resty.openssl.digest
---@param md? string
---@param padding? integer
---@param options? resty.openssl.pkey.sign_options
---@return boolean? ok false: it is wrong; nil: it could not be checked
---@return string? err
function _M:verify(signature, text, md, padding, options)
    if self.kind == EC and options and options.ecdsa_use_raw then
        signature = ecdsa_from_raw(self, signature)
        if not signature then
            return false
        end
    end
    local ok, err
    if type(text) == "table" then
        ok, err = verify_digest(self, signature, text, padding, options)
    else
        ok, err = verify_text(self, signature, text, md, padding, options)
    end
    if ok == false then
        C.bl_ERR_clear_error()
    end
    return ok, err
end

-- ------------------------------------------------------------- encryption, agreement

local function crypt(self, what, init, run, text, padding, options)
    local ctx = owned(C.bl_EVP_PKEY_CTX_new(self.ctx, nil), C.bl_EVP_PKEY_CTX_free)
    local len = ffi_new("size_t[1]")
    if not ctx or init(ctx) ~= 1 or not set_padding(ctx, padding or 1, options)
        or options and options.oaep_md and not set(ctx, "rsa_oaep_md", options.oaep_md)
        or run(ctx, nil, len, text, #text) ~= 1 then
        return failure(what)
    end
    local to = ffi_new("unsigned char[?]", len[0])
    if run(ctx, to, len, text, #text) ~= 1 then
        return failure(what)
    end
    return ffi_string(to, len[0])
end

--- Encrypts with the public half (RSA).
---@param text string no longer than the key less the padding
---@param padding? integer PKCS #1; new programs take RSA_PKCS1_OAEP_PADDING
---@param options? table `oaep_md`, `mgf1_md`: digests of OAEP; sha1
---@return string? secret
---@return string? err
function _M:encrypt(text, padding, options)
    return crypt(self, "pkey:encrypt", C.bl_EVP_PKEY_encrypt_init, C.bl_EVP_PKEY_encrypt, text,
                 padding, options)
end

--- Decrypts with the private half (RSA).
---@param secret string
---@param padding? integer
---@param options? table
---@return string? text
---@return string? err
function _M:decrypt(secret, padding, options)
    if not self.private then
        return nil, "pkey:decrypt: this is a public key"
    end
    return crypt(self, "pkey:decrypt", C.bl_EVP_PKEY_decrypt_init, C.bl_EVP_PKEY_decrypt, secret,
                 padding, options)
end

--- The secret that both sides come to with each other's public keys (X25519, X448, EC, DH).
---@param peer resty.openssl.pkey
---@return string? secret to be given to a kdf
---@return string? err
function _M:derive(peer)
    local ctx = owned(C.bl_EVP_PKEY_CTX_new(self.ctx, nil), C.bl_EVP_PKEY_CTX_free)
    local len = ffi_new("size_t[1]")
    if not ctx or C.bl_EVP_PKEY_derive_init(ctx) ~= 1
        or C.bl_EVP_PKEY_derive_set_peer(ctx, peer.ctx) ~= 1
        or C.bl_EVP_PKEY_derive(ctx, nil, len) ~= 1 then
        return failure("pkey:derive")
    end
    local to = ffi_new("unsigned char[?]", len[0])
    if C.bl_EVP_PKEY_derive(ctx, to, len) ~= 1 then
        return failure("pkey:derive")
    end
    return ffi_string(to, tonumber(len[0]))
end

mt.__tostring = function(self)
    return (self:tostring("public"))
end

mt.__eq = function(a, b)
    return C.bl_EVP_PKEY_eq(a.ctx, b.ctx) == 1
end

return _M
