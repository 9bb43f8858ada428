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
--
-- new(nodes) takes weights by id. set(), delete(), incr(), decr() and reinit() are described in
-- resty.balancer.nodes. After reinit(), requests under way stay counted.

local nodes_of = require "resty.balancer.nodes"

local pairs = pairs
local random = math.random

local function arrange(self)
    self.conns = self.conns or {}
    self.ids = nodes_of.ordered(self.nodes)
    self.last = #self.ids > 0 and random(#self.ids) or 0
    for id in pairs(self.conns) do
        if not self.nodes[id] and self.conns[id] == 0 then
            self.conns[id] = nil
        end
    end
end

---@class resty.balancer.least_conn: resty.balancer.nodes
local _M = nodes_of.class(arrange, arrange)
_M._VERSION = "0.01"

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
