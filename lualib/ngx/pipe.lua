--- ngx.pipe: programs, and conversations with them that keep nobody waiting.
--
--     local pipe = require "ngx.pipe"
--     local proc = assert(pipe.spawn({ "wc", "-c" }))
--     proc:write("four")
--     proc:shutdown("stdin")
--     local count = proc:stdout_read_line()   -- "4"
--     local ok, reason, status = proc:wait()  -- true, "exit", 0
--
-- `spawn` works in every phase but init_by_lua; what waits, wherever a task may wait. A program
-- belongs to its object, not to a request: it may be handed on, and is killed (SIGKILL) when its
-- object is collected before it has ended.
--
-- Methods of the object:
--
--     proc:pid()                             its process id
--     proc:write(data)                       bytes, or nil, err; `data`: a string, number or array
--     proc:stdout_read_all()                 data, or nil, err, partial: up to the end of the stream
--     proc:stdout_read_line()                the same: a line without its line break
--     proc:stdout_read_bytes(len)            the same: exactly `len` bytes
--     proc:stdout_read_any(max)              data, or nil, err: what there is, at most `max` bytes
--     proc:stderr_read_…                     the same four of its standard error
--     proc:shutdown(direction)               closes "stdin", "stdout" or "stderr"
--     proc:wait()                            true or false, "exit" or "signal", status; or nil, err
--     proc:kill(signum)                      true, or nil, err
--     proc:set_timeouts(write, stdout_read, stderr_read, wait)
--                                            milliseconds; nil: as before; 0: without limit
--
-- Errors: "timeout", "closed" (the stream has ended, or `wait` has told the end), "aborted" (shut
-- down while a task waited), "pipe busy reading", "pipe busy writing", "pipe busy waiting",
-- "exited", "invalid signal", "merged to stdout".
--
-- A program that can't be executed exits with status 1; the reason is in the error log.

local native = package.loaded["bulan.pipe"]

local type, error, tonumber, tostring, floor = type, error, tonumber, tostring, math.floor
local find, format = string.find, string.format

local MERGE, GROUP, KEEP = 1, 2, 4
local TIMEOUT_MAX = 4294967295

package.loaded["bulan.pipe"] = nil

local _M = { version = require("resty.core.base").version }

-- The arguments as strings. A bare string is the shell's.
local function arguments_of(args)
    if type(args) == "string" then
        args = { "/bin/sh", "-c", args }
    elseif type(args) ~= "table" then
        error("bad args arg: table expected, got " .. type(args), 3)
    end
    local list = {}
    while args[#list + 1] ~= nil do
        local text = tostring(args[#list + 1])
        if find(text, "\0", 1, true) then
            error(format("bad args arg: zero byte in argument %d", #list + 1), 3)
        end
        list[#list + 1] = text
    end
    if #list == 0 then
        error("bad args arg: non-empty table expected", 3)
    end
    return list
end

local function environ_of(environ)
    if environ == nil then
        return nil
    elseif type(environ) ~= "table" then
        error("bad environ option: table expected, got " .. type(environ), 3)
    end
    local list = {}
    while environ[#list + 1] ~= nil do
        local i = #list + 1
        local text = environ[i]
        if type(text) ~= "string" then
            error(format("bad value at index %d of environ option: string expected, got %s", i, type(text)), 3)
        elseif not find(text, "^[^=%z]+=") or find(text, "\0", 1, true) then
            error(format("bad value at index %d of environ option: 'name=[value]' format expected, got '%s'", i, text),
                3)
        end
        list[i] = text
    end
    return list
end

local function buffer_size_of(value)
    local size = value == nil and 4096 or tonumber(value)
    if not size or not (size >= 1 and size <= 16777216) then
        error("bad buffer_size option", 3)
    end
    return floor(size)
end

local function timeout_of(opts, name)
    local value = opts[name]
    if value == nil then
        return nil
    end
    local ms = tonumber(value)
    if not ms or not (ms >= 0 and ms <= TIMEOUT_MAX) then
        error("bad " .. name .. " option", 3)
    end
    return ms
end

local function directory_of(value)
    if value ~= nil and (type(value) ~= "string" or value == "" or find(value, "\0", 1, true)) then
        error("bad directory option", 3)
    end
    return value
end

local none = {}

--- Starts a program.
--
-- Options: `merge_stderr` (its standard error goes to its standard output), `buffer_size` (bytes to
-- read at once; 4096), `environ` (an array of "NAME=value" in place of the server's environment),
-- `write_timeout`, `stdout_read_timeout`, `stderr_read_timeout`, `wait_timeout` (milliseconds; 10000;
-- 0: without limit). Of this server alone: `directory` (it starts there), `group` (it leads a process
-- group of its own, and signals go to all of the group), `keep_output` (its output can be read behind
-- `wait`, too).
---@param args table|string program and arguments; a string is run by the shell
---@param opts table?
---@return table? proc
---@return string? err
function _M.spawn(args, opts)
    opts = opts or none
    if type(opts) ~= "table" then
        error("bad opts arg: table expected, got " .. type(opts), 2)
    end
    local list = arguments_of(args)
    local flags = (opts.merge_stderr and MERGE or 0) + (opts.group and GROUP or 0) + (opts.keep_output and KEEP or 0)
    local size = buffer_size_of(opts.buffer_size)
    local environ = environ_of(opts.environ)
    local proc, err = native(list, environ, directory_of(opts.directory), flags, size, timeout_of(opts, "write_timeout"),
        timeout_of(opts, "stdout_read_timeout"), timeout_of(opts, "stderr_read_timeout"),
        timeout_of(opts, "wait_timeout"))
    return proc, err
end

return _M
