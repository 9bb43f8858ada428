# `bulan run`: scripts.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use File::Find ();
use Bulan::Test::Backend;
use Bulan::Test::Command;
use Bulan::Test::Dns;
use Bulan::Test::Port;
use Bulan::Test::Process 'wait_until';
use Bulan::Test::Server;

my $in = Bulan::Test::Command->new;
my $work = $in->path('work');

# A script with arguments.
sub script {
    my ($text, @arguments) = @_;
    $in->file('work/a.lua', $text);
    return $in->run('run', 'a.lua', @arguments);
}

sub is_run {
    my ($r, $out, $name) = @_;
    is_deeply $r, { out => $out, err => '', status => 0 }, $name;
}

subtest 'arguments' => sub {
    is_run script('print(arg[0], arg[1], arg[2], #arg, ...)', 'x', '-e'), "a.lua\tx\t-e\t2\tx\t-e\n", 'of a file';
    is_run $in->run({ stdin => "print(arg[0], ...)\n" }, 'run', '-', 'y'), "-\ty\n", 'of stdin';
    is_run $in->run({ stdin => "#!/usr/bin/env bulan\nprint(#arg)\n" }, 'run'), "0\n", 'no file: stdin';
    is_run script("#!/usr/bin/bulan run\nprint(1)\n"), "1\n", 'the line for the shell is passed over';
};

subtest 'options' => sub {
    $in->file('lib/thing.lua', 'loads = (loads or 0) + 1; return { name = "thing" }');
    $in->file('lib/pack/init.lua', 'return "a package"');
    my $lib = $in->path('lib');
    is_run $in->run('run', '-e', 'print(1)', '-eprint(2)'), "1\n2\n", '-e';
    $in->file('work/a.lua', 'print("file", ...)');
    is_run $in->run('run', '-e', 'print(1)', 'a.lua', 'x'), "1\nfile\tx\n", '-e before the file';
    is_run $in->run('run', '-I', $lib, '-e', 'print(require("thing").name, require("pack"))'),
        "thing\ta package\n", '-I';
    is_run $in->run('run', "-I$lib", '-l', 'thing', '-e', 'print(loads)'), "1\n", '-l';
    is_run $in->run('run', '--shdict', 'cats 1m', '--shdict=dogs 2m', '-e', <<'LUA'), "tom\t2097152\n", '--shdict';
        ngx.shared.cats:set("a", "tom")
        print(ngx.shared.cats:get("a"), ngx.shared.dogs:capacity())
LUA
    $in->file('more.conf', 'lua_shared_dict included 1m;');
    is_run $in->run('run', '--http-conf', 'lua_shared_dict birds 1m;', '--http-include', $in->path('more.conf'),
        '-e', 'print(ngx.shared.birds ~= nil, ngx.shared.included ~= nil)'), "true\ttrue\n", '--http-conf, --http-include';
    $in->file('main.conf', 'thread_pool b threads=1;');
    is_run $in->run('run', '--main-conf', 'thread_pool a threads=1;', '--main-include', $in->path('main.conf'), '-e', <<'LUA'), "4\t9\n", '--main-conf, --main-include';
        local _, a = ngx.run_worker_thread("a", "math", "sqrt", 16)
        local _, b = ngx.run_worker_thread("b", "math", "abs", -9)
        print(a, b)
LUA
    is $in->run('run', '-c', '12', '--errlog-level', 'info', '-e', 'ngx.log(ngx.INFO, "told")')->{err} =~ /\[info\].*told/, 1,
        '--errlog-level, -c';
    is $in->run('run', '-e', 'ngx.log(ngx.NOTICE, "hidden")')->{err}, '', 'what is less than a warning is not shown';
    like $in->run('run', '-e', 'ngx.log(ngx.WARN, "told")')->{err}, qr/\[warn\].* told/, 'a warning is';
    my $dns = Bulan::Test::Dns->start({ 'a.test' => { A => ['127.0.0.1'] } });
    my $backend = Bulan::Test::Backend->tcp(sub { $_[0]->send("hello\n") });
    is_run $in->run('run', '--ns', '127.0.0.1:' . $dns->port, '-e', <<LUA), "hello\n", '--ns';
        local s = ngx.socket.tcp()
        assert(s:connect("a.test", ${\ $backend->port }))
        print((s:receive()))
LUA
    like $in->run('run', '--help')->{out}, qr/^Usage: bulan run .*--shdict 'NAME SIZE'/s, '--help';
};

subtest 'mistakes' => sub {
    my $r = $in->run('run', '--nonsense');
    is_deeply [@$r{qw(status err)}], [2, qq(bulan: run has no option "--nonsense" (--help tells which)\n)], 'an option';
    $r = $in->run('run', '-e');
    is_deeply [@$r{qw(status err)}], [2, qq(bulan: option "-e" requires CODE\n)], 'without its value';
    $r = $in->run('run', '--shdict', 'cats', '-e', 'print(1)');
    is $r->{status}, 2, 'a dictionary without size';
    like $r->{err}, qr/\[emerg\] invalid number of arguments in "lua_shared_dict" directive in the command line/, 'is told';
    $r = $in->run('run', 'none.lua');
    is_deeply $r, { out => '', status => 1, err => "bulan: cannot open none.lua: No such file or directory\n" }, 'no file';
    is_deeply script('x ='), { out => '', status => 1, err => "bulan: a.lua:1: unexpected symbol near '<eof>'\n" }, 'no Lua';
};

subtest 'output' => sub {
    is_run script('print(1, nil, true) ngx.say("a", 1.5, nil, true, { "b", { 2 } }, ngx.null) ngx.print("x", 2) ngx.flush(true)'),
        "1\tnil\ttrue\na1.5niltrueb2null\nx2", 'print, ngx.say, ngx.print';
    like script('ngx.say(print)')->{err}, qr/^bulan: a\.lua:1: bad argument #1 to 'say' \(string.* expected, got function\)/, 'not a function';
    my $binary = Bulan::Test::Server::binary();
    is `timeout 60 $binary run -e 'while true do print("y") end' | head -n 1`, "y\n", 'ends when its reader does';
};

subtest 'waiting' => sub {
    my $backend = Bulan::Test::Backend->tcp(sub {
        my ($c) = @_;
        $c->send('got ' . $c->take(qr/\n/, time + 5));
    });
    is_run script(<<'LUA', $backend->port), "got ping\ntimer\nfired\tfalse\ntrue\t7\n", 'sockets, timers, threads';
        local s = ngx.socket.tcp()
        assert(s:connect("127.0.0.1", tonumber((...))))
        s:send("ping\n")
        print((s:receive()))
        print(ngx.get_phase())
        local sema = require("ngx.semaphore").new()
        ngx.timer.at(0, function(premature) print("fired", premature) sema:post() end)
        sema:wait(5)
        local t = ngx.thread.spawn(function() ngx.sleep(0.001) return 7 end)
        print(ngx.thread.wait(t))
LUA
    is_run script('ngx.timer.at(1000, function() print("no") end) ngx.timer.every(1000, print_later or function() end)'),
        '', 'timers that wait keep nobody';
    my $port = Bulan::Test::Port::free_port();
    is_run $in->run('run', '--http-conf', "server { listen 127.0.0.1:$port; location / { content_by_lua_block { ngx.say('served') } } }",
        '-e', <<LUA), "served\n", 'a script with a server';
        local s = ngx.socket.tcp()
        assert(s:connect("127.0.0.1", $port))
        s:send("GET / HTTP/1.0\\r\\n\\r\\n")
        ngx.print((s:receive("*a"):match("\\r\\n\\r\\n(.*)")))
LUA
    is_run script('ngx.thread.spawn(function() ngx.sleep(0.001) print("thread") end) print("main")'),
        "main\nthread\n", 'light threads are waited for';
    is_run script('print(pcall(function() ngx.sleep(0.001) error("x", 0) end))'), "false\tx\n", 'in pcall';
};

subtest 'the end' => sub {
    my $r = script("local function f()\n  ngx.sleep(0.001)\n  error('boom')\nend\nf()\nprint('no')");
    is $r->{status}, 1, 'an error';
    is $r->{err}, "bulan: a.lua:3: boom\nstack traceback:\n\t[C]: in function 'error'\n\ta.lua:3: in function 'f'\n"
        . "\ta.lua:5: in main chunk\n", 'with its traceback';
    like script('error({ code = 1 })')->{err}, qr/^bulan: \(error object is a table value\)\n/, 'that is a table';
    like script('error(setmetatable({}, { __tostring = function() return "mine" end }))')->{err}, qr/^bulan: mine\n/, 'that has a text';
    is script('print(1) os.exit(7)')->{status}, 7, 'os.exit';
    is_deeply script('io.write("kept") ngx.exit(4)'), { out => 'kept', err => '', status => 4 }, 'ngx.exit';
    is script('ngx.exit(ngx.HTTP_OK)')->{status}, 0, 'with a status of HTTP';
    is script('ngx.exit(ngx.ERROR)')->{status}, 1, 'and ngx.ERROR';
    for my $how ('ngx.sleep(1000)', 'while true do end') {
        $in->file('work/a.lua', "io.write('ready') io.flush() $how");
        my $pid = $in->start('run', 'a.lua');
        wait_until(10, sub { $in->out eq 'ready' });
        kill 'INT', $pid;
        is $in->finish($pid)->{status}, 130, "SIGINT in $how";
    }
};

subtest 'a program, not a server' => sub {
    is_run script('x = 1; function y() end print(x)'), "1\n", 'globals are no matter for warnings';
    is_run $in->run({ env => { BULAN_TOOL_TEST => 'seen' } }, 'run', '-e', 'print(os.getenv("BULAN_TOOL_TEST"))'), "seen\n", 'environment';
    is_run $in->run({ env => { BULAN_TOOL_TEST => 'seen' } }, 'run', '--main-conf', 'env BULAN_TOOL_OTHER=set; env BULAN_TOOL_TEST;',
        '-e', 'print(os.getenv("BULAN_TOOL_TEST"), os.getenv("BULAN_TOOL_OTHER"))'), "seen\tset\n", 'and what the configuration adds';
    $in->file('work/near.lua', 'return "near"');
    is_run script('print(require "near", io.open("near.lua") ~= nil)'), "near\ttrue\n", 'the current folder';
    is_run script('local t = os.clock() while os.clock() - t < 0.3 do end'), '', 'may compute for long';
    script('print(1)');
    my @files;
    File::Find::find(sub { push @files, $_ if -f }, $work);
    is_deeply [sort @files], ['a.lua', 'near.lua'], 'no file is left';
};

done_testing;
