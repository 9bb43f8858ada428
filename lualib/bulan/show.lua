--- Values as readable text: what the prompt prints, and what failed tests compare.

local type, tostring, pairs, getmetatable, rawget = type, tostring, pairs, getmetatable, rawget
local sort, concat, insert = table.sort, table.concat, table.insert
local floor, huge = math.floor, math.huge

local LINE = 60  -- what fits is written in one line
local DEPTH = 12 -- deeper tables are not opened

local reserved = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat
    return then true until while]]):gmatch("%a+") do
    reserved[word] = true
end

local escapes = { ["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ['"'] = '\\"', ["\\"] = "\\\\" }

local function quoted(text)
    return '"' .. text:gsub('[%c"\\]', function(c)
        return escapes[c] or ("\\%03d"):format(c:byte())
    end) .. '"'
end

local function number(n)
    if n == floor(n) and n > -2 ^ 53 and n < 2 ^ 53 then
        return ("%.0f"):format(n)
    elseif n ~= n or n == huge or n == -huge then
        return tostring(n)
    end
    local short = ("%.14g"):format(n)
    return tonumber(short) == n and short or ("%.17g"):format(n)
end

local function before(a, b)
    local ta, tb = type(a), type(b)
    if ta == tb and (ta == "number" or ta == "string") then
        return a < b
    elseif ta ~= tb then
        return ta < tb
    end
    return tostring(a) < tostring(b)
end

local show

local function key_text(key, depth, seen)
    if type(key) == "string" and key:find("^[%a_][%w_]*$") and not reserved[key] then
        return key
    end
    return "[" .. show(key, depth + 1, seen) .. "]"
end

-- The entries as texts: the array's first, then the other keys in order.
local function entries(tab, depth, seen)
    local parts, keys, count = {}, {}, 0
    while rawget(tab, count + 1) ~= nil do
        count = count + 1
        parts[count] = show(rawget(tab, count), depth + 1, seen)
    end
    for key in next, tab do
        if not (type(key) == "number" and key >= 1 and key <= count and key == floor(key)) then
            insert(keys, key)
        end
    end
    sort(keys, before)
    for _, key in ipairs(keys) do
        local value = show(rawget(tab, key), depth + 1, seen)
        insert(parts, key_text(key, depth, seen) .. " = " .. value)
    end
    return parts
end

local function table_text(tab, depth, seen)
    if seen[tab] then
        return "<" .. tostring(tab) .. ">"
    elseif depth >= DEPTH then
        return "{...}"
    end
    seen[tab] = true
    local parts = entries(tab, depth, seen)
    seen[tab] = nil
    local line = "{ " .. concat(parts, ", ") .. " }"
    if #parts == 0 then
        return "{}"
    elseif #line <= LINE and not line:find("\n", 1, true) then
        return line
    end
    local margin = ("    "):rep(depth + 1)
    return "{\n" .. margin .. concat(parts, ",\n" .. margin) .. "\n" .. ("    "):rep(depth) .. "}"
end

function show(value, depth, seen)
    local kind = type(value)
    if kind == "string" then
        return quoted(value)
    elseif kind == "number" then
        return number(value)
    elseif kind == "table" then
        local meta = getmetatable(value)
        if type(meta) == "table" and rawget(meta, "__tostring") then
            return tostring(value)
        end
        return table_text(value, depth, seen)
    elseif value == ngx.null then
        return "ngx.null"
    end
    return tostring(value)
end

---@param value any
---@return string
return function(value)
    return show(value, 0, {})
end
