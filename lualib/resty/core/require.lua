--- `require` and `dofile` for modules whose top level waits.
--
-- A loader runs as Lua code called from Lua code, so that it may yield. While it does, other tasks
-- that want the module wait for it instead of loading it again. When it fails, nothing of it stays
-- behind: the next `require` tries anew.

local here = require "resty.core.here"
local new_semaphore = package.loaded["bulan.semaphore"]
local ffi = require "ffi"

local package, type, ipairs, error, pcall, tostring = package, type, ipairs, error, pcall, tostring
local loaded = package.loaded
local tonumber, cast = tonumber, ffi.cast
local concat = table.concat

package.loaded["bulan.semaphore"] = nil

-- By name: { task = who loads it, done = a semaphore, waiting = how many wait }.
local loading = {}
-- By task: the name of the module that it waits for.
local wanted = {}

local function me()
    return tonumber(cast("uintptr_t", here.task))
end

-- Whether waiting for `name` would be waiting for oneself.
local function is_loop(name, task)
    local load = loading[name]
    while load do
        if load.task == task then
            return true
        end
        load = loading[wanted[load.task]]
    end
    return false
end

local function find_loader(name)
    local loaders = package.loaders
    if type(loaders) ~= "table" then
        error("'package.loaders' must be a table", 3)
    end
    local tried = {}
    for _, search in ipairs(loaders) do
        local loader = search(name)
        if type(loader) == "function" then
            return loader
        elseif type(loader) == "string" then
            tried[#tried + 1] = loader
        end
    end
    error("module '" .. name .. "' not found:" .. concat(tried), 3)
end

local function finish(name, load)
    loading[name] = nil
    if load.waiting > 0 then
        load.done:post(load.waiting)
    end
end

local function run_loader(name, task)
    local load = { task = task, done = new_semaphore(), waiting = 0 }
    local loader = find_loader(name)
    loading[name] = load
    local ok, result = pcall(loader, name)
    if not ok then
        loaded[name] = nil
        finish(name, load)
        error(result, 0)
    end
    if result ~= nil then
        loaded[name] = result
    elseif loaded[name] == nil then
        loaded[name] = true
    end
    finish(name, load)
    return loaded[name]
end

function require(name)
    local module = loaded[name]
    if module then
        return module
    end
    if type(name) ~= "string" then
        if type(name) ~= "number" then
            error("bad argument #1 to 'require' (string expected, got "
                  .. (name == nil and "no value" or type(name)) .. ")", 2)
        end
        name = tostring(name)
    end
    local task = me()
    while loading[name] do
        if is_loop(name, task) then
            error("loop or previous error loading module '" .. name .. "'", 2)
        end
        local load = loading[name]
        load.waiting = load.waiting + 1
        wanted[task] = name
        load.done:wait(-1)
        wanted[task] = nil
        if loaded[name] then
            return loaded[name]
        end
    end
    return run_loader(name, task)
end

function dofile(path)
    local chunk, message = loadfile(path)
    if not chunk then
        error(message, 0)
    end
    return chunk()
end

package.loaded["bulan.require"] = { new_semaphore = new_semaphore }
