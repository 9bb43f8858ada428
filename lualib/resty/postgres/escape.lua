-- resty.postgres.escape: values as parts of a query's text. Private: methods of a client are made of
-- these.

local null = require "resty.postgres.null"

local byte = string.byte
local char = string.char
local error = error
local find = string.find
local format = string.format
local gsub = string.gsub
local ngx_null = ngx.null
local sub = string.sub
local tonumber = tonumber
local tostring = tostring
local type = type

local _M = {}

-- A number with all its digits.
function _M.number(value)
    local text = tostring(value)
    return tonumber(text) == value and text or format("%.17g", value)
end

-- A value as a literal.
function _M.literal(value)
    local kind = type(value)
    if kind == "string" then
        return "'" .. gsub(value, "'", "''") .. "'"
    elseif kind == "number" then
        return _M.number(value)
    elseif kind == "boolean" then
        return value and "TRUE" or "FALSE"
    elseif value == null or value == ngx_null then
        return "NULL"
    end
    return error("don't know how to escape value: " .. tostring(value))
end

-- A name of a table or column.
function _M.identifier(name)
    return '"' .. gsub(tostring(name), '"', '""') .. '"'
end

local function hex_of(char_)
    return format("%02x", byte(char_))
end

-- Bytes as a literal of the type bytea.
function _M.bytea(bytes)
    return "E'\\\\x" .. gsub(bytes, ".", hex_of) .. "'"
end

local function of_hex(digits)
    return char(tonumber(digits, 16))
end

local function of_octal(digits)
    return char(tonumber(digits, 8))
end

-- What the server writes for a bytea, in either of its formats.
function _M.decode_bytea(text)
    if sub(text, 1, 2) == "\\x" then
        return (gsub(sub(text, 3), "(%x%x)", of_hex))
    elseif not find(text, "\\", 1, true) then
        return text
    end
    return (gsub(gsub(text, "\\\\", "\\134"), "\\([0-3][0-7][0-7])", of_octal))
end

return _M
