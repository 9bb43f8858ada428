--- ngx.now, time, update_time, today, localtime, utctime, http_time, cookie_time, parse_http_time.
-- The clock is the event loop's: read once a turn, or by ngx.update_time.

local ffi = require "ffi"
local base = require "resty.core.base"

local C = ffi.C
local ffi_string = ffi.string
local type = type
local error = error
local tonumber = tonumber
local ngx = ngx

ffi.cdef [[
double bl_lua_now_seconds(void);
double bl_lua_time_seconds(void);
double bl_lua_monotonic_ms(void);
void bl_lua_update_time(void);
void bl_lua_local_time(char *to);
void bl_lua_utc_time(char *to);
size_t bl_lua_http_time(char *to, double t);
size_t bl_lua_cookie_time(char *to, double t);
double bl_lua_parse_http_time(const char *s, size_t len);
]]

local text = ffi.new("char[32]")

local _M = {version = base.version}

---@return number seconds with milliseconds
function ngx.now()
    return C.bl_lua_now_seconds()
end

---@return integer
function ngx.time()
    return C.bl_lua_time_seconds()
end

function ngx.update_time()
    C.bl_lua_update_time()
end

---@return string "2026-11-22", local
function ngx.today()
    C.bl_lua_local_time(text)
    return ffi_string(text, 10)
end

---@return string "2026-11-22 12:00:00", local
function ngx.localtime()
    C.bl_lua_local_time(text)
    return ffi_string(text, 19)
end

---@return string "2026-11-22 12:00:00", UTC
function ngx.utctime()
    C.bl_lua_utc_time(text)
    return ffi_string(text, 19)
end

local function seconds_of(sec)
    if type(sec) ~= "number" then
        error("number argument only", 3)
    end
    return sec
end

---@param sec number
---@return string
function ngx.http_time(sec)
    sec = seconds_of(sec)
    return ffi_string(text, C.bl_lua_http_time(text, sec))
end

---@param sec number
---@return string
function ngx.cookie_time(sec)
    sec = seconds_of(sec)
    return ffi_string(text, C.bl_lua_cookie_time(text, sec))
end

---@param s string
---@return integer|nil
function ngx.parse_http_time(s)
    if type(s) ~= "string" then
        error("string argument only", 2)
    end
    local t = C.bl_lua_parse_http_time(s, #s)
    if t == -1 then
        return nil
    end
    return tonumber(t)
end

---@return number ms
function _M.monotonic_msec()
    return C.bl_lua_monotonic_ms()
end

---@return number seconds
function _M.monotonic_time()
    return C.bl_lua_monotonic_ms() / 1000
end

return _M
