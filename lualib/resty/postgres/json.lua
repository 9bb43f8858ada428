--- resty.postgres.json: JSON for PostgreSQL's types json and jsonb; also `require "pgmoon.json"`.
--
--     local encode_json = require("resty.postgres.json").encode_json
--     pg:query("INSERT INTO t (doc) VALUES (" .. encode_json { a = 1 } .. ")")
--
-- Values in results are decoded already. What is no JSON raises an error, as cjson does.

local cjson = require "cjson"
local escape = require "resty.postgres.escape"

local _M = {}

--- A table as a literal of JSON for the text of a query.
---@param value any
---@param escape_literal? fun(text: string): string
---@return string sql
function _M.encode_json(value, escape_literal)
    return (escape_literal or escape.literal)(cjson.encode(value))
end

--- The value of a text of JSON.
---@param text string
---@return any value
function _M.decode_json(text)
    return cjson.decode(text)
end

return _M
