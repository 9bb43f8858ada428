--- resty.postgres.arrays: arrays of PostgreSQL as tables; also `require "pgmoon.arrays"`.
--
--     local arrays = require "resty.postgres.arrays"
--     pg:query("INSERT INTO t (tags) VALUES (" .. arrays.encode_array { "a", "b" } .. "::text[])")
--     pg:query("INSERT INTO t (tags) VALUES ($1)", arrays.PostgresArray { "a", "b" })
--
-- An empty array needs a cast (`::text[]`), since PostgreSQL cannot tell its type. Arrays in results
-- are decoded already. What is no array raises "failed to parse postgresql array".

local null = require("resty.postgres.null")

local byte = string.byte
local concat = table.concat
local error = error
local find = string.find
local getmetatable = getmetatable
local gsub = string.gsub
local match = string.match
local setmetatable = setmetatable
local sub = string.sub
local tostring = tostring
local type = type

-- PostgreSQL allows six dimensions.
local MAX_DEPTH = 16

local _M = {}

-- The type OIDs of arrays, by the Lua type of what is in them.
local OIDS = { boolean = 1000, number = 1231, string = 1009 }

local base = {}
base.__index = base

--- Makes a table an array for parameters of query(): sets its metatable.
---@class resty.postgres.array
_M.PostgresArray = setmetatable({ __base = base, __name = "PostgresArray" }, {
    __index = base,
    __call = function(_, values)
        return setmetatable(values or {}, base)
    end,
})

-- Encoding --------------------------------------------------------------------------------------

local function encode_values(values, escape, depth)
    if depth > MAX_DEPTH then
        error("array is nested too deeply")
    end
    local parts = {}
    for i = 1, #values do
        local value = values[i]
        if type(value) == "table" and value ~= null and not getmetatable(value) or getmetatable(value) == base then
            parts[i] = encode_values(value, escape, depth + 1)
        else
            parts[i] = escape(value)
        end
    end
    return "[" .. concat(parts, ",") .. "]"
end

--- A table as an ARRAY expression for the text of a query.
---@param values table
---@param escape? fun(value: any): string for single values; escape_literal
---@return string sql
function _M.encode_array(values, escape)
    escape = escape or require("resty.postgres.escape").literal
    return "ARRAY" .. encode_values(values, escape, 1)
end

local function quoted(text)
    return '"' .. gsub(text, '[\\"]', "\\%0") .. '"'
end

-- The text of one element and the array's type as far as it tells.
local function serialize_value(value, client)
    local kind = type(value)
    if value == nil or value == null or client and value == client.NULL then
        return "NULL"
    elseif kind == "string" then
        return quoted(value), OIDS.string
    elseif kind == "number" then
        return tostring(value), OIDS.number
    elseif kind == "boolean" then
        return value and "t" or "f", OIDS.boolean
    end
    local metatable = getmetatable(value)
    local serialize = type(metatable) == "table" and metatable.pgmoon_serialize
    if not serialize then
        return nil, "table does not implement pgmoon_serialize, can't serialize"
    end
    local oid, text = serialize(value, client)
    if not oid then
        return nil, text
    end
    return metatable == base and text or quoted(text), 0
end

-- The type OID and the text of an array as a parameter; nil and an error.
function base.pgmoon_serialize(self, client)
    local parts, oid = {}, nil
    for i = 1, #self do
        local text, kind = serialize_value(self[i], client)
        if not text then
            return nil, kind
        end
        parts[i] = text
        oid = oid or kind
    end
    return oid or 0, "{" .. concat(parts, ",") .. "}"
end

-- Decoding --------------------------------------------------------------------------------------

local COMMA, OPEN, CLOSE, QUOTE = 44, 123, 125, 34

local function fail()
    error("failed to parse postgresql array")
end

-- A string in quotes: its text and the position behind it.
local function quoted_element(text, pos)
    local from = pos + 1
    local at = from
    while true do
        at = find(text, '[\\"]', at)
        if not at then
            fail()
        elseif byte(text, at) == QUOTE then
            return (gsub(sub(text, from, at - 1), "\\(.)", "%1")), at + 1
        end
        at = at + 2
    end
end

local decode_values

local function element(text, pos, convert, client, depth)
    local first = byte(text, pos)
    if first == OPEN then
        return decode_values(text, pos, convert, client, depth + 1)
    end
    local value
    if first == QUOTE then
        value, pos = quoted_element(text, pos)
    else
        value = match(text, '^[^",{}%s\\]+', pos)
        if not value then
            fail()
        end
        pos = pos + #value
        if value == "NULL" then
            return client and client.NULL or null, pos
        end
    end
    if convert then
        value = convert(value)
    end
    return value, pos
end

function decode_values(text, pos, convert, client, depth)
    local values, n = setmetatable({}, base), 0
    if depth > MAX_DEPTH or byte(text, pos) ~= OPEN then
        fail()
    end
    pos = pos + 1
    if byte(text, pos) == CLOSE then
        return values, pos + 1
    end
    while true do
        n = n + 1
        values[n], pos = element(text, pos, convert, client, depth)
        local behind = byte(text, pos)
        pos = pos + 1
        if behind == CLOSE then
            return values, pos
        elseif behind ~= COMMA then
            fail()
        end
    end
end

--- The text of an array as a table.
---@param text string as "{1,2,NULL}"
---@param convert? fun(text: string): any for each element
---@param client? table whose NULL stands for NULL
---@return resty.postgres.array values
function _M.decode_array(text, convert, client)
    local from = 1
    if byte(text) == 91 then -- "[0:1]={1,2}": other bounds than usual
        from = (find(text, "=", 1, true) or fail()) + 1
    end
    local values, pos = decode_values(text, from, convert, client, 1)
    if pos ~= #text + 1 then
        fail()
    end
    return values
end

return _M
