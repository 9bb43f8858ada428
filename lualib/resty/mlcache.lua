--- resty.mlcache: a cache of two levels before a slow source: in the worker, and shared by all.
--
--     -- lua_shared_dict cache 10m;
--     local mlcache = require "resty.mlcache"
--     local cache, err = mlcache.new("users", "cache", { ttl = 60, neg_ttl = 5 })
--
--     local function load_user(id) return db.query_user(id) end    -- value, err, ttl
--     local user, err, level = cache:get("user:7", nil, load_user, 7)
--     if err then … end
--     if user == nil then … end                -- it is known that there is none
--
-- get() asks L1, a resty.lrucache of the worker; then L2, the shared dictionary; then calls the
-- callback (L3). What that returns is kept in both, nil as well (`neg_ttl`). Values are strings,
-- numbers, booleans, nil and tables; L2 keeps a table as a copy, L1 the table itself: do not change
-- what get() returns.
--
-- **One callback.** Of all workers only one runs the callback of a key, the others wait for its
-- result (resty.lock); within a worker, requests wait on a semaphore and are woken by the first
-- one, and have its error if it fails.
--
-- **Stale values.** With `resurrect_ttl`, when a callback returns nil and an error, the value that
-- has expired lives on for that time, if the dictionary still has it; the error is logged. The
-- level is 4 then.
--
-- **Invalidation.** set(), delete() and purge() tell the other workers through
-- `ngx.worker.events`; they need no polling, and no dictionary of their own: `ipc_shm` is accepted
-- and may be left out. update() makes sure that what other workers have said so far is heard
-- before it returns; without it, it is heard when the event loop gets to it, at once. A callback
-- under way while its key is set or deleted returns its value, but does not store it. With `ipc`
-- other means carry the messages: register_listeners(events), broadcast(channel, data) and
-- poll(timeout).
--
-- Errors are nil and a message: "could not acquire callback lock: timeout", "callback threw an
-- error: …", "could not encode value: …", "cannot cache value of type …", and what a callback or
-- l1_serializer returns. Wrong arguments are raised.
--
-- An L1 hit takes no lock and allocates nothing.

local groups = require "resty.mlcache.group"
local record = require "resty.mlcache.record"
local resty_lock = require "resty.lock"
local semaphore = require "ngx.semaphore"

local ngx = ngx
local now, shared = ngx.now, ngx.shared
local error, getmetatable, newproxy, pairs, pcall, setmetatable, tostring, type, xpcall =
    error, getmetatable, newproxy, pairs, pcall, setmetatable, tostring, type, xpcall
local max = math.max
local traceback = debug.traceback
local pack, unpack_record = record.pack, record.unpack

local LOCK_KEY = "lua-resty-mlcache:lock:"
local NIL = {} -- a cached nil in L1

local _M = { _VERSION = "2.7.0", _AUTHOR = "bulan" }

---@class resty.mlcache
local mt = { __index = _M }

---@class resty.mlcache.options
---@field lru_size? integer items in L1; 100
---@field ttl? number seconds that values live; 0: for ever; 30
---@field neg_ttl? number seconds that a nil lives; 0: for ever; 5
---@field resurrect_ttl? number seconds that a stale value lives on when its callback fails
---@field lru? table a resty.lrucache to be used as L1
---@field shm_set_tries? integer how often storing in a full dictionary is tried; 3
---@field shm_miss? string a dictionary for nils
---@field shm_locks? string a dictionary for the locks
---@field resty_lock_opts? resty.lock.options
---@field ipc_shm? string a dictionary; not used
---@field ipc? table register_listeners, broadcast and poll of other means for messages
---@field l1_serializer? fun(value: any): any, string? makes of a value what L1 keeps

---@class resty.mlcache.get_options
---@field ttl? number
---@field neg_ttl? number
---@field resurrect_ttl? number
---@field shm_set_tries? integer
---@field l1_serializer? fun(value: any): any, string?

-- ---------------------------------------------------------------- arguments

local checks = {
    ttl = { "number", 0, "must be >= 0" },
    neg_ttl = { "number", 0, "must be >= 0" },
    resurrect_ttl = { "number", 0, "must be > 0", true },
    shm_set_tries = { "number", 1, "must be >= 1" },
    l1_serializer = { "function" },
}

local more_checks = {
    lru_size = { "number", 1, "must be >= 1" },
    lru = { "table" },
    shm_miss = { "string" },
    shm_locks = { "string" },
    resty_lock_opts = { "table" },
    ipc_shm = { "string" },
    ipc = { "table" },
}

local function check_options(opts, rows, level)
    for name, row in pairs(rows) do
        local value = opts[name]
        if value ~= nil then
            if type(value) ~= row[1] then
                error("opts." .. name .. " must be a " .. row[1], level + 1)
            end
            if row[2] and (value < row[2] or row[4] and value <= row[2]) then
                error("opts." .. name .. " " .. row[3], level + 1)
            end
        end
    end
end

local function check_key(key)
    if type(key) ~= "string" then
        error("key must be a string", 3)
    end
end

local function check_call_options(opts, level)
    if type(opts) ~= "table" then
        error("opts must be a table", level + 1)
    end
    check_options(opts, checks, level + 1)
end

local function dictionary(name, option)
    local dict = name and shared[name]
    if name and not dict then
        return nil, "no such lua_shared_dict for " .. option .. ": " .. name
    end
    return dict
end

--- Makes a cache.
---@param name string caches of the same name and dictionary have the same content
---@param shm string the name of a lua_shared_dict
---@param opts? resty.mlcache.options
---@return resty.mlcache? cache
---@return string? err
function _M.new(name, shm, opts)
    if type(name) ~= "string" then
        error("name must be a string", 2)
    elseif type(shm) ~= "string" then
        error("shm must be a string", 2)
    elseif opts ~= nil and type(opts) ~= "table" then
        error("opts must be a table", 2)
    end
    opts = opts or {}
    check_options(opts, checks, 2)
    check_options(opts, more_checks, 2)
    if opts.ipc_shm and opts.ipc then
        error("cannot specify both of opts.ipc_shm and opts.ipc", 2)
    end
    local dict = shared[shm]
    if not dict then
        return nil, "no such lua_shared_dict: " .. shm
    end
    local miss, err = dictionary(opts.shm_miss, "opts.shm_miss")
    local locks = not err and opts.shm_locks
    if locks then
        locks, err = dictionary(locks, "opts.shm_locks")
    end
    if not err and opts.ipc_shm then
        _, err = dictionary(opts.ipc_shm, "opts.ipc_shm")
    end
    if err then
        return nil, err
    end
    local group
    group, err = groups.of(name, shm, opts)
    if not group then
        return nil, err
    end
    return setmetatable({
        name = name,
        group = group,
        lru = group.lru,
        prefix = group.prefix,
        shm = shm,
        dict = dict,
        dict_miss = miss or dict,
        dict_locks = locks or dict,
        lock_opts = opts.resty_lock_opts,
        ttl = opts.ttl or 30,
        neg_ttl = opts.neg_ttl or 5,
        resurrect_ttl = opts.resurrect_ttl,
        shm_set_tries = opts.shm_set_tries or 3,
        l1_serializer = opts.l1_serializer,
    }, mt)
end

local function option(self, opts, name)
    local value = opts and opts[name]
    if value == nil then
        return self[name]
    end
    return value
end

-- ---------------------------------------------------------------- levels

-- Puts a value into L1 for so many seconds (0: for ever). Returns what L1 has, or nil and an error.
local function promote(self, opts, key, value, ttl)
    local kept = value
    if value == nil then
        kept = NIL
    else
        local serializer = option(self, opts, "l1_serializer")
        if serializer then
            local ok, made, err = pcall(serializer, value)
            if not ok then
                return nil, "l1_serializer threw an error: " .. tostring(made)
            elseif err then
                return nil, err
            elseif made == nil then
                return nil, "l1_serializer returned a nil value"
            end
            value, kept = made, made
        end
    end
    self.lru:set(self.prefix .. key, kept, ttl > 0 and ttl or nil)
    return value
end

-- What L2 has: "live" or "stale" and the value, how long it lives (0: for ever), and whether it was
-- prolonged; nil when there is nothing, and an error.
local function look(self, dict, shm_key)
    local text, err, stale = dict:get_stale(shm_key)
    if text == nil then
        return nil, type(err) == "string" and "could not read from lua_shared_dict: " .. err or nil
    end
    local ok, value, expires, prolonged = unpack_record(text)
    if not ok then
        return nil
    end
    local left = expires == 0 and 0 or expires - now()
    if stale or left < 0 then
        return "stale", value, left, prolonged
    end
    return "live", value, expires == 0 and 0 or max(left, 0.001), prolonged
end

local function look_in_both(self, shm_key)
    local state, value, left, prolonged = look(self, self.dict, shm_key)
    if state == "live" or self.dict_miss == self.dict or not state and value then
        return state, value, left, prolonged
    end
    local state_miss, value_miss, left_miss, prolonged_miss = look(self, self.dict_miss, shm_key)
    if state_miss == "live" or not state then
        return state_miss, value_miss, left_miss, prolonged_miss
    end
    return state, value, left, prolonged
end

-- Puts a value into L2. A dictionary that is full throws old values out, a few at a time.
local function store(self, opts, shm_key, value, ttl, prolonged)
    local text, err = pack(value, ttl > 0 and now() + ttl or 0, prolonged)
    if not text then
        return nil, err
    end
    local dict = value == nil and self.dict_miss or self.dict
    local tries = option(self, opts, "shm_set_tries")
    local ok
    for _ = 1, tries do
        ok, err = dict:set(shm_key, text, ttl)
        if ok or err ~= "no memory" then
            break
        end
    end
    if ok then
        if self.dict_miss ~= self.dict then
            (value == nil and self.dict or self.dict_miss):delete(shm_key)
        end
        return true
    elseif err == "no memory" then
        ngx.log(ngx.WARN, "could not write to lua_shared_dict '", self.shm, "' after ", tries,
            " tries (no memory), it is either fragmented or cannot allocate more memory, consider "
            .. "increasing 'opts.shm_set_tries'")
        return true
    end
    return nil, "could not write to lua_shared_dict '" .. self.shm .. "': " .. err
end

-- A live value of L2 for who asked: value, err, level.
local function found(self, opts, key, value, left, prolonged)
    local err
    value, err = promote(self, opts, key, value, left)
    if err then
        return nil, err
    end
    return value, nil, prolonged and 4 or 2
end

-- ---------------------------------------------------------------- the callback

-- Of a callback that returned an error: what is stale lives on.
local function resurrect(self, opts, key, shm_key, value, err)
    local ttl = option(self, opts, "resurrect_ttl")
    local state, stale = nil, nil
    if ttl then
        state, stale = look_in_both(self, shm_key)
    end
    if state ~= "stale" then
        return value, err
    end
    ngx.log(ngx.WARN, "callback returned an error (", tostring(err), ") but stale value found in ",
        "shm will be resurrected for ", ttl, "s (resurrect_ttl)")
    local ok, store_err = store(self, opts, shm_key, stale, ttl, true)
    if not ok then
        ngx.log(ngx.WARN, "could not resurrect stale data (", store_err, ")")
    end
    stale, err = promote(self, opts, key, stale, ttl)
    if err then
        return nil, err
    end
    return stale, nil, 4
end

-- What the callback returned is stored, unless it has a new value by now.
local function keep(self, opts, key, shm_key, flight, value, ttl)
    if type(ttl) == "number" then
        if ttl < 0 then
            return value, nil, 3
        end
    else
        ttl = option(self, opts, value == nil and "neg_ttl" or "ttl")
    end
    if flight.outdated then
        return value, nil, 3
    end
    local ok, err = store(self, opts, shm_key, value, ttl)
    if not ok then
        return nil, err
    end
    value, err = promote(self, opts, key, value, ttl)
    if err then
        return nil, err
    end
    return value, nil, 3
end

local function with_lock(self, opts, key, shm_key, flight, callback, ...)
    local state, cached, left, prolonged = look_in_both(self, shm_key)
    if state == "live" then
            return found(self, opts, key, cached, left, prolonged)
    elseif not state and cached then
        return nil, cached
    end
    local ok, value, err, ttl = xpcall(callback, traceback, ...)
    if not ok then
        return nil, "callback threw an error: " .. tostring(value)
    elseif err ~= nil then
        return resurrect(self, opts, key, shm_key, value, err)
    end
    return keep(self, opts, key, shm_key, flight, value, ttl)
end

-- Who has waited too long takes what is stale, if that is wanted.
local function gave_up(self, opts, shm_key, err)
    if err == "timeout" and option(self, opts, "resurrect_ttl") then
        local state, stale = look_in_both(self, shm_key)
        if state == "stale" or state == "live" then
            return stale, nil, state == "stale" and 4 or 2
        end
    end
    return nil, "could not acquire callback lock: " .. err
end

local function lead(self, opts, key, shm_key, flight, callback, ...)
    local lock, err = resty_lock:new(self.dict_locks, self.lock_opts)
    if not lock then
        return nil, "could not create lock: " .. err
    end
    local elapsed
    elapsed, err = lock:lock(LOCK_KEY .. shm_key)
    if not elapsed then
        return gave_up(self, opts, shm_key, err)
    end
    local value, level
    value, err, level = with_lock(self, opts, key, shm_key, flight, callback, ...)
    local ok, lock_err = lock:unlock()
    if not ok and lock_err ~= "unlocked" then
        return nil, "could not unlock callback: " .. lock_err
    end
    return value, err, level
end

-- ---------------------------------------------------------------- one flight of a worker

local function land(group, key, flight)
    if flight.over then
        return
    end
    flight.over = true
    if group.flights[key] == flight then
        group.flights[key] = nil
    end
    if flight.waiting > 0 then
        flight.sem:post(flight.waiting)
    end
end

-- A request can be ended while its callback waits. Its guard is collected then, and others go on.
local function guard(group, key, flight)
    local proxy = newproxy(true)
    getmetatable(proxy).__gc = function()
        land(group, key, flight)
    end
    return proxy
end

local function fly(self, opts, key, shm_key, callback, ...)
    local group = self.group
    local lock_opts = self.lock_opts
    local flight = { waiting = 0, ends = now() + (lock_opts and lock_opts.exptime or 30) }
    group.flights[key] = flight
    local held = guard(group, key, flight)
    local value, err, level = lead(self, opts, key, shm_key, flight, callback, ...)
    flight.level = level
    flight.err = level == nil and err or nil
    land(group, key, flight)
    return value, err, level, held
end

-- Waits for the callback that another request of this worker has begun. False when that has
-- brought nothing that everybody may have: then it is this one's turn.
local function join(self, opts, key, shm_key, flight)
    local lock_opts = self.lock_opts
    flight.sem = flight.sem or semaphore.new()
    flight.waiting = flight.waiting + 1
    local ok, err = flight.sem:wait(lock_opts and lock_opts.timeout or 5)
    flight.waiting = flight.waiting - 1
    if not ok then
        return true, gave_up(self, opts, shm_key, err)
    elseif flight.err then
        return true, nil, flight.err
    end
    return false
end

local function fetch(self, opts, key, shm_key, callback, ...)
    local flights = self.group.flights
    local flight = flights[key]
    while flight and flight.ends > now() do
        local done, value, err, level = join(self, opts, key, shm_key, flight)
        if done then
            return value, err, level
        end
        local kept = self.lru:get(self.prefix .. key)
        if kept ~= nil then
            if kept == NIL then
                kept = nil
            end
            return kept, nil, flight.level == 4 and 4 or 2
        end
        flight = flights[key]
    end
    local value, err, level = fly(self, opts, key, shm_key, callback, ...)
    return value, err, level
end

-- L2, and the callback if there is one.
local function get_below(self, key, opts, callback, ...)
    if opts ~= nil then
        check_call_options(opts, 3)
    end
    local shm_key = self.name .. key
    local state, value, left, prolonged = look_in_both(self, shm_key)
    if state == "live" then
        return found(self, opts, key, value, left, prolonged)
    elseif not state and value then
        return nil, value
    elseif not callback then
        return nil, nil, -1
    end
    return fetch(self, opts, key, shm_key, callback, ...)
end

-- ---------------------------------------------------------------- public

--- The value of a key, from the first level that has it.
---@param key string
---@param opts? resty.mlcache.get_options instead of those of the cache
---@param callback? fun(...): any, any, number? returns the value; an error, or nil; its time to
-- live, below zero: it is not kept
---@param ... any arguments of the callback
---@return any value
---@return string? err
---@return integer? hit_level 1, 2 or 3; 4: a stale value; -1: no value, and no callback
function _M.get(self, key, opts, callback, ...)
    check_key(key)
    if callback ~= nil and type(callback) ~= "function" then
        error("callback must be nil or a function", 2)
    end
    local prefix = self.prefix
    local value = self.lru:get(prefix == "" and key or prefix .. key)
    if value ~= nil then
        if value == NIL then
            value = nil
        end
        return value, nil, 1
    end
    return get_below(self, key, opts, callback, ...)
end

--- Looks at what L2 has of a key, without taking it into L1.
---@param key string
---@param stale? boolean true: also a value that has expired
---@return number? ttl seconds that it lives on, below zero when it has expired; 0: for ever; nil:
-- there is none
---@return string? err
---@return any value
function _M.peek(self, key, stale)
    check_key(key)
    local state, value, left = look_in_both(self, self.name .. key)
    if not state then
        return nil, value
    elseif state == "stale" and not stale then
        return nil
    end
    return left, nil, value
end

--- Stores a value in both levels, and has other workers forget the one they have.
---@param key string
---@param opts? resty.mlcache.get_options
---@param value any nil is a value, too
---@return boolean? ok
---@return string? err
function _M.set(self, key, opts, value)
    check_key(key)
    if opts ~= nil then
        check_call_options(opts, 2)
    end
    local ttl = option(self, opts, value == nil and "neg_ttl" or "ttl")
    local ok, err = store(self, opts, self.name .. key, value, ttl)
    if not ok then
        return nil, err
    end
    groups.forget(self.group, key)
    _, err = promote(self, opts, key, value, ttl)
    if err then
        return nil, err
    end
    ok, err = self.group.broadcast("key", key)
    if not ok then
        return nil, "could not broadcast: " .. tostring(err)
    end
    return true
end

--- Forgets a key, in both levels and all workers.
---@param key string
---@return boolean? ok
---@return string? err
function _M.delete(self, key)
    check_key(key)
    local shm_key = self.name .. key
    self.dict:delete(shm_key)
    if self.dict_miss ~= self.dict then
        self.dict_miss:delete(shm_key)
    end
    groups.forget(self.group, key)
    local ok, err = self.group.broadcast("key", key)
    if not ok then
        return nil, "could not broadcast: " .. tostring(err)
    end
    return true
end

--- Forgets everything, in all workers; also what other caches keep in the same dictionary.
---@param flush_expired? boolean true: the memory of the dictionary is given back, too
---@return boolean? ok
---@return string? err
function _M.purge(self, flush_expired)
    self.dict:flush_all()
    if self.dict_miss ~= self.dict then
        self.dict_miss:flush_all()
    end
    if flush_expired then
        self.dict:flush_expired()
        if self.dict_miss ~= self.dict then
            self.dict_miss:flush_expired()
        end
    end
    groups.forget_all(self.group)
    local ok, err = self.group.broadcast("purge", "")
    if not ok then
        return nil, "could not broadcast: " .. tostring(err)
    end
    return true
end

--- Hears what other workers have said about this cache. Where `ngx.worker.events` carries it,
-- that costs a look into shared memory.
---@param timeout? number of a polled `ipc`
---@return boolean? ok
---@return string? err
function _M.update(self, timeout)
    local poll = self.group.poll
    if not poll then
        error("no polling configured, specify opts.ipc_shm or opts.ipc.poll", 2)
    end
    local ok, err = poll(timeout)
    if not ok and err then
        return nil, "could not poll ipc events: " .. tostring(err)
    end
    return true
end

local bulk = require "resty.mlcache.bulk"

--- Several get() at once; the callbacks run side by side.
---@param lookups table as new_bulk() makes it: for each of `n` lookups four elements: key, options,
-- callback, argument
---@param opts? { concurrency?: integer } how many callbacks run at a time; 3
---@return table? res for each lookup three elements: value, err, hit_level; `n` of them
---@return string? err
function _M.get_bulk(self, lookups, opts)
    return bulk.get(self, lookups, opts)
end

--- A table for get_bulk(), with a method `add(key, opts, callback, arg)`.
---@param n_lookups? integer how many there will be
---@return table bulk
_M.new_bulk = bulk.new

--- Iterates over what get_bulk() returned:
-- `for i, value, err, hit_level in mlcache.each_bulk_res(res)`.
---@param res table
---@return function iterator
---@return table res
---@return integer first
_M.each_bulk_res = bulk.each

return _M
