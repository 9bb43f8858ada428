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
--     status              string            integer             number
--     bulk                string            nil bulk or array   ngx.null
--     array               table             error               false, message
--
-- An error inside an array (a pipeline, EXEC) is a table {false, message}. A connection that fails
-- gives nil and "timeout", "closed", …; after a timeout the connection is closed, since the late
-- reply would be taken for the next one's (but not when subscribed, where waiting is normal). Wrong
-- use gives nil and "not initialized", "not subscribed", "no pipeline", or, from set_keepalive,
-- "subscribed state" and "in transaction".
--
-- An object belongs to the request that made it: do not keep it in a module's variable.

local byte = string.byte
local error = error
local format = string.format
local gsub = string.gsub
local ipairs = ipairs
local null = ngx.null
local pairs = pairs
local select = select
local setmetatable = setmetatable
local sub = string.sub
local tcp = ngx.socket.tcp
local tonumber = tonumber
local tostring = tostring
local type = type

-- A bulk reply up to this size is read together with the line end behind it: one call less.
local SMALL = 4096

local _M = { _VERSION = "0.33" }

---@class resty.redis
local mt = { __index = _M }

---@class resty.redis.options
---@field ssl? boolean speak TLS
---@field ssl_verify? boolean check the server's certificate
---@field server_name? string for SNI, and what the certificate must be for
---@field pool? string name of the connection pool
---@field pool_size? integer
---@field backlog? integer how many connects may wait when the pool is in full use
---@field db? integer SELECT it on a new connection
---@field username? string
---@field password? string AUTH with it on a new connection
---@field tcp_keepalive? boolean

-- Requests --------------------------------------------------------------------------------------

-- "$<n>\r\n" by n.
local headers = setmetatable({}, {
    __index = function(self, n)
        local header = "$" .. n .. "\r\n"
        if n < 1024 then
            self[n] = header
        end
        return header
    end,
})

-- Whole numbers of up to 64 bits are sent with all their digits, which tostring() would round.
local function to_text(arg)
    local kind = type(arg)
    if kind == "number" then
        if arg % 1 == 0 and arg < 2 ^ 64 and arg > -2 ^ 64 then
            return format("%.0f", arg)
        end
    elseif kind == "cdata" then
        return (gsub(tostring(arg), "U?LL$", ""))
    end
    return tostring(arg)
end

-- The request as a list of strings, which send() takes as it is.
local function begin(name, n)
    return { "*" .. n + 1 .. "\r\n" .. headers[#name] .. name .. "\r\n" }
end

local function add(req, i, arg)
    if type(arg) ~= "string" then
        arg = to_text(arg)
    end
    local at = 3 * i - 1
    req[at] = headers[#arg]
    req[at + 1] = arg
    req[at + 2] = "\r\n"
end

local function encode(name, n, ...)
    local req = begin(name, n)
    for i = 1, n do
        add(req, i, (select(i, ...)))
    end
    return req
end

local function encode_list(name, args, n)
    local req = begin(name, n)
    for i = 1, n do
        add(req, i, args[i])
    end
    return req
end

-- Replies ---------------------------------------------------------------------------------------

local function read_failed(self, err)
    if err == "timeout" and not self._subscribed then
        self._sock:close()
    end
    return nil, err
end

local function read_bulk(self, sock, size)
    if size < 0 then
        return null
    end
    if size <= SMALL then
        local data, err = sock:receive(size + 2)
        if not data then
            return read_failed(self, err)
        end
        return sub(data, 1, size)
    end
    local data, err = sock:receive(size)
    if not data then
        return read_failed(self, err)
    end
    local line_end
    line_end, err = sock:receive(2)
    if not line_end then
        return read_failed(self, err)
    end
    return data
end

local read_reply

local function read_array(self, sock, n)
    if n < 0 then
        return null
    end
    local values = {}
    for i = 1, n do
        local value, err = read_reply(self, sock)
        if value == nil then
            return nil, err
        end
        values[i] = value or { false, err }
    end
    return values
end

function read_reply(self, sock)
    local line, err = sock:receive()
    if not line then
        return read_failed(self, err)
    end
    local kind = byte(line)
    if kind == 36 then -- $
        return read_bulk(self, sock, tonumber(sub(line, 2)) or -1)
    elseif kind == 43 then -- +
        return sub(line, 2)
    elseif kind == 58 then -- :
        return tonumber(sub(line, 2))
    elseif kind == 42 then -- *
        return read_array(self, sock, tonumber(sub(line, 2)) or -1)
    elseif kind == 45 then -- -
        return false, sub(line, 2)
    end
    sock:close()
    return nil, format("unknown prefix: %q", sub(line, 1, 1))
end

-- Commands --------------------------------------------------------------------------------------

-- The last UNSUBSCRIBE's reply says that no subscription is left.
local function note_message(self, res)
    if type(res) ~= "table" or type(res[1]) ~= "string" then
        return
    end
    if sub(res[1], -11) == "unsubscribe" and res[3] == 0 then
        self._subscribed = false
    end
end

local function begin_transaction(self, res)
    self._transaction = self._transaction or res ~= false
end

local function end_transaction(self)
    self._transaction = false
end

local function subscribe(self, res)
    self._subscribed = self._subscribed or res ~= false
end

-- What the reply to a command means for the state of the connection.
local consequences = {
    multi = begin_transaction,
    exec = end_transaction,
    discard = end_transaction,
    subscribe = subscribe,
    psubscribe = subscribe,
    ssubscribe = subscribe,
    unsubscribe = note_message,
    punsubscribe = note_message,
    sunsubscribe = note_message,
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

local function perform(self, name, req)
    local sock = self._sock
    if not sock then
        return nil, "not initialized"
    end
    if self._pipeline then
        return collect(self._pipeline, name, req)
    end
    local sent, err = sock:send(req)
    if not sent then
        return nil, err
    end
    local res
    res, err = read_reply(self, sock)
    if res then
        note_reply(self, name, res)
        return res
    elseif res == false then
        note_reply(self, name, res)
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

--- Sends what was collected, at once, and reads all replies.
---@return table? results a result per command; {false, message} for one that Redis refused
---@return string? err
function _M.commit_pipeline(self)
    local pipeline = self._pipeline
    if not pipeline then
        return nil, "no pipeline"
    end
    self._pipeline = false
    local sock = self._sock
    if not sock then
        return nil, "not initialized"
    end
    local results = {}
    if pipeline.count == 0 then
        return results
    end
    local names = pipeline.names
    local sent, err = sock:send(pipeline.requests)
    if not sent then
        return nil, err
    end
    for i = 1, pipeline.count do
        local res
        res, err = read_reply(self, sock)
        if res == nil then
            return nil, err
        end
        note_reply(self, names[i], res)
        results[i] = res or { false, err }
    end
    return results
end

-- Connections -----------------------------------------------------------------------------------

--- Makes an object that is not connected yet.
---@return resty.redis? red
---@return string? err
function _M.new(_)
    local sock, err = tcp()
    if not sock then
        return nil, err
    end
    return setmetatable({
        _sock = sock,
        _pipeline = false,
        _prefix = false,
        _subscribed = false,
        _transaction = false,
    }, mt)
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
    local user = given(opts.password) and given(opts.username)
    local pool = opts.pool
    if not pool and (db or user or opts.ssl) then
        pool = host .. (port and ":" .. port or "")
        if opts.ssl then
            pool = pool .. "/tls:" .. tostring(opts.server_name) .. ":" .. tostring(opts.ssl_verify)
        end
        pool = pool .. (user and "/" .. user or "") .. (db and "/" .. db or "")
    end
    return { pool = pool, pool_size = opts.pool_size, backlog = opts.backlog }
end

-- What a connection fresh from the server needs before its user may have it.
local function set_up(self, sock, opts, db)
    if opts.ssl then
        local ok, err = sock:sslhandshake(false, opts.server_name, opts.ssl_verify)
        if not ok then
            return nil, "failed to do ssl handshake: " .. err
        end
    end
    local password, user = given(opts.password), given(opts.username)
    if password then
        local ok, err
        if user then
            ok, err = run(self, "auth", 2, user, password)
        else
            ok, err = run(self, "auth", 1, password)
        end
        if not ok then
            return nil, "failed to authenticate: " .. err
        end
    end
    if db then
        local ok, err = run(self, "select", 1, db)
        if not ok then
            return nil, "failed to select database " .. db .. ": " .. err
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
        return 1
    end
    return set_up(self, sock, opts, db)
end

local function reset(self)
    self._pipeline = false
    self._prefix = false
    self._subscribed = false
    self._transaction = false
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
    if self._transaction then
        return nil, "in transaction"
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

--- Waits for the next message of a subscription. After "timeout" it can be called again.
---@return table? message {"message", channel, payload} or {"pmessage", pattern, channel, payload}
---@return string? err
function _M.read_reply(self)
    local sock = self._sock
    if not sock then
        return nil, "not initialized"
    end
    if not self._subscribed then
        return nil, "not subscribed"
    end
    local res, err = read_reply(self, sock)
    if not res then
        return res, err
    end
    note_message(self, res)
    return res
end

-- Helpers ---------------------------------------------------------------------------------------

--- Makes {k1, v1, k2, v2} a table {k1 = v1, k2 = v2}.
---@param array table
---@return table hash
function _M.array_to_hash(_, array)
    local hash = {}
    for i = 1, #array, 2 do
        hash[array[i]] = array[i + 1]
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
