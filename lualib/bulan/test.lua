--- `bulan test`: runs the tests of files, as busted does.
--
-- A file is loaded when its turn comes; describe() makes the tree as it goes, and the tree is run
-- then. What a file puts into globals and package.loaded goes with it. Everything runs in one task
-- without a request, so tests may sleep, use sockets, and spawn threads.

local asserts = require "bulan.assert"
local ngx, io, os = ngx, io, os
local type, tostring, pairs, ipairs, xpcall = type, tostring, pairs, ipairs, xpcall
local insert, concat, sort = table.insert, table.concat, table.sort
local traceback, getinfo = debug.traceback, debug.getinfo

-- ------------------------------------------------------------- the tree

local root    -- of the file being loaded
local current -- the block whose function runs

local function place_of(f)
    local info = getinfo(f, "S")
    return info.short_src .. ":" .. info.linedefined
end

local function block(name, parent)
    return {
        name = name, parent = parent, children = {},
        setup = {}, teardown = {}, before_each = {}, after_each = {},
    }
end

local function add_block(name, f)
    local made = block(tostring(name), current)
    insert(current.children, made)
    current = made
    f()
    current = made.parent
end

local function add_test(name, f)
    if not f then
        insert(current.children, { name = tostring(name), parent = current, pending = true })
        return
    end
    insert(current.children, {
        name = tostring(name), parent = current, test = f, place = place_of(f),
    })
end

local Pending = {}

-- Inside a test it ends it; outside it adds one.
local function pending(name, f)
    if not current then
        error(setmetatable({ message = name and tostring(name) }, Pending), 0)
    end
    insert(current.children, {
        name = tostring(name), parent = current, pending = true, place = f and place_of(f),
    })
end

local function adder(kind)
    return function(f)
        insert(current[kind], f)
    end
end

local cleanups -- of the test that runs: finally()

local globals = {
    describe = add_block, context = add_block, insulate = add_block, expose = add_block,
    it = add_test, spec = add_test, test = add_test, pending = pending,
    setup = adder("setup"), lazy_setup = adder("setup"), strict_setup = adder("setup"),
    teardown = adder("teardown"), lazy_teardown = adder("teardown"),
    strict_teardown = adder("teardown"),
    before_each = adder("before_each"), after_each = adder("after_each"),
    finally = function(f)
        insert(cleanups, f)
    end,
    assert = asserts.assert, spy = asserts.spy, stub = asserts.stub, match = { _ = asserts.any },
}

-- ------------------------------------------------------------- running

local report, matches_filter

-- What went wrong, as { kind, message, place, trace }.
local function explain(err)
    if getmetatable(err) == Pending then
        return { kind = "pending", message = err.message }
    elseif asserts.is_failure(err) then
        return { kind = "failed", message = err.message, place = err.place }
    end
    local trace = traceback("", 2)
    local own = trace:find("\n\t[C]: in function 'xpcall'\n\tlualib/bulan/test.lua", 1, true)
    trace = (own and trace:sub(1, own - 1) or trace):gsub("^\n", "")
    local text = type(err) == "string" and err or require("bulan.show")(err)
    return { kind = "error", message = text, trace = trace }
end

-- Calls functions in turn; the first that fails ends it. nil, or what went wrong.
local function call_all(functions)
    for _, f in ipairs(functions) do
        local ok, problem = xpcall(f, explain)
        if not ok then
            return problem
        end
    end
end

-- All of them, whatever fails; the first problem.
local function call_each(functions, problem)
    for _, f in ipairs(functions) do
        local ok, other = xpcall(f, explain)
        if not ok then
            problem = problem or other
        end
    end
    return problem
end

local function before_all(node)
    return node and (before_all(node.parent) or call_all(node.before_each)) or nil
end

local function after_all(node, problem)
    while node do
        problem = call_each(node.after_each, problem)
        node = node.parent
    end
    return problem
end

local function full_name(node)
    local parts = {}
    while node and node.name do
        insert(parts, 1, node.name)
        node = node.parent
    end
    return concat(parts, " ")
end

local function run_test(node)
    if node.pending then
        return report("pending", node, {})
    end
    cleanups = {}
    local problem = before_all(node.parent) or call_all({ node.test })
    problem = after_all(node.parent, call_each(cleanups, problem))
    asserts.revert_all()
    report(problem and problem.kind or "ok", node, problem or {})
end

local function wanted(node)
    if node.children then
        for _, each in ipairs(node.children) do
            if wanted(each) then
                return true
            end
        end
        return false
    end
    return matches_filter(full_name(node))
end

-- A setup that fails fails all tests of its block.
local function fail_all(node, problem)
    for _, each in ipairs(node.children) do
        if each.children then
            fail_all(each, problem)
        elseif wanted(each) then
            report(problem.kind, each, problem)
        end
    end
end

local function run_block(node)
    local problem = call_all(node.setup)
    if problem then
        fail_all(node, problem)
    else
        for _, each in ipairs(node.children) do
            if wanted(each) then
                (each.children and run_block or run_test)(each)
            end
        end
    end
    problem = call_each(node.teardown)
    if problem then
        report(problem.kind, { name = "teardown", parent = node }, problem)
    end
end

-- ------------------------------------------------------------- files

local function copy(tab)
    local made = {}
    for key, value in pairs(tab) do
        made[key] = value
    end
    return made
end

local function put_back(tab, before)
    for key in pairs(copy(tab)) do
        if before[key] == nil then
            tab[key] = nil
        end
    end
    for key, value in pairs(before) do
        tab[key] = value
    end
end

local function run_file(path)
    local before_globals, before_loaded = copy(_G), copy(package.loaded)
    root = block(nil, nil)
    root.file = path
    current = root
    for name, value in pairs(globals) do
        _G[name] = value
    end
    local chunk, err = loadfile(path)
    local ok, problem = false, { kind = "error", message = err }
    if chunk then
        ok, problem = xpcall(chunk, explain)
    end
    current = nil
    if not ok then
        report(problem.kind, { name = path, parent = root }, problem)
    elseif wanted(root) then
        run_block(root)
    end
    put_back(_G, before_globals)
    put_back(package.loaded, before_loaded)
end

local function find_files(tool, path, found)
    local entries, err = tool.list(path)
    if not entries then
        return nil, path .. ": " .. err
    end
    sort(entries, function(a, b)
        return a[1] < b[1]
    end)
    for _, entry in ipairs(entries) do
        local name, is_folder = entry[1], entry[2]
        local below = (path == "." and "" or path:gsub("/*$", "/")) .. name
        if is_folder and not name:find("^%.") then
            find_files(tool, below, found)
        elseif name:find("_spec%.lua$") or name:find("_test%.lua$") then
            insert(found, below)
        end
    end
    return found
end

-- The files that the command line names; nil and an error.
local function collect(tool)
    local found = {}
    for _, path in ipairs(#tool.rest > 0 and tool.rest or { "." }) do
        local file = io.open(path)
        local is_file = file and file:read(0) ~= nil or path:find("%.lua$")
        if file then
            file:close()
        end
        if is_file and file then
            insert(found, path)
        else
            local ok, err = find_files(tool, path, found)
            if not ok then
                return nil, err
            end
        end
    end
    return found
end

-- ------------------------------------------------------------- what is printed

local function indented(text, margin)
    return margin .. text:gsub("\n", "\n" .. margin)
end

-- What went wrong.
local function details(problem, margin)
    local lines = {}
    if problem.message then
        insert(lines, indented(problem.message, margin))
    end
    if problem.trace then
        insert(lines, indented(problem.trace, margin))
    end
    return concat(lines, "\n")
end

local function file_of(node)
    while node.parent do
        node = node.parent
    end
    return node.file
end

local function place_text(node, problem)
    return problem.place or node.place or file_of(node)
end

local marks = { ok = "ok", failed = "FAILED", error = "ERROR", pending = "pending" }
local colours = { ok = "32", failed = "31", error = "31", pending = "33" }

local function plain_printer(coloured)
    local counts = { ok = 0, failed = 0, error = 0, pending = 0 }
    local open, problems = {}, {} -- names of blocks that were printed
    local last_file

    local function paint(kind, text)
        return coloured and "\27[" .. colours[kind] .. "m" .. text .. "\27[0m" or text
    end

    local function heads(node)
        local path = {}
        while node and node.name do
            insert(path, 1, node)
            node = node.parent
        end
        for depth, each in ipairs(path) do
            if open[depth] ~= each then
                print(("  "):rep(depth) .. each.name)
                open[depth] = each
                open[depth + 1] = nil
            end
        end
        return #path
    end

    local printer = {}
    function printer.report(kind, node, problem)
        counts[kind] = counts[kind] + 1
        if file_of(node) ~= last_file then
            last_file, open = file_of(node), {}
            print(last_file)
        end
        local depth = heads(node.parent)
        local text = ("%-8s"):format(marks[kind])
        print(("  "):rep(depth + 1) .. paint(kind, text) .. node.name
            .. (kind == "pending" and problem.message and " (" .. problem.message .. ")" or ""))
        if kind == "failed" or kind == "error" then
            insert(problems, { kind, node, problem })
        end
        io.flush()
    end
    function printer.finish(seconds)
        for _, each in ipairs(problems) do
            local kind, node, problem = unpack(each)
            local mark = paint(kind, ("%-7s"):format(marks[kind]))
            print(("\n%s %s\n        at %s\n%s"):format(mark, full_name(node),
                place_text(node, problem), details(problem, "    ")))
        end
        print(("\n%d passed, %d failed, %d errors, %d pending (%.2f s)"):format(counts.ok,
            counts.failed, counts.error, counts.pending, seconds))
        return counts.failed + counts.error == 0
    end
    return printer
end

local function tap_printer()
    local count, good = 0, true
    local printer = {}

    function printer.report(kind, node, problem)
        count = count + 1
        local bad = kind == "failed" or kind == "error"
        good = good and not bad
        local name = full_name(node):gsub("#", "\\#")
        local skip = kind == "pending" and " # SKIP " .. (problem.message or "pending") or ""
        print(("%s %d - %s%s"):format(bad and "not ok" or "ok", count, name, skip))
        if bad then
            print("# at " .. place_text(node, problem))
            print(details(problem, "# "))
        end
        io.flush()
    end
    function printer.finish()
        print("1.." .. count)
        return good
    end
    return printer
end

-- ------------------------------------------------------------- the command

local function options_of(tool)
    local patterns, tap = {}, false
    for _, option in ipairs(tool.given) do
        if option[1] == "-f" then
            insert(patterns, option[2])
        elseif option[1] == "--tap" then
            tap = true
        end
    end
    return patterns, tap
end

---@param tool table see src/lua/tool.c
---@return integer status of the process
return function(tool)
    local patterns, tap = options_of(tool)
    local printer = tap and tap_printer() or plain_printer(tool.is_terminal(1))
    local files, err = collect(tool)

    if not files or #files == 0 then
        io.stderr:write("bulan: ", err or "there are no files *_spec.lua or *_test.lua", "\n")
        return 1
    end
    report = printer.report
    function matches_filter(name)
        for _, pattern in ipairs(patterns) do
            if name:find(pattern) then
                return true
            end
        end
        return #patterns == 0
    end
    ngx.update_time()
    local begun = ngx.now()
    for _, path in ipairs(files) do
        run_file(path)
    end
    ngx.update_time()
    return printer.finish(ngx.now() - begun) and 0 or 1
end
