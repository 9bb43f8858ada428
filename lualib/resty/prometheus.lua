--- resty.prometheus: counters, gauges and histograms for Prometheus.
--
--     -- lua_shared_dict prometheus_metrics 10m;
--     init_worker_by_lua_block {
--         prometheus = require("resty.prometheus").init("prometheus_metrics", { server = true })
--         requests = prometheus:counter("http_requests_total", "Requests", { "host", "status" })
--         latency = prometheus:histogram("http_request_seconds", "Latency", { "host" })
--     }
--     log_by_lua_block {
--         requests:inc(1, { ngx.var.server_name, ngx.var.status })
--         latency:observe(tonumber(ngx.var.request_time), { ngx.var.server_name })
--     }
--     server {
--         listen 127.0.0.1:9145;
--         location = /metrics { content_by_lua_block { prometheus:collect() } }
--     }
--
-- `require "prometheus"` is the same library.
--
-- **Counters and histograms** are counted in the worker's own memory, without a lock: inc() and
-- observe() touch nothing that is shared. What has come together is added to the shared dictionary
-- `sync_interval` seconds after the first change, by a timer that runs only when there is
-- something to add; so a scrape sees what is older than that. A worker that ends, by a reload or a stop,
-- adds what it has; one that is killed loses what it has counted in the last `sync_interval`.
-- All else outlives workers and reloads. **Gauges** are set in the dictionary at once.
--
-- collect() shows the metrics that are registered in its worker, so register them in
-- `init_worker_by_lua` (or `init_by_lua`). Series are listed in the dictionary by number: no scrape
-- goes through its keys, or holds it locked. Nothing is thrown out when it is full: then what is
-- new is not counted.
--
-- With the option `server` the server's own counters are among the metrics: connections, requests,
-- responses by class, bytes, Lua's memory and the delay of the event loop, as `nginx_…`.
--
-- What goes wrong while counting (a wrong number of labels, a value that is none, a dictionary
-- that is full) is logged and counted in `nginx_metric_errors_total`, and never raised. Only a
-- dictionary that does not exist is an error of init().
--
-- Characters that can't be printed, and bytes that are no UTF-8, are left out of labels' values.

local bit = require "bit"
local index = require "resty.prometheus.index"
local text = require "resty.prometheus.text"

local ngx = ngx
local error, ipairs, next, pairs, setmetatable, tonumber, tostring, type =
    error, ipairs, next, pairs, setmetatable, tonumber, tostring, type
local concat, sort = table.concat, table.sort
local find, sub = string.find, string.sub
local format_number = text.number
local tohex = bit.tohex

local DEFAULT_BUCKETS = {
    0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 1.5, 2, 3, 4, 5, 10,
}

local _M = { _VERSION = "0.20240525" }

---@class resty.prometheus
local mt = { __index = _M }

---@class resty.prometheus.options
---@field prefix? string in front of all names
---@field error_metric_name? string "nginx_metric_errors_total"
---@field sync_interval? number seconds; 1
---@field lookup_max_size? integer series of a metric whose labels a worker remembers; 1000
---@field server? boolean true: with the server's own counters

-- A series in this worker: key, and what is not in the dictionary yet: delta; of histograms `sum`
-- and `counts` by bucket, the last one for what is above all bounds. `dirty`: it has some.

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

-- ---------------------------------------------------------------- counters

---@class resty.prometheus.counter
local counter = {}
counter.__index = counter

--- Adds to a counter, in this worker's memory.
---@param value? number not below zero; 1
---@param labels? any[] the values of its labels
function counter:inc(value, labels)
    if value == nil then
        value = 1
    elseif type(value) ~= "number" then
        value = tonumber(value)
    end
    if not value or not (value >= 0) then
        complain(self.parent, "Value of " .. self.name .. " should be a number not below zero")
        return
    end
    local series = series_of(self, labels)
    if not series then
        return
    end
    series.delta = series.delta + value
    if not series.dirty then
        touch(self.parent, series)
        settle(self.parent)
    end
end

--- Removes the series of some labels, after waiting `sync_interval` for other workers to add what they have.
---@param labels? any[]
function counter:del(labels)
    delete(self, labels, true)
end

--- Removes all series, after waiting `sync_interval` for other workers to add what they have.
function counter:reset()
    reset(self, true)
end

-- ---------------------------------------------------------------- gauges

---@class resty.prometheus.gauge
local gauge = {}
gauge.__index = gauge

local function finite(metric, value)
    local number = tonumber(value)
    if not number then
        complain(metric.parent, "Value of " .. metric.name .. " is not a number: " .. tostring(value))
    end
    return number
end

local function gauge_failed(metric, err)
    complain(metric.parent, "Error while setting '" .. metric.name .. "': " .. tostring(err))
end

--- Sets a gauge, for all workers.
---@param value number
---@param labels? any[] the values of its labels
function gauge:set(value, labels)
    value = finite(self, value)
    local series = value and series_of(self, labels)
    if not series then
        return
    end
    local self_index, dict, key = self.parent.index, self.parent.dict, series.key
    local ok, err = dict:replace(key, value)
    if not ok and err == "not found" then
        ok, err = self_index:add(key)
        if ok ~= nil then
            ok, err = dict:replace(key, value)
        end
    end
    if not ok then
        gauge_failed(self, err)
    end
end

--- Adds to a gauge, for all workers.
---@param value? number also below zero; 1
---@param labels? any[]
function gauge:inc(value, labels)
    value = value == nil and 1 or finite(self, value)
    local series = value and series_of(self, labels)
    if not series then
        return
    end
    local ok, err = add(self.parent, series.key, value)
    if not ok then
        gauge_failed(self, err)
    end
end

--- Removes the series of some labels.
---@param labels? any[]
function gauge:del(labels)
    delete(self, labels, false)
end

--- Removes all series.
function gauge:reset()
    reset(self, false)
end

-- ---------------------------------------------------------------- histograms

---@class resty.prometheus.histogram
local histogram = {}
histogram.__index = histogram

--- Counts a value in its bucket, in this worker's memory.
---@param value number
---@param labels? any[] the values of its labels
function histogram:observe(value, labels)
    if type(value) ~= "number" then
        value = finite(self, value)
    end
    local series = value and series_of(self, labels)
    if not series then
        return
    end
    local bounds, counts = self.bounds, series.counts
    local i, count = 1, #bounds
    while i <= count and not (value <= bounds[i]) do
        i = i + 1
    end
    counts[i] = counts[i] + 1
    series.sum = series.sum + value
    if not series.dirty then
        touch(self.parent, series)
        settle(self.parent)
    end
end

--- Removes the series of some labels, after waiting `sync_interval` for other workers to add what they have.
---@param labels? any[]
function histogram:del(labels)
    delete(self, labels, true)
end

--- Removes all series, after waiting `sync_interval` for other workers to add what they have.
function histogram:reset()
    reset(self, true)
end

-- ---------------------------------------------------------------- registering

--- Makes the object that metrics are registered with.
---@param dict_name? string "prometheus_metrics"
---@param options? resty.prometheus.options|string a string is the prefix
---@return resty.prometheus
function _M.init(dict_name, options)
    if type(options) == "string" then
        options = { prefix = options }
    end
    options = options or {}
    dict_name = dict_name or "prometheus_metrics"
    local dict = ngx.shared[dict_name]
    if not dict then
        error("Dictionary '" .. dict_name .. "' does not seem to exist. "
            .. "Please define the dictionary using `lua_shared_dict`.", 2)
    end
    local self = setmetatable({
        dict_name = dict_name,
        dict = dict,
        index = index.new(dict),
        prefix = options.prefix or "",
        sync_interval = options.sync_interval or 1,
        lookup_max_size = options.lookup_max_size or 1000,
        server = options.server,
        registry = {},
        changed = {},
        armed = false,
        touched_now = false,
        initialized = true,
    }, mt)
    local error_metric = options.error_metric_name or "nginx_metric_errors_total"
    self.error_metric_name = self.prefix .. error_metric
    local errors = self:counter(error_metric, "Errors while counting metrics.")
    if errors and not dict:get(series_of(errors).key) then
        errors:inc(0)
    end
    return self
end

--- Does nothing: workers begin to add to the dictionary by themselves. For programs that call it.
---@param sync_interval? number seconds, instead of the option
function _M.init_worker(self, sync_interval)
    self.sync_interval = sync_interval or self.sync_interval
end

local function register(self, class, kind, name, description, label_names, bounds)
    label_names = label_names or {}
    local wrong = text.check(name, label_names, bounds ~= nil)
    local full = self.prefix .. tostring(name)
    if not wrong and self.registry[full] then
        wrong = "Duplicate metric " .. full
    end
    if wrong then
        complain(self, wrong)
        return nil
    end
    local metric = setmetatable({
        parent = self,
        kind = kind,
        name = full,
        help = description,
        label_names = label_names,
        label_count = #label_names,
        bounds = bounds,
        signature = bounds and "\3" .. tohex(ngx.crc32_long(concat(bounds, " "))) or "",
        tree = {},
        series = {},
        known = 0,
    }, class)
    self.registry[full] = metric
    self.shown = nil
    return metric
end

--- Registers a counter.
---@param name string
---@param description? string
---@param label_names? string[]
---@return resty.prometheus.counter? counter nil when the name is bad or taken: it is logged
function _M.counter(self, name, description, label_names)
    return register(self, counter, "counter", name, description, label_names)
end

--- Registers a gauge.
---@param name string
---@param description? string
---@param label_names? string[]
---@return resty.prometheus.gauge? gauge
function _M.gauge(self, name, description, label_names)
    return register(self, gauge, "gauge", name, description, label_names)
end

--- Registers a histogram.
---@param name string
---@param description? string
---@param label_names? string[]
---@param buckets? number[] upper bounds; without them 19 of 5 ms to 10 s
---@return resty.prometheus.histogram? histogram
function _M.histogram(self, name, description, label_names, buckets)
    local bounds, wrong = text.buckets(buckets or DEFAULT_BUCKETS)
    if not bounds then
        complain(self, tostring(name) .. ": " .. wrong)
        return nil
    end
    return register(self, histogram, "histogram", name, description, label_names, bounds)
end

-- ---------------------------------------------------------------- showing

local function metric_of(self, key)
    local brace = find(key, "{", 1, true)
    local metric = brace and self.registry[sub(key, 1, brace - 1)]
    return metric and is_of(metric, key) and metric
end

-- Metrics by name, and the keys of each one's series, in order.
local function arrange(self)
    local keys, fresh = self.index:all()
    if self.shown and not fresh then
        return self.shown
    end
    local by_metric, shown = {}, {}
    for key in pairs(keys) do
        local metric = metric_of(self, key)
        if metric then
            local list = by_metric[metric]
            if not list then
                list = { metric = metric }
                by_metric[metric] = list
                shown[#shown + 1] = list
            end
            list[#list + 1] = key
        end
    end
    for i = 1, #shown do
        sort(shown[i])
    end
    sort(shown, function(a, b) return a.metric.name < b.metric.name end)
    self.shown = shown
    return shown
end

local function put_sample(out, name, labels, value)
    out[#out + 1] = name .. (labels == "" and " " or "{" .. labels .. "} ")
        .. format_number(value) .. "\n"
end

local function put_head(out, name, kind, help)
    if help then
        out[#out + 1] = "# HELP " .. name .. " " .. text.help(help) .. "\n"
    end
    out[#out + 1] = "# TYPE " .. name .. " " .. kind .. "\n"
end

local function put_histogram(self, out, metric, key, labels, sum)
    local total = 0
    local more = labels == "" and "" or ","
    for i = 1, #metric.bounds + 1 do
        local bound = metric.bounds[i]
        total = total + (self.dict:get(key .. "\2" .. (bound or "+Inf")) or 0)
        put_sample(out, metric.name .. "_bucket",
            labels .. more .. 'le="' .. (bound and format_number(bound) or "+Inf") .. '"', total)
    end
    put_sample(out, metric.name .. "_sum", labels, sum)
    put_sample(out, metric.name .. "_count", labels, total)
end

local function put_metric(self, out, list)
    local metric = list.metric
    local headed = false
    local tail = #metric.signature + 1
    for i = 1, #list do
        local key = list[i]
        local value = self.dict:get(key)
        if value then
            if not headed then
                put_head(out, metric.name, metric.kind, metric.help)
                headed = true
            end
            local labels = sub(key, #metric.name + 2, -tail - 1)
            if metric.bounds then
                put_histogram(self, out, metric, key, labels, value)
            else
                put_sample(out, metric.name, labels, value)
            end
        else
            self.index:forget(key)
            self.shown = nil
        end
    end
end

local function put_server(self, out)
    require("resty.prometheus.stats").each(function(name, kind, help)
        if self.registry[self.prefix .. name] then
            return false
        end
        put_head(out, self.prefix .. name, kind, help)
        return true
    end, function(name, labels, value)
        put_sample(out, self.prefix .. name, labels, value)
    end)
end

--- All metrics, in the text format of Prometheus.
---@return string[] lines each with a line end
function _M.metric_data(self)
    sync(self)
    local out = {}
    local shown = arrange(self)
    for i = 1, #shown do
        put_metric(self, out, shown[i])
    end
    if self.server then
        put_server(self, out)
    end
    return out
end

--- Answers the current request with all metrics.
function _M.collect(self)
    ngx.header["Content-Type"] = "text/plain; version=0.0.4"
    ngx.print(self:metric_data())
end

return _M
