--- resty.swrr: nodes by turns, smoothly: the turns of a heavy node are spread over the round.
--
--     local swrr = require("resty.swrr"):new { a = 5, b = 1, c = 1 }
--     local id = swrr:find()       -- a a b a c a a: not a a a a a b c
--
-- In each turn every node gains its weight, the one that has most is chosen and pays all weights
-- together, as in `upstream` blocks. Weights of the first round are shifted at random, so that
-- workers do not all begin with the same. find() takes time in proportion to the number of nodes.

local nodes_of = require "resty.balancer.nodes"

local random = math.random
local setmetatable = setmetatable

local _M = { _VERSION = "0.05" }

---@class resty.swrr
local mt = { __index = _M }

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

local function replace(self, id, weight)
    if (self.nodes[id] or 0) == weight then
        return
    end
    self.nodes[id] = weight > 0 and weight or nil
    arrange(self)
end

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

local function take(self, nodes)
    self.nodes = nodes
    arrange(self)
    if self.total > 0 then
        for _ = 1, random(0, #self.ids) do
            self:find()
        end
    end
end

--- Takes other nodes instead of those it has.
---@param nodes table<string, integer> weight by id
function _M.reinit(self, nodes)
    take(self, nodes_of.copy(nodes))
end

--- Makes a round of nodes.
---@param nodes table<string, integer> weight by id; those of weight 0 have no part
---@return resty.swrr
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

return _M
