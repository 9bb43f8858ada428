--- What of ngx.socket is best said in Lua: TLS sessions as cdata that free themselves, and connect.

local ffi = require "ffi"

ffi.cdef [[
struct bl_tls_session;
void bl_socket_session_free(void *session);
]]

local C = ffi.C
local ffi_cast = ffi.cast
local ffi_gc = ffi.gc
local ffi_typeof, tostring = ffi.typeof, tostring
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

-- C reads the pointer that a cdata object holds: not every one does.
local function is_no_pointer(value)
    return type(value) == "cdata" and not tostring(ffi_typeof(value)):find("*>", 1, true)
end

function methods.sslhandshake(...)
    local _, session = ...
    if type(session) == "cdata" and not ffi.istype(session_type, session) then
        return nil, "bad session arg: what an earlier handshake returned expected"
    end
    return own(handshake(...))
end

local set_certificate, set_store = methods.setclientcert, methods.settrustedstore

function methods.setclientcert(...)
    local _, chain, key = ...
    if is_no_pointer(chain) or is_no_pointer(key) then
        return nil, "bad cert or pkey arg: pointers expected"
    end
    return set_certificate(...)
end

function methods.settrustedstore(...)
    local _, store = ...
    if is_no_pointer(store) then
        return nil, "bad store arg: pointer expected"
    end
    return set_store(...)
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
