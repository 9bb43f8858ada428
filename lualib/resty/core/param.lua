--- ngx.arg: the arguments of set_by_lua, and what a body filter gets and gives.

local ngx, setmetatable = ngx, setmetatable
local get, set = ngx.arg.get, ngx.arg.set

ngx.arg = setmetatable({}, {
    __index = function(_, n)
        return get(n)
    end,
    __newindex = function(_, n, value)
        return set(n, value)
    end,
})
