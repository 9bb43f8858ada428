-- The series that resty.prometheus counts in this worker, and how they get into the dictionary.
--
-- A series has a key, and what is not in the dictionary yet: `delta`; of histograms `sum` and `counts`
-- by bucket, the last one for what is above all bounds. `dirty`: it has some, and is in `changed`.
--
--     inc() ──> series ──(the first change: touch)──> changed ──(timer: sync)──> dictionary
--
-- In the dictionary, a counter or gauge is a number under its key, `name{labels}`; a histogram is its
-- sum under `name{labels}\3` and a mark of its bounds, and the count of each bucket under that, \2
-- and the bound.

local text = require "resty.prometheus.text"

local ngx = ngx
local ipairs, next, pairs, type = ipairs, next, pairs, type
local sub = string.sub

-- ---------------------------------------------------------------- errors

local function complain(self, message)
    ngx.log(ngx.ERR, message)
    local metric = self.registry[self.error_metric_name]
    if metric then
        metric:inc(1)
    end
end

-- ---------------------------------------------------------------- series

local function make_series(metric, labels, n)
    local values = {}
    for i = 1, n do
        values[i] = labels[i]
        if values[i] == nil then
            values[i] = "nil"
        end
    end
    local shown = text.labels(metric.label_names, values)
    local key = metric.name .. "{" .. shown .. "}" .. metric.signature
    local series = metric.series[key]
    if series then
        return series
    end
    series = { key = key, metric = metric, delta = 0, dirty = false }
    if metric.bounds then
        series.sum = 0
        series.counts = {}
        for i = 1, #metric.bounds + 1 do
            series.counts[i] = 0
        end
    end
    metric.series[key] = series
    return series
end

-- The tree of labels' values that are known, with a series at the end of each path. It is begun
-- anew when it has grown too large; what is not in the dictionary yet is remembered elsewhere.
local function grow(metric, labels, n)
    local parent = metric.parent
    if metric.known >= parent.lookup_max_size then
        metric.tree, metric.series, metric.known = {}, {}, 0
        for _, series in ipairs(parent.changed) do
            if series.metric == metric then
                metric.series[series.key] = series
            end
        end
    end
    metric.known = metric.known + 1
    local series = make_series(metric, labels, n)
    local node = metric.tree
    for i = 1, n do
        local value = labels[i]
        if value == nil then
            value = "nil"
        end
        if i == n then
            node[value] = series
        else
            local below = node[value]
            if not below then
                below = {}
                node[value] = below
            end
            node = below
        end
    end
    return series
end

local function wrong_labels(metric, labels)
    local got = type(labels) == "table" and #labels or labels ~= nil and 1 or 0
    complain(metric.parent, "Inconsistent labels count for metric " .. metric.name .. ", expected "
        .. metric.label_count .. ", got " .. got)
end

-- The series of some labels; nil after an error was counted.
local function series_of(metric, labels)
    local n = metric.label_count
    if n == 0 then
        if labels ~= nil and (type(labels) ~= "table" or next(labels) ~= nil) then
            return wrong_labels(metric, labels)
        end
        local series = metric.only
        if not series then
            series = make_series(metric, {}, 0)
            metric.only = series
        end
        return series
    end
    if type(labels) ~= "table" or labels[n] == nil or labels[n + 1] ~= nil then
        return wrong_labels(metric, labels)
    end
    local node = metric.tree
    for i = 1, n do
        local value = labels[i]
        if value == nil then
            value = "nil"
        end
        node = node[value]
        if not node then
            return grow(metric, labels, n)
        end
    end
    return node
end

-- ---------------------------------------------------------------- into the dictionary

-- Adds to a number of a series that may have been deleted; nil, error.
local function add(self, key, delta)
    local dict = self.dict
    local ok, err = dict:incr(key, delta)
    if ok then
        return true
    elseif err == "not found" then
        ok, err = self.index:add(key)
        if ok ~= nil then
            ok, err = dict:incr(key, delta)
        end
    end
    return ok, err
end

local function bucket_key(series, i)
    return series.key .. "\2" .. (series.metric.bounds[i] or "+Inf")
end

local function sync_histogram(self, series)
    local counts = series.counts
    local ok, err = add(self, series.key, series.sum)
    series.sum = 0
    for i = 1, #counts do
        local count = counts[i]
        if count > 0 then
            counts[i] = 0
            if ok then
                local key = bucket_key(series, i)
                ok, err = self.dict:safe_add(key, count)
                if not ok and err == "exists" then
                    ok, err = self.dict:incr(key, count)
                end
            end
        end
    end
    return ok, err
end

local function sync(self)
    local changed = self.changed
    if #changed == 0 then
        return
    end
    self.changed = {}
    local failed
    for i = 1, #changed do
        local series = changed[i]
        series.dirty = false
        local ok, err
        if series.counts then
            ok, err = sync_histogram(self, series)
        else
            ok, err = add(self, series.key, series.delta)
            series.delta = 0
        end
        failed = failed or not ok and err
    end
    if failed and not self.failing then
        self.failing = true -- the counter of errors may not be counted either
        complain(self, "Error while adding to the dictionary '" .. self.dict_name .. "': " .. failed)
    elseif not failed then
        self.failing = false
    end
end

local function on_timer(_, self)
    self.armed = false
    sync(self)
end

-- A series has something to be added: soon, or now where there is no later.
local function touch(self, series)
    series.dirty = true
    local changed = self.changed
    changed[#changed + 1] = series
    if self.armed then
        return
    elseif ngx.get_phase() == "init" or not ngx.timer.at(self.sync_interval, on_timer, self) then
        self.touched_now = true
    else
        self.armed = true
    end
end

-- Behind a change, for where there is no later.
local function settle(self)
    if self.touched_now then
        self.touched_now = false
        sync(self)
    end
end

-- ---------------------------------------------------------------- removing

local function forget(metric)
    metric.tree, metric.series, metric.known, metric.only = {}, {}, 0, nil
end

local function remove(self, metric, key)
    self.index:remove(key)
    self.index:forget(key)
    for i = 1, metric.bounds and #metric.bounds + 1 or 0 do
        self.dict:delete(key .. "\2" .. (metric.bounds[i] or "+Inf"))
    end
end

local function is_of(metric, key)
    local name = metric.name
    return sub(key, 1, #name + 1) == name .. "{" and sub(key, -#metric.signature - 1) ==
        "}" .. metric.signature
end

-- Lets other workers add what they have, where that is known to take time.
local function wait_for_others(self)
    sync(self)
    ngx.sleep(self.sync_interval)
end

local function delete(metric, labels, wait)
    local self = metric.parent
    local series = series_of(metric, labels)
    if not series then
        return
    end
    if wait then
        wait_for_others(self)
    end
    sync(self)
    remove(self, metric, series.key)
end

local function reset(metric, wait)
    local self = metric.parent
    if wait then
        wait_for_others(self)
    end
    sync(self)
    local gone = {}
    for key in pairs((self.index:all())) do
        if is_of(metric, key) then
            gone[#gone + 1] = key
        end
    end
    for _, key in ipairs(gone) do
        remove(self, metric, key)
    end
    forget(metric)
    self.shown = nil
end

return {
    complain = complain,
    of = series_of,
    add = add,
    sync = sync,
    touch = touch,
    settle = settle,
    is_of = is_of,
    delete = delete,
    reset = reset,
}
