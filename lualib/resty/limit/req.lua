--- resty.limit.req: so many requests a second for a key, as a leaky bucket in a shared dictionary.
--
--     -- lua_shared_dict my_limits 10m;
--     local lim = assert(require("resty.limit.req").new("my_limits", 200, 100))
--     local delay, err = lim:incoming(ngx.var.binary_remote_addr, true)
--     if not delay then
--         return ngx.exit(err == "rejected" and 503 or 500)
--     end
--     if delay >= 0.001 then ngx.sleep(delay) end          -- err says how many are in excess
--
-- Under the rate the delay is 0; up to `burst` requests above it are told to wait; more are
-- "rejected". Other errors are what the dictionary reports, and "shared dict not found" from new().
--
-- The dictionary has for a key the moment when its bucket will be empty. A request moves it by
-- 1/rate with the dictionary's own addition, so requests in different workers all count.

local assert = assert
local max = math.max
local now = ngx.now
local setmetatable = setmetatable
local shared = ngx.shared

local _M = { _VERSION = "0.09" }

---@class resty.limit.req
local mt = { __index = _M }

-- Moments are counted from here, in seconds: the smaller the number, the finer its fraction.
local BASE = 1577836800

--- Makes a limiter. It has no state of its own and may be shared by requests.
---@param dict_name string
---@param rate number requests per second
---@param burst number requests that may wait
---@return resty.limit.req? lim
---@return string? err
function _M.new(dict_name, rate, burst)
    local dict = shared[dict_name]
    if not dict then
        return nil, "shared dict not found"
    end
    assert(rate > 0 and burst >= 0)
    return setmetatable({ dict = dict, rate = rate, burst = burst }, mt)
end

-- Moves the moment for one request. Returns where it was, or nil and an error.
local function move(dict, key, at, interval)
    local moved, err = dict:incr(key, interval, at)
    if not moved then
        return nil, err
    end
    local before = moved - interval
    if before < at then
        -- The bucket was empty since then: it is filled from now on.
        local ok
        ok, err = dict:set(key, at + interval)
        if not ok then
            return nil, err
        end
    end
    return before
end

--- Counts a request.
---@param key string
---@param commit? boolean without it, this only asks
---@return number? delay seconds to wait
---@return number|string excess requests above the rate; or "rejected" or another error
function _M.incoming(self, key, commit)
    local dict, at, interval = self.dict, now() - BASE, 1 / self.rate
    local before, err
    if commit then
        before, err = move(dict, key, at, interval)
    else
        before, err = dict:get(key)
        before = before or not err and at
    end
    if not before then
        return nil, err
    end
    local excess = max((before - at) * self.rate, 0)
    if excess > self.burst then
        if commit then
            dict:incr(key, -interval)
        end
        return nil, "rejected"
    end
    return excess / self.rate, excess
end

--- Takes back what incoming() has counted, as far as that is possible.
---@param key string
---@return boolean? ok
---@return string? err
function _M.uncommit(self, key)
    local moment, err = self.dict:incr(key, -1 / self.rate)
    if not moment then
        return nil, err
    end
    return true
end

--- Another rate from now on.
---@param rate number
function _M.set_rate(self, rate)
    assert(rate > 0)
    self.rate = rate
end

--- Another burst from now on.
---@param burst number
function _M.set_burst(self, burst)
    assert(burst >= 0)
    self.burst = burst
end

return _M
