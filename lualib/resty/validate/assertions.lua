-- The keywords of JSON Schema that look at a value alone, not at schemas within the schema, for resty.validate.
--
-- By the kind of value that they are for: tables of functions that get (compiler, schema, the keyword's value, place,
-- vocabularies), and give a function (run, value, kind) that tells whether the value is valid; nil: nothing to check.

local regex = require "resty.validate.regex"
local run_of = require "resty.validate.run"
local schema_of = require "resty.validate.schema"
local values = require "resty.validate.value"

local canonical = values.canonical
local concat = table.concat
local fail = run_of.fail
local floor = math.floor
local ipairs = ipairs
local is_multiple = values.is_multiple
local kind_of = values.kind
local length_of = values.length
local next = next
local null = ngx.null
local pairs = pairs
local refuse = schema_of.refuse
local tostring = tostring
local type = type

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
        if not is_scalar(each) then
            others[canonical(each)] = true
        elseif each == each then -- NaN, which cjson reads where JSON has none, equals nothing
            scalars[each] = true
        end
    end
    return function(run, value, kind)
        if kind ~= "array" and kind ~= "object" and kind ~= "empty" then
            if value ~= nil and scalars[value] or value == nil and scalars[null] then
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
            same = value == wanted or value == nil and wanted == null
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
            elseif key == key then -- no NaN
                known[key] = true
            end
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

return {
    any = any, numbers = numbers, strings = strings, arrays = arrays, objects = objects,
    compile_regex = compile_regex, count_items = count_items, list_of = list_of,
}
