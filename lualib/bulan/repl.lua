--- The prompt of `bulan run`: reads a chunk, runs it, prints its values. Waiting for keys lets
-- timers and light threads run. Ctrl-C ends what runs, ctrl-D on an empty line ends the prompt.

local show = require "bulan.show"
local editor = require "bulan.editor"
local ngx, io, os = ngx, io, os
local spawn, wait, kill = ngx.thread.spawn, ngx.thread.wait, ngx.thread.kill
local traceback, select = debug.traceback, select

local HISTORY_MAX = 1000

local function history_path()
    local home = os.getenv("HOME")
    return home and home ~= "" and home .. "/.bulan_history"
end

local function read_history(path)
    local lines = {}
    local file = path and io.open(path)
    if file then
        for line in file:lines() do
            lines[#lines + 1] = line
        end
        file:close()
    end
    return lines
end

-- The file is written anew when it has grown too long, else a line is added.
local function keep(path, lines, line)
    if line:find("^%s*$") or lines[#lines] == line then
        return
    end
    lines[#lines + 1] = line
    local long = #lines > 2 * HISTORY_MAX
    while long and #lines > HISTORY_MAX do
        table.remove(lines, 1)
    end
    local file = path and io.open(path, long and "w" or "a")
    if file then
        file:write(long and table.concat(lines, "\n") or line, "\n")
        file:close()
    end
end

-- The end came too early: more lines may complete the text.
local function is_open(err)
    return err ~= nil and err:find("near '?<eof>'?$") ~= nil
end

-- An expression, else statements. nil, the error, and whether only more text is missing.
local function compile(text)
    local expression, is_marked = text:gsub("^%s*=", "")
    local chunk, err = loadstring("return " .. expression, "=stdin")
    if chunk then
        -- No tail call: tracebacks shall show where it came from.
        local whole = "local values = ... return values(" .. expression .. "\n)"
        return loadstring(whole, "=stdin") or chunk
    end
    local may_grow = is_open(err)
    if is_marked == 0 then
        chunk, err = loadstring(text, "=stdin")
    end
    return chunk, err, may_grow or is_open(err)
end

local function explain(err)
    local text = type(err) == "string" and err or show(err)
    local trace = traceback(text, 2)
    local own = trace:find("\n\t[C]: in function 'xpcall'\n\tlualib/bulan/repl.lua", 1, true)
    return own and trace:sub(1, own - 1) or trace
end

local function print_values(ok, ...)
    local count = select("#", ...)
    if not ok then
        io.stderr:write((...), "\n")
    elseif count > 0 then
        local parts = {}
        for i = 1, count do
            parts[i] = show((select(i, ...)))
        end
        io.write(table.concat(parts, "\t"), "\n")
    end
end

local function values(...)
    return ...
end

-- Runs it in a light thread, beside one that waits for ctrl-C.
local function run(tool, chunk)
    local interrupted = spawn(tool.interrupt)
    local work = spawn(function()
        print_values(xpcall(chunk, explain, values))
        return false
    end)
    local _, by_key = wait(work, interrupted)
    kill(interrupted)
    if by_key then
        kill(work)
        io.stderr:write("interrupted\n")
    end
    io.flush()
end

-- A chunk that is complete, of one line or several. nil at the end of the input.
local function read_chunk(read, remember)
    local text
    while true do
        local line, how = read(text and ">> " or "> ")
        if how == "interrupted" then
            text = nil
        elseif not line then
            return nil
        else
            remember(line)
            text = text and text .. "\n" .. line or line
            local chunk, err, more = compile(text)
            if chunk then
                return chunk
            elseif not more then
                io.stderr:write(err, "\n")
                text = nil
            end
        end
    end
end

return function(tool)
    local path = history_path()
    local lines = read_history(path)
    local read = editor(tool, lines)

    io.write("bulan, ", jit.version, ". Ctrl-D ends.\n")
    while true do
        local chunk = read_chunk(read, function(line)
            keep(path, lines, line)
        end)
        if not chunk then
            break
        end
        run(tool, chunk)
    end
end
