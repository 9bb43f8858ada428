-- The text format of Prometheus: names, labels and numbers as it has them.

local concat, sort = table.concat, table.sort
local find, format, gsub, sub = string.find, string.format, string.gsub, string.sub
local floor, huge = math.floor, math.huge
local ipairs, tonumber, tostring, type = ipairs, tonumber, tostring, type

local _M = {}

local escapes = { ["\\"] = "\\\\", ['"'] = '\\"', ["\n"] = "\\n" }

-- The bytes at `i` are one character of UTF-8 with so many bytes; nil: they are none (RFC 3629).
local function utf8_length(text, i)
    if find(text, "^[\194-\223][\128-\191]", i) then
        return 2
    elseif find(text, "^\224[\160-\191][\128-\191]", i)
        or find(text, "^[\225-\236\238\239][\128-\191][\128-\191]", i)
        or find(text, "^\237[\128-\159][\128-\191]", i) then
        return 3
    elseif find(text, "^\240[\144-\191][\128-\191][\128-\191]", i)
        or find(text, "^[\241-\243][\128-\191][\128-\191][\128-\191]", i)
        or find(text, "^\244[\128-\143][\128-\191][\128-\191]", i) then
        return 4
    end
end

local function only_utf8(text)
    local parts, i = {}, 1
    while i <= #text do
        local ascii = find(text, "[\128-\255]", i)
        if ascii ~= i then
            parts[#parts + 1] = sub(text, i, (ascii or 0) - 1)
            i = ascii or #text + 1
        else
            local length = utf8_length(text, i)
            parts[#parts + 1] = length and sub(text, i, i + length - 1) or ""
            i = i + (length or 1)
        end
    end
    return concat(parts)
end

-- A label's value: what can't be printed is left out.
local function clean(value)
    local text = gsub(tostring(value), "[%z\1-\31\127]", "")
    if find(text, "[\128-\255]") then
        text = only_utf8(text)
    end
    return (gsub(text, '[\\"]', escapes))
end

-- `a="1",b="2"`, or "" without labels.
function _M.labels(names, values)
    local parts = {}
    for i, name in ipairs(names) do
        parts[i] = name .. '="' .. clean(values[i]) .. '"'
    end
    return concat(parts, ",")
end

function _M.help(text)
    return (gsub(only_utf8(text), "[\\\n]", escapes))
end

-- A number in as few digits as tell it apart from all others.
function _M.number(value)
    if value ~= value then
        return "NaN"
    elseif value == huge then
        return "+Inf"
    elseif value == -huge then
        return "-Inf"
    elseif value == floor(value) and value > -2 ^ 53 and value < 2 ^ 53 then
        return format("%d", value)
    end
    for digits = 15, 16 do
        local text = format("%." .. digits .. "g", value)
        if tonumber(text) == value then
            return text
        end
    end
    return format("%.17g", value)
end

-- What is wrong with a metric's name and the names of its labels; nil: nothing.
function _M.check(name, labels, is_histogram)
    if type(name) ~= "string" or not find(name, "^[%a_:][%w_:]*$") then
        return "Metric name '" .. tostring(name) .. "' is invalid"
    end
    local seen = {}
    for _, label in ipairs(labels) do
        if type(label) ~= "string" or not find(label, "^[%a_][%w_]*$") or find(label, "^__") then
            return "Metric '" .. name .. "' label name '" .. tostring(label) .. "' is invalid"
        elseif is_histogram and label == "le" then
            return "Invalid label name 'le' in " .. name
        elseif seen[label] then
            return "Metric '" .. name .. "' label name '" .. label .. "' is there twice"
        end
        seen[label] = true
    end
end

-- The bounds of a histogram's buckets in order; nil and an error.
function _M.buckets(bounds)
    local copy = {}
    for i, bound in ipairs(bounds) do
        if type(bound) ~= "number" or bound ~= bound or bound == huge then
            return nil, "bad bucket: a finite number expected"
        end
        copy[i] = bound
    end
    sort(copy)
    for i = 2, #copy do
        if copy[i] == copy[i - 1] then
            return nil, "bad bucket: " .. copy[i] .. " is there twice"
        end
    end
    return copy
end

return _M
