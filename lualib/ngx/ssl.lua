--- ngx.ssl: certificates for a client's TLS handshake, and what is known of its connection.
--
--     -- ssl_certificate_by_lua_block
--     local ssl = require "ngx.ssl"
--     local name = ssl.server_name()
--     local pair = certificates[name] or certificates.default          -- parsed once, kept in a module
--     assert(ssl.clear_certs())
--     assert(ssl.set_cert(pair.chain))
--     assert(ssl.set_priv_key(pair.key))
--
--     -- where pairs come from
--     pair.chain = assert(ssl.parse_pem_cert(read("example.com.pem")))
--     pair.key = assert(ssl.parse_pem_priv_key(read("example.com.key")))
--
-- Besides the functions below there are clear_certs(), set_cert(chain), set_priv_key(key), set_der_cert(der),
-- set_der_priv_key(der), get_tls1_version() and get_tls1_version_str(). Errors are nil and a message. doc/tls.md
-- tells when which code runs.

local ffi = require "ffi"
local tls = require "resty.core.tls"
local base = require "resty.core.base"

local C = ffi.C
local ffi_gc, ffi_new, ffi_string = ffi.gc, ffi.new, ffi.string
local get_buf = base.get_string_buf
local need, answer, filled, failure = tls.need, tls.answer, tls.filled, tls.failure
local err_ptr, text_ptr, len_ptr = tls.error, tls.text, tls.len

local kind_ptr = ffi_new("const char *[1]")
local int_ptr = ffi_new("int[1]")
local CIPHERS = 256
local ciphers = ffi_new("uint16_t[?]", CIPHERS)
local cipher_count = ffi_new("uint16_t[1]")

local _M = { version = base.version }

tls.certificates(_M, false)
tls.agreement(_M, false)

-- Conversions -------------------------------------------------------------------------------------

---@param pem string certificates in PEM, the leaf first
---@return string? der
---@return string? err
function _M.cert_pem_to_der(pem)
    local buf = get_buf(#pem)
    local len = C.bl_lua_ffi_tls_cert_der(pem, #pem, buf, err_ptr)
    if len < 0 then
        return failure()
    end
    return ffi_string(buf, len)
end

---@param pem string
---@param passphrase string? of an encrypted key
---@return string? der
---@return string? err
function _M.priv_key_pem_to_der(pem, passphrase)
    local buf = get_buf(#pem)
    local len = C.bl_lua_ffi_tls_key_der(pem, #pem, passphrase, buf, err_ptr)
    if len < 0 then
        return failure()
    end
    return ffi_string(buf, len)
end

local function parse_cert(data, pem)
    local chain = C.bl_lua_ffi_tls_parse_cert(data, #data, pem, err_ptr)
    if chain == nil then
        return failure()
    end
    return ffi_gc(chain, C.bl_lua_ffi_tls_free_cert)
end

local function parse_key(data, pem)
    local key = C.bl_lua_ffi_tls_parse_key(data, #data, pem, err_ptr)
    if key == nil then
        return failure()
    end
    return ffi_gc(key, C.bl_lua_ffi_tls_free_key)
end

---@param pem string
---@return cdata? chain
---@return string? err
function _M.parse_pem_cert(pem)
    return parse_cert(pem, true)
end

---@param der string
---@return cdata? chain
---@return string? err
function _M.parse_der_cert(der)
    return parse_cert(der, false)
end

---@param pem string
---@return cdata? key
---@return string? err
function _M.parse_pem_priv_key(pem)
    return parse_key(pem, true)
end

---@param der string
---@return cdata? key
---@return string? err
function _M.parse_der_priv_key(der)
    return parse_key(der, false)
end

-- The handshake -----------------------------------------------------------------------------------

--- The client is asked for a certificate; $ssl_client_verify tells what came of it.
---@param client_certs cdata? whose names the client is told, and who are trusted
---@param depth integer? of chains
---@param trusted_certs cdata? more that are trusted
---@return boolean? ok
---@return string? err
function _M.verify_client(client_certs, depth, trusted_certs)
    need()
    return answer(C.bl_lua_ffi_tls_verify_client(client_certs, depth or -1, trusted_certs))
end

---@return string? name that the client asked for; nil without `err` when it did not
---@return string? err
function _M.server_name()
    need()
    return filled(C.bl_lua_ffi_tls_server_name(text_ptr, len_ptr))
end

---@return integer? port
---@return string? err
function _M.server_port()
    need()
    local ok, err = answer(C.bl_lua_ffi_tls_server_port(int_ptr))
    if not ok then
        return nil, err
    end
    return int_ptr[0]
end

local function address(client)
    local err = C.bl_lua_ffi_tls_addr(client, text_ptr, len_ptr, kind_ptr)
    if err ~= nil then
        return nil, nil, ffi_string(err)
    end
    return ffi_string(text_ptr[0], len_ptr[0]), ffi_string(kind_ptr[0])
end

--- Where the connection came to: 4 or 16 bytes, or a path.
---@return string? addr
---@return string? kind "inet", "inet6", "unix"
---@return string? err
function _M.raw_server_addr()
    need()
    return address(false)
end

---@return string? addr
---@return string? kind
---@return string? err
function _M.raw_client_addr()
    need()
    return address(true)
end

-- What was agreed upon ----------------------------------------------------------------------------

local function secret(which, outlen)
    local buf = get_buf(outlen > 0 and outlen or 1)
    len_ptr[0] = outlen
    local ok, err = answer(C.bl_lua_ffi_tls_secret(which, buf, len_ptr))
    if not ok then
        return nil, err
    end
    if outlen == 0 then
        return tonumber(len_ptr[0])
    end
    return ffi_string(buf, len_ptr[0])
end

---@param outlen integer? at most so many bytes; 0: the length of all
---@return string|integer|nil random
---@return string? err
function _M.get_client_random(outlen)
    need()
    return secret(0, outlen or 32)
end

---@param outlen integer?
---@return string|integer|nil random
---@return string? err
function _M.get_server_random(outlen)
    need()
    return secret(1, outlen or 32)
end

---@param outlen integer?
---@return string|integer|nil key
---@return string? err
function _M.get_session_master_key(outlen)
    need()
    return secret(2, outlen or 48)
end

local function export(length, label, context, early)
    local buf = get_buf(length)
    local ok, err = answer(C.bl_lua_ffi_tls_export(buf, length, label, #label, context,
        context and #context or 0, early))
    if not ok then
        return nil, err
    end
    return ffi_string(buf, length)
end

--- A key that both sides can derive from the connection's secrets.
---@param length integer bytes
---@param label string
---@param context string?
---@return string? key
---@return string? err
function _M.export_keying_material(length, label, context)
    need()
    return export(length, label, context, false)
end

--- The same from the secrets of early data.
---@param length integer
---@param label string
---@param context string?
---@return string? key
---@return string? err
function _M.export_keying_material_early(length, label, context)
    need()
    return export(length, label, context, true)
end

---@param filter_grease boolean? true; values that mean nothing are left out
---@return integer[]? ciphers that both sides know, in the client's order
---@return string? err
function _M.get_req_shared_ssl_ciphers(filter_grease)
    need()
    cipher_count[0] = CIPHERS
    local ok, err = answer(C.bl_lua_ffi_tls_shared_ciphers(ciphers, cipher_count,
        filter_grease ~= false))
    if not ok then
        return nil, err
    end
    local list = {}
    for i = 1, cipher_count[0] do
        list[i] = ciphers[i - 1]
    end
    return list
end

local function pointer(upstream)
    local ssl = C.bl_lua_ffi_tls_pointer(upstream, err_ptr)
    if ssl == nil then
        return failure()
    end
    return ssl
end

---@return cdata? ssl OpenSSL's, of the client's connection
---@return string? err
function _M.get_req_ssl_pointer()
    need()
    return pointer(false)
end

---@return cdata? ssl OpenSSL's, of the upstream's connection
---@return string? err
function _M.get_upstream_ssl_pointer()
    need()
    return pointer(true)
end

---@param ssl cdata
---@return boolean reused
function _M.ssl_session_reused(ssl)
    if ssl == nil then
        return nil, "bad ssl pointer"
    end
    return C.bl_lua_ffi_tls_reused(ssl) == 1
end

return _M
