-- Four ways to slow a client down. A limiter has no state of its own (that is in the shared
-- dictionary or in Redis): it is made once, here, and used by all requests.
local limit_count = require "resty.limit.count"
local limit_req = require "resty.limit.req"
local redis_count = require "resty.limit.redis.count"

local QUOTA, WINDOW = 5, 60

local steadily = assert(limit_req.new("buckets", 5, 10))  -- 5 a second, 10 may wait
local in_bursts = assert(limit_req.new("buckets", 0.2, 3)) -- 1 in 5 seconds, 3 more at once
local quota = assert(limit_count.new("counts", QUOTA, WINDOW))
local fleet = assert(redis_count.new({
    host = os.getenv("REDIS_HOST") or "127.0.0.1",
    port = tonumber(os.getenv("REDIS_PORT") or 6379),
    prefix = "course:limit:",
}, QUOTA, WINDOW))

local limits = {}

-- The customers' keys. A program of yours looks into its database. A key that nobody has given out
-- counts for nothing: who invents a new one for each request would have no limit at all.
local CUSTOMERS = { other = true, another = true }

-- Who is it? By key where there is a good one, otherwise by address. Behind a proxy all have the
-- proxy's address: see set_real_ip_from.
local function client(where)
    local key = ngx.var.http_x_api_key
    if key and CUSTOMERS[key] then
        return where .. ":key:" .. key
    end
    return where .. ":address:" .. ngx.var.remote_addr
end

local function too_many(seconds)
    ngx.status = 429
    ngx.header["Retry-After"] = math.max(1, math.ceil(seconds))
    ngx.say("too many requests")
    return ngx.exit(429)
end

-- When the limiter itself fails: let them in, and say so in the log.
local function broken(err)
    ngx.log(ngx.ERR, "cannot count: ", err)
end

function limits.steady()
    local delay, err = steadily:incoming(client("steady"), true)
    if err == "rejected" then
        return too_many(1)
    elseif not delay then
        return broken(err)
    end
    if delay >= 0.001 then
        ngx.sleep(delay) -- this request waits; the worker does not
    end
end

-- The same bucket, but those who may come early do not wait.
function limits.burst()
    local delay, err = in_bursts:incoming(client("burst"), true)
    if err == "rejected" then
        return too_many(5)
    elseif not delay then
        return broken(err)
    end
end

local function headers(remaining, reset)
    ngx.header["X-RateLimit-Limit"] = QUOTA
    ngx.header["X-RateLimit-Remaining"] = remaining
    ngx.header["X-RateLimit-Reset"] = math.ceil(reset)
end

function limits.quota()
    local key = client("quota")
    local delay, remaining = quota:incoming(key, true)
    if not delay and remaining ~= "rejected" then
        return broken(remaining)
    end
    local reset = ngx.shared.counts:ttl(key) or WINDOW -- seconds until the window ends
    headers(delay and remaining or 0, reset)
    if not delay then
        return too_many(reset)
    end
end

-- A round trip to Redis for each request, of less than a millisecond in one computing centre.
function limits.fleet()
    local delay, remaining, reset = fleet:incoming(client("fleet"), true)
    if not delay and remaining ~= "rejected" then
        return broken(remaining)
    end
    reset = reset or WINDOW -- unknown when Redis could not be asked
    headers(delay and remaining or 0, reset)
    if not delay then
        return too_many(reset)
    end
end

return limits
