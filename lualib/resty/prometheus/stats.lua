-- The server's own counters (ngx.stats) as metrics.

local stats = require "ngx.stats"

local _M = {}

-- name, type, help, then for each sample its labels, the counter, and what it is divided by.
local metrics = {
    { "nginx_connections_accepted_total", "counter", "Client connections accepted.", { "", "accepted" } },
    { "nginx_connections_handled_total", "counter", "Client connections that got a place.", { "", "handled" } },
    { "nginx_connections_closed_total", "counter", "Client connections closed.", { "", "closed" } },
    { "nginx_connections", "gauge", "Client connections now, by what they do.",
        { 'state="reading"', "reading" }, { 'state="writing"', "writing" }, { 'state="waiting"', "waiting" } },
    { "nginx_requests_total", "counter", "Requests begun.", { "", "requests" } },
    { "nginx_responses_total", "counter", "Responses, by the class of their status.",
        { 'class="1xx"', "status_1xx" }, { 'class="2xx"', "status_2xx" }, { 'class="3xx"', "status_3xx" },
        { 'class="4xx"', "status_4xx" }, { 'class="5xx"', "status_5xx" } },
    { "nginx_request_seconds_total", "counter", "Time from the start of requests to their end, in all.",
        { "", "request_ms", 1000 } },
    { "nginx_received_bytes_total", "counter", "Bytes received from clients.", { "", "bytes_in" } },
    { "nginx_sent_bytes_total", "counter", "Bytes sent to clients.", { "", "bytes_out" } },
    { "nginx_lua_blocked_total", "counter", "Times that Lua code held the event loop for too long.",
        { "", "lua_blocked" } },
    { "nginx_lua_memory_bytes", "gauge", "Memory of Lua in all workers.", { "", "lua_bytes" } },
    { "nginx_timers_fired_total", "counter", "Timers of the event loop that have fired.", { "", "timers_fired" } },
    { "nginx_timers_late_seconds_total", "counter", "How late timers have fired, in all.",
        { "", "timers_late_ms", 1000 } },
}

-- Calls metric(name, type, help) and sample(name, labels, value) for all of them.
function _M.each(metric, sample)
    local sum = stats.sum()
    for i = 1, #metrics do
        local row = metrics[i]
        if metric(row[1], row[2], row[3]) then
            for j = 4, #row do
                sample(row[1], row[j][1], sum[row[j][2]] / (row[j][3] or 1))
            end
        end
    end
end

return _M
