--- resty.session.redis: keeps the data of sessions in Redis, alone, behind sentinels or as a cluster.
--
--     require("resty.session").init {
--         storage = "redis",
--         redis = { host = "192.0.2.7", port = 6379, username = "web", password = "…", prefix = "sessions" },
--     }
--
-- With `sentinels` the master is found through them; with `nodes` it is a cluster. The keys are
-- `prefix:cookie name:session id:suffix`. With the session's `store_metadata`, the ids of a subject's
-- sessions are the members of a sorted set, `prefix:cookie name:audience:subject:suffix`, with the times
-- of their ends as scores. Errors are those of resty.redis, nil and a message.

local redis = require "resty.redis"

local ipairs = ipairs
local null = ngx.null
local setmetatable = setmetatable

local TIMEOUT = 1000
local KEEPALIVE = 60000
local POOL = 30

local _M = {}

---@class resty.session.redis
local methods = {}
local mt = { __index = methods }

---@class resty.session.redis.options
---@field host? string "127.0.0.1"
---@field port? integer 6379
---@field socket? string a path, "unix:/run/redis.sock", in place of host and port
---@field database? integer
---@field prefix? string in front of each key
---@field suffix? string behind each key
---@field username? string
---@field password? string
---@field connect_timeout? number milliseconds; 1000
---@field send_timeout? number milliseconds; 1000
---@field read_timeout? number milliseconds; 1000
---@field keepalive_timeout? number milliseconds; 60000
---@field pool? string the connection pool's name
---@field pool_size? integer 30
---@field backlog? integer
---@field ssl? boolean
---@field ssl_verify? boolean true
---@field server_name? string
---@field sentinels? {host: string, port: integer}[]
---@field master? string the master's name, for sentinels
---@field role? string "master" or "slave", for sentinels
---@field sentinel_username? string
---@field sentinel_password? string
---@field nodes? {ip: string, port: integer}[] of a cluster
---@field name? string the cluster's
---@field max_redirections? integer of a cluster

local function verifies(options)
    return options.ssl_verify ~= false
end

local function new_sentinel(options)
    return require("resty.redis.sentinel").new {
        sentinels = options.sentinels, master_name = options.master, role = options.role,
        username = options.username, password = options.password, db = options.database,
        sentinel_username = options.sentinel_username, sentinel_password = options.sentinel_password,
        connect_timeout = options.connect_timeout or TIMEOUT, send_timeout = options.send_timeout or TIMEOUT,
        read_timeout = options.read_timeout or TIMEOUT, keepalive_timeout = options.keepalive_timeout,
        keepalive_poolsize = options.pool_size,
        connection_options = {
            ssl = options.ssl, ssl_verify = verifies(options), server_name = options.server_name,
            backlog = options.backlog,
        },
    }
end

local function new_cluster(options)
    local nodes = {}
    for i, node in ipairs(options.nodes) do
        nodes[i] = { ip = node.ip or "127.0.0.1", port = node.port or 6379 }
    end
    return require("resty.redis.cluster"):new {
        serv_list = nodes, name = options.name, username = options.username, password = options.password,
        connect_timeout = options.connect_timeout, send_timeout = options.send_timeout,
        read_timeout = options.read_timeout, keepalive_timeout = options.keepalive_timeout,
        keepalive_cons = options.pool_size, max_redirection = options.max_redirections,
        connect_opts = {
            ssl = options.ssl, ssl_verify = verifies(options), server_name = options.server_name,
            backlog = options.backlog,
        },
    }
end

--- Makes a storage.
---@param options? resty.session.redis.options
---@return resty.session.redis
function _M.new(options)
    options = options or {}
    return setmetatable({
        options = options,
        prefix = options.prefix and options.prefix .. ":" or "",
        suffix = options.suffix and ":" .. options.suffix or "",
        connecting = {
            ssl = options.ssl, ssl_verify = verifies(options), server_name = options.server_name,
            pool = options.pool, pool_size = options.pool_size, backlog = options.backlog,
            username = options.username, password = options.password, db = options.database,
        },
    }, mt)
end

local function connect_single(self)
    local options = self.options
    local red, err = redis:new()
    if not red then
        return nil, err
    end
    red:set_timeouts(options.connect_timeout or TIMEOUT, options.send_timeout or TIMEOUT,
                     options.read_timeout or TIMEOUT)
    local ok
    if options.socket then
        local path = options.socket
        path = path:find("^unix:") and path or "unix:" .. path
        ok, err = red:connect(path, self.connecting)
    else
        ok, err = red:connect(options.host or "127.0.0.1", options.port or 6379, self.connecting)
    end
    if not ok then
        return nil, err
    end
    return red
end

local function connect(self)
    local options = self.options
    local err
    if options.nodes then
        -- It has a pipeline, so each request has its own.
        return new_cluster(options)
    elseif options.sentinels then
        if not self.sentinel then
            self.sentinel, err = new_sentinel(options)
            if not self.sentinel then
                return nil, err
            end
        end
        return self.sentinel:connect()
    end
    return connect_single(self)
end

local function give_back(self, red)
    local options = self.options
    if not options.nodes then
        red:set_keepalive(options.keepalive_timeout or KEEPALIVE, options.pool_size or POOL)
    end
end

-- The result of a pipeline: its first error.
local function commit(self, red)
    local results, err = red:commit_pipeline()
    if not results then
        return nil, err
    end
    give_back(self, red)
    for _, result in ipairs(results) do
        if type(result) == "table" and result[1] == false then
            return nil, result[2]
        end
    end
    return true
end

local function key_of(self, name, key)
    return self.prefix .. name .. ":" .. key .. self.suffix
end

-- Commands on the sets of a subject's sessions.
local function index(self, red, name, key, metadata, ends, now)
    for i, audience in ipairs(metadata.audiences) do
        local set = key_of(self, name, audience .. ":" .. metadata.subjects[i])
        red:zremrangebyscore(set, 0, now)
        if ends then
            red:zadd(set, ends, key)
            red:expire(set, ends - now)
        else
            red:zrem(set, key)
        end
    end
end

--- Keeps a session's data.
---@param name string the cookie's
---@param key string
---@param value string
---@param ttl number seconds; 0: for ever
---@param current_time number
---@param old_key? string of the session that this one replaces
---@param stale_ttl? number seconds that the old one stays
---@param metadata? table { audiences = {…}, subjects = {…} }
---@return boolean? ok
---@return string? err
function methods:set(name, key, value, ttl, current_time, old_key, stale_ttl, metadata)
    local red, err = connect(self)
    if not red then
        return nil, err
    end
    local full = key_of(self, name, key)
    red:init_pipeline()
    if ttl > 0 then
        red:set(full, value, "EX", ttl)
    else
        red:set(full, value)
    end
    if old_key then
        local old = key_of(self, name, old_key)
        if stale_ttl and stale_ttl > 0 then
            red:expire(old, stale_ttl)
        else
            red:del(old)
        end
    end
    if metadata then
        local forever = 3650 * 86400
        index(self, red, name, key, metadata, current_time + (ttl > 0 and ttl or forever), current_time)
        if old_key then
            index(self, red, name, old_key, metadata, nil, current_time)
        end
    end
    return commit(self, red)
end

--- The data of a session.
---@param name string
---@param key string
---@return string? value nil without an error: there is no such session
---@return string? err
function methods:get(name, key)
    local red, err = connect(self)
    if not red then
        return nil, err
    end
    local value
    value, err = red:get(key_of(self, name, key))
    if value == nil then
        return nil, err
    end
    give_back(self, red)
    if value == null then
        return nil
    end
    return value or nil, err
end

--- Forgets a session.
---@param name string
---@param key string
---@param current_time? number
---@param metadata? table
---@return boolean? ok
---@return string? err
function methods:delete(name, key, current_time, metadata)
    local red, err = connect(self)
    if not red then
        return nil, err
    end
    red:init_pipeline()
    red:del(key_of(self, name, key))
    if metadata then
        index(self, red, name, key, metadata, nil, current_time)
    end
    return commit(self, red)
end

return _M
