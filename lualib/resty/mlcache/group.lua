-- What the caches of one name and dictionary share in a worker: L1, the callbacks under way, and how
-- they tell other workers what is no longer true.

local lrucache = require "resty.lrucache"

local error, ipairs, pairs, pcall, type = error, ipairs, pairs, pcall, type
local ngx = ngx
local sub = string.sub

local _M = {}

local groups = {} -- by dictionary and name

-- Another has stored or deleted the key: what is in L1 is old, and so is what a callback brings.
function _M.forget(group, key)
    group.lru:delete(group.prefix .. key)
    local flight = group.flights[key]
    if flight then
        flight.outdated = true
    end
end

function _M.forget_all(group)
    group.lru:flush_all()
    for _, flight in pairs(group.flights) do
        flight.outdated = true
    end
end

local function through_events(group, name)
    local channel = "mlcache:" .. sub(name, 1, 200)
    local events = require "ngx.worker.events"
    events.subscribe(channel, function(data)
        if data == "purge" .. name then
            _M.forget_all(group)
        elseif sub(data, 1, 3 + #name) == "key" .. name then
            _M.forget(group, sub(data, 4 + #name))
        end
    end)
    group.broadcast = function(kind, key)
        if ngx.get_phase() == "init" then
            return true -- there are no others
        end
        local ok, reached, err = pcall(events.publish, channel, kind .. name .. key, "others")
        if not ok then
            return nil, reached
        end
        return reached, err
    end
    group.poll = function()
        if ngx.get_phase() == "init" then
            return true
        end
        local ok, err = pcall(events.poll)
        return ok or nil, err
    end
end

local function through_ipc(group, name, ipc)
    local invalidation, purge = "mlcache:invalidations:" .. name, "mlcache:purge:" .. name
    for _, f in ipairs { "register_listeners", "broadcast", "poll" } do
        if ipc[f] ~= nil and type(ipc[f]) ~= "function" or ipc[f] == nil and f ~= "poll" then
            error("opts.ipc." .. f .. " must be a function", 4)
        end
    end
    local _, err = ipc.register_listeners {
        invalidation = { channel = invalidation, handler = function(key) _M.forget(group, key) end },
        purge = { channel = purge, handler = function() _M.forget_all(group) end },
    }
    if err then
        return nil, "failed to initialize custom IPC "
            .. "(opts.ipc.register_listeners returned an error): " .. err
    end
    group.broadcast = function(kind, key)
        return ipc.broadcast(kind == "purge" and purge or invalidation, key)
    end
    group.poll = ipc.poll
    return true
end

local function new_group(name, opts)
    local group = {
        lru = opts.lru or lrucache.new(opts.lru_size or 100),
        prefix = opts.lru and name or "",
        flights = {},
    }
    if opts.ipc then
        local ok, err = through_ipc(group, name, opts.ipc)
        if not ok then
            return nil, err
        end
    else
        through_events(group, name)
    end
    return group
end

function _M.of(name, shm, opts)
    if opts.lru or opts.ipc then
        return new_group(name, opts)
    end
    local id = shm .. "\0" .. name
    local group = groups[id]
    if not group then
        group = new_group(name, opts)
        groups[id] = group
    end
    return group
end

return _M
