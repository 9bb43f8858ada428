# cjson: what its manual says, item by item.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Bulan::Test::Command;

my $in = Bulan::Test::Command->new;

$in->file('work/begin.lua', <<'LUA');
cjson, safe = require("cjson").new(), require("cjson.safe").new()
-- The result of a call: `value` or `! message`.
function try(f, ...)
    local ok, value = pcall(f, ...)
    return ok and tostring(value) or "! " .. tostring(value)
end
function enc(value) print(try(cjson.encode, value)) end
function nested(n) return ("["):rep(n) .. ("]"):rep(n) end
LUA

sub prints { local $Test::Builder::Level = $Test::Builder::Level + 1; $in->prints(@_) }

prints <<'LUA', <<'OUT', 'the module: no global, both kinds, copies with settings of their own';
print(rawget(_G, "cjson") == cjson, cjson._NAME, type(cjson._VERSION), type(cjson.null), cjson.null == ngx.null)
print(cjson ~= require "cjson", safe ~= require "cjson.safe", require "cjson" ~= require "cjson.safe")
cjson.encode_max_depth(1)
print(cjson.encode_max_depth(), require("cjson").encode_max_depth(), cjson.new().encode_max_depth(), safe.encode_max_depth())
print(safe.decode "x")
print(safe.encode(print))
print(safe.new().decode "x")
print(safe.encode { 1 }, #safe.decode "[1]", select("#", safe.encode(1)))
print(try(cjson.decode, "x"))
print(safe.array_mt == cjson.array_mt, safe.empty_array_mt == cjson.empty_array_mt, safe.empty_array == cjson.empty_array)
print(try(cjson.decode), try(cjson.encode, 1, 2), try(cjson.decode, {}), try(safe.decode, {}), try(cjson.decode, 5))
LUA
true cjson string userdata true
true true true
1 1000 1000 1000
nil Expected value but found invalid token at character 1
nil Cannot serialise function: type not supported
nil Expected value but found invalid token at character 1
[1] 1 1
! Expected value but found invalid token at character 1
true true true
! bad argument #1 to '?' (expected 1 argument) ! bad argument #1 to '?' (expected 1 argument) ! bad argument #1 to '?' (string expected, got table) nil 5
OUT

prints <<'LUA', <<'OUT', 'decode: values, escapes, bytes';
print(cjson.decode "true", cjson.decode "false", cjson.decode "null" == cjson.null, cjson.decode "5", cjson.decode '"x"')
local v = cjson.decode '[ true, { "foo": "bar" } ]'
print(v[1], v[2].foo, #v)
print(type(next(cjson.decode '{"1":2}')), cjson.decode('{"a":1,"a":2}').a)
print((cjson.decode [["\"\\\/\b\f\n\r\t\u0041\u00e9\u20ac\ud83d\ude00"]]:gsub("%c", function(c) return "<" .. c:byte() .. ">" end)))
print(#cjson.decode [["a\u0000b"]], cjson.decode '"\255\254"' == "\255\254", cjson.decode(" \t\r\n[1]\n ")[1])
for _, text in ipairs { "", "[", "[1", "[1,]", "{", '{"a"}', '{"a":}', '{"a":1,}', "{a:1}", "nul", "[1] x", "[1 2]", '{"a" 1}', "'a'", "// x" } do
    print(try(cjson.decode, text))
end
for _, text in ipairs { '"a', '"a\nb"', '"a\0b"', [["\x"]], [["\u12"]], [["\ud800"]], [["\ud83d\u0041"]], [["\udc00"]] } do
    print(try(cjson.decode, text))
end
print(try(cjson.decode, "[\0" .. "1]"))
LUA
true false true 5 x
true bar 2
string 2
"\/<8><12><10><13><9>Aé€😀
3 true 1
! Expected value but found T_END at character 1
! Expected value but found T_END at character 2
! Expected comma or array end but found T_END at character 3
! Expected value but found T_ARR_END at character 4
! Expected object key string but found T_END at character 2
! Expected colon but found T_OBJ_END at character 5
! Expected value but found T_OBJ_END at character 6
! Expected object key string but found T_OBJ_END at character 8
! Expected object key string but found invalid token at character 2
! Expected value but found invalid token at character 1
! Expected the end but found invalid token at character 5
! Expected comma or array end but found T_NUMBER at character 4
! Expected colon but found T_NUMBER at character 6
! Expected value but found invalid token at character 1
! Expected value but found invalid token at character 1
! Expected value but found unexpected end of string at character 3
a
b
! Expected value but found unexpected end of string at character 3
! Expected value but found invalid escape code at character 2
! Expected value but found invalid unicode escape code at character 2
! Expected value but found invalid unicode escape code at character 2
! Expected value but found invalid unicode escape code at character 2
! Expected value but found invalid unicode escape code at character 2
! JSON parser does not support UTF-16 or UTF-32
OUT

prints <<'LUA', <<'OUT', 'decode_invalid_numbers, decode_max_depth';
print(cjson.decode_invalid_numbers(), cjson.decode "0x10", cjson.decode "-0x10", cjson.decode "inf", cjson.decode "-Infinity", cjson.decode "nan" ~= cjson.decode "nan")
print(cjson.decode_invalid_numbers(false), cjson.decode_invalid_numbers(), cjson.decode "-1.5e3")
for _, text in ipairs { "0x10", "inf", "-Infinity", "NaN", "[+1]" } do print(try(cjson.decode, text)) end
print(cjson.decode_invalid_numbers "on", cjson.decode_invalid_numbers "off", cjson.decode_invalid_numbers(nil), try(cjson.decode_invalid_numbers, 1))
print(cjson.decode_max_depth(), #cjson.decode(nested(1000)), try(cjson.decode, nested(1001)))
print(cjson.decode_max_depth(2), cjson.decode_max_depth(), try(cjson.decode, '{"a":{}}'):match "table", try(cjson.decode, '{"a":[{}]}'))
print(try(cjson.decode_max_depth, 0), try(cjson.decode_max_depth, 1, 2))
LUA
true 16 -16 inf -inf true
false false -1500
! Expected value but found invalid number at character 1
! Expected value but found invalid token at character 1
! Expected value but found invalid number at character 1
! Expected value but found invalid token at character 1
! Expected value but found invalid token at character 2
true false false ! bad argument #1 to '?' (invalid option '1')
1000 1 ! Found too many nested data structures (1001) at character 1001
2 2 table ! Found too many nested data structures (3) at character 7
! bad argument #1 to '?' (expected integer between 1 and 2147483647) ! bad argument #2 to '?' (found too many arguments)
OUT

prints <<'LUA', <<'OUT', 'encode: types, escapes, arrays and objects';
enc(nil) enc(true) enc(cjson.null) enc(1.5) enc(-0.25) enc("x") enc { true, { foo = "bar" } }
print(cjson.encode("\128\255") == '"\128\255"')
enc("\0\1\31\"/\\\127é\b\f\n\r\t")
for _, value in ipairs { print, io.stdout, coroutine.create(print), cjson.array_mt and newproxy() } do enc(value) end
enc(setmetatable({ 1 }, { __index = { 2, 3 }, __len = function() return 9 end, __tostring = error }))
enc { 1, nil, 3 } enc { [3] = "data" } enc { [1.5] = 1 } enc { [-1] = 1 } enc { [0] = 1 } enc { ["1"] = 2 } enc { [true] = 1 } enc { [{}] = 1 } enc {}
local deep = {} for _ = 1, 999 do deep = { deep } end
print(#cjson.encode(deep), try(cjson.encode, { deep }))
local a = {} a[1] = a
enc(a)
print(cjson.encode_max_depth(2), cjson.encode { { 1 } }, try(cjson.encode, { { {} } }), try(cjson.encode_max_depth, 0))
LUA
null
true
null
1.5
-0.25
"x"
[true,{"foo":"bar"}]
true
"\u0000\u0001\u001f\"\/\\\u007fé\b\f\n\r\t"
! Cannot serialise function: type not supported
! Cannot serialise userdata: type not supported
! Cannot serialise thread: type not supported
! Cannot serialise userdata: type not supported
[1]
[1,null,3]
[null,null,"data"]
{"1.5":1}
{"-1":1}
{"0":1}
{"1":2}
! Cannot serialise boolean: table key must be a number or string
! Cannot serialise table: table key must be a number or string
{}
2000 ! Cannot serialise, excessive nesting (1001)
! Cannot serialise, excessive nesting (1001)
2 [[1]] ! Cannot serialise, excessive nesting (3) ! bad argument #1 to '?' (expected integer between 1 and 2147483647)
OUT

prints <<'LUA', <<'OUT', 'encode_invalid_numbers, encode_number_precision, encode_keep_buffer';
local numbers = { 0 / 0, math.huge, -math.huge }
print(cjson.encode_invalid_numbers(), try(cjson.encode, numbers))
print(cjson.encode_invalid_numbers(true), (cjson.encode(numbers):gsub("-NaN", "NaN")), cjson.encode_invalid_numbers "null", cjson.encode(numbers))
print(cjson.encode_invalid_numbers(), cjson.encode_invalid_numbers(false), cjson.encode_invalid_numbers "on", try(cjson.encode_invalid_numbers, "x"))
print(cjson.encode_number_precision(), cjson.encode(math.pi), cjson.encode_number_precision(3), cjson.encode(math.pi), cjson.encode(12345))
print(cjson.encode_number_precision(16), cjson.encode(0.1), cjson.encode(1 / 3), cjson.encode(2 ^ 53))
print(try(cjson.encode_number_precision, 0), try(cjson.encode_number_precision, 17))
print(cjson.encode_keep_buffer(), cjson.encode_keep_buffer(false), cjson.encode { 1 }, cjson.encode { 2 }, cjson.encode_keep_buffer(true), cjson.encode { 3 })
LUA
false ! Cannot serialise number: must not be NaN or Infinity
true [NaN,Infinity,-Infinity] null [null,null,null]
null false true ! bad argument #1 to '?' (invalid option 'x')
14 3.1415926535898 3 3.14 1.23e+04
16 0.1 0.3333333333333333 9007199254740992
! bad argument #1 to '?' (expected integer between 1 and 16) ! bad argument #1 to '?' (expected integer between 1 and 16)
true false [1] [2] true [3]
OUT

prints <<'LUA', <<'OUT', 'encode_sparse_array';
print(cjson.encode_sparse_array())
enc { [10] = 1 } enc { [11] = 1 } enc { [12] = 1, 1, 1, 1, 1, 1 }
print(cjson.encode_sparse_array(true))
enc { [1000] = "excessively sparse" }
print(cjson.encode_sparse_array(nil, 0))
enc { [12] = 1 }
print(cjson.encode_sparse_array(false, 2, 3))
enc { [3] = 1 } enc { [4] = 1 } enc { [4] = 1, 1 }
print(try(cjson.encode_sparse_array, 1), try(cjson.encode_sparse_array, true, -1), try(cjson.encode_sparse_array, true, 1, 1, 1))
LUA
false 2 10
[null,null,null,null,null,null,null,null,null,1]
! Cannot serialise table: excessively sparse array
[1,1,1,1,1,null,null,null,null,null,null,1]
true 2 10
{"1000":"excessively sparse"}
true 0 10
[null,null,null,null,null,null,null,null,null,null,null,1]
false 2 3
[null,null,1]
! Cannot serialise table: excessively sparse array
[1,null,null,1]
! bad argument #1 to '?' (invalid option '1') ! bad argument #2 to '?' (expected integer between 0 and 2147483647) ! bad argument #4 to '?' (found too many arguments)
OUT

prints <<'LUA', <<'OUT', 'empty tables, arrays with a metatable';
enc { {}, cjson.empty_array, setmetatable({}, cjson.empty_array_mt), setmetatable({}, cjson.array_mt) }
print(cjson.encode_empty_table_as_object(), cjson.encode_empty_table_as_object(false), cjson.encode { {}, { {} } }, cjson.encode_empty_table_as_object "on", cjson.encode {})
print(cjson.encode_empty_table_as_object "off", try(cjson.encode_empty_table_as_object, "maybe"))
cjson.encode_empty_table_as_object(true)
enc(setmetatable({ "hello", "world" }, cjson.array_mt))
local t = {}
t[1], t[2], t[4], t.foo = "one", "two", "three", "bar"
enc(setmetatable(t, cjson.array_mt))
enc(setmetatable({ a = 1 }, cjson.array_mt))
enc(setmetatable({ a = 1 }, cjson.empty_array_mt))
enc(setmetatable({ 1, 2 }, cjson.empty_array_mt))
print(cjson.decode_array_with_array_mt(), cjson.encode(cjson.decode '{"my_array":[]}'))
print(cjson.decode_array_with_array_mt(true), cjson.encode(cjson.decode '{"my_array":[]}'), cjson.encode(cjson.decode "[[],{},[{}]]"))
print(getmetatable(cjson.decode "[1]") == cjson.array_mt, getmetatable(cjson.decode "{}"))
LUA
[{},[],[],[]]
true false [[],[[]]] true {}
false ! bad argument #1 to '?' (invalid option 'maybe')
["hello","world"]
["one","two",null,"three"]
[]
{"a":1}
[1,2]
false {"my_array":{}}
true {"my_array":[]} [[],{},[{}]]
true nil
OUT

prints <<'LUA', <<'OUT', 'slashes, values of other types, indentation, comments';
print(cjson.encode_escape_forward_slash(), cjson.encode "/", cjson.encode_escape_forward_slash(false), cjson.encode "/", cjson.encode { ["a/b"] = 1 })
print(cjson.encode_skip_unsupported_value_types(), try(cjson.encode, { key = "val", f = print }))
print(cjson.encode_skip_unsupported_value_types(true), cjson.encode { key = "val", f = print, c = require("ffi").new("char[?]", 100) })
print(cjson.encode { 1, print, 3 })
cjson.encode_skip_unsupported_value_types(false)
print(cjson.encode_indent() == "", cjson.encode_indent "  ")
enc { b = { c = 2 } } enc { 1, { 2 } } enc {} enc { cjson.empty_array }
cjson.encode_indent ""
enc { 1, { a = 2 } }
local text = "/* a */ [1, // one\n 2 /* two */ ] // end"
print(cjson.decode_allow_comment(), try(cjson.decode, text))
print(cjson.decode_allow_comment(true), #cjson.decode(text), cjson.decode '"// no /* comment */"', try(cjson.decode, "[1] /* open"))
LUA
true "\/" false "/" {"a/b":1}
false ! Cannot serialise function: type not supported
true {"key":"val"}
[1,3]
true   
{
  "b": {
    "c": 2
  }
}
[
  1,
  [
    2
  ]
]
{}
[
  []
]
[1,{"a":2}]
false ! Expected value but found invalid token at character 1
true 2 // no /* comment */ ! Expected the end but found invalid token at character 5
OUT

done_testing();
