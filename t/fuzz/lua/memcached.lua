-- resty.memcached: replies, one by one and to a pipeline.
local fuzz = require "fuzz"
local memcached = require "resty.memcached"

local VALUE = "VALUE a 5 3\r\nabc\r\nEND\r\n"

local corpus = {
    VALUE, "END\r\n", "VALUE a 0 0\r\n\r\nEND\r\n", "VALUE a 5 3 17\r\nabc\r\nEND\r\n", "STORED\r\n", "NOT_STORED\r\n", "EXISTS\r\n",
    "NOT_FOUND\r\n", "DELETED\r\n", "17\r\n", "OK\r\n", "VERSION 1.6.18\r\n", "STAT pid 1\r\nSTAT x y z\r\nEND\r\n", "ERROR\r\n",
    "CLIENT_ERROR bad\r\n", "SERVER_ERROR out of memory\r\n", "TOUCHED\r\n", VALUE .. "STORED\r\n" .. VALUE,
    "VALUE a 0 1\r\nx\r\nVALUE b 1 2\r\nyz\r\nEND\r\n",
}

local calls = {
    function(memc) return memc:get("a") end,
    function(memc) return memc:get { "a", "b" } end,
    function(memc) return memc:gets("a") end,
    function(memc) return memc:gets { "a", "b" } end,
    function(memc) return memc:set("a", "value") end,
    function(memc) return memc:cas("a", "value", "17") end,
    function(memc) return memc:delete("a") end,
    function(memc) return memc:incr("a", 1) end,
    function(memc) return memc:touch("a", 1) end,
    function(memc) return memc:stats() end,
    function(memc) return memc:version() end,
    function(memc) return memc:flush_all() end,
    function(memc)
        memc:init_pipeline()
        memc:get("a")
        memc:set("a", "b")
        memc:get("a")
        return memc:commit_pipeline()
    end,
}

-- Errors after which a connection is as good as before.
local HARMLESS = { "^NOT_", "^EXISTS", "^ERROR", "^CLIENT_ERROR", "^SERVER_ERROR", "^no pipeline" }

local function is_harmless(err)
    for _, pattern in ipairs(HARMLESS) do
        if err:find(pattern) then
            return true
        end
    end
end

local function reason(results)
    for i = 4, 2, -1 do
        if type(results[i]) == "string" then
            return results[i]
        end
    end
end

fuzz.run {
    name = "memcached",
    corpus = corpus,
    check = function(bytes)
        local which = fuzz.random(#calls)
        local call = calls[which]
        local function ask(address)
            local memc = assert(memcached:new())
            memc:set_timeouts(1000, 1000, fuzz.timeout)
            assert(memc:connect(address, nil, { pool = "p" }))
            assert(memc:get_reused_times() == 0, "what failed before came out of the pool")
            local results = { call(memc) }
            local err = results[1] == nil and reason(results)
            local kept = err and not is_harmless(err) and memc:set_keepalive(1000, 10)
            assert(not kept, "a lost connection was kept: " .. tostring(err))
            memc:close()
            return unpack(results, 1, 4)
        end
        fuzz.exchange(bytes, ask)
        fuzz.agreement(bytes, ask)
    end,
}
