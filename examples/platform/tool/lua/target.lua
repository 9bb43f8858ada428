local _M = {}

-- "host:port" or "[IPv6]:port"; nil when it is neither.
function _M.parse(text)
    local host, port = text:match("^(%[[%x:.]+%]):(%d+)$")
    if not host then
        host, port = text:match("^([^:%s]+):(%d+)$")
    end
    port = tonumber(port)
    if port and port <= 65535 then
        return host, port
    end
end

return _M
