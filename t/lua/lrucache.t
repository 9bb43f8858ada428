use lib 't/lib';
use Bulan::Test;

# A block's config is Lua code that runs once for each of the two implementations.
my @preamble = map { "local lrucache = require '$_'" } qw(resty.lrucache resty.lrucache.pureffi);
add_block_preprocessor(sub {
    my $block = shift;
    my $both = join "\n", map { "do $_\n" . $block->config . "\nend" } @preamble;
    $block->set_value(config => "location /t { content_by_lua_block {\n$both\n} }");
    $block->set_value(request => 'GET /t');
    $block->set_value(response_body => $block->response_body x 2);
});

run_tests();

__DATA__

=== TEST 1: set, get, delete
--- config
local c = lrucache.new(2)
c:set("dog", 32)
c:set("cat", false)
ngx.say(c:get("dog"))
ngx.say((c:get("cat")))
ngx.say(c:get("cow"))
c:set("dog", { 1 }, nil, 7)
ngx.say((c:get("dog"))[1], " ", select(3, c:get("dog")))
ngx.say(c:delete("dog"), " ", c:delete("dog"), " ", (c:get("dog")))
c:set("cat", nil)
ngx.say(c:count(), " of ", c:capacity())
ngx.say(lrucache.new(0))
--- response_body
32nil0
false
nil
1 7
true false nil
0 of 2
nilsize too small



=== TEST 2: the least recently used item makes room
--- config
local c = lrucache.new(3)
for i = 1, 3 do c:set(i, "v" .. i) end
c:get(1)
c:set(4, "v4")
ngx.say((c:get(1)), " ", (c:get(2)), " ", (c:get(3)), " ", (c:get(4)))
ngx.say(table.concat(c:get_keys(), " "))
ngx.say(table.concat(c:get_keys(2), " "))
local t = { "x", "x", "x", "x" }
ngx.say(c:get_keys(1, t) == t, " ", t[1], " ", t[2])
--- response_body
v1 nil v3 v4
4 3 1
4 3
true 4 nil



=== TEST 3: expiry
--- config
local c = lrucache.new(2)
c:set("dog", 1, 0.05, 3)
c:set("cat", 2)
ngx.say(c:get("dog"))
repeat
    ngx.sleep(0.01)
until c:get("dog") == nil
ngx.say(c:get("dog"))
ngx.say(c:count(), " ", (c:get("cat")))
c:set("dog", 5)
ngx.say(c:get("dog"))
--- response_body
1nil3
nil13
2 2
5nil0



=== TEST 4: flush_all
--- config
local c = lrucache.new(10)
for i = 1, 15 do c:set("k" .. i, i) end
c:flush_all()
ngx.say(c:count(), " ", #c:get_keys(), " ", (c:get("k15")))
for i = 1, 15 do c:set("k" .. i, i) end
ngx.say(c:count(), " ", table.concat(c:get_keys(), " "))
--- response_body
0 0 nil
10 k15 k14 k13 k12 k11 k10 k9 k8 k7 k6



=== TEST 5: keys of any type
--- config
local c = lrucache.new(20)
local t = setmetatable({}, { __tostring = function() return tostring(math.random()) end })
for i, k in ipairs { t, true, 1, "1", 1.5, -1, 2 ^ 60, "", ("x"):rep(1000), ngx.null } do
    c:set(k, i)
end
ngx.say((c:get(1)), (c:get("1")), (c:get(true)), (c:get(2 ^ 60)), (c:get(("x"):rep(1000))))
for i = 1, 100 do c:set(i, i) end
ngx.say(c:count(), " ", (c:get(81)), " ", (c:get(80)))
--- response_body
34279
20 81 nil



=== TEST 6: agrees with a simple model
--- config
local c, model, keys = lrucache.new(17), {}, {}
local function place(k)
    for i, m in ipairs(model) do if m[1] == k then return i end end
end
for i = 1, 5000 do
    local k = "k" .. (i * i * 31 + i) % 40
    local at = place(k)
    if i % 3 == 0 then
        assert((c:get(k)) == (at and model[at][2]))
        if at then table.insert(model, 1, table.remove(model, at)) end
    elseif i % 7 == 0 then
        assert(c:delete(k) == (at ~= nil))
        if at then table.remove(model, at) end
    else
        c:set(k, i)
        table.remove(model, at or (#model == 17 and 17 or 18))
        table.insert(model, 1, { k, i })
    end
    assert(c:count() == #model)
end
for i, k in ipairs(c:get_keys()) do assert(k == model[i][1]) end
ngx.say("ok")
--- response_body
ok
