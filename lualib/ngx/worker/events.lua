--- ngx.worker.events: messages between workers, published to all or put into named queues.
--
--     local events = require "ngx.worker.events"
--
--     -- in every worker, for example in init_worker_by_lua
--     events.subscribe("config", function(data, info) reload(data.version) end)
--     -- in one of them
--     events.publish("config", { version = 7 })
--
--     -- each value of a queue is for exactly one who asks
--     events.push("mail", { to = "dewi@example.com" })
--     local job, err = events.pop("mail", 30)
--
-- A message is a string, a number, a boolean, or a table that JSON can hold. Nobody polls: who
-- waits is woken. What is published reaches the workers that serve, and those of an old
-- configuration that are shutting down; queues keep what they hold over a reload. The memory for
-- all of it is lua_worker_events (1m).

local ffi = require "ffi"
local cjson = require "cjson.safe"
local semaphore = require "ngx.semaphore"
local base = require "resty.core.base"
local shdict = require "resty.core.shdict"
local raw = package.loaded["bulan.events"]

ffi.cdef [[
int bl_lua_events_count(void);
int bl_lua_events_mine(void);
int bl_lua_events_worker(int slot);
void bl_lua_events_wake(int slot);
bool bl_lua_events_clear(void);
void bl_lua_events_waiting(int count);
void bl_lua_events_wake_waiting(void);
]]

local C = ffi.C
local type, tostring, tonumber, error, pairs, ipairs = type, tostring, tonumber, error, pairs, ipairs
local sub, find, byte = string.sub, string.find, string.byte
local remove = table.remove
local min = math.min
local ngx = ngx
local start = raw.start

local _M = { version = base.version }

local subscribers = {} -- channel -> array of subscriptions
local queues = {}      -- name -> semaphore of the tasks of this worker that wait for it
local zone

-- The dictionary; raises an error where no messages can be sent.
local function memory(level)
    if zone then
        return zone
    end
    local pointer = raw.dict()
    if not pointer then
        local where = ngx.get_phase() == "init" and "API disabled in the context of init_by_lua*"
        error(where or "no memory for messages: lua_worker_events is 0", level + 1)
    end
    zone = shdict.wrap(pointer)
    return zone
end

-- ---------------------------------------------------------------- messages as strings

local function encode(data)
    local kind = type(data)
    if kind == "string" then
        return "s" .. data
    end
    if kind == "number" then
        return "n" .. ("%.17g"):format(data)
    end
    if kind == "boolean" then
        return data and "t" or "f"
    end
    if kind ~= "table" then
        return nil, "a " .. kind .. " can't be sent"
    end
    local text, err = cjson.encode(data)
    if not text then
        return nil, err
    end
    return "j" .. text
end

local decoders = {
    s = function(text) return text end,
    n = tonumber,
    t = function() return true end,
    f = function() return false end,
    j = cjson.decode,
}

local function decode(text)
    return decoders[sub(text, 1, 1)](sub(text, 2))
end

local function check_name(name, what)
    if type(name) ~= "string" or name == "" or #name > 255 then
        error("bad " .. what .. ": a string of 1 to 255 bytes expected", 3)
    end
end

-- ---------------------------------------------------------------- publish, subscribe

local subscription = {}
subscription.__index = subscription

--- Ends a subscription; what is on its way does not reach it any more.
function subscription:unsubscribe()
    local list = subscribers[self.channel]
    self.ended = true
    for i, each in ipairs(list or {}) do
        if each == self then
            remove(list, i)
            if #list == 0 then
                subscribers[self.channel] = nil
            end
            return true
        end
    end
    return nil, "not subscribed"
end

--- Calls `callback` in this worker for each message on a channel, in the order in which they were
-- sent, each in a run of its own without a request, as a timer's callback.
---@param channel string
---@param callback fun(data: any, info: {channel: string, worker: integer, pid: integer}) who sent it
---@return table subscription with a method `unsubscribe`
function _M.subscribe(channel, callback)
    check_name(channel, "channel")
    if type(callback) ~= "function" then
        error("bad callback: a function expected", 2)
    end
    local self = setmetatable({ channel = channel, callback = callback }, subscription)
    local list = subscribers[channel]
    if not list then
        list = {}
        subscribers[channel] = list
    end
    list[#list + 1] = self
    return self
end

local function is_meant(target, slot, worker)
    if target == nil or target == "all" then
        return true
    end
    if target == "others" then
        return slot ~= C.bl_lua_events_mine()
    end
    return worker == target
end

-- There was no memory for all: those who were not woken yet need not hear it. What another has put
-- behind it meanwhile stays, and so does the message then.
local function take_back(dict, slots, message)
    for i = 1, #slots do
        local inbox = "i" .. slots[i]
        local last = dict:rpop(inbox)
        if last and last ~= message then
            dict:rpush(inbox, last)
        end
    end
end

--- Sends a message to all workers (this one too), to the "others", or to the worker of a number.
---@param channel string
---@param data string|number|boolean|table
---@param target? "all"|"others"|integer
---@return integer? reached how many workers will get it
---@return string? err "no memory"
function _M.publish(channel, data, target)
    check_name(channel, "channel")
    if target ~= nil and target ~= "all" and target ~= "others" and type(target) ~= "number" then
        error('bad target: "all", "others" or the number of a worker expected', 2)
    end
    local dict = memory(2)
    local text, err = encode(data)
    if not text then
        return nil, err
    end
    local head = ("%d %d %d "):format(ngx.worker.pid(), ngx.worker.id() or -1, #channel)
    local message = head .. channel .. text
    local slots = {}
    for slot = 0, C.bl_lua_events_count() - 1 do
        local worker = C.bl_lua_events_worker(slot)
        if worker ~= -1 and is_meant(target, slot, worker) then
            local length
            length, err = dict:rpush("i" .. slot, message)
            if not length and C.bl_lua_events_clear() then
                length, err = dict:rpush("i" .. slot, message)
            end
            if not length then
                take_back(dict, slots, message)
                return nil, err
            end
            slots[#slots + 1] = slot
        end
    end
    for i = 1, #slots do
        C.bl_lua_events_wake(slots[i])
    end
    return #slots
end

local function deliver(message)
    local _, behind, pid, worker, length = find(message, "^(%d+) (%-?%d+) (%d+) ")
    local channel = sub(message, behind + 1, behind + length)
    local list = subscribers[channel]
    if not list or #list == 0 then
        return
    end
    local data = decode(sub(message, behind + length + 1))
    local info = { channel = channel, pid = tonumber(pid), worker = tonumber(worker) }
    local now = {}
    for i = 1, #list do
        now[i] = list[i]
    end
    for i = 1, #now do
        if not now[i].ended then
            start(now[i].callback, data, info)
        end
    end
end

-- ---------------------------------------------------------------- queues

-- How many tasks of this worker wait, said to the others.
local function count_waiting()
    local all = 0
    for name, sem in pairs(queues) do
        local count = sem:count()
        if count >= 0 then
            queues[name] = nil -- nobody waits for it any more
        end
        all = all + min(0, count)
    end
    C.bl_lua_events_waiting(-all)
end

--- Puts a value at the end of a queue.
---@param name string
---@param data string|number|boolean|table
---@return integer? length of the queue
---@return string? err "no memory"
function _M.push(name, data)
    check_name(name, "queue")
    local dict = memory(2)
    local text, err = encode(data)
    if not text then
        return nil, err
    end
    local length
    length, err = dict:rpush("q" .. name, text)
    if not length then
        return nil, err
    end
    C.bl_lua_events_wake_waiting()
    return length
end

local function take(dict, name)
    local text, err = dict:lpop("q" .. name)
    if text == nil then
        return nil, err
    end
    return decode(text), nil, true
end

--- Takes the value at the front of a queue, and waits for one at most `seconds`.
---@param name string
---@param seconds? number 0 without it: does not wait
---@return any data
---@return string? err "timeout"
function _M.pop(name, seconds)
    check_name(name, "queue")
    local dict = memory(2)
    local data, err, found = take(dict, name)
    if found or err then
        return data, err
    end
    local ends = ngx.now() + (seconds or 0)
    while true do
        ngx.update_time()
        local left = ends - ngx.now()
        if left <= 0 then
            return nil, "timeout"
        end
        local sem = queues[name] or semaphore.new()
        queues[name] = sem
        C.bl_lua_events_waiting(1)
        data, err, found = take(dict, name) -- may have come before that was known
        if found or err then
            count_waiting()
            return data, err
        end
        sem:wait(left)
        count_waiting()
        data, err, found = take(dict, name)
        if found or err then
            return data, err
        end
    end
end

--- The number of values in a queue.
---@param name string
---@return integer
function _M.length(name)
    check_name(name, "queue")
    return memory(2):llen("q" .. name)
end

-- ---------------------------------------------------------------- waking up

-- What is there now. What subscribers send meanwhile wakes this process again, behind everything else
-- that waits in its event loop: who answers each message with another one does not stop the worker.
local function hear(dict)
    local inbox = "i" .. C.bl_lua_events_mine()
    for _ = 1, dict:llen(inbox) or 0 do
        local message = dict:lpop(inbox)
        if not message then
            return
        end
        deliver(message)
    end
end

--- Delivers now what has come for this worker, instead of when the event loop gets to it: whoever
-- goes on after that knows all that was published before.
function _M.poll()
    local dict = memory(2)
    if C.bl_lua_events_mine() >= 0 then
        hear(dict)
    end
end

local function dispatch()
    local dict = memory(1)
    hear(dict)
    for name, sem in pairs(queues) do
        local waiting = -sem:count()
        local values = waiting > 0 and dict:llen("q" .. name) or 0
        if values > 0 then
            sem:post(min(waiting, values))
        end
    end
    count_waiting()
end

raw.dispatch(dispatch)

return _M
