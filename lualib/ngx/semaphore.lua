--- ngx.semaphore: lets light threads wait for each other, also those of different requests.
--
--     local semaphore = require "ngx.semaphore"
--     local done = semaphore.new()
--
--     ngx.thread.spawn(function()
--         work()
--         done:post()
--     end)
--     local ok, err = done:wait(5)                   -- nil, "timeout" after five seconds
--
-- A semaphore is of one worker: keep it in a module's variable to share it among requests. Units go to
-- those who wait in the order in which they came; one that is given to a thread which is killed meanwhile
-- goes to the next. Wrong arguments raise an error.

local new_semaphore = package.loaded["bulan.require"].new_semaphore
local here = require "resty.core.here"
local words = require("resty.core.phase").words

local setmetatable, type, error, tonumber = setmetatable, type, error, tonumber

local _M = { version = require("resty.core.base").version }
local mt = { __index = _M }

---@param n integer? units that are there at first
---@return table semaphore
function _M.new(n)
    n = tonumber(n) or 0
    if n < 0 then
        error("no memory", 2)
    end
    return setmetatable({ sem = new_semaphore(n) }, mt)
end

local function check(self)
    if type(self) ~= "table" or type(self.sem) ~= "userdata" then
        error("not a semaphore instance", 3)
    end
    return self.sem
end

--- Takes a unit, waiting for one at most `seconds`.
---@param seconds number
---@return boolean? ok
---@return string? err "timeout"
function _M.wait(self, seconds)
    local sem = check(self)
    seconds = tonumber(seconds)
    if not seconds or seconds < 0 then
        error("wait timeout must be a number no less than zero", 2)
    end
    local phase = here.phase
    if phase == 0x80000 or phase == 0x2000 then
        return nil, "API disabled in the context of " .. words[phase] .. "_by_lua*"
    end
    return sem:wait(seconds)
end

--- Gives `n` units, and wakes as many that wait.
---@param n integer?
---@return boolean ok
function _M.post(self, n)
    local sem = check(self)
    n = n == nil and 1 or tonumber(n)
    if not n or n < 1 then
        error("no positive number", 2)
    end
    return sem:post(n)
end

---@return integer count units that are there; below zero: so many wait
function _M.count(self)
    return check(self):count()
end

return _M
