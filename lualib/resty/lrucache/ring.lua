--- The order of use that both LRU caches keep.
--
-- An FFI array of `size + 2` nodes that refer to each other by number. Node 0 heads the ring of
-- used slots, the most recent one next to it; node `size + 1` heads the ring of free ones; between
-- them are the slots. Every node is on exactly one ring at any time.

local ffi = require "ffi"

local tonumber = tonumber

ffi.cdef [[
typedef struct bl_lru_node {
    double expire;      /* seconds since 1970; negative: never */
    uint32_t flags;
    int32_t prev;
    int32_t next;
    int32_t bucket;     /* pureffi only: the hash bucket, */
    int32_t chain;      /* and the next slot in it; 0: none */
} bl_lru_node;
]]

local nodes_t = ffi.typeof("bl_lru_node[?]")

local _M = {}

--- Puts all slots on the free ring, in their order.
function _M.reset(nodes, size)
    local free = size + 1
    nodes[0].prev, nodes[0].next = 0, 0
    for i = 1, free do
        nodes[i].prev = i - 1
        nodes[i].next = i + 1
    end
    nodes[1].prev = free
    nodes[free].next = 1
end

--- A new array, all slots free.
function _M.new(size)
    local nodes = nodes_t(size + 2)
    _M.reset(nodes, size)
    return nodes
end

--- Takes `slot` off its ring and puts it right behind `head` of another.
local function move(nodes, slot, head)
    local node = nodes[slot]
    nodes[node.prev].next = node.next
    nodes[node.next].prev = node.prev
    local first = nodes[head].next
    node.prev = head
    node.next = first
    nodes[first].prev = slot
    nodes[head].next = slot
end
_M.move = move

--- Makes `slot`, a used one, the most recent.
function _M.to_front(nodes, slot)
    if nodes[0].next ~= slot then
        move(nodes, slot, 0)
    end
end

--- What get_keys() of both caches does; `keys` has the key of each slot.
function _M.keys(nodes, keys, used, max_count, res)
    max_count = tonumber(max_count) or 0
    if max_count <= 0 or max_count > used then
        max_count = used
    end
    res = res or {}
    local slot = 0
    for i = 1, max_count do
        slot = nodes[slot].next
        res[i] = keys[slot]
    end
    res[max_count + 1] = nil
    return res
end

return _M
