--- resty.lrucache.pureffi: the cache of resty.lrucache, for keys that come and go.
--
-- The interface is that of resty.lrucache. The difference is inside: a key is found by a hash table
-- of our own, an FFI array of buckets that chain the slots' nodes, and not by a Lua table. A Lua
-- table whose keys change all the time is rehashed again and again; this one never is. When most
-- lookups hit, resty.lrucache is faster.
--
--     local lrucache = require "resty.lrucache.pureffi"
--     local cache = lrucache.new(10000, 0.5)     -- half as many items as buckets
--     cache:set("dog", 32, 60)
--     local dog, stale, flags = cache:get("dog")
--
-- Errors: new() returns nil and a message; nothing else fails.
--
-- A string is hashed over all its bytes (with a seed of this process, so that nobody from outside
-- can choose keys that collide), a number by its value, another value by its text, tostring().

local ffi = require "ffi"
local bit = require "bit"
local ring = require "resty.lrucache.ring"

local band, bxor, rol, rshift, tobit = bit.band, bit.bxor, bit.rol, bit.rshift, bit.tobit
local byte = string.byte
local cast = ffi.cast
local ffi_fill = ffi.fill
local floor = math.floor
local now = ngx.now
local setmetatable = setmetatable
local tonumber = tonumber
local tostring = tostring
local type = type

local to_front, move = ring.to_front, ring.move

local buckets_t = ffi.typeof("int32_t[?]")
local bytes_t = ffi.typeof("const uint8_t *")
local word_t = ffi.typeof("const int32_t *")

local _M = { _VERSION = "0.15" }

---@class resty.lrucache.pureffi
---@field bucket_sz integer number of hash buckets, a power of two
local mt = { __index = _M }

-- The address of a fresh object and the time differ from process to process and from start to
-- start.
local seed = tobit(tonumber(cast("uintptr_t", buckets_t(1))) % 2 ^ 31 + os.time())

-- Products stay below 2^51: beyond that a double, and so tobit(), is not exact.
local function mix(h)
    h = tobit(bxor(h, rshift(h, 16)) * 0x5bd1d)
    h = tobit(bxor(h, rshift(h, 12)) * 0x3c6ef)
    return bxor(h, rshift(h, 15))
end

-- Four bytes at a time; the last four may have been seen already.
local function hash_string(key)
    local n = #key
    local h = bxor(seed, n)
    if n < 4 then
        local a, b, c = byte(key, 1, 3)
        return mix(bxor(h, (a or 0) + (b or 0) * 256 + (c or 0) * 65536))
    end
    local p = cast(bytes_t, key)
    for i = 0, n - 4, 4 do
        h = tobit(rol(bxor(h, cast(word_t, p + i)[0]), 13) * 5 + 0x6b64e654)
    end
    return mix(bxor(h, cast(word_t, p + (n - 4))[0]))
end

local function hash(key)
    local kind = type(key)
    if kind == "string" then
        return hash_string(key)
    elseif kind == "number" then
        return mix(bxor(seed, tobit(key % 0x100000000)))
    end
    return hash_string(tostring(key))
end

local function bucket_count(max_items, load_factor)
    load_factor = tonumber(load_factor) or 0.5
    if load_factor > 1 then
        load_factor = 1
    elseif not (load_factor >= 0.1) then
        load_factor = 0.1
    end
    local want = max_items / load_factor
    local count = 1
    while count < want do
        count = count * 2
    end
    return count
end

--- Makes a cache.
---@param max_items integer how many items it holds at most, 1 or more
---@param load_factor? number items for each hash bucket when it is full, 0.1 to 1; 0.5 by default
---@return resty.lrucache.pureffi? cache
---@return string? err
function _M.new(max_items, load_factor)
    max_items = tonumber(max_items)
    if not max_items or max_items < 1 then
        return nil, "size too small"
    end
    max_items = floor(max_items)
    local count = bucket_count(max_items, load_factor)
    return setmetatable({
        keys = {},
        values = {},
        nodes = ring.new(max_items),
        buckets = buckets_t(count),
        bucket_sz = count,
        free = max_items + 1,
        size = max_items,
        used = 0,
    }, mt)
end

local function find(self, key)
    local nodes, keys = self.nodes, self.keys
    local slot = self.buckets[band(hash(key), self.bucket_sz - 1)]
    while slot ~= 0 do
        if keys[slot] == key then
            return slot
        end
        slot = nodes[slot].chain
    end
    return nil
end

local function link(self, slot, key)
    local buckets = self.buckets
    local node = self.nodes[slot]
    local bucket = band(hash(key), self.bucket_sz - 1)
    self.keys[slot] = key
    node.bucket = bucket
    node.chain = buckets[bucket]
    buckets[bucket] = slot
end

-- The empty string of a freed slot keeps `keys` an array without holes.
local function unlink(self, slot)
    local nodes, buckets = self.nodes, self.buckets
    local bucket = nodes[slot].bucket
    if buckets[bucket] == slot then
        buckets[bucket] = nodes[slot].chain
    else
        local at = buckets[bucket]
        while nodes[at].chain ~= slot do
            at = nodes[at].chain
        end
        nodes[at].chain = nodes[slot].chain
    end
    self.keys[slot] = ""
    self.values[slot] = false
end

--- Looks a key up and makes it the most recently used one, even when its value has expired.
---@param key any but nil
---@return any value nil when there is none or it has expired
---@return any stale the expired value
---@return integer? flags what set() was given, or 0; nil when there is no item
function _M.get(self, key)
    local slot = find(self, key)
    if not slot then
        return nil
    end
    local nodes = self.nodes
    to_front(nodes, slot)
    local node = nodes[slot]
    if node.expire >= 0 and node.expire < now() then
        return nil, self.values[slot], node.flags
    end
    return self.values[slot], nil, node.flags
end

--- Stores a value; a nil value removes the key.
---@param key any but nil
---@param value any
---@param ttl? number seconds, also fractions; without it the value does not expire
---@param flags? integer a number of 32 bits that get() returns with the value
function _M.set(self, key, value, ttl, flags)
    if value == nil then
        return self:delete(key)
    end
    local nodes = self.nodes
    local slot = find(self, key)
    if slot then
        to_front(nodes, slot)
    else
        slot = nodes[self.free].next
        if slot == self.free then
            slot = nodes[0].prev
            unlink(self, slot)
        else
            self.used = self.used + 1
        end
        move(nodes, slot, 0)
        link(self, slot, key)
    end
    self.values[slot] = value
    local node = nodes[slot]
    node.expire = ttl and now() + ttl or -1
    node.flags = type(flags) == "number" and flags >= 0 and flags or 0
end

--- Removes a key.
---@param key any
---@return boolean removed false when it was not there
function _M.delete(self, key)
    local slot = find(self, key)
    if not slot then
        return false
    end
    unlink(self, slot)
    move(self.nodes, slot, self.free)
    self.used = self.used - 1
    return true
end

--- How many items there are, expired ones included.
---@return integer
function _M.count(self)
    return self.used
end

--- How many items fit.
---@return integer
function _M.capacity(self)
    return self.size
end

--- The keys, most recently used first.
---@param max_count? integer how many at most; 0 or nil: all
---@param res? table to be filled instead of a new table; the element behind the last is set to nil
---@return table keys
function _M.get_keys(self, max_count, res)
    return ring.keys(self.nodes, self.keys, self.used, max_count, res)
end

--- Removes everything.
function _M.flush_all(self)
    self.keys, self.values, self.used = {}, {}, 0
    ffi_fill(self.buckets, ffi.sizeof(self.buckets), 0)
    ring.reset(self.nodes, self.size)
end

return _M
