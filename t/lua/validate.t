# resty.validate: every keyword of JSON Schema 2020-12, what a schema may be, errors, and bodies of requests.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Bulan::Test::Command;
use Bulan::Test::Server;

my $in = Bulan::Test::Command->new;

$in->file('work/begin.lua', <<'LUA');
validate, cjson = require "resty.validate", require "cjson"
json = require("cjson").new()
function errors_of(v, data)
    local ok, errors = v(data)
    if ok then return "valid" end
    local lines = {}
    for i, e in ipairs(errors) do lines[i] = e.instance .. " " .. e.keyword .. ": " .. e.message end
    return table.concat(lines, "\n")
end
-- Lines: a schema; below it, "+" or "-" and documents, which are valid or not, with ` ; ` between them.
function cases(text, options)
    local v, schema
    for line in text:gmatch "[^\n]+" do
        local sign, documents = line:match "^%s*([+-]) (.*)$"
        if not sign then
            schema = line
            local err
            v, err = validate.compile(line, options)
            if not v then print("no schema: " .. line .. " " .. err) end
        else
            for document in (documents .. " ; "):gmatch "(.-) ; " do
                local data, errors = v:json(document)
                local ok, decoded = not errors, json.decode(document)
                if ok ~= (sign == "+") then print(sign, schema, document) end
                if not document:find "[{%[][}%]]" and v(decoded) ~= ok then print("without tags", sign, schema, document) end
                if errors and not errors[1] then print("no error", schema, document) end
            end
        end
    end
    print "done"
end
LUA

sub prints { local $Test::Builder::Level = $Test::Builder::Level + 1; $in->prints(@_) }

sub cases { my ($name, $text, $options) = @_; prints "cases([==[\n$text]==], " . ($options // 'nil') . ')', "done\n", $name }

cases 'values of any kind', <<'CASES';
true
+ 1 ; {} ; null
false
- 1 ; {} ; null
{}
+ 1 ; "x" ; [] ; false
{"type":"integer"}
+ 1 ; 1.0 ; -5 ; 1e3 ; 123456789012345678901
- 1.5 ; "1" ; true ; null
{"type":"number"}
+ 1 ; 1.5 ; -1e-9
- "1" ; [] ; null
{"type":"string"}
+ "" ; "a"
- 1 ; null
{"type":"object"}
+ {} ; {"a":1} ; {"1":1}
- [] ; [1] ; null ; "x"
{"type":"array"}
+ [] ; [1] ; [null]
- {} ; {"a":1} ; "[]"
{"type":"boolean"}
+ true ; false
- 0 ; null ; "true"
{"type":"null"}
+ null
- 0 ; false ; ""
{"type":["string","null"]}
+ "a" ; null
- 1 ; []
{"enum":[1,"a",null,[1,{"b":2}],{}]}
+ 1 ; 1.0 ; "a" ; null ; [1,{"b":2}] ; {}
- 2 ; "1" ; false ; [1,{"b":3}] ; [1]
{"enum":[false,0]}
+ false ; 0
- true ; 1 ; null ; ""
{"const":{"a":[1,2],"b":null}}
+ {"a":[1,2],"b":null} ; {"b":null,"a":[1.0,2]}
- {"a":[2,1],"b":null} ; {"a":[1,2]} ; {"a":[1,2],"b":null,"c":1}
{"const":null}
+ null
- 0 ; false ; {}
{"const":0}
+ 0 ; -0.0 ; 0.0
- false ; "0" ; null
{"const":"\u0000a"}
+ "\u0000a"
- "a"
CASES

cases 'numbers and strings', <<'CASES';
{"maximum":3,"minimum":-1.5}
+ 3 ; -1.5 ; 0 ; "99"
- 3.01 ; -2
{"exclusiveMaximum":3,"exclusiveMinimum":0}
+ 2.9999 ; 0.0001
- 3 ; 0
{"multipleOf":0.01}
+ 0.07 ; 19.99 ; 1 ; 0 ; -0.29 ; 4.35 ; 1e300
- 0.075 ; 1e-3
{"multipleOf":0.0001}
+ 0.0075
- 0.00751
{"multipleOf":2}
+ 4 ; -4 ; 9007199254740992 ; 1e20
- 7 ; 4.5
{"multipleOf":1e-8}
+ 12391239123
{"multipleOf":3}
+ 9 ; 3e2
- 1e20 ; 1e300 ; 0.3
{"multipleOf":0.123456789}
+ 0.123456789 ; 0.246913578
- 1e308
{"maxLength":2}
+ "" ; "ab" ; "éé" ; "\ud83d\udca9\ud83d\udca9" ; 12345
- "abc" ; "ééé"
{"minLength":2}
+ "ab" ; "éé" ; 1
- "a" ; "\ud83d\udca9"
{"pattern":"^a*$"}
+ "" ; "aaa" ; 5
- "b" ; "aa\n"
{"pattern":"b"}
+ "abc"
{"pattern":"^\\p{Letter}+\\u00e9$"}
+ "cafxé"
- "1é" ; "cafe"
{"pattern":"^[\\w.\\-]+@[^\\s]+$"}
+ "a.b-c@d"
- "a@\u00a0" ; "é@x"
{"pattern":"^[[\\]]$"}
+ "[" ; "]"
- "x"
{"pattern":"^.$"}
+ "é" ; "\ud83d\udca9"
- "\n" ; "\u2028" ; "ab"
{"pattern":"[]"}
- "a" ; "" ; "[]"
{"pattern":"^[^]$"}
+ "a" ; "\n"
{"pattern":"^\\ud83d\\udc32{2}\\u{1F432}\\cA\\x41\\0$"}
+ "\ud83d\udc32\ud83d\udc32\ud83d\udc32\u0001A\u0000"
- "\ud83d\udc32\ud83d\udc32\u0001A\u0000"
CASES

cases 'arrays', <<'CASES';
{"maxItems":2,"minItems":1}
+ [1] ; [1,2] ; {} ; "x"
- [] ; [1,2,3]
{"uniqueItems":true}
+ [] ; [1,2] ; [1,"1",true,"true",null,"null"] ; [[1],[2]] ; [{"a":1},{"a":2}] ; [0,false] ; [[0],[false]] ; [{},[]] ; ["a","\u0000a"] ; [[],"["]
- [1,1.0] ; ["a","a"] ; [[1],[1]] ; [{"a":1,"b":2},{"b":2,"a":1}] ; [null,null] ; [{},{}] ; [0,-0.0]
{"uniqueItems":false}
+ [1,1]
{"items":{"type":"integer"}}
+ [] ; [1,2] ; {"0":"x"}
- [1,"x"] ; [null]
{"prefixItems":[{"type":"integer"},{"type":"string"}]}
+ [] ; [1] ; [1,"a"] ; [1,"a",null]
- ["a"] ; [1,2]
{"prefixItems":[true],"items":false}
+ [] ; [1]
- [1,2]
{"contains":{"minimum":5}}
+ [5] ; [1,6] ; {} ; 1
- [] ; [4]
{"contains":{"const":1},"minContains":2,"maxContains":3}
+ [1,1] ; [1,2,1,1]
- [1] ; [] ; [1,1,1,1]
{"contains":{"const":1},"minContains":0}
+ [] ; [2]
{"minContains":2,"maxContains":1}
+ [] ; [1,1,1]
{"contains":false}
- [] ; [1]
+ {}
CASES

cases 'objects', <<'CASES';
{"maxProperties":2,"minProperties":1}
+ {"a":1} ; {"a":1,"b":2} ; [] ; 7
- {} ; {"a":1,"b":2,"c":3}
{"required":["a","b\"c"]}
+ {"a":1,"b\"c":null} ; [] ; "x"
- {"a":1} ; {}
{"dependentRequired":{"a":["b","c"]}}
+ {} ; {"b":1} ; {"a":1,"b":2,"c":3} ; []
- {"a":1} ; {"a":1,"b":2}
{"properties":{"a":{"type":"integer"},"b":false,"__index":true}}
+ {} ; {"a":1} ; {"c":"x"} ; {"__index":1} ; [1]
- {"a":"x"} ; {"b":1} ; {"b":null}
{"properties":{"a":true},"patternProperties":{"^x":{"type":"integer"},"y$":{"minimum":5}},"additionalProperties":{"type":"string"}}
+ {"a":null} ; {"x":1} ; {"xy":5} ; {"q":"s"}
- {"x":"a"} ; {"xy":4} ; {"q":1}
{"additionalProperties":false,"properties":{"a":{}}}
+ {} ; {"a":1} ; [1]
- {"b":1} ; {"a":1,"b":1}
{"dependencies":{"a":["b"],"c":{"required":["d"]},"e":false,"f":[]}}
+ {} ; {"a":1,"b":1} ; {"c":1,"d":1} ; {"f":1} ; [1]
- {"a":1} ; {"c":1} ; {"e":1}
{"propertyNames":{"maxLength":2}}
+ {} ; {"ab":1} ; []
- {"abc":1}
{"dependentSchemas":{"a":{"required":["b"]},"z":false}}
+ {} ; {"a":1,"b":1}
- {"a":1} ; {"z":1}
CASES

cases 'schemas side by side', <<'CASES';
{"allOf":[{"minimum":1},{"maximum":3}]}
+ 1 ; 3
- 0 ; 4
{"anyOf":[{"type":"string"},{"minimum":5}]}
+ "a" ; 5
- 4
{"oneOf":[{"type":"integer"},{"minimum":2}]}
+ 1 ; 2.5
- 3 ; 1.5
{"not":{"type":"integer"}}
+ "a"
- 1
{"if":{"minimum":10},"then":{"multipleOf":10},"else":{"multipleOf":2}}
+ 20 ; 4
- 15 ; 3
{"then":false,"else":false}
+ 1
CASES

cases 'what was evaluated', <<'CASES';
{"properties":{"a":true},"unevaluatedProperties":false}
+ {} ; {"a":1} ; [1]
- {"b":1}
{"allOf":[{"properties":{"a":true}},{"patternProperties":{"^b":true}}],"anyOf":[{"required":["c"],"properties":{"c":true}},true],"unevaluatedProperties":{"type":"null"}}
+ {"a":1,"b1":1,"c":1} ; {"d":null}
- {"d":1}
{"if":{"required":["a"],"properties":{"a":true}},"then":{"properties":{"b":true}},"else":{"properties":{"c":true}},"unevaluatedProperties":false}
+ {"a":1,"b":1} ; {"c":1}
- {"a":1,"c":1} ; {"b":1}
{"not":{"not":{"properties":{"a":true}}},"unevaluatedProperties":false}
+ {}
- {"a":1}
{"oneOf":[{"required":["a"],"properties":{"a":true}},{"required":["b"],"properties":{"b":true}}],"unevaluatedProperties":false}
+ {"a":1} ; {"b":1}
- {"a":1,"b":1} ; {"a":1,"c":1}
{"dependentSchemas":{"a":{"properties":{"a":true,"b":true}}},"unevaluatedProperties":false}
+ {"a":1,"b":2} ; {}
- {"b":2}
{"$ref":"#/$defs/base","properties":{"b":true},"unevaluatedProperties":false,"$defs":{"base":{"properties":{"a":true}}}}
+ {"a":1,"b":1}
- {"c":1}
{"allOf":[{"properties":{"a":true}},{"unevaluatedProperties":false}]}
+ {}
- {"a":1}
{"properties":{"x":{"properties":{"a":true}}},"unevaluatedProperties":false}
+ {"x":{"q":1}}
- {"y":1}
{"prefixItems":[true],"contains":{"type":"string"},"unevaluatedItems":false}
+ [1,"a"] ; ["a"]
- [1,"a",2] ; [1]
{"allOf":[{"prefixItems":[true,true]}],"unevaluatedItems":{"type":"null"}}
+ [1,2] ; [1,2,null] ; [] ; {}
- [1,2,3]
{"items":true,"unevaluatedItems":false}
+ [1,2,3]
{"unevaluatedProperties":false,"additionalProperties":true}
+ {"a":1}
CASES

cases 'references', <<'CASES', <<'OPTIONS';
{"$ref":"#/$defs/a~1b%25~0","$defs":{"a/b%~":{"type":"integer"}}}
+ 1
- "x"
{"properties":{"child":{"$ref":"#"},"n":{"type":"integer"}},"additionalProperties":false}
+ {"child":{"child":{"n":1}}}
- {"child":{"child":{"n":"x"}}} ; {"child":{"x":1}}
{"$ref":"#name","$defs":{"x":{"$anchor":"name","maximum":1}}}
+ 1
- 2
{"$id":"http://x.test/a/b.json","$ref":"c.json#/$defs/d","$defs":{"q":{"$id":"c.json","$defs":{"d":{"$ref":"#here"},"e":{"$anchor":"here","type":"null"}}}}}
+ null
- 1
{"$id":"urn:example:root","$ref":"urn:example:other","$defs":{"o":{"$id":"urn:example:other","const":7}}}
+ 7
- 8
{"$ref":"#/$defs/a","maximum":5,"$defs":{"a":{"minimum":1}}}
+ 3
- 0 ; 6
{"$ref":"#/x/0/y","x":[{"y":{"type":"string"}}]}
+ "s"
- 1
{"properties":{"$ref":{"type":"string"}}}
+ {"$ref":"a"}
- {"$ref":1}
{"const":{"$ref":"#/$defs/a"},"$defs":{"a":true}}
+ {"$ref":"#/$defs/a"}
- 1
{"$ref":"https://json-schema.org/draft/2020-12/schema"}
+ {"type":"string"} ; true
- {"type":"strange"} ; {"minLength":-1} ; 1 ; {"items":[{}]} ; {"required":["a","a"]} ; {"properties":{"a":{"allOf":[]}}}
{"$id":"http://x.test/strict","$dynamicAnchor":"node","$ref":"tree","unevaluatedProperties":false,"$defs":{"t":{"$id":"tree","$dynamicAnchor":"node","type":"object","properties":{"data":true,"children":{"type":"array","items":{"$dynamicRef":"#node"}}}}}}
+ {"data":1,"children":[{"data":2}]}
- {"children":[{"daat":1}]} ; {"daat":1}
{"$id":"http://x.test/loose","$ref":"tree","$defs":{"t":{"$id":"tree","$dynamicAnchor":"node","type":"object","properties":{"children":{"items":{"$dynamicRef":"#node"}}}}}}
+ {"children":[{"daat":1}]}
- {"children":[1]}
{"$id":"http://x.test/list","$ref":"base","$defs":{"item":{"$dynamicAnchor":"T","type":"integer"},"b":{"$id":"base","items":{"$dynamicRef":"#T"},"$defs":{"any":{"$dynamicAnchor":"T"}}}}}
+ [1,2]
- ["x"]
{"$ref":"http://x.test/other.json#/$defs/n"}
+ 1
- "x"
{"$ref":"http://y.test/resolved"}
+ true
- 1
CASES
{ schemas = { ["http://x.test/other.json"] = '{"$defs":{"n":{"$ref":"third.json"}}}', ["http://x.test/third.json"] = { type = "integer" } },
  resolve = function(uri) if uri == "http://y.test/resolved" then return '{"type":"boolean"}' end end }
OPTIONS

cases 'formats only tell', <<'CASES';
{"format":"date"}
+ "no date" ; 1
{"format":"whatever","contentEncoding":"base64","contentMediaType":"application/json","contentSchema":false}
+ "%%%"
CASES

cases 'formats that are checked', <<'CASES', '{ formats = { even = function(text) return #text % 2 == 0 end } }';
{"format":"date-time"}
+ "1963-06-19T08:30:06.283185Z" ; "1985-04-12t23:20:50z" ; "1998-12-31T23:59:60Z" ; "1998-12-31T15:59:60.1-08:00" ; 1
- "1998-12-31T22:59:60Z" ; "2020-02-30T00:00:00Z" ; "2020-01-01 00:00:00Z" ; "2020-01-01T24:00:00Z" ; "2020-01-01T00:00:00" ; "2020-01-01T00:00:00+24:00"
{"format":"date"}
+ "2020-02-29" ; "2000-02-29"
- "2021-02-29" ; "1900-02-29" ; "2020-13-01" ; "2020-1-1" ; "2020-04-31" ; "20200101"
{"format":"time"}
+ "08:30:06Z" ; "23:59:60+00:00" ; "00:29:60+00:30"
- "08:30" ; "24:00:00Z" ; "08:60:00Z" ; "12:00:60Z" ; "08:30:06"
{"format":"duration"}
+ "P4DT12H30M5S" ; "P1Y" ; "PT0S" ; "P2W" ; "P1Y2M3D" ; "PT36H"
- "P" ; "PT" ; "P1YT" ; "4DT" ; "P2D1Y" ; "P1W2D" ; "P1Y2D" ; "PT1D" ; "P٢Y"
{"format":"email"}
+ "joe.bloggs@example.com" ; "a+b@x" ; "\"joe b\"@example.com" ; "j@[127.0.0.1]" ; "j@[IPv6:::1]"
- "2962" ; ".a@x.y" ; "a.@x.y" ; "a..b@x.y" ; "a b@x.y" ; "a@" ; "j@[127.0.0.300]" ; "é@x.y" ; "a@x_y"
{"format":"idn-email"}
+ "실례@실례.테스트" ; "a@b.c"
- "2962"
{"format":"hostname"}
+ "www.example.com" ; "xn--4gbwdl.xn--wgbh1c" ; "a" ; "1host"
- "-a" ; "a-" ; "a_b" ; "a..b" ; "" ; "." ; "a." ; "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" ; "é"
{"format":"idn-hostname"}
+ "실례.테스트" ; "example.com"
+ "l·l" ; "xn--4gbwdl.xn--wgbh1c" ; "क्\u200dष" ; "אב.com" ; "x。y" ; "カ・カ"
- "-실례" ; "a b" ; "" ; "a·l" ; "xn--X" ; "〮한" ; "ab--한" ; "a\u200db" ; "אa" ; "1א" ; "a・b" ; "xn--a"
{"format":"ipv4"}
+ "192.168.0.1" ; "255.255.255.255"
- "127.0.0" ; "1.2.3.4.5" ; "256.1.1.1" ; "01.2.3.4" ; "1.2.3.4 " ; "1.2.3.a" ; "1..2.3"
{"format":"ipv6"}
+ "::1" ; "::" ; "1:2:3:4:5:6:7:8" ; "1::8" ; "::ffff:192.168.0.1" ; "1:2:3:4:5:6:1.2.3.4" ; "1:2:3:4:5:6:7::"
- "1:2:3:4:5:6:7" ; "1::2::3" ; "12345::" ; ":1:2" ; "1:2:3:4:5:6:7:8:9" ; "fe80::1%eth0" ; "::1.2.3" ; "1.2.3.4::" ; ":" ; "1:2:3:4:5:6:7:"
{"format":"uri"}
+ "http://a.b/c?d=e#f" ; "urn:x:y" ; "mailto:a@b" ; "ldap://[2001:db8::7]/c" ; "a:" ; "file:///x" ; "http://u:p@h:80/%20"
- "//a.b" ; "/x" ; "x" ; "http:// x" ; "http://a/%2" ; "http://[::1" ; "http://[::12345]/" ; ":x" ; "1a:b" ; "http://a/\u00e9" ; "http://a/<x>"
{"format":"uri-reference"}
+ "/a" ; "a/b" ; "" ; "#x" ; "//a" ; "?q" ; "http://a" ; "./a:b"
- "\\\\x" ; "a b" ; "#f\\g" ; "1:2"
{"format":"iri"}
+ "http://ƒøø.ßår/?∂éœ=πîx#πîüx"
- "/é" ; "http://a b"
{"format":"iri-reference"}
+ "/âππ" ; "é"
- "é b"
{"format":"uri-template"}
+ "http://a/{b}/{+c,d:3}{?e*}" ; "x"
- "{b" ; "b}" ; "{}" ; "{a b}"
{"format":"uuid"}
+ "2EB8AA08-aa98-11ea-b4aa-73b441d16380"
- "2eb8aa08-aa98-11ea-b4aa-73b441d1638" ; "2eb8aa08aa9811eab4aa73b441d16380" ; "2eb8aa08-aa98-11ea-b4aa-73b441d1638g"
{"format":"json-pointer"}
+ "" ; "/a/b~0c~1d" ; "/"
- "a" ; "/~2" ; "/~" ; "#/a"
{"format":"relative-json-pointer"}
+ "1" ; "0/a" ; "2#"
- "/a" ; "01" ; "-1" ; "0##"
{"format":"regex"}
+ "^a[b-c]+(?:d|e)$" ; "(?<x>a)\\k<x>"
- "^(abc]" ; "\\Z" ; "a++" ; "(?i)a" ; "[a" ; "(*FAIL)" ; "(?>a)" ; "\\u12"
{"format":"even"}
+ "ab" ; 1
- "a"
CASES

prints <<'LUA', <<'OUT', 'errors: where, which, why';
local v = validate.compile [[{"type":"object","properties":{"tags":{"type":"array","items":{"type":"string","maxLength":3}},"a/b":{"properties":{"~":{"minimum":2}}},"gone":false,"name":true},"required":["name"],"additionalProperties":false}]]
print(errors_of(v, { tags = { "abcd", 5, "x" }, ["a/b"] = { ["~"] = 1 }, gone = 1, other = 2 }))
local _, errors = v { name = 1, tags = { 1 } }
print(errors[1].schema, getmetatable(errors) == cjson.array_mt)
v = validate.compile { ["$id"] = "http://x.test/s", ["$ref"] = "#/$defs/n", ["$defs"] = { n = { anyOf = { { type = "null" }, { type = "string", minLength = 2 } } } } }
print(errors_of(v, "x"))
_, errors = v("x")
print(errors[1].schema)
v = validate.compile({ items = { type = "string" } }, { max_errors = 2 })
print(errors_of(v, { 1, 2, 3, 4 }))
print(errors_of(validate.compile { oneOf = { true, true } }, 1))
print(errors_of(validate.compile { unevaluatedProperties = false }, { x = 1 }))
print(errors_of(validate.compile { type = "string" }, print))
print(errors_of(validate.compile { type = "number" }, 0 / 0), errors_of(validate.compile(true), math.huge))
print(errors_of(validate.compile { pattern = "^.+$" }, "\255"))
LUA
 required: has no property name
/a~1b/~0 minimum: is less than 2
/gone properties: is not allowed
/other additionalProperties: is not allowed
/tags/0 maxLength: is longer than 3 characters
/tags/1 type: is not of type string
#/properties/tags/items/type true
 anyOf: matches none of the schemas
 type: is not of type null
 minLength: is shorter than 2 characters
http://x.test/s#/$defs/n/anyOf
/0 type: is not of type string
/1 type: is not of type string
 oneOf: matches more than one of the schemas
/x unevaluatedProperties: is not allowed
 type: is no value of JSON
 type: is no value of JSON valid
 pattern: does not match the pattern ^.+$
OUT

prints <<'LUA', <<'OUT', 'NaN equals nothing';
local nan = 0 / 0
print(errors_of(validate.compile { uniqueItems = true }, { nan, nan, 1 }))
print(errors_of(validate.compile { uniqueItems = true }, { nan, 1, 1 }))
print(errors_of(validate.compile { enum = { nan, 1 } }, 1))
print(errors_of(validate.compile { enum = { nan, 1 } }, nan))
LUA
valid
 uniqueItems: has equal items
valid
 type: is no value of JSON
OUT

prints <<'LUA', <<'OUT', 'tables: arrays and objects';
local array, object = validate.compile { type = "array" }, validate.compile { type = "object" }
local function both(value) return (array:check(value)), (object:check(value)) end
print(both {})
print(both { 1 })
print(both { a = 1 })
print(both(setmetatable({}, cjson.array_mt)))
print(both(setmetatable({}, cjson.empty_array_mt)))
print(both(cjson.empty_array))
print(both { [3] = 1 })
local tagged = validate.compile({ type = "array" }, { tagged = true })
print((tagged {}), (tagged { 1 }), (tagged(setmetatable({ 1 }, cjson.array_mt))))
print(array:json "[]" ~= nil, array:json "{}" == nil, object:json "[]" == nil, object:json "{}" ~= nil)
print(cjson.encode(validate.compile(true):json '[[],{},{"c":[[]]}]') == '[[],{},{"c":[[]]}]')
print(((validate.compile { minItems = 1 })({})), ((validate.compile { minProperties = 1 })({})), ((validate.compile { type = "array", minItems = 1 })({})))
print(((validate.compile { required = { "a" } })({})), ((validate.compile { type = "object", minItems = 1 })({})))
print((validate.compile { const = {} })({}), (validate.compile '{"const":[]}')(cjson.empty_array), validate.compile('{"const":[]}'):json "{}" == nil)
print(validate.compile(true):json "null" == cjson.null, select("#", validate.compile(true):json "false"), validate.compile(true):json "false")
print(validate.compile { type = "null" }(nil), validate.compile { enum = { 1, cjson.null } }(nil), validate.compile { const = cjson.null }(nil))
LUA
true true
true false
false true
true false
true false
true false
true false
false false true
true true true true
true
false false false
false true
true true true
true 1 false
true true true
OUT

prints <<'LUA', <<'OUT', 'schemas that are none';
local function why(schema, options) print((select(2, validate.compile(schema, options)))) end
why '{"type":"strange"}'
why '{"properties":{"a":{"minLength":-1}}}'
why '{"multipleOf":0}'
why '{"required":"a"}'
why '{"$ref":"#/nowhere"}'
why '{"$ref":"#nobody"}'
why '{"$ref":"http://x.test/none"}'
why '{"pattern":"(a"}'
why '{"patternProperties":{"a++":true}}'
why '{"$schema":"http://json-schema.org/draft-07/schema#"}'
why '{"$schema":"http://x.test/dialect"}'
why('{"$schema":"http://x.test/m"}', { schemas = { ["http://x.test/m"] = '{"$vocabulary":{"http://x.test/v":true}}' } })
why '{"$id":"http://x.test/#frag","$defs":{"a":{"$id":"b#c"}}}'
why "{"
why "[1]"
why(5)
print(validate.compile('{"$schema":"http://x.test/m","type":"string","items":{"type":"null"},"minimum":5}',
    { schemas = { ["http://x.test/m"] = '{"$vocabulary":{"https://json-schema.org/draft/2020-12/vocab/applicator":true,"http://x.test/v":false}}' } })(1))
print((validate.compile('{"$schema":"http://x.test/m","format":"date"}',
    { schemas = { ["http://x.test/m"] = '{"$vocabulary":{"https://json-schema.org/draft/2020-12/vocab/format-assertion":true}}' } })("x")))
print(pcall(validate.compile, '{"$ref":"http://x.test/a"}', { resolve = function() error("down", 0) end }))
LUA
bad schema: /type: is none of the values that are allowed
bad schema: /properties/a/minLength: is less than 0
bad schema: /multipleOf: is not more than 0
bad schema: /required: is not of type array
can't find #/nowhere
can't find #nobody
can't find http://x.test/none
bad regular expression at #/pattern: pcre2_compile() failed: missing closing parenthesis in "(a"
bad regular expression at #/patternProperties: nothing to repeat
the dialect http://json-schema.org/draft-07/schema is not known
the dialect http://x.test/dialect is not known
the vocabulary http://x.test/v is not known
bad schema: /$defs/a/$id: does not match the pattern ^[^#]*#?$
bad schema: Expected object key string but found T_END at character 2
bad schema: : is not of type object or boolean
bad schema: it is neither an object nor a boolean
true
false
false down
OUT

prints <<'LUA', <<'OUT', 'depth: of data, of schemas, for ever';
local tree = validate.compile { properties = { c = { ["$ref"] = "#" } } }
local function nest(n) local t = {} for _ = 1, n do t = { c = t } end return t end
print((tree(nest(240))), (tree(nest(260))))
print((tree(nest(100000))))
print(errors_of(validate.compile({ properties = { c = { ["$ref"] = "#" } } }, { max_depth = 5 }), nest(5)))
print(errors_of(validate.compile { ["$ref"] = "#" }, 1))
print(errors_of(validate.compile { ["$ref"] = "#/$defs/a", ["$defs"] = { a = { anyOf = { { ["$ref"] = "#/$defs/b" } } }, b = { ["not"] = { ["$ref"] = "#/$defs/a" } } } }, 1):match("nested too deeply") )
print(select(2, tree:json(('{"c":'):rep(600) .. "1" .. ("}"):rep(600)))[1].message:match("^is no JSON: Found too many nested data structures"))
LUA
true false
false
/c/c/c $ref: is nested too deeply
 $ref: is nested too deeply
nested too deeply
is no JSON: Found too many nested data structures
OUT

# Bodies of requests.
my $server = Bulan::Test::Server->new(config => <<'CONFIG', http_config => <<'HTTP');
client_body_buffer_size 1k;
location = /t {
    content_by_lua_block {
        local data = validate.body(validator, { max_size = 5000 })
        ngx.print("got ", data.name)
    }
}
location = /types {
    content_by_lua_block { ngx.print(tostring(validate.body(any, { types = { "text/x-json" } }))) }
}
CONFIG
init_by_lua_block {
    validate = require "resty.validate"
    validator = assert(validate.compile { type = "object", properties = { name = { type = "string" } }, required = { "name" } })
    any = assert(validate.compile(true))
}
HTTP
$server->start;

sub post {
    my ($path, $type, $body, @more) = @_;
    my $client = $server->connect;
    $client->send(Bulan::Test::Client->build('POST', $path, headers => [defined $type ? ('Content-Type' => $type) : (), @more], body => $body));
    my $r = $client->response;
    return "$r->{status} $r->{headers}{'content-type'}[0] $r->{body}";
}

my $json = 'application/json';
is post('/t', $json, '{"name":"dewi"}'), '200 text/plain got dewi', 'a good body';
is post('/t', 'Application/JSON; charset=utf-8', '{"name":"dewi"}'), '200 text/plain got dewi', 'its type with a parameter';
is post('/t', 'application/problem+json', '{"name":"dewi"}'), '200 text/plain got dewi', 'a type that is JSON, too';
is post('/t', $json, '{"name":"' . 'x' x 4000 . '"}'), '200 text/plain got ' . 'x' x 4000, 'a body that is in a file';
like post('/t', $json, '{"name":5}'), qr{^422 application/json \[\{.*"instance":"\\/name".*\}\]$}, 'not valid';
like post('/t', $json, '{"name":5}'), qr{"keyword":"type"}, 'the keyword';
like post('/t', $json, '{"name'), qr{^400 application/json \[\{.*"message":"is no JSON: }, 'no JSON';
like post('/t', $json, ''), qr{^400 application/json }, 'nothing';
like post('/t', 'text/plain', '{}'), qr{^415 application/json \[}, 'another type';
like post('/t', undef, '{}'), qr{^415 }, 'no type';
like post('/t', $json, ' ' x 5001), qr{^413 application/json \[}, 'too much';
like post('/t', $json, "1389\r\n" . ' ' x 5001 . "\r\n0\r\n\r\n", 'Transfer-Encoding' => 'chunked'), qr{^413 application/json \[}, 'too much, of a length that was not told';
is post('/types', 'text/x-json', 'false'), '200 text/plain false', 'types of one\'s own';
like post('/types', $json, 'false'), qr/^415 /, 'and no others';
ok $server->stop, 'no crash';
done_testing();
