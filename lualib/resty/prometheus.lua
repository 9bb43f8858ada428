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
local series = require "resty.prometheus.series"
local text = require "resty.prometheus.text"

local ngx = ngx
local error, pairs, setmetatable, tonumber, tostring, type = error, pairs, setmetatable, tonumber, tostring, type
local concat, sort = table.concat, table.sort
local find, sub = string.find, string.sub
local format_number = text.number
local add, complain, delete, is_of = series.add, series.complain, series.delete, series.is_of
local reset, series_of, settle, sync, touch = series.reset, series.of, series.settle, series.sync, series.touch
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

---@class resty.prometheus.counter
local counter = {}
counter.__index = counter

---@class resty.prometheus.gauge
local gauge = {}
gauge.__index = gauge

---@class resty.prometheus.histogram
local histogram = {}
histogram.__index = histogram

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

-- ---------------------------------------------------------------- counters

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
    local one = series_of(self, labels)
    if not one then
        return
    end
    one.delta = one.delta + value
    if not one.dirty then
        touch(self.parent, one)
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
    local one = value and series_of(self, labels)
    if not one then
        return
    end
    local self_index, dict, key = self.parent.index, self.parent.dict, one.key
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
    local one = value and series_of(self, labels)
    if not one then
        return
    end
    local ok, err = add(self.parent, one.key, value)
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

--- Counts a value in its bucket, in this worker's memory.
---@param value number
---@param labels? any[] the values of its labels
function histogram:observe(value, labels)
    if type(value) ~= "number" then
        value = finite(self, value)
    end
    local one = value and series_of(self, labels)
    if not one then
        return
    end
    local bounds, counts = self.bounds, one.counts
    local i, count = 1, #bounds
    while i <= count and not (value <= bounds[i]) do
        i = i + 1
    end
    counts[i] = counts[i] + 1
    one.sum = one.sum + value
    if not one.dirty then
        touch(self.parent, one)
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
