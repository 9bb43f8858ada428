--- resty.balancer.nodes: nodes with weights that come and go: what all ways of choosing have in common.
--
--     -- any of resty.chash, resty.roundrobin, resty.swrr, resty.balancer.least_conn
--     local choice = require("resty.roundrobin"):new { a = 1, b = 2 }
--     choice:set("a", 3)
--     choice:incr("b")
--     choice:delete("a")
--     choice:reinit { c = 1 }
--
-- The methods below are those of all of them. Ids are strings; weights are whole numbers, and a node of
-- weight 0 has no part. Other weights raise an error: "bad weight: …", "bad nodes: …".

local error, pairs, setmetatable, tostring, type = error, pairs, setmetatable, tostring, type
local floor, sort = math.floor, table.sort

local MAX_WEIGHT = 0x7fffffff

local _M = {}

local function is_whole(weight)
    return type(weight) == "number" and weight >= 0 and weight == floor(weight)
end

-- `level`: how far above the program is that gave it.
local function bad_weight(level)
    error("bad weight: an integer not less than zero expected", level + 1)
end

-- `weight` when it is one.
local function checked(weight, level)
    if not is_whole(weight) or weight > MAX_WEIGHT then
        bad_weight(level + 1)
    end
    return weight
end

-- Copies id => weight; those of weight 0 are left out.
local function copy_of(nodes)
    if type(nodes) ~= "table" then
        error("bad nodes: a table of weights by id expected", 3)
    end
    local copy = {}
    for id, weight in pairs(nodes) do
        if checked(weight, 3) > 0 then
            copy[id] = weight
        end
    end
    return copy
end

-- The weight of `id`, changed by `step` times `weight`; not below zero.
local function changed(self, id, weight, step)
    if weight == nil then
        weight = 1
    elseif not is_whole(weight) then
        bad_weight(3)
    end
    local sum = (self.nodes[id] or 0) + step * weight
    return sum > 0 and sum or 0
end

-- The ids in an order that does not depend on how the table came about, for all of one order in all
-- workers: the heaviest first, then by name.
function _M.ordered(nodes)
    local ids, names = {}, {}
    for id in pairs(nodes) do
        ids[#ids + 1] = id
        names[id] = tostring(id)
    end
    sort(ids, function(a, b)
        if nodes[a] ~= nodes[b] then
            return nodes[a] > nodes[b]
        end
        return names[a] < names[b]
    end)
    return ids
end

---@class resty.balancer.nodes
local methods = {}

-- A class with these methods. `arrange(self)` makes of self.nodes what the class looks at;
-- `move(self, id, weight, before)` makes it right again for one node whose weight is another than before
-- (0: it is not there).
function _M.class(arrange, move)
    local class = { _arrange = arrange, _move = move }
    for name, method in pairs(methods) do
        class[name] = method
    end
    local mt = { __index = class }
    function class.new(_, nodes)
        local self = setmetatable({ nodes = copy_of(nodes) }, mt)
        arrange(self)
        return self
    end
    return class
end

local function replace(self, id, weight)
    local before = self.nodes[id] or 0
    if before == weight then
        return
    end
    self.nodes[id] = weight > 0 and weight or nil
    self:_move(id, weight, before)
end

--- Takes other nodes instead of those it has.
---@param nodes table<string, integer> weight by id
function methods.reinit(self, nodes)
    self.nodes = copy_of(nodes)
    self:_arrange()
end

--- Sets the weight of a node, which may be a new one.
---@param id string
---@param weight integer 0: the node goes
function methods.set(self, id, weight)
    replace(self, id, checked(weight, 2))
end

--- Takes a node out.
---@param id string
function methods.delete(self, id)
    replace(self, id, 0)
end

--- Makes a node heavier; one that is not there is added.
---@param id string
---@param weight? integer by how much; 1
function methods.incr(self, id, weight)
    replace(self, id, changed(self, id, weight, 1))
end

--- Makes a node lighter; without weight left it is taken out.
---@param id string
---@param weight? integer by how much; 1
function methods.decr(self, id, weight)
    replace(self, id, changed(self, id, weight, -1))
end

return _M
