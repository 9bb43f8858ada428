-- Several look-ups of resty.mlcache at once. Those that L1 or L2 answer are answered on the way; for
-- the others light threads take one after another.

local new_table = require "table.new"

local error, setmetatable, type = error, setmetatable, type
local ngx = ngx
local min = math.min

local CONCURRENCY = 3

local _M = {}

local bulk_mt = { __index = {} }

function bulk_mt.__index.add(self, key, opts, callback, arg)
    local i = self.n * 4
    self[i + 1], self[i + 2], self[i + 3], self[i + 4] = key, opts, callback, arg
    self.n = self.n + 1
end

function _M.new(n_lookups)
    if n_lookups ~= nil and (type(n_lookups) ~= "number" or n_lookups < 0) then
        error("n_lookups must be a number >= 0", 2)
    end
    local bulk = new_table((n_lookups or 0) * 4, 1)
    bulk.n = 0
    return setmetatable(bulk, bulk_mt)
end

local function check(lookups, opts)
    if type(lookups) ~= "table" then
        error("bulk must be a table", 4)
    elseif type(lookups.n) ~= "number" then
        error("bulk must have n field", 4)
    elseif opts ~= nil and type(opts) ~= "table" then
        error("opts must be a table", 4)
    end
    local concurrency = opts and opts.concurrency
    if concurrency ~= nil and (type(concurrency) ~= "number" or concurrency < 1) then
        error("opts.concurrency must be a number > 0", 4)
    end
    for i = 1, lookups.n do
        local at = i * 4 - 3
        if type(lookups[at]) ~= "string" then
            error("key at index " .. at .. " must be a string for operation " .. i, 4)
        elseif lookups[at + 1] ~= nil and type(lookups[at + 1]) ~= "table" then
            error("options at index " .. at + 1 .. " must be a table for operation " .. i, 4)
        elseif type(lookups[at + 2]) ~= "function" then
            error("callback at index " .. at + 2 .. " must be a function for operation " .. i, 4)
        end
    end
    return concurrency or CONCURRENCY
end

local function put(res, i, value, err, level)
    res[i * 3 - 2], res[i * 3 - 1], res[i * 3] = value, err, level
end

local function run(cache, lookups, open, res)
    while open.next < #open do
        open.next = open.next + 1
        local i = open[open.next]
        local at = i * 4 - 3
        put(res, i, cache:get(lookups[at], lookups[at + 1], lookups[at + 2], lookups[at + 3]))
    end
end

function _M.get(cache, lookups, opts)
    local concurrency = check(lookups, opts)
    local res = new_table(lookups.n * 3, 1)
    res.n = lookups.n * 3
    local open = { next = 0 }
    for i = 1, lookups.n do
        local at = i * 4 - 3
        local value, err, level = cache:get(lookups[at], lookups[at + 1])
        if level == -1 then
            open[#open + 1] = i
        else
            put(res, i, value, err, level)
        end
    end
    local threads = {}
    for i = 2, min(concurrency, #open) do
        local thread, err = ngx.thread.spawn(run, cache, lookups, open, res)
        if not thread then
            return nil, "could not spawn thread: " .. err
        end
        threads[i - 1] = thread
    end
    run(cache, lookups, open, res)
    for i = 1, #threads do
        local ok, err = ngx.thread.wait(threads[i])
        if not ok then
            return nil, "failed to wait for thread: " .. err
        end
    end
    return res
end

local function step(res, at)
    local i = at + 1
    local first = i * 3 - 2
    if first > res.n then
        return nil
    end
    return i, res[first], res[first + 1], res[first + 2]
end

function _M.each(res)
    if type(res) ~= "table" then
        error("res must be a table", 2)
    elseif type(res.n) ~= "number" then
        error("res must have res.n field; is this a get_bulk() result?", 2)
    end
    return step, res, 0
end

return _M
