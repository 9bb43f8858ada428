-- resty.sql_reader: the bytes that come from a database server, as they are needed by a parser that
-- goes over a string by positions. Private: for resty.mysql and resty.postgres.
--
--     data   |.......consumed.......|pos ............. not yet consumed ...........|
--
-- A packet that lies in `data` is parsed where it is. Only when one is not complete the rest of the
-- bytes is put together with what the socket has: whatever there is, or, for a long packet, the
-- missing part at once. So a small reply costs one call of the socket, and a long result one for
-- every buffer full, however many packets it has.

local byte = string.byte
local sub = string.sub
local tonumber = tonumber

-- Asked for at a time: as much as the socket has in its buffer, and, when that was full, more.
local SHORT, CHUNK = 4096, 65536

-- What is missing of a packet is asked for by its size from here on.
local LONG = 8192

local _M = {}

---@class resty.sql_reader
---@field sock table
---@field data string
---@field pos integer
---@field chunk integer
local mt = { __index = _M }

-- A reader of what a socket receives from now on.
function _M.new(sock)
    return setmetatable({ sock = sock, data = "", pos = 1, chunk = SHORT }, mt)
end

-- Forgets what is not consumed: the socket is another's, or the same behind TLS.
function _M.reset(self)
    self.data, self.pos = "", 1
end

-- How many bytes are there that nobody has asked for.
function _M.pending(self)
    return #self.data - self.pos + 1
end

-- Reads until so many bytes are there from pos on. True, or nil and an error.
function _M.need(self, count)
    local sock = self.sock
    local data = sub(self.data, self.pos)
    while #data < count do
        local missing = count - #data
        local piece, err
        if missing >= LONG then
            piece, err = sock:receive(missing)
        else
            piece, err = sock:receiveany(self.chunk)
            self.chunk = piece and #piece >= SHORT and CHUNK or SHORT
        end
        if not piece then
            self.data, self.pos = data, 1
            return nil, err
        end
        data = data == "" and piece or data .. piece
    end
    self.data, self.pos = data, 1
    return true
end

-- Powers of ten that are exact.
local POWERS = { [0] = 1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15 }

-- The value of digits with at most one point among them, the first no point; nil for anything else.
-- Up to 15 digits and the power are exact, so that the one division rounds as it should.
local function of_digits(s, pos, stop)
    local value, point = 0, nil
    for at = pos, stop do
        local digit = byte(s, at) - 48
        if digit >= 0 and digit <= 9 then
            value = value * 10 + digit
        elseif digit == -2 and not point and at > pos then
            point = at
        else
            return nil
        end
    end
    return point and value / POWERS[stop - point] or value
end

-- The number whose text stands from pos to stop; the text itself when it is none. The usual ones
-- need no string.
function _M.number_at(s, pos, stop)
    if pos <= stop and stop - pos < 15 then
        local value
        if byte(s, pos) ~= 45 then
            value = of_digits(s, pos, stop)
        elseif pos < stop then
            value = of_digits(s, pos + 1, stop)
            value = value and -value
        end
        if value then
            return value
        end
    end
    local text = sub(s, pos, stop)
    return tonumber(text) or text
end

return _M
