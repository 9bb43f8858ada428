--- What of ngx.socket is best said in Lua: TLS sessions as cdata that free themselves, and connect.

local ffi = require "ffi"

ffi.cdef [[
struct bl_tls_session;
void bl_socket_session_free(void *session);
]]

local C = ffi.C
local ffi_cast = ffi.cast
local ffi_gc = ffi.gc
local type = type
local socket = ngx.socket
local tcp = socket.tcp
local methods = package.loaded["bulan.socket"]
local session_type = ffi.typeof("struct bl_tls_session *")
local handshake = methods.sslhandshake
local get_session = methods.getsslsession
local get_pointer = methods.getsslpointer
local get_ctx = methods.getsslctx

-- A light userdata is a session that we now own.
local function own(session, err)
    if type(session) == "userdata" then
        return ffi_gc(ffi_cast(session_type, session), C.bl_socket_session_free)
    end
    if session then
        return session
    end
    return session, err
end

function methods.sslhandshake(...)
    return own(handshake(...))
end

function methods.getsslsession(self)
    return own(get_session(self))
end

local function as_cdata(pointer, err)
    if pointer then
        return ffi_cast("void *", pointer)
    end
    return pointer, err
end

function methods.getsslpointer(self)
    return as_cdata(get_pointer(self))
end

function methods.getsslctx(self)
    return as_cdata(get_ctx(self))
end

--- A socket that is connected already.
---@param ... any what connect takes
---@return table? sock
---@return string? err
function socket.connect(...)
    local sock = tcp()
    local ok, err = sock:connect(...)
    if not ok then
        return nil, err
    end
    return sock
end

return socket
