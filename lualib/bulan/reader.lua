--- bulan.reader: the bytes of a socket, taken many at a time and given out as a protocol needs them.
--
-- For libraries whose protocol has short replies: a socket's receive() for each line would cost a
-- call each. A reader is a table of the library's with the socket in _sock and, of this module's,
--
--     _buf   ………………………………[next byte ………]
--     _mark       ^ kept from here on, to read the same again (false: nothing before _pos)
--     _pos                ^
--
-- What is left in it belongs to the connection: who gives the connection to a pool asks has_rest()
-- first. Errors are the socket's ("timeout", "closed", …) and "too long a line".

local find = string.find
local sub = string.sub

local _M = {}

local CHUNK = 65536

local function append(self, data)
    local from = self._mark or self._pos
    local buf = self._buf
    if from > #buf then
        self._buf = data
    else
        self._buf = (from > 1 and sub(buf, from) or buf) .. data
    end
    self._pos = self._pos - from + 1
    if self._mark then
        self._mark = 1
    end
end

local function fill(self)
    local data, err = self._sock:receiveany(CHUNK)
    if not data then
        return nil, err
    end
    append(self, data)
    return true
end

--- Gets a table ready for reading; forgets what was read before.
---@param self table
function _M.reset(self)
    self._buf, self._pos, self._mark = "", 1, false
end

--- Whether bytes are left that nobody has asked for.
---@param self table
---@return boolean
function _M.has_rest(self)
    return self._pos <= #self._buf
end

--- Sees to it that `n` bytes are there, from _pos on. What came before an error is kept.
---@param self table
---@param n integer
---@return boolean? ok
---@return string? err
function _M.need(self, n)
    local missing = n - (#self._buf - self._pos + 1)
    if missing <= 0 then
        return true
    end
    if missing <= CHUNK then
        repeat
            local ok, err = fill(self)
            if not ok then
                return nil, err
            end
        until #self._buf - self._pos + 1 >= n
        return true
    end
    local data, err, partial = self._sock:receive(missing)
    if data or partial and partial ~= "" then
        append(self, data or partial)
    end
    return data and true, err
end

--- Takes a line that ends with CR LF, without these.
---@param self table
---@param limit integer bytes
---@return string? line
---@return string? err
function _M.line(self, limit)
    local searched = 0
    while true do
        local buf, pos = self._buf, self._pos
        local at = find(buf, "\r\n", pos + searched, true)
        local size = (at or #buf) - pos + 1
        if size > limit + 1 then -- a CR may be the last byte
            return nil, "too long a line"
        elseif at then
            self._pos = at + 2
            return sub(buf, pos, at - 1)
        end
        searched = size > 0 and size - 1 or 0
        local ok, err = fill(self)
        if not ok then
            return nil, err
        end
    end
end

return _M
