-- Nodes and their weights, as all kinds of choosing among them take them.

local error, pairs, tostring, type = error, pairs, tostring, type
local floor, sort = math.floor, table.sort

local _M = {}

-- `weight` when it is one; raises an error for the caller of a public function if not.
function _M.weight(weight)
    if type(weight) ~= "number" or weight < 0 or weight ~= floor(weight) or weight > 0x7fffffff then
        error("bad weight: an integer not less than zero expected", 3)
    end
    return weight
end

-- Copies id => weight; those of weight 0 are left out.
function _M.copy(nodes)
    if type(nodes) ~= "table" then
        error("bad nodes: a table of weights by id expected", 3)
    end
    local copy = {}
    for id, weight in pairs(nodes) do
        if type(weight) ~= "number" or weight < 0 or weight ~= floor(weight)
            or weight > 0x7fffffff then
            error("bad weight: an integer not less than zero expected", 3)
        end
        if weight > 0 then
            copy[id] = weight
        end
    end
    return copy
end

-- The weight of `id` in `nodes`, changed by `step` times `weight`; not below zero.
function _M.changed(nodes, id, weight, step)
    if weight == nil then
        weight = 1
    elseif type(weight) ~= "number" or weight < 0 or weight ~= floor(weight) then
        error("bad weight: an integer not less than zero expected", 3)
    end
    local changed = (nodes[id] or 0) + step * weight
    return changed > 0 and changed or 0
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

return _M
