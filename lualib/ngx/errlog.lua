--- ngx.errlog: the error log as a program sees it.
--
--     -- http { lua_capture_error_log 100k; }
--     local errlog = require "ngx.errlog"
--     local ok, err = errlog.set_filter_level(ngx.WARN)          -- what is captured, in init_by_lua
--
--     local res = assert(errlog.get_logs(10))                    -- level, time, text; level, time, …
--     for i = 1, #res, 3 do
--         ngx.say(res[i], " ", res[i + 1], " ", res[i + 2])
--     end
--
-- What is captured is taken out by get_logs(); when the memory is full, the oldest lines go. Errors are nil
-- and a message: 'directive "lua_capture_error_log" is not set'.

local ffi = require "ffi"

ffi.cdef[[
    int bl_lua_ffi_log_level(void);
    void bl_lua_ffi_raw_log(int level, const char *text, size_t len);
    int bl_lua_ffi_errlog_level(int level);
    int bl_lua_ffi_errlog_take(double *time, const char **text, size_t *len);
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

--- Of what is logged from now on, only this level and worse is captured (lua_capture_error_log).
---@param level integer
---@return boolean? ok
---@return string? err
function _M.set_filter_level(level)
    if type(level) ~= "number" then
        return nil, "bad argument #1 to 'set_filter_level' (number expected, got " .. type(level)
                    .. ")"
    end
    if C.bl_lua_ffi_errlog_level(level) ~= 0 then
        return nil, needs
    end
    return true
end

local time_out = ffi.new("double[1]")
local text_out = ffi.new("const char *[1]")
local len_out = ffi.new("size_t[1]")

--- The captured lines, which are taken out: level, time and text of each, one behind the other.
---@param max? integer at most so many lines; 0: all
---@param res? table filled instead of a new one; a nil stands behind the last
---@return table? res
---@return string? err
function _M.get_logs(max, res)
    max = max or 0
    res = res or {}
    local count = 0
    while max <= 0 or count < max do
        local level = C.bl_lua_ffi_errlog_take(time_out, text_out, len_out)
        if level == -2 then
            return nil, needs
        elseif level == -1 then
            break
        end
        res[3 * count + 1] = level
        res[3 * count + 2] = time_out[0]
        res[3 * count + 3] = ffi.string(text_out[0], len_out[0])
        count = count + 1
    end
    res[3 * count + 1] = nil
    return res
end

return _M
