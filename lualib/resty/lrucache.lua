--- resty.lrucache: a cache of Lua values inside one worker.
--
-- Holds up to `max_items` values of any type, each with an optional time to live. When it is full,
-- the value that was read or written longest ago makes room. All operations take constant time
-- (get_keys and flush_all: linear in the number of items). The cache belongs to the worker that
-- made it; make it once, at the top of a module, and not for each request.
--
--     local lrucache = require "resty.lrucache"
--     local cache, err = lrucache.new(200)
--     if not cache then error(err) end
--
--     cache:set("dog", { age = 10 }, 0.5)           -- for half a second
--     local dog, stale, flags = cache:get("dog")    -- nil, old value once it has expired
--
-- Errors: new() returns nil and a message; nothing else fails.
--
-- How it works: items live in slots 1 .. max_items. `hasht` finds the value of a key and `slots`
-- its slot; an FFI array of nodes threads the slots on two rings by their numbers, so nothing is
-- allocated after new() and the collector has no nodes to visit:
--
--     node 0               head of the ring of used slots, most recent first
--     node 1 .. max_items  the slots
--     node max_items + 1   head of the ring of free slots
--
-- resty.lrucache.pureffi has the same interface and a hash table of its own, for caches whose keys
-- change all the time.

local ffi = require "ffi"
local ring = require "resty.lrucache.ring"

local ffi_fill = ffi.fill
local floor = math.floor
local now = ngx.now
local pairs = pairs
local setmetatable = setmetatable
local tonumber = tonumber
local type = type

local to_front, move = ring.to_front, ring.move

local _M = { _VERSION = "0.15" }

---@class resty.lrucache
---@field hasht table<any, any> values by key
local mt = { __index = _M }

--- Makes a cache.
---@param max_items integer how many items it holds at most, 1 or more
---@return resty.lrucache? cache
---@return string? err
function _M.new(max_items)
    max_items = tonumber(max_items)
    if not max_items or max_items < 1 then
        return nil, "size too small"
    end
    max_items = floor(max_items)
    return setmetatable({
        hasht = {},
        slots = {},
        keys = {},
        nodes = ring.new(max_items),
        free = max_items + 1,
        size = max_items,
        used = 0,
    }, mt)
end

--- Looks a key up and makes it the most recently used one, even when its value has expired.
---@param key any but nil and NaN
---@return any value nil when there is none or it has expired
---@return any stale the expired value
---@return integer? flags what set() was given, or 0; nil when there is no item
function _M.get(self, key)
    local slot = self.slots[key]
    if not slot then
        return nil
    end
    local nodes = self.nodes
    to_front(nodes, slot)
    local node = nodes[slot]
    local value = self.hasht[key]
    if node.expire >= 0 and node.expire < now() then
        return nil, value, node.flags
    end
    return value, nil, node.flags
end

local function forget(self, slot)
    local key = self.keys[slot]
    self.hasht[key] = nil
    self.slots[key] = nil
    self.keys[slot] = nil
end

--- Stores a value; a nil value removes the key.
---@param key any but nil and NaN
---@param value any
---@param ttl? number seconds, also fractions; without it the value does not expire
---@param flags? integer a number of 32 bits that get() returns with the value
function _M.set(self, key, value, ttl, flags)
    if value == nil then
        return self:delete(key)
    end
    local nodes = self.nodes
    local slot = self.slots[key]
    if slot then
        to_front(nodes, slot)
    else
        slot = nodes[self.free].next
        if slot == self.free then
            slot = nodes[0].prev
            forget(self, slot)
        else
            self.used = self.used + 1
        end
        move(nodes, slot, 0)
        self.slots[key] = slot
        self.keys[slot] = key
    end
    self.hasht[key] = value
    local node = nodes[slot]
    node.expire = ttl and now() + ttl or -1
    node.flags = type(flags) == "number" and flags >= 0 and flags or 0
end

--- Removes a key.
---@param key any
---@return boolean removed false when it was not there
function _M.delete(self, key)
    local slot = self.slots[key]
    if not slot then
        return false
    end
    forget(self, slot)
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
    for key in pairs(self.slots) do
        self.hasht[key] = nil
        self.slots[key] = nil
    end
    self.keys = {}
    self.used = 0
    ffi_fill(self.nodes, ffi.sizeof(self.nodes), 0)
    ring.reset(self.nodes, self.size)
end

return _M
