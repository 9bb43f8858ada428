--- Globals that appear while requests are served are nearly always a forgotten `local`: they are
-- shared by all requests of a worker. Their first assignment is logged.

local ngx, rawset, setmetatable, getmetatable = ngx, rawset, setmetatable, getmetatable
local here = require "resty.core.here"
local traceback = debug.traceback
local tostring = tostring

if not getmetatable(_G) then
    setmetatable(_G, {
        __newindex = function(globals, name, value)
            if here.task ~= nil then
                ngx.log(ngx.WARN, "writing a global Lua variable ('", tostring(name),
                        "') which may lead to race conditions between concurrent requests, ",
                        "so prefer the use of 'local' variables\n", traceback("", 2))
            end
            rawset(globals, name, value)
        end,
    })
end
