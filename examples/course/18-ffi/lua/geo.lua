-- Our own library, libgeo.so: structs, memory, a callback.
local ffi = require "ffi"

ffi.cdef [[
    struct geo_point { double lat, lon; };
    double geo_radians(double degrees);
    double geo_distance(const struct geo_point *a, const struct geo_point *b);
    double geo_length(const struct geo_point *way, size_t count);
    char *geo_text(const struct geo_point *p);
    void geo_free(void *memory);
    size_t geo_each(const struct geo_point *way, size_t count, int (*visit)(const struct geo_point *));
]]

local lib = ffi.load(ngx.config.prefix() .. "libgeo.so")
local point = ffi.typeof("struct geo_point") -- looked up once, not with each call
local points = ffi.typeof("struct geo_point[?]")

local geo = { point = point }

-- Keep the library in a local, not its functions: the JIT compiler knows lib.geo_radians as a
-- constant, and makes a call of it as C would.
function geo.radians(degrees)
    return lib.geo_radians(degrees)
end

function geo.distance(a, b)
    return lib.geo_distance(a, b)
end

-- A struct can be given where C wants a pointer to it. Lua keeps an array alive as long as a
-- variable has it; a bare pointer into it keeps nothing alive.
function geo.length(way)
    local array = points(#way)
    for i, p in ipairs(way) do
        array[i - 1] = p -- copies; and C counts from 0
    end
    return lib.geo_length(array, #way)
end

-- What C has allocated, Lua's collector does not know. ffi.gc() tells it how to let go, also when
-- an error comes in between. NULL is not nil: compare it.
function geo.text(p)
    local memory = lib.geo_text(p)
    if memory == nil then
        return nil, "no memory"
    end
    return ffi.string(ffi.gc(memory, lib.geo_free))
end

-- A Lua function for C to call: slow, few of them exist, each must be freed by hand, it may not wait
-- (ngx.sleep, sockets) nor raise an error, and what calls C must not be compiled by the JIT. Where
-- you can, let C fill an array and loop over it in Lua.
local function each(way, visit)
    local array = points(#way)
    for i, p in ipairs(way) do
        array[i - 1] = p
    end
    local callback = ffi.cast("int (*)(const struct geo_point *)", visit)
    local visited = lib.geo_each(array, #way, callback)
    callback:free()
    return tonumber(visited)
end
jit.off(each)
geo.each = each

return geo
