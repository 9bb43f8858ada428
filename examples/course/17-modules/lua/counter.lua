-- State. require() runs this file once in each worker and remembers what it returned; so `here` is
-- one variable for all requests of this worker, and another one in the other worker.
local counter = {}

local here = 0

-- Requests in this worker, and in all of them.
function counter.count()
    here = here + 1
    return here, ngx.shared.counts:incr("all", 1, 0)
end

function counter.here()
    return here
end

-- When this file changes, the new code asks the old one for what it knows (lua_code_cache watch).
function counter.__reload(old)
    here = old.here()
end

return counter
