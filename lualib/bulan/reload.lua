--- Hot reload (lua_code_cache watch): what src/lua/reload.h describes.
--
-- Watched are the modules that were found as files on package.path, and the files of *_by_lua_file.
-- A module that has changed is run anew, with all modules that have required it while they were
-- loaded; they see each other's new versions. A new module that has a function `__reload` is given
-- the old one by it, to take over what has to survive. What a program keeps elsewhere, in globals
-- or in the closures of timers, stays as it is.

local ffi = require "ffi"
local raw = package.loaded["bulan.files"]
local here = require "resty.core.here"

ffi.cdef [[
double bl_lua_reload_epoch(void);
double bl_lua_reload_oldest(void);
double bl_lua_reload_next(void);
]]

local C = ffi.C
local package, pairs, ipairs, type, pcall, loadfile = package, pairs, ipairs, type, pcall, loadfile
local tonumber, cast, tostring = tonumber, ffi.cast, tostring
local sort, concat = table.sort, table.concat
local stat, compile = raw.stat, raw.compile
local load_module = require
local loaded = package.loaded
local ngx = ngx

local _M = {}

-- By name of a module: { path, seen = its state when it was loaded, users = names of modules }.
local modules = {}
-- By path of a handler's file: { path, seen, run = the function }.
local files = {}
-- What was replaced: by name (of a module) or path, an array of { last = epoch, value }, the oldest
-- first: the value was valid up to that epoch.
local history = {}
local replaced = 0 -- how many entries there are in it

local function me()
    return tonumber(cast("uintptr_t", here.task))
end

-- ---------------------------------------------------------------- old versions

-- What was valid in the current request's epoch, if that was something else than now.
local function old_version(name)
    if replaced == 0 then
        return nil
    end
    local versions = history[name]
    local epoch = versions and C.bl_lua_reload_epoch() or 0
    if epoch == 0 then
        return nil
    end
    for _, version in ipairs(versions) do
        if epoch <= version.last then
            return version.value
        end
    end
end

local function remember(name, value, epoch)
    local versions = history[name] or {}
    versions[#versions + 1] = { last = epoch, value = value }
    history[name] = versions
    replaced = replaced + 1
end

local function forget_old()
    if replaced == 0 then
        return
    end
    local oldest = C.bl_lua_reload_oldest()
    replaced = 0
    for name, versions in pairs(history) do
        local kept = {}
        for _, version in ipairs(versions) do
            if version.last >= oldest then
                kept[#kept + 1] = version
            end
        end
        history[name] = #kept > 0 and kept or nil
        replaced = replaced + #kept
    end
end

-- ---------------------------------------------------------------- loading

local pass        -- the reload that is going on: { task, set = names, fresh = modules by name }
local current = {} -- by task: the name of the module that it loads

local function find(name)
    local path = type(name) == "string" and package.searchpath(name, package.path)
    return path, path and stat(path)
end

local function use(module, user)
    if modules[module] and user then
        modules[module].users[user] = true
    end
end

local load_fresh

-- Runs `load(...)`, with `name` known as the module that is being loaded.
local function as_module(name, load, ...)
    local task = me()
    local outer = current[task]
    current[task] = name
    local ok, result = pcall(load, ...)
    current[task] = outer
    return ok, result
end

function require(name)
    local old = old_version(name)
    if old ~= nil then
        return old
    end
    local user = current[me()]
    if pass and pass.set[name] and pass.task == me() then
        use(name, user)
        return load_fresh(name)
    end
    local module = loaded[name] or pass and pass.before[name]
    if not module then
        local path, seen = find(name)
        local ok
        ok, module = as_module(name, load_module, name)
        if not ok then
            error(module, 0)
        end
        if seen then
            modules[name] = { path = path, seen = seen, users = {} }
        end
    end
    use(name, user)
    return module
end

-- The new version of a module that is being reloaded. Raises what goes wrong.
function load_fresh(name)
    local fresh = pass.fresh
    if fresh[name] ~= nil then
        return fresh[name]
    end
    if pass.loading[name] then
        error("loop or previous error loading module '" .. name .. "'", 0)
    end
    pass.loading[name] = true
    local module = modules[name]
    local seen = stat(module.path)
    local chunk, err = loadfile(module.path)
    if not chunk then
        error(err, 0)
    end
    local before = loaded[name]
    pass.before[name] = before
    loaded[name] = nil
    local ok, result = as_module(name, chunk, name, module.path)
    local set = loaded[name]
    loaded[name] = before
    pass.before[name] = nil
    if not ok then
        error(result, 0)
    end
    if result == nil then
        result = set == nil and true or set
    end
    pass.seen[name] = seen
    fresh[name] = result
    return result
end

-- ---------------------------------------------------------------- what has changed

local function add_users(set, name)
    if not set[name] and modules[name] then
        set[name] = true
        for user in pairs(modules[name].users) do
            add_users(set, user)
        end
    end
end

local function changed_modules()
    local set
    for name, module in pairs(modules) do
        local seen = stat(module.path)
        if seen and seen ~= module.seen and seen ~= module.failed then
            set = set or {}
            add_users(set, name)
        end
    end
    return set
end

local function changed_files()
    local list
    for _, file in pairs(files) do
        local seen = stat(file.path)
        if seen and seen ~= file.seen and seen ~= file.failed then
            list = list or {}
            list[#list + 1] = file
        end
    end
    return list
end

-- ---------------------------------------------------------------- the swap

local function sorted(set)
    local names = {}
    for name in pairs(set or {}) do
        names[#names + 1] = name
    end
    sort(names)
    return names
end

-- Compiles and runs everything aside. Raises what goes wrong.
local function prepare(list)
    for _, name in ipairs(sorted(pass.set)) do
        load_fresh(name)
    end
    for _, file in ipairs(list or {}) do
        local seen = stat(file.path)
        local run, err = compile(file.path)
        if not run then
            error(err, 0)
        end
        pass.files[file] = { run = run, seen = seen }
    end
    for name, fresh in pairs(pass.fresh) do
        if type(fresh) == "table" and type(fresh.__reload) == "function" then
            fresh.__reload(loaded[name])
        end
    end
end

local function swap()
    local last = C.bl_lua_reload_next() - 1
    for name, fresh in pairs(pass.fresh) do
        remember(name, loaded[name], last)
        loaded[name] = fresh
        modules[name].seen = pass.seen[name]
        modules[name].failed = nil
    end
    for file, new in pairs(pass.files) do
        remember(file.path, file.run, last)
        file.run, file.seen, file.failed = new.run, new.seen, nil
    end
end

-- They are looked at again when they change again.
local function give_up(set, list)
    for name in pairs(set or {}) do
        modules[name].failed = stat(modules[name].path)
    end
    for _, file in ipairs(list or {}) do
        file.failed = stat(file.path)
    end
end

local function names_of(set, list)
    local names = sorted(set)
    for _, file in ipairs(list or {}) do
        names[#names + 1] = file.path
    end
    return concat(names, ", ")
end

--- Looks whether files have changed, and reloads them.
function _M.check()
    if pass then
        return
    end
    forget_old()
    local set, list = changed_modules(), changed_files()
    if not set and not list then
        return
    end
    pass = {
        task = me(), set = set or {}, list = list, loading = {}, fresh = {}, seen = {}, files = {},
        before = {}, -- modules that are being run anew just now
    }
    local ok, err = pcall(prepare, list)
    if ok then
        swap()
        ngx.log(ngx.NOTICE, "hot reload: ", names_of(set, list))
    else
        give_up(set, list)
        ngx.log(ngx.ERR, "hot reload failed, the old code stays: ", tostring(err))
    end
    pass = nil
end

--- A reload was ended in the middle: all is as it was.
function _M.abandon()
    local ended = pass
    if not ended then
        return
    end
    for name, module in pairs(ended.before) do
        loaded[name] = module
    end
    current[ended.task] = nil
    pass = nil
    give_up(ended.set, ended.list)
    ngx.log(ngx.ERR, "hot reload was ended by a module, the old code stays")
end

--- The function of a handler's file, nil when it is not known yet.
function _M.file(path)
    local old = old_version(path)
    if old then
        return old
    end
    return files[path] and files[path].run
end

function _M.keep(path, run)
    files[path] = { path = path, seen = stat(path), run = run }
end

return _M
