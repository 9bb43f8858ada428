--- resty.process: runs programs, talks to them while they run, and never leaves one behind.
--
--     local process = require "resty.process"
--
--     local res, err = process.run({ "convert", "-", "-resize", "50%", "png:-" }, { stdin = picture, timeout = 5 })
--     if not res then return ngx.log(ngx.ERR, "convert: ", err) end      -- "timeout", …
--     if res.ok then ngx.print(res.stdout) else ngx.log(ngx.ERR, res.reason, " ", res.status, ": ", res.stderr) end
--
-- and while it runs:
--
--     local p = assert(process.start({ "tail", "-f", path }, { timeout = 60 }))
--     for line in p:lines() do
--         ngx.say(line)
--         ngx.flush(true)
--     end
--     p:stop()
--
-- A program and its arguments are a table, so nothing needs quoting; a string is a line for the
-- shell. Times are seconds. A program leads a process group of its own: signals go to all that it
-- has started. It ends with its object, and with the worker.
--
-- Options of both: `directory`; `env`, a table of names and values in place of the server's
-- environment; `merge_stderr`: errors go to stdout, too; `timeout`: of `run` for all of it, of an
-- object for each call that waits (default: none).
--
-- Errors: "timeout", "closed" (the stream has ended), "too much output", "exited", the error of a
-- function that got output, and those of ngx.pipe. A program that can't be executed exits with 1; the reason is in the error log.

local pipe = require "ngx.pipe"
local signum = require("resty.signal").signum

local buffer = require "string.buffer"

local kill, spawn, wait = ngx.thread.kill, ngx.thread.spawn, ngx.thread.wait
local error, pairs, pcall, setmetatable = error, pairs, pcall, setmetatable
local tostring, type = tostring, type
local max = math.max
local sleep = ngx.sleep

local PIECE = 65536
local MAX_OUTPUT = 1048576

local _M = {}

---@class resty.process
local process = {}
local mt = { __index = process }

local function environ_of(env)
    if env == nil then
        return nil
    end
    local list = {}
    for name, value in pairs(env) do
        list[#list + 1] = name .. "=" .. tostring(value)
    end
    return list
end

-- For ngx.pipe, where 0 is without limit.
local function ms_of(seconds)
    return seconds and max(seconds * 1000, 1) or 0
end

local function spawn_program(args, opts, seconds)
    local ms = ms_of(seconds)
    return pipe.spawn(args, {
        directory = opts.directory,
        environ = environ_of(opts.env),
        merge_stderr = opts.merge_stderr,
        group = true,
        keep_output = true,
        buffer_size = PIECE,
        write_timeout = ms,
        stdout_read_timeout = ms,
        stderr_read_timeout = ms,
        wait_timeout = ms,
    })
end

--- Starts a program. The object's methods wait, each at most `timeout`.
---@param args table|string program and arguments, or a line for the shell
---@param opts table? directory, env, merge_stderr, timeout
---@return resty.process? p
---@return string? err
function _M.start(args, opts)
    opts = opts or {}
    local proc, err = spawn_program(args, opts, opts.timeout)
    if not proc then
        return nil, err
    end
    return setmetatable({ proc = proc, pid = proc:pid(), timeout = opts.timeout }, mt)
end

--- Writes to its standard input.
---@param data string|number|table
---@return integer? bytes
---@return string? err "closed": it does not read any more
function process:write(data)
    return self.proc:write(data)
end

--- Ends its standard input.
---@return boolean? ok
---@return string? err
function process:close()
    return self.proc:shutdown("stdin")
end

local function read(self, stream, what)
    local proc = self.proc
    if what == nil or what == "l" then
        local line, err, rest = proc[stream .. "_read_line"](proc)
        if line or (err == "closed" and rest and rest ~= "") then
            return line or rest
        end
        return nil, err, rest
    elseif what == "a" then
        return proc[stream .. "_read_all"](proc)
    elseif what == "any" then
        return proc[stream .. "_read_any"](proc, PIECE)
    elseif type(what) == "number" then
        return proc[stream .. "_read_bytes"](proc, what)
    end
    error("bad argument: number, 'l', 'a' or 'any' expected", 3)
end

--- Reads from its standard output.
---@param what number|string|nil so many bytes; "l": a line without its line break (as without an argument; the last one need not have one); "a": up to the end; "any": what comes next
---@return string? data
---@return string? err
---@return string? partial what came before the error
function process:read(what)
    return read(self, "stdout", what)
end

--- Reads from its standard error.
---@param what number|string|nil as `read` has it
---@return string? data
---@return string? err
---@return string? partial
function process:read_error(what)
    return read(self, "stderr", what)
end

--- For `for line in p:lines() do`. Ends with the stream, or with an error, which is in `p.error` then.
---@return function
function process:lines()
    return function()
        local line, err = read(self, "stdout", "l")
        self.error = not line and err ~= "closed" and err or nil
        return line
    end
end

--- For `for piece in p:pieces() do`: what comes, as it comes. Ends as `lines` does.
---@return function
function process:pieces()
    return function()
        local piece, err = read(self, "stdout", "any")
        self.error = not piece and err ~= "closed" and err or nil
        return piece
    end
end

--- Waits for its end.
---@param seconds number? at most; without it, the object's timeout
---@return table? result ok, reason ("exit" or "signal"), status
---@return string? err "timeout", or "exited" when it was asked for before
function process:wait(seconds)
    self.proc:set_timeouts(nil, nil, nil, ms_of(seconds or self.timeout))
    local ok, reason, status = self.proc:wait()
    if ok == nil then
        return nil, reason
    end
    return { ok = ok, reason = reason, status = status }
end

--- Sends a signal to it and all that it has started.
---@param signal string|integer? "TERM"
---@return boolean? ok
---@return string? err "exited"
function process:kill(signal)
    local number = signum(signal or "TERM")
    if not number then
        return nil, "unknown signal name"
    end
    return self.proc:kill(number)
end

--- Asks it to end (TERM), and kills it if it has not after `grace`.
---@param grace number? seconds; 5
---@return table? result as of `wait`
---@return string? err
function process:stop(grace)
    self:kill("TERM")
    local result, err = self:wait(grace or 5)
    if not result and err == "timeout" then
        self:kill("KILL")
        return self:wait(5)
    end
    return result, err
end

-- ------------------------------------------------------------ run

local function feed(proc, data)
    if data ~= nil and data ~= "" then
        proc:write(data)
    end
    proc:shutdown("stdin")
end

-- Ends it all with a reason.
local function give_up(state, reason)
    state.failure = state.failure or reason
    state.proc:kill(9)
    state.proc:shutdown("stdout")
    if not state.merged then
        state.proc:shutdown("stderr")
    end
end

local function guard(state, seconds)
    sleep(seconds)
    give_up(state, "timeout")
end

-- All of a stream: given to `sink`, or collected up to `limit`.
local function collect(state, method, sink, limit)
    local proc, got = state.proc, buffer.new()
    while true do
        local piece = proc[method](proc, PIECE)
        if not piece then
            return got:tostring()
        elseif sink then
            local ok, err = pcall(sink, piece)
            if not ok then
                give_up(state, tostring(err))
                return ""
            end
        else
            got:put(piece)
            if #got > limit then
                give_up(state, "too much output")
                return got:get(limit)
            end
        end
    end
end

local function result_of(thread)
    local _, text = wait(thread)
    return text or ""
end

--- Runs a program to its end. Options beside those of both: `stdin`, what it reads; `stdout`, `stderr`,
--- functions that get its output piece by piece, instead of the result; `max_output`, bytes of each
--- (1048576).
---@param args table|string program and arguments, or a line for the shell
---@param opts table?
---@return table? result ok, reason ("exit" or "signal"), status, stdout, stderr
---@return string? err
---@return table? partial the same as far as it came, with an error
function _M.run(args, opts)
    opts = opts or {}
    local proc, err = spawn_program(args, opts)
    if not proc then
        return nil, err
    end
    local state = { proc = proc, merged = opts.merge_stderr }
    local limit = opts.max_output or MAX_OUTPUT
    local out = spawn(collect, state, "stdout_read_any", opts.stdout, limit)
    local errors = spawn(collect, state, "stderr_read_any", opts.stderr, limit)
    local guarding = opts.timeout and spawn(guard, state, opts.timeout)
    local feeding = spawn(feed, proc, opts.stdin)
    local ok, reason, status = proc:wait()
    local stdout, stderr = result_of(out), result_of(errors)
    kill(feeding)
    if guarding then
        kill(guarding)
    end
    local result = { ok = ok, reason = reason, status = status, stdout = stdout, stderr = stderr }
    if state.failure then
        return nil, state.failure, result
    end
    return result
end

return _M
