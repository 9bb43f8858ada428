--- ngx.balancer: which peer a proxied request goes to, for code in balancer_by_lua.
--
--     upstream backend {
--         server 0.0.0.1;                              # a place-holder
--         balancer_by_lua_block {
--             local balancer = require "ngx.balancer"
--             local state, status = balancer.get_last_failure()
--             if not state then
--                 balancer.set_more_tries(1)           -- this is the first try
--             end
--             local host, port = choose(ngx.var.uri, state)
--             assert(balancer.set_current_peer(host, port))
--             balancer.enable_keepalive(60, 1000)
--         }
--     }
--
-- The functions are about the try that is being begun, and raise an error elsewhere. Code here may wait,
-- too: ask a resolver, Redis, or another server. Errors are nil and a message.

local ffi = require "ffi"

ffi.cdef[[
    const char *bl_lua_ffi_balancer_peer(const char *host, size_t len, int port, const char *name,
                                         size_t name_len);
    const char *bl_lua_ffi_balancer_tries(int count, bool *reduced);
    const char *bl_lua_ffi_balancer_failure(const char **state, int *status);
    const char *bl_lua_ffi_balancer_timeouts(int64_t connect, int64_t send, int64_t read);
    const char *bl_lua_ffi_balancer_rebuild(void);
    const char *bl_lua_ffi_balancer_keep(int64_t timeout, int64_t requests);
    const char *bl_lua_ffi_balancer_bind(const char *addr, size_t len);
    const char *bl_lua_ffi_balancer_tls(bool on);
]]

local C = ffi.C
local here = require "resty.core.here"
local ffi_string = ffi.string
local error, type, tonumber, tostring = error, type, tonumber, tostring
local format, ceil = string.format, math.ceil

local reduced = ffi.new("bool[1]")
local state = ffi.new("const char *[1]")
local status = ffi.new("int[1]")

local _M = { version = require("resty.core.base").version }

local function need_request()
    if here.request == nil then
        error("no request found", 3)
    end
end

local function answer(message)
    if message ~= nil then
        return nil, ffi_string(message)
    end
    return true
end

--- `level` as for error(), counted from the function that `name` names; 0: no place.
local function bad_type(n, name, expected, value, level)
    error(format("bad argument #%d to '%s' (%s expected, got %s)", n, name, expected, type(value)),
        level > 0 and level + 1 or 0)
end

--- This try goes to an address. Names are resolved before, in another phase or here.
---@param host string "127.0.0.1", "[::1]", "127.0.0.1:8080", "unix:/path"
---@param port integer? where `host` has none
---@param name string? that TLS asks for, and that the certificate must have
---@return boolean? ok
---@return string? err
function _M.set_current_peer(host, port, name)
    need_request()
    if name ~= nil and type(name) ~= "string" then
        bad_type(3, "set_current_peer", "string", name, 2)
    end
    host = tostring(host)
    port = port == nil and 0 or tonumber(port)
    if not port then
        return nil, "invalid port"
    end
    return answer(C.bl_lua_ffi_balancer_peer(host, #host, port, name, name and #name or 0))
end

--- Outgoing connections come from a local address.
---@param addr string "127.0.0.1", "127.0.0.1:1234"
---@return boolean? ok
---@return string? err
function _M.bind_to_local_addr(addr)
    need_request()
    if type(addr) ~= "string" then
        bad_type(1, "bind_to_local_addr", "string", addr, 2)
    end
    return answer(C.bl_lua_ffi_balancer_bind(addr, #addr))
end

local function limit(n, value, default)
    if value == nil then
        return default
    end
    if type(value) ~= "number" then
        bad_type(n, "enable_keepalive", "number", value, 0)
    end
    if value < 0 then
        error(format("bad argument #%d to 'enable_keepalive' (expected >= 0)", n), 0)
    end
    return value
end

--- The connection of this try is kept for others.
---@param idle_timeout number? seconds; 60; 0: none
---@param max_requests integer? 100; 0: any number
---@return boolean? ok
---@return string? err
function _M.enable_keepalive(idle_timeout, max_requests)
    need_request()
    idle_timeout = limit(1, idle_timeout, 60)
    max_requests = limit(2, max_requests, 100)
    return answer(C.bl_lua_ffi_balancer_keep(ceil(idle_timeout * 1000), max_requests))
end

--- Allows more tries behind this one.
---@param count integer
---@return boolean? ok
---@return string? err also a warning: "reduced tries due to limit"
function _M.set_more_tries(count)
    need_request()
    count = tonumber(count)
    if not count or count < 0 or count > 0x7ffffff then
        return nil, "bad count"
    end
    local ok, err = answer(C.bl_lua_ffi_balancer_tries(count, reduced))
    if ok and reduced[0] then
        return true, "reduced tries due to limit"
    end
    return ok, err
end

--- How the try before this one failed.
---@return string? state "failed", "next"; nil when there was none
---@return integer? status
---@return string? err
function _M.get_last_failure()
    need_request()
    local ok, err = answer(C.bl_lua_ffi_balancer_failure(state, status))
    if not ok then
        return nil, nil, err
    end
    if state[0] == nil then
        return nil
    end
    return ffi_string(state[0]), status[0]
end

local function milliseconds(seconds)
    if seconds == nil then
        return 0
    end
    if type(seconds) == "number" and seconds > 0 and seconds < 1e12 then
        return ceil(seconds * 1000)
    end
end

--- Timeouts of this try and those behind it, in seconds; nil: as before.
---@param connect number?
---@param send number?
---@param read number?
---@return boolean? ok
---@return string? err
function _M.set_timeouts(connect, send, read)
    need_request()
    local connect_ms, send_ms, read_ms =
        milliseconds(connect), milliseconds(send), milliseconds(read)
    if not connect_ms then
        error("bad connect timeout", 2)
    elseif not send_ms then
        error("bad send timeout", 2)
    elseif not read_ms then
        error("bad read timeout", 2)
    end
    return answer(C.bl_lua_ffi_balancer_timeouts(connect_ms, send_ms, read_ms))
end

--- What is sent is made anew, from what proxy_set_header and others say now.
---@return boolean? ok
---@return string? err
function _M.recreate_request()
    need_request()
    return answer(C.bl_lua_ffi_balancer_rebuild())
end

--- Whether TLS is spoken to the peer.
---@param on boolean
---@return boolean? ok
---@return string? err
function _M.set_upstream_tls(on)
    need_request()
    return answer(C.bl_lua_ffi_balancer_tls(not not on and on ~= 0))
end

return _M
