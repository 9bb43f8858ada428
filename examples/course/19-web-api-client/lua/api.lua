-- Calling another API: one function that knows about time-outs, statuses, JSON and trying again.
local cjson = require "cjson.safe"
local http = require "resty.http"

local URL = os.getenv("API_URL") or "http://127.0.0.1:8081"
local TRIES, PAUSE = 3, 0.1 -- seconds before the second try; twice as long before the third

local api = {}

-- One exchange. The value; or nil, the status that our own client should get, and a message.
local function get(path, query)
    local client = http.new() -- belongs to this request; the connection comes from a pool
    client:set_timeouts(1000, 2000, 2000) -- milliseconds to connect, send, read
    local res, err = client:request_uri(URL .. path, {
        query = query, headers = { Accept = "application/json" },
        keepalive_timeout = 10000, keepalive_pool = 20,
    })
    if not res then
        return nil, err == "timeout" and 504 or 502, "the shop: " .. err
    elseif res.status == 404 then
        return nil, 404, "the shop has no such thing"
    elseif res.status ~= 200 then
        return nil, res.status == 503 and 503 or 502, "the shop says " .. res.status
    end
    local value = cjson.decode(res.body)
    if type(value) ~= "table" then
        return nil, 502, "the shop speaks no JSON"
    end
    return value
end
api.get = get

-- Tries again what may be better next time. Only for what may be done twice (GET): after a time-out
-- nobody knows whether the other side has done it. And not for ever: it is trouble enough as it is.
function api.get_stubbornly(path, query)
    local pause = PAUSE
    for try = 1, TRIES do
        local value, status, message = get(path, query)
        if value or status == 404 or try == TRIES then
            return value, status, message
        end
        ngx.log(ngx.WARN, message, ", try ", try, " of ", TRIES)
        ngx.sleep(pause * (0.5 + math.random())) -- not all clients at the same moment
        pause = pause * 2
    end
end

-- Several at once, each in a light thread. Results are in the order of the questions; one that
-- failed is { error = ... }, and does not harm the others.
function api.get_all(questions)
    local threads, results = {}, {}
    for i, question in ipairs(questions) do
        threads[i] = ngx.thread.spawn(get, question.path, question.query)
    end
    for i, thread in ipairs(threads) do
        local ok, value, _, message = ngx.thread.wait(thread)
        results[i] = ok and value or { error = message or "failed" }
    end
    return results
end

return api
