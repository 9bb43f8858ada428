--- resty.limit.redis.count: so many requests for a key in a window of time, over many machines;
-- resty.limit.count with a Redis in place of the shared dictionary.
--
--     local limit_count = require "resty.limit.redis.count"
--     local lim = assert(limit_count.new({ host = "192.0.2.7" }, 5000, 3600))
--     local delay, err, reset = lim:incoming(key, true)
--     if not delay then
--         return ngx.exit(err == "rejected" and 503 or 500)
--     end
--     ngx.header["X-RateLimit-Remaining"] = err
--
-- The window begins with a key's first request. Each call is one round trip. resty.limit.redis.store
-- describes the first argument of new(), and what happens without Redis.

local store = require "resty.limit.redis.store"

local assert = assert
local setmetatable = setmetatable
local tonumber = tonumber

local _M = { _VERSION = "0.1" }

---@class resty.limit.redis.count
local mt = { __index = _M }

-- The key is a hash: e, when the window ends, and n, the requests so far. ARGV: clock, limit, window,
-- what to add: 1; 0, to ask; or -1, to take back. Returns what remains, and seconds to the end.
local count = store.script [[
local limit, window, add = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local state = redis.call('HMGET', KEYS[1], 'e', 'n')
local ends, n = tonumber(state[1]), tonumber(state[2])
if not ends or now >= ends then
    ends, n = now + window, 0
end
local used = add < 0 and math.max(n - 1, 0) or n + 1
if add ~= 0 and used ~= n and used <= limit then
    redis.call('HSET', KEYS[1], 'e', string.format('%.6f', ends), 'n', used)
    redis.call('PEXPIRE', KEYS[1], math.ceil((ends - now) * 1000))
end
return {limit - used, string.format('%.6f', ends - now)}
]]

--- Makes a limiter. It has no state of its own and may be shared by requests.
---@param opts resty.limit.redis.options
---@param limit integer requests
---@param window number seconds
---@return resty.limit.redis.count? lim
---@return string? err
function _M.new(opts, limit, window)
    assert(limit > 0 and window > 0)
    local shared, err = store.new(opts)
    if not shared then
        return nil, err
    end
    return setmetatable({ store = shared, limit = limit, window = window }, mt)
end

--- Counts a request.
---@param key string
---@param commit? boolean without it, this only asks
---@return integer? delay 0
---@return integer|string remaining requests that may still come; or "rejected" or another error
---@return number? reset seconds to the end of the window
function _M.incoming(self, key, commit)
    local shared = self.store
    local res, err = shared:run(count, key, self.limit, self.window, commit and 1 or 0)
    if not res then
        return shared:failed(err)
    end
    local remaining, reset = res[1], tonumber(res[2])
    if remaining < 0 then
        return nil, "rejected", reset
    end
    return 0, remaining, reset
end

--- Takes back what incoming() has counted.
---@param key string
---@return integer? remaining
---@return string? err
function _M.uncommit(self, key)
    local res, err = self.store:run(count, key, self.limit, self.window, -1)
    if not res then
        return nil, err
    end
    return res[1]
end

return _M
