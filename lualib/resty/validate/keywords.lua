-- The keywords of JSON Schema as functions, for resty.validate.
--
-- compile(compiler, schema, place) makes a node of a schema: a function (run, value, seen) that tells whether the
-- value is valid. `run` and `seen`: see run.lua; `seen` is nil when nobody wants to know. A place is { uri, pointer,
-- resource }: where the schema is.

local assertions = require "resty.validate.assertions"
local run_of = require "resty.validate.run"
local uri = require "resty.validate.uri"
local values = require "resty.validate.value"

local compile_regex = assertions.compile_regex
local count_items = assertions.count_items
local descend = run_of.descend
local fail = run_of.fail
local find = string.find
local ipairs = ipairs
local kind_of = values.kind
local list_of = assertions.list_of
local merge = run_of.merge
local new_seen = run_of.new_seen
local next = next
local pairs = pairs
local quietly = run_of.quietly
local sort = table.sort
local tostring = tostring
local type = type

local _M = {}

-- ------------------------------------------------------------- arrays

local function below(place, keyword, key)
    return {
        uri = place.uri, resource = place.resource,
        pointer = place.pointer .. "/" .. keyword .. (key and "/" .. uri.escape(tostring(key)) or ""),
    }
end

local function item_functions(compiler, schema, place, out)
    local first = {}
    for i, each in ipairs(schema.prefixItems or {}) do
        first[i] = compiler:node(each, below(place, "prefixItems", i - 1))
    end
    local rest = schema.items ~= nil and compiler:node(schema.items, below(place, "items")) or nil
    local count = #first
    if count == 0 and not rest then
        return
    end
    out[#out + 1] = function(run, value, _, seen)
        local ok, size = true, count_items(value)
        for i = 1, rest and size or count < size and count or size do
            if not descend(run, i - 1, i <= count and first[i] or rest, value[i]) then
                ok = false
                if not run.errors then
                    return false
                end
            end
        end
        if seen then
            if rest then
                seen.all_items = true
            elseif count > seen.items then
                seen.items = count
            end
        end
        return ok
    end
end

local function contains_function(compiler, schema, place, out, has_validation)
    if schema.contains == nil then
        return
    end
    local node = compiler:node(schema.contains, below(place, "contains"))
    local least = has_validation and schema.minContains or 1
    local most = has_validation and schema.maxContains or nil
    out[#out + 1] = function(run, value, _, seen)
        local count = 0
        for i = 1, count_items(value) do
            if quietly(run, node, value[i]) then
                count = count + 1
                if seen then
                    seen.indexes[i] = true
                elseif not most and count >= least then
                    break
                end
            end
        end
        if count < least then
            return fail(run, place, least == 1 and "contains" or "minContains",
                        "has fewer than " .. least .. " items of the kind that it must contain")
        elseif most and count > most then
            return fail(run, place, "maxContains", "has more than " .. most .. " items of the kind that it contains")
        end
        return true
    end
end

-- ------------------------------------------------------------- objects

local function property_nodes(compiler, schema, place)
    local names, nodes = {}, {}
    for name, each in pairs(schema.properties or {}) do
        names[#names + 1] = name
        nodes[name] = compiler:node(each, below(place, "properties", name))
    end
    sort(names)
    local patterns = {}
    for text, each in pairs(schema.patternProperties or {}) do
        patterns[#patterns + 1] = {
            matches = compile_regex(text, place, "patternProperties"),
            node = compiler:node(each, below(place, "patternProperties", text)),
        }
    end
    return names, nodes, patterns
end

-- Only the properties that are named: they are looked up.
local function named_properties(names, nodes)
    local count = #names
    return function(run, value, _, seen)
        local ok = true
        for i = 1, count do
            local name = names[i]
            local each = value[name]
            if each ~= nil then
                if seen then
                    seen.properties[name] = true
                end
                if not descend(run, name, nodes[name], each) then
                    ok = false
                    if not run.errors then
                        return false
                    end
                end
            end
        end
        return ok
    end
end

local function matching(run, name, each, patterns)
    local ok, found = true, false
    for i = 1, #patterns do
        if patterns[i].matches(tostring(name)) then
            found = true
            ok = descend(run, name, patterns[i].node, each) and ok
        end
    end
    return ok, found
end

-- All that the object has.
local function all_properties(nodes, patterns, rest)
    return function(run, value, _, seen)
        local ok = true
        for name, each in pairs(value) do
            local node = nodes[name]
            local good, found = matching(run, name, each, patterns)
            if node then
                good = descend(run, name, node, each) and good
            elseif rest and not found then
                good = descend(run, name, rest, each) and good
            end
            if seen and (node or found or rest) then
                seen.properties[name] = true
            end
            if not good then
                ok = false
                if not run.errors then
                    return false
                end
            end
        end
        if seen and rest then
            seen.all_properties = true
        end
        return ok
    end
end

local function property_functions(compiler, schema, place, out)
    local names, nodes, patterns = property_nodes(compiler, schema, place)
    local rest
    if schema.additionalProperties ~= nil then
        rest = compiler:node(schema.additionalProperties, below(place, "additionalProperties"))
    end
    if rest or patterns[1] then
        out[#out + 1] = all_properties(nodes, patterns, rest)
    elseif names[1] then
        out[#out + 1] = named_properties(names, nodes)
    end
    if schema.propertyNames ~= nil then
        local node = compiler:node(schema.propertyNames, below(place, "propertyNames"))
        out[#out + 1] = function(run, value)
            local ok = true
            for name in pairs(value) do
                ok = descend(run, name, node, tostring(name)) and ok
            end
            return ok
        end
    end
    for name, each in pairs(schema.dependentSchemas or {}) do
        local node = compiler:node(each, below(place, "dependentSchemas", name))
        out[#out + 1] = function(run, value, _, seen)
            return value[name] == nil or node(run, value, seen)
        end
    end
end

-- A keyword of earlier drafts, in which dependentRequired and dependentSchemas were one.
local function dependency_functions(compiler, schema, place, out)
    local required
    for name, each in pairs(schema.dependencies or {}) do
        if kind_of(each) == "array" or type(each) == "table" and next(each) == nil then
            required = required or {}
            required[name] = each
        else
            local node = compiler:node(each, below(place, "dependencies", name))
            out[#out + 1] = function(run, value, _, seen)
                return value[name] == nil or node(run, value, seen)
            end
        end
    end
    if required then
        out[#out + 1] = assertions.objects.dependentRequired(compiler, schema, required, place)
    end
end

-- ------------------------------------------------------------- schemas side by side

local function branches(compiler, schema, keyword, place)
    local nodes = {}
    for i, each in ipairs(schema[keyword]) do
        nodes[i] = compiler:node(each, below(place, keyword, i - 1))
    end
    return nodes
end

local function all_of(nodes)
    return function(run, value, _, seen)
        local ok = true
        for i = 1, #nodes do
            if not nodes[i](run, value, seen) then
                ok = false
                if not run.errors then
                    return false
                end
            end
        end
        return ok
    end
end

local function any_of(nodes, place)
    return function(run, value, _, seen)
        local found = false
        for i = 1, #nodes do
            local mine = seen and new_seen()
            if quietly(run, nodes[i], value, mine) then
                if not seen then
                    return true
                end
                found = true
                merge(seen, mine)
            end
        end
        if found then
            return true
        end
        fail(run, place, "anyOf", "matches none of the schemas")
        if run.errors and #nodes <= 8 then
            for i = 1, #nodes do
                nodes[i](run, value)
            end
        end
        return false
    end
end

local function one_of(nodes, place)
    return function(run, value, _, seen)
        local count, first = 0, nil
        for i = 1, #nodes do
            local mine = seen and new_seen()
            if quietly(run, nodes[i], value, mine) then
                count = count + 1
                if count > 1 then
                    return fail(run, place, "oneOf", "matches more than one of the schemas")
                end
                first = mine
            end
        end
        if count == 0 then
            fail(run, place, "oneOf", "matches none of the schemas")
            if run.errors and #nodes <= 8 then
                for i = 1, #nodes do
                    nodes[i](run, value)
                end
            end
            return false
        end
        if seen then
            merge(seen, first)
        end
        return true
    end
end

local function conditional(compiler, schema, place)
    local test = compiler:node(schema["if"], below(place, "if"))
    local on_true = schema["then"] ~= nil and compiler:node(schema["then"], below(place, "then"))
    local on_false = schema["else"] ~= nil and compiler:node(schema["else"], below(place, "else"))
    return function(run, value, _, seen)
        local mine = seen and new_seen()
        local branch = on_false
        if quietly(run, test, value, mine) then
            branch = on_true
            if seen then
                merge(seen, mine)
            end
        end
        return not branch or branch(run, value, seen)
    end
end

local function in_place_functions(compiler, schema, place, out)
    if schema.allOf then
        out[#out + 1] = all_of(branches(compiler, schema, "allOf", place))
    end
    if schema.anyOf then
        out[#out + 1] = any_of(branches(compiler, schema, "anyOf", place), place)
    end
    if schema.oneOf then
        out[#out + 1] = one_of(branches(compiler, schema, "oneOf", place), place)
    end
    if schema["not"] ~= nil then
        local node = compiler:node(schema["not"], below(place, "not"))
        out[#out + 1] = function(run, value)
            return not quietly(run, node, value) or fail(run, place, "not", "matches a schema that it must not")
        end
    end
    if schema["if"] ~= nil then
        out[#out + 1] = conditional(compiler, schema, place)
    end
end

-- ------------------------------------------------------------- references

-- Enters a resource for $dynamicRef, when it has something for it.
local function within(resource, node)
    if not next(resource.dynamic) then
        return node
    end
    return function(run, value, seen)
        local scope = run.scope
        local n = #scope + 1
        scope[n] = resource
        local ok = node(run, value, seen)
        scope[n] = nil
        return ok
    end
end

_M.within = within

local function reference(compiler, place, target)
    local schema, resource, pointer, name = compiler.registry:find(place.resource, target)
    local node = compiler:node(schema, { uri = resource.uri, pointer = pointer, resource = resource }, true)
    if resource ~= place.resource and schema ~= resource.root then
        node = within(resource, node)
    end
    return node, resource, name
end

local function reference_functions(compiler, schema, place, out)
    if type(schema["$ref"]) == "string" then
        local node = reference(compiler, place, schema["$ref"])
        out[#out + 1] = function(run, value, _, seen)
            return node(run, value, seen)
        end
    end
    local target = schema["$dynamicRef"]
    if type(target) ~= "string" then
        return
    end
    local node, resource, name = reference(compiler, place, target)
    if not name or not resource.dynamic[name] then
        out[#out + 1] = function(run, value, _, seen)
            return node(run, value, seen)
        end
        return
    end
    compiler.has_dynamic = true
    out[#out + 1] = function(run, value, _, seen)
        local scope = run.scope
        for i = 1, #scope do
            local found = scope[i].dynamic[name]
            if found then
                return compiler.nodes[found](run, value, seen)
            end
        end
        return node(run, value, seen)
    end
end

-- ------------------------------------------------------------- what was not evaluated

local function unevaluated_items(node)
    return function(run, value, _, seen)
        if seen.all_items or type(value) ~= "table" then
            return true
        end
        local ok = true
        for i = seen.items + 1, #value do
            if not seen.indexes[i] then
                ok = descend(run, i - 1, node, value[i]) and ok
            end
        end
        seen.all_items = true
        return ok
    end
end

local function unevaluated_properties(node)
    return function(run, value, _, seen)
        if seen.all_properties then
            return true
        end
        local ok = true
        for name, each in pairs(value) do
            if not seen.properties[name] then
                ok = descend(run, name, node, each) and ok
            end
        end
        seen.all_properties = true
        return ok
    end
end

-- ------------------------------------------------------------- a schema

local function add_assertions(compiler, schema, place, groups, table_of, out)
    for name, make in pairs(table_of) do
        local value = schema[name]
        if value ~= nil and (groups.validation or name == "format") then
            local check = make(compiler, schema, value, place, groups)
            if check then
                out[#out + 1] = check
            end
        end
    end
end

-- What an empty table without a metatable is taken for.
local function empty_kind(schema, arrays_count, objects_count)
    local types = {}
    for _, name in ipairs(schema.type ~= nil and list_of(schema.type) or {}) do
        types[name] = true
    end
    if types.array ~= types.object then
        return types.array and "array" or "object"
    end
    return arrays_count > 0 and objects_count == 0 and "array" or "object"
end

local function run_all(list, run, value, kind, seen)
    local ok = true
    for i = 1, #list do
        if not list[i](run, value, kind, seen) then
            ok = false
            if not run.errors then
                return false
            end
        end
    end
    return ok
end

-- All functions of a schema, by the kinds of values that they are for.
local function functions_of(compiler, schema, place, groups)
    local of = { any = {}, number = {}, string = {}, array = {}, object = {}, after_array = {}, after_object = {} }
    reference_functions(compiler, schema, place, of.any)
    add_assertions(compiler, schema, place, groups, assertions.any, of.any)
    add_assertions(compiler, schema, place, groups, assertions.numbers, of.number)
    add_assertions(compiler, schema, place, groups, assertions.strings, of.string)
    add_assertions(compiler, schema, place, groups, assertions.arrays, of.array)
    add_assertions(compiler, schema, place, groups, assertions.objects, of.object)
    if groups.applicator then
        in_place_functions(compiler, schema, place, of.any)
        item_functions(compiler, schema, place, of.array)
        contains_function(compiler, schema, place, of.array, groups.validation)
        property_functions(compiler, schema, place, of.object)
        dependency_functions(compiler, schema, place, of.object)
    end
    if groups.unevaluated then
        if schema.unevaluatedItems ~= nil then
            of.after_array[1] = unevaluated_items(compiler:node(schema.unevaluatedItems, below(place, "unevaluatedItems")))
        end
        if schema.unevaluatedProperties ~= nil then
            of.after_object[1] = unevaluated_properties(
                compiler:node(schema.unevaluatedProperties, below(place, "unevaluatedProperties")))
        end
    end
    return of
end

local function deeper(run, place, check, value, seen)
    if run.depth >= run.max_depth then
        run.too_deep = true
        return fail(run, place, "$ref", "is nested too deeply")
    end
    run.depth = run.depth + 1
    local ok = check(run, value, seen)
    run.depth = run.depth - 1
    return ok
end

-- Makes the function of a schema that is a table.
function _M.compile(compiler, schema, place)
    local of = functions_of(compiler, schema, place, place.resource.groups)
    local by_kind = { number = of.number, string = of.string, array = of.array, object = of.object }
    local after = { array = of.after_array, object = of.after_object }
    local as_empty = empty_kind(schema, #of.array + #of.after_array, #of.object + #of.after_object)
    local for_any = of.any
    local tracks = of.after_array[1] ~= nil or of.after_object[1] ~= nil
    local function check(run, value, seen)
        local kind = kind_of(value, run.tagged)
        if kind == nil then
            return fail(run, place, "type", "is no value of JSON")
        end
        local mine = tracks and new_seen() or seen
        local ok = run_all(for_any, run, value, kind, mine)
        if not ok and not run.errors then
            return false
        end
        if kind == "empty" then
            kind = as_empty
        end
        local list = by_kind[kind]
        if list and not run_all(list, run, value, kind, mine) then
            return false
        end
        if not ok then
            return false
        end
        if tracks then
            if after[kind] and not run_all(after[kind], run, value, kind, mine) then
                return false
            end
            if seen then
                merge(seen, mine)
            end
        end
        return true
    end
    return function(run, value, seen)
        return deeper(run, place, check, value, seen)
    end
end

-- The function of a schema that is true or false.
function _M.constant(yes, place)
    if yes then
        return function()
            return true
        end
    end
    -- The error is about the keyword that has `false`.
    local pointer, keyword = place.pointer:match("^(.*)/([^/]*)$")
    if keyword and (find(keyword, "^%d+$") or find(pointer, "roperties$")) then
        pointer, keyword = pointer:match("^(.*)/([^/]*)$")
    end
    local at = { uri = place.uri, pointer = pointer or "" }
    return function(run)
        return fail(run, at, keyword or "", "is not allowed")
    end
end

return _M
