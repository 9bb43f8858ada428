--- What Redis answers, in RESP2 and RESP3, as Lua values, for resty.redis.
--
-- They are taken from the bytes of a bulan.reader, so the replies to a pipeline cost few calls.
--
-- Limits: 512 MB for a string, 1 MB for a line, 2^31 values in an aggregate, 64 levels. Streamed
-- strings and aggregates, which Redis does not send, are refused.

local reader = require "bulan.reader"

local byte = string.byte
local find = string.find
local format = string.format
local huge = math.huge
local need = reader.need
local null = ngx.null
local read_line = reader.line
local sub = string.sub
local tonumber = tonumber

local _M = {}

local MAX_BULK = 512 * 1024 * 1024
local MAX_COUNT = 2 ^ 31
local MAX_DEPTH = 64
local MAX_LINE = 1024 * 1024

-- Lengths and counts: -1 is RESP2's null.
local function to_length(text, limit)
    local n = find(text, "^%-?%d+$") and tonumber(text)
    return n and n >= -1 and n <= limit and n
end

-- The number between `pos` and a line end, when it is there and has few digits, and where the line
-- after it begins.
local function short_number(buf, pos)
    local n, digits = 0, 0
    local c = byte(buf, pos)
    while c and c >= 48 and c <= 57 do
        n = n * 10 + c - 48
        digits = digits + 1
        pos = pos + 1
        c = byte(buf, pos)
    end
    if c == 13 and digits > 0 and digits < 10 and byte(buf, pos + 1) == 10 then
        return n, pos + 2
    end
end

-- Kinds of values ---------------------------------------------------------------------------------
-- Each takes the text of the first line, behind its first byte, and returns the value; false and a
-- message, Redis' error; or nil and an error, after which nothing can be read any more.

local read_value

local function bulk(self, text)
    local size = to_length(text, MAX_BULK)
    if not size then
        return nil, "invalid reply: bad length"
    elseif size < 0 then
        return null
    end
    local ok, err = need(self, size + 2)
    if not ok then
        return nil, err
    end
    local buf, pos = self._buf, self._pos
    if byte(buf, pos + size) ~= 13 or byte(buf, pos + size + 1) ~= 10 then
        return nil, "invalid reply: no line end after a string"
    end
    self._pos = pos + size + 2
    return sub(buf, pos, pos + size - 1)
end

local function array(self, text, depth)
    local n = to_length(text, MAX_COUNT)
    if not n then
        return nil, "invalid reply: bad count"
    elseif n < 0 then
        return null
    end
    local values = {}
    for i = 1, n do
        local value, err = read_value(self, depth + 1)
        if value then
            values[i] = value
        elseif value == nil then
            return nil, err
        else
            values[i] = err and { false, err } or false
        end
    end
    return values
end

local function map(self, text, depth)
    local n = to_length(text, MAX_COUNT)
    if not n then
        return nil, "invalid reply: bad count"
    elseif n < 0 then
        return null
    end
    local values = {}
    for _ = 1, n do
        local key, err = read_value(self, depth + 1)
        if key == nil then
            return nil, err
        elseif key ~= key then
            return nil, "invalid reply: bad key of a map"
        end
        local value
        value, err = read_value(self, depth + 1)
        if value == nil then
            return nil, err
        end
        values[key] = value or err and { false, err } or false
    end
    return values
end

local function push(self, text, depth)
    if depth > 0 then
        return nil, "invalid reply: a push message inside a value"
    end
    local message, err = array(self, text, depth)
    if message == null then
        return nil, "invalid reply: bad count"
    end
    return message, err, true
end

local function attribute(self, text, depth)
    local attributes, err = map(self, text, depth)
    if attributes == nil then
        return nil, err
    end
    if depth == 0 then
        self._attributes = attributes
    end
    return read_value(self, depth)
end

local function integer(_, text)
    if not find(text, "^[+-]?%d+$") then
        return nil, "invalid reply: bad number"
    end
    return tonumber(text)
end

local specials = { inf = huge, ["-inf"] = -huge, nan = 0 / 0, ["-nan"] = 0 / 0 }

local function double(_, text)
    local n = specials[text] or find(text, "^[%d.eE+-]+$") and tonumber(text)
    if not n then
        return nil, "invalid reply: bad number"
    end
    return n
end

local function big_number(_, text)
    if not find(text, "^[+-]?%d+$") then
        return nil, "invalid reply: bad number"
    end
    return text
end

local function boolean(_, text)
    if text == "t" then
        return true
    elseif text == "f" then
        return false
    end
    return nil, "invalid reply: bad boolean"
end

local kinds = {
    ["+"] = function(_, text)
        return text
    end,
    ["-"] = function(_, text)
        return false, text
    end,
    [":"] = integer,
    ["$"] = bulk,
    ["*"] = array,
    -- RESP3
    ["_"] = function()
        return null
    end,
    ["#"] = boolean,
    [","] = double,
    ["("] = big_number,
    ["!"] = function(self, text)
        local message, err = bulk(self, text)
        if message == null then
            return nil, "invalid reply: bad length"
        end
        return message and false, message or err
    end,
    ["="] = function(self, text)
        local value, err = bulk(self, text)
        if value and value ~= null then
            return sub(value, 5) -- behind "txt:"
        end
        return value, err
    end,
    ["%"] = map,
    ["~"] = array,
    [">"] = push,
    ["|"] = attribute,
}

local function read_any(self, depth)
    local line, err = read_line(self, MAX_LINE)
    if not line then
        return nil, err == "too long a line" and "invalid reply: too long a line" or err
    end
    local first = sub(line, 1, 1)
    local read = kinds[first]
    if not read then
        return nil, format("unknown prefix: %q", first)
    end
    return read(self, sub(line, 2), depth)
end

-- Most replies are strings, short numbers and OK that are there already: they take the short way, which
-- LuaJIT compiles as a whole.
function read_value(self, depth)
    if depth > MAX_DEPTH then
        return nil, "invalid reply: too many levels"
    end
    local ok, err = need(self, 1)
    if not ok then
        return nil, err
    end
    local buf, pos = self._buf, self._pos
    local kind = byte(buf, pos)
    if kind == 36 then -- $
        local size, from = short_number(buf, pos + 1)
        if size then
            local behind = from + size
            if byte(buf, behind) == 13 and byte(buf, behind + 1) == 10 then
                self._pos = behind + 2
                return sub(buf, from, behind - 1)
            end
        end
    elseif kind == 58 then -- :
        local n, behind = short_number(buf, pos + 1)
        if n then
            self._pos = behind
            return n
        end
    elseif kind == 43 and sub(buf, pos + 1, pos + 4) == "OK\r\n" then
        self._pos = pos + 5
        return "OK"
    end
    return read_any(self, depth)
end

--- Reads the next value with a bulan.reader. false without a message is RESP3's boolean.
---@param self table
---@return any value nil when the connection is of no use any more
---@return string? err
---@return boolean? push it is a push message, not a reply
function _M.read(self)
    self._attributes = false
    return read_value(self, 0)
end

--- Reads the next value so that, when that fails with "timeout", it can be tried again.
---@param self table
---@return any value
---@return string? err
---@return boolean? push
function _M.read_again(self)
    self._mark = self._pos
    self._attributes = false
    local value, err, pushed = read_value(self, 0)
    if value == nil then
        self._pos = self._mark
    end
    self._mark = false
    return value, err, pushed
end

return _M
