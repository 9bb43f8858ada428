--- What `ngx` tells through its metatable: ngx.ctx, ngx.status, ngx.headers_sent and
-- ngx.is_subrequest.

local ffi = require "ffi"
local base = require "resty.core.base"
local no_request = require("resty.core.phase").no_request
local ctxs = package.loaded["bulan.ctxs"]

ffi.cdef[[
    int bl_lua_ffi_ctx_get(void);
    int bl_lua_ffi_ctx_before(void);
    void bl_lua_ffi_ctx_set(int ref);
    int bl_lua_ffi_is_subrequest(void);
    int bl_lua_ffi_headers_sent(void);
    int bl_lua_ffi_get_status(void);
    int bl_lua_ffi_set_status(int status);
]]

package.loaded["bulan.ctxs"] = nil

local C = ffi.C
local pairs = pairs
local ngx, error, rawset, setmetatable, tonumber, type = ngx, error, rawset, setmetatable, tonumber, type
local ref_in_table = base.ref_in_table

-- A request begins with what the handshake of its connection has left.
local function new_ctx()
    local before = C.bl_lua_ffi_ctx_before()
    local ctx = {}
    if before > 0 then
        for key, value in pairs(ctxs[before]) do
            ctx[key] = value
        end
    end
    return ctx
end

local function get_ctx(own)
    local ref = C.bl_lua_ffi_ctx_get()
    if ref > 0 then
        return ctxs[ref]
    elseif ref < 0 then
        error("no request ctx found", 3)
    end
    local ctx = own or new_ctx()
    C.bl_lua_ffi_ctx_set(ref_in_table(ctxs, ctx))
    return ctx
end

local function set_ctx(ctx)
    local ref = C.bl_lua_ffi_ctx_get()
    if ref < 0 then
        error("no request ctx found", 3)
    elseif type(ctx) ~= "table" then
        error("ctx should be a table while getting a " .. type(ctx), 3)
    elseif ref > 0 then
        ctxs[ref] = ctx
    else
        C.bl_lua_ffi_ctx_set(ref_in_table(ctxs, ctx))
    end
end

local function known(value)
    if value < 0 then
        no_request(3)
    end
    return value
end

-- Keys that libraries add (resty.core.misc).
local getters, setters = {}, {}

setmetatable(ngx, {
    __index = function(_, key)
        if key == "ctx" then
            local ctx = get_ctx()
            return ctx
        elseif key == "status" then
            local status = known(C.bl_lua_ffi_get_status())
            return status
        elseif key == "headers_sent" then
            return known(C.bl_lua_ffi_headers_sent()) == 1
        elseif key == "is_subrequest" then
            return known(C.bl_lua_ffi_is_subrequest()) == 1
        end
        local get = getters[key]
        if get then
            local value = get()
            return value
        end
    end,
    __newindex = function(_, key, value)
        if key == "ctx" then
            set_ctx(value)
        elseif key == "status" then
            local status = tonumber(value)
            if not status then
                error("bad status: number expected, got " .. type(value), 2)
            end
            known(C.bl_lua_ffi_set_status(status))
        elseif key == "headers_sent" or key == "is_subrequest" then
            error("attempt to write to ngx." .. key, 2)
        elseif setters[key] then
            setters[key](value)
        else
            rawset(ngx, key, value)
        end
    end,
})

--- The current ngx.ctx; a new one is made of `own` where it is given.
---@param own table?
---@return table ctx
local function get_ctx_table(own)
    local ctx = get_ctx(own)
    return ctx
end

return { get_ctx_table = get_ctx_table, getters = getters, setters = setters }
