--- tablepool: tables that are used again, instead of being left to the collector.
--
--     local tablepool = require "tablepool"
--
--     local parts = tablepool.fetch("parts", 16, 0)
--     …
--     tablepool.release("parts", parts)
--
-- A pool is one worker's; its tag is any string, by which tables of a size and use find each other.
-- It holds up to 200 free tables; what is released beyond that is left to the collector. Whoever
-- releases a table must not use it any more: the next fetch() gives it to somebody else.

local clear = require "table.clear"
local new = require "table.new"

local error, setmetatable, type = error, setmetatable, type

local LIMIT = 200

local _M = { _VERSION = "0.03" }

local pools = {} -- tag -> { n = how many, table, … }

--- An empty table: one that was released, or a new one.
---@param tag string which pool
---@param narr integer room for so many elements of an array, in a new one
---@param nrec integer room for so many other fields, in a new one
---@return table
function _M.fetch(tag, narr, nrec)
    local pool = pools[tag]
    if pool then
        local n = pool.n
        if n > 0 then
            local tb = pool[n]
            pool[n] = false
            pool.n = n - 1
            return tb
        end
    end
    return new(narr or 0, nrec or 0)
end

--- Gives a table to the pool, emptied and without its metatable.
---@param tag string which pool
---@param tb table
---@param no_clear? boolean true: it is empty already, and has no metatable
function _M.release(tag, tb, no_clear)
    if type(tb) ~= "table" then
        error("object empty", 2)
    end
    local pool = pools[tag]
    if not pool then
        pool = new(4, 1)
        pool.n = 0
        pools[tag] = pool
    end
    local n = pool.n
    if n > 0 and pool[n] == tb then
        error("released twice", 2)
    end
    if not no_clear then
        setmetatable(tb, nil)
        clear(tb)
    end
    if n < LIMIT then
        pool[n + 1] = tb
        pool.n = n + 1
    end
end

return _M
