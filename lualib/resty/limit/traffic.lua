--- resty.limit.traffic: several limiters for one request.
--
--     local traffic = require "resty.limit.traffic"
--     local states = {}
--     local delay, err = traffic.combine({ per_host, per_client }, { host, client }, states)
--
-- The delay is the longest one. When a limiter rejects the request, none of them counts it. A
-- limiter is any object with incoming(key, commit) and uncommit(key).

local max = math.max

local _M = { _VERSION = "0.09" }

-- Takes back what the first `n` limiters and the last one have counted.
local function undo(limiters, keys, n)
    for i = 1, n do
        limiters[i]:uncommit(keys[i])
    end
    limiters[#limiters]:uncommit(keys[#limiters])
end

--- Asks all limiters; counts the request when none of them rejects it.
---@param limiters table[]
---@param keys string[] one for each
---@param states? table gets the second result of each limiter
---@return number? delay seconds to wait
---@return string? err "rejected" or another error
function _M.combine(limiters, keys, states)
    local n, longest = #limiters, 0
    -- All but the last one are only asked; when that one is asked, it may count at once.
    for i = 1, n do
        local delay, state = limiters[i]:incoming(keys[i], i == n)
        if not delay then
            return nil, state
        end
        if states then
            states[i] = state
        end
        longest = max(longest, delay)
    end
    for i = 1, n - 1 do
        local delay, err = limiters[i]:incoming(keys[i], true)
        if not delay then
            undo(limiters, keys, i - 1)
            return nil, err
        end
        longest = max(longest, delay)
    end
    return longest
end

return _M
