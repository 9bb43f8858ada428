--- About the server's processes.

local ffi = require "ffi"

ffi.cdef[[
    int bl_lua_ffi_process_type(void);
    int bl_lua_ffi_master_pid(void);
    void bl_lua_ffi_graceful_exit(void);
]]

local C = ffi.C
local here = require "resty.core.here"
local types = { [0] = "single", [1] = "single", [2] = "master", [3] = "worker" }

local _M = { version = require("resty.core.base").version }

---@return string type "single", "master", "worker"
function _M.type()
    return types[C.bl_lua_ffi_process_type()]
end

---@return integer? pid of the master
function _M.get_master_pid()
    return C.bl_lua_ffi_master_pid()
end

--- This worker serves what it has, and ends.
function _M.signal_graceful_exit()
    C.bl_lua_ffi_graceful_exit()
end

--- bulan has no privileged agent.
---@return nil, string err
function _M.enable_privileged_agent()
    if here.phase ~= 0x80000 then
        return nil, "API disabled in the current context"
    end
    return nil, "not supported"
end

return _M
