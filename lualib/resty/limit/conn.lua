--- resty.limit.conn: so many requests at a time for a key, counted in a shared dictionary.
--
--     -- lua_shared_dict my_conns 10m;
--     local lim = assert(require("resty.limit.conn").new("my_conns", 200, 100, 0.5))
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
-- is "rejected". Other errors are what the dictionary reports, and "shared dict not found" from
-- new(). A worker that dies takes the leaving() of its requests along.

local assert = assert
local floor = math.floor
local setmetatable = setmetatable
local shared = ngx.shared

local _M = { _VERSION = "0.09" }

---@class resty.limit.conn
local mt = { __index = _M }

--- Makes a limiter.
---@param dict_name string
---@param conn integer requests at a time
---@param burst integer more, which wait
---@param default_conn_delay number seconds that a request takes; leaving() learns
---@return resty.limit.conn? lim
---@return string? err
function _M.new(dict_name, conn, burst, default_conn_delay)
    local dict = shared[dict_name]
    if not dict then
        return nil, "shared dict not found"
    end
    assert(conn > 0 and burst >= 0 and default_conn_delay >= 0)
    return setmetatable({
        dict = dict,
        max = conn,
        burst = burst,
        unit_delay = default_conn_delay,
        committed = false,
    }, mt)
end

local function count(self, key, commit)
    if commit then
        return self.dict:incr(key, 1, 0)
    end
    local conn, err = self.dict:get(key)
    if err then
        return nil, err
    end
    return (conn or 0) + 1
end

--- Counts a request that begins.
---@param key string
---@param commit? boolean without it, this only asks
---@return number? delay seconds to wait
---@return integer|string conn requests at this time; or "rejected" or another error
function _M.incoming(self, key, commit)
    self.committed = false
    local conn, err = count(self, key, commit)
    if not conn then
        return nil, err
    end
    if conn > self.max + self.burst then
        if commit then
            self.dict:incr(key, -1)
        end
        return nil, "rejected"
    end
    self.committed = commit == true
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

--- Counts a request that ends.
---@param key string
---@param req_latency? number seconds that it took
---@return integer? conn requests that are left
---@return string? err
function _M.leaving(self, key, req_latency)
    local conn, err = self.dict:incr(key, -1)
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
---@return integer? conn
---@return string? err
function _M.uncommit(self, key)
    self.committed = false
    return self.dict:incr(key, -1)
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
