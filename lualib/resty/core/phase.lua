--- ngx.get_phase, and the checks that API functions written in Lua make.

local here = require "resty.core.here"
local ngx = ngx
local error = error

local words = {
    [0] = "init",
    [0x1] = "set", [0x2] = "rewrite", [0x4] = "access", [0x8] = "content", [0x10] = "log",
    [0x20] = "header_filter", [0x40] = "body_filter", [0x80] = "timer", [0x100] = "init_worker",
    [0x200] = "balancer", [0x400] = "ssl_cert", [0x800] = "ssl_session_store",
    [0x1000] = "ssl_session_fetch", [0x2000] = "exit_worker", [0x4000] = "ssl_client_hello",
    [0x8000] = "server_rewrite", [0x10000] = "proxy_ssl_verify", [0x20000] = "precontent",
    [0x40000] = "proxy_ssl_cert", [0x80000] = "init",
}

---@return string phase "init", "access", "timer" …
function ngx.get_phase()
    return words[here.phase]
end

---@return integer phase the phase as a bit
function ngx.get_raw_phase()
    return here.phase
end

-- For libraries: the phase as a bit, nothing where there is none.
function ngx._phase_ctx()
    if here.phase ~= 0 then
        return here.phase
    end
end

--- Raises the error of a function that needs a request and has none.
---@param level integer of the stack, as for error(), counted from the caller
local function no_request(level)
    if here.phase == 0 or here.phase == 0x80000 then
        error("no request found", level + 1)
    end
    error("API disabled in the current context", level + 1)
end

return { no_request = no_request, words = words }
