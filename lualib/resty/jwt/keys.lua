--- The keys of resty.jwt: which algorithm wants which key, and keys out of everything that may be one.
--
-- The algorithm in a token's header is what an attacker writes. So the key is asked first what it is (a
-- secret, an RSA key, a key of a certain curve), and an algorithm of another family is refused.

local cjson = require "cjson.safe"
local lrucache = require "resty.lrucache"
local pkey = require "resty.openssl.pkey"
local x509 = require "resty.openssl.x509"

local decode_base64url = require("ngx.base64").decode_base64url
local byte = string.byte
local find = string.find
local getmetatable = getmetatable
local ipairs = ipairs
local rawget = rawget
local setmetatable = setmetatable
local type = type

local PSS = pkey.PADDINGS.RSA_PKCS1_PSS_PADDING
local DER_SEQUENCE = 0x30
local RAW = { ecdsa_use_raw = true }

local _M = {}

-- By name: kind of key, digest, curve (bits of an EC key), padding, options.
_M.ALGORITHMS = {
    HS256 = { kind = "oct", md = "sha256" },
    HS384 = { kind = "oct", md = "sha384" },
    HS512 = { kind = "oct", md = "sha512" },
    RS256 = { kind = "RSA", md = "sha256" },
    RS384 = { kind = "RSA", md = "sha384" },
    RS512 = { kind = "RSA", md = "sha512" },
    PS256 = { kind = "RSA", md = "sha256", padding = PSS, options = { pss_saltlen = 32 } },
    PS384 = { kind = "RSA", md = "sha384", padding = PSS, options = { pss_saltlen = 48 } },
    PS512 = { kind = "RSA", md = "sha512", padding = PSS, options = { pss_saltlen = 64 } },
    ES256 = { kind = "EC", md = "sha256", bits = 256, options = RAW },
    ES384 = { kind = "EC", md = "sha384", bits = 384, options = RAW },
    ES512 = { kind = "EC", md = "sha512", bits = 521, options = RAW },
    EdDSA = { kind = "OKP" },
}
local ALGORITHMS = _M.ALGORITHMS
local KINDS = { [6] = "RSA", [912] = "RSA", [408] = "EC", [1087] = "OKP", [1088] = "OKP" }

local set_mt = {}

-- ------------------------------------------------------------- one key

local function kind_of(key)
    return KINDS[key:get_key_type(true)]
end

local function fits(key, alg)
    local algorithm = ALGORITHMS[alg]
    return kind_of(key) == algorithm.kind
        and (not algorithm.bits or key:get_bits() == algorithm.bits)
end

local parsed = lrucache.new(64) -- text of a key or certificate -> pkey, or false: it is none

local function parse_text(text)
    if find(text, "-----BEGIN CERTIFICATE-----", 1, true) then
        local cert = x509.new(text)
        return cert and cert:get_pubkey()
    end
    if find(text, "^%s*{") then
        return (pkey.new(text, { format = "JWK" }))
    end
    return (pkey.new(text))
end

local function key_of_text(text)
    local key = parsed:get(text)
    if key == nil then
        key = parse_text(text) or false
        parsed:set(text, key)
    end
    return key
end

-- Whether a text is a key of another kind than a secret: PEM, DER or JWK. Who takes a public key as a
-- secret signs with what everybody knows.
local function is_key(text)
    return find(text, "-----BEGIN ", 1, true) ~= nil
        or find(text, "^%s*{") ~= nil and type(cjson.decode(text)) == "table"
        or byte(text) == DER_SEQUENCE and key_of_text(text) ~= false
end

-- A JWK as the key itself: a secret, or a pkey; nil and a message.
local function key_of_jwk(jwk)
    if jwk.kty == "oct" then
        local secret = type(jwk.k) == "string" and decode_base64url(jwk.k)
        if not secret or secret == "" then
            return nil, 'an oct JWK needs "k"'
        end
        return secret
    end
    local text = cjson.encode(jwk)
    return text and key_of_text(text) or nil, "not a JWK that could be read"
end

-- The secret or the pkey that a value stands for, for an algorithm; nil and a message.
local function key_for(value, alg)
    local is_secret = ALGORITHMS[alg].kind == "oct"
    if type(value) == "table" and not pkey.istype(value) then
        local err
        value, err = key_of_jwk(value)
        if not value then
            return nil, err
        end
        if is_secret ~= (type(value) == "string") then
            return nil, "the key is not one for " .. alg
        end
        return value
    end
    if is_secret then
        if type(value) ~= "string" or value == "" or is_key(value) then
            return nil, "the key is not one for " .. alg
        end
        return value
    end
    if type(value) == "string" then
        value = key_of_text(value)
    end
    if not value then
        return nil, "failed to read the key"
    end
    return value
end

local function fitting(value, alg)
    local key, err = key_for(value, alg)
    if key and type(key) ~= "string" and not fits(key, alg) then
        return nil, "the key is not one for " .. alg
    end
    return key, err
end

-- ------------------------------------------------------------- sets of keys

local function entry_of(jwk)
    local key = type(jwk) == "table" and key_of_jwk(jwk)
    if not key then
        return nil
    end
    return { key = key, kid = jwk.kid, alg = jwk.alg, use = jwk.use }
end

-- A set of JWKs: text or table; keys of types that are not known are left out, as RFC 7517 says.
function _M.set(document)
    if type(document) == "string" then
        document = cjson.decode(document)
    end
    if type(document) ~= "table" or type(document.keys) ~= "table" then
        return nil, 'a set of keys needs "keys"'
    end
    local set = setmetatable({ entries = {} }, set_mt)
    for _, jwk in ipairs(document.keys) do
        set.entries[#set.entries + 1] = entry_of(jwk)
    end
    return set
end

local function is_candidate(entry, alg, kid)
    if entry.use and entry.use ~= "sig" or entry.alg and entry.alg ~= alg
        or kid ~= nil and entry.kid ~= nil and entry.kid ~= kid then
        return false
    end
    if type(entry.key) == "string" then
        return ALGORITHMS[alg].kind == "oct"
    end
    return fits(entry.key, alg)
end

local function from_set(set, alg, kid)
    local candidates = {}
    for _, entry in ipairs(set.entries) do
        if is_candidate(entry, alg, kid) then
            candidates[#candidates + 1] = entry.key
        end
    end
    if #candidates == 0 then
        return nil, "no key of the set fits"
    end
    return candidates
end

-- ------------------------------------------------------------- for resty.jwt

-- The key to sign with; nil and a message.
function _M.for_signing(value, alg)
    local key, err = fitting(value, alg)
    if key and type(key) ~= "string" and not key:is_private() then
        return nil, "a private key is needed to sign"
    end
    return key, err
end

-- A list of keys that may have signed; nil and a message.
function _M.for_checking(value, alg, header)
    if type(value) == "function" then
        local err
        value, err = value(header.kid, header)
        if value == nil then
            return nil, err or "no key"
        end
    end
    if type(value) == "table" and getmetatable(value) == set_mt then
        return from_set(value, alg, header.kid)
    end
    if type(value) == "table" and rawget(value, "keys") then
        local set, err = _M.set(value)
        if not set then
            return nil, err
        end
        return from_set(set, alg, header.kid)
    end
    local key, err = fitting(value, alg)
    if not key then
        return nil, err
    end
    return { key }
end

return _M
