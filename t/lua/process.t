# resty.process, resty.shell, resty.signal: what is built on ngx.pipe.
use lib 't/lib';
use Bulan::Test;

add_block_preprocessor(sub {
    my $block = shift;
    $block->set_value('request', 'GET /t') if !defined $block->request;
    $block->set_value('main_config', "env PATH=/usr/bin:/bin;\n");
    $block->set_value('http_config', <<'CONF');
init_by_lua_block {
    process, shell, signal = require "resty.process", require "resty.shell", require "resty.signal"
    function ended(pid)
        for _ = 1, 500 do
            local f = io.open("/proc/" .. pid .. "/stat")
            local state = f and f:read("*a"):match("%) (%a)")
            if f then f:close() end
            if not f or state == "Z" then return true end
            ngx.sleep(0.01)
        end
        return false
    end
    function say(...)
        local words = {}
        for i = 1, select("#", ...) do words[i] = tostring((select(i, ...))) end
        ngx.say(table.concat(words, "|"))
    end
}
CONF
});
run_tests();

__DATA__

=== TEST 1: shell.run
--- config
location /t {
    content_by_lua_block {
        say(shell.run("echo yes; echo he >&2; exit 3"))
        say(shell.run({ "printf", "%s", "a b" }, nil, 3000, 3))
        say(shell.run("cat", "from stdin", 3000))
        say(shell.run({ "cat" }))
        say(shell.run("kill -TERM $$"))
        say(shell.run("exit 0", ("x"):rep(1e6), 5000))
    }
}
--- response_body
false|yes
|he
|exit|3
true|a b||exit|0
true|from stdin||exit|0
true|||exit|0
false|||signal|15
true|||exit|0



=== TEST 2: shell.run: too much, too long
--- config
location /t {
    content_by_lua_block {
        say(shell.run("printf yes!; printf he >&2", nil, 5000, 3))
        say(shell.run("printf yes; printf hell >&2", nil, 5000, 3))
        say(shell.run("yes", nil, 5000, 3))
        say(shell.run("echo $$; exec sleep 10", nil, 50))
        say(shell.run("echo aaaaa && exec sleep 10", nil, 100, 3))
        local _, pid = shell.run("echo $$; exec sleep 10", nil, 50)
        say(pid == "" or ended(tonumber(pid)))
        say(shell.run("exec sleep 10", ("x"):rep(1e6), 50))
        say(pcall(shell.run))
    }
}
--- response_body_like
^nil\|yes!\|he\|failed to read stdout: too much data\|nil
nil\|yes\|hell\|failed to read stderr: too much data\|nil
nil\|y
y
\|\|failed to read stdout: too much data\|nil
nil\|\d+
\|\|failed to wait for process: timeout\|nil
nil\|aaaa\|\|failed to wait for process: timeout\|nil
true
nil\|\|\|failed to write to stdin: timeout\|nil
false\|.*bad args arg: table expected, got nil$



=== TEST 3: signals
--- config
location /t {
    content_by_lua_block {
        say(signal.signum("HUP"), signal.signum("KILL"), signal.signum("NONE"), signal.signum("SYS"), signal.signum("BLAH"), signal.signum(7))
        local p = process.start({ "sleep", "60" })
        say(signal.kill(p.pid, "NONE"))
        say(signal.kill(p.pid, 15))
        local res = p:wait()
        say(res.ok, res.reason, res.status)
        say(signal.kill(p.pid, "NONE"))
        say(signal.kill(p.pid, "BLAH"))
        say(signal.kill(ngx.worker.pid(), 1000))
        say(signal.kill(2 ^ 32 - 1, "NONE"))
        say(pcall(signal.kill, "1"))
    }
}
--- response_body
1|9|0|31|nil|7
true
true
false|signal|15
nil|No such process
nil|unknown signal name
nil|Invalid argument
nil|No such process
false|bad pid argument: integer expected, got string



=== TEST 4: process.run
--- config
location /t {
    content_by_lua_block {
        local res = process.run({ "sort" }, { stdin = "b\na\n" })
        say(res.ok, res.reason, res.status, res.stdout, res.stderr)
        res = process.run("echo out; echo err >&2; exit 2", { merge_stderr = true })
        say(res.ok, res.reason, res.status, res.stdout, res.stderr)
        res = process.run("pwd; echo $A $B", { directory = "/proc", env = { A = "1 2", B = 3 } })
        ngx.print(res.stdout)
        local data = ("0123456789"):rep(50000)
        res = process.run({ "cat" }, { stdin = data })
        say(res.stdout == data)
        local pieces = {}
        res = process.run("echo one; echo two >&2", {
            stdout = function(piece) pieces[#pieces + 1] = piece end,
        })
        say(table.concat(pieces), res.stdout, res.stderr)
        say(process.run({ "no-such-program" }).status)
    }
}
--- response_body
true|exit|0|a
b
|
false|exit|2|out
err
|
/proc
1 2 3
true
one
||two

1
--- error_log
lua pipe child execvp() failed while executing no-such-program (2: No such file or directory)



=== TEST 5: process.run: limits, and nothing stays behind
--- config
location /t {
    content_by_lua_block {
        local res, err, partial = process.run("sleep 60 & echo $!; wait", { timeout = 0.2 })
        say(res, err, partial.reason, partial.status)
        say(ended(tonumber(partial.stdout)))
        res, err, partial = process.run("yes", { max_output = 100 })
        say(res, err, partial.reason, #partial.stdout)
        res, err = process.run("yes", { stdout = function() error("a sink fails", 0) end })
        say(res, err)
    }
}
--- response_body
nil|timeout|signal|9
true
nil|too much output|signal|100
nil|a sink fails



=== TEST 6: objects
--- config
location /t {
    content_by_lua_block {
        local p = process.start("while read a; do echo got $a; done; printf end; echo bad >&2", { timeout = 5 })
        p:write("1\n2\n3\n")
        say(p:read())
        say(p:read("l"))
        p:close()
        local lines = {}
        for line in p:lines() do lines[#lines + 1] = line end
        say(table.concat(lines, ","), p.error)
        say(p:read_error())
        say(p:wait().ok, select(2, p:wait()))
        say(p:kill())

        p = process.start({ "cat" }, { timeout = 0.05 })
        for line in p:lines() do say(line) end
        say(p.error)
        say(p:kill("NO"))
        say(p:stop().status)

        p = process.start("trap '' TERM; echo ready; while :; do sleep 0.05; done")
        say(p:read())
        local res = p:stop(0.1)
        say(res.reason, res.status)
        say((select(2, pcall(p.read, p, "x")):match("bad argument.*")))

        p = process.start("sleep 0.4", { timeout = 5 })
        say(select(2, p:wait(0.05)), p:wait().ok)

        p = process.start("printf abcdef; exit 1")
        local res = p:wait()
        say(res.status, p:read(2), p:read("any"), p:read("a"))
    }
}
--- response_body
got 1
got 2
got 3,end|nil
bad
true|exited
nil|exited
timeout
nil|unknown signal name
15
ready
signal|9
bad argument: number, 'l', 'a' or 'any' expected
timeout|true
1|ab|cdef|
