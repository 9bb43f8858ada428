-- Functions of libc: declared, then called. What is in the program already is in ffi.C.
local ffi = require "ffi"

-- The lines of C's headers, without their macros: the compiler checks nothing here. A type that is
-- wrong is no error but a crash, or a wrong number.
ffi.cdef [[
    int getpid(void);

    struct course_timespec { long tv_sec; long tv_nsec; };
    int clock_gettime(int clock, struct course_timespec *now);
]]

local CLOCK_BOOTTIME = 7 -- a macro in <time.h>

-- Allocated once and used again: nobody else can come in between, since nothing here waits.
local now = ffi.new("struct course_timespec")

local libc = {}

function libc.pid()
    return ffi.C.getpid()
end

-- Seconds since the machine was started; nil and an error number.
function libc.uptime()
    if ffi.C.clock_gettime(CLOCK_BOOTTIME, now) ~= 0 then
        return nil, ffi.errno()
    end
    -- A C long is a 64-bit cdata in Lua; a clock's seconds fit into a number.
    return tonumber(now.tv_sec) + tonumber(now.tv_nsec) / 1e9
end

return libc
