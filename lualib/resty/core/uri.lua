--- ngx.escape_uri, unescape_uri, encode_args, decode_args, quote_sql_str.

local ffi = require "ffi"
local base = require "resty.core.base"

local C = ffi.C
local ffi_string = ffi.string
local get_string_buf = base.get_string_buf
local new_tab = base.new_tab
local type = type
local tostring = tostring
local error = error
local pairs = pairs
local ipairs = ipairs
local find = string.find
local sub = string.sub
local concat = table.concat
local getinfo = debug.getinfo
local ngx = ngx

ffi.cdef [[
size_t bl_lua_escape_uri(char *to, const char *s, size_t len, int type);
size_t bl_lua_unescape_uri(char *to, const char *s, size_t len);
size_t bl_lua_quote_sql(char *to, const char *s, size_t len);
]]

local function text_of(value)
    if type(value) == "string" then
        return value
    end
    if value == nil then
        return ""
    end
    return tostring(value)
end

---@param s string
---@param kind? integer 0: as a URI, 1: as arguments, 2: as a component (default), 3 … 6: for HTML,
--- a refresh field, memcached, mail
---@return string
function ngx.escape_uri(s, kind)
    s = text_of(s)
    if kind ~= nil then
        if type(kind) ~= "number" then
            error('"type" is not a number', 3)
        end
        if not (kind >= 0 and kind <= 6) then
            error('"type" ' .. kind .. ' out of range', 3)
        end
    end
    if not find(s, "[^%w%-%._~]") then
        return s
    end
    local buffer = get_string_buf(#s * 3)
    return ffi_string(buffer, C.bl_lua_escape_uri(buffer, s, #s, kind or 2))
end

---@param s string
---@return string
function ngx.unescape_uri(s)
    s = text_of(s)
    if not find(s, "[%%+]") then
        return s
    end
    local buffer = get_string_buf(#s)
    return ffi_string(buffer, C.bl_lua_unescape_uri(buffer, s, #s))
end

---@param s string
---@return string
function ngx.quote_sql_str(s)
    s = text_of(s)
    local buffer = get_string_buf(#s * 2 + 2)
    return ffi_string(buffer, C.bl_lua_quote_sql(buffer, s, #s))
end

-- ---------------------------------------------------------------- arguments

local escape = ngx.escape_uri
local unescape = ngx.unescape_uri

local function add_arg(out, n, key, value)
    local kind = type(value)
    if kind == "boolean" then
        if not value then
            return n
        end
        out[n + 1] = key
        return n + 1
    end
    if kind == "string" or kind == "number" then
        out[n + 1] = key .. "=" .. escape(value)
        return n + 1
    end
    error("attempt to use " .. (kind == "cdata" and "userdata" or kind) .. " as query arg value", 0)
end

---@param args table
---@return string
function ngx.encode_args(args)
    if type(args) ~= "table" then
        local name = getinfo(1, "n").name or "?"
        error("bad argument #1 to '" .. name .. "' (table expected, got " .. type(args) .. ")", 2)
    end
    local out, n = {}, 0
    for key, value in pairs(args) do
        if type(key) ~= "string" then
            error("attempt to use a non-string key in the \"args\" option table", 0)
        end
        key = escape(key)
        if type(value) == "table" then
            for _, one in ipairs(value) do
                n = add_arg(out, n, key, one)
            end
        else
            n = add_arg(out, n, key, value)
        end
    end
    return concat(out, "&")
end

-- "a=1&b" into res; the count of what was there beyond `max` is cut off.
local function decode(s, max, res)
    local pos, len, count = 1, #s, 0
    while pos <= len do
        local amp = find(s, "&", pos, true) or len + 1
        if amp > pos then
            local equals = find(s, "=", pos, true)
            local key, value
            if equals and equals < amp then
                key, value = unescape(sub(s, pos, equals - 1)), unescape(sub(s, equals + 1, amp - 1))
            else
                key, value = unescape(sub(s, pos, amp - 1)), true
            end
            if #key > 0 then
                if max > 0 and count == max then
                    return res, "truncated"
                end
                count = count + 1
                local before = res[key]
                if before == nil then
                    res[key] = value
                elseif type(before) == "table" then
                    before[#before + 1] = value
                else
                    res[key] = {before, value}
                end
            end
        end
        pos = amp + 1
    end
    return res
end

---@param s string
---@param max? integer 100 without it, 0: all
---@param res? table filled instead of a new table
---@return table args
---@return string? err "truncated"
function ngx.decode_args(s, max, res)
    if max and max < 0 then
        max = 0
    end
    return decode(text_of(s), max or 100, res or new_tab(0, 4))
end

return {version = base.version}
