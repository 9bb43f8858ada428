--- resty.redis: a Redis client on cosockets; waits without blocking the worker.
--
--     local redis = require "resty.redis"
--     local red = redis:new()
--     red:set_timeouts(1000, 1000, 1000)                    -- milliseconds
--     local ok, err = red:connect("127.0.0.1", 6379)
--     if not ok then return ngx.say("failed to connect: ", err) end
--     local res, err = red:get("dog")                       -- every Redis command is a method
--     if res == ngx.null then … end
--     red:set_keepalive(10000, 100)                         -- 10 s idle, pool of 100
--
-- What a method returns, by the kind of Redis' reply:
--
--     status, bulk string     string          integer, double (RESP3)     number
--     array, set (RESP3)      table           map (RESP3)                 table {key = value, …}
--     null                    ngx.null        boolean (RESP3)             true, or false alone
--     verbatim (RESP3)        string          big number (RESP3)          string of its digits
--     error                   false, message
--
-- An error inside a table (a pipeline's results, EXEC's) is {false, message}. RESP3 is spoken after
-- connect(host, port, { protocol = 3 }); then a connection that is subscribed takes commands, too,
-- and push messages that come between replies wait for read_reply().
--
-- A connection that fails gives nil and "timeout", "closed", "invalid reply: …", …, and is closed,
-- since the late reply would be taken for the next one's (but "timeout" while waiting for messages
-- is normal). Wrong use gives nil and "not initialized", "not subscribed", "no pipeline", or, from
-- set_keepalive, "subscribed state", "in transaction" (also between WATCH and EXEC) and "unread
-- data in buffer".
--
-- Replies are read as they come, many with one call. Limits: see resty.redis.reply.
--
-- An object belongs to the request that made it: do not keep it in a module's variable.

local reader = require "bulan.reader"
local reply = require "resty.redis.reply"
local request = require "resty.redis.request"
local secret_id = require "resty.secret_id"

local encode = request.encode
local encode_list = request.encode_list
local error = error
local has_rest = reader.has_rest
local insert = table.insert
local ipairs = ipairs
local lower = string.lower
local next = next
local null = ngx.null
local pairs = pairs
local read = reply.read
local read_again = reply.read_again
local remove = table.remove
local reset_reader = reader.reset
local select = select
local setmetatable = setmetatable
local sub = string.sub
local tcp = ngx.socket.tcp
local tonumber = tonumber
local tostring = tostring
local type = type

-- So many push messages wait for read_reply(); one more, and the connection is given up.
local MAX_MESSAGES = 10000

local _M = { _VERSION = "0.33" }

---@class resty.redis
local mt = { __index = _M }

---@class resty.redis.options
---@field ssl? boolean speak TLS
---@field ssl_verify? boolean check the server's certificate; default false
---@field server_name? string for SNI, and what the certificate must be for
---@field pool? string name of the connection pool
---@field pool_size? integer
---@field backlog? integer how many connects may wait when the pool is in full use
---@field db? integer SELECT it on a new connection
---@field database? integer the same
---@field protocol? integer 3: RESP3
---@field username? string
---@field password? string AUTH with it on a new connection
---@field tcp_keepalive? boolean

-- Replies ---------------------------------------------------------------------------------------

local function give_up(self, err)
    self._sock:close()
    reset_reader(self)
    return nil, err
end

local function keep_message(self, message)
    local messages = self._messages
    if not messages then
        messages = {}
        self._messages = messages
    end
    if #messages >= MAX_MESSAGES then
        return give_up(self, "too many push messages")
    end
    insert(messages, message)
    return true
end

local message_kinds = { message = true, pmessage = true, smessage = true }

-- A message of a subscription may come before the reply to a command, under RESP2, too.
local function is_message(self, res, pushed)
    return pushed or self._subscribed and type(res) == "table" and message_kinds[res[1]]
end

-- Under RESP3 the answer to SUBSCRIBE is a push message of this kind.
local confirmed_by_push = {
    subscribe = true,
    psubscribe = true,
    ssubscribe = true,
    unsubscribe = true,
    punsubscribe = true,
    sunsubscribe = true,
}

-- The reply to the command `name`.
local function read_answer(self, name)
    while true do
        local res, err, pushed = read(self)
        if res == nil then
            return give_up(self, err)
        elseif not is_message(self, res, pushed) then
            return res, err
        end
        local kind = lower(name)
        if confirmed_by_push[kind] and res[1] == kind then
            return res
        end
        local ok
        ok, err = keep_message(self, res)
        if not ok then
            return nil, err
        end
    end
end

-- Commands --------------------------------------------------------------------------------------

-- {"subscribe", channel, how many are left}: those for shards are counted apart.
local function note_subscription(self, res)
    local kind, count = type(res) == "table" and res[1], type(res) == "table" and res[3]
    if not confirmed_by_push[kind] or type(count) ~= "number" then
        return
    end
    if kind == "ssubscribe" or kind == "sunsubscribe" then
        self._shards = count
    else
        self._channels = count
    end
    self._subscribed = self._channels > 0 or self._shards > 0
end

local function begin_transaction(self, res)
    self._transaction = self._transaction or res ~= false
end

local function watch(self, res)
    self._watching = self._watching or res ~= false
end

local function unwatch(self)
    self._watching = false
end

local function end_transaction(self)
    self._transaction = false
    self._watching = false
end

local function reset_state(self)
    self._pipeline = false
    self._prefix = false
    self._messages = false
    self._channels, self._shards = 0, 0
    self._subscribed = false
    self._transaction = false
    self._watching = false
    self._protocol = 2
end

-- {…, proto = 3, …}, or under RESP2 the same as a list.
local function note_protocol(self, res)
    if type(res) ~= "table" then
        return
    end
    self._protocol = res.proto == 3 and 3 or 2
end

-- What the reply to a command means for the state of the connection.
local consequences = {
    multi = begin_transaction,
    exec = end_transaction,
    discard = end_transaction,
    watch = watch,
    unwatch = unwatch,
    hello = note_protocol,
    reset = reset_state,
    subscribe = note_subscription,
    psubscribe = note_subscription,
    ssubscribe = note_subscription,
    unsubscribe = note_subscription,
    punsubscribe = note_subscription,
    sunsubscribe = note_subscription,
}

local function note_reply(self, name, res)
    local consequence = consequences[name]
    if consequence then
        consequence(self, res)
    end
end

-- The name with the module's prefix, if red:<prefix>() was called just before.
local function full_name(self, name)
    local prefix = self._prefix
    if not prefix then
        return name
    end
    self._prefix = false
    return prefix .. "." .. name
end

local function collect(pipeline, name, req)
    local count = pipeline.count + 1
    pipeline.count = count
    pipeline.requests[count] = req
    pipeline.names[count] = name
end

-- A request that was sent in part would spoil the next one.
local function send(self, req)
    local sent, err = self._sock:send(req)
    if not sent then
        return give_up(self, err)
    end
    return true
end

local function perform(self, name, req)
    if not self._sock then
        return nil, "not initialized"
    end
    if self._pipeline then
        return collect(self._pipeline, name, req)
    end
    local res, err = send(self, req)
    if not res then
        return nil, err
    end
    res, err = read_answer(self, name)
    if res ~= nil then
        note_reply(self, name, res)
    end
    if res then
        return res
    end
    return res, err
end

local function run(self, name, n, ...)
    name = full_name(self, name)
    return perform(self, name, encode(name, n, ...))
end

local function command(name)
    return function(self, ...)
        return run(self, name, select("#", ...), ...)
    end
end

for _, name in ipairs { "get", "set", "del", "incr", "expire", "hget", "hset", "multi", "exec" } do
    _M[name] = command(name)
end

setmetatable(_M, {
    __index = function(self, name)
        if type(name) ~= "string" then
            return nil
        end
        local method = command(name)
        self[name] = method
        return method
    end,
})

--- HMSET, also with all fields and values in a table: red:hmset(key, {field = value, …}).
---@param key string
---@param ... any fields and values in turn, or one table
---@return any res
---@return string? err
function _M.hmset(self, key, ...)
    if select("#", ...) ~= 1 then
        return run(self, "hmset", 1 + select("#", ...), key, ...)
    end
    local fields = ...
    if type(fields) ~= "table" then
        error("bad argument #2 to 'hmset' (table expected, got " .. type(fields) .. ")", 2)
    end
    local args, n = { key }, 1
    for field, value in pairs(fields) do
        args[n + 1], args[n + 2] = field, value
        n = n + 2
    end
    local name = full_name(self, "hmset")
    return perform(self, name, encode_list(name, args, n))
end

--- HMGET, also with the fields in a table: red:hmget(key, {field, …}).
---@param key string
---@param ... any
---@return any res
---@return string? err
function _M.hmget(self, key, ...)
    local fields = ...
    if type(fields) == "table" and select("#", ...) == 1 then
        local args = { key }
        for i, field in ipairs(fields) do
            args[i + 1] = field
        end
        local name = full_name(self, "hmget")
        return perform(self, name, encode_list(name, args, #args))
    end
    return run(self, "hmget", 1 + select("#", ...), key, ...)
end

-- Pipelines -------------------------------------------------------------------------------------

--- From here on, commands are collected instead of sent (and return nothing). Discards what an
--- earlier init_pipeline has collected.
---@param n? integer about how many commands will come
function _M.init_pipeline(self, n) -- luacheck: ignore
    self._pipeline = { count = 0, requests = {}, names = {} }
end

--- Ends collecting and forgets the commands.
function _M.cancel_pipeline(self)
    self._pipeline = false
end

local function read_pipeline(self, pipeline)
    local results, names = {}, pipeline.names
    for i = 1, pipeline.count do
        local res, err = read_answer(self, names[i])
        if res == nil then
            return nil, err
        end
        note_reply(self, names[i], res)
        results[i] = res or err and { false, err } or false
    end
    return results
end

--- The first half of commit_pipeline: sends what was collected, but does not wait. So one request
--- can have several servers at work.
---@return boolean? ok
---@return string? err
function _M.send_pipeline(self)
    local pipeline = self._pipeline
    if not pipeline then
        return nil, "no pipeline"
    end
    self._pipeline = false
    if not self._sock then
        return nil, "not initialized"
    end
    if pipeline.count > 0 then
        local ok, err = send(self, pipeline.requests)
        if not ok then
            return nil, err
        end
    end
    self._sent = pipeline
    return true
end

--- The second half of commit_pipeline: reads the replies.
---@return table? results
---@return string? err
function _M.read_pipeline(self)
    local sent = self._sent
    if not sent then
        return nil, "no pipeline"
    end
    self._sent = false
    return read_pipeline(self, sent)
end

--- Sends what was collected, at once, and reads all replies.
---@return table? results a result per command; {false, message} for one that Redis refused
---@return string? err
function _M.commit_pipeline(self)
    local ok, err = self:send_pipeline()
    if not ok then
        return nil, err
    end
    return self:read_pipeline()
end

-- Connections -----------------------------------------------------------------------------------

local function reset(self)
    reset_state(self)
    reset_reader(self)
    self._attributes = false
    self._sent = false
end

--- Makes an object that is not connected yet.
---@return resty.redis? red
---@return string? err
function _M.new(_)
    local sock, err = tcp()
    if not sock then
        return nil, err
    end
    local self = setmetatable({ _sock = sock, _sent = false }, mt)
    reset(self)
    return self
end

--- The limit, in milliseconds, for each later operation.
---@param timeout number
function _M.set_timeout(self, timeout)
    local sock = self._sock
    if not sock then
        error("not initialized", 2)
    end
    sock:settimeout(timeout)
end

--- The same for each kind of operation.
---@param connect_timeout number?
---@param send_timeout number?
---@param read_timeout number?
function _M.set_timeouts(self, connect_timeout, send_timeout, read_timeout)
    local sock = self._sock
    if not sock then
        error("not initialized", 2)
    end
    sock:settimeouts(connect_timeout, send_timeout, read_timeout)
end

local function check_db(opts)
    local db = opts.db
    if db == nil then
        db = opts.database
    end
    if db == nil then
        return nil
    end
    if not tonumber(db) then
        error("bad option db: number expected, got " .. type(db), 3)
    end
    return tonumber(db)
end

local function given(text)
    return text ~= nil and text ~= "" and text or nil
end

-- The default pool is shared by connections that are the same to their users: same place, user,
-- database and, for TLS, the same checks.
local function pool_options(host, port, opts, db)
    local password = given(opts.password)
    local user = password and given(opts.username)
    local pool = opts.pool
    if not pool and (db or password or opts.ssl or opts.protocol) then
        pool = host .. (port and ":" .. port or "")
        if opts.ssl then
            pool = pool .. "/tls:" .. tostring(opts.server_name) .. ":" .. tostring(opts.ssl_verify)
        end
        pool = pool .. (user and "/" .. user or "") .. (db and "/" .. db or "")
        pool = pool .. (password and "/" .. secret_id(password) or "")
        pool = pool .. (opts.protocol and "/resp" .. opts.protocol or "")
    end
    return { pool = pool, pool_size = opts.pool_size, backlog = opts.backlog }
end

local function shake_hands(sock, opts)
    if not opts.ssl then
        return true
    end
    local ok, err = sock:sslhandshake(false, opts.server_name, opts.ssl_verify)
    if not ok then
        return nil, "failed to do ssl handshake: " .. err
    end
    return true
end

-- The commands that make a new connection what its user asked for, and what their failures are
-- called.
local function first_commands(opts, db)
    local commands, failures = {}, {}
    local password, user = given(opts.password), given(opts.username)
    if password then
        insert(commands, user and { "auth", user, password } or { "auth", password })
        insert(failures, "failed to authenticate: ")
    end
    if opts.protocol then
        insert(commands, { "hello", opts.protocol })
        insert(failures, "failed to select protocol " .. tostring(opts.protocol) .. ": ")
    end
    if db then
        insert(commands, { "select", db })
        insert(failures, "failed to select database " .. db .. ": ")
    end
    return commands, failures
end

-- What a connection fresh from the server needs before its user may have it, in one round trip.
local function set_up(self, sock, opts, db)
    local ok, err = shake_hands(sock, opts)
    if not ok then
        return nil, err
    end
    local commands, failures = first_commands(opts, db)
    if #commands == 0 then
        return 1
    end
    self:init_pipeline()
    for _, command in ipairs(commands) do
        run(self, command[1], #command - 1, command[2], command[3])
    end
    local results
    results, err = self:commit_pipeline()
    if not results then
        return nil, failures[1] .. err
    end
    for i, res in ipairs(results) do
        if type(res) == "table" and res[1] == false then
            return nil, failures[i] .. res[2]
        end
    end
    return 1
end

local function prepare(self, sock, opts, db)
    if opts.tcp_keepalive then
        local ok, err = sock:setoption("keepalive", true)
        if not ok then
            return nil, "failed to enable tcp keepalive: " .. err
        end
    end
    local reused, err = sock:getreusedtimes()
    if not reused then
        return nil, err
    end
    if reused > 0 then
        self._protocol = opts.protocol or 2
        return 1
    end
    return set_up(self, sock, opts, db)
end

--- Connects, or takes an idle connection from the pool.
---@param host string a name, an address, or "unix:/path", then without a port
---@param port? integer
---@param opts? resty.redis.options
---@return integer? ok 1
---@return string? err
---@overload fun(self: resty.redis, path: string, opts?: resty.redis.options): integer?, string?
function _M.connect(self, host, port, opts)
    local sock = self._sock
    if not sock then
        return nil, "not initialized"
    end
    if type(port) == "table" then
        port, opts = nil, port
    end
    reset(self)
    opts = opts or {}
    local db = check_db(opts)
    local pool = pool_options(host, port, opts, db)
    local ok, err
    if port then
        ok, err = sock:connect(host, port, pool)
    else
        ok, err = sock:connect(host, pool)
    end
    if not ok then
        return nil, err
    end
    ok, err = prepare(self, sock, opts, db)
    if not ok then
        sock:close()
        return nil, err
    end
    return ok
end

--- Gives the connection to the pool; the object is closed then.
---@param max_idle_timeout? integer milliseconds; 0: no limit
---@param pool_size? integer
---@return integer? ok 1
---@return string? err
function _M.set_keepalive(self, ...)
    local sock = self._sock
    if not sock then
        return nil, "not initialized"
    end
    if self._subscribed then
        return nil, "subscribed state"
    end
    if self._transaction or self._watching then
        return nil, "in transaction"
    end
    if self._sent or self._messages or has_rest(self) then
        sock:close()
        return nil, "unread data in buffer"
    end
    return sock:setkeepalive(...)
end

--- How often the connection came from the pool; 0 for a new one.
---@return integer? times
---@return string? err
function _M.get_reused_times(self)
    local sock = self._sock
    if not sock then
        return nil, "not initialized"
    end
    return sock:getreusedtimes()
end

--- Closes the connection.
---@return integer? ok 1
---@return string? err
function _M.close(self)
    local sock = self._sock
    if not sock then
        return nil, "not initialized"
    end
    reset(self)
    return sock:close()
end

-- Publish and subscribe -------------------------------------------------------------------------

local function kept_message(self)
    local messages = self._messages
    if not messages then
        return nil
    end
    local message = remove(messages, 1)
    if #messages == 0 then
        self._messages = false
    end
    return message
end

--- Waits for the next message of a subscription. After "timeout" it can be called again, and what
--- had come of a message is not lost. Under RESP3 it needs no subscription: {"invalidate", keys} and
--- others come here, too.
---@return table? message {"message", channel, payload} or {"pmessage", pattern, channel, payload}
---@return string? err
function _M.read_reply(self)
    if not self._sock then
        return nil, "not initialized"
    end
    if not self._subscribed and self._protocol ~= 3 then
        return nil, "not subscribed"
    end
    local message, err = kept_message(self), nil
    if not message then
        message, err = read_again(self)
        if message == nil and err ~= "timeout" then
            return give_up(self, err)
        elseif not message then
            return message, err
        end
    end
    note_subscription(self, message)
    return message
end

--- The attributes (RESP3) that came with the last reply.
---@return table?
function _M.get_attributes(self)
    return self._attributes or nil
end

-- Helpers ---------------------------------------------------------------------------------------

--- Makes {k1, v1, k2, v2} a table {k1 = v1, k2 = v2}. A map of RESP3 stays as it is, so that this may
--- follow HGETALL under either protocol.
---@param array table
---@return table hash
function _M.array_to_hash(_, array)
    if array[1] == nil and next(array) ~= nil then
        return array
    end
    local hash = {}
    for i = 1, #array, 2 do
        local key = array[i]
        if key == key then -- what is not a number is no key
            hash[key] = array[i + 1]
        end
    end
    return hash
end

--- Makes methods of these names. Not needed any more: every name is a method.
---@param ... string
function _M.add_commands(...)
    for i = 1, select("#", ...) do
        local name = (select(i, ...))
        _M[name] = command(name)
    end
end

--- Makes red:<prefix>():<command>(…) send "<prefix>.<command>", for Redis modules.
---@param prefix string
function _M.register_module_prefix(prefix)
    _M[prefix] = function(self)
        self._prefix = prefix
        return self
    end
end

return _M
