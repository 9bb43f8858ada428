--- ngx.ssl.proxysslverify: the verdict on an upstream's certificate, for code in proxy_ssl_verify_by_lua.
--
--     local verify = require "ngx.ssl.proxysslverify"
--     local result, err = verify.get_verify_result()
--     if result ~= 0 and not is_known(verify.get_verify_cert()) then
--         return ngx.exit(ngx.ERROR)
--     end
--     verify.set_verify_result(0)
--
-- Results are OpenSSL's numbers; 0 is good. Errors are nil and a message.

local ffi = require "ffi"
local tls = require "resty.core.tls"

local C = ffi.C
local need, answer, failure = tls.need, tls.answer, tls.failure

ffi.cdef [[
    void bl_lua_ffi_tls_free_x509(void *certificate);
]]

local _M = { version = require("resty.core.base").version }

---@param result integer one of OpenSSL's X509_V_…; 0: good
---@return boolean? ok
---@return string? err
function _M.set_verify_result(result)
    need()
    return answer(C.bl_lua_ffi_tls_set_verify_result(result or 0))
end

---@return integer? result
---@return string? err
function _M.get_verify_result()
    need()
    local result = C.bl_lua_ffi_tls_get_verify_result(tls.error)
    if result < 0 then
        return failure()
    end
    return result
end

---@return cdata? certificate an X509 of OpenSSL
---@return string? err
function _M.get_verify_cert()
    need()
    local certificate = C.bl_lua_ffi_tls_verify_cert(tls.error)
    if certificate == nil then
        return failure()
    end
    return ffi.gc(certificate, C.bl_lua_ffi_tls_free_x509)
end

return _M
