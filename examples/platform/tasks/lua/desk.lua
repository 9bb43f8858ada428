-- One connection for all requests of a worker. A timer reads the answers, and wakes those who wait for
-- them, in the order in which they have asked.

local semaphore = require "ngx.semaphore"

local _M = {}

local socket
local door = semaphore.new(1) -- one at a time connects and sends
local waiting, first, last = {}, 1, 0

local function everybody_hears(text)
    while first <= last do
        local asker = waiting[first]
        waiting[first], first = nil, first + 1
        asker.answer = text
        asker.ready:post()
    end
end

-- The task that reads: it has no request, and lives as long as the connection.
local function read()
    while true do
        local line, err = socket:receive()
        if not line then
            socket = nil
            return everybody_hears("the desk is closed: " .. err)
        end
        local asker = waiting[first]
        waiting[first], first = nil, first + 1
        asker.answer = line
        asker.ready:post()
    end
end

local function connect(port)
    local new = ngx.socket.tcp { shared = true }
    new:settimeouts(1000, 1000, 86400000)
    local ok, err = new:connect("127.0.0.1", port)
    if not ok then
        return nil, err
    end
    new:send("GET /desk HTTP/1.1\r\nHost: desk\r\n\r\n")
    socket = new
    ngx.timer.at(0, read):name("desk: reading")
    return true
end

local function send(port, question)
    if not socket then
        local ok, err = connect(port)
        if not ok then
            return nil, err
        end
    end
    local asker = { ready = semaphore.new() }
    last = last + 1
    waiting[last] = asker
    local ok, err = socket:send((question:gsub("[\r\n]", " ")) .. "\n")
    return ok and asker, err
end

-- The answer to a question of one line.
function _M.ask(port, question)
    if not door:wait(5) then
        return "the desk is busy"
    end
    local asker, err = send(port, question)
    door:post()
    if not asker then
        return "the desk can't be reached: " .. err
    end
    local ok
    ok, err = asker.ready:wait(5)
    return ok and asker.answer or "no answer: " .. err
end

return _M
