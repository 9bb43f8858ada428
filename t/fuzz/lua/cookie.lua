-- resty.cookie: the Cookie field, and what is made for Set-Cookie.
local fuzz = require "fuzz"

local variables, headers = {}, {}
ngx.var = variables
ngx.header = headers

local cookie = require "resty.cookie"

local corpus = {
    "a=b", "a=b; c=d", 'a="quoted; b=c"', "a=; =b; ;", "a = b ;c", "a=b; a=c", "__Host-x=1; y=%20", "a==b", "  a=b  ", "\t", "ä=ö",
}

fuzz.run {
    name = "cookie",
    corpus = corpus,
    check = function(text)
        variables.http_cookie = text
        local all = assert(assert(cookie:new()):get_all())
        for name, value in pairs(all) do
            assert(name ~= "" and not name:find("[=;%s]") and not value:find(";", 1, true), "a bad cookie")
            fuzz.same(assert(cookie:new()):get(name), value)
        end
        -- What can be set is one cookie, which comes back.
        headers["Set-Cookie"] = nil
        local key, value = fuzz.mutate(corpus), fuzz.mutate(corpus)
        local ok, err = assert(cookie:new()):set { key = key, value = value, path = fuzz.random(4) == 1 and fuzz.mutate(corpus) or "/" }
        if not ok then
            assert(type(err) == "string", "no reason")
            return
        end
        local field = headers["Set-Cookie"]
        field = type(field) == "table" and field[1] or field
        assert(not field:find("[%z\r\n]"), "a line in a line")
        variables.http_cookie = field:match("^[^;]*")
        local back = assert(cookie:new()):get(key)
        assert(back == value or value:find('^".*"$') or value:find("^%s") or value:find("%s$") or value == "", "round trip")
    end,
}
