-- What the pages show of our library.
local CALLS = 1000000

local pages = {}

local function places(geo)
    return {
        jakarta = geo.point(-6.2, 106.8), makassar = geo.point(-5.1, 119.4),
        banda = geo.point(5.5, 95.3), jayapura = geo.point(-2.5, 140.7),
    }
end

function pages.distance(geo)
    local all = places(geo)
    local from, to = all[ngx.var.arg_from or ""], all[ngx.var.arg_to or ""]
    if not from or not to then
        return ngx.exit(404)
    end
    ngx.say(geo.text(from), " to ", geo.text(to), ": ", math.floor(geo.distance(from, to)), " km")
end

function pages.way(geo)
    local all = places(geo)
    ngx.say(math.floor(geo.length { all.banda, all.jakarta, all.makassar, all.jayapura }), " km")
end

function pages.east(geo)
    local all, most = places(geo), 0
    local visited = geo.each({ all.banda, all.jayapura, all.jakarta }, function(p)
        most = math.max(most, p.lon)
        return 1
    end)
    ngx.say("of ", visited, " places the most eastern one is at ", most)
end

local function nanoseconds(radians)
    local sum = 0
    ngx.update_time()
    local start = ngx.now()
    for i = 1, CALLS do
        sum = sum + radians(i)
    end
    ngx.update_time()
    return math.floor((ngx.now() - start) * 1e9 / CALLS)
end

-- The same work by FFI and by Lua's C API. The JIT compiler makes a call by FFI part of the loop; one
-- by the C API goes over Lua's stack, and the loop around it is not compiled at all.
function pages.race(geo)
    ngx.say("FFI: ", nanoseconds(geo.radians), " ns a call")
    ngx.say("C API: ", nanoseconds(require("geo_capi").radians), " ns a call")
end

-- Without the library there is an answer, too.
function pages.show(name)
    local good, geo = pcall(require, "geo")
    if not good then
        ngx.log(ngx.ERR, "make -C ", ngx.config.prefix(), " first: ", geo)
        ngx.status = 503
        return ngx.say("the library is not there: make it first")
    end
    return pages[name](geo)
end

return pages
