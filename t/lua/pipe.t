# ngx.pipe: programs, their streams and their ends.
use lib 't/lib';
use Bulan::Test;

log_level('debug');
add_block_preprocessor(sub {
    my $block = shift;
    $block->set_value('request', 'GET /t') if !defined $block->request;
    $block->set_value('main_config', "env PATH=/usr/bin:/bin;\n" . ($block->main_config // ''));
    $block->set_value('http_config', <<'CONF' . ($block->http_config // ''));
init_by_lua_block {
    pipe = require "ngx.pipe"
    FOUND = {}
    function gone(pid) -- not even a zombie of ours; those of others are reaped by others
        for _ = 1, 500 do
            local f = io.open("/proc/" .. pid .. "/stat")
            if not f then return true end
            local state, parent = f:read("*a"):match("%) (%a) (%d+)")
            f:close()
            if state == "Z" and tonumber(parent) ~= ngx.worker.pid() then return true end
            ngx.sleep(0.01)
        end
        return false
    end
}
CONF
});
run_tests();

__DATA__

=== TEST 1: a conversation
--- config
location /t {
    content_by_lua_block {
        local p = assert(pipe.spawn({ "tr", "a-z", "A-Z" }))
        ngx.say(type(p:pid()), " ", p:write("some "), " ", p:write({ "wo", { "rd", 5 }, "\r\nx" }))
        ngx.say(p:shutdown("stdin"))
        ngx.say(p:stdout_read_line())
        ngx.say(p:stdout_read_bytes(1))
        ngx.say(tostring(p:stdout_read_any(10)), " ", select(2, p:stdout_read_any(10)))
        ngx.say(p:wait())
        ngx.say(p:wait())
        ngx.say(p:write("x"))
        ngx.say(p:kill(9))
    }
}
--- response_body
number 5 8
true
SOME WORD5
X
nil closed
trueexit0
nilexited
nilclosed
nilexited
--- no_error_log
[error]



=== TEST 2: megabytes in both directions at once
--- config
location /t {
    content_by_lua_block {
        local data = ("0123456789abcdef"):rep(256 * 1024)
        local p = assert(pipe.spawn({ "cat" }))
        local th = ngx.thread.spawn(function()
            local n = p:write(data)
            p:shutdown("stdin")
            return n
        end)
        local got = p:stdout_read_all()
        local _, n = ngx.thread.wait(th)
        ngx.say(n, " ", got == data, " ", (select(2, p:wait())))
    }
}
--- response_body
4194304 true exit



=== TEST 3: what a program inherits: three descriptors, no signals, its directory
--- main_config
worker_cpu_affinity 01;
--- config
location /t {
    content_by_lua_block {
        local function out(args, opts) return (assert(pipe.spawn(args, opts)):stdout_read_all():gsub("\n", " ")) end
        ngx.say(out("ls /proc/$$/fd"))
        -- Without 32 and 33: they are the C library's own, which can't be changed and may come ignored.
        ngx.say((out({ "grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status" }):gsub("%x%x(%x%x%x%x%x%x%x) ", "00%1 ")))
        ngx.say(out("pwd", { directory = "/proc" }))
        ngx.say(out("echo $A-$PATH", { environ = { "A=b=c", "PATH=" } }))
        local all = io.popen("nproc --all"):read("*n")
        ngx.say(tonumber(out({ "nproc" })) == all or all)
        local p = pipe.spawn("true", { directory = "/nowhere" })
        ngx.say(p:wait())
    }
}
--- response_body_like
^0 1 2 
SigBlk:\t0+ SigIgn:\t0+ 
/proc 
b=c- 
(true|\d+)
falseexit1
--- error_log
lua pipe child chdir() failed while executing /bin/sh (2: No such file or directory)



=== TEST 4: a program that is not there
--- config
location /t {
    content_by_lua_block {
        local p = pipe.spawn({ "no-such-program" })
        ngx.say(p:stdout_read_all(), "|", p:wait())
    }
}
--- response_body
|falseexit1
--- error_log
lua pipe child execvp() failed while executing no-such-program (2: No such file or directory)



=== TEST 5: output behind the end: until it has been waited for, or longer
--- config
location /t {
    content_by_lua_block {
        local p = pipe.spawn("echo one; echo two; exit 3")
        while p:kill(0) do ngx.sleep(0.001) end
        ngx.say(p:stdout_read_line())
        ngx.say(p:wait())
        ngx.say(p:stdout_read_line())
        ngx.say(p:shutdown("stdout"))

        local p = pipe.spawn("echo one; echo two; exit 3", { keep_output = true })
        ngx.say(p:wait())
        ngx.say(p:stdout_read_all())
        ngx.say(p:stdout_read_all())
        ngx.say(p:stderr_read_all(), "|", p:stderr_read_all())
    }
}
--- response_body
one
falseexit3
nilclosed
nilclosed
falseexit3
one
two

nilclosed
|nilclosed



=== TEST 6: a reader that waits gets all, although the end has been told
--- config
location /t {
    content_by_lua_block {
        -- the sleeping child holds the stream behind the program's end
        local p = pipe.spawn("(sleep 0.2; echo late) & echo early; exit 0")
        local th = ngx.thread.spawn(function() return p:stdout_read_all() end)
        ngx.say(p:wait())
        ngx.print(select(2, ngx.thread.wait(th)))
        ngx.say(p:stdout_read_all())
    }
}
--- response_body
trueexit0
early
late
nilclosed



=== TEST 7: collected programs are killed and reaped
--- config
location /t {
    content_by_lua_block {
        local function pid_of() return pipe.spawn({ "sleep", "3600" }):pid() end
        local pid = pid_of()
        collectgarbage()
        collectgarbage()
        ngx.say(gone(pid))
        local pid = (function() return pipe.spawn("exit 0"):pid() end)()
        ngx.say(gone(pid))
        collectgarbage()
    }
}
--- response_body
true
true
--- error_log
lua pipe destroy process:
lua pipe kill process:



=== TEST 8: nobody holds what is waited for
--- config
location /t {
    content_by_lua_block {
        local function collector() for _ = 1, 5 do ngx.sleep(0.01) collectgarbage() end end
        local th = ngx.thread.spawn(collector)
        ngx.say(pipe.spawn("sleep 0.1; exit 4"):wait())
        ngx.say(pipe.spawn("sleep 0.1; echo here"):stdout_read_line())
        ngx.say(pipe.spawn("sleep 10", { wait_timeout = 50 }):wait())
        ngx.say(pipe.spawn("echo -n part; sleep 10", { stdout_read_timeout = 50 }):stdout_read_line())
        local reader = ngx.thread.spawn(function() pipe.spawn("sleep 10"):stdout_read_line() end)
        ngx.sleep(0)
        ngx.thread.kill(reader)
        ngx.thread.wait(th)
    }
}
--- response_body
falseexit4
here
niltimeout
niltimeoutpart
--- error_log
lua pipe proc read stdout cleanup



=== TEST 9: one at a time in a stream; what a killed reader leaves is there for the next
--- config
location /t {
    content_by_lua_block {
        local p = pipe.spawn("echo -n a; sleep 0.1; echo b; sleep 0.2")
        local th = ngx.thread.spawn(function() return p:stdout_read_line() end)
        ngx.say(p:stdout_read_any(1))
        ngx.say(p:stderr_read_all())
        ngx.thread.kill(th)
        ngx.say(p:stdout_read_line())
        local p = pipe.spawn({ "sleep", "10" })
        local th = ngx.thread.spawn(function() ngx.say("waiter: ", p:wait()) end)
        ngx.say(p:wait())
        ngx.say(p:kill(15))
        ngx.thread.wait(th)
    }
}
--- response_body
nilpipe busy reading

nilclosed
nilpipe busy waiting
true
waiter: falsesignal15



=== TEST 10: shut down while tasks wait
--- config
location /t {
    content_by_lua_block {
        local p = pipe.spawn({ "sleep", "10" })
        local function say(name, ...) ngx.say(name, ": ", ...) end
        local a = ngx.thread.spawn(function() say("out", p:stdout_read_line()) end)
        local b = ngx.thread.spawn(function() say("err", p:stderr_read_all()) end)
        local c = ngx.thread.spawn(function() say("in", p:write(("x"):rep(1e6))) end)
        p:shutdown("stdout")
        p:shutdown("stderr")
        p:shutdown("stdin")
        ngx.thread.wait(a)
        ngx.thread.wait(b)
        ngx.thread.wait(c)
        ngx.say(p:shutdown("stdin"), p:write("x"), p:stdout_read_all())
        ngx.say(pcall(p.shutdown, p, "up"))
    }
}
--- response_body
out: nilaborted
err: nilaborted
in: nilaborted
truenilnilclosed
falsebad shutdown arg: up



=== TEST 11: a group is killed as a whole
--- config
location /t {
    content_by_lua_block {
        local p = pipe.spawn("sleep 3600 & echo $!; wait", { group = true })
        local pid = p:stdout_read_line()
        ngx.say(p:kill(9))
        ngx.say(p:wait())
        ngx.say(gone(pid))
    }
}
--- response_body
true
falsesignal9
true



=== TEST 12: the children of others stay theirs
--- config
location /t {
    content_by_lua_block {
        local p = pipe.spawn({ "sleep", "0.05" })
        for i = 1, 20 do
            pipe.spawn("exit 1")
            local status = os.execute("exit 7")
            if status ~= 7 * 256 and status ~= 7 then ngx.say("stolen: ", status) end
        end
        ngx.say(p:wait())
    }
}
--- response_body
trueexit0



=== TEST 13: every phase that may wait
--- http_config
init_worker_by_lua_block {
    FOUND.init_worker = pipe.spawn({ "echo", "init_worker" }):stdout_read_line()
    ngx.timer.at(0, function() FOUND.timer = pipe.spawn({ "echo", "timer" }):stdout_read_line() end)
}
upstream u {
    server 0.0.0.1;
    balancer_by_lua_block {
        FOUND.balancer = pipe.spawn({ "echo", "balancer" }):stdout_read_line()
        require("ngx.balancer").set_current_peer("127.0.0.1", $TEST_NGINX_SERVER_PORT)
    }
}
--- config
location /t {
    set_by_lua_block $set { FOUND.set = pipe.spawn({ "echo", "set" }):stdout_read_line() return "x" }
    rewrite_by_lua_block { FOUND.rewrite = pipe.spawn({ "echo", "rewrite" }):stdout_read_line() }
    access_by_lua_block { FOUND.access = pipe.spawn({ "echo", "access" }):stdout_read_line() }
    header_filter_by_lua_block { FOUND.header_filter = pipe.spawn({ "echo", "header_filter" }):stdout_read_line() }
    body_filter_by_lua_block { FOUND.body_filter = pipe.spawn({ "echo", "body_filter" }):stdout_read_line() }
    log_by_lua_block { FOUND.log = pipe.spawn({ "echo", "log" }):stdout_read_line() }
    proxy_pass http://u/empty;
}
location /empty { return 204; }
location /found {
    content_by_lua_block {
        while not FOUND.log or not FOUND.timer do ngx.sleep(0.01) end
        local names = {}
        for name, value in pairs(FOUND) do names[#names + 1] = value == name and name or name .. " failed" end
        table.sort(names)
        ngx.say(table.concat(names, " "))
    }
}
--- request eval
["GET /t", "GET /found"]
--- error_code eval
[204, 200]
--- response_body eval
["", "access balancer body_filter header_filter init_worker log rewrite set timer\n"]



=== TEST 14: what is not accepted
--- config
location /t {
    content_by_lua_block {
        local function try(...) ngx.say((select(2, pcall(...)))) end
        try(pipe.spawn)
        try(pipe.spawn, {})
        try(pipe.spawn, { "a\0b" })
        try(pipe.spawn, "true", 1)
        try(pipe.spawn, "true", { buffer_size = 0 })
        try(pipe.spawn, "true", { buffer_size = 0 / 0 })
        try(pipe.spawn, "true", { stdout_read_timeout = 0 / 0 })
        try(pipe.spawn, "true", { directory = "" })
        try(pipe.spawn, "true", { environ = { "A=1", "B" } })
        try(pipe.spawn, "true", { wait_timeout = -1 })
        local p = pipe.spawn("true")
        try(p.set_timeouts, p, 0 / 0)
        try(p.wait)
        try(p.wait, io.stdout)
        try(p.stdout_read_bytes, p)
        try(p.stdout_read_any, p, 0)
        try(p.write, p)
        try(p.kill, p, "TERM")
        ngx.say(p:kill(1e6))
        ngx.say(p:stdout_read_bytes(0) == "")
    }
}
--- response_body
bad args arg: table expected, got nil
bad args arg: non-empty table expected
bad args arg: zero byte in argument 1
bad opts arg: table expected, got number
bad buffer_size option
bad buffer_size option
bad stdout_read_timeout option
bad directory option
bad value at index 2 of environ option: 'name=[value]' format expected, got 'B'
bad wait_timeout option
bad write_timeout option
not a process instance
not a process instance
bad len argument
bad max argument
bad data arg: string, number, or table expected, got nil
bad signal arg: number expected, got string
nilinvalid signal
true
