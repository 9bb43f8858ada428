-- resty.router: patterns are taken or refused with "bad route", and paths lead to one or to none.
local fuzz = require "fuzz"
local router = require "resty.router"

local patterns = {
    "/", "/a", "/a/:id", "/a/:id/b", "/files/*path", "/x-:name.html", "/n/:id(\\d+)", "/n/:id([a-z]+)", "/a/b/", "/:lang/a", "/%61", "/a//b", "*",
}
local paths = { "/", "/a", "/a/7", "/a/7/b", "/files/x/y/z", "/x-y.html", "/n/12", "/n/ab", "/a/b", "/de/a", "/a%2Fb", "/%zz", "/a/%00", "//", "/a/../b" }

fuzz.run {
    name = "router",
    corpus = patterns,
    check = function(text)
        local r = router.new { ignore_trailing_slash = fuzz.random(2) == 1 }
        local taken = {}
        for i = 1, fuzz.random(6) do
            local pattern = (i == 1 and text or fuzz.mutate(patterns)):sub(1, 500)
            local ok, err = pcall(r.get, r, pattern, pattern)
            assert(ok or type(err) == "string" and err:find("bad route", 1, true), err)
            taken[pattern] = ok or nil
        end
        for _ = 1, 4 do
            local path = fuzz.random(4) == 1 and text or fuzz.mutate(paths)
            local handler, params = r:match(fuzz.pick { "GET", "HEAD", "POST" }, path)
            if handler then
                assert(taken[handler] and type(params) == "table", "a route that is none")
                for name, value in pairs(params) do
                    assert(type(name) == "string" and type(value) == "string", "a bad parameter")
                end
            else
                assert(params == "not found" or params == "method not allowed", params)
            end
        end
    end,
}
