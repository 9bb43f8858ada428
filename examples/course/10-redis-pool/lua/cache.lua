-- Keeps what is dear to make in Redis. A cache is a help, not a need: without Redis everything
-- still works, only slower.
local store = require "store"

local cache = {}

-- The text for a key, and "HIT" (from Redis), "MISS" (made, and kept for so many seconds) or
-- "BYPASS" (made, Redis is not there).
function cache.get(key, seconds, make)
    local red, err = store.open()
    if not red then
        ngx.log(ngx.WARN, "Redis: ", err, ": working without the cache")
        return make(), "BYPASS"
    end

    local text
    text, err = red:get("course:cache:" .. key)
    if not text then
        ngx.log(ngx.WARN, "Redis: ", err, ": working without the cache")
        return make(), "BYPASS"
    end
    store.keep(red) -- others can use it while we work
    if text ~= ngx.null then -- no such key is ngx.null; an error was nil
        return text, "HIT"
    end

    text = make()
    red = store.open()
    if red and red:set("course:cache:" .. key, text, "EX", seconds) then
        store.keep(red)
    end
    return text, "MISS"
end

function cache.forget(key)
    local red = store.open()
    if red and red:del("course:cache:" .. key) then
        store.keep(red)
    end
end

return cache
