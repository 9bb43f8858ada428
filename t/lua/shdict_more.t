# ngx.shared.DICT beyond what others have: cursors, many at once, compare and set, expiry that is
# renewed, honest figures, and contents that outlive a change of size.
use lib 't/lib';
use Bulan::Test;

run_tests();

__DATA__

=== TEST 1: compare and set
--- http_config
lua_shared_dict d 100k;
--- config
location /t {
    content_by_lua_block {
        local d = ngx.shared.d
        ngx.say(d:cas("k", nil, "a"))
        ngx.say(d:cas("k", nil, "b"))
        ngx.say(d:cas("k", "x", "b"))
        ngx.say(d:cas("k", "a", 7, 0, 3))
        ngx.say(d:get("k"))
        ngx.say(d:cas("k", "7", 8))
        ngx.say(d:cas("k", 7, true))
        ngx.say(d:cas("k", false, 1))
        ngx.say(d:cas("k", true, nil))
        ngx.say(d:get("k"))
        ngx.say(d:cas("k", nil, nil))
        ngx.say(d:cas("k", nil, "short", 0.01))
        ngx.sleep(0.03)
        ngx.say(d:cas("k", "short", 1))
        ngx.say(d:cas("k", nil, ("y"):rep(200)))
        ngx.say(d:cas("k", ("y"):rep(200), ("z"):rep(3000)))
        ngx.say(#d:get("k"))
        d:rpush("list", 1)
        ngx.say(d:cas("list", nil, 1))
        ngx.say(d:cas("k", {}, 1))
        ngx.say(d:cas("", 1, 1))
    }
}
--- request
GET /t
--- response_body
truenilfalse
falsechanged
falsechanged
truenilfalse
73
falsechanged
truenilfalse
falsechanged
truenilfalse
nil
truenilfalse
truenilfalse
falsechanged
truenilfalse
truenilfalse
3000
falsechanged
nilbad value type
nilempty key



=== TEST 2: incr renews its time
--- http_config
lua_shared_dict d 100k;
--- config
location /t {
    content_by_lua_block {
        local d = ngx.shared.d
        ngx.say(d:incr("n", 1, 10, nil, 100))
        ngx.say(math.ceil(d:ttl("n")))
        ngx.say(d:incr("n", 1, nil, nil, 1000))
        ngx.say(math.ceil(d:ttl("n")))
        ngx.say(d:incr("n", 1))
        ngx.say(math.ceil(d:ttl("n")))
        ngx.say(d:incr("n", 1, nil, nil, 0), " ", d:ttl("n"))
        ngx.say(d:incr("m", 1, nil, nil, 5))
        ngx.say(pcall(d.incr, d, "n", 1, nil, nil, -1))
    }
}
--- request
GET /t
--- response_body_like
\A11nilfalse
100
12
1000
13
1000
14 0
nilnot found
false.*bad "ttl" argument



=== TEST 3: many at once, and all in parts
--- http_config
lua_shared_dict d 8m;
--- config
location /t {
    content_by_lua_block {
        local d = ngx.shared.d
        for i = 1, 10000 do d:set("k" .. i, i) end
        d:set("gone", 1, 0.001)
        local some = d:get_many{ "k1", "k10000", "none", "gone" }
        ngx.sleep(0.01)
        ngx.say(some.k1, " ", some.k10000, " ", some.none)
        local seen, all, parts, cursor, keys = {}, 0, 0, 0, nil
        repeat
            cursor, keys = d:scan(cursor, 500)
            parts = parts + 1
            for _, key in ipairs(keys) do
                if seen[key] then ngx.say("twice: ", key) end
                seen[key] = true
                all = all + 1
            end
            d:set("new" .. parts, 1) -- nobody is held up, nothing gets lost
        until cursor == 0
        local missing = 0
        for i = 1, 10000 do if not seen["k" .. i] then missing = missing + 1 end end
        ngx.say(missing, " missing, ", parts > 10 and parts < 40 and "in parts" or parts, " ", tostring(seen.gone))
        ngx.say((d:scan(1e15)))
    }
}
--- request
GET /t
--- response_body
1 10000 nil
0 missing, in parts nil
0



=== TEST 4: honest figures
--- http_config
lua_shared_dict d 1m;
--- config
location /t {
    content_by_lua_block {
        local d = ngx.shared.d
        local empty = d:usage()
        ngx.say(empty.entries, " ", empty.used, " ", empty.free > 900000 and "free")
        for i = 1, 1000 do d:set("key" .. i, ("x"):rep(100)) end
        d:rpush("list", ("y"):rep(50))
        d:set("short", 1, 0.001)
        ngx.sleep(0.01)
        local full = d:usage()
        ngx.say(full.entries, " ", full.expired, " ", full.used > 100000 and full.used < 200000 and "used")
        for i = 1, 1000, 2 do d:delete("key" .. i) end
        local holes = d:usage()
        ngx.say(holes.entries, " ", holes.used < 0.6 * full.used and "half", " ",
                holes.fragmentation > full.fragmentation and "fragmented", " ",
                holes.free > full.free and "more free")
    }
}
--- request
GET /t
--- response_body
0 0 free
1001 1 used
501 half fragmented more free
