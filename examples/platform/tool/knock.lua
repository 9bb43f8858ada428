-- Knocks at several doors at once: bulan run -I lua knock.lua HOST:PORT ...
local target = require "target"

if #arg == 0 then
    print("usage: bulan run -I lua " .. arg[0] .. " HOST:PORT ...")
    os.exit(2)
end

local function knock(text)
    local host, port = target.parse(text)
    if not host then
        return text .. " is no HOST:PORT"
    end
    local socket = ngx.socket.tcp()
    socket:settimeout(2000)
    local ok, err = socket:connect(host, port)
    return text .. (ok and " is open" or ": " .. err)
end

local threads = {}
for i, text in ipairs(arg) do
    threads[i] = ngx.thread.spawn(knock, text) -- all connect at the same time
end
for _, thread in ipairs(threads) do
    print(select(2, ngx.thread.wait(thread)))
end
