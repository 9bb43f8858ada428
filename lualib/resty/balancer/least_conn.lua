--- resty.balancer.least_conn: the node with the fewest requests under way, for its weight.
--
--     local least = require("resty.balancer.least_conn"):new { ["10.0.0.1:80"] = 2, ["10.0.0.2:80"] = 1 }
--
--     -- in balancer_by_lua_block
--     local id = least:find(ngx.ctx.tried)
--     ngx.ctx.peer = id
--     assert(balancer.set_current_peer(id))
--
--     -- in log_by_lua_block
--     least:after_balance(ngx.ctx.peer)
--
-- find() counts a request for the node, and after_balance() takes it back: call it once for each
-- find(), also for those whose try has failed. Requests are counted in this worker; those of others
-- are not known. Nodes that are equally busy have turns. find() takes time in proportion to the
-- number of nodes.

local nodes_of = require "resty.balancer.nodes"

local pairs, setmetatable = pairs, setmetatable
local random = math.random

local _M = { _VERSION = "0.01" }

---@class resty.balancer.least_conn
local mt = { __index = _M }

local function arrange(self)
    self.ids = nodes_of.ordered(self.nodes)
    self.last = #self.ids > 0 and random(#self.ids) or 0
    for id in pairs(self.conns) do
        if not self.nodes[id] and self.conns[id] == 0 then
            self.conns[id] = nil
        end
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

--- Takes other nodes instead of those it has. Requests under way stay counted.
---@param nodes table<string, integer> weight by id
function _M.reinit(self, nodes)
    take(self, nodes_of.copy(nodes))
end

--- Makes a choice of nodes.
---@param nodes table<string, integer> weight by id; those of weight 0 have no part
---@return resty.balancer.least_conn
function _M.new(_, nodes)
    local self = setmetatable({ conns = {} }, mt)
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

--- The least busy node, and counts a request for it.
---@param tried? table<string, any> ids that are not asked again are keys of it
---@return string? id nil when there is none
function _M.find(self, tried)
    local ids, nodes, conns = self.ids, self.nodes, self.conns
    local count = #ids
    local best, best_load, at = nil, nil, self.last
    for _ = 1, count do
        at = at < count and at + 1 or 1
        local id = ids[at]
        if not (tried and tried[id]) then
            local load = ((conns[id] or 0) + 1) / nodes[id]
            if not best or load < best_load then
                best, best_load = at, load
            end
        end
    end
    if not best then
        return nil
    end
    self.last = best
    local id = ids[best]
    conns[id] = (conns[id] or 0) + 1
    return id
end

--- A request that find() has counted is over.
---@param id? string what find() gave; nil does nothing
function _M.after_balance(self, id)
    local count = id ~= nil and self.conns[id] or 0
    if count > 1 or count == 1 and self.nodes[id] then
        self.conns[id] = count - 1
    elseif count == 1 then
        self.conns[id] = nil
    end
end

return _M
