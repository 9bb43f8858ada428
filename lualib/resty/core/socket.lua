--- What of ngx.socket is best said in Lua.

local socket = ngx.socket
local tcp = socket.tcp

--- A socket that is connected already.
---@param ... any what connect takes
---@return table? sock
---@return string? err
function socket.connect(...)
    local sock = tcp()
    local ok, err = sock:connect(...)
    if not ok then
        return nil, err
    end
    return sock
end

return socket
