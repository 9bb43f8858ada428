-- Connections to Redis, from the worker's pool.
local redis = require "resty.redis"

local HOST = os.getenv("REDIS_HOST") or "127.0.0.1"
local PORT = tonumber(os.getenv("REDIS_PORT") or 6379)
local IDLE, POOL = 10000, 32 -- keep a connection for 10 s; 32 of them in each worker

local store = {}

-- A connection, new or used before; or nil and why not. An object belongs to one request: it is
-- never kept in a module's variable.
function store.open()
    local red = redis:new()
    red:set_timeouts(1000, 1000, 1000) -- who does not answer soon is as good as down
    local ok, err = red:connect(HOST, PORT)
    if not ok then
        return nil, err
    end
    return red
end

-- Gives it back when all answers are read. After an error close() it, or just leave it alone:
-- the request's end closes it.
function store.keep(red)
    local ok, err = red:set_keepalive(IDLE, POOL)
    if not ok then
        ngx.log(ngx.WARN, "Redis: not kept: ", err)
    end
end

-- The answer when a page cannot do without Redis.
function store.unavailable(err)
    ngx.log(ngx.ERR, "Redis: ", err)
    ngx.status = 503
    ngx.header["Retry-After"] = 5
    ngx.say("Redis is not at hand")
end

return store
