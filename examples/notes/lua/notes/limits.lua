-- How much one may do: counted in Redis, so that it holds for all workers and all machines together.

local limit_count = require "resty.limit.redis.count"
local reply = require "notes.reply"
local settings = require "notes.settings"

local redis = { host = settings.redis.host, port = settings.redis.port, prefix = "notes:limit:" }
local tries = assert(limit_count.new(redis, settings.tries, 300))
local requests = assert(limit_count.new(redis, settings.requests, 60))

local _M = {}

-- Counts, or ends the request: 429 when it is one too many, 503 when there is no Redis.
local function count(limiter, key, message)
    local delay, left, reset = limiter:incoming(key, true)
    if not delay and left ~= "rejected" then
        return reply.unavailable("Redis", left)
    end
    if not delay then
        ngx.header["Retry-After"] = math.ceil(reset or 60)
        return reply.fail(429, message)
    end
    ngx.header["X-RateLimit-Remaining"] = left
end

-- A password is tried from the client's address. Behind a proxy, let set_real_ip_from and real_ip_header
-- make $remote_addr the client's.
function _M.try()
    count(tries, "try:" .. ngx.var.remote_addr, "too many tries, please wait a few minutes")
end

-- It was the right one: that does not count.
function _M.forgive()
    tries:uncommit("try:" .. ngx.var.remote_addr)
end

function _M.request(user)
    count(requests, "user:" .. user, "too many requests, please wait a minute")
end

return _M
