--- Coroutines that API functions may wait in.
--
-- A function that waits yields to the scheduler. Where it runs inside coroutines of the program,
-- its yield ends in the nearest coroutine.resume; that one sees here.pending, yields in its turn,
-- and, once it is resumed, hands what it got to its child. So waiting works at any depth, and
-- programs see nothing of it.

local here = require "resty.core.here"

local coroutine = coroutine
local create, resume, yield = coroutine.create, coroutine.resume, coroutine.yield
local status, running, isyieldable = coroutine.status, coroutine.running, coroutine.isyieldable
local error, type = error, type

-- Coroutines that are not the program's to resume: light threads (value: function that tells their
-- status), and those that are inside a function that waits (value: true).
local busy = setmetatable({}, { __mode = "k" })

-- Coroutines whose children are inside a function that waits.
local normal = setmetatable({}, { __mode = "k" })

local give_up = package.loaded["bulan.give_up"]
package.loaded["bulan.give_up"] = nil

local hand_up

local RUNNING = "cannot resume running coroutine"

local function resumed(co, ok, ...)
    if here.pending ~= 0 then
        return hand_up(co)
    end
    if not ok and (...) == RUNNING and status(co) == "normal" then
        return false, "cannot resume normal coroutine"
    end
    return ok, ...
end

local function go_on(co, me, ...)
    busy[co], normal[me] = nil, nil
    return resumed(co, resume(co, ...))
end

-- Below a C function that can't be suspended (table.sort, string.gsub) there is no way up: `co` stays
-- where it is, for ever.
local function refuse(co)
    give_up()
    busy[co] = true
    return false, "attempt to yield across C-call boundary"
end

function hand_up(co)
    if not isyieldable() then
        return refuse(co)
    end
    local me = running()
    busy[co], normal[me] = true, true
    return go_on(co, me, yield())
end

function coroutine.resume(co, ...)
    if busy[co] then
        return false, RUNNING
    end
    return resumed(co, resume(co, ...))
end

-- The coroutines that the error `failed.message` came through, innermost first: for the traceback in
-- the error log (src/lua/fault.c).
local failed = package.loaded["bulan.failed"]
package.loaded["bulan.failed"] = nil

-- The phases in which programs have always had Lua's own coroutine.wrap, which says where the error
-- came out: init, header_filter, body_filter.
local own_wrap = { [0x80000] = true, [0x20] = true, [0x40] = true }

local function unwrap(co, ok, ...)
    if ok then
        return ...
    end
    local message = ...
    if failed.message ~= message then
        for i = #failed, 1, -1 do
            failed[i] = nil
        end
    end
    failed[#failed + 1] = co
    failed.message = message
    error(message, own_wrap[here.phase] and 2 or 0)
end

function coroutine.wrap(f)
    local co = create(f)
    return function(...)
        if busy[co] then
            error(RUNNING, 2)
        end
        return unwrap(co, resumed(co, resume(co, ...)))
    end
end

function coroutine.status(co)
    if normal[co] then
        return "normal"
    end
    local why = busy[co]
    if not why then
        return status(co)
    end
    return why == true and "running" or why(co)
end

return { busy = busy, create = create, resume = resume, yield = yield, running = running,
         type = type }
