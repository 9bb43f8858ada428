--- Keys as JSON (RFC 7517, 7518, 8037), for resty.openssl.pkey.

local cjson = require "cjson.safe"
local crypto = require "resty.openssl.crypto"
local ffi = require "ffi"

local C = ffi.C
local decode_base64url = require("ngx.base64").decode_base64url
local encode_base64url = require("ngx.base64").encode_base64url
local ffi_new = ffi.new
local ffi_string = ffi.string
local ipairs = ipairs
local owned = crypto.owned
local type = type

local SELECT_PRIVATE, SELECT_PUBLIC = 0x87, 0x86
local RSA, EC = 6, 408

-- A curve's name in JWK, OpenSSL's, and the length of a coordinate.
local CURVES = {
    ["P-256"] = { "prime256v1", 32 },
    ["P-384"] = { "secp384r1", 48 },
    ["P-521"] = { "secp521r1", 66 },
    ["secp256k1"] = { "secp256k1", 32 },
}
local CURVE_OF_GROUP = {}
for name, curve in pairs(CURVES) do
    CURVE_OF_GROUP[curve[1]] = name
end
local OKP_OF_KIND = { [1034] = "X25519", [1035] = "X448", [1087] = "Ed25519", [1088] = "Ed448" }
local OKP = { X25519 = true, X448 = true, Ed25519 = true, Ed448 = true }

local RSA_NUMBERS = {
    { "n", "n" }, { "e", "e" }, { "d", "d" }, { "p", "rsa-factor1" }, { "q", "rsa-factor2" },
    { "dp", "rsa-exponent1" }, { "dq", "rsa-exponent2" }, { "qi", "rsa-coefficient1" },
}

local _M = {}

-- The bytes that a function with (key, to, size_t *) gives; nil: there are none.
function _M.raw(key, get)
    local len = ffi_new("size_t[1]")
    if get(key, nil, len) ~= 1 then
        return nil
    end
    local to = ffi_new("unsigned char[?]", len[0])
    if get(key, to, len) ~= 1 then
        return nil
    end
    return ffi_string(to, len[0])
end

-- The name of an EC key's curve.
function _M.group(key)
    local to, len = ffi_new("char[64]"), ffi_new("size_t[1]")
    if C.bl_EVP_PKEY_get_utf8_string_param(key, "group", to, 64, len) == 1 then
        return ffi_string(to, len[0])
    end
end

-- ------------------------------------------------------------- from JSON

local function bytes_of(document, name)
    local text = document[name]
    return type(text) == "string" and decode_base64url(text) or nil
end

local function from_params(kind, list, private)
    local ctx = owned(C.bl_EVP_PKEY_CTX_new_from_name(nil, kind, nil), C.bl_EVP_PKEY_CTX_free)
    local params, holder = crypto.params(list), ffi_new("void *[1]")
    if not ctx or C.bl_EVP_PKEY_fromdata_init(ctx) ~= 1
        or C.bl_EVP_PKEY_fromdata(ctx, holder, private and SELECT_PRIVATE or SELECT_PUBLIC, params) ~= 1 then
        return crypto.failure("JWK")
    end
    return owned(holder[0], C.bl_EVP_PKEY_free), private
end

local function read_rsa(document, want_private)
    if not bytes_of(document, "n") or not bytes_of(document, "e") then
        return nil, 'an RSA JWK needs "n" and "e"'
    end
    local list, private = {}, want_private and bytes_of(document, "d") ~= nil
    for i, name in ipairs(RSA_NUMBERS) do
        local bytes = bytes_of(document, name[1])
        if bytes and (private or i <= 2) then
            list[#list + 1] = { "number", name[2], crypto.number(bytes) }
        end
    end
    return from_params("RSA", list, private)
end

local function read_ec(document, want_private)
    local curve = CURVES[document.crv]
    local x, y, d = bytes_of(document, "x"), bytes_of(document, "y"), bytes_of(document, "d")
    if not curve then
        return nil, "a JWK of an unknown curve"
    end
    if not x or not y or #x ~= curve[2] or #y ~= curve[2] then
        return nil, 'an EC JWK needs "x" and "y" of ' .. curve[2] .. " bytes"
    end
    local list = { { "text", "group", curve[1] }, { "bytes", "pub", "\4" .. x .. y } }
    local private = want_private and d ~= nil
    if private then
        list[3] = { "number", "priv", crypto.number(d) }
    end
    return from_params("EC", list, private)
end

local function read_okp(document, want_private)
    if not OKP[document.crv] then
        return nil, "a JWK of an unknown curve"
    end
    local x, d = bytes_of(document, "x"), bytes_of(document, "d")
    local private = want_private and d ~= nil
    local make = private and C.bl_EVP_PKEY_new_raw_private_key_ex or C.bl_EVP_PKEY_new_raw_public_key_ex
    local bytes = private and d or x
    if not bytes then
        return nil, 'an OKP JWK needs "x"'
    end
    local key = owned(make(nil, document.crv, nil, bytes, #bytes), C.bl_EVP_PKEY_free)
    if not key then
        return crypto.failure("JWK")
    end
    return key, private
end

local READERS = { RSA = read_rsa, EC = read_ec, OKP = read_okp }

-- The EVP_PKEY of a JWK (text or table), and whether it is private; nil and a message. `kind`: "pu"
-- leaves the private half out, "pr" asks for it.
function _M.read(text, kind)
    local document = type(text) == "table" and text or cjson.decode(text)
    local reader = type(document) == "table" and READERS[document.kty]
    if not reader then
        return nil, "not a JWK, or of an unknown type"
    end
    local key, private = reader(document, kind ~= "pu")
    if key and kind == "pr" and not private then
        return nil, "the JWK has no private key"
    end
    return key, private
end

-- ------------------------------------------------------------- to JSON

local function number_of(key, name, len)
    local holder = ffi_new("void *[1]")
    if C.bl_EVP_PKEY_get_bn_param(key, name, holder) ~= 1 then
        return nil
    end
    local bn = owned(holder[0], C.bl_BN_clear_free)
    return encode_base64url(crypto.number_bytes(bn, len))
end

local function write_rsa(key, private, document)
    document.kty = "RSA"
    for i = 1, private and #RSA_NUMBERS or 2 do
        document[RSA_NUMBERS[i][1]] = number_of(key, RSA_NUMBERS[i][2])
    end
end

local function write_ec(key, private, document)
    local name = CURVE_OF_GROUP[_M.group(key)]
    if not name then
        return false
    end
    local len = CURVES[name][2]
    document.kty, document.crv = "EC", name
    document.x, document.y = number_of(key, "qx", len), number_of(key, "qy", len)
    document.d = private and number_of(key, "priv", len) or nil
end

local function write_okp(key, private, document, kind)
    if not OKP_OF_KIND[kind] then
        return false
    end
    document.kty, document.crv = "OKP", OKP_OF_KIND[kind]
    document.x = encode_base64url(_M.raw(key, C.bl_EVP_PKEY_get_raw_public_key))
    document.d = private and encode_base64url(_M.raw(key, C.bl_EVP_PKEY_get_raw_private_key)) or nil
end

-- The RFC 7638 thumbprint names a key: its required members in their order.
local THUMBPRINT = { RSA = { "e", "kty", "n" }, EC = { "crv", "kty", "x", "y" }, OKP = { "crv", "kty", "x" } }

local function thumbprint(document)
    local parts = {}
    for _, name in ipairs(THUMBPRINT[document.kty]) do
        parts[#parts + 1] = '"' .. name .. '":"' .. document[name] .. '"'
    end
    local digest = require("resty.openssl.digest").new("sha256")
    return encode_base64url(digest:final("{" .. table.concat(parts, ",") .. "}"))
end

-- The key (a resty.openssl.pkey) as JSON text; nil and a message.
function _M.write(pkey, private)
    local document = {}
    local write = pkey.kind == RSA and write_rsa or pkey.kind == EC and write_ec or write_okp
    if write(pkey.ctx, private, document, pkey.kind) == false then
        return nil, "pkey:tostring: there is no JWK for such a key"
    end
    C.bl_ERR_clear_error()
    document.kid = thumbprint(document)
    return cjson.encode(document)
end

return _M
