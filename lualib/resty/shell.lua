--- resty.shell: runs a command and returns what it wrote; waits without blocking the worker.
--
--     local shell = require "resty.shell"
--     local ok, stdout, stderr, reason, status = shell.run("sort | uniq -c", "b\na\nb\n", 1000, 4096)
--     if not ok then ngx.log(ngx.ERR, "sort: ", reason, " ", status, ": ", stderr) end
--
-- A command is a line for the shell, or a table of a program and its arguments, which needs no
-- quoting. Never put what came from outside into a line: give it as an argument or as stdin.
--
-- `ok` is true when the command exited with 0; false when it ended otherwise (`reason` is "exit" or
-- "signal", `status` the number); nil when it was given up. Then `reason` is "failed to spawn: …",
-- "failed to write to stdin: timeout", "failed to read stdout: too much data", "failed to wait for
-- process: timeout", …, and it has been killed. resty.process has more to say to a program.

local pipe = require "ngx.pipe"

local spawn, wait = ngx.thread.spawn, ngx.thread.wait

local SIGKILL = 9

local _M = { version = 0.03 }

-- All of a stream, at most `max` bytes and one more, which says that there is more.
local function read(proc, method, stream, max)
    local data, err, partial = proc[method](proc, max + 1)
    if data then
        proc:shutdown(stream) -- it need not wait for us to read the rest
        return data, "too much data"
    elseif err == "closed" or err == "aborted" then
        return partial or ""
    end
    return partial or "", err
end

local function write(proc, stdin)
    if stdin == nil or stdin == "" then
        return true
    end
    local bytes, err = proc:write(stdin)
    -- A program need not read what it is offered.
    if not bytes and err ~= "closed" then
        return nil, err
    end
    return true
end

local function feed(proc, stdin)
    local ok, err = write(proc, stdin)
    proc:shutdown("stdin")
    return ok, err
end

-- What a reader's light thread returned.
local function result_of(thread)
    local _, data, err = wait(thread)
    return data or "", err
end

-- The answer for a program that is given up.
local function give_up(proc, out, err, reason)
    proc:kill(SIGKILL)
    proc:shutdown("stdout")
    proc:shutdown("stderr")
    local stdout = result_of(out)
    return nil, stdout, (result_of(err)), reason, nil
end

--- Runs a command to its end.
---@param cmd string|table a line for the shell, or program and arguments
---@param stdin string|table|nil what it reads; without it, its standard input is empty
---@param timeout number? milliseconds that each reading, writing, and waiting may take; 10000
---@param max_size integer? bytes of each of stdout and stderr; 131072
---@return boolean? ok
---@return string? stdout
---@return string? stderr
---@return string reason
---@return integer? status
function _M.run(cmd, stdin, timeout, max_size)
    timeout = timeout or 10000
    max_size = max_size or 131072
    local proc, spawn_err = pipe.spawn(cmd, {
        write_timeout = timeout,
        stdout_read_timeout = timeout,
        stderr_read_timeout = timeout,
        wait_timeout = timeout,
    })
    if not proc then
        return nil, nil, nil, "failed to spawn: " .. spawn_err
    end
    local out = spawn(read, proc, "stdout_read_bytes", "stdout", max_size)
    local err = spawn(read, proc, "stderr_read_bytes", "stderr", max_size)
    local written, write_err = feed(proc, stdin)
    if not written then
        return give_up(proc, out, err, "failed to write to stdin: " .. write_err)
    end
    local ok, reason, status = proc:wait()
    if ok == nil then
        return give_up(proc, out, err, "failed to wait for process: " .. reason)
    end
    local stdout, out_err = result_of(out)
    local stderr, err_err = result_of(err)
    if out_err or err_err then
        return nil, stdout, stderr,
            out_err and "failed to read stdout: " .. out_err or "failed to read stderr: " .. err_err, nil
    end
    return ok, stdout, stderr, reason, status
end

return _M
