-- The keywords of JSON Schema as functions, for resty.validate.
--
-- compile(compiler, schema) makes a node of a schema: a function (run, value, seen) that tells whether the
-- value is valid. `run` is the check that is under way:
--
--     tagged   arrays have a metatable (see value.lua)
--     errors   nil: only the answer is wanted; else a list, to which the function adds
--     path, n  the keys from the root to the value, while errors are wanted
--     scope    the resources that were entered, from outside, for $dynamicRef
--     depth    of schemas in schemas
--
-- `seen` is nil, or what was evaluated of the value, for unevaluatedProperties and unevaluatedItems:
-- { all, [property] = true } and { items, [index] = true, all }. A function that fails may have written
-- there: who goes on in spite of that gives each branch its own.

local regex = require "resty.validate.regex"
local schema_of = require "resty.validate.schema"
local uri = require "resty.validate.uri"
local values = require "resty.validate.value"

local canonical = values.canonical
local concat = table.concat
local find = string.find
local floor = math.floor
local ipairs = ipairs
local is_multiple = values.is_multiple
local kind_of = values.kind
local length_of = values.length
local next = next
local pairs = pairs
local refuse = schema_of.refuse
local sort = table.sort
local tostring = tostring
local type = type

local _M = {}

-- ------------------------------------------------------------- errors

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

-- ------------------------------------------------------------- assertions

-- Each gets (compiler, schema, value of the keyword, place), and gives a function (run, value) for values
-- of its kind.
local any, numbers, strings, arrays, objects = {}, {}, {}, {}, {}

local function list_of(value)
    return type(value) == "table" and value or { value }
end

any["type"] = function(_, _, wanted, place)
    local types, names = {}, {}
    for i, name in ipairs(list_of(wanted)) do
        types[name], names[i] = true, name
    end
    local text = "is not of type " .. concat(names, " or ")
    types.empty = types.array or types.object
    local takes_integer = types.integer and not types.number
    return function(run, value, kind)
        if types[kind] or takes_integer and kind == "number" and value == floor(value) then
            return true
        end
        return fail(run, place, "type", text)
    end
end

local function is_scalar(value)
    return type(value) ~= "table" and kind_of(value) ~= "array"
end

any["enum"] = function(_, _, list, place)
    local scalars, others = {}, {}
    for _, each in ipairs(list) do
        if is_scalar(each) then
            scalars[each] = true
        else
            others[canonical(each)] = true
        end
    end
    return function(run, value, kind)
        if kind ~= "array" and kind ~= "object" and kind ~= "empty" then
            if value ~= nil and scalars[value] or value == nil and scalars[ngx.null] then
                return true
            end
        elseif next(others) and (others[canonical(value, run.tagged)] or others[canonical(value)]) then
            return true
        end
        return fail(run, place, "enum", "is none of the values that are allowed")
    end
end

any["const"] = function(_, _, wanted, place)
    local scalar = is_scalar(wanted)
    local text, tagged_text = canonical(wanted), canonical(wanted, true)
    return function(run, value, kind)
        local same
        if kind == "array" or kind == "object" or kind == "empty" then
            same = not scalar and (canonical(value) == text and (not run.tagged
                                   or canonical(value, true) == tagged_text))
        else
            same = value == wanted or value == nil and wanted == ngx.null
        end
        return same or fail(run, place, "const", "is not the value that is required")
    end
end

local function comparison(name, holds, text)
    numbers[name] = function(_, _, limit, place)
        local message = text .. " " .. tostring(limit)
        return function(run, value)
            return holds(value, limit) or fail(run, place, name, message)
        end
    end
end

comparison("maximum", function(a, b) return a <= b end, "is more than")
comparison("exclusiveMaximum", function(a, b) return a < b end, "is not less than")
comparison("minimum", function(a, b) return a >= b end, "is less than")
comparison("exclusiveMinimum", function(a, b) return a > b end, "is not more than")
comparison("multipleOf", is_multiple, "is not a multiple of")

strings["maxLength"] = function(_, _, limit, place)
    return function(run, value)
        return #value <= limit or length_of(value) <= limit
            or fail(run, place, "maxLength", "is longer than " .. limit .. " characters")
    end
end

strings["minLength"] = function(_, _, limit, place)
    return function(run, value)
        return #value >= limit and (#value >= limit * 4 or length_of(value) >= limit)
            or fail(run, place, "minLength", "is shorter than " .. limit .. " characters")
    end
end

local function compile_regex(text, place, keyword)
    local matches, err = regex.compile(text)
    if not matches then
        refuse("bad regular expression at " .. place.uri .. "#" .. place.pointer .. "/" .. keyword .. ": " .. err)
    end
    return matches
end

strings["pattern"] = function(_, _, text, place)
    local matches = compile_regex(text, place, "pattern")
    return function(run, value)
        return matches(value) or fail(run, place, "pattern", "does not match the pattern " .. text)
    end
end

strings["format"] = function(compiler, _, name, place, groups)
    local check = compiler.formats[name]
    if not check or not compiler.asserts_formats and not groups["format-assertion"] then
        return nil
    end
    return function(run, value)
        return check(value) or fail(run, place, "format", "is no " .. name)
    end
end

local function count_items(value)
    return type(value) == "table" and #value or 0
end

arrays["maxItems"] = function(_, _, limit, place)
    return function(run, value)
        return count_items(value) <= limit or fail(run, place, "maxItems", "has more than " .. limit .. " items")
    end
end

arrays["minItems"] = function(_, _, limit, place)
    return function(run, value)
        return count_items(value) >= limit or fail(run, place, "minItems", "has fewer than " .. limit .. " items")
    end
end

arrays["uniqueItems"] = function(_, _, wanted, place)
    if wanted ~= true then
        return nil
    end
    return function(run, value)
        local known = {}
        for i = 1, count_items(value) do
            local item = value[i]
            local key = is_scalar(item) and item or { item }
            if type(key) == "table" then
                -- Texts of the value itself begin with another character.
                key = "\0" .. canonical(item, run.tagged)
            elseif type(key) == "string" then
                key = "." .. key
            end
            if known[key] then
                return fail(run, place, "uniqueItems", "has equal items")
            end
            known[key] = true
        end
        return true
    end
end

local function count_properties(value)
    local count = 0
    for _ in pairs(value) do
        count = count + 1
    end
    return count
end

objects["maxProperties"] = function(_, _, limit, place)
    return function(run, value)
        return count_properties(value) <= limit
            or fail(run, place, "maxProperties", "has more than " .. limit .. " properties")
    end
end

objects["minProperties"] = function(_, _, limit, place)
    return function(run, value)
        return count_properties(value) >= limit
            or fail(run, place, "minProperties", "has fewer than " .. limit .. " properties")
    end
end

objects["required"] = function(_, _, names, place)
    local count = #names
    return function(run, value)
        local ok = true
        for i = 1, count do
            if value[names[i]] == nil then
                ok = fail(run, place, "required", "has no property " .. names[i])
                if not run.errors then
                    return false
                end
            end
        end
        return ok
    end
end

objects["dependentRequired"] = function(_, _, map, place)
    return function(run, value)
        local ok = true
        for name, needed in pairs(map) do
            if value[name] ~= nil then
                for _, other in ipairs(needed) do
                    if value[other] == nil then
                        ok = fail(run, place, "dependentRequired", "has " .. name .. " but no property " .. other)
                    end
                end
            end
        end
        return ok
    end
end

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

local function assertions(compiler, schema, place, groups, table_of, out)
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
    assertions(compiler, schema, place, groups, any, of.any)
    assertions(compiler, schema, place, groups, numbers, of.number)
    assertions(compiler, schema, place, groups, strings, of.string)
    assertions(compiler, schema, place, groups, arrays, of.array)
    assertions(compiler, schema, place, groups, objects, of.object)
    if groups.applicator then
        in_place_functions(compiler, schema, place, of.any)
        item_functions(compiler, schema, place, of.array)
        contains_function(compiler, schema, place, of.array, groups.validation)
        property_functions(compiler, schema, place, of.object)
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
