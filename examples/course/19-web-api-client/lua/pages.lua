-- From our pages to calls of the other API.
local api = require "api"
local cjson = require "cjson.safe"

local ITEMS = { "kopi", "teh", "roti" }

local pages = {}

local function answer(value, status, message)
    if not value then
        ngx.log(ngx.ERR, message)
        ngx.status = status
        value = { error = message }
    end
    ngx.say(cjson.encode(value))
end

function pages.price()
    answer(api.get("/price", { item = ngx.var.arg_item or "" }))
end

function pages.prices()
    local questions = {}
    for i, item in ipairs(ITEMS) do
        questions[i] = { path = "/price", query = { item = item } }
    end
    ngx.update_time()
    local start = ngx.now()
    local results = api.get_all(questions)
    ngx.update_time()
    local took = ngx.now() - start
    local list = {}
    for i, item in ipairs(ITEMS) do
        list[item] = results[i].price or cjson.null
    end
    ngx.header["X-Took"] = string.format("%.3f", took)
    answer(list)
end

function pages.stubborn()
    answer(api.get_stubbornly("/flaky"))
end

function pages.impatient()
    answer(api.get("/stuck"))
end

return pages
