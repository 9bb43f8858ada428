--- resty.openssl.x509.store: whom to trust, and whether a certificate leads there.
--
--     local store = assert(require("resty.openssl.x509.store").new())
--     assert(store:add(ca))                           -- a resty.openssl.x509
--     local ok, err = store:verify(cert, { intermediate })
--     if not ok then ngx.log(ngx.WARN, err) end       -- certificate has expired
--
-- Errors are nil and a message.

local crypto = require "resty.openssl.crypto"
local ffi = require "ffi"

local C = ffi.C
local failure = crypto.failure
local ipairs = ipairs
local setmetatable = setmetatable

local PURPOSES = { sslclient = 1, sslserver = 2, nssslserver = 3, smimesign = 4, smimeencrypt = 5, any = 7 }

local _M = { _VERSION = "1.0", verify_flags = { X509_V_FLAG_PARTIAL_CHAIN = 0x80000 } }

---@class resty.openssl.x509.store
local mt = { __index = _M }

--- Makes a store that trusts nobody.
---@return resty.openssl.x509.store? store
---@return string? err
function _M.new()
    local ctx = crypto.owned(C.bl_X509_STORE_new(), C.bl_X509_STORE_free)
    if not ctx then
        return failure("x509.store.new")
    end
    return setmetatable({ ctx = ctx }, mt)
end

--- Trusts those whom the system trusts.
---@return boolean? ok
---@return string? err
function _M:use_default()
    if C.bl_X509_STORE_set_default_paths(self.ctx) ~= 1 then
        return failure("x509.store:use_default")
    end
    return true
end

--- Trusts a certificate.
---@param cert resty.openssl.x509
---@return boolean? ok
---@return string? err
function _M:add(cert)
    if C.bl_X509_STORE_add_cert(self.ctx, cert.ctx) ~= 1 then
        return failure("x509.store:add")
    end
    return true
end

--- Trusts the certificates of a PEM file. It is read at once: do this when starting.
---@param path string
---@return boolean? ok
---@return string? err
function _M:load_file(path)
    if C.bl_X509_STORE_load_locations(self.ctx, path, nil) ~= 1 then
        return failure("x509.store:load_file")
    end
    return true
end

--- What certificates must be made for: "sslclient", "sslserver", "any", ….
---@param purpose string
---@return boolean? ok
---@return string? err
function _M:set_purpose(purpose)
    if not PURPOSES[purpose] or C.bl_X509_STORE_set_purpose(self.ctx, PURPOSES[purpose]) ~= 1 then
        return nil, 'x509.store:set_purpose: unknown purpose "' .. purpose .. '"'
    end
    return true
end

--- How to check: a sum of verify_flags.
---@param flags integer
---@return boolean? ok
---@return string? err
function _M:set_flags(flags)
    if C.bl_X509_STORE_set_flags(self.ctx, flags) ~= 1 then
        return failure("x509.store:set_flags")
    end
    return true
end

--- Whether a chain leads from a certificate to one that is trusted.
---@param cert resty.openssl.x509
---@param chain? resty.openssl.x509[] certificates that may stand between
---@return boolean? ok
---@return string? err why not
function _M:verify(cert, chain)
    local stack = crypto.owned(C.bl_OPENSSL_sk_new_null(), C.bl_OPENSSL_sk_free)
    for _, between in ipairs(chain or {}) do
        C.bl_OPENSSL_sk_push(stack, between.ctx)
    end
    local ctx = crypto.owned(C.bl_X509_STORE_CTX_new(), C.bl_X509_STORE_CTX_free)
    if not ctx or C.bl_X509_STORE_CTX_init(ctx, self.ctx, cert.ctx, stack) ~= 1 then
        return failure("x509.store:verify")
    end
    if C.bl_X509_verify_cert(ctx) == 1 then
        return true
    end
    C.bl_ERR_clear_error()
    return nil, ffi.string(C.bl_X509_verify_cert_error_string(C.bl_X509_STORE_CTX_get_error(ctx)))
end

return _M
