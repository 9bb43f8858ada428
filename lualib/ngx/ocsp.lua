--- ngx.ocsp: asks a responder whether a certificate is still good, and staples the answer.
--
--     -- ssl_certificate_by_lua_block, with the certificate's chain in DER
--     local ocsp, http = require "ngx.ocsp", require "resty.http"
--     local url = assert(ocsp.get_ocsp_responder_from_der_chain(chain))
--     local request = assert(ocsp.create_ocsp_request(chain))
--     local res = assert(http.new():request_uri(url, {
--         method = "POST", body = request, headers = { ["Content-Type"] = "application/ocsp-request" },
--     }))
--     local ok, err = ocsp.validate_ocsp_response(res.body, chain)
--     if ok then ocsp.set_ocsp_status_resp(res.body) end
--
-- Keep an answer for as long as it says (a shared dictionary will do): this is asked at each handshake.
-- Errors are nil and a message.

local ffi = require "ffi"
local tls = require "resty.core.tls"
local base = require "resty.core.base"

ffi.cdef [[
    const char *bl_lua_ffi_ocsp_responder(const char *chain, size_t chain_len, char *url,
                                          size_t *len);
    const char *bl_lua_ffi_ocsp_request(const char *chain, size_t chain_len, unsigned char *to,
                                        size_t *len);
    const char *bl_lua_ffi_ocsp_validate(const char *response, size_t response_len,
                                         const char *chain, size_t chain_len,
                                         double *next_update);
    const char *bl_lua_ffi_ocsp_staple(const char *response, size_t len, bool *asked);
]]

local C = ffi.C
local ffi_string = ffi.string
local answer = tls.answer
local len_ptr = tls.len
local time_ptr = ffi.new("double[1]")
local bool_ptr = ffi.new("bool[1]")

local _M = { version = base.version }

--- The URL of a certificate's responder.
---@param chain string DER: the certificate, then its issuer
---@param max_len integer? of the URL
---@return string? url nil without `err`: the certificate names none
---@return string? err "truncated", beside a URL
function _M.get_ocsp_responder_from_der_chain(chain, max_len)
    max_len = max_len or base.get_string_buf_size()
    local buf = base.get_string_buf(max_len)
    len_ptr[0] = max_len
    local err = C.bl_lua_ffi_ocsp_responder(chain, #chain, ffi.cast("char *", buf), len_ptr)
    local url = len_ptr[0] > 0 and ffi_string(buf, len_ptr[0]) or nil
    if err ~= nil then
        return url, ffi_string(err)
    end
    return url
end

--- What the responder is to be asked.
---@param chain string
---@param max_len integer? of the request
---@return string? request DER
---@return string? err
function _M.create_ocsp_request(chain, max_len)
    max_len = max_len or base.get_string_buf_size()
    local buf = base.get_string_buf(max_len)
    len_ptr[0] = max_len
    local ok, err = answer(C.bl_lua_ffi_ocsp_request(chain, #chain, buf, len_ptr))
    if not ok then
        return nil, err
    end
    return ffi_string(buf, len_ptr[0])
end

--- Does the response say that the certificate is good?
---@param response string DER
---@param chain string DER
---@param max_err_len integer? of the message
---@return boolean? ok
---@return integer|string|nil next_update Unix time; or the error
---@return integer? next_update beside an error
function _M.validate_ocsp_response(response, chain, max_err_len)
    local ok, err = answer(C.bl_lua_ffi_ocsp_validate(response, #response, chain, #chain, time_ptr))
    local next_update = time_ptr[0] > 0 and time_ptr[0] or nil
    if ok then
        return true, next_update
    end
    return nil, err:sub(1, max_err_len or base.get_string_buf_size()), next_update
end

--- The current handshake shows the response to the client.
---@param response string DER
---@return boolean? ok
---@return string? err a warning: "no status req", the client does not want it
function _M.set_ocsp_status_resp(response)
    tls.need()
    local ok, err = answer(C.bl_lua_ffi_ocsp_staple(response, #response, bool_ptr))
    if ok and not bool_ptr[0] then
        return true, "no status req"
    end
    return ok, err
end

return _M
