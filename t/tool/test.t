# `bulan test`: tests in Lua.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Bulan::Test::Command;

# spec(TEXT, OPTION...): the result of a file of tests.
sub spec {
    my ($text, @options) = @_;
    my $in = Bulan::Test::Command->new;
    $in->file('work/a_spec.lua', $text);
    return $in->run('test', @options);
}

# holds(CODE): in a test, it passes.
sub holds {
    my ($code) = @_;
    my $r = spec("it('x', function() $code end)");
    ok $r->{status} == 0, $code or diag $r->{out}, $r->{err};
}

# fails(CODE, PATTERN): the test fails, as a failure, and says so.
sub fails {
    my ($code, $pattern) = @_;
    my $r = spec("it('x', function() $code end)");
    is $r->{status}, 1, "$code fails";
    like $r->{out}, qr/^FAILED  x\n        at a_spec\.lua:1\n$pattern/m, 'and says why';
}

subtest 'the report' => sub {
    my $r = spec(<<'LUA');
describe("a list", function()
  it("is short", function() assert.equal(1, 1) end)
  describe("inside", function()
    it("differs", function()
      assert.are.same({ a = { 1, 2 } }, { a = { 1, 3 } })
    end)
    pending("for later")
    it("breaks", function() local x; x.y = 1 end)
  end)
end)
LUA
    is $r->{status}, 1, 'status';
    is $r->{err}, '', 'stderr';
    is $r->{out} =~ s/\(\d+\.\d+ s\)/(T s)/r =~ s/\t/TAB/gr, <<'OUT', 'text';
a_spec.lua
  a list
    ok      is short
    inside
      FAILED  differs
      pending for later
      ERROR   breaks

FAILED  a list inside differs
        at a_spec.lua:5
    expected value:
    { a = { 1, 2 } }
    got:
    { a = { 1, 3 } }
    first difference at .a[2]: expected 2, got 3

ERROR   a list inside breaks
        at a_spec.lua:8
    a_spec.lua:8: attempt to index local 'x' (a nil value)
    stack traceback:
    TABa_spec.lua:8: in function <a_spec.lua:8>

1 passed, 1 failed, 1 errors, 1 pending (T s)
OUT
    $r = spec(<<'LUA', '--tap');
it("good", function() end)
it("bad", function() assert.is_true(1) end)
pending("later")
LUA
    is $r->{out}, <<'OUT', '--tap';
ok 1 - good
not ok 2 - bad
# at a_spec.lua:2
# expected value:
# true
# got:
# 1
ok 3 - later # SKIP pending
1..3
OUT
    $r = spec('describe("a", function() it("b", function() end) it("c", function() error("x") end) end)', '--tap', '-f', 'a b');
    is_deeply $r, { out => "ok 1 - a b\n1..1\n", err => '', status => 0 }, '-f';
};

subtest 'order' => sub {
    my $r = spec(<<'LUA', '--tap');
setup(function() print("file setup") end)
before_each(function() io.write("[") end)
after_each(function() print("]") end)
describe("a", function()
  setup(function() print("setup") end)
  teardown(function() print("teardown") end)
  before_each(function() io.write("b ") end)
  after_each(function() io.write(" a") end)
  it("one", function() finally(function() io.write(" finally") end) io.write("1") end)
  it("two", function() io.write("2") error("x", 0) end)
end)
LUA
    is $r->{out} =~ s/^# (at|stack|\t).*\n//mgr, <<'OUT', 'of what stands around tests';
file setup
setup
[b 1 finally a]
ok 1 - a one
[b 2 a]
not ok 2 - a two
# x
teardown
1..2
OUT
    $r = spec('describe("a", function() setup(function() error("no", 0) end) it("b", function() end) end)', '--tap');
    like $r->{out}, qr/^not ok 1 - a b\n.*\n# no\n/, 'a setup that fails';
    $r = spec('describe("a", function() teardown(function() error("no", 0) end) it("b", function() end) end)', '--tap');
    like $r->{out}, qr/^ok 1 - a b\nnot ok 2 - a teardown\n/, 'a teardown that fails';
    is $r->{status}, 1, 'status';
    like spec('it("a", function() pending("not now") error("x") end)', '--tap')->{out}, qr/^ok 1 - a # SKIP not now\n1\.\.1/, 'pending inside';
    like spec('it("a")', '--tap')->{out}, qr/^ok 1 - a # SKIP/, 'a test without function';
};

subtest 'assertions' => sub {
    holds($_) for (
        'assert.equal(1, 1) assert.equals("a", "a") assert.are.equal(1, 1) assert.is.equal(1, 1)',
        'assert.are_not.equal(1, 2) assert.is_not.equal({}, {}) assert.not_equal(1, 2)',
        'assert.same({ 1, { a = {} } }, { 1, { a = {} } }) assert.are_not.same({ 1 }, { 1, 2 })',
        'local a, b = {}, {}; a.a, b.a = a, b; assert.same(a, b)',
        'assert.is_true(true) assert.is_false(false) assert.is_not_true(1) assert.True(true) assert.is.Not.False(nil)',
        'assert.truthy(0) assert.is_falsy(nil) assert.is_nil(nil) assert.is_not_nil(false) assert.not_nil(1)',
        'assert.has_error(function() error("x") end) assert.has_error(function() error("x") end, "x")',
        'assert.has_error(function() error({ 1 }) end, { 1 }) assert.has_no_error(function() end)',
        'assert.has.errors(function() error() end) assert.has_no.errors(function() end)',
        'assert.error_matches(function() error("code 12") end, "%d+") assert.has_error(function() ngx.sleep(0.001) error("x") end, "x")',
        'assert.matches("b.", "abc") assert.has_match("a.b", "a.b", 1, true) assert.no_match("x", "abc")',
        'assert.near(1, 1.05, 0.1) assert.is_not_near(1, 2, 0.1)',
        'assert.is_string("") assert.is_table({}) assert.is_not_number("1") assert.is_function(print)',
        'local a, b = assert(1, "x"); assert.equal("x", b) assert.equal(2, assert.truthy(2))',
        'assert.equal("x", assert.has_error(function() error("x", 0) end))',
        'assert:register("assertion", "even", function(state, args) return args[1] % 2 == 0 end) assert.is_even(2) assert.is_not_even(3)',
    );
    fails('assert.equal(1, "1")', qr/    expected value:\n    1\n    got:\n    "1"\n/);
    fails('assert.same({ x = { 1 } }, { x = {} })', qr/.*first difference at \.x\[1\]: expected 1, got nil\n/s);
    fails('assert.are_not.equal(1, 1)', qr/    expected another value than:\n    1\n/);
    fails('assert.has_error(function() end)', qr/    expected an error, there was none\n/);
    fails('assert.has_error(function() error("x", 0) end, "y")', qr/    expected an error:\n    "y"\n    , got:\n    "x"\n/);
    fails('assert.has_no_error(function() error("x", 0) end)', qr/    expected no error, got:\n    "x"\n/);
    fails('assert.message("about a").is_nil(1)', qr/    about a\n    expected value:\n    nil\n/);
    fails('assert(nil, "gone")', qr/    gone\n/);
    fails('assert.near(1, 2, 0.5)', qr/    expected a number within 0\.5 of:\n    1\n/);
    like spec('it("x", function() assert.is_nonsense(1) end)')->{out}, qr/there is no assertion "nonsense"/, 'an unknown one';
};

subtest 'spies' => sub {
    holds($_) for (
        'local s = spy.new(function(a) return a + 1 end); assert.equal(2, s(1)) assert.spy(s).was.called() assert.spy(s).was_called(1)',
        'local t = { f = function() return 1 end }; spy.on(t, "f") t.f(1, nil) assert.spy(t.f).was.called_with(1, nil) assert.spy(t.f).was_not.called_with(1)',
        'local s = spy.new(); s({ 1 }) assert.spy(s).was_called_with({ 1 }) assert.spy(s).was.called_with(match._) assert.spy(s).called_at_least(1)',
        'local t = { f = error }; stub(t, "f").returns(1, 2) assert.same({ 1, 2 }, { t.f() }) t.f:revert() assert.equal(error, t.f)',
        'local s = stub.new(); s() s:clear() assert.spy(s).was_not_called()',
    );
    fails('local s = spy.new(); s(1) assert.spy(s).was_called_with(2)', qr/    no call had the expected arguments; calls:\n    \(1\)\n/);
    is spec('it("a", function() stub(os, "time", 1) assert.equal(1, os.time()) end) it("b", function() assert.is_true(os.time() > 1) end)')->{status},
        0, 'are taken back after a test';
};

subtest 'inside a worker' => sub {
    my $r = spec(<<'LUA', '--shdict', 'd 1m', '--tap');
it("waits", function() ngx.sleep(0.001) end)
it("has timers and threads", function()
  local sema = require("ngx.semaphore").new()
  ngx.timer.at(0, function() sema:post() end)
  assert.is_true(sema:wait(5))
  local ok, value = ngx.thread.wait(ngx.thread.spawn(function() ngx.sleep(0.001) return 5 end))
  assert.equal(5, value)
end)
it("has sockets", function()
  local s = ngx.socket.tcp()
  local ok, err = s:connect("unix:none.sock")
  assert.is_nil(ok)
  assert.equal("no such file or directory", err)
end)
it("has dictionaries", function() ngx.shared.d:set("a", 1) assert.equal(1, ngx.shared.d:get("a")) end)
it("leaves a thread", function() ngx.thread.spawn(function() ngx.sleep(1000) end) end)
LUA
    is $r->{out}, "ok 1 - waits\nok 2 - has timers and threads\nok 3 - has sockets\nok 4 - has dictionaries\nok 5 - leaves a thread\n1..5\n",
        'everything is there';
    is $r->{status}, 0, 'status';
};

subtest 'files' => sub {
    my $in = Bulan::Test::Command->new;
    $in->file('work/lib/m.lua', 'return { count = 0 }');
    $in->file("work/spec/${_}_spec.lua", <<'LUA') for 'a', 'b/c';
local m = require("m")
m.count = m.count + 1
leak = (leak or 0) + 1
it("is alone", function() assert.equal(1, m.count) assert.equal(1, leak) end)
LUA
    $in->file('work/spec/d_test.lua', 'it("d", function() end)');
    $in->file('work/spec/other.lua', 'error("not a test")');
    $in->file('work/spec/.hidden/e_spec.lua', 'error("hidden")');
    my @options = ('test', '--tap', '-I', 'lib');
    is $in->run(@options)->{out}, "ok 1 - is alone\nok 2 - is alone\nok 3 - d\n1..3\n", 'of the current folder, one by one';
    is $in->run(@options, 'spec/b')->{out}, "ok 1 - is alone\n1..1\n", 'of a folder';
    is $in->run(@options, 'spec/d_test.lua', 'spec/a_spec.lua')->{out}, "ok 1 - d\nok 2 - is alone\n1..2\n", 'of files';
    $in->file('work/bad_spec.lua', 'x =');
    my $r = $in->run(@options, 'bad_spec.lua', 'spec/d_test.lua');
    like $r->{out}, qr/^not ok 1 - bad_spec\.lua\n.*unexpected symbol.*\nok 2 - d\n/s, 'no Lua';
    is $r->{status}, 1, 'status';
    is_deeply $in->run('test', 'none'), { out => '', err => "bulan: none: No such file or directory\n", status => 1 }, 'no such folder';
    is_deeply $in->run('test', 'lib'), { out => '', err => "bulan: there are no files *_spec.lua or *_test.lua\n", status => 1 }, 'no tests';
    like $in->run('test', '--help')->{out}, qr/^Usage: bulan test .*--tap/s, '--help';
};

done_testing;
