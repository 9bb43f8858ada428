--- resty.mysql: a client for MySQL and MariaDB on cosockets; waits without blocking the worker.
--
--     local mysql = require "resty.mysql"
--     local db = mysql:new()
--     db:set_timeout(1000)                                   -- milliseconds
--     local ok, err, errcode, sqlstate = db:connect {
--         host = "127.0.0.1", port = 3306, database = "shop", user = "web", password = "secret",
--     }
--     if not ok then return ngx.say("failed to connect: ", err) end
--     local name = ngx.quote_sql_str(ngx.var.arg_name)       -- for whatever comes from outside
--     local rows, err = db:query("SELECT id, price FROM goods WHERE name = " .. name)
--     for _, row in ipairs(rows) do ngx.say(row.id, " ", row.price) end
--     db:set_keepalive(10000, 100)                           -- 10 s idle, pool of 100
--
-- or with a prepared statement, whose parameters need no quotes:
--
--     local stmt = db:prepare("INSERT INTO goods (name, price) VALUES (?, ?)")
--     local res = stmt:execute("tea", 4.5)                   -- nil and ngx.null are NULL
--     ngx.say(res.affected_rows, " ", res.insert_id)
--     stmt:close()
--
-- Values: NULL is ngx.null. TINYINT to INT, FLOAT, DOUBLE, YEAR and DECIMAL are numbers; BIGINT is a
-- string, since a number of Lua holds 53 bits only; everything else is a string. So are insert_id
-- and affected_rows from 2^53 on. DECIMAL as a number may lose digits: CAST(x AS CHAR) keeps them.
-- Of columns with the same name the last one wins; compact arrays have them all.
--
-- Logging in: mysql_native_password, caching_sha2_password, sha256_password and MariaDB's
-- client_ed25519; mysql_clear_password over TLS only. Where MySQL wants the whole password (the
-- first login of a user by caching_sha2_password), it goes over TLS or a unix socket as it is, and
-- over plain TCP encrypted with the server's RSA key. Without server_public_key that key is taken
-- on trust: who can put himself between can read the password, so use TLS across networks.
--
-- TLS: ssl_verify checks who has signed the server's certificate; that it is for the right server is
-- checked when ssl_server_name says for which. Without ssl_verify nothing is checked.
--
-- Errors: nil, a message, and, when the server has refused something, MySQL's error number and
-- the SQL state. The server's refusal leaves the connection usable. After anything else ("timeout",
-- "closed", "packet size too big: N", "unexpected packet number", "malformed row", …) it is
-- closed, since what comes next on it could not be told apart from a late answer. set_keepalive
-- refuses a connection with an answer outstanding: "cannot be reused in the current connection
-- state: 2". It does not look for an open transaction: end it before.
--
-- LOAD DATA LOCAL is refused. Packets in both directions may have more than 16 MB; those of the
-- server no more than max_packet_size, 1 MB unless set.
--
-- An object belongs to the request that made it: do not keep it in a module's variable.

local binary = require "resty.mysql.binary"
local log_in = require("resty.mysql.login").log_in
local packets = require "resty.mysql.packets"
local protocol = require "resty.mysql.protocol"
local secret_id = require "resty.secret_id"
local sql_reader = require "resty.sql_reader"
local statement = require "resty.mysql.statement"

local band = bit.band
local broken = packets.broken
local byte = string.byte
local concat = table.concat
local find = string.find
local ipairs = ipairs
local new_table = require "table.new"
local next = next
local next_packet = packets.next_packet
local pairs = pairs
local send_packet = packets.send_packet
local server_error = packets.server_error
local setmetatable = setmetatable
local sub = string.sub
local tcp = ngx.socket.tcp
local tostring = tostring
local type = type

local MORE_RESULTS = protocol.MORE_RESULTS

-- States of a connection.
local CONNECTED, COMMAND_SENT = 1, 2

local DEFAULT_MAX_PACKET = 1024 * 1024

-- No statement has more columns or parameters.
local MAX_COLUMNS = 65535

local COM_QUIT, COM_QUERY, COM_STMT_PREPARE, COM_STMT_CLOSE = "\1", "\3", "\22", "\25"

-- The default collation of each character set.
-- stylua: ignore
local CHARSETS = {
    armscii8 = 32, ascii = 11, big5 = 1, binary = 63, cp1250 = 26, cp1251 = 51, cp1256 = 57, cp1257 = 59,
    cp850 = 4, cp852 = 40, cp866 = 36, cp932 = 95, dec8 = 3, eucjpms = 97, euckr = 19, gb18030 = 248,
    gb2312 = 24, gbk = 28, geostd8 = 92, greek = 25, hebrew = 16, hp8 = 6, keybcs2 = 37, koi8r = 7,
    koi8u = 22, latin1 = 8, latin2 = 9, latin5 = 30, latin7 = 41, macce = 38, macroman = 39, sjis = 13,
    swe7 = 10, tis620 = 18, ucs2 = 35, ujis = 12, utf16 = 54, utf16le = 56, utf32 = 60, utf8 = 33,
    utf8mb3 = 33, utf8mb4 = 45,
}

local _M = { _VERSION = "0.27" }

---@class resty.mysql
local mt = { __index = _M }

---@class resty.mysql.options
---@field host? string name or address
---@field port? integer 3306
---@field path? string of a unix socket, instead of host and port
---@field database? string
---@field user? string
---@field password? string
---@field charset? string of the connection, "utf8mb4"; the server's default
---@field max_packet_size? integer of what the server sends; 1 MB
---@field ssl? boolean speak TLS
---@field ssl_verify? boolean check the server's certificate by lua_ssl_trusted_certificate
---@field ssl_server_name? string that the certificate must be for, and for SNI
---@field server_public_key? string PEM, for passwords over plain TCP
---@field found_rows? boolean true: affected_rows of an UPDATE counts the rows that it found, false: that it changed
---@field pool? string name of the connection pool; user:database:host:port and a name for the password
---@field pool_size? integer
---@field backlog? integer how many connects may wait when the pool is in full use
---@field compact_arrays? boolean rows are arrays instead of tables by name

---@class resty.mysql.result
---@field affected_rows integer|string
---@field insert_id integer|string
---@field server_status integer
---@field warning_count integer
---@field message? string

-- Connecting ------------------------------------------------------------------------------------

--- Makes an object that is not connected yet.
---@return resty.mysql? db
---@return string? err
function _M.new(_)
    local sock, err = tcp()
    if not sock then
        return nil, err
    end
    return setmetatable({
        sock = sock,
        reader = sql_reader.new(sock),
        packet_no = -1,
        max_packet_size = DEFAULT_MAX_PACKET,
        statements = {},
    }, mt)
end

--- The limit, in milliseconds, for each later operation.
---@param timeout number
---@return integer? ok 1
---@return string? err
function _M.set_timeout(self, timeout)
    local sock = self.sock
    if not sock then
        return nil, "not initialized"
    end
    return sock:settimeout(timeout)
end

--- The same for each kind of operation.
---@param connect_timeout number?
---@param send_timeout number?
---@param read_timeout number?
---@return integer? ok 1
---@return string? err
function _M.set_timeouts(self, connect_timeout, send_timeout, read_timeout)
    local sock = self.sock
    if not sock then
        return nil, "not initialized"
    end
    return sock:settimeouts(connect_timeout, send_timeout, read_timeout)
end

-- Connections are shared by those who would make the same one.
local function pool_name(opts, user, database, place)
    local pool = user .. ":" .. (database or "") .. ":" .. place
    if opts.password and opts.password ~= "" then
        pool = pool .. ":" .. secret_id(opts.password)
    end
    if opts.ssl then
        pool = pool .. ":tls:" .. tostring(opts.ssl_verify or false) .. ":" .. (opts.ssl_server_name or "")
    end
    if opts.charset then
        pool = pool .. ":" .. opts.charset
    end
    if opts.found_rows == false then
        pool = pool .. ":changed"
    end
    return pool
end

local function connect_socket(self, opts, user)
    local pool = { pool = opts.pool, pool_size = opts.pool_size, backlog = opts.backlog }
    local host = opts.host
    if host then
        local port = opts.port or 3306
        pool.pool = pool.pool or pool_name(opts, user, opts.database, host .. ":" .. port)
        return self.sock:connect(host, port, pool)
    end
    local path = opts.path
    pool.pool = pool.pool or pool_name(opts, user, opts.database, path)
    return self.sock:connect(sub(path, 1, 5) == "unix:" and path or "unix:" .. path, pool)
end

--- Connects and logs in, or takes an idle connection from the pool.
---@param opts resty.mysql.options
---@return integer? ok 1
---@return string? err
---@return integer? errcode
---@return string? sqlstate
function _M.connect(self, opts)
    local sock = self.sock
    if not sock then
        return nil, "not initialized"
    end
    local charset = opts.charset and CHARSETS[opts.charset]
    if opts.charset and not charset then
        return nil, "charset '" .. opts.charset .. "' is not supported"
    end
    local user = opts.user or ""
    if find(user, "\0", 1, true) or find(opts.database or "", "\0", 1, true) then
        return nil, "bad user or database name"
    end
    if not opts.host and not opts.path then
        return nil, 'neither "host" nor "path" options are specified'
    end
    self.state = nil
    self.max_packet_size = opts.max_packet_size or DEFAULT_MAX_PACKET
    self.compact = opts.compact_arrays
    self.statements = {}
    local ok, err = connect_socket(self, opts, user)
    if not ok then
        return nil, "failed to connect: " .. err
    end
    self.reader:reset()
    self.packet_no = -1
    local reused = sock:getreusedtimes()
    if reused and reused > 0 then
        self.state = CONNECTED
        return 1
    end
    local code, state
    ok, err, code, state = log_in(self, opts, user, charset)
    if not ok then
        broken(self)
        return nil, err, code, state
    end
    self.state = CONNECTED
    return 1
end

--- The server's version, as "10.11.6-MariaDB"; nil before connecting, and on a connection that came
--- from the pool.
---@return string? version
function _M.server_ver(self)
    return self._server_ver
end

--- How often the connection came from the pool; 0 for a new one.
---@return integer? times
---@return string? err
function _M.get_reused_times(self)
    local sock = self.sock
    if not sock then
        return nil, "not initialized"
    end
    return sock:getreusedtimes()
end

-- Statements live on the server's side of the connection. Those that were not closed are, before
-- somebody else gets the connection.
local function close_statements(self)
    if next(self.statements) == nil then
        return true
    end
    local pieces = {}
    for id in pairs(self.statements) do
        pieces[#pieces + 1] = "\5\0\0\0" .. COM_STMT_CLOSE .. protocol.le32(id)
    end
    self.statements = {}
    return self.sock:send(pieces)
end

--- Gives the connection to the pool; the object is closed then.
---@param max_idle_timeout? integer milliseconds; 0: no limit
---@param pool_size? integer
---@return integer? ok 1
---@return string? err
function _M.set_keepalive(self, ...)
    local sock = self.sock
    if not sock then
        return nil, "not initialized"
    end
    if self.state ~= CONNECTED then
        return nil, "cannot be reused in the current connection state: " .. tostring(self.state)
    end
    if self.reader:pending() > 0 then
        return broken(self, "unread data in buffer")
    end
    local ok, err = close_statements(self)
    if not ok then
        return broken(self, err)
    end
    self.state = nil
    return sock:setkeepalive(...)
end

--- Closes the connection.
---@return integer? ok 1
---@return string? err
function _M.close(self)
    local sock = self.sock
    if not sock then
        return nil, "not initialized"
    end
    if self.state then
        self.packet_no = -1
        local ok, err = send_packet(self, COM_QUIT, "")
        if not ok then
            broken(self)
            return nil, err
        end
    end
    self.state = nil
    return sock:close()
end

-- Queries ---------------------------------------------------------------------------------------

-- Sends a command that is answered. The bytes sent.
local function send_command(self, command, payload)
    if self.state ~= CONNECTED then
        return nil, "cannot send query in the current context: " .. tostring(self.state)
    end
    if not self.sock then
        return nil, "not initialized"
    end
    self.packet_no = -1
    local bytes, err = send_packet(self, command, payload)
    if not bytes then
        return broken(self, err)
    end
    self.state = COMMAND_SENT
    return bytes
end

--- Sends a query without waiting for its results: read_result() gets them.
---@param query string one statement or, separated by semicolons, several
---@return integer? bytes sent
---@return string? err
function _M.send_query(self, query)
    if type(query) == "table" then
        query = concat(query)
    end
    local bytes, err = send_command(self, COM_QUERY, query)
    if not bytes then
        return nil, err
    end
    self.row = protocol.text_row
    return bytes
end

-- Reads the definitions of columns and the packet behind them.
local function read_columns(self, count, compact)
    if count > MAX_COLUMNS then
        return broken(self, "too many columns: " .. count)
    end
    local columns = protocol.columns(count, compact)
    for i = 1, count do
        local s, first, last = next_packet(self)
        if not s then
            return nil, first
        end
        local name, kind, flags, charset, decimals = protocol.column(s, first, last)
        if not name then
            return broken(self, "malformed column definition")
        end
        protocol.add_column(columns, i, name, kind, flags, charset, decimals)
    end
    local s, first, last = next_packet(self)
    if not s then
        return nil, first
    elseif not protocol.eof(s, first, last) then
        return broken(self, "unexpected packet type " .. byte(s, first) .. " while eof packet is expected")
    end
    return columns
end

local function read_rows(self, columns, est_nrows)
    local parse = self.row
    local rows = new_table(est_nrows or 4, 0)
    local n = 0
    while true do
        local s, first, last = next_packet(self)
        if not s then
            return nil, first
        end
        local kind = byte(s, first)
        if kind == 254 and last - first < 8 then
            local _, status = protocol.eof(s, first, last)
            if band(status, MORE_RESULTS) ~= 0 then
                return rows, "again"
            end
            self.state = CONNECTED
            return rows
        elseif kind == 255 then
            return server_error(self, s, first, last)
        end
        local row = parse(s, first, last, columns)
        if not row then
            return broken(self, "malformed row")
        end
        n = n + 1
        rows[n] = row
    end
end

local function read_ok(self, s, first, last)
    local res = protocol.ok(s, first, last)
    if not res then
        return broken(self, "malformed ok packet")
    elseif band(res.server_status, MORE_RESULTS) ~= 0 then
        return res, "again"
    end
    self.state = CONNECTED
    return res
end

--- Reads the result of a statement. After a SELECT it is an array of rows, otherwise
--- {affected_rows, insert_id, server_status, warning_count, message}.
---@param est_nrows? integer about how many rows will come
---@return table[]|resty.mysql.result|nil res
---@return string? err "again", with a result: read_result() has another one
---@return integer? errcode
---@return string? sqlstate
function _M.read_result(self, est_nrows)
    if self.state ~= COMMAND_SENT then
        return nil, "cannot read result in the current context: " .. tostring(self.state)
    end
    local s, first, last = next_packet(self)
    if not s then
        return nil, first
    end
    local kind = byte(s, first)
    if kind == 0 then
        return read_ok(self, s, first, last)
    elseif kind == 255 then
        return server_error(self, s, first, last)
    end
    local count, at = protocol.lenenc(s, first, last)
    if type(count) ~= "number" or at ~= last + 1 then
        return broken(self, "bad packet type: " .. kind)
    end
    local columns, err = read_columns(self, count, self.compact)
    if not columns then
        return nil, err
    end
    return read_rows(self, columns, est_nrows)
end

--- Sends a query and reads its first result.
---@param query string
---@param est_nrows? integer about how many rows will come
---@return table[]|resty.mysql.result|nil res as of read_result
---@return string? err
---@return integer? errcode
---@return string? sqlstate
function _M.query(self, query, est_nrows)
    local bytes, err = self:send_query(query)
    if not bytes then
        return nil, "failed to send query: " .. err
    end
    return self:read_result(est_nrows)
end

--- Makes rows arrays (true) or tables by column name (false), from the next result on.
---@param value boolean
function _M.set_compact_arrays(self, value)
    self.compact = value
end

-- Prepared statements ---------------------------------------------------------------------------

--- Prepares a statement for this connection. It is closed at the latest by set_keepalive.
---@param query string with ? for each parameter
---@return resty.mysql.statement? stmt
---@return string? err
---@return integer? errcode
---@return string? sqlstate
function _M.prepare(self, query)
    local bytes, err = send_command(self, COM_STMT_PREPARE, query)
    if not bytes then
        return nil, "failed to send query: " .. err
    end
    local s, first, last = next_packet(self)
    if not s then
        return nil, first
    elseif byte(s, first) == 255 then
        return server_error(self, s, first, last)
    end
    local id, columns, parameters = protocol.prepared(s, first, last)
    if not id or byte(s, first) ~= 0 then
        return broken(self, "bad packet type: " .. byte(s, first))
    end
    for _, count in ipairs { parameters, columns } do
        if count > 0 then
            local defined
            defined, err = read_columns(self, count)
            if not defined then
                return nil, err
            end
        end
    end
    self.state = CONNECTED
    self.statements[id] = true
    return statement.new(self, id, columns, parameters)
end

-- Executes a prepared statement, for resty.mysql.statement: its payload.
function _M._execute(self, payload)
    local bytes, err = send_command(self, payload, "")
    if not bytes then
        return nil, "failed to send query: " .. err
    end
    self.row = binary.row
    return self:read_result()
end

-- Has the server forget a statement; it does not answer.
function _M._close_statement(self, id)
    if self.state ~= CONNECTED then
        return nil, "cannot send query in the current context: " .. tostring(self.state)
    end
    self.statements[id] = nil
    self.packet_no = -1
    local bytes, err = send_packet(self, COM_STMT_CLOSE, protocol.le32(id))
    if not bytes then
        return broken(self, err)
    end
    return true
end

--- Executes a prepared statement: the same as stmt:execute(...).
---@param stmt resty.mysql.statement
---@param ... any
---@return table[]|resty.mysql.result|nil res
---@return string? err
---@return integer? errcode
---@return string? sqlstate
function _M.execute(_, stmt, ...)
    return stmt:execute(...)
end

return _M
