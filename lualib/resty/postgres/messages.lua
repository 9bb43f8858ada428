-- resty.postgres.messages: messages of PostgreSQL's protocol over a connection. Private.
--
-- `self` is a resty.postgres object: sock, reader, max_message_size, ready (false for a connection
-- that is of no use any more).

local protocol = require "resty.postgres.protocol"
local sql_reader = require "resty.sql_reader"

local byte = string.byte
local need = sql_reader.need

local _M = {}

-- The connection is of no use any more.
function _M.broken(self, err)
    self.ready = false
    self.sock:close()
    return nil, err
end

-- Sees to it that the next message is in the buffer. The length of its body.
local function receive_message(self, reader)
    local ok, err = need(reader, 5)
    if not ok then
        return _M.broken(self, err)
    end
    local len = protocol.u32(reader.data, reader.pos + 1) - 4
    if len < 0 or len > self.max_message_size then
        return _M.broken(self, "message too big: " .. len)
    end
    ok, err = need(reader, len + 5)
    if not ok then
        return _M.broken(self, err)
    end
    return len
end

-- The next message: its kind, a string, and the positions in it of the body's first and last byte.
function _M.next_message(self)
    local reader = self.reader
    local data, pos = reader.data, reader.pos
    local len
    if pos + 4 <= #data then
        local a, b, c, d = byte(data, pos + 1, pos + 4)
        len = a * 0x1000000 + b * 0x10000 + c * 0x100 + d - 4
        if len < 0 or len > self.max_message_size or pos + 4 + len > #data then
            len = nil
        end
    end
    if not len then
        local err
        len, err = receive_message(self, reader)
        if not len then
            return nil, err
        end
        data, pos = reader.data, reader.pos
    end
    reader.pos = pos + 5 + len
    return byte(data, pos), data, pos + 5, pos + 4 + len
end

return _M
