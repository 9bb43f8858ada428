-- What must not be kept in a module: anything that belongs to one request.
local greeter = {}

local current -- the mistake: one variable for all requests of the worker

function greeter.wrong(name)
    current = name
    ngx.sleep(0.2) -- stands for a database; meanwhile the worker serves somebody else
    return "Hello, " .. current
end

function greeter.right(name)
    ngx.sleep(0.2)
    return "Hello, " .. name -- a local of this call; or ngx.ctx, if other phases need it, too
end

return greeter
