-- The dishes, in memory that all workers share.
local cjson = require "cjson"

local dict = ngx.shared.menu

local menu = {}

function menu.get(id)
    local text = dict:get("dish:" .. id)
    return text and cjson.decode(text)
end

function menu.all()
    local all = {}
    for id = 1, dict:get("last") or 0 do
        all[#all + 1] = menu.get(id)
    end
    return all
end

function menu.add(dish)
    dish.id = dict:incr("last", 1, 0)
    assert(dict:safe_set("dish:" .. dish.id, cjson.encode(dish)))
    return dish.id
end

return menu
