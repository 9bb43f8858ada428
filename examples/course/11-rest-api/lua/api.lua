-- The API: which function answers which method and path.
--
--     GET    /tasks          200, all; ?done=true only those
--     POST   /tasks          201 and Location, or 422
--     GET    /tasks/:id      200 or 404
--     PUT    /tasks/:id      200: all fields are new
--     PATCH  /tasks/:id      200: only the fields that are given
--     DELETE /tasks/:id      204
local check = require "check"
local cjson = require "cjson.safe"
local router = require("resty.router").new() -- once for the worker, not for each request
local tasks = require "tasks"

local function answer(status, value)
    ngx.status = status
    ngx.header.content_type = "application/json"
    ngx.say(cjson.encode(value))
    return true
end

local function fail(status, message, fields)
    return answer(status, { error = message, fields = fields })
end

-- The body as a table; or nil, and the request is answered.
local function read_json()
    local kind = ngx.var.content_type or ""
    if not kind:find("^application/json") then
        fail(415, "send application/json")
        return nil
    end
    ngx.req.read_body()
    local value, why = cjson.decode(ngx.req.get_body_data() or "")
    if type(value) ~= "table" then
        fail(400, why or "an object, please")
        return nil
    end
    return value
end

local function list()
    local wanted = ngx.req.get_uri_args().done
    local found = setmetatable({}, cjson.array_mt) -- [] and not {} when there is nothing
    for _, task in ipairs(tasks.all()) do
        if not wanted or tostring(task.done) == wanted then
            found[#found + 1] = task
        end
    end
    return answer(200, found)
end

local function create()
    local value = read_json()
    if not value then
        return true
    end
    local task, wrong = check.task(value)
    if not task then
        return fail(422, "not a task", wrong)
    end
    tasks.add(task)
    ngx.header["Location"] = "/tasks/" .. task.id
    return answer(201, task)
end

local function show(params)
    local task = tasks.get(params.id)
    return task and answer(200, task) or fail(404, "no such task")
end

-- PUT and PATCH are the same but for where the fields begin: from nothing, or from what is there.
local function change(params)
    local value = read_json()
    if not value then
        return true
    end
    local old = tasks.get(params.id)
    if not old then
        return fail(404, "no such task")
    end
    if ngx.req.get_method() == "PATCH" then
        for name, was in pairs(old) do
            if value[name] == nil then
                value[name] = was
            end
        end
    end
    local task, wrong = check.task(value)
    if not task then
        return fail(422, "not a task", wrong)
    end
    task.id = old.id
    tasks.put(task)
    return answer(200, task)
end

local function remove(params)
    if not tasks.remove(params.id) then
        return fail(404, "no such task")
    end
    ngx.status = 204
    return true
end

router:get("/tasks", list)
router:post("/tasks", create)
router:get("/tasks/:id(\\d+)", show)
router:add({ "PUT", "PATCH" }, "/tasks/:id(\\d+)", change)
router:delete("/tasks/:id(\\d+)", remove)

return {
    -- HEAD, OPTIONS, 404 and 405 (with Allow) come from the router.
    dispatch = function() router:dispatch() end,
}
