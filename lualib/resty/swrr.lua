--- resty.swrr: nodes by turns, smoothly: the turns of a heavy node are spread over the round.
--
--     local swrr = require("resty.swrr"):new { a = 5, b = 1, c = 1 }
--     local id = swrr:find()       -- a a b a c a a: not a a a a a b c
--
-- In each turn every node gains its weight, the one that has most is chosen and pays all weights
-- together, as in `upstream` blocks. Weights of the first round are shifted at random, so that
-- workers do not all begin with the same. find() takes time in proportion to the number of nodes.
--
-- new(nodes) takes weights by id. set(), delete(), incr(), decr() and reinit() are described in
-- resty.balancer.nodes.

local nodes_of = require "resty.balancer.nodes"

local random = math.random

local function arrange(self)
    local ids = nodes_of.ordered(self.nodes)
    local weights, current, total = {}, {}, 0
    for i = 1, #ids do
        weights[i] = self.nodes[ids[i]]
        current[i] = 0
        total = total + weights[i]
    end
    self.ids, self.weights, self.current, self.total = ids, weights, current, total
end

-- The first turns are somebody else's.
local function begin(self)
    arrange(self)
    if self.total > 0 then
        for _ = 1, random(0, #self.ids) do
            self:find()
        end
    end
end

---@class resty.swrr: resty.balancer.nodes
local _M = nodes_of.class(begin, arrange)
_M._VERSION = "0.05"

--- Whose turn it is.
---@return string? id nil when there are no nodes
function _M.find(self)
    local weights, current = self.weights, self.current
    local best, most = nil, nil
    for i = 1, #weights do
        local now = current[i] + weights[i]
        current[i] = now
        if not most or now > most then
            best, most = i, now
        end
    end
    if not best then
        return nil
    end
    current[best] = most - self.total
    return self.ids[best]
end

--- The same as find(), for another try.
---@return string? id
_M.next = _M.find

return _M
