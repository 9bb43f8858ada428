--- resty.template.safe: resty.template whose functions return nil and a message instead of throwing.
--
--     local template = require "resty.template.safe"
--     local page, err = template.process("view.html", context)
--     if not page then return ngx.log(ngx.ERR, err) end
--
-- That holds for load, parse, compile, process and render with their forms _file and _string, and
-- for the functions that compile makes. All else is that of resty.template: both have the same cache.

local template = require "resty.template"

local ipairs = ipairs
local pcall = pcall
local rawset = rawset
local setmetatable = setmetatable

local _M = setmetatable({}, { __index = template, __newindex = template })

local function finish(ok, ...)
    if ok then
        return ...
    end
    return nil, (...)
end

local function safe(func)
    return function(...)
        return finish(pcall(func, ...))
    end
end

for _, name in ipairs { "load", "parse", "process", "render" } do
    for _, form in ipairs { "", "_file", "_string" } do
        rawset(_M, name .. form, safe(template[name .. form]))
    end
end

for _, form in ipairs { "", "_file", "_string" } do
    local compile = safe(template["compile" .. form])
    rawset(_M, "compile" .. form, function(...)
        local func, cached = compile(...)
        return func and safe(func), cached
    end)
end

return _M
