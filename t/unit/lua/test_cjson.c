#include "unit.h"
#include "lua/cjson.h"
#include "lua/cjson_number.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>

/* Each test is a Lua script with `cjson`, `safe` (both fresh) and these helpers in sight. */
static const char prelude[] =
    "function is(got, want, what)\n"
    "    if got ~= want then\n"
    "        error(string.format('%s: got <%s>, want <%s>', what or '?', tostring(got),\n"
    "            tostring(want)), 2)\n"
    "    end\n"
    "end\n"
    "function throws(want, f, ...)\n"
    "    local ok, err = pcall(f, ...)\n"
    "    is(ok, false, 'threw')\n"
    "    is(err, want)\n"
    "end\n"
    "function refuses(text, want)\n"
    "    local value, err = safe.decode(text)\n"
    "    is(value, nil, text)\n"
    "    is(err, want, text)\n"
    "end\n";

static void open_as(lua_State *L, lua_CFunction open, const char *name)
{
    lua_pushcfunction(L, open);
    lua_call(L, 0, 1);
    lua_setglobal(L, name);
}

static void run(const char *script)
{
    lua_State *L = luaL_newstate();

    luaL_openlibs(L);
    open_as(L, luaopen_cjson, "cjson");
    open_as(L, luaopen_cjson_safe, "safe");
    ck_assert_int_eq(luaL_dostring(L, prelude), 0);
    if (luaL_dostring(L, script) != 0)
        ck_abort_msg("%s", lua_tostring(L, -1));
    lua_close(L);
}

START_TEST(decodes_values)
{
    run("is(cjson.decode('true'), true) is(cjson.decode(' false '), false)\n"
        "is(cjson.decode('null'), cjson.null) is(cjson.decode('\\t\\r\\n1'), 1)\n"
        "is(cjson.decode('\"\"'), '') is(cjson.decode('-12.5e2'), -1250)\n"
        "local t = cjson.decode('{\"a\":[1,{\"b\":null},[]],\"\":{}}')\n"
        "is(#t.a, 3) is(t.a[1], 1) is(t.a[2].b, cjson.null) is(#t.a[3], 0) is(next(t['']), nil)\n"
        "is(cjson.decode('{\"a\":1,\"b\":2,\"a\":3}').a, 3, 'the last of equal keys')\n"
        "is(cjson.decode('{\"1\":\"x\"}')[1], nil, 'keys stay strings')\n"
        "is(cjson.decode(12), 12)\n");
}
END_TEST

START_TEST(decodes_strings)
{
    run("is(cjson.decode([[\"\\\\\\\"\\/\\b\\f\\n\\r\\t\"]]), '\\\\\"/\\b\\f\\n\\r\\t')\n"
        "is(cjson.decode([[\"\\u0041\\u00e9\\u20AC\\uD83D\\uDE00\\u0000\"]]),\n"
        "   'A\\195\\169\\226\\130\\172\\240\\159\\152\\128\\0')\n"
        "is(cjson.decode('\"a\\nb\\1\"'), 'a\\nb\\1', 'control bytes pass')\n"
        "for n = 0, 70 do\n" /* each length, with and without an escape at each place */
        "    local s = ('abcdefghijklmnopqrstuvwxyz'):rep(3):sub(1, n)\n"
        "    is(cjson.decode('\"' .. s .. '\"'), s)\n"
        "    for i = 1, n do\n"
        "        local text = s:sub(1, i - 1) .. '\\\\n' .. s:sub(i + 1)\n"
        "        is(cjson.decode('\"' .. text .. '\"'), (text:gsub('\\\\n', '\\n')))\n"
        "    end\n"
        "end\n"
        "local long = ('x\\\\\\\"'):rep(5000)\n"
        "is(cjson.decode('\"' .. long .. '\"'), ('x\"'):rep(5000))\n");
}
END_TEST

START_TEST(decode_errors_have_positions)
{
    run("refuses('', 'Expected value but found T_END at character 1')\n"
        "refuses('Oops', 'Expected value but found invalid token at character 1')\n"
        "refuses('{ \"unexpected eof\": ', 'Expected value but found T_END at character 21')\n"
        "refuses('{ \"extra\": true }, 1', 'Expected the end but found T_COMMA at character 18')\n"
        "refuses('[1,]', 'Expected value but found T_ARR_END at character 4')\n"
        "refuses('[1 2', 'Expected comma or array end but found T_NUMBER at character 4')\n"
        "refuses('{1', 'Expected object key string but found T_NUMBER at character 2')\n"
        "refuses('{\"a\" \"b\"', 'Expected colon but found T_STRING at character 6')\n"
        "refuses('{\"a\":1]', 'Expected comma or object end but found T_ARR_END at character 7')\n"
        "refuses('\"abc', 'Expected value but found unexpected end of string at character 5')\n"
        "refuses('\"a\\0b\"', 'Expected value but found unexpected end of string at character 3')\n"
        "refuses('[\"\\\\x\"]', 'Expected value but found invalid escape code at character 3')\n"
        "refuses('{\"\\\\u12', 'Expected object key string but found invalid unicode escape code' "
        "..\n"
        "    ' at character 3')\n"
        "refuses([[\"\\uDC00\\uD800\"]], 'Expected value but found invalid unicode escape code' "
        "..\n"
        "    ' at character 2')\n"
        "refuses('[1]\\0', 'Expected the end but found invalid token at character 4')\n"
        "refuses('\"\\0\"\\0', 'JSON parser does not support UTF-16 or UTF-32')\n"
        "throws('Expected value but found T_END at character 1', cjson.decode, '')\n"
        "is(select('#', safe.decode('x')), 2)\n");
}
END_TEST

START_TEST(invalid_numbers)
{
    run("is(cjson.decode('0x6.ffp1'), 13.9921875) is(cjson.decode('0123'), 123)\n"
        "is(cjson.decode('[+Inf,-Infinity]')[2], -math.huge)\n"
        "local nan = cjson.decode('NaN') is(nan ~= nan, true)\n"
        "refuses('[ -+12 ]', 'Expected value but found invalid number at character 3')\n"
        "refuses('Infrared', 'Expected the end but found invalid token at character 4')\n"
        "is(safe.decode_invalid_numbers('off'), false)\n"
        "refuses('0x6', 'Expected value but found invalid number at character 1')\n"
        "refuses('[ 0123 ]', 'Expected value but found invalid number at character 3')\n"
        "refuses('[ +Inf ]', 'Expected value but found invalid token at character 3')\n"
        "refuses('[ NaN ]', 'Expected value but found invalid token at character 3')\n"
        "is(safe.decode('-0.5'), -0.5)\n"
        "throws('Cannot serialise number: must not be NaN or Infinity', cjson.encode, 1/0)\n"
        "is(cjson.encode_invalid_numbers('null'), 'null') is(cjson.encode({0/0}), '[null]')\n"
        "is(cjson.encode_invalid_numbers(true), true)\n"
        "is(cjson.encode({0/0, 1/0, -1/0}), '[NaN,Infinity,-Infinity]')\n"
        "is(cjson.encode_invalid_numbers(), true)\n");
}
END_TEST

START_TEST(depth_is_limited)
{
    run("is(safe.decode_max_depth(5), 5)\n"
        "is(type(safe.decode('[[[[[1]]]]]')), 'table')\n"
        "refuses('[[[[[[1]]]]]]', 'Found too many nested data structures (6) at character 6')\n"
        "refuses('{\"a\":{\"b\":{\"c\":{\"d\":{\"e\":{}', "
        "'Found too many nested data structures (6) at character 26')\n"
        "safe.decode_max_depth(2 ^ 31 - 1)\n"
        "local v, err = safe.decode(('['):rep(1000000))\n"
        "is(v, nil) is(err:match('^Found too many nested data structures') ~= nil, true)\n"
        "is(cjson.encode(cjson.decode(('['):rep(1000) .. ('{\"a\":'):rep(0) .. (']'):rep(1000))),\n"
        "   ('['):rep(999) .. '{}' .. (']'):rep(999))\n"
        "is(safe.encode_max_depth(5), 5)\n"
        "is(safe.encode({{{{{'x'}}}}}), '[[[[[\"x\"]]]]]')\n"
        "local loop = {} loop[1] = loop\n"
        "is(select(2, safe.encode(loop)), 'Cannot serialise, excessive nesting (6)')\n"
        "is(select(2, safe.encode({a = {b = {c = {d = {e = {}}}}}})),\n"
        "   'Cannot serialise, excessive nesting (6)')\n"
        "safe.encode_max_depth(2 ^ 31 - 1)\n"
        "is((select(2, safe.encode(loop))):match('excessive nesting'), 'excessive nesting')\n"
        "is(safe.encode({1}), '[1]', 'usable after an error')\n");
}
END_TEST

START_TEST(large_tables)
{
    run("local list, text = {}, {}\n"
        "for i = 1, 10000 do list[i] = i; text[i] = '\"k' .. i .. '\":' .. i end\n"
        "local array = cjson.decode('[' .. table.concat(list, ' , ') .. ']')\n"
        "is(#array, 10000) for i = 1, 10000 do is(array[i], i) end\n"
        "local object = cjson.decode('{' .. table.concat(text, ',') .. '}')\n"
        "for i = 1, 10000 do is(object['k' .. i], i) end\n"
        "is(cjson.encode(array), '[' .. table.concat(list, ',') .. ']')\n"
        "for n = 45, 100 do\n" /* around the size of a batch */
        "    is(cjson.encode(cjson.decode('[' .. table.concat(list, ',', 1, n) .. ']')),\n"
        "       '[' .. table.concat(list, ',', 1, n) .. ']')\n"
        "    local t = cjson.decode('{' .. table.concat(text, ',', 1, n) .. '}')\n"
        "    local count = 0 for k, v in pairs(t) do count = count + 1; is(k, 'k' .. v) end\n"
        "    is(count, n)\n"
        "end\n");
}
END_TEST

START_TEST(encodes_tables)
{
    run("is(cjson.encode({}), '{}') is(cjson.encode(nil), 'null') is(cjson.encode({1, 'a', "
        "true}),\n"
        "   '[1,\"a\",true]')\n"
        "is(cjson.encode({a = {false}}), '{\"a\":[false]}')\n"
        "is(cjson.encode({1, 2, 3, nil, 5}), '[1,2,3,null,5]')\n"
        "is(cjson.encode({[3] = 'x'}), '[null,null,\"x\"]')\n"
        "is(cjson.encode({[1.5] = 2}), '{\"1.5\":2}') is(cjson.encode({[0] = 1}), '{\"0\":1}')\n"
        "is(cjson.encode({[-1] = 1}), '{\"-1\":1}')\n"
        "local back = cjson.decode(cjson.encode({1, {2}, a = 3}))\n"
        "is(back['1'], 1) is(back['2'][1], 2) is(back.a, 3)\n"
        "local hashed = {a = 1} for i = 5, 1, -1 do hashed[i] = i end hashed.a = nil\n"
        "is(cjson.encode(hashed), '[1,2,3,4,5]')\n"
        "is(cjson.encode({{1}, {2}, {a = {{}}}}), '[[1],[2],{\"a\":[{}]}]')\n"
        "throws('Cannot serialise boolean: table key must be a number or string', cjson.encode,\n"
        "       {[false] = 1})\n"
        "throws('Cannot serialise function: type not supported', cjson.encode, {print})\n"
        "throws('Cannot serialise cdata: type not supported', cjson.encode, 5LL)\n"
        "throws('Cannot serialise userdata: type not supported', cjson.encode, io.stdout)\n");
}
END_TEST

START_TEST(mixed_tables_take_linear_time)
{
    run("local t = 1\n" /* each level starts like an array and turns out to be an object */
        "for _ = 1, 900 do t = {t, 2, x = 3} end\n"
        "is(#cjson.encode(t) > 900, true)\n");
}
END_TEST

START_TEST(sparse_arrays)
{
    run("is(cjson.encode({[10] = 1}), '[' .. ('null,'):rep(9) .. '1]')\n"
        "throws('Cannot serialise table: excessively sparse array', cjson.encode, {[11] = 1})\n"
        "throws('Cannot serialise table: excessively sparse array', cjson.encode, {1, [2^31-1] = "
        "1})\n"
        "local a, b, c = cjson.encode_sparse_array(true, 2, 3)\n"
        "is(a, true) is(b, 2) is(c, 3)\n"
        "is(cjson.encode({[1] = 'one', [4] = 'x'}), '[\"one\",null,null,\"x\"]')\n"
        "is(cjson.encode({[5] = 'x'}), '{\"5\":\"x\"}')\n"
        "is(select('#', cjson.encode_sparse_array()), 3)\n");
}
END_TEST

START_TEST(array_marks)
{
    run("is(cjson.encode(cjson.empty_array), '[]')\n"
        "is(cjson.encode(setmetatable({}, cjson.empty_array_mt)), '[]')\n"
        "is(cjson.encode(setmetatable({a = 1}, cjson.empty_array_mt)), '{\"a\":1}')\n"
        "is(cjson.encode(setmetatable({}, cjson.array_mt)), '[]')\n"
        "is(cjson.encode(setmetatable({'x', a = 1}, cjson.array_mt)), '[\"x\"]')\n"
        "local holes = setmetatable({}, cjson.array_mt) holes[1] = 1 holes[2] = 2 holes[4] = 4\n"
        "is(cjson.encode(holes), '[1,2,null,4]')\n"
        "is(cjson.array_mt, safe.array_mt, 'one mark for all instances')\n"
        "is(cjson.encode(cjson.decode('[[]]')), '[{}]')\n"
        "is(cjson.decode_array_with_array_mt(true), true)\n"
        "is(cjson.encode(cjson.decode('[[],{}]')), '[[],{}]')\n"
        "is(cjson.encode_empty_table_as_object(false), false) is(cjson.encode({{}}), '[[]]')\n"
        "is(cjson.encode_empty_table_as_object('on'), true) is(cjson.encode({{}}), '[{}]')\n");
}
END_TEST

START_TEST(encodes_strings)
{
    run("is(cjson.encode('\\0\\31\\127\"\\\\/\\b\\t\\n\\f\\r\\195\\169'),\n"
        "   "
        "'\"\\\\u0000\\\\u001f\\\\u007f\\\\\"\\\\\\\\\\\\/\\\\b\\\\t\\\\n\\\\f\\\\r\\195\\169\"')\n"
        "is(cjson.encode_escape_forward_slash(false), false)\n"
        "is(cjson.encode('https://a/b'), '\"https://a/b\"')\n"
        "cjson.encode_escape_forward_slash(true)\n"
        "for n = 0, 70 do\n" /* each length, with each kind of special byte at each place */
        "    local s = ('abcdefghijklmnopqrstuvwxyz\\200\\255 ~!#.0'):rep(2):sub(1, n)\n"
        "    is(cjson.encode(s), '\"' .. s .. '\"')\n"
        "    for i = 1, n do for c, e in pairs({['\"'] = '\\\\\"', ['\\1'] = '\\\\u0001',\n"
        "            ['/'] = '\\\\/', ['\\31'] = '\\\\u001f', ['\\127'] = '\\\\u007f'}) do\n"
        "        is(cjson.encode(s:sub(1, i - 1) .. c .. s:sub(i + 1)),\n"
        "           '\"' .. s:sub(1, i - 1) .. e .. s:sub(i + 1) .. '\"')\n"
        "    end end\n"
        "end\n"
        "is(cjson.encode(('\\1'):rep(10000)), '\"' .. ('\\\\u0001'):rep(10000) .. '\"')\n");
}
END_TEST

START_TEST(indents)
{
    run("is(cjson.encode_indent('  '), '  ')\n"
        "is(cjson.encode({a = {b = 1}}), '{\\n  \"a\": {\\n    \"b\": 1\\n  }\\n}')\n"
        "is(cjson.encode({{1, 2}, {}}), '[\\n  [\\n    1,\\n    2\\n  ],\\n  {}\\n]')\n"
        "is(cjson.encode(cjson.empty_array), '[]')\n"
        "cjson.encode_skip_unsupported_value_types(true)\n"
        "is(cjson.encode({print}), '[]') is(cjson.encode({print, {1}}), '[\\n  [\\n    1\\n  "
        "]\\n]')\n"
        "is(cjson.encode_indent(''), '') is(cjson.encode({{1}}), '[[1]]')\n");
}
END_TEST

START_TEST(skips_unsupported)
{
    run("is(cjson.encode_skip_unsupported_value_types(), false)\n"
        "is(cjson.encode_skip_unsupported_value_types(true), true)\n"
        "is(cjson.encode({1, print, 3}), '[1,3]') is(cjson.encode({1, print}), '[1]')\n"
        "is(cjson.encode({a = print}), '{}') is(cjson.encode({b = {print}, a = nil}), "
        "'{\"b\":[]}')\n"
        "throws('Cannot serialise boolean: table key must be a number or string', cjson.encode,\n"
        "       {[true] = 1})\n");
}
END_TEST

START_TEST(comments)
{
    run("refuses('[1,/**/2]', 'Expected value but found invalid token at character 4')\n"
        "is(safe.decode_allow_comment(true), true)\n"
        "is(safe.decode('/* a */ [1, // b\\n /* * / */ 2] // end')[2], 2)\n"
        "is(safe.decode('\"/* no */\"'), '/* no */')\n"
        "refuses('[1 /* ', 'Expected comma or array end but found invalid token at character "
        "4')\n");
}
END_TEST

START_TEST(settings_are_checked)
{
    run("throws('bad argument #1 to \\'?\\' (expected integer between 1 and 16)',\n"
        "       cjson.encode_number_precision, 0)\n"
        "throws('bad argument #1 to \\'?\\' (number expected, got string)',\n"
        "       cjson.encode_max_depth, 'wrong')\n"
        "throws('bad argument #2 to \\'?\\' (found too many arguments)',\n"
        "       cjson.encode_keep_buffer, nil, true)\n"
        "throws('bad argument #1 to \\'?\\' (invalid option \\'-2\\')',\n"
        "       cjson.encode_invalid_numbers, -2)\n"
        "throws('bad argument #1 to \\'?\\' (expected 1 argument)', safe.encode, 1, 2)\n"
        "throws('bad argument #1 to \\'?\\' (expected 1 argument)', safe.decode)\n"
        "throws('bad argument #1 to \\'?\\' (string expected, got table)', cjson.decode, {})\n"
        "is((safe.decode({})), nil)\n"
        "is(cjson._NAME, 'cjson') is(cjson._VERSION:match('^2%.1%.'), '2.1.')\n");
}
END_TEST

START_TEST(instances_are_independent)
{
    run("local other = cjson.new()\n"
        "other.encode_max_depth(1) other.encode_keep_buffer(false)\n"
        "is(cjson.encode({{1}}), '[[1]]') is(other.encode({1}), '[1]') is(other.encode({2}), "
        "'[2]')\n"
        "is(pcall(other.encode, {{1}}), false) is(safe.new().decode('x'), nil)\n"
        "is(pcall(cjson.new().decode, 'x'), false)\n");
}
END_TEST

/* Lua runs finalizers when it allocates, in the middle of encode too. */
START_TEST(finalizers_may_encode)
{
    run("local keep, count = {}, 0\n"
        "local function bomb()\n"
        "    local p = newproxy(true)\n"
        "    getmetatable(p).__gc = function()\n"
        "        count = count + 1\n"
        "        is(cjson.encode({('y'):rep(20000)}), '[\"' .. ('y'):rep(20000) .. '\"]')\n"
        "    end\n"
        "end\n"
        "local want = '[\"' .. ('x'):rep(30000) .. '\"]'\n"
        "for i = 1, 3000 do bomb() is(cjson.encode({want:sub(3, -3)}), want) end\n"
        "is(count > 0, true)\n");
}
END_TEST

static void check_print(double x, int precision)
{
    char want[64], got[BL_CJSON_NUMBER_MAX + 1];

    snprintf(want, sizeof(want), "%.*g", precision, x);
    *bl_cjson_number_print(got, x, precision) = '\0';
    ck_assert_msg(strcmp(got, want) == 0, "%.17g with %d digits: got %s, want %s", x, precision,
                  got, want);
}

START_TEST(prints_numbers_as_printf)
{
    static const double some[] = {0,
                                  -0.0,
                                  1,
                                  -1,
                                  0.1,
                                  590.33,
                                  1.0 / 3,
                                  1e14,
                                  1e15,
                                  1e22,
                                  1e23,
                                  1e100,
                                  1e-4,
                                  1e-5,
                                  9.5,
                                  0.5,
                                  0.125,
                                  2.5e-308,
                                  5e-324,
                                  1e308,
                                  999.95,
                                  1e9,
                                  99999999.5,
                                  9999999999999.95,
                                  99999999999999.5,
                                  9007199254740993.0};

    for (int precision = 1; precision <= 17; precision++)
        for (size_t i = 0; i < BL_COUNTOF(some); i++)
            check_print(some[i], precision);
    srand48(1);
    for (int i = 0; i < 200000; i++) {
        double power = bl_cjson_power10[(unsigned)lrand48() % 20];
        check_print(drand48() * power, 1 + i % 17);
        check_print(drand48() / power, 1 + i % 17);
        check_print((double)(lrand48() % 1000000) / power, 1 + i % 17);
        check_print((double)(lrand48() % 1000000) / 1024, 1 + i % 17);
    }
}
END_TEST

START_TEST(parses_numbers_as_strtod)
{
    srand48(2);
    for (int i = 0; i < 200000; i++) {
        char text[64];
        double got;
        double x = drand48() * bl_cjson_power10[(unsigned)lrand48() % 20];

        snprintf(text, sizeof(text), "%.*g", 1 + i % 17, i % 2 ? x : x / 1e15);
        ck_assert_ptr_nonnull(bl_cjson_number_parse(text, &got));
        ck_assert_msg(got == strtod(text, NULL), "%s", text);
    }
}
END_TEST

UNIT_MAIN("cjson", decodes_values, decodes_strings, decode_errors_have_positions, invalid_numbers,
          depth_is_limited, large_tables, encodes_tables, mixed_tables_take_linear_time,
          sparse_arrays, array_marks, encodes_strings, indents, skips_unsupported, comments,
          settings_are_checked, instances_are_independent, finalizers_may_encode,
          prints_numbers_as_printf, parses_numbers_as_strtod)
