-- resty.postgres.types: what Lua values the types of PostgreSQL become. Private.
--
--     type OID  --oids-->  name of a deserializer  --deserializers-->  function (client, text, column)
--
-- A client begins with these two tables and gets its own when it changes them.

local arrays = require "resty.postgres.arrays"
local cjson = require "cjson"
local escape = require "resty.postgres.escape"
local hstore = require "resty.postgres.hstore"
local protocol = require "resty.postgres.protocol"

local clone = require "table.clone"
local decode_array = arrays.decode_array
local decode_json = cjson.decode
local format = string.format
local getmetatable = getmetatable
local null = ngx.null
local tonumber = tonumber
local type = type

local _M = {}

_M.oids = {
    [16] = "boolean",
    [17] = "bytea",
    [20] = "number", -- int8
    [21] = "number", -- int2
    [23] = "number", -- int4
    [700] = "number", -- float4
    [701] = "number", -- float8
    [1700] = "number", -- numeric
    [114] = "json",
    [3802] = "json", -- jsonb
    [1000] = "array_boolean",
    [1005] = "array_number",
    [1007] = "array_number",
    [1016] = "array_number",
    [1021] = "array_number",
    [1022] = "array_number",
    [1231] = "array_number",
    [1002] = "array_string", -- char
    [1009] = "array_string", -- text
    [1014] = "array_string", -- bpchar
    [1015] = "array_string", -- varchar
    [1041] = "array_string", -- inet
    [2951] = "array_string", -- uuid
    [199] = "array_json",
    [3807] = "array_json", -- jsonb
}

local function number(_, text)
    return tonumber(text) or text
end

local function is_true(text)
    return text == "t"
end

_M.deserializers = {
    string = function(_, text)
        return text
    end,
    number = number,
    boolean = function(_, text)
        return text == "t"
    end,
    bytea = function(_, text)
        return escape.decode_bytea(text)
    end,
    json = function(_, text)
        return decode_json(text)
    end,
    hstore = function(_, text)
        return hstore.decode_hstore(text)
    end,
    array_boolean = function(client, text)
        return decode_array(text, is_true, client)
    end,
    array_number = function(client, text)
        return decode_array(text, tonumber, client)
    end,
    array_string = function(client, text)
        return decode_array(text, nil, client)
    end,
    array_json = function(client, text)
        return decode_array(text, decode_json, client)
    end,
}

-- Completes a row description with what a row's parser needs.
function _M.prepare(columns, client)
    local kinds, calls, template = {}, {}, {}
    for i = 1, columns.count do
        local name = client.PG_TYPES[columns.oids[i]]
        local call = name and client.type_deserializers[name]
        calls[i] = call or false
        kinds[i] = not call and protocol.TEXT or call == number and protocol.NUMBER or protocol.CALL
        template[columns.names[i]] = false
    end
    columns.kinds, columns.calls, columns.template = kinds, calls, template
    columns.null = client.convert_null and client.NULL or nil
    return columns
end

-- The type OID of a parameter and its text, false for NULL; nil and an error.
function _M.serialize(value, client)
    local kind = type(value)
    if value == nil or value == null or value == client.NULL then
        return 0, false
    elseif kind == "string" then
        return 25, value
    elseif kind == "boolean" then
        return 16, value and "t" or "f"
    elseif kind == "number" then
        if client.config.integers and value % 1 == 0 and value > -2 ^ 53 and value < 2 ^ 53 then
            return 20, format("%d", value)
        end
        return 1700, escape.number(value)
    elseif kind ~= "table" then
        return nil, "don't know how to serialize type " .. kind
    end
    local metatable = getmetatable(value)
    local serialize = type(metatable) == "table" and metatable.pgmoon_serialize
    if not serialize then
        return nil, "table does not implement pgmoon_serialize, can't serialize"
    end
    return serialize(value, client)
end

-- A client's own copies, to be changed.
function _M.own(client)
    if client.PG_TYPES == _M.oids then
        client.PG_TYPES = clone(_M.oids)
        client.type_deserializers = clone(_M.deserializers)
    end
end

return _M
