--- ngx.process: what the server's processes are, and one more of them.
--
--     -- init_by_lua_block
--     local process = require "ngx.process"
--     assert(process.enable_privileged_agent())
--
--     -- init_worker_by_lua_block: runs in the agent as well, with the rights of the master
--     if process.type() == "privileged agent" then
--         ngx.timer.every(3600, rotate_logs)
--     end
--
-- Errors are nil and a message: "API disabled in the current context".

local ffi = require "ffi"

ffi.cdef[[
    int bl_lua_ffi_process_type(void);
    int bl_lua_ffi_master_pid(void);
    void bl_lua_ffi_graceful_exit(void);
    void bl_lua_ffi_enable_agent(int connections);
]]

local C = ffi.C
local here = require "resty.core.here"
local type = type
local types = { [0] = "single", [1] = "single", [2] = "master", [3] = "worker",
                [4] = "privileged agent" }

local _M = { version = require("resty.core.base").version }

---@return string type "single", "master", "worker", "privileged agent"
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

--- There is to be one more process: of the master's user, with init_worker_by_lua and timers as in
--- workers, but serving nobody. For init_by_lua.
---@param connections? integer at most so many; 512 without it
---@return boolean? ok
---@return string? err
function _M.enable_privileged_agent(connections)
    if here.phase ~= 0x80000 then
        return nil, "API disabled in the current context"
    end
    connections = connections or 512
    if type(connections) ~= "number" or connections < 0 then
        return nil, "bad 'connections' argument: number expected and greater than 0"
    end
    C.bl_lua_ffi_enable_agent(connections)
    return true
end

return _M
