-- A check that is under way, for resty.validate: its errors, its path, what was evaluated.
--
-- A run has:
--
--     tagged   arrays have a metatable (see value.lua)
--     errors   nil: only the answer is wanted; else a list, to which functions add
--     path, n  the keys from the root to the value, while errors are wanted
--     scope    the resources that were entered, from outside, for $dynamicRef
--     depth    of schemas in schemas
--
-- `seen` is what was evaluated of a value, for unevaluatedProperties and unevaluatedItems. A function that fails
-- may have written there: who goes on in spite of that gives each branch its own.

local uri = require "resty.validate.uri"

local concat = table.concat
local pairs = pairs
local tostring = tostring

-- Adds an error when they are wanted; false.
local function fail(run, place, keyword, message)
    local errors = run.errors
    if errors and #errors < run.max_errors then
        local parts = {}
        for i = 1, run.n do
            parts[i] = "/" .. uri.escape(tostring(run.path[i]))
        end
        errors[#errors + 1] = {
            instance = concat(parts), keyword = keyword, message = message,
            schema = place.uri .. "#" .. place.pointer .. "/" .. keyword,
        }
    end
    return false
end

-- Runs a node for a part of the value.
local function descend(run, key, node, value)
    if not run.errors then
        return node(run, value)
    end
    local n = run.n + 1
    run.path[n], run.n = key, n
    local ok = node(run, value)
    run.n = n - 1
    return ok
end

-- Runs a node whose errors do not matter.
local function quietly(run, node, value, seen)
    local errors = run.errors
    run.errors = nil
    local ok = node(run, value, seen)
    run.errors = errors
    return ok
end

local function new_seen()
    return { properties = {}, indexes = {}, items = 0 }
end

local function merge(seen, more)
    seen.all_properties = seen.all_properties or more.all_properties
    seen.all_items = seen.all_items or more.all_items
    if more.items > seen.items then
        seen.items = more.items
    end
    for name in pairs(more.properties) do
        seen.properties[name] = true
    end
    for index in pairs(more.indexes) do
        seen.indexes[index] = true
    end
end

return { fail = fail, descend = descend, quietly = quietly, new_seen = new_seen, merge = merge }
