-- The tasks, in a shared dictionary: its values are texts and numbers, so a task is kept as JSON.
local cjson = require "cjson"

local dict = ngx.shared.tasks

local tasks = {}

local function key(id)
    return "task:" .. id
end

function tasks.get(id)
    local text = dict:get(key(id))
    return text and cjson.decode(text)
end

-- safe_set() refuses when the memory is full; set() would throw an older task away.
function tasks.put(task)
    assert(dict:safe_set(key(task.id), cjson.encode(task)))
end

function tasks.add(task)
    task.id = dict:incr("last", 1, 0) -- in one step: no two workers get the same number
    tasks.put(task)
end

function tasks.remove(id)
    if not dict:get(key(id)) then
        return false
    end
    dict:delete(key(id))
    return true
end

-- By number. Good for some hundreds; a database has an index for more.
function tasks.all()
    local all = {}
    for _, name in ipairs(dict:get_keys(0)) do
        local task = name:find("^task:") and tasks.get(name:sub(6))
        if task then
            all[#all + 1] = task
        end
    end
    table.sort(all, function(a, b) return a.id < b.id end)
    return all
end

return tasks
