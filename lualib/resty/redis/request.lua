--- Commands in the form Redis takes them, for resty.redis.
--
-- A command is an array of bulk strings (RESP, "Sending commands"): a string when it is short,
-- otherwise a list of strings, which a socket's send() takes without copying them together first.

local concat = table.concat
local format = string.format
local gsub = string.gsub
local select = select
local setmetatable = setmetatable
local tostring = tostring
local type = type

local _M = {}

-- An argument longer than this is not copied into one string with its neighbours.
local LONG = 4096

-- "$<n>\r\n" by n.
local headers = setmetatable({}, {
    __index = function(self, n)
        local header = "$" .. n .. "\r\n"
        if n < 1024 then
            self[n] = header
        end
        return header
    end,
})

-- The beginning of a command, by the number of its arguments and its name.
local heads = {}

local function new_head(name, n)
    local head = "*" .. n + 1 .. "\r\n" .. headers[#name] .. name .. "\r\n"
    if n <= 8 and #name < 32 then
        local of_count = heads[n] or {}
        heads[n] = of_count
        of_count[name] = head
    end
    return head
end

local function head_of(name, n)
    local of_count = heads[n]
    return of_count and of_count[name] or new_head(name, n)
end

-- Whole numbers of up to 64 bits are sent with all their digits, which tostring() would round.
local function to_text(arg)
    local kind = type(arg)
    if kind == "number" then
        if arg % 1 == 0 and arg < 2 ^ 64 and arg > -2 ^ 64 then
            return format("%.0f", arg)
        end
    elseif kind == "cdata" then
        return (gsub(tostring(arg), "U?LL$", ""))
    end
    return tostring(arg)
end

local function add(req, i, arg)
    if type(arg) ~= "string" then
        arg = to_text(arg)
    end
    local at = 3 * i - 1
    req[at] = headers[#arg]
    req[at + 1] = arg
    req[at + 2] = "\r\n"
    return #arg
end

local function finish(req, size)
    return size <= LONG and concat(req) or req
end

--- The command with arguments as they are given.
---@param name string
---@param n integer how many arguments
---@param ... any
---@return string|table
function _M.encode(name, n, ...)
    local head = head_of(name, n)
    if n == 1 then
        local arg = ...
        if type(arg) ~= "string" then
            arg = to_text(arg)
        end
        if #arg <= LONG then
            return head .. headers[#arg] .. arg .. "\r\n"
        end
        return { head, headers[#arg], arg, "\r\n" }
    elseif n == 2 then
        local a, b = ...
        if type(a) == "string" and type(b) == "string" and #a + #b <= LONG then
            return head .. headers[#a] .. a .. "\r\n" .. headers[#b] .. b .. "\r\n"
        end
    elseif n == 0 then
        return head
    end
    local req, size = { head }, 0
    for i = 1, n do
        size = size + add(req, i, (select(i, ...)))
    end
    return finish(req, size)
end

--- The same with the arguments in a table.
---@param name string
---@param args table
---@param n integer
---@return string|table
function _M.encode_list(name, args, n)
    local req, size = { head_of(name, n) }, 0
    for i = 1, n do
        size = size + add(req, i, args[i])
    end
    return finish(req, size)
end

return _M
