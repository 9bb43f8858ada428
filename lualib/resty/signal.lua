--- resty.signal: signals to processes, by name or number.
--
--     local signal = require "resty.signal"
--     local ok, err = signal.kill(pid, "TERM")
--     local number = signal.signum("HUP")       -- 1
--
-- Names are those of the system without "SIG"; "NONE" is 0, which only asks whether the process is
-- there. Errors are the system's: "No such process", "Operation not permitted", "Invalid argument".

local ffi = require "ffi"

local C, errno, ffi_string = ffi.C, ffi.errno, ffi.string
local type, error, ipairs = type, error, ipairs
local floor = math.floor

ffi.cdef [[
    int kill(int pid, int sig);
    char *strerror(int errnum);
]]

local LINUX = {
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
    "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO",
    "PWR", "SYS",
}
local BSD = {
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "EMT", "FPE", "KILL", "BUS", "SEGV", "SYS", "PIPE", "ALRM", "TERM",
    "URG", "STOP", "TSTP", "CONT", "CHLD", "TTIN", "TTOU", "IO", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "INFO",
    "USR1", "USR2",
}

local numbers = { NONE = 0 }
for number, name in ipairs(ffi.os == "Linux" and LINUX or BSD) do
    numbers[name] = number
end

local INT_MAX = 2147483647

local _M = { version = 0.04 }

--- The number of a signal on this system.
---@param name string|integer "TERM", … A number is returned as it is.
---@return integer? number nil for a name that is not known
function _M.signum(name)
    if type(name) == "number" then
        return name
    end
    return numbers[name]
end

--- Sends a signal.
---@param pid integer of the process; below zero: all of a process group
---@param signal string|integer name or number
---@return boolean? ok
---@return string? err
function _M.kill(pid, signal)
    if type(pid) ~= "number" or pid ~= floor(pid) then
        error("bad pid argument: integer expected, got " .. type(pid), 2)
    elseif pid < -INT_MAX or pid > INT_MAX then
        return nil, "No such process" -- as an int it would be another, or all of them
    end
    local number = _M.signum(signal)
    if not number then
        return nil, "unknown signal name"
    end
    if C.kill(pid, number) == 0 then
        return true
    end
    return nil, ffi_string(C.strerror(errno()))
end

return _M
