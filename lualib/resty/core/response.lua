--- ngx.say and ngx.print: strings and numbers go to the output buffer through the FFI, everything
-- else is the C functions' business.

local ffi = require "ffi"
local C = ffi.C

ffi.cdef[[
    int bl_lua_ffi_room(size_t len);
    void bl_lua_ffi_put(const char *text, size_t len);
    int bl_lua_ffi_say(const char *text, size_t len, int newline);
    int bl_lua_ffi_say_number(double n, int newline);
]]

local ngx = ngx
local select, type, tostring = select, type, tostring
local say, print = ngx.say, ngx.print

local function text_of(value)
    local kind = type(value)
    if kind == "string" then
        return value
    end
    return kind == "number" and tostring(value)
end

-- One value; false: not to be done here.
local function put_one(value, newline)
    local kind = type(value)
    if kind == "number" then
        if C.bl_lua_ffi_say_number(value, newline) == 0 then
            return true
        end
        value = tostring(value)
    elseif kind ~= "string" then
        return false
    end
    return C.bl_lua_ffi_say(value, #value, newline) == 0
end

-- Two to four values; false: not to be done here.
local function put_some(count, newline, a, b, c, d)
    a, b = text_of(a), text_of(b)
    if not a or not b then
        return false
    end
    c = count < 3 and "" or text_of(c)
    d = count < 4 and "" or text_of(d)
    if not c or not d or C.bl_lua_ffi_room(#a + #b + #c + #d + newline) ~= 0 then
        return false
    end
    C.bl_lua_ffi_put(a, #a)
    C.bl_lua_ffi_put(b, #b)
    if count > 2 then
        C.bl_lua_ffi_put(c, #c)
    end
    if count > 3 then
        C.bl_lua_ffi_put(d, #d)
    end
    if newline == 1 then
        C.bl_lua_ffi_put("\n", 1)
    end
    return true
end

---@param ... any text, or arrays of it
---@return integer? ok
---@return string? err
function ngx.say(...)
    local count = select("#", ...)
    local a, b, c, d = ...
    if count == 1 then
        if put_one(a, 1) then
            return 1
        end
    elseif count > 1 and count < 5 and put_some(count, 1, a, b, c, d) then
        return 1
    end
    return say(...)
end

---@param ... any text, or arrays of it
---@return integer? ok
---@return string? err
function ngx.print(...)
    local count = select("#", ...)
    local a, b, c, d = ...
    if count == 1 then
        if put_one(a, 0) then
            return 1
        end
    elseif count > 1 and count < 5 and put_some(count, 0, a, b, c, d) then
        return 1
    end
    return print(...)
end

-- ngx.header

ffi.cdef[[
    int bl_lua_ffi_header_get(const char *name, size_t len, bl_str *value);
    int bl_lua_ffi_header_name(const char *name, size_t len);
    int bl_lua_ffi_header_put(int name, const char *value, size_t len, int append);
    int bl_lua_ffi_header_set(const char *name, size_t name_len, const char *value, size_t len,
                              int append);
    int bl_lua_ffi_transform_underscores(void);
]]

local here = require "resty.core.here"
local no_request = require("resty.core.phase").no_request
local get_all = ngx.header
local value = ffi.new("bl_str[1]")
local ffi_string = ffi.string
local gsub, error, setmetatable = string.gsub, error, setmetatable

-- Names with dashes for underscores, remembered: programs have few, but clients may think of many.
local dashed, dashed_count = {}, 0

local function dash(name)
    local with_dashes = gsub(name, "_", "-")
    if dashed_count < 1000 then
        dashed_count = dashed_count + 1
        dashed[name] = with_dashes
    end
    return with_dashes
end

local function field_name(name)
    if type(name) ~= "string" then
        name = tostring(name)
    end
    local with_dashes = dashed[name] or dash(name)
    if with_dashes ~= name and C.bl_lua_ffi_transform_underscores() ~= 1 then
        return name
    end
    return with_dashes
end

local BAD_VALUE = 3

-- Numbers of names that were set before, as C knows them.
local numbers = {}

local function number_of(name)
    local number = C.bl_lua_ffi_header_name(name, #name)
    if number >= 0 then
        numbers[name] = number
        return number
    end
end

-- What C functions return is put into a local first: traces can't end in a tail call.
local function set(name, new, append)
    local number = numbers[name] or number_of(name)
    local text, len = new, 0
    if new ~= nil then
        if type(new) ~= "string" then
            text = tostring(new)
        end
        len = #text
    end
    local failed
    if number then
        failed = C.bl_lua_ffi_header_put(number, text, len, append)
    else
        failed = C.bl_lua_ffi_header_set(name, #name, text, len, append)
    end
    if failed == BAD_VALUE then
        error("failed to set header " .. name .. ': invalid value "' .. text .. '"', 3)
    end
    return failed
end

local function set_all(name, values)
    set(name, nil, 0)
    for i = 1, #values do
        set(name, values[i], 1)
    end
end

ngx.header = setmetatable({}, {
    __index = function(_, name)
        if here.request == nil then
            no_request(2)
        end
        name = field_name(name)
        local count = C.bl_lua_ffi_header_get(name, #name, value)
        if count == 1 then
            local text = ffi_string(value[0].p, value[0].len)
            return text
        elseif count > 1 then
            return get_all(name)
        end
    end,
    __newindex = function(_, name, new)
        if here.request == nil then
            no_request(2)
        end
        name = field_name(name)
        if type(new) == "table" then
            set_all(name, new)
        else
            set(name, new, 0)
        end
    end,
})

return { set_header = set }
