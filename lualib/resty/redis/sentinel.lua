--- resty.redis.sentinel: connections to a master or its replicas, found through Redis Sentinel.
--
--     local sentinel = require "resty.redis.sentinel"
--     local s, err = sentinel.new {
--         sentinels = { { host = "192.0.2.1", port = 26379 }, { host = "192.0.2.2", port = 26379 } },
--         master_name = "mymaster", password = "secret", db = 2,
--     }
--     local red, err = s:connect()                          -- a resty.redis, connected to the master
--     local reader = s:connect { role = "slave" }           -- or "any": the master, if it can be reached
--     red:set("dog", "an animal")
--     s:set_keepalive(red)
--
-- A worker remembers the master; while connections to it succeed, the sentinels are not asked. A new
-- connection is asked for its role (as "Guidelines for Redis clients with support for Redis Sentinel"
-- has it), so a master that has become a replica is not taken for one; then, and when it can't be
-- reached, the sentinels are asked, one after another, beginning with the one that answered last.
-- After a READONLY error of an old connection, s:forget() has them asked, too.
--
-- Errors: "no sentinel answers: …", "no such master: …", "no replica can be reached: …", "<host>:<port>
-- is not a master", and those of resty.redis' connect.

local redis = require "resty.redis"

local concat = table.concat
local error = error
local find = string.find
local ipairs = ipairs
local match = string.match
local pairs = pairs
local random = math.random
local setmetatable = setmetatable
local tonumber = tonumber
local type = type

local _M = { _VERSION = "0.1" }

---@class resty.redis.sentinel
local mt = { __index = _M }

---@class resty.redis.sentinel.options
---@field sentinels {host: string, port: integer}[] port 26379
---@field master_name? string default "mymaster"
---@field role? string "master" (default), "slave" (or "replica"), "any"
---@field url? string "sentinel://PASSWORD@MASTER_NAME:ROLE/DB", in place of the options it names; ROLE is m, s or a
---@field username? string of the servers
---@field password? string
---@field db? integer
---@field protocol? integer 3: RESP3
---@field sentinel_username? string of the sentinels
---@field sentinel_password? string
---@field connect_timeout? number milliseconds, default 100
---@field send_timeout? number milliseconds, default 1000
---@field read_timeout? number milliseconds, default 1000
---@field keepalive_timeout? number milliseconds, default 60000
---@field keepalive_poolsize? integer default 30
---@field connection_options? table {ssl, ssl_verify (default true), server_name, pool_size, backlog}

local defaults = {
    master_name = "mymaster",
    role = "master",
    connect_timeout = 100,
    send_timeout = 1000,
    read_timeout = 1000,
    keepalive_timeout = 60000,
    keepalive_poolsize = 30,
}

local roles = { m = "master", s = "slave", a = "any", replica = "slave" }

-- What a worker knows, by the master's name and the sentinels: { master =, first = index }.
local known = {}

-- Options -------------------------------------------------------------------------------------------

local function read_url(options)
    local rest = match(options.url, "^sentinel://(.*)$")
    if not rest then
        return nil, "bad url"
    end
    local secret, place = match(rest, "^(.*)@([^@]*)$")
    local name, role, db = match(place or rest, "^([^:/]+):([msa])/?(%d*)$")
    if not name then
        return nil, "bad url"
    end
    options.password = secret or options.password
    options.master_name, options.role = name, role
    options.db = tonumber(db) or options.db
    return true
end

-- Options over those of `base`.
local function merge(base, opts)
    local options = {}
    for name, value in pairs(base) do
        options[name] = value
    end
    for name, value in pairs(opts or {}) do
        options[name] = value
    end
    if opts and opts.url then
        local ok, err = read_url(options)
        if not ok then
            return nil, err
        end
    end
    options.role = roles[options.role] or options.role
    return options
end

local function memory_of(options)
    local names = { options.master_name }
    for i, sentinel in ipairs(options.sentinels) do
        names[i + 1] = sentinel.host .. ":" .. (sentinel.port or 26379)
    end
    local name = concat(names, " ")
    known[name] = known[name] or { first = 1 }
    return known[name]
end

--- Makes an object. Nothing is connected yet.
---@param opts resty.redis.sentinel.options
---@return resty.redis.sentinel? s
---@return string? err
function _M.new(opts, more)
    if opts == _M then
        opts = more
    end
    local options, err = merge(defaults, opts)
    if not options then
        return nil, err
    elseif type(options.sentinels) ~= "table" or #options.sentinels == 0 then
        return nil, "no sentinels"
    elseif options.role ~= "master" and options.role ~= "slave" and options.role ~= "any" then
        error('bad option role: "master", "slave" or "any" expected', 2)
    end
    return setmetatable({ options = options }, mt)
end

-- Connections -----------------------------------------------------------------------------------------

local function open(options, node, account)
    local red, err = redis:new()
    if not red then
        return nil, err
    end
    red:set_timeouts(options.connect_timeout, options.send_timeout, options.read_timeout)
    local connection = { ssl_verify = true }
    for name, value in pairs(options.connection_options or {}) do
        connection[name] = value
    end
    for name, value in pairs(account) do
        connection[name] = value
    end
    local ok
    ok, err = red:connect(node.host, node.port, connection)
    if not ok then
        return nil, err
    end
    return red
end

-- Sentinels -------------------------------------------------------------------------------------------

local function fields_of(list)
    return redis:array_to_hash(list)
end

--- The address of a master, from a connection to a sentinel.
---@param red resty.redis
---@param master_name string
---@return {host: string, port: integer}? master
---@return string? err
function _M.get_master(red, master_name)
    local res, err = red:sentinel("get-master-addr-by-name", master_name)
    if not res then
        return nil, err
    elseif type(res) ~= "table" or type(res[1]) ~= "string" or not tonumber(res[2]) then
        return nil, "no such master: " .. master_name
    end
    return { host = res[1], port = tonumber(res[2]) }
end

--- The addresses of a master's replicas that are up, from a connection to a sentinel.
---@param red resty.redis
---@param master_name string
---@return {host: string, port: integer}[]? replicas
---@return string? err
function _M.get_slaves(red, master_name)
    local res, err = red:sentinel("slaves", master_name)
    if not res then
        return nil, err
    end
    local replicas = {}
    for _, list in ipairs(type(res) == "table" and res or { false }) do
        local replica = type(list) == "table" and fields_of(list) or {}
        local host, port, flags = replica.ip, tonumber(replica.port), replica.flags or ""
        if type(host) ~= "string" or not port or type(flags) ~= "string" then
            return nil, "invalid list of replicas"
        end
        if not find(flags, "down", 1, true) and not find(flags, "disconnected", 1, true) then
            replicas[#replicas + 1] = { host = host, port = port }
        end
    end
    return replicas
end

-- Has one sentinel after another asked, until one knows.
local function ask(options, question)
    local memory, sentinels = memory_of(options), options.sentinels
    local account = { username = options.sentinel_username, password = options.sentinel_password }
    local last
    for i = 0, #sentinels - 1 do
        local at = (memory.first + i - 1) % #sentinels + 1
        local node = { host = sentinels[at].host, port = sentinels[at].port or 26379 }
        local red, err = open(options, node, account)
        local answer
        if red then
            answer, err = question(red, options.master_name)
            red:set_keepalive(options.keepalive_timeout, options.keepalive_poolsize)
        end
        if answer then
            memory.first = at
            return answer
        end
        last = err
    end
    return nil, find(last, "^no such") and last or "no sentinel answers: " .. last
end

-- Servers ---------------------------------------------------------------------------------------------

local function account_of(options)
    return {
        username = options.username,
        password = options.password,
        db = options.db ~= 0 and options.db or nil,
        protocol = options.protocol,
    }
end

-- A connection from the pool had its role when it was new: when a master steps down, sentinels have
-- its connections closed.
local function open_server(options, node, role)
    local red, err = open(options, node, account_of(options))
    if not red then
        return nil, err
    elseif red:get_reused_times() > 0 then
        return red
    end
    local answer
    answer, err = red:role()
    local is = type(answer) == "table" and answer[1]
    if is ~= role then
        red:close()
        return nil, err or node.host .. ":" .. node.port .. " is not a " .. role
    end
    return red
end

local function open_master(options)
    local memory = memory_of(options)
    if memory.master then
        local red = open_server(options, memory.master, "master")
        if red then
            return red
        end
        memory.master = nil
    end
    local master, err = ask(options, _M.get_master)
    if not master then
        return nil, err
    end
    local red
    red, err = open_server(options, master, "master")
    if red then
        memory.master = master
    end
    return red, err
end

local function open_replica(options)
    local replicas, err = ask(options, _M.get_slaves)
    if not replicas then
        return nil, err
    end
    local last = "there is none"
    local first = #replicas > 0 and random(#replicas) or 0
    for i = 1, #replicas do
        local red
        red, last = open_server(options, replicas[(first + i) % #replicas + 1], "slave")
        if red then
            return red
        end
    end
    return nil, "no replica can be reached: " .. last
end

--- A connection to a server of the role that is wanted.
---@param opts? resty.redis.sentinel.options other options than those of new()
---@return resty.redis? red
---@return string? err
function _M.connect(self, opts)
    local options, err = self.options, nil
    if opts then
        options, err = merge(options, opts)
        if not options then
            return nil, err
        end
    end
    if options.role == "slave" then
        return open_replica(options)
    end
    local red
    red, err = open_master(options)
    if not red and options.role == "any" then
        return open_replica(options)
    end
    return red, err
end

--- Gives a connection to the pool.
---@param red resty.redis
---@return integer? ok 1
---@return string? err
function _M.set_keepalive(self, red)
    return red:set_keepalive(self.options.keepalive_timeout, self.options.keepalive_poolsize)
end

--- The master's address, from the sentinels.
---@return {host: string, port: integer}? master
---@return string? err
function _M.master(self)
    return ask(self.options, _M.get_master)
end

--- The addresses of the replicas that are up, from the sentinels.
---@return {host: string, port: integer}[]? replicas
---@return string? err
function _M.replicas(self)
    return ask(self.options, _M.get_slaves)
end

--- Has the sentinels asked for the master again.
function _M.forget(self)
    memory_of(self.options).master = nil
end

return _M
