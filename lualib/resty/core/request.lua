--- ngx.req.get_headers and get_uri_args for the usual case: the tables are made by compiled code from
-- what C hands over in one call. Everything unusual is the C functions' business.

local ffi = require "ffi"
local base = require "resty.core.base"

local C = ffi.C
local ffi_string = ffi.string
local new_tab = base.new_tab
local type = type
local rawget = rawget
local setmetatable = setmetatable
local lower = string.lower
local gsub = string.gsub
local ngx = ngx
local req = ngx.req

ffi.cdef [[
typedef struct {
    const char *key, *value;
    int key_len, value_len, id;
} bl_lua_pair;
int bl_lua_request_fields(bl_lua_pair *to, int max);
int bl_lua_request_args(bl_lua_pair *to, int max);
]]

local MAX = 100
local pairs_out = ffi.new("bl_lua_pair[?]", MAX)

local slow_headers, slow_args = req.get_headers, req.get_uri_args

-- h.user_agent and h["User-Agent"] find what stands at "user-agent".
local index = {
    __index = function(fields, name)
        if type(name) == "string" then
            return rawget(fields, (gsub(lower(name), "_", "-")))
        end
    end,
}

-- Names of the fields that the server knows, by their number.
local known = {}

local function known_name(pair)
    local name = lower(ffi_string(pair.key, pair.key_len))
    known[pair.id] = name
    return name
end

local function add(res, key, value)
    local before = rawget(res, key)
    if before == nil then
        res[key] = value
    elseif type(before) == "table" then
        before[#before + 1] = value
    else
        res[key] = {before, value}
    end
end

---@param max? integer 100 without it, 0: all
---@param raw? boolean names as they came
---@return table<string, string|string[]> headers
---@return string? err "truncated"
function req.get_headers(max, raw)
    if raw or max then
        return slow_headers(max, raw)
    end
    local count = C.bl_lua_request_fields(pairs_out, MAX)
    if count < 0 then
        return slow_headers(max, raw)
    end
    local res = new_tab(0, count)
    for i = 0, count - 1 do
        local pair = pairs_out[i]
        local id = pair.id
        local key
        if id > 0 then
            key = known[id] or known_name(pair)
        else
            key = ffi_string(pair.key, pair.key_len)
        end
        add(res, key, ffi_string(pair.value, pair.value_len))
    end
    return setmetatable(res, index)
end

---@param max? integer 100 without it, 0: all
---@param tab? table filled instead of a new table
---@return table<string, string|boolean|(string|boolean)[]> args
---@return string? err "truncated"
function req.get_uri_args(max, tab)
    if max or tab then
        return slow_args(max, tab)
    end
    local count = C.bl_lua_request_args(pairs_out, MAX)
    if count < 0 then
        return slow_args(max, tab)
    end
    local res = new_tab(0, count)
    for i = 0, count - 1 do
        local pair = pairs_out[i]
        local value = true
        if pair.value_len >= 0 then
            value = ffi_string(pair.value, pair.value_len)
        end
        add(res, ffi_string(pair.key, pair.key_len), value)
    end
    return res
end

return {version = base.version}
