--- ngx.say and ngx.print: strings and numbers go to the output buffer through the FFI, everything
-- else is the C functions' business.

local ffi = require "ffi"
local C = ffi.C

ffi.cdef[[
    int bl_lua_ffi_room(size_t len);
    void bl_lua_ffi_put(const char *text, size_t len);
    int bl_lua_ffi_say(const char *text, size_t len, int newline);
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
---@return integer? ok, string? err
function ngx.say(...)
    local count = select("#", ...)
    if count == 1 then
        local text = text_of((...))
        if text and C.bl_lua_ffi_say(text, #text, 1) == 0 then
            return 1
        end
    elseif count > 1 and count < 5 and put_some(count, 1, ...) then
        return 1
    end
    return say(...)
end

---@param ... any text, or arrays of it
---@return integer? ok, string? err
function ngx.print(...)
    local count = select("#", ...)
    if count == 1 then
        local text = text_of((...))
        if text and C.bl_lua_ffi_say(text, #text, 0) == 0 then
            return 1
        end
    elseif count > 1 and count < 5 and put_some(count, 0, ...) then
        return 1
    end
    return print(...)
end
