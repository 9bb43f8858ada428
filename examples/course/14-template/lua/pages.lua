-- The pages: which template, and what it gets to see.
local menu = require "menu"
local template = require "resty.template"

template.root = ngx.config.prefix() .. "templates"

local pages = {}

local function show(status, name, context)
    ngx.status = status
    template.render(name, context) -- compiled once, then taken from the worker's cache
end

function pages.menu(status, form, wrong)
    show(status or 200, "menu.html", {
        title = "Warung Melati", dishes = menu.all(), form = form or {}, wrong = wrong or {},
    })
end

function pages.dish(id)
    local dish = menu.get(id)
    if not dish then
        return show(404, "missing.html", { title = "Not on the menu" })
    end
    show(200, "dish.html", { title = dish.name, dish = dish })
end

-- Fine: go and see it (303), so that "reload" sends nothing twice. Not fine: the form again, with
-- what was written in it.
function pages.add()
    if ngx.req.get_method() ~= "POST" then
        ngx.header["Allow"] = "POST"
        return ngx.exit(405)
    end
    ngx.req.read_body()
    local form = ngx.req.get_post_args() or {}
    local name = type(form.name) == "string" and form.name or ""
    local price = tonumber(form.price)
    local wrong = {
        name = (name == "" or #name > 80) and "A dish has a name." or nil,
        price = (not price or price < 1 or price % 1 ~= 0) and "A price is a whole number." or nil,
    }
    if next(wrong) then
        return pages.menu(422, form, wrong)
    end
    local id = menu.add { name = name, price = price, hot = form.hot == "yes" }
    return ngx.redirect("/dishes/" .. id, 303)
end

return pages
