--- resty.postgres: a client for PostgreSQL on cosockets; also `require "pgmoon"`.
--
--     local postgres = require "resty.postgres"
--     local pg = postgres.new { host = "127.0.0.1", database = "shop", user = "web", password = "secret" }
--     pg:settimeout(1000)                                    -- milliseconds
--     assert(pg:connect())
--     local rows, err = pg:query("SELECT id, price FROM goods WHERE name = $1", ngx.var.arg_name)
--     for _, row in ipairs(rows) do ngx.say(row.id, " ", row.price) end
--     local res = pg:query("DELETE FROM goods WHERE price > " .. pg:escape_literal(100))
--     ngx.say(res.affected_rows)
--     pg:keepalive(10000, 100)                               -- 10 s idle, pool of 100
--
-- What query() returns: a list of rows for what gives rows; {affected_rows = n} for what changes
-- some (with RETURNING both); true otherwise. Without parameters the text may have several
-- statements, separated by semicolons; then the result is a list of theirs.
--
-- Values: integers, floats and numeric are numbers (with the 53 bits that they have in Lua;
-- set_type_deserializer can make them something else), boolean, json, jsonb, bytea, hstore (after
-- setup_hstore) and arrays are decoded, everything else is a string. NULL is nil unless
-- convert_null is set; then it is pg.NULL. Of columns with the same name the last one wins.
--
-- Parameters are strings, numbers (numeric; bigint for whole ones with the option `integers`, by
-- which an index on an integer column can serve), booleans, nil, pg.NULL and ngx.null, and tables
-- whose metatable has pgmoon_serialize(value, pg), which returns a type OID and a text.
--
-- Logging in: trust, SCRAM-SHA-256 (over TLS with channel binding, when the server can), md5, and
-- cleartext over TLS or a unix socket; over plain TCP only with allow_cleartext. TLS that the server
-- refuses is done without, unless ssl_required or ssl_verify is set. ssl_verify checks who has signed
-- the server's certificate; that it is for the right server is checked when ssl_server_name says for
-- which. Without ssl_verify nothing is checked.
--
-- Errors: nil and a message. Those of the server are "ERROR: relation \"x\" does not exist (15)",
-- where the number is the position in the query; they leave the connection usable. After anything
-- else ("timeout", "closed", "message too big: N", "malformed row", …) it is closed. keepalive()
-- closes, instead of keeping, a connection in a transaction ("in transaction") or with an answer
-- outstanding ("connection is busy"). UNLISTEN before it.
--
-- COPY FROM STDIN is refused. A message of the server may have max_message_size bytes, 64 MB unless
-- set. An object belongs to the request that made it: do not keep it in a module's variable.

local escape = require "resty.postgres.escape"
local messages = require "resty.postgres.messages"
local null = require "resty.postgres.null"
local protocol = require "resty.postgres.protocol"
local secret_id = require "resty.secret_id"
local set_up = require("resty.postgres.login").set_up
local sql_reader = require "resty.sql_reader"
local types = require "resty.postgres.types"

local assert = assert
local broken = messages.broken
local byte = string.byte
local char = string.char
local data_row = protocol.data_row
local error = error
local find = string.find
local format = string.format
local ipairs = ipairs
local match = string.match
local next_message = messages.next_message
local need = sql_reader.need
local pairs = pairs
local pcall = pcall
local select = select
local setmetatable = setmetatable
local sub = string.sub
local tcp = ngx.socket.tcp
local tonumber = tonumber
local tostring = tostring
local type = type

local VERSION = "1.16.0"

local MAX_MESSAGE = 64 * 1024 * 1024

-- Messages of the server by their letters.
local COMMAND_COMPLETE, COPY_BOTH, COPY_IN, DATA_ROW, EMPTY_QUERY, ERROR, NOTICE, NOTIFICATION, PARAMETER, READY,
    ROW_DESCRIPTION =
    67, 87, 71, 68, 73, 69, 78, 65, 83, 90, 84

---@class resty.postgres
local methods = { NULL = null, PG_TYPES = types.oids, type_deserializers = types.deserializers }

---@class resty.postgres.options
---@field host? string 127.0.0.1
---@field port? integer|string 5432
---@field socket_path? string of a unix socket, "/run/postgresql/.s.PGSQL.5432", instead of host and port
---@field database? string that of the user's name
---@field user? string postgres
---@field password? string
---@field application_name? string pgmoon
---@field convert_null? boolean NULL is pg.NULL in results
---@field integers? boolean whole numbers as parameters are bigint instead of numeric
---@field ssl? boolean speak TLS
---@field ssl_verify? boolean check the server's certificate by lua_ssl_trusted_certificate
---@field ssl_required? boolean fail when the server does not speak TLS
---@field ssl_server_name? string that the certificate must be for, and for SNI
---@field cert? string|ffi.cdata* certificate of ours: PEM, or as of ngx.ssl.parse_pem_cert
---@field key? string|ffi.cdata* its private key
---@field allow_cleartext? boolean send the password as it is over plain TCP, if the server asks for that
---@field max_message_size? integer bytes; 64 MB
---@field pool_name? string name of the connection pool; host:port:database:user
---@field pool? string the same
---@field pool_size? integer
---@field backlog? integer how many connects may wait when the pool is in full use
---@field socket_type? string accepted and ignored: there is one kind of sockets

-- Connecting ------------------------------------------------------------------------------------

-- Connections are shared by those who would make the same one.
local function pool_name(config, place)
    local name = place .. ":" .. config.database .. ":" .. config.user
    if config.password and config.password ~= "" then
        name = name .. ":" .. secret_id(config.password)
    end
    if config.ssl then
        name = name .. ":tls:" .. tostring(config.ssl_verify or false) .. ":" .. tostring(config.ssl_required or false)
            .. ":" .. (config.ssl_server_name or "")
    end
    return name
end

local function connect_socket(self)
    local config = self.config
    local pool = { pool = config.pool_name or config.pool, pool_size = config.pool_size, backlog = config.backlog }
    local path = config.socket_path
    if path then
        path = find(path, "^unix:") and path or "unix:" .. path
        pool.pool = pool.pool or pool_name(config, path)
        return self.sock:connect(path, pool)
    end
    pool.pool = pool.pool or pool_name(config, config.host .. ":" .. config.port)
    return self.sock:connect(config.host, tonumber(config.port), pool)
end

--- Connects and logs in, or takes an idle connection from the pool.
---@return boolean? ok
---@return string? err
function methods.connect(self)
    if find(self.config.user .. self.config.database .. self.config.application_name, "\0", 1, true) then
        return nil, "bad user, database or application name"
    end
    self.ready, self.status = false, "I"
    local ok, err = connect_socket(self)
    if not ok then
        return nil, err
    end
    self.reader:reset()
    if (self.sock:getreusedtimes() or 0) == 0 then
        ok, err = set_up(self)
        if not ok then
            return broken(self, err)
        end
    end
    self.ready = true
    return true
end

--- The limit, in milliseconds, for each later operation.
---@param timeout number
function methods.settimeout(self, timeout)
    self.sock:settimeout(timeout)
end

--- Closes the connection. connect() opens another one.
---@return integer? ok 1
---@return string? err
function methods.disconnect(self)
    if self.ready then
        self.sock:send(protocol.TERMINATE)
    end
    self.ready = false
    return self.sock:close()
end

--- Gives the connection to the pool; the object is disconnected then.
---@param max_idle_timeout? integer milliseconds; 0: no limit
---@param pool_size? integer
---@return integer? ok 1
---@return string? err
function methods.keepalive(self, ...)
    if not self.ready then
        return nil, "not connected"
    elseif self.busy or self.reader:pending() > 0 then
        return broken(self, "connection is busy")
    elseif self.status ~= "I" then
        return broken(self, "in transaction")
    end
    self.ready = false
    return self.sock:setkeepalive(...)
end

-- Queries ---------------------------------------------------------------------------------------

local function send(self, bytes)
    local ok, err = self.sock:send(bytes)
    if not ok then
        return broken(self, err)
    end
    return true
end

-- The result of one statement.
local function statement_result(exchange, tag)
    local count = tonumber(match(tag, " (%d+)$"))
    local rows = exchange.rows
    if rows then
        if count and sub(tag, 1, 7) ~= "SELECT " then
            rows.affected_rows = count
        end
        return rows
    end
    return count and { affected_rows = count } or true
end

local function add(list, value)
    list = list or {}
    list[#list + 1] = value
    return list
end

-- What the messages of an answer mean, by their kind: true, or nil and why the connection is broken.
local HANDLERS = {
    [ROW_DESCRIPTION] = function(self, exchange, s, first, last)
        local columns = protocol.row_description(s, first, last)
        if not columns then
            return nil, "malformed row description"
        end
        exchange.columns = types.prepare(columns, self)
        exchange.rows, exchange.count = {}, 0
        return true
    end,
    [COMMAND_COMPLETE] = function(_, exchange, s, first, last)
        local tag = protocol.c_string(s, first, last)
        if not tag then
            return nil, "malformed command tag"
        end
        exchange.done = exchange.done + 1
        exchange.results[exchange.done] = statement_result(exchange, tag)
        exchange.rows, exchange.columns = nil, nil
        return true
    end,
    [ERROR] = function(_, exchange, s, first, last)
        local text, fields = protocol.report(s, first, last)
        if not text then
            return nil, "malformed error"
        end
        exchange.err, exchange.fields = exchange.err or text, exchange.fields or fields
        return true
    end,
    [NOTICE] = function(_, exchange, s, first, last)
        local text = protocol.report(s, first, last)
        exchange.notices = add(exchange.notices, text or "malformed notice")
        return true
    end,
    [NOTIFICATION] = function(_, exchange, s, first, last)
        local notification = protocol.notification(s, first, last)
        if not notification then
            return nil, "malformed notification"
        end
        exchange.notifications = add(exchange.notifications, notification)
        return true
    end,
    [COPY_IN] = function(self, exchange)
        local refusal = protocol.message("f", "COPY FROM STDIN is not supported\0")
        return self.sock:send(exchange.extended and refusal .. protocol.SYNC or refusal)
    end,
    [COPY_BOTH] = function()
        return nil, "unexpected replication"
    end,
}

-- Messages that say nothing that is needed: ParseComplete, BindComplete, CloseComplete, NoData,
-- ParameterDescription, PortalSuspended, CopyOutResponse, CopyData, CopyDone.
local function ignored()
    return true
end

for _, letter in ipairs { "1", "2", "3", "n", "t", "s", "H", "d", "c", "S" } do
    HANDLERS[byte(letter)] = ignored
end

HANDLERS[EMPTY_QUERY] = ignored

local function add_row(self, exchange, s, first, last)
    local columns = exchange.columns
    if not columns then
        return nil, "unexpected row"
    end
    local row = data_row(s, first, last, columns, self)
    if not row then
        return nil, "malformed row"
    end
    local count = exchange.count + 1
    exchange.count = count
    exchange.rows[count] = row
    return true
end

-- Reads an answer to its end; nil and an error when the connection is broken.
local function read_answer(self, exchange)
    while true do
        local kind, s, first, last = next_message(self)
        local ok, err
        if not kind then
            -- A server that ends the connection says why before.
            return nil, exchange.err or s
        elseif kind == DATA_ROW then
            ok, err = add_row(self, exchange, s, first, last)
        elseif kind == READY then
            self.status = sub(s, first, first)
            return true
        else
            local handle = HANDLERS[kind]
            if handle then
                ok, err = handle(self, exchange, s, first, last)
            else
                err = "unexpected message of type " .. format("%q", char(kind))
            end
        end
        if not ok then
            return broken(self, err)
        end
    end
end

-- One result alone, several as a list; what there is of it when a later statement has failed.
local function whole_result(exchange)
    if exchange.done > 1 then
        return exchange.results
    end
    return exchange.results[1]
end

-- Values' decoders may be the program's, and may raise errors: then the rest of the answer is
-- unread, and the connection is closed.
local function exchange_messages(self, bytes, extended)
    if not self.ready then
        return nil, "not connected"
    elseif self.busy then
        return nil, "connection is busy"
    end
    self.busy = true
    local exchange = { results = {}, done = 0, extended = extended }
    local ok, err = send(self, bytes)
    if ok then
        local fine
        fine, ok, err = pcall(read_answer, self, exchange)
        if not fine then
            self.busy = false
            err = ok
            broken(self)
            error(err, 0)
        end
    end
    self.busy = false
    if not ok then
        return nil, err, whole_result(exchange), exchange.done
    elseif exchange.err then
        self.last_error = exchange.fields
        return nil, exchange.err, whole_result(exchange), exchange.done, exchange.notifications, exchange.notices
    end
    local result = whole_result(exchange)
    return result == nil and true or result, exchange.done, exchange.notifications, exchange.notices
end

--- Sends one or several statements without parameters.
---@param text string
---@return table|boolean|nil result
---@return integer|string num_queries or the error
---@return table? notifications or, after an error, the results of the statements before it
---@return table? notices or, after an error, how many statements went well
---@return table? notifications after an error
---@return table? notices after an error
function methods.simple_query(self, text)
    if find(text, "\0", 1, true) then
        return nil, "the query has a NUL byte"
    end
    return exchange_messages(self, protocol.query(text), false)
end

--- Sends one statement with parameters, for which $1, $2, … stand in it.
---@param text string
---@param ... any
---@return table|boolean|nil result
---@return integer|string num_queries or the error
---@return table? notifications
---@return table? notices
function methods.extended_query(self, text, ...)
    if find(text, "\0", 1, true) then
        return nil, "the query has a NUL byte"
    end
    local count = select("#", ...)
    if count > 65535 then
        return nil, "too many parameters: " .. count
    end
    local values, oids = { ... }, {}
    for i = 1, count do
        local oid, value = types.serialize(values[i], self)
        if not oid then
            return nil, "pgmoon: param " .. i .. ": " .. tostring(value)
        end
        oids[i], values[i] = oid, value
    end
    return exchange_messages(self, protocol.extended(text, oids, values, count), true)
end

--- Sends a query: by itself as simple_query does, with parameters as extended_query does.
---@param text string
---@param ... any
---@return table|boolean|nil result
---@return integer|string num_queries or the error
---@return table? notifications
---@return table? notices
function methods.query(self, text, ...)
    if select("#", ...) == 0 then
        return self:simple_query(text)
    end
    return self:extended_query(text, ...)
end

--- Waits for a notification of a channel that was LISTENed to. After "timeout" it can be called
--- again. Those that come with the answer to a query are given by query().
---@return table? notification {operation = "notification", channel, payload, pid}
---@return string? err
function methods.wait_for_notification(self)
    if not self.ready then
        return nil, "not connected"
    elseif self.busy then
        return nil, "connection is busy"
    end
    local exchange = {}
    local reader = self.reader
    self.busy = true
    repeat
        -- Nothing is lost by a timeout here, so it does not break the connection.
        local ok, err = need(reader, 5)
        local kind, s, first, last
        if not ok and err == "timeout" then
            self.busy = false
            return nil, err
        elseif ok then
            kind, s, first, last = next_message(self)
            ok, err = kind, s
        end
        if ok and (kind == NOTIFICATION or kind == ERROR or kind == NOTICE or kind == PARAMETER) then
            ok, err = HANDLERS[kind](self, exchange, s, first, last)
        elseif ok then
            ok, err = nil, "unexpected message"
        end
        if not ok then
            self.busy = false
            return broken(self, exchange.err or err)
        end
    until exchange.notifications
    self.busy = false
    return exchange.notifications[1]
end

-- Values ----------------------------------------------------------------------------------------

--- A string, number, boolean or NULL as a literal for the text of a query. Raises an error for
--- other values.
---@param value any
---@return string sql
function methods.escape_literal(self, value)
    if value ~= nil and value == self.NULL then
        return "NULL"
    end
    return escape.literal(value)
end

--- The name of a table or column for the text of a query.
---@param name string
---@return string sql
function methods.escape_identifier(_, name)
    return escape.identifier(name)
end

--- Bytes as a literal of the type bytea.
---@param bytes string
---@return string sql
function methods.encode_bytea(_, bytes)
    return escape.bytea(bytes)
end

--- The bytes of a bytea as the server writes it.
---@param text string
---@return string bytes
function methods.decode_bytea(_, text)
    return escape.decode_bytea(text)
end

--- Says what values of a type become.
---@param oid integer of the type, from pg_type
---@param name string of a deserializer: a new one's, or "number", "json", …
---@param deserializer? fun(pg: resty.postgres, text: string, column: string): any
function methods.set_type_deserializer(self, oid, name, deserializer)
    types.own(self)
    self.PG_TYPES[tonumber(oid)] = name
    if deserializer then
        self.type_deserializers[name] = deserializer
    end
end

--- The same without a function of one's own: the older name.
---@param oid integer
---@param name string
function methods.set_type_oid(self, oid, name)
    self:set_type_deserializer(oid, name)
end

--- Asks for the type OID of the extension hstore, so that its values are decoded.
---@return boolean? ok
---@return string? err
function methods.setup_hstore(self)
    local rows, err = self:query("SELECT oid FROM pg_type WHERE typname = 'hstore'")
    if not rows then
        return nil, err
    elseif not rows[1] then
        return nil, "hstore oid not found"
    end
    self:set_type_deserializer(tonumber(rows[1].oid), "hstore")
    return true
end

-- Objects ---------------------------------------------------------------------------------------

methods.__index = methods

function methods.__tostring(self)
    return "<Postgres socket: " .. tostring(self.sock) .. ">"
end

local DEFAULTS = { host = "127.0.0.1", port = 5432, user = "postgres", application_name = "pgmoon" }

local _M = { VERSION = VERSION, _VERSION = VERSION, NULL = null }

--- Makes an object that is not connected yet.
---@param opts? resty.postgres.options
---@return resty.postgres pg
function _M.new(opts)
    local config = setmetatable({}, { __index = DEFAULTS })
    for name, value in pairs(opts or {}) do
        config[name] = value
    end
    config.database = config.database or config.user
    local sock = assert(tcp())
    return setmetatable({
        config = config,
        sock = sock,
        sock_type = "nginx",
        reader = sql_reader.new(sock),
        convert_null = config.convert_null or false,
        max_message_size = config.max_message_size or MAX_MESSAGE,
        ready = false,
        busy = false,
        status = "I",
    }, methods)
end

--- The class of the objects: Postgres(opts) is new(opts), and Postgres.NULL the value for NULL.
_M.Postgres = setmetatable({ __base = methods, __name = "Postgres" }, {
    __index = methods,
    __call = function(_, opts)
        return _M.new(opts)
    end,
})

return _M
