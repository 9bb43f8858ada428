--- ngx.thread: marks light threads, so that coroutine.resume and coroutine.status know them.

local busy = require("resty.core.coroutine").busy
local ngx = ngx
local native = ngx.thread(busy)
local native_status, spawn = native.status, native.spawn
local raw_status = require("resty.core.coroutine").status

local function status(co)
    return native_status(co) or raw_status(co)
end

local function mark(co)
    busy[co] = status
    return co
end

ngx.thread = {
    spawn = function(...)
        return mark(spawn(...))
    end,
    wait = native.wait,
    kill = native.kill,
}
