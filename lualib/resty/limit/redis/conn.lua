--- resty.limit.redis.conn: so many requests at a time for a key, over many machines; resty.limit.conn
-- with a Redis in place of the shared dictionary.
--
--     local limit_conn = require "resty.limit.redis.conn"
--     local lim = assert(limit_conn.new({ host = "192.0.2.7" }, 200, 100, 0.5))
--     local delay, err = lim:incoming(key, true)           -- in access_by_lua
--     if not delay then return ngx.exit(err == "rejected" and 503 or 500) end
--     if lim:is_committed() then ngx.ctx.lim, ngx.ctx.key = lim, key end
--     if delay >= 0.001 then ngx.sleep(delay) end          -- err says how many there are
--     …
--     if ngx.ctx.lim then                                  -- in log_by_lua, for each committed one
--         ngx.ctx.lim:leaving(ngx.ctx.key, tonumber(ngx.var.request_time))
--     end
--
-- Above `conn` a request is told to wait as long as those before it may take; above conn + burst it
-- is "rejected". Each call is one round trip. resty.limit.redis.store describes the first argument of
-- new(), and what happens without Redis; of its options, `lease` is this one's: after so many seconds
-- (300) a request no longer counts, since its machine may have died.

local random = require "resty.random"
local store = require "resty.limit.redis.store"
local to_hex = require("resty.string").to_hex

local assert = assert
local floor = math.floor
local get_phase = ngx.get_phase
local remove = table.remove
local setmetatable = setmetatable
local timer_at = ngx.timer.at

local _M = { _VERSION = "0.1" }

---@class resty.limit.redis.conn
local mt = { __index = _M }

-- The key is a sorted set of requests, each with the moment when its lease ends. ARGV: clock, lease,
-- most, the request or "" to ask.
local enter = store.script [[
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.6f', now))
local conn = redis.call('ZCARD', KEYS[1]) + 1
if conn > tonumber(ARGV[3]) then
    return 'rejected'
end
if ARGV[4] ~= '' then
    redis.call('ZADD', KEYS[1], string.format('%.6f', now + tonumber(ARGV[2])), ARGV[4])
    redis.call('PEXPIRE', KEYS[1], math.ceil(tonumber(ARGV[2]) * 1000))
end
return conn
]]

local leave = store.script [[
redis.call('ZREM', KEYS[1], ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.6f', now))
return redis.call('ZCARD', KEYS[1])
]]

-- Names of requests that no other worker gives.
local worker, last = nil, 0

local function new_name()
    worker = worker or to_hex(random.bytes(12))
    last = last + 1
    return worker .. last
end

--- Makes a limiter, for one request.
---@param opts resty.limit.redis.options
---@param conn integer requests at a time
---@param burst integer more, which wait
---@param default_conn_delay number seconds that a request takes; leaving() learns
---@return resty.limit.redis.conn? lim
---@return string? err
function _M.new(opts, conn, burst, default_conn_delay)
    assert(conn > 0 and burst >= 0 and default_conn_delay >= 0)
    local shared, err = store.new(opts)
    if not shared then
        return nil, err
    end
    return setmetatable({
        store = shared,
        max = conn,
        burst = burst,
        unit_delay = default_conn_delay,
        lease = opts.lease or 300,
        names = {},
        committed = false,
    }, mt)
end

--- Counts a request that begins.
---@param key string
---@param commit? boolean without it, this only asks
---@return number? delay seconds to wait
---@return integer|string conn requests at this time; or "rejected" or another error
function _M.incoming(self, key, commit)
    self.committed = false
    local name = commit and new_name() or ""
    local conn, err = self.store:run(enter, key, self.lease, self.max + self.burst, name)
    self.committed = false -- another request may have been committed meanwhile
    if not conn then
        return self.store:failed(err)
    elseif conn == "rejected" then
        return nil, "rejected"
    end
    if commit then
        local names = self.names[key] or {}
        self.names[key] = names
        names[#names + 1] = name
        self.committed = true
    end
    if conn > self.max then
        return self.unit_delay * floor((conn - 1) / self.max), conn
    end
    return 0, conn
end

--- Whether the last incoming() has counted: then leaving() must follow.
---@return boolean
function _M.is_committed(self)
    return self.committed
end

local without_sockets = { log = true, header_filter = true, body_filter = true, set = true }

local function take_out(self, key)
    local names = self.names[key]
    local name = names and remove(names)
    if not name then
        return nil, "not found"
    elseif #names == 0 then
        self.names[key] = nil
    end
    if without_sockets[get_phase()] then
        local ok, err = timer_at(0, function()
            self.store:run(leave, key, name)
        end)
        return ok and true, err
    end
    return self.store:run(leave, key, name)
end

--- Counts a request that ends. Where there are no sockets (log_by_lua), that is done right after.
---@param key string
---@param req_latency? number seconds that it took
---@return integer|boolean? conn requests that are left; true when it is done right after
---@return string? err
function _M.leaving(self, key, req_latency)
    local conn, err = take_out(self, key)
    if not conn then
        return nil, err
    end
    if req_latency then
        self.unit_delay = (req_latency + self.unit_delay) / 2
    end
    return conn
end

--- Takes back what incoming() has counted.
---@param key string
---@return integer|boolean? conn
---@return string? err
function _M.uncommit(self, key)
    self.committed = false
    return take_out(self, key)
end

--- Another number of requests from now on.
---@param conn integer
function _M.set_conn(self, conn)
    assert(conn > 0)
    self.max = conn
end

--- Another burst from now on.
---@param burst integer
function _M.set_burst(self, burst)
    assert(burst >= 0)
    self.burst = burst
end

return _M
