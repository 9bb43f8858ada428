-- resty.postgres.protocol: the messages of PostgreSQL's protocol (version 3.0), as functions over
-- bytes. Private.
--
-- A parser gets a string and the positions of the first and last byte of a message's body in it. It
-- returns what it found, or nil for a body that is not well formed; it never looks behind the last
-- byte, whatever a length says. Builders return whole messages.

local byte = string.byte
local char = string.char
local clone = require "table.clone"
local concat = table.concat
local find = string.find
local floor = math.floor
local number_at = require("resty.sql_reader").number_at
local sub = string.sub

local _M = {}

-- Kinds of columns, by what happens to the text of their values.
_M.TEXT, _M.NUMBER, _M.CALL = 0, 1, 2

local NUMBER, CALL = _M.NUMBER, _M.CALL

-- Integers and strings --------------------------------------------------------------------------

local function u16(s, pos)
    local a, b = byte(s, pos, pos + 1)
    return a * 0x100 + b
end

local function u32(s, pos)
    local a, b, c, d = byte(s, pos, pos + 3)
    return a * 0x1000000 + b * 0x10000 + c * 0x100 + d
end

_M.u16 = u16
_M.u32 = u32

local function be16(n)
    return char(floor(n / 0x100) % 0x100, n % 0x100)
end

local function be32(n)
    return char(floor(n / 0x1000000) % 0x100, floor(n / 0x10000) % 0x100, floor(n / 0x100) % 0x100, n % 0x100)
end

_M.be16 = be16
_M.be32 = be32

-- A string that ends with NUL, and the position behind it.
local function c_string(s, pos, last)
    local stop = find(s, "\0", pos, true)
    if not stop or stop > last then
        return nil
    end
    return sub(s, pos, stop - 1), stop + 1
end

_M.c_string = c_string

-- Of the client ---------------------------------------------------------------------------------

-- A message of a kind (one letter, or "" for those before the login).
local function message(kind, body)
    return kind .. be32(#body + 4) .. body
end

_M.message = message

_M.SSL_REQUEST = message("", be32(80877103))
_M.SYNC = message("S", "")
_M.TERMINATE = message("X", "")

function _M.startup(user, database, application)
    return message("", concat {
        be32(196608), "user\0", user, "\0database\0", database, "\0application_name\0", application, "\0\0",
    })
end

function _M.query(text)
    return message("Q", text .. "\0")
end

-- A query with parameters, as the list of messages that parse, bind, describe and execute it.
-- `types` and `values` have `count` entries; a value is text or false for NULL.
function _M.extended(text, types, values, count)
    local oids, bound = {}, {}
    for i = 1, count do
        local value = values[i]
        oids[i] = be32(types[i])
        bound[i] = value and be32(#value) .. value or "\255\255\255\255"
    end
    local number = be16(count)
    return {
        message("P", "\0" .. text .. "\0" .. number .. concat(oids)),
        message("B", "\0\0\0\0" .. number .. concat(bound) .. "\0\0"),
        message("D", "P\0"),
        message("E", "\0\0\0\0\0"),
        _M.SYNC,
    }
end

-- Of the server ---------------------------------------------------------------------------------

-- An error or a notice: its text as users see it, and its fields by their letters.
function _M.report(s, pos, last)
    local fields = {}
    while pos <= last and byte(s, pos) ~= 0 do
        local letter = sub(s, pos, pos)
        local value
        value, pos = c_string(s, pos + 1, last)
        if not value then
            return nil
        end
        fields[letter] = value
    end
    if not fields.M then
        return nil
    end
    local text = (fields.V or fields.S or "ERROR") .. ": " .. fields.M
    if fields.P then
        text = text .. " (" .. fields.P .. ")"
    end
    if fields.D then
        text = text .. "\n" .. fields.D
    end
    return text, fields
end

-- A notification: process, channel, payload.
function _M.notification(s, pos, last)
    if pos + 3 > last then
        return nil
    end
    local channel, at = c_string(s, pos + 4, last)
    local payload = channel and c_string(s, at, last)
    return payload and { operation = "notification", pid = u32(s, pos), channel = channel, payload = payload }
end

-- The columns of a result: names and type OIDs in lists.
function _M.row_description(s, pos, last)
    if pos + 1 > last then
        return nil
    end
    local count = u16(s, pos)
    local names, oids = {}, {}
    pos = pos + 2
    for i = 1, count do
        local name, at = c_string(s, pos, last)
        if not name or at + 17 > last then
            return nil
        end
        names[i], oids[i] = name, u32(s, at + 6)
        pos = at + 18
    end
    return pos == last + 1 and { count = count, names = names, oids = oids } or nil
end

-- A row. columns: count, names, kinds, calls (functions (client, text, name)), template, and
-- null, what stands for NULL.
function _M.data_row(s, pos, last, columns, client)
    local count, names, kinds = columns.count, columns.names, columns.kinds
    if pos + 1 > last or u16(s, pos) ~= count then
        return nil
    end
    local row = clone(columns.template)
    pos = pos + 2
    for i = 1, count do
        if pos + 3 > last then
            return nil
        end
        local len = u32(s, pos)
        pos = pos + 4
        if len == 0xffffffff then
            row[names[i]] = columns.null
        else
            local stop = pos + len - 1
            if stop > last then
                return nil
            end
            local kind = kinds[i]
            if kind == NUMBER then
                row[names[i]] = number_at(s, pos, stop)
            elseif kind == CALL then
                row[names[i]] = columns.calls[i](client, sub(s, pos, stop), names[i])
            else
                row[names[i]] = sub(s, pos, stop)
            end
            pos = stop + 1
        end
    end
    return pos == last + 1 and row or nil
end

return _M
