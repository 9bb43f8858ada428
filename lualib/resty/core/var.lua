--- ngx.var. Variables have a number, which is remembered by name; but families ($arg_NAME) have none.

local ffi = require "ffi"
local base = require "resty.core.base"
local no_request = require("resty.core.phase").no_request

ffi.cdef[[
    typedef struct { const char *p; size_t len; } bl_str;
    int bl_lua_ffi_var_number(const char *name, size_t len);
    int bl_lua_ffi_var_get(int number, bl_str *value);
    int bl_lua_ffi_var_get_name(const char *name, size_t len, bl_str *value);
    int bl_lua_ffi_var_get_capture(int n, bl_str *value);
    int bl_lua_ffi_var_set(const char *name, size_t name_len, const char *value, size_t len);
]]

local C = ffi.C
local ngx, setmetatable, type, error, tostring = ngx, setmetatable, type, error, tostring
local ffi_string = ffi.string
local value = ffi.new("bl_str[1]")

local numbers = base.new_tab(0, 32)

local function lookup(name)
    if type(name) == "number" then
        return C.bl_lua_ffi_var_get_capture(name, value)
    elseif type(name) ~= "string" then
        error("bad variable name", 3)
    end
    local number = C.bl_lua_ffi_var_number(name, #name)
    if number >= 0 then
        numbers[name] = number
        return C.bl_lua_ffi_var_get(number, value)
    end
    return C.bl_lua_ffi_var_get_name(name, #name, value)
end

local function get(_, name)
    local number = numbers[name]
    local found
    if number then
        found = C.bl_lua_ffi_var_get(number, value)
    else
        found = lookup(name)
    end
    if found == 1 then
        local text = ffi_string(value[0].p, value[0].len) -- no tail call: traces can't end in one
        return text
    elseif found < 0 then
        no_request(2)
    end
end

local function set(_, name, new)
    if type(name) ~= "string" then
        error("bad variable name", 2)
    end
    local failed
    if new == nil then
        failed = C.bl_lua_ffi_var_set(name, #name, nil, 0)
    else
        if type(new) ~= "string" then
            new = tostring(new)
        end
        failed = C.bl_lua_ffi_var_set(name, #name, new, #new)
    end
    if failed == 0 then
        return
    elseif failed < 0 then
        no_request(2)
    elseif failed == 2 then
        error('variable "' .. name .. '" not changeable', 2)
    end
    error('variable "' .. name .. '" not found for writing; maybe it is a built-in variable that '
          .. 'is not changeable or you forgot to use "set $' .. name
          .. " '';\" in the config file to define it first", 2)
end

ngx.var = setmetatable({}, { __index = get, __newindex = set })
