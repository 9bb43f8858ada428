-- What a Lua value is in JSON, for resty.validate: kinds, equality, lengths, divisibility.

local cjson = require "cjson"
local ffi = require "ffi"

local array_mt = cjson.array_mt
local byte = string.byte
local concat = table.concat
local empty_array = cjson.empty_array
local empty_array_mt = cjson.empty_array_mt
local floor = math.floor
local format = string.format
local getmetatable = getmetatable
local gsub = string.gsub
local huge = math.huge
local ipairs = ipairs
local match = string.match
local next = next
local null = cjson.null
local pairs = pairs
local select = select
local sort = table.sort
local tonumber = tonumber
local tostring = tostring
local type = type

local int64 = ffi.typeof("int64_t")

local _M = {}

-- "array", "object", or "empty": a table that may be either. `tagged`: arrays have a metatable, for sure.
local function table_kind(value, tagged)
    local mt = getmetatable(value)
    if mt ~= nil and (mt == array_mt or mt == empty_array_mt) then
        return "array"
    elseif tagged then
        return "object"
    elseif value[1] ~= nil then
        return "array"
    end
    local key = next(value)
    if key == nil then
        return "empty"
    end
    return type(key) == "number" and "array" or "object"
end

-- The kind of a value: "string", "number", "boolean", "null", "array", "object", "empty"; nil: none of JSON.
function _M.kind(value, tagged)
    local kind = type(value)
    if kind == "table" then
        return table_kind(value, tagged)
    elseif kind == "userdata" then
        return value == null and "null" or value == empty_array and "array" or nil
    elseif kind == "string" or kind == "boolean" then
        return kind
    elseif kind == "number" then
        return value == value and value ~= huge and value ~= -huge and kind or nil
    elseif kind == "nil" then
        return "null"
    end
end

-- Code points of UTF-8.
function _M.length(text)
    return select(2, gsub(text, "[^\128-\191]", ""))
end

-- ------------------------------------------------------------- equality

local function put(parts, value, tagged)
    local kind = _M.kind(value, tagged)
    if kind == "array" or kind == "empty" then
        parts[#parts + 1] = "["
        if type(value) == "table" then
            for i = 1, #value do
                put(parts, value[i], tagged)
            end
        end
        parts[#parts + 1] = "]"
    elseif kind == "object" then
        local keys = {}
        for key in pairs(value) do
            keys[#keys + 1] = tostring(key)
        end
        sort(keys)
        -- An empty object is not an empty array where that is known; else it is the same.
        parts[#parts + 1] = keys[1] and "{" or tagged and "{" or "["
        for _, key in ipairs(keys) do
            parts[#parts + 1] = #key .. ":" .. key
            put(parts, value[key], tagged)
        end
        parts[#parts + 1] = keys[1] and "}" or tagged and "}" or "]"
    elseif kind == "string" then
        parts[#parts + 1] = '"' .. #value .. ":" .. value
    elseif kind == "number" then
        parts[#parts + 1] = format("#%.17g", value == 0 and 0 or value)
    else
        parts[#parts + 1] = value == nil and "null;" or tostring(value) .. ";"
    end
end

-- A text that two values have in common exactly when they are equal.
function _M.canonical(value, tagged)
    local parts = {}
    put(parts, value, tagged)
    return concat(parts)
end

-- ------------------------------------------------------------- numbers

-- The digits of a number without zeros behind, and the power of ten: 0.075 is 75 and -3. The shortest
-- decimal that means this double is taken for the number that the document had.
local function decimal(number)
    local text = format("%.14e", number)
    if tonumber(text) ~= number then
        text = format("%.15e", number)
    end
    if tonumber(text) ~= number then
        text = format("%.16e", number)
    end
    local whole, rest, exponent = match(text, "^(%d)%.?(%d*)e([+-]%d+)$")
    local digits = gsub(whole .. rest, "0+$", "")
    return digits, tonumber(exponent) - #digits + 1
end

local function to_int64(digits)
    local n = int64(0)
    for i = 1, #digits do
        n = n * 10 + (byte(digits, i) - 48)
    end
    return n
end

-- Whether value is a multiple of step, which is more than 0, as decimal numbers.
function _M.is_multiple(value, step)
    if value < 0 then
        value = -value
    end
    if value == 0 then
        return true
    elseif step == floor(step) and value == floor(value) and value < 2 ^ 53 and step < 2 ^ 53 then
        return value % step == 0
    end
    local digits, power = decimal(value)
    local step_digits, step_power = decimal(step)
    if power < step_power then
        return false
    end
    local n = to_int64(step_digits)
    local left = to_int64(digits) % n
    for _ = 1, power - step_power do
        left = left * 10 % n
        if left == 0 then
            return true
        end
    end
    return left == 0
end

return _M
