-- Counting visits: three commands, one journey.
local store = require "store"

local visits = {}

function visits.count(page)
    local red, err = store.open()
    if not red then
        return store.unavailable(err)
    end

    -- Between init and commit, commands are only collected. Apart, each of them would wait for
    -- its answer before the next one leaves.
    red:init_pipeline(3)
    red:zincrby("course:visits", 1, page)
    red:expire("course:visits", 86400)
    red:set("course:last", page)
    local results
    results, err = red:commit_pipeline()
    if not results then
        return store.unavailable(err)
    end
    store.keep(red)

    -- One result for each command. A command that Redis refused is { false, message } in it; the
    -- others were executed all the same: a pipeline is no transaction.
    for _, result in ipairs(results) do
        if type(result) == "table" and result[1] == false then
            ngx.log(ngx.ERR, "Redis refuses: ", result[2])
            return ngx.exit(500)
        end
    end
    ngx.say(page, ": visit ", results[1])
end

function visits.top()
    local red, err = store.open()
    if not red then
        return store.unavailable(err)
    end
    local list
    list, err = red:zrevrange("course:visits", 0, 2, "WITHSCORES")
    if not list then
        return store.unavailable(err)
    end
    store.keep(red)
    for i = 1, #list, 2 do
        ngx.say(list[i], " ", list[i + 1])
    end
end

return visits
