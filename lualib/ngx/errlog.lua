--- The error log as a program sees it.

local ffi = require "ffi"

ffi.cdef[[
    int bl_lua_ffi_log_level(void);
    void bl_lua_ffi_raw_log(int level, const char *text, size_t len);
]]

local C = ffi.C
local type, error = type, error

local _M = { version = require("resty.core.base").version }

---@return integer level the least important that is written, as ngx.ERR …
function _M.get_sys_filter_level()
    return C.bl_lua_ffi_log_level()
end

--- Writes a line as it is, without file name and line number.
---@param level integer
---@param text string
function _M.raw_log(level, text)
    if type(level) ~= "number" then
        error("bad argument #1 to 'raw_log' (must be a number)", 2)
    elseif type(text) ~= "string" then
        error("bad argument #2 to 'raw_log' (must be a string)", 2)
    elseif level < 0 or level > 8 then
        error("bad log level", 2)
    end
    C.bl_lua_ffi_raw_log(level, text, #text)
end

local needs = "directive \"lua_capture_error_log\" is not set"

---@return nil, string err
function _M.set_filter_level()
    return nil, needs
end

---@return nil, string err
function _M.get_logs()
    return nil, needs
end

return _M
