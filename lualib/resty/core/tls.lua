--- What the modules of TLS share: C's functions, and how their results become Lua's.

local ffi = require "ffi"

ffi.cdef [[
    bool bl_lua_ffi_tls_has_conn(void);
    void *bl_lua_ffi_tls_pointer(bool upstream, const char **error);
    int bl_lua_ffi_tls_reused(void *ssl);
    const char *bl_lua_ffi_tls_server_name(const char **name, size_t *len);
    const char *bl_lua_ffi_tls_server_port(int *port);
    const char *bl_lua_ffi_tls_addr(bool client, const char **addr, size_t *len, const char **kind);
    int bl_lua_ffi_tls_version(bool upstream, const char **error);
    const char *bl_lua_ffi_tls_secret(int which, unsigned char *to, size_t *len);
    const char *bl_lua_ffi_tls_export(unsigned char *to, size_t len, const char *label,
                                      size_t label_len, const char *context, size_t context_len,
                                      bool early);
    const char *bl_lua_ffi_tls_shared_ciphers(uint16_t *to, uint16_t *count, bool filter_grease);
    const char *bl_lua_ffi_tls_set_verify_result(int result);
    int bl_lua_ffi_tls_get_verify_result(const char **error);
    void *bl_lua_ffi_tls_verify_cert(const char **error);

    int bl_lua_ffi_tls_cert_der(const char *pem, size_t len, unsigned char *der,
                                const char **error);
    int bl_lua_ffi_tls_key_der(const char *pem, size_t len, const char *password,
                               unsigned char *der, const char **error);
    void *bl_lua_ffi_tls_parse_cert(const char *data, size_t len, bool pem, const char **error);
    void *bl_lua_ffi_tls_parse_key(const char *data, size_t len, bool pem, const char **error);
    void bl_lua_ffi_tls_free_cert(void *chain);
    void bl_lua_ffi_tls_free_key(void *key);
    const char *bl_lua_ffi_tls_set_cert(bool upstream, void *chain);
    const char *bl_lua_ffi_tls_set_key(bool upstream, void *key);
    const char *bl_lua_ffi_tls_set_der_cert(bool upstream, const char *der, size_t len);
    const char *bl_lua_ffi_tls_set_der_key(bool upstream, const char *der, size_t len);
    const char *bl_lua_ffi_tls_clear(bool upstream);
    const char *bl_lua_ffi_tls_verify_client(void *clients, int depth, void *trusted);
]]

local C = ffi.C
local ffi_string = ffi.string
local error = error

local words = {
    [0x300] = "SSLv3", [0x301] = "TLSv1", [0x302] = "TLSv1.1", [0x303] = "TLSv1.2",
    [0x304] = "TLSv1.3",
}

local _M = {
    error = ffi.new("const char *[1]"),
    text = ffi.new("const char *[1]"),
    len = ffi.new("size_t[1]"),
    versions = {
        SSL3_VERSION = 0x300, TLS1_VERSION = 0x301, TLS1_1_VERSION = 0x302,
        TLS1_2_VERSION = 0x303, TLS1_3_VERSION = 0x304,
    },
}

--- Raises an error at its caller's caller where there is no connection of a client.
function _M.need()
    if not C.bl_lua_ffi_tls_has_conn() then
        error("no request found", 3)
    end
end

--- From a message of C: true, or nil and the text.
---@param message cdata
function _M.answer(message)
    if message ~= nil then
        return nil, ffi_string(message)
    end
    return true
end

--- After a call that fills `text` and `len`: the text, nil where there is none, or nil and an error.
---@param message cdata what the call returned
function _M.filled(message)
    if message ~= nil then
        return nil, ffi_string(message)
    end
    if _M.text[0] ~= nil then
        return ffi_string(_M.text[0], _M.len[0])
    end
end

--- nil and what a function of C has left in `error`.
function _M.failure()
    return nil, ffi_string(_M.error[0])
end

--- Adds to a module what is the same for both connections of a request.
---@param module table
---@param upstream boolean
function _M.certificates(module, upstream)
    local answer, need = _M.answer, _M.need

    --- The connection has no certificates and keys any more.
    ---@return boolean? ok
    ---@return string? err
    function module.clear_certs()
        need()
        return answer(C.bl_lua_ffi_tls_clear(upstream))
    end

    --- The certificate that it presents, with its chain.
    ---@param der string certificates, one behind the other
    ---@return boolean? ok
    ---@return string? err
    function module.set_der_cert(der)
        need()
        return answer(C.bl_lua_ffi_tls_set_der_cert(upstream, der, #der))
    end

    ---@param der string
    ---@return boolean? ok
    ---@return string? err
    function module.set_der_priv_key(der)
        need()
        return answer(C.bl_lua_ffi_tls_set_der_key(upstream, der, #der))
    end

    ---@param chain cdata from ngx.ssl's parse_pem_cert or parse_der_cert
    ---@return boolean? ok
    ---@return string? err
    function module.set_cert(chain)
        need()
        return answer(C.bl_lua_ffi_tls_set_cert(upstream, chain))
    end

    ---@param key cdata from ngx.ssl's parse_pem_priv_key or parse_der_priv_key
    ---@return boolean? ok
    ---@return string? err
    function module.set_priv_key(key)
        need()
        return answer(C.bl_lua_ffi_tls_set_key(upstream, key))
    end
end

--- The same for what was agreed upon.
---@param module table
---@param upstream boolean
function _M.agreement(module, upstream)
    for name, value in pairs(_M.versions) do
        module[name] = value
    end

    ---@return integer? version 0x303 for TLS 1.2 …
    ---@return string? err
    function module.get_tls1_version()
        _M.need()
        local version = C.bl_lua_ffi_tls_version(upstream, _M.error)
        if version < 0 then
            return _M.failure()
        end
        return version
    end

    ---@return string? version "TLSv1.2" …
    ---@return string? err
    function module.get_tls1_version_str()
        local version, err = module.get_tls1_version()
        if not version then
            return nil, err
        end
        local word = words[version]
        if not word then
            return nil, "unknown version"
        end
        return word
    end
end

return _M
