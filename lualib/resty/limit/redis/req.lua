--- resty.limit.redis.req: so many requests a second for a key, over many machines; resty.limit.req
-- with a Redis in place of the shared dictionary.
--
--     local limit_req = require "resty.limit.redis.req"
--     local lim = assert(limit_req.new({ host = "192.0.2.7", fail = "open" }, 200, 100))
--     local delay, err = lim:incoming(ngx.var.binary_remote_addr, true)
--     if not delay then
--         return ngx.exit(err == "rejected" and 503 or 500)
--     end
--     if delay >= 0.001 then ngx.sleep(delay) end          -- err says how many are in excess
--
-- A leaky bucket: under the rate the delay is 0; up to `burst` requests above it are told to wait;
-- more are "rejected". Each call is one round trip. resty.limit.redis.store describes the first
-- argument of new(), and what happens without Redis. The limiters of resty.limit.traffic may be of
-- both families.

local store = require "resty.limit.redis.store"

local assert = assert
local setmetatable = setmetatable
local tonumber = tonumber

local _M = { _VERSION = "0.1" }

---@class resty.limit.redis.req
local mt = { __index = _M }

-- The key has the moment when the bucket will be empty; a request moves it by 1/rate. ARGV: clock,
-- 1/rate, burst, whether to count. The little that is added to burst is for the rounding of moments.
local incoming = store.script [[
local interval, burst = tonumber(ARGV[2]), tonumber(ARGV[3])
local moment = tonumber(redis.call('GET', KEYS[1]) or now)
if moment < now then
    moment = now
end
local excess = (moment - now) / interval
if excess > burst + 0.000001 then
    return 'rejected'
end
if ARGV[4] == '1' then
    local left = moment + interval - now
    redis.call('SET', KEYS[1], string.format('%.9f', moment + interval), 'PX', math.ceil(left * 1000) + 1000)
end
return string.format('%.6f', excess)
]]

local uncommit = store.script [[
local moment = tonumber(redis.call('GET', KEYS[1]))
if moment then
    redis.call('SET', KEYS[1], string.format('%.9f', moment - tonumber(ARGV[2])), 'KEEPTTL')
end
return 'OK'
]]

--- Makes a limiter. It has no state of its own and may be shared by requests.
---@param opts resty.limit.redis.options
---@param rate number requests per second
---@param burst number requests that may wait
---@return resty.limit.redis.req? lim
---@return string? err
function _M.new(opts, rate, burst)
    assert(rate > 0 and burst >= 0)
    local shared, err = store.new(opts)
    if not shared then
        return nil, err
    end
    return setmetatable({ store = shared, rate = rate, burst = burst }, mt)
end

--- Counts a request.
---@param key string
---@param commit? boolean without it, this only asks
---@return number? delay seconds to wait
---@return number|string excess requests above the rate; or "rejected" or another error
function _M.incoming(self, key, commit)
    local shared = self.store
    local res, err = shared:run(incoming, key, 1 / self.rate, self.burst, commit and 1 or 0)
    if not res then
        return shared:failed(err)
    elseif res == "rejected" then
        return nil, "rejected"
    end
    local excess = tonumber(res)
    return excess / self.rate, excess
end

--- Takes back what incoming() has counted, as far as that is possible.
---@param key string
---@return boolean? ok
---@return string? err
function _M.uncommit(self, key)
    local res, err = self.store:run(uncommit, key, 1 / self.rate)
    if not res then
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
