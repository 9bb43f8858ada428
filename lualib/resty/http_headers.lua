--- A table of header fields whose names may be written in any case.
--
--     local headers = require("resty.http_headers").new()
--     headers["Content-Type"] = "text/html"
--     ngx.say(headers["content-type"], headers.content_type)    -- the same
--
-- A field keeps the spelling it was first set with; pairs() shows that one. An underscore stands
-- for a dash where no field with an underscore is there.

local find = string.find
local getmetatable = getmetatable
local gsub = string.gsub
local lower = string.lower
local rawget = rawget
local rawset = rawset
local setmetatable = setmetatable
local type = type

local _M = { _VERSION = "0.17" }

-- The spelling that the table has for a name, or nil. Each table's metatable lists its own.
local function spelling(self, name)
    local names = getmetatable(self).names
    name = lower(name)
    local found = names[name]
    if not found and find(name, "_", 1, true) then
        found = names[(gsub(name, "_", "-"))]
    end
    return found
end

local function get(self, name)
    if type(name) ~= "string" then
        return nil
    end
    local found = spelling(self, name)
    return found and rawget(self, found)
end

local function set(self, name, value)
    local found = type(name) == "string" and spelling(self, name)
    if found then
        rawset(self, found, value)
        return
    end
    if type(name) == "string" then
        getmetatable(self).names[lower(name)] = name
    end
    rawset(self, name, value)
end

--- Makes an empty table of fields.
---@return table<string, string|string[]> headers
function _M.new()
    return setmetatable({}, { __index = get, __newindex = set, names = {} })
end

--- Adds a field; the values of one that is there already become a list.
---@param headers table made by new()
---@param name string
---@param value string
function _M.add(headers, name, value)
    local known = headers[name]
    if known == nil then
        headers[name] = value
    elseif type(known) == "table" then
        known[#known + 1] = value
    else
        headers[name] = { known, value }
    end
end

return _M
