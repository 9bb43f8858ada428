# ngx.semaphore: units reach those that wait, also when one of them is killed.
use lib 't/lib';
use Bulan::Test;

run_tests();

__DATA__

=== TEST 1: what one that is killed was given is there for others
--- config
location = /t {
    content_by_lua_block {
        local sem = require("ngx.semaphore").new()
        local function wait(name) return function() ngx.say(name, " ", sem:wait(5)) end end
        local a, b = ngx.thread.spawn(wait("a")), nil
        sem:post()
        ngx.say(ngx.thread.kill(a), " ", sem:count())
        ngx.say(sem:wait(0))
        a, b = ngx.thread.spawn(wait("a")), ngx.thread.spawn(wait("b"))
        sem:post()
        ngx.say(ngx.thread.kill(a), " ", sem:count())
        ngx.thread.wait(b)
        a, b = ngx.thread.spawn(wait("a")), ngx.thread.spawn(wait("b"))
        sem:post(2)
        ngx.say(ngx.thread.kill(a), ngx.thread.kill(b), " ", sem:count())
        ngx.say(sem:wait(0), sem:wait(0), (sem:wait(0)))
    }
}
--- request
GET /t
--- response_body
1 1
true
1 0
b true
11 2
truetruenil



=== TEST 2: a client that goes away takes no unit with it
--- http_config
init_worker_by_lua_block { sem = require("ngx.semaphore").new() }
--- config
lua_check_client_abort on;
location = /wait { content_by_lua_block { ngx.say(sem:wait(30)) } }
location = /post { content_by_lua_block { sem:post() ngx.say(sem:count()) } }
location = /count { content_by_lua_block { ngx.say(sem:count()) } }
--- perl
my $gone = $server->connect;
$gone->send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n");
ok Bulan::Test::Process::wait_until(5, sub { $server->get('/count')->{body} eq "-1\n" }), 'it waits';
$gone->close;
ok Bulan::Test::Process::wait_until(5, sub { $server->get('/count')->{body} eq "0\n" }), 'it is gone';
is $server->get('/post')->{body}, "1\n", 'the unit stays';
is $server->get('/wait')->{body}, "true\n", 'for the next one';



=== TEST 3: numbers that are none, and too many units
--- config
location / {
    content_by_lua_block {
        local sem = require("ngx.semaphore").new()
        local function posted(n)
            local ok, err = pcall(sem.post, sem, n)
            ngx.say(ok, " ", err == true or err:match("[%a ]+$"), " ", sem:count())
        end
        posted(1 / 0)
        posted(0 / 0)
        posted(1e15)
        posted(1)
        sem = require("ngx.semaphore").new()
        for _, seconds in ipairs { 1 / 0, 1e300, 1e12 } do
            local t = ngx.thread.spawn(function() return sem:wait(seconds) end)
            ngx.sleep(0)
            sem:post()
            ngx.say(select(2, ngx.thread.wait(t)))
        end
    }
}
--- request
GET /
--- response_body
false too many units 0
false no positive number 0
true true 1e+15
false too many units 1e+15
true
true
true
