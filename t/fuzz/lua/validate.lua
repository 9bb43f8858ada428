-- resty.validate: schemas (references, patterns, formats), and data for them.
local cjson = require "cjson.safe"
local fuzz = require "fuzz"
local validate = require "resty.validate"

local schemas = {
    '{"type":"object","properties":{"a":{"type":"integer","minimum":0},"b":{"$ref":"#/$defs/b"}},"required":["a"],"$defs":{"b":{"pattern":"^x+$"}}}',
    '{"$ref":"#"}', '{"$id":"http://x/","$ref":"#a","$defs":{"c":{"$anchor":"a","items":{"$ref":"#"}}}}', "true", "false", "{}",
    '{"anyOf":[{"type":"string","maxLength":3},{"type":"array","uniqueItems":true,"contains":{"const":1}}],"not":{"enum":["a",null,[]]}}',
    '{"patternProperties":{"^\\\\p{L}+$":{"multipleOf":0.01}},"additionalProperties":false,"propertyNames":{"maxLength":5}}',
    '{"$dynamicRef":"#n","$defs":{"x":{"$dynamicAnchor":"n","type":"number"}}}', '{"if":{"type":"string"},"then":{"format":"date-time"},"else":{"minItems":1}}',
    '{"format":"email"}', '{"format":"uri"}', '{"format":"idn-hostname"}', '{"format":"regex"}', '{"prefixItems":[{"type":"null"}],"unevaluatedItems":false}',
    '{"pattern":"(a+)+$"}', '{"pattern":"[\\\\d-\\\\x41]{2,}(?<n>\\\\u{1F600})\\\\k<n>"}', '{"dependentSchemas":{"a":{"required":["b"]}}}',
}

local data = {
    '{"a":1,"b":"xx"}', '"2024-02-29T12:00:00Z"', '"a@b.example"', '[1,2,[1,{"a":null}]]', "1e3", "0.3", '"http://[::1]/%20?a#b"',
    '"xn--bcher-kva.example"', "null", "[]", "{}", '"aaaaaaaaaaaaaaaaaaaaaaaaaaaaX"', '{"a":{"a":{"a":{}}}}', '"(a|b)*[^c]"', '"99:99:99Z"',
}

local FORMATS = {
    "date-time", "date", "time", "duration", "email", "idn-email", "hostname", "idn-hostname", "ipv4", "ipv6", "uri", "uri-reference", "iri",
    "iri-reference", "uri-template", "uuid", "json-pointer", "relative-json-pointer", "regex",
}

local validators = {}
for i, name in ipairs(FORMATS) do
    validators[i] = assert(validate.compile({ format = name }, { formats = true }))
end

local function check_data(validator, text)
    local value, errors = validator:json(text)
    if value == nil then
        assert(type(errors) == "table" and #errors > 0 and #errors <= 101, "no errors")
        for _, each in ipairs(errors) do
            assert(type(each.instance) == "string" and type(each.keyword) == "string" and type(each.message) == "string", "half an error")
        end
        return
    end
    local again = cjson.encode(value)
    if again and not again:find("[.e]") then
        assert(validator:json(again) ~= nil, "valid once, but not again: " .. again)
    end
end

fuzz.run {
    name = "validate",
    corpus = schemas,
    check = function(text)
        local validator, err = validate.compile(text, { formats = fuzz.random(2) == 1, max_depth = 100 })
        assert(validator or type(err) == "string", "no reason")
        for _ = 1, validator and 3 or 0 do
            check_data(validator, fuzz.mutate(data))
        end
        local json = cjson.encode(fuzz.mutate(data))
        for _ = 1, 3 do
            check_data(fuzz.pick(validators), json)
        end
    end,
}
