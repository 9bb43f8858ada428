--- resty.openssl.x509: certificates, and what stands in them.
--
--     local x509 = require "resty.openssl.x509"
--     local cert = assert(x509.new(ngx.var.ssl_client_raw_cert))
--     ngx.say(cert:get_subject_name():tostring())             -- CN=dewi,O=Example
--     ngx.say(os.date("!%F", cert:get_not_after()))
--     if not cert:check_host("api.example.com") then … end
--
-- Errors are nil and a message. Whether a certificate is to be trusted says resty.openssl.x509.store.

local bn = require "resty.openssl.bn"
local crypto = require "resty.openssl.crypto"
local ffi = require "ffi"
local name_of = require "resty.openssl.x509.name"
local pkey = require "resty.openssl.pkey"

local C = ffi.C
local concat = table.concat
local failure = crypto.failure
local ffi_new = ffi.new
local ffi_string = ffi.string
local find = string.find
local getmetatable = getmetatable
local setmetatable = setmetatable
local tonumber = tonumber
local type = type

local NID_SUBJECT_ALT_NAME = 85
local DIGEST_ROOM = 64

local _M = { _VERSION = "1.0" }

---@class resty.openssl.x509
local mt = { __index = _M }

local function wrap(ctx)
    return setmetatable({ ctx = ctx }, mt)
end

--- Reads a certificate; of a PEM text with several, the first.
---@param text string PEM or DER
---@param format? string "PEM", "DER" or "*" (either): *
---@return resty.openssl.x509? cert
---@return string? err
function _M.new(text, format)
    if type(text) ~= "string" then
        return nil, "x509.new: expected a string"
    end
    format = format or "*"
    local bio, ctx = crypto.reader(text)
    if format ~= "DER" and (format == "PEM" or find(text, "-----BEGIN", 1, true)) then
        ctx = C.bl_PEM_read_bio_X509(bio, nil, nil, crypto.no_passphrase)
    else
        ctx = C.bl_d2i_X509_bio(bio, nil)
    end
    ctx = crypto.owned(ctx, C.bl_X509_free)
    if not ctx then
        return failure("x509.new")
    end
    return wrap(ctx)
end

--- Whether a value is a certificate.
---@param value any
---@return boolean
function _M.istype(value)
    return type(value) == "table" and getmetatable(value) == mt
end

--- The certificate as text.
---@param format? string "PEM" (the default) or "DER"
---@return string? text
---@return string? err
function _M:tostring(format)
    local bio = crypto.writer()
    local write = format == "DER" and C.bl_i2d_X509_bio or C.bl_PEM_write_bio_X509
    if write(bio, self.ctx) ~= 1 then
        return failure("x509:tostring")
    end
    return crypto.text_of(bio)
end

--- The certificate as PEM.
---@return string? pem
---@return string? err
function _M:to_PEM()
    return self:tostring("PEM")
end

--- Whom it is about.
---@return resty.openssl.x509.name
function _M:get_subject_name()
    return name_of.dup(C.bl_X509_get_subject_name(self.ctx))
end

--- Who has signed it.
---@return resty.openssl.x509.name
function _M:get_issuer_name()
    return name_of.dup(C.bl_X509_get_issuer_name(self.ctx))
end

--- Its number among those of its issuer.
---@return resty.openssl.bn
function _M:get_serial_number()
    return bn._wrap(C.bl_ASN1_INTEGER_to_BN(C.bl_X509_get0_serialNumber(self.ctx), nil))
end

--- 1, 2 or 3.
---@return integer
function _M:get_version()
    return tonumber(C.bl_X509_get_version(self.ctx)) + 1
end

-- `get` gives a part of the certificate, which has to live until it has been read.
local function seconds(self, get)
    local days, rest = ffi_new("int[1]"), ffi_new("int[1]")
    local epoch = crypto.owned(C.bl_ASN1_TIME_set(nil, 0), C.bl_ASN1_TIME_free)
    if C.bl_ASN1_TIME_diff(days, rest, epoch, get(self.ctx)) ~= 1 then
        return failure("x509: time")
    end
    return days[0] * 86400 + rest[0]
end

--- From when on it is good.
---@return number? seconds since 1970
---@return string? err
function _M:get_not_before()
    return seconds(self, C.bl_X509_get0_notBefore)
end

--- Until when it is good.
---@return number? seconds since 1970
---@return string? err
function _M:get_not_after()
    return seconds(self, C.bl_X509_get0_notAfter)
end

--- Both.
---@return number? not_before
---@return number? not_after
function _M:get_lifetime()
    return self:get_not_before(), (self:get_not_after())
end

--- Its public key.
---@return resty.openssl.pkey? key
---@return string? err
function _M:get_pubkey()
    local key = C.bl_X509_get_pubkey(self.ctx)
    if key == nil then
        return failure("x509:get_pubkey")
    end
    return pkey._public(key)
end

--- How it is signed, as OpenSSL calls it: "ecdsa-with-SHA256".
---@return string
function _M:get_signature_name()
    return ffi_string(C.bl_OBJ_nid2ln(C.bl_X509_get_signature_nid(self.ctx)))
end

--- The digest of the whole certificate, its fingerprint.
---@param md? string sha1
---@return string? binary
---@return string? err
function _M:digest(md)
    local digest = crypto.digest(md or "sha1")
    if not digest then
        return nil, 'x509:digest: invalid digest type "' .. md .. '"'
    end
    local to, len = ffi_new("unsigned char[?]", DIGEST_ROOM), crypto.uint
    if C.bl_X509_digest(self.ctx, digest, to, len) ~= 1 then
        return failure("x509:digest")
    end
    return ffi_string(to, len[0])
end

-- GENERAL_NAME's types, and how their values become text.
local function text_of(value)
    return ffi_string(C.bl_ASN1_STRING_get0_data(value), C.bl_ASN1_STRING_length(value))
end

local function address_of(value)
    local bytes = text_of(value)
    if #bytes == 4 then
        return concat({ bytes:byte(1, 4) }, ".")
    end
    local groups = {}
    for i = 1, #bytes - 1, 2 do
        local high, low = bytes:byte(i, i + 1)
        groups[#groups + 1] = ("%x"):format(high * 256 + low)
    end
    return concat(groups, ":")
end

local SAN_KINDS = {
    [1] = { "email", text_of }, [2] = { "DNS", text_of }, [6] = { "URI", text_of },
    [7] = { "IP", address_of },
}

--- The names that it is for, besides its subject: a list of {kind, text}, kinds "DNS", "IP", "email"
--- and "URI". Empty when there are none.
---@return table[] names
function _M:get_subject_alt_names()
    local names = C.bl_X509_get_ext_d2i(self.ctx, NID_SUBJECT_ALT_NAME, nil, nil)
    local list, kind = {}, ffi_new("int[1]")
    C.bl_ERR_clear_error()
    if names == nil then
        return list
    end
    for i = 0, C.bl_OPENSSL_sk_num(names) - 1 do
        local value = C.bl_GENERAL_NAME_get0_value(C.bl_OPENSSL_sk_value(names, i), kind)
        local known = SAN_KINDS[kind[0]]
        if known and value ~= nil then
            list[#list + 1] = { known[1], known[2](value) }
        end
    end
    C.bl_GENERAL_NAMES_free(names)
    return list
end

--- Whether it is for a host (RFC 6125: wildcards cover one label).
---@param host string
---@return boolean
function _M:check_host(host)
    local ok = C.bl_X509_check_host(self.ctx, host, #host, 0, nil) == 1
    C.bl_ERR_clear_error()
    return ok
end

--- Whether it is for an address.
---@param address string
---@return boolean
function _M:check_ip(address)
    local ok = C.bl_X509_check_ip_asc(self.ctx, address, 0) == 1
    C.bl_ERR_clear_error()
    return ok
end

--- Whether it may sign others.
---@return boolean
function _M:get_ca()
    return C.bl_X509_check_ca(self.ctx) > 0
end

--- Whether a private key is the other half of it.
---@param key resty.openssl.pkey
---@return boolean
function _M:check_private_key(key)
    local ok = key:is_private() and C.bl_X509_check_private_key(self.ctx, key.ctx) == 1
    C.bl_ERR_clear_error()
    return ok
end

--- Whether a key has signed it.
---@param key resty.openssl.pkey the issuer's
---@return boolean ok
function _M:verify(key)
    local ok = C.bl_X509_verify(self.ctx, key.ctx) == 1
    C.bl_ERR_clear_error()
    return ok
end

mt.__tostring = function(self)
    return (self:tostring())
end

return _M
