--- resty.redis.cluster: a client for Redis Cluster on cosockets.
--
--     local cluster = require "resty.redis.cluster"
--     local red, err = cluster:new {
--         name = "shop",                                    -- what workers remember the slots under
--         serv_list = { { ip = "127.0.0.1", port = 7001 }, { ip = "127.0.0.1", port = 7002 } },
--         password = "secret", read_from = "replica",
--     }
--     local value, err = red:get("dog")                     -- as with resty.redis
--     red:init_pipeline()
--     red:get("dog")
--     red:get("{dog}:name")
--     local results, err = red:commit_pipeline()            -- in the order of the commands
--
-- A command goes to the node that has the slot of its first key; keys of one command have to be in
-- one slot ({…} in a key sees to that). One without a key goes to any master; each_master() reaches
-- all. A pipeline is split by node, the nodes work at the same time, and the results are put in
-- order. Nodes are connected to as needed, from a pool for each.
--
-- A slot that has moved (MOVED), is moving (ASK, TRYAGAIN) or has lost its master (CLUSTERDOWN,
-- READONLY, LOADING, a connection that fails) makes the command go where it belongs now, up to
-- max_redirection times; meanwhile the slots are asked for again, by one request of a worker for all.
-- When a connection fails after a command was sent, only commands that change nothing are sent again,
-- since others may have been executed: these get nil and "timeout", "closed", …
--
-- Errors of its own: "no node of the cluster answers: …", "no node has slot <n>", "not for a cluster:
-- <command>" for MULTI, SUBSCRIBE and others that are about a connection: connect_for(key) has one.
--
-- An object has no connection of its own; requests may share one that is not used for pipelines.

local redis = require "resty.redis"
local secret_id = require "resty.secret_id"
local semaphore = require "ngx.semaphore"
local slots = require "resty.redis.slots"

local concat = table.concat
local error = error
local find = string.find
local ipairs = ipairs
local lower = string.lower
local match = string.match
local max = math.max
local min = math.min
local ngx = ngx
local null = ngx.null
local pairs = pairs
local random = math.random
local select = select
local setmetatable = setmetatable
local sleep = ngx.sleep
local slot_of = slots.of_command
local tonumber = tonumber
local tostring = tostring
local type = type
local unpack = unpack

local SLOTS = 16384

-- What is waited at least between two refreshes, in seconds.
local REFRESH_PAUSE = 0.1

local _M = { _VERSION = "0.1" }

---@class resty.redis.cluster
local mt = {}

---@class resty.redis.cluster.options
---@field serv_list {ip: string, port: integer}[] some nodes; the others are found
---@field name? string default: the first node's address
---@field username? string
---@field password? string also named auth
---@field protocol? integer 3: RESP3
---@field read_from? string "master" (default), "replica" or "any": where reads go
---@field enableSlaveRead? boolean the same as read_from = "any"
---@field connect_timeout? number milliseconds, default 1000; also named connection_timout
---@field send_timeout? number milliseconds, default 1000
---@field read_timeout? number milliseconds, default 1000
---@field keepalive_timeout? number milliseconds, default 60000
---@field keepalive_cons? integer connections to a node that are kept, default 100
---@field max_redirection? integer default 5
---@field connect_opts? table {ssl, ssl_verify (default true), server_name, pool_size, backlog}

-- Maps --------------------------------------------------------------------------------------------
-- What a worker knows of a cluster:
--     { [slot] = { master = node, replicas = { node, … } }, masters = { node, … }, … }
-- A node is { host =, port = }; one that failed is not asked first.

local maps = {}

local function new_map()
    return {
        slots = {},
        masters = {},
        refreshed = 0, -- how often the slots were learned
        refreshing = false, -- since when a request asks for them
        ended = 0,
        rounds = 0, -- how often they were asked for
        done = semaphore.new(),
        waiting = 0,
    }
end

-- A node as CLUSTER SLOTS has it: no address, or "?", means that of who was asked.
local function to_node(entry, asked)
    local host = entry[1]
    if host == null or host == "" or host == "?" then
        host = asked.host
    end
    return { host = host, port = entry[2] }
end

local function is_node(entry)
    local host = type(entry) == "table" and entry[1]
    return (host == null or type(host) == "string") and type(entry[2]) == "number"
end

local function is_range(range)
    return type(range) == "table"
        and type(range[1]) == "number"
        and type(range[2]) == "number"
        and range[1] >= 0
        and range[2] < SLOTS
        and is_node(range[3])
end

-- Makes the map what a node says. Nodes that are no tables are left out.
local function learn(map, ranges, asked)
    local by_slot, masters = {}, {}
    for _, range in ipairs(ranges) do
        if not is_range(range) then
            return nil, "invalid slots"
        end
        local shard = { master = to_node(range[3], asked), replicas = {} }
        for i = 4, #range do
            if is_node(range[i]) then
                shard.replicas[#shard.replicas + 1] = to_node(range[i], asked)
            end
        end
        masters[shard.master.host .. " " .. shard.master.port] = shard.master
        for slot = range[1], range[2] do
            by_slot[slot] = shard
        end
    end
    map.slots, map.masters = by_slot, {}
    for _, master in pairs(masters) do
        map.masters[#map.masters + 1] = master
    end
    return true
end

-- Connections -------------------------------------------------------------------------------------

local function pool_of(self, node, readonly)
    local c = self.connection
    return concat({
        "redis.cluster",
        node.host,
        node.port,
        c.username or "",
        c.password and secret_id(c.password) or "",
        c.protocol or 2,
        c.ssl and "tls" or "",
        tostring(c.server_name),
        tostring(c.ssl_verify),
        readonly and "readonly" or "",
    }, "/")
end

-- A connection to a node. Returns nil and an error that names the node.
local function connect(self, node, readonly)
    local red, err = redis:new()
    if not red then
        return nil, err
    end
    red:set_timeouts(self.connect_timeout, self.send_timeout, self.read_timeout)
    local options = setmetatable({ pool = pool_of(self, node, readonly) }, self.connection_mt)
    local ok
    ok, err = red:connect(node.host, node.port, options)
    if ok and readonly and red:get_reused_times() == 0 then
        ok, err = red:readonly()
    end
    if not ok then
        red:close()
        return nil, err
    end
    return red
end

local function release(self, red)
    red:set_keepalive(self.keepalive_timeout, self.keepalive_cons)
end

-- Refreshing --------------------------------------------------------------------------------------

local function ask(self, node)
    local red, err = connect(self, node)
    if not red then
        return nil, err
    end
    local ranges
    ranges, err = red:cluster("slots")
    if not ranges then
        red:close()
        return nil, err
    end
    release(self, red)
    return ranges
end

-- The nodes to ask, those that are known to be masters first, beginning with any of them.
local function candidates(self)
    local nodes, known = {}, {}
    local function add(list)
        local first = random(max(#list, 1))
        for i = 1, #list do
            local node = list[(first + i) % #list + 1]
            local name = node.host .. " " .. node.port
            if not known[name] then
                known[name] = true
                nodes[#nodes + 1] = node
            end
        end
    end
    add(self.map.masters)
    add(self.seeds)
    return nodes
end

local function refresh_now(self)
    local last = "no nodes"
    for _, node in ipairs(candidates(self)) do
        local ranges, err = ask(self, node)
        if type(ranges) == "table" and #ranges > 0 then
            local ok
            ok, err = learn(self.map, ranges, node)
            if ok then
                return true
            end
        end
        last = err or "no slots"
    end
    return nil, "no node of the cluster answers: " .. last
end

-- Waits for the refresh that another request does, as long as that may take.
local function wait_for_refresh(self, map, now)
    map.waiting = map.waiting + 1
    map.done:wait(max(map.refreshing + self.refresh_limit - now, 0) + 0.01)
    map.waiting = max(map.waiting - 1, 0)
    ngx.update_time()
end

local function end_refresh(map, err)
    ngx.update_time()
    map.refreshing, map.ended, map.err = false, ngx.now(), err
    map.rounds = map.rounds + 1
    if map.waiting > 0 then
        map.done:post(map.waiting)
    end
end

local function refresh_here(self, map, now)
    map.refreshing = now
    local pause = REFRESH_PAUSE - (now - map.ended)
    if pause > 0 then
        sleep(min(pause, REFRESH_PAUSE))
    end
    local ok, err = refresh_now(self)
    if ok then
        map.refreshed = map.refreshed + 1
    end
    end_refresh(map, err)
    return ok, err
end

-- Has the slots asked for, at most once at a time for each worker. `seen` is the refresh that the
-- caller's knowledge is from: a newer one will do. A request that was killed while it asked is
-- replaced after a while by one of those that wait for it.
local function refresh(self, seen)
    local map = self.map
    local rounds = map.rounds
    while map.refreshed == seen do
        local now = ngx.now()
        if not map.refreshing or now - map.refreshing >= self.refresh_limit then
            return refresh_here(self, map, now)
        end
        wait_for_refresh(self, map, now)
        if map.rounds ~= rounds and map.refreshed == seen then
            return nil, map.err
        end
    end
    return true
end

-- Commands ----------------------------------------------------------------------------------------

local function any_of(list)
    return list[random(#list)]
end

-- The node for a slot, and whether a connection has to be READONLY for it.
local function node_for(self, slot, reading)
    local map = self.map
    if not slot then
        return any_of(map.masters)
    end
    local shard = map.slots[slot]
    if not shard then
        return nil
    end
    local replicas = #shard.replicas
    if not reading or self.read_from == "master" or replicas == 0 then
        return shard.master
    end
    local pick = self.read_from == "any" and random(0, replicas) or random(replicas)
    if pick == 0 then
        return shard.master
    end
    return shard.replicas[pick], true
end

-- What an error says of where the command belongs: "moved" or "ask" and the node; "again": later.
local function redirection(err, asked)
    if type(err) ~= "string" then
        return nil
    end
    local kind, slot, host, port = match(err, "^(%u+) (%d+) (%S*):(%d+)$")
    if kind == "MOVED" or kind == "ASK" then
        return lower(kind), to_node({ host, tonumber(port) }, asked), tonumber(slot)
    elseif find(err, "^TRYAGAIN") then
        return "again"
    end
    for _, word in ipairs { "^CLUSTERDOWN", "^MASTERDOWN", "^READONLY", "^LOADING" } do
        if find(err, word) then
            return "lost"
        end
    end
end

-- A slot's new master is known at once; that of its neighbours, with a refresh.
local function note_move(self, slot, node)
    local map = self.map
    map.slots[slot] = { master = node, replicas = {} }
    map.moved = true
end

-- A command is { name =, n =, args…, slot =, reading = }.
local function new_command(name, n, ...)
    local command = { name = name, n = n, ... }
    command.slot = slot_of(name, command, n)
    command.reading = slots.reads[name]
    return command
end

-- Where a command is to be tried next; plans are made anew in each round.
local function target_of(self, command)
    local node, readonly, asking = command.to, false, command.to ~= nil
    command.to = nil
    if not node then
        -- Reads that a replica failed to answer go to the master.
        node, readonly = node_for(self, command.slot, command.reading and not command.failed)
    end
    return node, readonly, asking
end

-- Takes down what became of a command: its result, or that it is to be tried again.
local function settle(self, command, node, res, err)
    local kind, to, slot = nil, nil, nil
    if not res then
        kind, to, slot = redirection(err, node)
    end
    if not kind then
        command.res, command.err, command.settled = res, err, true
        return
    end
    command.res, command.err = res, err
    if kind == "moved" then
        note_move(self, slot, to)
    elseif kind == "ask" then
        command.to = to
    else
        command.wait = true
        self.stale = self.stale or kind == "lost"
    end
end

-- The connection failed: before anything was sent, or after.
local function fail(self, command, err, sent)
    self.stale = true
    command.res, command.err, command.failed = nil, err, true
    command.wait = true
    if sent and not command.reading then
        command.settled = true
    end
end

-- Groups: the commands for one connection.

local function group_commands(self, commands)
    local groups, by_key = {}, {}
    for _, command in ipairs(commands) do
        if not command.settled then
            local node, readonly, asking = target_of(self, command)
            if not node then
                command.err, command.wait = "no node has slot " .. tostring(command.slot), true
                self.stale = true
            else
                local key = node.host .. " " .. node.port .. (readonly and " r" or "")
                local group = by_key[key]
                if not group then
                    group = { node = node, readonly = readonly }
                    by_key[key] = group
                    groups[#groups + 1] = group
                end
                group[#group + 1] = command
                command.asking = asking
            end
        end
    end
    return groups
end

local function fail_all(self, group, err, sent)
    for _, command in ipairs(group) do
        fail(self, command, err, sent)
    end
end

local function send_group(self, group)
    local red, err = connect(self, group.node, group.readonly)
    if not red then
        return fail_all(self, group, err, false)
    end
    red:init_pipeline()
    for _, command in ipairs(group) do
        if command.asking then
            red:asking()
        end
        red[command.name](red, unpack(command, 1, command.n))
    end
    local ok
    ok, err = red:send_pipeline()
    if not ok then
        return fail_all(self, group, err, true)
    end
    group.red = red
end

local function read_group(self, group)
    local red = group.red
    if not red then
        return
    end
    local results, err = red:read_pipeline()
    if not results then
        return fail_all(self, group, err, true)
    end
    release(self, red)
    local at = 0
    for _, command in ipairs(group) do
        at = at + (command.asking and 2 or 1)
        local res = results[at]
        if type(res) == "table" and res[1] == false then
            settle(self, command, group.node, false, res[2])
        else
            settle(self, command, group.node, res)
        end
    end
end

-- One round: everything that is not settled is sent where it belongs, to all nodes at the same time.
local function try(self, commands)
    local groups = group_commands(self, commands)
    for _, group in ipairs(groups) do
        send_group(self, group)
    end
    for _, group in ipairs(groups) do
        read_group(self, group)
    end
end

local function has_open(commands)
    local open, wait = false, false
    for _, command in ipairs(commands) do
        if not command.settled then
            open = true
            wait = wait or command.wait
            command.wait = false
        end
    end
    return open, wait
end

-- A refresh behind the request's back, for slots that moved along with one.
local function refresh_later(self)
    local map = self.map
    if not map.moved then
        return
    end
    map.moved = false
    local seen = map.refreshed
    ngx.timer.at(0, function(premature)
        if not premature then
            refresh(self, seen)
        end
    end)
end

-- Executes commands, each with its result in it then. What goes on meanwhile (`stale`: the slots have
-- to be asked for again) is in a table of the call, so that requests can share the object.
local function execute(object, commands)
    local self = setmetatable({ stale = false }, object.call_mt)
    if self.map.refreshed == 0 then
        local ok, err = refresh(self, 0)
        if not ok then
            return nil, err
        end
    end
    for round = 0, self.max_redirection do
        local seen = self.map.refreshed
        self.stale = false
        try(self, commands)
        local open, wait = has_open(commands)
        if self.stale then
            refresh(self, seen)
        end
        if not open then
            break
        elseif wait and round > 0 and round < self.max_redirection then
            sleep(0.025 * 2 ^ min(round, 4))
        end
    end
    refresh_later(self)
    return true
end

local function run(self, name, n, ...)
    name = lower(name)
    if slots.connected[name] then
        return nil, "not for a cluster: " .. name
    end
    local command = new_command(name, n, ...)
    local pipeline = self.pipeline
    if pipeline then
        pipeline[#pipeline + 1] = command
        return
    end
    local ok, err = execute(self, { command })
    if not ok then
        return nil, err
    end
    if command.res then
        return command.res
    end
    return command.res, command.err
end

local function method_of(name)
    return function(self, ...)
        return run(self, name, select("#", ...), ...)
    end
end

function mt.__index(_, name)
    local method = _M[name]
    if method == nil and type(name) == "string" then
        method = method_of(name)
        _M[name] = method
    end
    return method
end

--- HMSET, also with all fields and values in a table: red:hmset(key, {field = value, …}).
---@param key string
---@param ... any fields and values in turn, or one table
---@return any res
---@return string? err
function _M.hmset(self, key, ...)
    local fields = ...
    if select("#", ...) ~= 1 or type(fields) ~= "table" then
        return run(self, "hmset", 1 + select("#", ...), key, ...)
    end
    local args = { key }
    for field, value in pairs(fields) do
        args[#args + 1] = field
        args[#args + 1] = value
    end
    return run(self, "hmset", #args, unpack(args))
end

-- Pipelines ---------------------------------------------------------------------------------------

--- From here on, commands are collected instead of sent (and return nothing).
function _M.init_pipeline(self)
    self.pipeline = {}
end

--- Ends collecting and forgets the commands.
function _M.cancel_pipeline(self)
    self.pipeline = false
end

--- Sends what was collected to the nodes, at once, and reads all replies.
---@return table? results one per command, in their order; {false, message} for one that failed
---@return string? err when none of them got a reply
function _M.commit_pipeline(self)
    local commands = self.pipeline
    if not commands then
        return nil, "no pipeline"
    end
    self.pipeline = false
    if #commands == 0 then
        return {}
    end
    local ok, err = execute(self, commands)
    if not ok then
        return nil, err
    end
    local results, answered = {}, false
    for i, command in ipairs(commands) do
        answered = answered or command.res ~= nil
        results[i] = command.res or command.err and { false, command.err } or false
    end
    if not answered then
        return nil, commands[1].err
    end
    return results
end

-- Nodes -------------------------------------------------------------------------------------------

--- A connection to the master that has a key, for transactions, subscriptions and the like. It is
--- the caller's: set_keepalive() or close().
---@param key string
---@return resty.redis? red
---@return string? err
function _M.connect_for(self, key)
    local err = "no node has this key"
    for _ = 1, 2 do
        local seen = self.map.refreshed
        local node = seen > 0 and node_for(self, slots.of_key(key))
        local red
        if node then
            red, err = connect(self, node)
        end
        if red then
            return red
        end
        local ok, why = refresh(self, seen)
        if not ok then
            return nil, why
        end
    end
    return nil, err
end

--- Calls a function with a connection to each master, one after another, for commands such as
--- FLUSHALL and SCAN.
---@param call fun(red: resty.redis, node: {host: string, port: integer})
---@return boolean? ok nil when a master can't be reached
---@return string? err
function _M.each_master(self, call)
    local ok, err = refresh(self, self.map.refreshed)
    if not ok then
        return nil, err
    end
    for _, node in ipairs(self.map.masters) do
        local red
        red, err = connect(self, node)
        if not red then
            return nil, err
        end
        call(red, node)
        release(self, red)
    end
    return true
end

-- The object --------------------------------------------------------------------------------------

local function to_seeds(list)
    local seeds = {}
    for i, server in ipairs(list or {}) do
        local host = server.ip or server.host or server[1]
        seeds[i] = { host = host, port = server.port or server[2] or 6379 }
    end
    return seeds
end

local function connection_options(opts)
    local connection = {
        username = opts.username,
        password = opts.password or opts.auth,
        protocol = opts.protocol,
        ssl_verify = true,
    }
    for name, value in pairs(opts.connect_opts or {}) do
        connection[name] = value
    end
    return connection
end

local function reading_of(opts)
    local from = opts.read_from or opts.enableSlaveRead and "any" or "master"
    if from ~= "master" and from ~= "replica" and from ~= "any" then
        error('bad option read_from: "master", "replica" or "any" expected', 3)
    end
    return from
end

--- Makes an object. Nothing is connected yet.
---@param opts resty.redis.cluster.options
---@return resty.redis.cluster? red
---@return string? err
function _M.new(_, opts)
    local seeds = to_seeds(opts.serv_list)
    if #seeds == 0 then
        return nil, "no serv_list"
    end
    local name = opts.name or seeds[1].host .. ":" .. seeds[1].port
    maps[name] = maps[name] or new_map()
    local connection = connection_options(opts)
    local connect_timeout = opts.connect_timeout or opts.connection_timout or 1000
    local read_timeout = opts.read_timeout or opts.read_timout or 1000
    local self = setmetatable({
        map = maps[name],
        seeds = seeds,
        connection = connection,
        connection_mt = { __index = connection },
        connect_timeout = connect_timeout,
        send_timeout = opts.send_timeout or opts.send_timout or 1000,
        read_timeout = read_timeout,
        -- So long a refresh may take, in seconds, before another request does it, too.
        refresh_limit = (connect_timeout + read_timeout) / 1000,
        keepalive_timeout = opts.keepalive_timeout or 60000,
        keepalive_cons = opts.keepalive_cons or 100,
        max_redirection = opts.max_redirection or 5,
        read_from = reading_of(opts),
        pipeline = false,
    }, mt)
    self.call_mt = { __index = self }
    return self
end

return _M
