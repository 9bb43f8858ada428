--- resty.postgres.hstore: PostgreSQL's type hstore as tables of strings; also
-- `require "pgmoon.hstore"`.
--
--     local encode_hstore = require("resty.postgres.hstore").encode_hstore
--     pg:setup_hstore()                        -- results are decoded from here on
--     pg:query("INSERT INTO t (h) VALUES (" .. encode_hstore { a = "b" } .. ")")
--
-- A key whose value is NULL is not in the table. What is no hstore raises "failed to parse hstore".

local escape = require "resty.postgres.escape"

local byte = string.byte
local concat = table.concat
local error = error
local find = string.find
local gsub = string.gsub
local pairs = pairs
local sub = string.sub
local tostring = tostring

local _M = {}

local function quoted(text)
    return '"' .. gsub(tostring(text), '[\\"]', "\\%0") .. '"'
end

--- A table as a literal of the type hstore for the text of a query.
---@param values table<string, any>
---@param escape_literal? fun(text: string): string
---@return string sql
function _M.encode_hstore(values, escape_literal)
    local parts = {}
    for key, value in pairs(values) do
        parts[#parts + 1] = quoted(key) .. "=>" .. quoted(value)
    end
    return (escape_literal or escape.literal)(concat(parts, ", "))
end

local function fail()
    error("failed to parse hstore")
end

-- A string in quotes that begins at pos: its text and the position behind it.
local function string_at(text, pos)
    if byte(text, pos) ~= 34 then
        fail()
    end
    local at = pos + 1
    while true do
        at = find(text, '[\\"]', at)
        if not at then
            fail()
        elseif byte(text, at) == 34 then
            return (gsub(sub(text, pos + 1, at - 1), "\\(.)", "%1")), at + 1
        end
        at = at + 2
    end
end

--- The text of an hstore as a table.
---@param text string
---@return table<string, string> values
function _M.decode_hstore(text)
    local values, pos = {}, 1
    while pos <= #text do
        local key, value
        key, pos = string_at(text, pos)
        if sub(text, pos, pos + 1) ~= "=>" then
            fail()
        end
        pos = pos + 2
        if sub(text, pos, pos + 3) == "NULL" then
            pos = pos + 4
        else
            value, pos = string_at(text, pos)
        end
        values[key] = value
        if sub(text, pos, pos + 1) == ", " then
            pos = pos + 2
        elseif pos <= #text then
            fail()
        end
    end
    return values
end

return _M
