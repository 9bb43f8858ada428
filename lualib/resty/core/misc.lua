--- More of what `ngx` tells through its metatable: keys that libraries add.

local base = require "resty.core.base"
local ctx = require "resty.core.ctx"

local getters, setters = ctx.getters, ctx.setters

local _M = { version = base.version }

--- From now on `ngx[key]` is what `get()` returns.
---@param key string none that `ngx` has
---@param get fun(): any
function _M.register_ngx_magic_key_getter(key, get)
    getters[key] = get
end

--- From now on `ngx[key] = value` calls `set(value)`.
---@param key string none that `ngx` has
---@param set fun(value: any)
function _M.register_ngx_magic_key_setter(key, set)
    setters[key] = set
end

return _M
