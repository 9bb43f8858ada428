--- resty.lock: a lock among all workers, kept in a shared dictionary.
--
--     -- lua_shared_dict my_locks 100k;
--     local lock, err = require("resty.lock"):new("my_locks", { exptime = 10 })
--     local elapsed, err = lock:lock("my_key")      -- waits without blocking the worker
--     if not elapsed then … end                     -- "timeout" when it took too long
--     …                                             -- alone here
--     local ok, err = lock:unlock()
--
-- The lock is a key of the dictionary with a value that nobody else has. It vanishes after
-- `exptime` seconds, so that a worker that dies does not keep it for ever; an object that is
-- collected gives its lock back. One object holds one lock at a time.
--
-- Errors are nil and a message: "dictionary not found" (new), "timeout", "locked" (this object has
-- a lock already), "unlocked" (it has none, or the lock has expired), and what the dictionary
-- reports.

local getmetatable = getmetatable
local min = math.min
local newproxy = newproxy
local pid = ngx.worker.pid
local setmetatable = setmetatable
local shared = ngx.shared
local sleep = ngx.sleep
local tonumber = tonumber
local type = type

local _M = { _VERSION = "0.09" }

---@class resty.lock
local mt = { __index = _M }

---@class resty.lock.options
---@field exptime? number seconds until a lock vanishes; 30
---@field timeout? number seconds that lock() waits at most; 5
---@field step? number seconds of the first wait; 0.001
---@field ratio? number each wait is so much longer than the one before; 2
---@field max_step? number but no longer than this many seconds; 0.5

local counter = 0

-- A value that no other lock has: the process and a count of its own.
local function token()
    counter = counter + 1
    return pid() .. "." .. counter
end

local function release(held)
    if held.key and held.dict:get(held.key) == held.token then
        held.dict:delete(held.key)
    end
end

-- A proxy whose collection releases what `held` says.
local function guard(held)
    local proxy = newproxy(true)
    getmetatable(proxy).__gc = function()
        release(held)
    end
    return proxy
end

--- Makes an object that can hold a lock.
---@param dict_name string|table a shared dictionary or its name
---@param opts? resty.lock.options
---@return resty.lock? lock
---@return string? err
function _M.new(_, dict_name, opts)
    local dict = type(dict_name) == "string" and shared[dict_name] or dict_name
    if type(dict) == "string" or not dict then
        return nil, "dictionary not found"
    end
    opts = opts or {}
    local held = { dict = dict, key = false, token = false }
    local timeout = tonumber(opts.timeout) or 5
    local max_step = tonumber(opts.max_step) or 0.5
    return setmetatable({
        held = held,
        guard = guard(held),
        exptime = tonumber(opts.exptime) or 30,
        timeout = timeout,
        step = min(tonumber(opts.step) or 0.001, max_step),
        ratio = tonumber(opts.ratio) or 2,
        max_step = max_step,
    }, mt)
end

-- Tries once. Returns true, false when somebody has the lock, or nil and an error.
local function try(self, key, value)
    local held = self.held
    local ok, err = held.dict:add(key, value, self.exptime)
    if ok then
        held.key, held.token = key, value
        return true
    elseif err == "exists" then
        return false
    end
    return nil, err
end

--- Waits until nobody else has the lock `key`, and takes it.
---@param key string
---@return number? elapsed how many seconds it waited
---@return string? err
function _M.lock(self, key)
    if not key then
        return nil, "nil key"
    end
    if self.held.key then
        return nil, "locked"
    end
    local value = token()
    local elapsed, step = 0, self.step
    while true do
        local ok, err = try(self, key, value)
        if ok then
            return elapsed
        elseif ok == nil then
            return nil, err
        elseif elapsed >= self.timeout then
            return nil, "timeout"
        end
        step = min(step, self.timeout - elapsed)
        sleep(step)
        elapsed = elapsed + step
        step = min(step * self.ratio, self.max_step)
    end
end

-- Whether the lock is still ours.
local function holds(held)
    return held.key and held.dict:get(held.key) == held.token
end

--- Gives the lock back.
---@return integer? ok 1
---@return string? err
function _M.unlock(self)
    local held = self.held
    local good = holds(held)
    local key = held.key
    held.key = false
    if not good then
        return nil, "unlocked"
    end
    held.dict:delete(key)
    return 1
end

--- Lets the lock last longer, or shorter.
---@param exptime? number seconds from now; without it, the option `exptime`
---@return boolean? ok
---@return string? err
function _M.expire(self, exptime)
    local held = self.held
    if not holds(held) then
        return nil, "unlocked"
    end
    local ok, err = held.dict:replace(held.key, held.token, exptime or self.exptime)
    if not ok then
        return nil, err
    end
    return true
end

return _M
