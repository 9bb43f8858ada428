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

local nodes_of = require "resty.balancer.nodes"

local random = math.random
local setmetatable = setmetatable

local _M = { _VERSION = "0.05" }

---@class resty.roundrobin
local mt = { __index = _M }

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

local function replace(self, id, weight)
    if (self.nodes[id] or 0) == weight then
        return
    end
    self.nodes[id] = weight > 0 and weight or nil
    arrange(self)
end

local function take(self, nodes)
    self.nodes = nodes
    arrange(self)
end

--- Takes other nodes instead of those it has.
---@param nodes table<string, integer> weight by id
function _M.reinit(self, nodes)
    take(self, nodes_of.copy(nodes))
end

--- Makes a round of nodes.
---@param nodes table<string, integer> weight by id; those of weight 0 have no part
---@return resty.roundrobin
function _M.new(_, nodes)
    local self = setmetatable({}, mt)
    take(self, nodes_of.copy(nodes))
    return self
end

--- Sets the weight of a node, which may be a new one.
---@param id string
---@param weight integer 0: the node goes
function _M.set(self, id, weight)
    replace(self, id, nodes_of.weight(weight))
end

--- Takes a node out.
---@param id string
function _M.delete(self, id)
    replace(self, id, 0)
end

--- Makes a node heavier; one that is not there is added.
---@param id string
---@param weight? integer by how much; 1
function _M.incr(self, id, weight)
    replace(self, id, nodes_of.changed(self.nodes, id, weight, 1))
end

--- Makes a node lighter; without weight left it is taken out.
---@param id string
---@param weight? integer by how much; 1
function _M.decr(self, id, weight)
    replace(self, id, nodes_of.changed(self.nodes, id, weight, -1))
end

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
