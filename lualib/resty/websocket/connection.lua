--- resty.websocket.connection: what a WebSocket's two ends have in common.
--
--     local class = require("resty.websocket.connection").class()    -- a table with the methods
--
-- resty.websocket.server and .client are such classes with a `new` of their own. An object has
-- these fields: sock, max_recv_len, max_send_len, masks (it masks what it sends), force_masking
-- (the other end must), deflate (the codec of compressed messages, if that was agreed upon), fatal,
-- closed.
--
-- `fatal` is set when the stream of frames is lost: a connection that failed, a timeout in the
-- midst of a frame, a frame that breaks the protocol. Then everything returns "fatal error already
-- happened". A timeout before a frame has begun is harmless: its message ends with ": timeout",
-- and recv_frame can be called again.

local protocol = require "resty.websocket.protocol"

local char = string.char
local floor = math.floor
local pairs = pairs
local recv_frame = protocol.recv_frame
local send_frame = protocol.send_frame
local sub = string.sub
local tonumber = tonumber
local tostring = tostring
local type = type

local QUIET = "failed to receive the first 2 bytes: timeout"

local methods = {}

local function trouble(self)
    if self.fatal then
        return "fatal error already happened"
    elseif not self.sock then
        return "not initialized yet"
    elseif self.closed then
        return "already closed"
    end
    return nil
end

-- Fragments of one message must follow each other (RFC 6455, 5.4); control frames may come between.
local function order_error(self, typ, err)
    local in_message = self.in_message
    if typ == "continuation" then
        if not in_message then
            return "continuation frame without a beginning"
        end
    elseif typ == "text" or typ == "binary" then
        if in_message then
            return "continuation frame expected"
        end
    else
        return nil
    end
    self.in_message = err == "again"
    return nil
end

-- What a frame's payload says. `compressed`: it begins a compressed message.
local function inflated(self, data, typ, err, compressed)
    if typ == "text" or typ == "binary" then
        self.inflates = compressed
    elseif typ ~= "continuation" then
        return data
    end
    if not self.inflates then
        return data
    end
    return self.deflate:inflate(data, err ~= "again", self.max_recv_len)
end

--- Waits for a frame.
---@return string? data the payload; of a close frame, its message
---@return string? typ "text", "binary", "continuation", "close", "ping" or "pong"
---@return string|integer|nil err "again" when fragments follow; of a close frame, the status code
function methods.recv_frame(self)
    local err = trouble(self)
    if err then
        return nil, nil, err
    end
    local data, typ, compressed
    data, typ, err, compressed = recv_frame(self.sock, self.max_recv_len, self.force_masking,
                                            self.deflate ~= nil)
    if not data then
        self.fatal = err ~= QUIET
        return nil, nil, err
    end
    local disorder = order_error(self, typ, err)
    if disorder then
        self.fatal = true
        return nil, nil, disorder
    end
    if self.deflate then
        local text, failure = inflated(self, data, typ, err, compressed)
        if not text then
            self.fatal = true
            return nil, nil, failure
        end
        data = text
    end
    return data, typ, err
end

-- The payload of a data frame as it is to be sent, and whether the frame begins a compressed message.
local function deflated(self, fin, opcode, payload)
    local begins = opcode ~= 0
    if begins then
        self.deflates = self.deflate:wants(payload)
    end
    if not self.deflates then
        return payload, false
    end
    local bytes, err = self.deflate:deflate(payload, fin)
    if not bytes then
        return nil, err
    end
    return bytes, begins
end

--- Sends a frame as it is told.
---@param fin boolean
---@param opcode integer
---@param payload? string
---@return integer? bytes
---@return string? err "already closed" behind a close frame, too, which is the last that one sends
function methods.send_frame(self, fin, opcode, payload)
    local err = trouble(self)
    if err or self.close_sent then
        return nil, err or "already closed"
    end
    local limit, compressed = self.max_send_len, false
    if self.deflate and opcode <= 0x2 then
        payload = tostring(payload or "")
        if #payload > limit then
            return nil, "payload too big"
        end
        payload, compressed = deflated(self, fin, opcode, payload)
        if not payload then
            self.fatal = true
            return nil, "failed to send frame: " .. compressed
        end
        limit = #payload
    end
    local bytes
    bytes, err = send_frame(self.sock, fin, opcode, payload, limit, self.masks, compressed)
    if bytes then
        return bytes
    end
    self.fatal = sub(err, 1, 14) == "failed to send"
    return nil, err
end

local function sender(opcode)
    return function(self, payload)
        return self:send_frame(true, opcode, payload)
    end
end

--- Each sends one frame that is a whole message.
methods.send_text = sender(0x1)
methods.send_binary = sender(0x2)
methods.send_ping = sender(0x9)
methods.send_pong = sender(0xa)

--- Sends a close frame, once. Does not wait for the other's.
---@param code? integer 1000 to 4999
---@param message? string
---@return integer? bytes
---@return string? err
function methods.send_close(self, code, message)
    local payload
    if code then
        if type(code) ~= "number" or code < 1000 or code > 4999 then
            return nil, "bad status code"
        end
        payload = char(floor(code / 256), code % 256) .. (message or "")
    end
    local bytes, err = self:send_frame(true, 0x8, payload)
    if not bytes then
        return nil, err
    end
    self.close_sent = true
    return bytes
end

--- The limit, in milliseconds, for each later operation.
---@param timeout number
---@return integer? ok
---@return string? err
function methods.set_timeout(self, timeout)
    if not self.sock then
        return nil, "not initialized yet"
    end
    self.sock:settimeout(timeout)
    return 1
end

local _M = { _VERSION = "0.12" }

--- Fills the fields that the options of both ends are about.
---@param self table
---@param opts? table max_payload_len, max_recv_len, max_send_len (bytes; 65535)
---@return table self
function _M.configure(self, opts)
    local most = tonumber(opts and opts.max_payload_len) or 65535
    self.max_payload_len = most
    self.max_recv_len = tonumber(opts and opts.max_recv_len) or most
    self.max_send_len = tonumber(opts and opts.max_send_len) or most
    self.fatal, self.closed, self.in_message, self.close_sent = false, false, false, false
    return self
end

--- A new class with the common methods.
---@return table class
function _M.class()
    local class = { _VERSION = _M._VERSION }
    for name, method in pairs(methods) do
        class[name] = method
    end
    return class
end

return _M
