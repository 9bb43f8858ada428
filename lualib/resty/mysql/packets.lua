-- resty.mysql.packets: packets of MySQL's protocol over a connection. Private.
--
-- `self` is a resty.mysql object: sock, reader, packet_no (the number of the last packet of the
-- exchange, -1 before the first), max_packet_size, state (nil for a connection that is of no use
-- any more).

local protocol = require "resty.mysql.protocol"
local sql_reader = require "resty.sql_reader"

local band = bit.band
local byte = string.byte
local char = string.char
local concat = table.concat
local le24 = protocol.le24
local need = sql_reader.need
local sub = string.sub

local CONNECTED = 1 -- see resty.mysql

-- A packet with so many bytes goes on in the next one.
local FULL_PACKET = 0xffffff

local _M = {}

-- The connection is of no use any more.
function _M.broken(self, err)
    self.state = nil
    self.sock:close()
    return nil, err
end

-- Sends a payload (a string, with another before it) as packets; the bytes sent.
function _M.send_packet(self, head, payload)
    local size = #head + #payload
    local number = self.packet_no + 1
    local pieces
    if size < FULL_PACKET then
        pieces = { le24(size) .. char(band(number, 255)) .. head, payload }
    else
        local whole = head .. payload
        pieces = {}
        for at = 1, size + 1, FULL_PACKET do
            local piece = sub(whole, at, at + FULL_PACKET - 1)
            pieces[#pieces + 1] = le24(#piece) .. char(band(number, 255))
            pieces[#pieces + 1] = piece
            number = number + 1
        end
        number = number - 1
    end
    self.packet_no = band(number, 255)
    return self.sock:send(pieces)
end

-- The rest of a packet that goes on in further ones: one string.
local function join_packets(self, s, first, last)
    local reader = self.reader
    local pieces, total = { sub(s, first, last) }, FULL_PACKET
    repeat
        local ok, err = need(reader, 4)
        if not ok then
            return _M.broken(self, "failed to receive packet header: " .. err)
        end
        local a, b, c, number = byte(reader.data, reader.pos, reader.pos + 3)
        local len = a + b * 0x100 + c * 0x10000
        total = total + len
        self.packet_no = band(self.packet_no + 1, 255)
        if number ~= self.packet_no then
            return _M.broken(self, "unexpected packet number")
        elseif total > self.max_packet_size then
            return _M.broken(self, "packet size too big: " .. total)
        end
        ok, err = need(reader, len + 4)
        if not ok then
            return _M.broken(self, "failed to read packet content: " .. err)
        end
        pieces[#pieces + 1] = sub(reader.data, reader.pos + 4, reader.pos + 3 + len)
        reader.pos = reader.pos + 4 + len
    until len < FULL_PACKET
    return concat(pieces), 1, total
end

-- Sees to it that the next packet is in the buffer; checks its head. Its length.
local function receive_packet(self, reader)
    local ok, err = need(reader, 4)
    if not ok then
        return _M.broken(self, "failed to receive packet header: " .. err)
    end
    local a, b, c, number = byte(reader.data, reader.pos, reader.pos + 3)
    local len = a + b * 0x100 + c * 0x10000
    if len == 0 then
        return _M.broken(self, "empty packet")
    elseif len > self.max_packet_size then
        return _M.broken(self, "packet size too big: " .. len)
    elseif number ~= band(self.packet_no + 1, 255) then
        return _M.broken(self, "unexpected packet number")
    end
    ok, err = need(reader, len + 4)
    if not ok then
        return _M.broken(self, "failed to read packet content: " .. err)
    end
    return len
end

-- The next packet: a string, and the positions in it of the packet's first and last byte.
function _M.next_packet(self)
    local reader = self.reader
    local data, pos = reader.data, reader.pos
    local len
    if pos + 4 <= #data then
        local a, b, c, number = byte(data, pos, pos + 3)
        len = a + b * 0x100 + c * 0x10000
        if len == 0 or len > self.max_packet_size or pos + 3 + len > #data
            or number ~= band(self.packet_no + 1, 255)
        then
            len = nil
        end
    end
    if not len then
        local err
        len, err = receive_packet(self, reader)
        if not len then
            return nil, err
        end
        data, pos = reader.data, reader.pos
    end
    self.packet_no = band(self.packet_no + 1, 255)
    reader.pos = pos + 4 + len
    if len == FULL_PACKET then
        return join_packets(self, data, pos + 4, pos + 3 + len)
    end
    return data, pos + 4, pos + 3 + len
end

-- The results for an error packet. The connection can go on.
function _M.server_error(self, s, first, last)
    local message, code, state = protocol.err(s, first, last)
    if not message then
        return _M.broken(self, "malformed error packet")
    end
    self.state = CONNECTED
    return nil, message, code, state
end

return _M
