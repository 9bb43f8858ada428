--- ngx.req.get_headers, ngx.resp.get_headers, ngx.req.get_uri_args: what the C functions return; fields
-- are found in any spelling, and clients that repeat themselves get a clone of what was made before.

local ffi = require "ffi"
local base = require "resty.core.base"
local here = require "resty.core.here"
local no_request = require("resty.core.phase").no_request
local clone = require "table.clone"

local C = ffi.C
local type, tostring = type, tostring
local rawget = rawget
local setmetatable = setmetatable
local lower = string.lower
local gsub = string.gsub
local ngx = ngx
local req, resp = ngx.req, ngx.resp

ffi.cdef [[
int bl_lua_fields_known(void);
int bl_lua_args_known(void);
]]

-- Tables that are remembered, by the numbers that C gives them (src/lua/api/fields.h).
local known_fields, known_args = package.loaded["bulan.fields"], package.loaded["bulan.args"]

-- Names as programs spell them: as they are in tables. Programs know few, but a client may have an
-- influence on what they ask for.
local spellings, count = {}, 0
local SPELLINGS_MAX = 1000

local function respell(name)
    local spelling = gsub(lower(name), "_", "-")
    if count < SPELLINGS_MAX then
        count = count + 1
        spellings[name] = spelling
    end
    return spelling
end

-- h.user_agent and h["User-Agent"] find what stands at "user-agent".
local any_spelling = {
    __index = function(fields, name)
        if type(name) == "string" then
            local spelling = spellings[name] or respell(name)
            local value = rawget(fields, spelling)
            if value == nil and spelling ~= name then -- underscores_in_headers on
                value = rawget(fields, lower(name))
            end
            return value
        elseif type(name) == "number" then
            return rawget(fields, tostring(name))
        end
    end,
}

-- No call of a built-in function here is a tail call: traces can't end in one.
local function respelled(get)
    return function(max, raw)
        if here.request == nil then
            no_request(2)
        end
        local fields, err = get(max, raw)
        if not raw then
            setmetatable(fields, any_spelling)
        end
        if err then
            return fields, err
        end
        return fields
    end
end

resp.get_headers = respelled(resp.get_headers)
local get_headers = respelled(req.get_headers)

---@param max? integer 100 without it, 0: all
---@param raw? boolean names as they came
---@return table<string, string|string[]> headers
---@return string? err "truncated"
function req.get_headers(max, raw)
    if here.request == nil then
        no_request(2)
    end
    if not max and not raw then
        local number = C.bl_lua_fields_known()
        if number > 0 then
            local fields = clone(known_fields[number])
            setmetatable(fields, any_spelling)
            return fields
        end
    end
    return get_headers(max, raw)
end

local get_uri_args = req.get_uri_args

---@param max? integer 100 without it, 0: all
---@param tab? table filled instead of a new table
---@return table<string, string|boolean|(string|boolean)[]> args
---@return string? err "truncated"
function req.get_uri_args(max, tab)
    if here.request == nil then
        no_request(2)
    end
    if not max and not tab then
        local number = C.bl_lua_args_known()
        if number > 0 then
            local args = clone(known_args[number])
            return args
        elseif number < 0 then
            return {}
        end
    end
    local args, err = get_uri_args(max, tab)
    if err then
        return args, err
    end
    return args
end

return {version = base.version}
