--- resty.memcached: a memcached client on cosockets; waits without blocking the worker.
--
--     local memcached = require "resty.memcached"
--     local memc = assert(memcached:new())
--     memc:set_timeouts(1000, 1000, 1000)                   -- milliseconds
--     assert(memc:connect("127.0.0.1", 11211))
--     local ok, err = memc:set("dog", "an animal", 60)      -- for a minute
--     local value, flags, err = memc:get("dog")             -- value and err nil: there is none
--     memc:set_keepalive(10000, 100)                        -- 10 s idle, pool of 100
--
-- Several commands with one round trip; each result is a table of what the method would return:
--
--     memc:init_pipeline()
--     memc:set("cat", "another")
--     memc:get("dog")
--     local results, err = memc:commit_pipeline()           -- { {1}, {"an animal", "0"} }
--
-- Keys are escaped as parts of a URI, unless new{ key_transform = { escape, unescape } } says
-- otherwise. A key that is empty, has blanks or control characters or more than 250 bytes then is
-- not sent: "invalid key". Flags and counters are strings of digits (they may have 64 bits).
--
-- Errors are memcached's own ("NOT_STORED", "EXISTS", "NOT_FOUND", "SERVER_ERROR …"), the socket's
-- ("timeout", "closed", …), "not initialized", "invalid key" and "invalid number", and "unexpected
-- reply" for what memcached would not say. After the socket's errors and the last one the connection
-- is closed. Limits: a line of 8 KB, a value of 1 GB.
--
-- An object belongs to the request that made it: do not keep it in a module's variable.

local reader = require "bulan.reader"

local byte = string.byte
local concat = table.concat
local escape_uri = ngx.escape_uri
local find = string.find
local format = string.format
local gsub = string.gsub
local has_rest = reader.has_rest
local ipairs = ipairs
local match = string.match
local need = reader.need
local read_line = reader.line
local reset_reader = reader.reset
local setmetatable = setmetatable
local sub = string.sub
local tcp = ngx.socket.tcp
local tonumber = tonumber
local tostring = tostring
local type = type
local unescape_uri = ngx.unescape_uri

-- A value longer than this is not copied into one string with its command.
local LONG = 4096

local MAX_KEY = 250
local MAX_LINE = 8192
local MAX_VALUE = 2 ^ 30

local _M = { _VERSION = "0.17" }

---@class resty.memcached
local mt = { __index = _M }

-- Connections -----------------------------------------------------------------------------------

--- Makes an object that is not connected yet.
---@param opts? {key_transform: function[]} two functions: what a key is sent as, and back
---@return resty.memcached? memc
---@return string? err
function _M.new(_, opts)
    local sock, err = tcp()
    if not sock then
        return nil, err
    end
    local transform = opts and opts.key_transform
    local self = setmetatable({
        _sock = sock,
        _pipeline = false,
        _escape = transform and transform[1] or escape_uri,
        _unescape = transform and transform[2] or unescape_uri,
    }, mt)
    reset_reader(self)
    return self
end

--- The limit, in milliseconds, for each later operation.
---@param timeout number
---@return integer? ok 1
---@return string? err
function _M.set_timeout(self, timeout)
    local sock = self._sock
    if not sock then
        return nil, "not initialized"
    end
    sock:settimeout(timeout)
    return 1
end

--- The same for each kind of operation.
---@param connect_timeout number?
---@param send_timeout number?
---@param read_timeout number?
---@return integer? ok 1
---@return string? err
function _M.set_timeouts(self, connect_timeout, send_timeout, read_timeout)
    local sock = self._sock
    if not sock then
        return nil, "not initialized"
    end
    sock:settimeouts(connect_timeout, send_timeout, read_timeout)
    return 1
end

--- Connects, or takes an idle connection from the pool.
---@param host string a name, an address, or "unix:/path", then without a port
---@param port? integer
---@param opts? table {pool, pool_size, backlog}, as for a socket's connect
---@return integer? ok 1
---@return string? err
function _M.connect(self, host, port, opts)
    local sock = self._sock
    if not sock then
        return nil, "not initialized"
    end
    self._pipeline, self._failure = false, nil
    reset_reader(self)
    if type(port) == "table" then
        port, opts = nil, port
    end
    if not port then
        return sock:connect(host, opts)
    end
    return sock:connect(host, port, opts)
end

--- Speaks TLS from here on. A connection from the pool that does so already is left as it is.
---@param session? any of an earlier handshake; false: do not return one
---@param server_name? string for SNI, and what the certificate must be for
---@param verify? boolean false: do not check the certificate
---@return any session
---@return string? err
function _M.sslhandshake(self, session, server_name, verify)
    local sock = self._sock
    if not sock then
        return nil, "not initialized"
    end
    return sock:sslhandshake(session, server_name, verify ~= false)
end

--- Gives the connection to the pool; the object is closed then.
---@param max_idle_timeout? integer milliseconds; 0: no limit
---@param pool_size? integer
---@return integer? ok 1
---@return string? err "unread data in buffer" for a connection that is closed instead
function _M.set_keepalive(self, ...)
    local sock = self._sock
    if not sock then
        return nil, "not initialized"
    end
    if has_rest(self) then
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
    reset_reader(self)
    return sock:close()
end

-- Replies ---------------------------------------------------------------------------------------
-- A reply reader takes the object and what its command left for it, and returns what the method
-- returns. Errors of the connection come as nil, err from these two.

local function give_up(self, err)
    self._sock:close()
    self._failure = err
    reset_reader(self)
    return nil, err
end

local function next_line(self)
    local line, err = read_line(self, MAX_LINE)
    if not line then
        return give_up(self, err == "too long a line" and "unexpected reply" or err)
    end
    return line
end

-- Words that say no, after which the connection is still good.
local refusals = { NOT_STORED = true, NOT_FOUND = true, EXISTS = true, ERROR = true }

local function refused(self, line)
    if refusals[line] or find(line, "^SERVER_ERROR") or find(line, "^CLIENT_ERROR") then
        return nil, line
    end
    return give_up(self, "unexpected reply")
end

-- A reply that is one word.
local function read_word(self, word)
    local line, err = next_line(self)
    if not line then
        return nil, err
    elseif line == word then
        return 1
    end
    return refused(self, line)
end

-- The server may take the value of a refused command line for commands: no more over this connection.
local function read_stored(self)
    local ok, err = need(self, 1)
    if not ok then
        return give_up(self, err)
    end
    local pos = self._pos
    if sub(self._buf, pos, pos + 7) == "STORED\r\n" then
        self._pos = pos + 8
        return 1
    end
    ok, err = read_word(self, "STORED")
    if not ok and (err == "ERROR" or find(err, "^CLIENT_ERROR")) then
        return give_up(self, err)
    end
    return ok, err
end

local function read_counter(self)
    local line, err = next_line(self)
    if not line then
        return nil, err
    elseif find(line, "^%d+ *$") then
        return (gsub(line, " +$", ""))
    end
    return refused(self, line)
end

local function read_version(self)
    local line, err = next_line(self)
    if not line then
        return nil, err
    end
    local version = match(line, "^VERSION (.+)$")
    if version then
        return version
    end
    return refused(self, line)
end

local function read_stats(self)
    local lines, n = {}, 0
    while true do
        local line, err = next_line(self)
        if not line then
            return nil, err
        elseif line == "END" or line == "RESET" or line == "OK" then
            return lines
        elseif not find(line, "^STAT ") then
            return refused(self, line)
        end
        n = n + 1
        lines[n] = line
    end
end

-- The value after a line "VALUE <key> <flags> <bytes> [<cas unique>]". Returns nil for "END".
local function read_value(self, line, cas)
    local key, flags, size, unique
    if cas then
        key, flags, size, unique = match(line, "^VALUE (%S+) (%d+) (%d+) (%d+)$")
    else
        key, flags, size = match(line, "^VALUE (%S+) (%d+) (%d+)$")
    end
    size = tonumber(size)
    if not size or size > MAX_VALUE then
        if not key and line ~= "" and (find(line, "ERROR", 1, true)) then
            return refused(self, line)
        end
        return give_up(self, "unexpected reply")
    end
    local ok, err = need(self, size + 2)
    if not ok then
        return give_up(self, err)
    end
    local buf, pos = self._buf, self._pos
    if byte(buf, pos + size) ~= 13 or byte(buf, pos + size + 1) ~= 10 then
        return give_up(self, "unexpected reply")
    end
    self._pos = pos + size + 2
    return sub(buf, pos, pos + size - 1), nil, key, flags, unique
end

-- All values up to "END". `each` is called with key, value, flags and cas unique; it may refuse a
-- key that was not asked for.
local function read_values(self, cas, each)
    while true do
        local line, err = next_line(self)
        if not line then
            return nil, err
        elseif line == "END" then
            return true
        end
        local value, key, flags, unique
        value, err, key, flags, unique = read_value(self, line, cas)
        if not value then
            return nil, err
        elseif not each(key, value, flags, unique) then
            return give_up(self, "unexpected reply")
        end
    end
end

-- The digits from `pos` up to the byte `stop`, as a number, and where they end.
local function digits(buf, pos, stop)
    local n, c, first = 0, byte(buf, pos), pos
    while c and c >= 48 and c <= 57 and n < MAX_VALUE do
        n = n * 10 + c - 48
        pos = pos + 1
        c = byte(buf, pos)
    end
    if c == stop and pos > first then
        return n, pos
    end
end

-- The value, when the whole reply is there already and is what it mostly is.
local function value_at_hand(self, wanted)
    local ok, err = need(self, 5)
    if not ok then
        return give_up(self, err)
    end
    local buf, start = self._buf, "VALUE " .. wanted .. " "
    local flags_at = self._pos + #start
    if sub(buf, self._pos, flags_at - 1) ~= start then
        return nil
    end
    local _, flags_end = digits(buf, flags_at, 32)
    if not flags_end then
        return nil
    end
    local size, size_end = digits(buf, flags_end + 1, 13)
    if not size then
        return nil
    end
    local behind = size_end + 2 + size
    if sub(buf, behind, behind + 6) ~= "\r\nEND\r\n" or byte(buf, size_end + 1) ~= 10 then
        return nil
    end
    self._pos = behind + 7
    return sub(buf, size_end + 2, behind - 1), sub(buf, flags_at, flags_end - 1)
end

local function read_one(self, wanted)
    local found, flags = value_at_hand(self, wanted)
    if found then
        return found, flags
    elseif flags then
        return nil, nil, flags -- an error
    end
    local ok, err = read_values(self, false, function(key, value, value_flags)
        local fits = key == wanted and not found
        found, flags = value, value_flags
        return fits
    end)
    if not ok then
        return nil, nil, err
    end
    return found, flags
end

local function read_one_cas(self, wanted)
    local found, flags, unique
    local ok, err = read_values(self, true, function(key, value, value_flags, value_unique)
        local fits = key == wanted and not found
        found, flags, unique = value, value_flags, value_unique
        return fits
    end)
    if not ok then
        return nil, nil, nil, err
    end
    return found, flags, unique
end

-- `asked` has the escaped keys.
local function read_many(self, asked)
    local results, unescape = {}, self._unescape
    local ok, err = read_values(self, asked.cas, function(key, value, flags, unique)
        results[unescape(key)] = { value, flags, unique }
        return asked[key]
    end)
    if not ok then
        return nil, err
    end
    return results
end

-- Commands --------------------------------------------------------------------------------------

-- Puts a command into the pipeline. `read` reads its reply with `extra`; without a request, the
-- results are there already.
local function enqueue(pipeline, request, read, extra)
    local n = pipeline.n + 1
    pipeline.n = n
    pipeline[n] = { read = read, extra = extra }
    if request then
        pipeline.requests[#pipeline.requests + 1] = request
    end
    return 1
end

local function perform(self, request, read, extra)
    local sock = self._sock
    if not sock then
        return nil, "not initialized"
    end
    if self._pipeline then
        return enqueue(self._pipeline, request, read, extra)
    end
    local sent, err = sock:send(request)
    if not sent then
        return give_up(self, err)
    end
    return read(self, extra)
end

-- A command that can't be sent; in a pipeline, its place among the results is kept. The error is
-- result number `at`.
local function refuse(self, err, at)
    local function result()
        if at == 3 then
            return nil, nil, err
        elseif at == 4 then
            return nil, nil, nil, err
        end
        return nil, err
    end
    if self._pipeline then
        return enqueue(self._pipeline, nil, result)
    end
    return result()
end

-- What stands for the key in a request, or nil. (memcached's protocol.txt, "Keys")
local function to_key(self, key)
    local escape = self._escape
    local sent = escape(type(key) == "string" and key or tostring(key))
    if sent == "" or #sent > MAX_KEY then
        return nil
    elseif escape ~= escape_uri and find(sent, "[%c ]") then
        return nil
    end
    return sent
end

local function to_number(value, default)
    if value == nil then
        return default
    elseif type(value) == "number" then
        return value % 1 == 0 and format("%.0f", value) or nil
    end
    return match(tostring(value), "^(%-?%d+)U?L?L?$")
end

-- The length of a string, or of a list of lists of strings.
local function length(value)
    if type(value) ~= "table" then
        return #tostring(value)
    end
    local total = 0
    for _, part in ipairs(value) do
        total = total + length(part)
    end
    return total
end

local function store(self, command, key, value, exptime, flags, unique)
    local sent = to_key(self, key)
    if not sent then
        return refuse(self, "invalid key")
    end
    exptime, flags = to_number(exptime, "0"), to_number(flags, "0")
    if not exptime or not flags or unique == "" then
        return refuse(self, "invalid number")
    end
    if type(value) ~= "table" then
        value = tostring(value)
    end
    local size = length(value)
    local head = command .. " " .. sent .. " " .. flags .. " " .. exptime .. " " .. size
    local behind = unique and " " .. unique .. "\r\n" or "\r\n"
    if size <= LONG and type(value) == "string" then
        return perform(self, head .. behind .. value .. "\r\n", read_stored)
    end
    return perform(self, { head, behind, value, "\r\n" }, read_stored)
end

--- Stores a value, whether there was one or not.
---@param key string
---@param value string|number|table a table's strings, also in tables, are put together
---@param exptime? integer seconds; 0: never ends (memcached takes more than 30 days for a date)
---@param flags? integer 32 bits, which get returns
---@return integer? ok 1
---@return string? err
function _M.set(self, key, value, exptime, flags)
    return store(self, "set", key, value, exptime, flags)
end

--- Stores a value if there is none, else "NOT_STORED". Parameters as for set.
---@param key string
---@param value string|number|table
---@param exptime? integer
---@param flags? integer
---@return integer? ok 1
---@return string? err
function _M.add(self, key, value, exptime, flags)
    return store(self, "add", key, value, exptime, flags)
end

--- Stores a value if there is one, else "NOT_STORED". Parameters as for set.
---@param key string
---@param value string|number|table
---@param exptime? integer
---@param flags? integer
---@return integer? ok 1
---@return string? err
function _M.replace(self, key, value, exptime, flags)
    return store(self, "replace", key, value, exptime, flags)
end

--- Puts a value behind the one that is there, else "NOT_STORED". memcached ignores exptime and flags.
---@param key string
---@param value string|number|table
---@param exptime? integer
---@param flags? integer
---@return integer? ok 1
---@return string? err
function _M.append(self, key, value, exptime, flags)
    return store(self, "append", key, value, exptime, flags)
end

--- Puts a value in front of the one that is there, else "NOT_STORED".
---@param key string
---@param value string|number|table
---@param exptime? integer
---@param flags? integer
---@return integer? ok 1
---@return string? err
function _M.prepend(self, key, value, exptime, flags)
    return store(self, "prepend", key, value, exptime, flags)
end

--- Stores a value if nobody has since gets() returned `cas_unique`; else "EXISTS" or "NOT_FOUND".
---@param key string
---@param value string|number|table
---@param cas_unique string
---@param exptime? integer
---@param flags? integer
---@return integer? ok 1
---@return string? err
function _M.cas(self, key, value, cas_unique, exptime, flags)
    local unique = to_number(cas_unique, "") or ""
    return store(self, "cas", key, value, exptime, flags, unique)
end

local function get_many(self, command, keys)
    local asked = { cas = command == "gets" }
    local words = { command }
    for i, key in ipairs(keys) do
        local sent = to_key(self, key)
        if not sent then
            return refuse(self, "invalid key")
        end
        asked[sent] = true
        words[i + 1] = sent
    end
    if #words == 1 then
        return self._pipeline and enqueue(self._pipeline, nil, function()
            return {}
        end) or {}
    end
    return perform(self, concat(words, " ") .. "\r\n", read_many, asked)
end

--- The value of a key, or of several.
---@param key string|string[]
---@return string|table? value nil: there is none; of several keys: {key = {value, flags}, …}
---@return string? flags of several keys: err
---@return string? err
function _M.get(self, key)
    if type(key) == "table" then
        return get_many(self, "get", key)
    end
    local sent = to_key(self, key)
    if not sent then
        return refuse(self, "invalid key", 3)
    end
    local value, flags, err = perform(self, "get " .. sent .. "\r\n", read_one, sent)
    if value == nil and flags then -- an error of sending
        return nil, nil, flags
    end
    return value, flags, err
end

--- The same with the value's unique number, for cas().
---@param key string|string[]
---@return string|table? value of several keys: {key = {value, flags, cas_unique}, …}
---@return string? flags of several keys: err
---@return string? cas_unique
---@return string? err
function _M.gets(self, key)
    if type(key) == "table" then
        return get_many(self, "gets", key)
    end
    local sent = to_key(self, key)
    if not sent then
        return refuse(self, "invalid key", 4)
    end
    local value, flags, unique, err = perform(self, "gets " .. sent .. "\r\n", read_one_cas, sent)
    if value == nil and flags then
        return nil, nil, nil, flags
    end
    return value, flags, unique, err
end

--- Forgets a key; "NOT_FOUND" when there is none.
---@param key string
---@return integer? ok 1
---@return string? err
function _M.delete(self, key)
    local sent = to_key(self, key)
    if not sent then
        return refuse(self, "invalid key")
    end
    return perform(self, "delete " .. sent .. "\r\n", read_word, "DELETED")
end

local function count(self, command, key, value)
    local sent = to_key(self, key)
    if not sent then
        return refuse(self, "invalid key")
    end
    value = to_number(value)
    if not value or byte(value) == 45 then
        return refuse(self, "invalid number")
    end
    return perform(self, command .. " " .. sent .. " " .. value .. "\r\n", read_counter)
end

--- Adds to a number of 64 bits; "NOT_FOUND" when there is none.
---@param key string
---@param value integer not negative
---@return string? new_value
---@return string? err
function _M.incr(self, key, value)
    return count(self, "incr", key, value)
end

--- Subtracts from a number, down to 0.
---@param key string
---@param value integer not negative
---@return string? new_value
---@return string? err
function _M.decr(self, key, value)
    return count(self, "decr", key, value)
end

--- Gives a key another time to live.
---@param key string
---@param exptime integer as for set
---@return integer? ok 1
---@return string? err "NOT_FOUND" when there is none
function _M.touch(self, key, exptime)
    local sent = to_key(self, key)
    if not sent then
        return refuse(self, "invalid key")
    end
    exptime = to_number(exptime)
    if not exptime then
        return refuse(self, "invalid number")
    end
    return perform(self, "touch " .. sent .. " " .. exptime .. "\r\n", read_word, "TOUCHED")
end

--- Forgets all keys.
---@param time? integer in so many seconds
---@return integer? ok 1
---@return string? err
function _M.flush_all(self, time)
    time = to_number(time, "")
    if not time then
        return refuse(self, "invalid number")
    end
    return perform(self, "flush_all" .. (time ~= "" and " " .. time or "") .. "\r\n", read_word, "OK")
end

--- How much the server logs.
---@param level integer
---@return integer? ok 1
---@return string? err
function _M.verbosity(self, level)
    level = to_number(level)
    if not level then
        return refuse(self, "invalid number")
    end
    return perform(self, "verbosity " .. level .. "\r\n", read_word, "OK")
end

--- The server's statistics.
---@param args? string "items", "slabs", "sizes", …
---@return string[]? lines "STAT <name> <value>"
---@return string? err
function _M.stats(self, args)
    if args ~= nil and find(args, "%c") then
        return refuse(self, "invalid key")
    end
    return perform(self, (args and "stats " .. args or "stats") .. "\r\n", read_stats)
end

--- The server's version, such as "1.6.18".
---@return string? version
---@return string? err
function _M.version(self)
    return perform(self, "version\r\n", read_version)
end

--- Tells the server to close the connection, and closes it.
---@return integer? ok 1
---@return string? err
function _M.quit(self)
    local sock = self._sock
    if not sock then
        return nil, "not initialized"
    end
    local sent, err = sock:send("quit\r\n")
    give_up(self)
    return sent and 1, err
end

-- Pipelines -------------------------------------------------------------------------------------

--- From here on, commands are collected instead of sent (and return 1).
---@param n? integer about how many commands will come
---@return string? err "already init pipeline"
function _M.init_pipeline(self, n)
    if self._pipeline then
        return "already init pipeline"
    elseif n ~= nil and type(n) ~= "number" then
        return "bad n arg: number expected, but got " .. type(n)
    end
    self._pipeline = { n = 0, requests = {} }
end

--- Ends collecting and forgets the commands.
function _M.cancel_pipeline(self)
    self._pipeline = false
end

--- Sends what was collected, at once, and reads all replies.
---@return table[]? results for each command what its method would have returned, in a table
---@return string? err "no pipeline", "no more cmds" when nothing was collected, or the connection's
function _M.commit_pipeline(self)
    local pipeline, sock = self._pipeline, self._sock
    if not sock then
        return nil, "not initialized"
    elseif not pipeline then
        return nil, "no pipeline"
    end
    self._pipeline = false
    if pipeline.n == 0 then
        return nil, "no more cmds"
    end
    if #pipeline.requests > 0 then
        local sent, err = sock:send(pipeline.requests)
        if not sent then
            return give_up(self, err)
        end
    end
    self._failure = nil
    local results = {}
    for i = 1, pipeline.n do
        results[i] = { pipeline[i].read(self, pipeline[i].extra) }
        if self._failure then
            return nil, self._failure
        end
    end
    return results
end

return _M
