# ngx.re's split and opt as a module.
use lib 't/lib';
use Bulan::Test;

run_tests();

__DATA__

=== TEST 1: parts, groups, limits, ends
--- config
location /t {
    content_by_lua_block {
        local split = require("ngx.re").split
        local function show(...)
            local res, err = split(...)
            ngx.say(res and (#res .. " " .. table.concat(res, "|")) or err)
        end
        show("a,b,,c", ",")
        show(",a,b,,", ",")
        show(",a,b,,", ",", nil, nil, 9)
        show("a1b2c", "([0-9])", "jo")
        show("a1bXc", "([0-9])|X", "jo")
        show("a,b,c", ",", nil, nil, 2)
        show("a,b,c", ",", nil, {pos = 3})
        show("a,b", ",", nil, {pos = 9})
        show("abc", "")
        show("abc", "", nil, {pos = 2}, 1)
        show("abc", "|")
        show("abc", "()")
        show("a\nb\nc", "^", "m")
        show("abc", "(")
        show(123, 2)
        local res = {1, 2, 3, 4}
        split("a,b", ",", nil, nil, nil, res)
        ngx.say(res[1], res[2], res[3], res[4])
    }
}
--- request
GET /t
--- response_body
4 a|b||c
3 |a|b
5 |a|b||
5 a|1|b|2|c
4 a|1|b|c
2 a|b,c
2 b|c
0 
3 a|b|c
1 bc
3 a|b|c
5 a||b||c
3 a
|b
|c
pcre2_compile() failed: missing closing parenthesis in "("
2 1|3
abnil4



=== TEST 2: a larger stack for patterns
--- http_config
init_by_lua_block {
    local opt = require("ngx.re").opt
    print(pcall(opt, "jit_stack_size", 1000))
    print(pcall(opt, "nonsense", 1))
    opt("jit_stack_size", 1024 * 1024)
}
--- config
location /t {
    content_by_lua_block {
        local m, err = ngx.re.match(string.rep("a", 20000), "^((a|b)+)$", "jo")
        ngx.say(m and #m[0] or err)
        ngx.say((select(2, pcall(require("ngx.re").opt, "jit_stack_size", 100000))))
    }
}
--- request
GET /t
--- response_body_like chomp
^20000
.*changing jit stack size is not allowed when some regexs have already been compiled and cached$
--- error_log
jit stack size must be 32768 or more
unrecognized option name
