-- From requests to calls of the shop, and from their results to JSON.
local cjson = require "cjson.safe"
local db = require "db"
local shop = require "shop"

local api = {}

local function answer(status, result, problem, message)
    if not result then
        status, result = problem, { error = message }
    end
    ngx.status = status
    ngx.say(cjson.encode(result))
end

local function json_body()
    ngx.req.read_body()
    local value = cjson.decode(ngx.req.get_body_data() or "")
    return type(value) == "table" and value or nil
end

-- What SQL would refuse is refused here, with an answer that helps: an INT ends at 2147483647.
local function is_count(value)
    return type(value) == "number" and value >= 1 and value <= 2147483647 and value % 1 == 0
end

local function is_text(value, most)
    return type(value) == "string" and value ~= "" and #value <= most
end

local function what_is_wrong(product)
    if not product or not is_text(product.name, 80) then
        return "a product has a name, of 80 bytes at most"
    elseif not is_count(product.price) then
        return "a price is a whole number"
    elseif product.stock ~= nil and product.stock ~= 0 and not is_count(product.stock) then
        return "a stock is a whole number"
    elseif product.note ~= nil and not is_text(product.note, 1000) then
        return "a note is text"
    end
end

function api.products()
    if ngx.req.get_method() == "POST" then
        local product = json_body()
        local wrong = what_is_wrong(product)
        if wrong then
            return answer(422, { error = wrong })
        end
        return answer(201, db.with(shop.add, {
            name = product.name, price = product.price, stock = product.stock or 0,
            note = product.note or ngx.null, -- NULL in SQL is ngx.null in Lua and null in JSON
        }))
    end

    local name = ngx.req.get_uri_args().name
    local rows, status, message
    if type(name) == "string" then
        rows, status, message = db.with(shop.named, name)
    else
        rows, status, message = db.with(shop.all)
    end
    -- An empty table could be {} or []: say that it is an array.
    answer(200, rows and setmetatable(rows, cjson.array_mt), status, message)
end

function api.orders()
    local order = json_body()
    if not order or not is_count(order.product) or not is_count(order.count) then
        return answer(422, { error = "an order has a product's number and a count" })
    end
    answer(201, db.transaction(shop.order, order.product, order.count))
end

function api.pool()
    answer(200, db.with(function(connection)
        local row = assert(connection:query("SELECT CONNECTION_ID() AS id"))[1]
        return { connection = row.id, used_before = connection:get_reused_times() }
    end))
end

return api
