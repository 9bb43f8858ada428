-- GET: the shelf's books as JSON. POST: a book, as JSON, is looked at and sent back with a number.
local cjson = require "cjson.safe"

local function answer(status, value)
    ngx.status = status
    ngx.header.content_type = "application/json"
    ngx.say(cjson.encode(value))
    return ngx.exit(status)
end

if ngx.req.get_method() == "GET" then
    local books = { { id = 1, title = "Tides" }, { id = 2, title = "Eclipses" } }
    return answer(200, { role = ngx.ctx.role, books = books })
end

ngx.req.read_body()
local book, why = cjson.decode(ngx.req.get_body_data() or "")
if not book then
    return answer(400, { error = "this is no JSON: " .. why })
end
if type(book) ~= "table" or type(book.title) ~= "string" then
    return answer(422, { error = "a book has a title" })
end
ngx.header["Location"] = "/shelf/3"
return answer(201, { id = 3, title = book.title })
