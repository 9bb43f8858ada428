--- What runs now, as the scheduler (src/lua/task.h) tells it: the fields of bl_lua_now.

local ffi = require "ffi"

ffi.cdef[[
    typedef struct bl_request bl_request;
    typedef struct {
        void *task;
        bl_request *request;
        uint32_t phase;
        int pending;
        void *vm;
    } bl_lua_here;
    extern bl_lua_here bl_lua_now;
]]

return ffi.C.bl_lua_now
