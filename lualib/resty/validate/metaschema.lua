-- The metaschema of JSON Schema 2020-12, for resty.validate: what a schema may be. Schemas are checked with
-- it before they are compiled, and may refer to it.

local cjson = require "cjson"

local ipairs = ipairs
local pairs = pairs
local setmetatable = setmetatable
local type = type

local BASE = "https://json-schema.org/draft/2020-12/"

local _M = { DIALECT = BASE .. "schema" }

local SELF = { ["$dynamicRef"] = "#meta" }
local STRINGS = { ["$ref"] = "#/$defs/stringArray" }
local COUNT = { ["$ref"] = "#/$defs/nonNegativeInteger" }
local NUMBER, TEXT, FLAG = { type = "number" }, { type = "string" }, { type = "boolean" }
local ANYTHING = true

local function schemas()
    return { type = "array", minItems = 1, items = SELF }
end

local function schema_map(names)
    return { type = "object", additionalProperties = SELF, default = {}, propertyNames = names }
end

local STRING_ARRAY = { type = "array", items = TEXT, uniqueItems = true }

-- The properties of each vocabulary's metaschema, and its $defs.
local VOCABULARIES = {
    { "core", {
        ["$id"] = { type = "string", format = "uri-reference", pattern = "^[^#]*#?$" },
        ["$schema"] = { type = "string", format = "uri" },
        ["$ref"] = { type = "string", format = "uri-reference" },
        ["$anchor"] = { ["$ref"] = "#/$defs/anchorString" },
        ["$dynamicRef"] = { type = "string", format = "uri-reference" },
        ["$dynamicAnchor"] = { ["$ref"] = "#/$defs/anchorString" },
        ["$vocabulary"] = {
            type = "object", propertyNames = { type = "string", format = "uri" }, additionalProperties = FLAG,
        },
        ["$comment"] = TEXT,
        ["$defs"] = { type = "object", additionalProperties = SELF },
    }, { anchorString = { type = "string", pattern = "^[A-Za-z_][-A-Za-z0-9._]*$" } } },
    { "applicator", {
        prefixItems = schemas(), items = SELF, contains = SELF, additionalProperties = SELF,
        properties = schema_map(), patternProperties = schema_map { format = "regex" },
        dependentSchemas = schema_map(), propertyNames = SELF, ["if"] = SELF, ["then"] = SELF,
        ["else"] = SELF, allOf = schemas(), anyOf = schemas(), oneOf = schemas(), ["not"] = SELF,
    } },
    { "unevaluated", { unevaluatedItems = SELF, unevaluatedProperties = SELF } },
    { "validation", {
        type = { anyOf = {
            { ["$ref"] = "#/$defs/simpleTypes" },
            { type = "array", items = { ["$ref"] = "#/$defs/simpleTypes" }, minItems = 1, uniqueItems = true },
        } },
        const = ANYTHING, enum = { type = "array", items = ANYTHING },
        multipleOf = { type = "number", exclusiveMinimum = 0 },
        maximum = NUMBER, exclusiveMaximum = NUMBER, minimum = NUMBER, exclusiveMinimum = NUMBER,
        maxLength = COUNT, minLength = COUNT, pattern = { type = "string", format = "regex" },
        maxItems = COUNT, minItems = COUNT, uniqueItems = FLAG, maxContains = COUNT, minContains = COUNT,
        maxProperties = COUNT, minProperties = COUNT, required = STRINGS,
        dependentRequired = { type = "object", additionalProperties = STRINGS },
    }, {
        nonNegativeInteger = { type = "integer", minimum = 0 }, stringArray = STRING_ARRAY,
        simpleTypes = { enum = { "array", "boolean", "integer", "null", "number", "object", "string" } },
    } },
    { "meta-data", {
        title = TEXT, description = TEXT, default = ANYTHING, deprecated = FLAG, readOnly = FLAG,
        writeOnly = FLAG, examples = { type = "array", items = ANYTHING },
    } },
    { "format-annotation", { format = TEXT } },
    { "format-assertion", { format = TEXT } },
    { "content", { contentEncoding = TEXT, contentMediaType = TEXT, contentSchema = SELF } },
}

local documents

local function build()
    documents = {}
    local all, vocabulary = {}, {}
    for _, each in ipairs(VOCABULARIES) do
        local name = each[1]
        documents[BASE .. "meta/" .. name] = {
            ["$schema"] = _M.DIALECT, ["$id"] = BASE .. "meta/" .. name, ["$dynamicAnchor"] = "meta",
            type = { "object", "boolean" }, properties = each[2], ["$defs"] = each[3],
        }
        if name ~= "format-assertion" then
            all[#all + 1] = { ["$ref"] = "meta/" .. name }
            vocabulary[BASE .. "vocab/" .. name] = true
        end
    end
    documents[_M.DIALECT] = {
        ["$schema"] = _M.DIALECT, ["$id"] = _M.DIALECT, ["$vocabulary"] = vocabulary,
        ["$dynamicAnchor"] = "meta", allOf = all, type = { "object", "boolean" },
        -- Of earlier drafts; still refused when they are no schemas.
        properties = {
            definitions = { type = "object", additionalProperties = SELF },
            dependencies = {
                type = "object",
                additionalProperties = { anyOf = { SELF, { ["$ref"] = "meta/validation#/$defs/stringArray" } } },
            },
            ["$recursiveAnchor"] = { ["$ref"] = "meta/core#/$defs/anchorString" },
            ["$recursiveRef"] = { type = "string", format = "uri-reference" },
        },
    }
end

-- The document of an address; nil: it is none of these. Each time a new one, as a registry keeps tables.
function _M.document(address)
    if not documents then
        build()
    end
    local function copy(value)
        if type(value) ~= "table" then
            return value
        end
        local new = {}
        for key, each in pairs(value) do
            new[key] = copy(each)
        end
        return setmetatable(new, value[1] ~= nil and cjson.array_mt or nil)
    end
    return documents[address] and copy(documents[address])
end

return _M
