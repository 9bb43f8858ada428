--- resty.limit.redis.store: the Redis that limiters of many machines share, for resty.limit.redis.req,
-- .conn and .count.
--
-- What new() of these takes in place of a dictionary's name:
--
--     { host = "192.0.2.7", port = 6379,                    -- connect options of resty.redis, too
--       prefix = "limits:", fail = "open" }
--
-- Each call is one round trip: a script that Redis executes as a whole, sent as its checksum and,
-- when Redis does not know it yet (after a restart), once in full. The time is Redis' own, so the
-- machines' clocks do not matter.
--
-- When Redis can't be asked, `fail` decides: "error" (default) returns nil and the error, "closed"
-- rejects the request, "open" lets it pass, uncounted, and writes a warning to the log.

local redis = require "resty.redis"
local to_hex = require("resty.string").to_hex

local error = error
local find = string.find
local log = ngx.log
local setmetatable = setmetatable
local sha1_bin = ngx.sha1_bin
local type = type

local WARN = ngx.WARN

local _M = {}

---@class resty.limit.redis.store
local mt = { __index = _M }

---@class resty.limit.redis.options
---@field host? string default "127.0.0.1"; "unix:/path", too
---@field port? integer default 6379
---@field connect_timeout? number milliseconds, default 1000
---@field send_timeout? number milliseconds, default 1000
---@field read_timeout? number milliseconds, default 1000
---@field keepalive_timeout? number milliseconds, default 60000
---@field keepalive_cons? integer connections that a worker keeps, default 100
---@field prefix? string in front of each key, default "limit:"
---@field fail? string "error" (default), "open" or "closed": when Redis can't be asked
---@field clock? fun(): number seconds, instead of Redis' clock
---@field cluster? resty.redis.cluster.options a cluster instead of a host
---@field connect? fun(): resty.redis?, string? gives a connection, such as resty.redis.sentinel's

--- A script with its checksum. Its first lines set `now`, from the clock in ARGV[1] or Redis' own.
---@param text string
---@return table
function _M.script(text)
    text = [[
local now = tonumber(ARGV[1])
if not now then
    local time = redis.call('TIME')
    now = time[1] - 1577836800 + time[2] / 1000000
end
]] .. text
    return { text = text, sha = to_hex(sha1_bin(text)) }
end

--- Makes a store.
---@param opts resty.limit.redis.options
---@return resty.limit.redis.store? store
---@return string? err
function _M.new(opts)
    if type(opts) ~= "table" then
        return nil, "no options of a Redis"
    end
    local fail = opts.fail or "error"
    if fail ~= "error" and fail ~= "open" and fail ~= "closed" then
        error('bad option fail: "error", "open" or "closed" expected', 3)
    end
    local cluster
    if opts.cluster then
        local err
        cluster, err = require("resty.redis.cluster"):new(opts.cluster)
        if not cluster then
            return nil, err
        end
    end
    return setmetatable({
        opts = opts,
        cluster = cluster,
        fail = fail,
        prefix = opts.prefix or "limit:",
    }, mt)
end

local function connect(self)
    local opts = self.opts
    if self.cluster then
        return self.cluster
    elseif opts.connect then
        return opts.connect()
    end
    local red, err = redis:new()
    if not red then
        return nil, err
    end
    red:set_timeouts(opts.connect_timeout or 1000, opts.send_timeout or 1000, opts.read_timeout or 1000)
    local host = opts.host or "127.0.0.1"
    local ok
    if find(host, "^unix:") then
        ok, err = red:connect(host, opts)
    else
        ok, err = red:connect(host, opts.port or 6379, opts)
    end
    if not ok then
        return nil, err
    end
    return red
end

local function execute(red, script, ...)
    local res, err = red:evalsha(script.sha, 1, ...)
    if res == false and find(err, "^NOSCRIPT") then
        res, err = red:eval(script.text, 1, ...)
    end
    return res, err
end

--- Executes a script for a key.
---@param script table
---@param key string
---@param ... any ARGV[2] and so on
---@return any res nil: Redis could not be asked, or refused
---@return string? err
function _M.run(self, script, key, ...)
    local red, err = connect(self)
    if not red then
        return nil, err
    end
    local opts = self.opts
    local now = opts.clock and opts.clock() or ""
    local res
    res, err = execute(red, script, self.prefix .. key, now, ...)
    if res == nil then
        return nil, err
    end
    if not self.cluster then
        red:set_keepalive(opts.keepalive_timeout or 60000, opts.keepalive_cons or 100)
    end
    return res or nil, err
end

--- What incoming() returns when the script could not be executed.
---@param err string
---@return number? delay
---@return any state
function _M.failed(self, err)
    if self.fail == "open" then
        log(WARN, "a request passes uncounted, Redis fails: ", err)
        return 0, 0
    elseif self.fail == "closed" then
        return nil, "rejected"
    end
    return nil, err
end

return _M
