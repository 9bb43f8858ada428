--- `bulan run` and `bulan test`, on the Lua side: makes of the worker's Lua that of a program on a
-- command line, and runs what the command line names. What it returns is called by src/lua/tool.c,
-- with the table described there; its result is the status of the process.

local here = require "resty.core.here"
local ngx, io, os = ngx, io, os
local type, tostring, select, unpack = type, tostring, select, unpack
local stdout, stderr = io.stdout, io.stderr
local concat = table.concat
local traceback = debug.traceback

local BROKEN_PIPE = 32

-- Who reads us has gone: then nobody misses the rest.
local function put(text)
    local ok, err, number = stdout:write(text)
    if ok then
        return 1
    elseif number == BROKEN_PIPE then
        os.exit(141)
    end
    return nil, err
end

-- Compiled code writes once more when a write has failed, and misses the failure.
jit.off(put)

-- As ngx.say in a request takes its arguments. The type of what can't be written, or nothing.
local function add(parts, value)
    local kind = type(value)
    if kind == "table" then
        for i = 1, #value do
            local wrong = add(parts, value[i])
            if wrong then
                return wrong
            end
        end
    elseif kind == "string" or kind == "number" or kind == "boolean" or kind == "nil" then
        parts[#parts + 1] = tostring(value)
    elseif value == ngx.null then
        parts[#parts + 1] = "null"
    else
        return kind
    end
end

local function joined(name, tail, ...)
    local parts = {}
    for i = 1, select("#", ...) do
        local wrong = add(parts, (select(i, ...)))
        if wrong then
            error(("bad argument #%d to '%s' (string, number, boolean, nil, ngx.null, or array "
                .. "table expected, got %s)"):format(i, name, wrong), 3)
        end
    end
    return concat(parts) .. tail
end

-- A script may have a configuration with servers: in their requests all is as ever.
local function outside(name, f)
    local in_request = ngx[name]
    ngx[name] = function(...)
        return (here.request ~= nil and in_request or f)(...)
    end
end

local function flush()
    stdout:flush()
    return 1
end

local function use_stdout()
    outside("say", function(...)
        return put(joined("say", "\n", ...))
    end)
    outside("print", function(...)
        return put(joined("print", "", ...))
    end)
    outside("flush", flush)
    outside("eof", flush)
    function print(...)
        local parts = {}
        for i = 1, select("#", ...) do
            parts[i] = tostring((select(i, ...)))
        end
        put(concat(parts, "\t") .. "\n")
    end
end

-- ------------------------------------------------------------- errors

local function message_of(err)
    if type(err) == "string" or type(err) == "number" then
        return tostring(err)
    end
    local meta = getmetatable(err)
    if type(meta) == "table" and meta.__tostring then
        return tostring(err)
    end
    return "(error object is a " .. type(err) .. " value)"
end

-- What called the program is no news to its author.
local function explain(err)
    local text = traceback(message_of(err), 2)
    local own = text:find("\n\t[C]: in function 'xpcall'\n\tlualib/bulan/run.lua", 1, true)
    return own and text:sub(1, own - 1) or text
end

local function complain(text)
    stdout:flush()
    stderr:write("bulan: ", text, "\n")
    return 1
end

-- Runs a function with arguments; 0, or 1 after its error was told.
local function run(chunk, ...)
    local ok, err = xpcall(chunk, explain, ...)
    return ok and 0 or complain(err)
end

-- ------------------------------------------------------------- what is run

local function run_script(path, arguments)
    local chunk, err
    if path == "-" then
        chunk, err = loadstring((io.read("*a"):gsub("^#[^\n]*", "")), "=stdin")
    else
        chunk, err = loadfile(path)
    end
    if not chunk then
        return complain(err)
    end
    return run(chunk, unpack(arguments))
end

-- -l and -e, in their order.
local function run_given(given)
    local ran = false
    for _, option in ipairs(given) do
        local status, name, value = 0, option[1], option[2]
        if name == "-l" then
            status = run(require, value)
        elseif name == "-e" then
            local chunk, err = loadstring(value, "=(command line)")
            status, ran = chunk and run(chunk) or complain(err), true
        end
        if status ~= 0 then
            return status, true
        end
    end
    return 0, ran
end

return function(tool)
    local rest = tool.rest
    local script = rest[1]

    use_stdout()
    if tool.command == "test" then
        arg = { [0] = "bulan", unpack(rest) }
    else
        arg = { [0] = script or "bulan", unpack(rest, 2) }
    end
    local status, ran = run_given(tool.given)
    if status ~= 0 then
        return status
    elseif tool.command == "test" then
        ngx.exit(require("bulan.test")(tool))
    elseif script then
        return run_script(script, arg)
    elseif ran then
        return 0
    elseif not tool.is_terminal(0) then
        return run_script("-", {})
    end
    require("bulan.repl")(tool)
    ngx.exit(0)
end
