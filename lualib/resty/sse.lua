--- resty.sse: server-sent events (the HTML standard's EventSource), from either end.
--
--     -- content_by_lua_block: a stream to a page
--     local sse = require "resty.sse"
--     local stream = assert(sse.new { retry = 2000 })
--     for message in messages_since(stream.last_event_id) do
--         local ok, err = stream:send { event = "chat", id = message.id, data = message.text }
--         if not ok then break end                        -- the page is gone
--     end
--
--     -- a stream from another server
--     local events = assert(sse.connect("https://example.com/events", { timeout = 60000 }))
--     while true do
--         local event, err = events:next()
--         if not event then break end
--         ngx.log(ngx.INFO, event.type, " ", event.id, " ", event.data)
--     end
--     events:close()
--
-- On the page: new EventSource("/events").addEventListener("chat", e => show(e.data)). Browsers come back by
-- themselves when a stream ends, and say in Last-Event-ID where they were.
--
-- An open stream costs a connection and a coroutine, and no thread: a worker holds many thousands. A page
-- that is gone is noticed at the next send(), so send a comment (heartbeat()) now and then. Errors are nil
-- and a message: "closed" and others of ngx.flush, for connect() those of resty.http.

local http = require "resty.http"

local byte = string.byte
local concat = table.concat
local error = error
local find = string.find
local gmatch = string.gmatch
local lower = string.lower
local match = string.match
local ngx = ngx
local pairs = pairs
local setmetatable = setmetatable
local sub = string.sub
local tonumber = tonumber
local tostring = tostring
local type = type

-- What a line, and what the data of an event may take, in bytes.
local MAX_EVENT = 1048576
local LF, CR = 10, 13

local _M = { _VERSION = "1.0" }

-- ------------------------------------------------------------- to a page

---@class resty.sse.stream
---@field last_event_id? string what the page has seen last
local stream = {}
local stream_mt = { __index = stream }

---@class resty.sse.options
---@field retry? integer milliseconds after which the page comes back
---@field headers? table<string, string> more fields for the answer

---@class resty.sse.message
---@field data? string|any text, of any number of lines; other values as tostring() has them
---@field event? string the type; "message"
---@field id? string|number
---@field retry? integer milliseconds

--- Begins a stream as the answer to the current request.
---@param options? resty.sse.options
---@return resty.sse.stream? stream
---@return string? err
function _M.new(options)
    local header = ngx.header
    header["Content-Type"] = "text/event-stream; charset=utf-8"
    header["Cache-Control"] = "no-cache"
    header["X-Accel-Buffering"] = "no" -- a proxy before us must not hold events back
    for name, value in pairs(options and options.headers or {}) do
        header[name] = value
    end
    local self = setmetatable({ last_event_id = ngx.var.http_last_event_id }, stream_mt)
    local ok, err
    if options and options.retry then
        ok, err = ngx.print("retry: ", options.retry, "\n\n")
    else
        ok, err = ngx.send_headers()
    end
    if ok then
        ok, err = ngx.flush(true)
    end
    if not ok then
        return nil, err
    end
    return self
end

-- What a field of one line must not have: it would begin another field.
local function one_line(name, value)
    value = tostring(value)
    if find(value, "[\r\n%z]") then
        error(name .. " must be one line", 3)
    end
    return value
end

--- Sends an event.
---@param message resty.sse.message|string a string: its data
---@return boolean? ok
---@return string? err
function stream:send(message)
    if type(message) ~= "table" then
        message = { data = message }
    end
    local lines = {}
    if message.event ~= nil then
        lines[#lines + 1] = "event: " .. one_line("event", message.event)
    end
    if message.id ~= nil then
        lines[#lines + 1] = "id: " .. one_line("id", message.id)
    end
    if message.retry ~= nil then
        lines[#lines + 1] = "retry: " .. one_line("retry", message.retry)
    end
    if message.data ~= nil then
        local text = tostring(message.data):gsub("\r\n?", "\n")
        for line in gmatch(text .. "\n", "(.-)\n") do
            lines[#lines + 1] = "data: " .. line
        end
    end
    lines[#lines + 1] = "\n"
    local ok, err = ngx.print(concat(lines, "\n"))
    if not ok then
        return nil, err
    end
    ok, err = ngx.flush(true)
    if not ok then
        return nil, err
    end
    return true
end

--- Sends a comment: nothing for the page, but a dead connection shows.
---@return boolean? ok
---@return string? err
function stream:heartbeat()
    local ok, err = ngx.print(":\n\n")
    if ok then
        ok, err = ngx.flush(true)
    end
    if not ok then
        return nil, err
    end
    return true
end

-- ------------------------------------------------------------- reading a stream

---@class resty.sse.event
---@field type string "message" when it has none
---@field data string
---@field id string the last id that came, "" before one did

---@class resty.sse.parser
local parser = {}
local parser_mt = { __index = parser }

--- A parser of streams, for bytes from anywhere.
---@return resty.sse.parser
function _M.parser()
    return setmetatable({
        line = {}, line_size = 0, data = {}, size = 0, id = "", fresh = true, half = false,
    }, parser_mt)
end

local function take_field(self, name, value)
    if name == "data" then
        self.data[#self.data + 1] = value
        self.size = self.size + #value + 1
    elseif name == "event" then
        self.type = value
    elseif name == "id" then
        if not find(value, "%z") then
            self.id = value
        end
    elseif name == "retry" and find(value, "^%d+$") then
        self.retry = tonumber(value)
    end
end

-- An empty line: the event, if it has data.
local function finish_event(self)
    local data, kind = self.data, self.type
    self.data, self.size, self.type = {}, 0, nil
    if not data[1] then
        return nil
    end
    return { type = kind and kind ~= "" and kind or "message", data = concat(data, "\n"), id = self.id }
end

local function take_line(self, line)
    if line == "" then
        return finish_event(self)
    end
    local name, value = match(line, "^([^:]*): ?(.*)$")
    if name ~= "" then
        take_field(self, name or line, value or "")
    end
end

-- A line from the pieces of it that have come, and its last one.
local function whole_line(self, last)
    local line = last
    if self.line[1] then
        self.line[#self.line + 1] = last
        line = concat(self.line)
        self.line, self.line_size = {}, 0
    end
    if self.fresh then
        self.fresh = false
        if sub(line, 1, 3) == "\239\187\191" then
            line = sub(line, 4)
        end
    end
    return line
end

--- Takes bytes, and gives the events that are complete.
---@param bytes string
---@return resty.sse.event[]? events
---@return string? err "event too long"
function parser:feed(bytes)
    local events, at = {}, 1
    if self.half and bytes ~= "" then
        at = byte(bytes) == LF and 2 or 1 -- the second half of CRLF
        self.half = false
    end
    while true do
        local stop = find(bytes, "[\r\n]", at)
        if not stop then
            break
        end
        local event = take_line(self, whole_line(self, sub(bytes, at, stop - 1)))
        if event then
            events[#events + 1] = event
        end
        at = stop + 1
        if byte(bytes, stop) == CR then
            self.half = stop == #bytes
            at = byte(bytes, at) == LF and at + 1 or at
        end
    end
    if at <= #bytes then
        local rest = sub(bytes, at)
        self.line[#self.line + 1], self.line_size = rest, self.line_size + #rest
    end
    if self.line_size + self.size > MAX_EVENT then
        return nil, "event too long"
    end
    return events
end

-- ------------------------------------------------------------- from a server

---@class resty.sse.source
---@field retry? integer milliseconds that the server asks to wait before coming back
local source = {}
local source_mt = { __index = source }

local function is_stream(content_type)
    return type(content_type) == "string" and find(lower(content_type), "^text/event%-stream") ~= nil
end

---@class resty.sse.connect_options
---@field headers? table<string, string>
---@field last_event_id? string where to go on
---@field timeout? integer milliseconds without a byte; 60000
---@field ssl_verify? boolean true

--- Opens a stream of another server.
---@param uri string
---@param options? resty.sse.connect_options
---@return resty.sse.source? source
---@return string? err
function _M.connect(uri, options)
    options = options or {}
    local client = http.new()
    client:set_timeout(options.timeout or 60000)
    local parts, err = client:parse_uri(uri)
    if not parts then
        return nil, err
    end
    local ok
    ok, err = client:connect {
        scheme = parts[1], host = parts[2], port = parts[3], ssl_verify = options.ssl_verify,
    }
    if not ok then
        return nil, err
    end
    local headers = { Accept = "text/event-stream", ["Last-Event-ID"] = options.last_event_id }
    for name, value in pairs(options.headers or {}) do
        headers[name] = value
    end
    local path = parts[4] .. (parts[5] and parts[5] ~= "" and "?" .. parts[5] or "")
    local response
    response, err = client:request { path = path, headers = headers }
    if response and (response.status ~= 200 or not is_stream(response.headers["Content-Type"])) then
        response, err = nil, "not a stream of events: status " .. response.status
    end
    if not response then
        client:close()
        return nil, err
    end
    return setmetatable({
        _client = client, _read = response.body_reader, _parser = _M.parser(), _events = {}, _at = 1,
    }, source_mt)
end

--- Waits for the next event.
---@return resty.sse.event? event
---@return string? err "closed" at the end of the stream, "timeout", …
function source:next()
    while true do
        local event = self._events[self._at]
        if event then
            self._at = self._at + 1
            return event
        end
        local bytes, err = self._read(65536)
        if not bytes then
            return nil, err or "closed"
        end
        self._events, err = self._parser:feed(bytes)
        self._at, self.retry = 1, self._parser.retry
        if not self._events then
            self._events = {}
            return nil, err
        end
    end
end

--- Ends it.
---@return integer? ok
---@return string? err
function source:close()
    return self._client:close()
end

return _M
