--- resty.chash: consistent hashing, compatible with `hash … consistent` and with ketama.
--
--     local chash = require("resty.chash"):new { ["10.0.0.1\0" .. "80"] = 1, ["10.0.0.2\0" .. "80"] = 2 }
--
--     -- in balancer_by_lua_block
--     local id, index = chash:find(ngx.var.arg_user)
--     assert(balancer.set_current_peer((id:gsub("%z", ":"))))
--     …
--     id, index = chash:next(index)               -- the first one did not answer
--
-- Each node has 160 points on a circle for each unit of its weight; a key belongs to the first
-- point behind its own place. When a node comes or goes, only the keys of its own points move.
--
-- Ids are any strings. The servers of the same keys are chosen as `hash KEY consistent` chooses
-- them, here and in nginx, when an id is the host, a zero byte and the port, as above.
--
-- find() takes constant time; a change takes time in proportion to all points.
--
-- new(nodes) takes weights by id. set(), delete(), incr(), decr() and reinit() are described in
-- resty.balancer.nodes.

local ffi = require "ffi"
local bit = require "bit"
local nodes_of = require "resty.balancer.nodes"

local band, bxor, rshift = bit.band, bit.bxor, bit.rshift
local ceil, floor, log, max, min = math.ceil, math.floor, math.log, math.max, math.min
local crc32 = ngx.crc32_long
local tostring = tostring
local sort = table.sort

local POINTS = 160      -- of a node of weight 1
local IDS = 2 ^ 20      -- a point as one number: its hash times this, and the number of its node

local table_of_crc = ffi.new("uint32_t[256]")
for i = 0, 255 do
    local crc = i
    for _ = 1, 8 do
        crc = bxor(rshift(crc, 1), band(crc, 1) ~= 0 and 0xedb88320 or 0)
    end
    table_of_crc[i] = crc
end

-- The CRC of what `crc` is of and the four bytes of `number` behind it, the low one first.
local function crc_behind(crc, number)
    crc = bxor(crc, 0xffffffff)
    for _ = 1, 4 do
        crc = bxor(rshift(crc, 8), table_of_crc[band(bxor(crc, number), 0xff)])
        number = rshift(number, 8)
    end
    return bxor(crc, 0xffffffff) % 4294967296
end

-- The points of a node, in order.
local function points_of(id, number, weight)
    local points = {}
    local base, hash = crc32(tostring(id)), 0
    for i = 1, POINTS * weight do
        hash = crc_behind(base, hash)
        points[i] = hash * IDS + number
    end
    sort(points)
    return points
end

-- Both are in order, and so is the result.
local function merge(a, b)
    local all, i, j = {}, 1, 1
    local count_a, count_b = #a, #b
    for at = 1, count_a + count_b do
        if j > count_b or i <= count_a and a[i] <= b[j] then
            all[at] = a[i]
            i = i + 1
        else
            all[at] = b[j]
            j = j + 1
        end
    end
    return all
end

-- What find() looks at: hashes and nodes by index from 0, and for the upper bits of a hash where
-- to begin.
local function index(self)
    local points = self.points
    local count = #points
    local bits = max(1, min(20, ceil(log(count + 1) / log(2))))
    local hashes = ffi.new("uint32_t[?]", count + 1)
    local numbers = ffi.new("uint32_t[?]", count + 1)
    local first = ffi.new("uint32_t[?]", 2 ^ bits)
    local bucket, shift = 0, 32 - bits
    for i = 0, count - 1 do
        local hash = floor(points[i + 1] / IDS)
        hashes[i], numbers[i] = hash, points[i + 1] % IDS
        while bucket <= rshift(hash, shift) do
            first[bucket] = i
            bucket = bucket + 1
        end
    end
    for rest = bucket, 2 ^ bits - 1 do
        first[rest] = count
    end
    self.hashes, self.numbers, self.first = hashes, numbers, first
    self.shift, self.count = shift, count
end

local function number_of(self, id)
    local number = self.number_by_id[id]
    if not number then
        number = #self.ids + 1
        self.ids[number] = id
        self.number_by_id[id] = number
    end
    return number
end

local function without(points, number)
    local left = {}
    for i = 1, #points do
        if points[i] % IDS ~= number then
            left[#left + 1] = points[i]
        end
    end
    return left
end

local function move(self, id, weight, before)
    local points = self.points
    if before > 0 then
        points = without(points, self.number_by_id[id])
    end
    if weight > 0 then
        points = merge(points, points_of(id, number_of(self, id), weight))
    end
    self.points = points
    index(self)
end

local function arrange(self)
    local nodes = self.nodes
    self.ids, self.number_by_id = {}, {}
    local ordered = nodes_of.ordered(nodes)
    sort(ordered, function(a, b) return tostring(a) < tostring(b) end)
    local points = {}
    for i = 1, #ordered do
        local id = ordered[i]
        local own = points_of(id, number_of(self, id), nodes[id])
        for j = 1, #own do
            points[#points + 1] = own[j]
        end
    end
    sort(points)
    self.points = points
    index(self)
end

---@class resty.chash: resty.balancer.nodes
local _M = nodes_of.class(arrange, move)
_M._VERSION = "0.05"

--- The node of a key: always the same one while the nodes are the same.
---@param key string|number
---@return string? id nil when there are no nodes
---@return integer? index of its point, for next()
function _M.find(self, key)
    local count = self.count
    if count == 0 then
        return nil
    end
    local hash = crc32(tostring(key))
    local hashes = self.hashes
    local at = self.first[rshift(hash, self.shift)]
    while at < count and hashes[at] < hash do
        at = at + 1
    end
    if at == count then
        at = 0
    end
    return self.ids[self.numbers[at]], at
end

--- The node of the point behind one: for another try. It may be the same node again.
---@param old_index integer what find() or next() gave
---@return string? id
---@return integer? index
function _M.next(self, old_index)
    local count = self.count
    if count == 0 then
        return nil
    end
    local at = (old_index + 1) % count
    return self.ids[self.numbers[at]], at
end

return _M
