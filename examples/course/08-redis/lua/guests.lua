-- A guest book in Redis: the newest entry first, of a hundred at most.
local redis = require "resty.redis"

local KEY, MOST = "example:guests", 100

local guests = {}
guests.__index = guests

-- A book, or nil and why not.
function guests.open(host, port)
    local red = redis:new()
    red:set_timeouts(500, 500, 500) -- milliseconds to connect, send, read
    local ok, err = red:connect(host, port)
    if not ok then
        return nil, err
    end
    return setmetatable({ red = red }, guests)
end

-- Two commands, one way there and back: a pipeline. Gives the number of entries.
function guests:sign(text)
    self.red:init_pipeline()
    self.red:lpush(KEY, text)
    self.red:ltrim(KEY, 0, MOST - 1)
    local results, err = self.red:commit_pipeline()
    return results and results[1] or error(err)
end

function guests:latest(count)
    return assert(self.red:lrange(KEY, 0, count - 1))
end

-- The connection is not closed but kept, for the next request: 10 seconds, 16 at most.
function guests:close()
    return self.red:set_keepalive(10000, 16)
end

return guests
