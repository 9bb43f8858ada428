--- resty.roundrobin: nodes by turns, as often as they have weight.
--
--     local rr = require("resty.roundrobin"):new { ["10.0.0.1:80"] = 2, ["10.0.0.2:80"] = 1 }
--
--     -- in balancer_by_lua_block
--     assert(balancer.set_current_peer(rr:find()))
--
-- In a round of all weights each node comes as often as it has weight. The first one is chosen at
-- random, so that workers do not all begin with the same. resty.swrr spreads the turns of heavy
-- nodes more evenly. find() takes constant time on average.
--
-- new(nodes) takes weights by id. set(), delete(), incr(), decr() and reinit() are described in
-- resty.balancer.nodes.

local nodes_of = require "resty.balancer.nodes"

local random = math.random

local function gcd(a, b)
    while b ~= 0 do
        a, b = b, a % b
    end
    return a
end

-- Passes over the nodes, each with a level: those of at least that weight have a turn. `at` is where
-- the pass is, and `level` goes down by the weights' common divisor with each.
local function arrange(self)
    local nodes = self.nodes
    local ids = nodes_of.ordered(nodes)
    local weights, divisor = {}, 0
    for i = 1, #ids do
        weights[i] = nodes[ids[i]]
        divisor = gcd(weights[i], divisor)
    end
    self.ids, self.weights, self.divisor = ids, weights, divisor
    self.at, self.level = 0, 0
    if #ids > 0 then
        self.at = random(0, #ids - 1)
        self.level = divisor * random(1, weights[1] / divisor)
    end
end

---@class resty.roundrobin: resty.balancer.nodes
local _M = nodes_of.class(arrange, arrange)
_M._VERSION = "0.05"

--- Whose turn it is.
---@return string? id nil when there are no nodes
function _M.find(self)
    local weights = self.weights
    local at, level = self.at + 1, self.level
    local weight = weights[at]
    if not weight or weight < level then -- those behind it are lighter still
        at = 1
        level = level - self.divisor
        if level <= 0 then
            level = weights[1]
            if not level then
                return nil
            end
        end
    end
    self.at, self.level = at, level
    return self.ids[at]
end

--- The same as find(), for another try.
---@return string? id
_M.next = _M.find

return _M
