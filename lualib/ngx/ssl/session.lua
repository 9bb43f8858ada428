--- ngx.ssl.session: sessions that clients resume by an id, kept wherever a program likes.
--
--     -- ssl_session_fetch_by_lua_block
--     local session = require "ngx.ssl.session"
--     local data = redis_get(assert(session.get_session_id()))
--     if data then assert(session.set_serialized_session(data)) end
--
--     -- ssl_session_store_by_lua_block
--     redis_set(assert(session.get_session_id()), assert(session.get_serialized_session()))
--
-- Both may wait. A session holds secrets of its connection: whoever can read the store can read what was
-- said. Errors are nil and a message.

local ffi = require "ffi"
local tls = require "resty.core.tls"
local base = require "resty.core.base"
local here = require "resty.core.here"

ffi.cdef [[
    const char *bl_lua_ffi_tls_session_id(const char **id, size_t *len);
    const char *bl_lua_ffi_tls_session_get(unsigned char *to, size_t *len);
    const char *bl_lua_ffi_tls_session_set(const char *der, size_t len);
]]

local C = ffi.C
local ffi_string = ffi.string
local answer = tls.answer
local text_ptr, len_ptr = tls.text, tls.len
local STORE = 0x800

local _M = { version = base.version }

-- A session that is stored is there even when its connection has gone.
local function need()
    if here.phase ~= STORE and not C.bl_lua_ffi_tls_has_conn() then
        error("no request found", 3)
    end
end

---@return string? id
---@return string? err
function _M.get_session_id()
    need()
    local ok, err = answer(C.bl_lua_ffi_tls_session_id(text_ptr, len_ptr))
    if not ok then
        return nil, err
    end
    local id = ffi_string(text_ptr[0], len_ptr[0])
    return (id:gsub(".", function(c) return ("%02x"):format(c:byte()) end))
end

---@return string? session
---@return string? err
function _M.get_serialized_session()
    need()
    local ok, err = answer(C.bl_lua_ffi_tls_session_get(nil, len_ptr))
    if not ok then
        return nil, err
    end
    local buf = base.get_string_buf(tonumber(len_ptr[0]))
    ok, err = answer(C.bl_lua_ffi_tls_session_get(buf, len_ptr))
    if not ok then
        return nil, err
    end
    return ffi_string(buf, len_ptr[0])
end

---@param session string what get_serialized_session gave
---@return boolean? ok
---@return string? err
function _M.set_serialized_session(session)
    need()
    return answer(C.bl_lua_ffi_tls_session_set(session, #session))
end

return _M
