-- Schemas and where they are, for resty.validate: documents, resources ($id), anchors, references.
--
-- A registry has the resources of one compilation by their URI. A resource is { uri, root, anchors, dynamic,
-- groups }: the schema at its root, its schemas by $anchor and by $dynamicAnchor, and the keywords that its
-- dialect has. index() finds them in a document; `place` knows of each schema its resource and the pointer
-- from that resource's root.

local metaschema = require "resty.validate.metaschema"
local uri = require "resty.validate.uri"

local error = error
local find = string.find
local gmatch = string.gmatch
local ipairs = ipairs
local pairs = pairs
local setmetatable = setmetatable
local sub = string.sub
local tonumber = tonumber
local type = type

local DIALECT = metaschema.DIALECT
local VOCABULARY = "https://json-schema.org/draft/2020-12/vocab/"

-- Keywords whose value is a schema, a list of them, or an object of them.
local ONE = {
    "not", "if", "then", "else", "items", "contains", "additionalProperties", "propertyNames",
    "unevaluatedItems", "unevaluatedProperties", "contentSchema",
}
local LIST = { "allOf", "anyOf", "oneOf", "prefixItems" }
local MAP = { "$defs", "definitions", "properties", "patternProperties", "dependentSchemas", "dependencies" }

local ALL = {
    ["core"] = true, ["applicator"] = true, ["unevaluated"] = true, ["validation"] = true,
    ["meta-data"] = true, ["format-annotation"] = true, ["content"] = true,
}

local KNOWN_VOCABULARY = { ["format-assertion"] = true }
for name in pairs(ALL) do
    KNOWN_VOCABULARY[name] = true
end

local _M = {}

local registry = {}
local mt = { __index = registry }

-- An error of a schema: it goes up to compile().
local function refuse(message)
    error({ schema_error = message }, 0)
end

_M.refuse = refuse

function _M.new(options)
    return setmetatable({
        options = options, resources = {}, place = {}, nodes = {}, list = {}, dialects = { [DIALECT] = ALL },
    }, mt)
end

-- ------------------------------------------------------------- dialects

-- The vocabularies of a dialect: of its metaschema's $vocabulary.
local function groups_of(self, dialect)
    dialect = dialect:gsub("#$", "")
    local groups = self.dialects[dialect]
    if groups then
        return groups
    end
    local document = self:document(dialect)
    if type(document) ~= "table" then
        refuse("the dialect " .. dialect .. " is not known")
    end
    groups = ALL
    if type(document["$vocabulary"]) == "table" then
        groups = { core = true }
        for name, needed in pairs(document["$vocabulary"]) do
            local short = sub(name, 1, #VOCABULARY) == VOCABULARY and sub(name, #VOCABULARY + 1)
            if short and KNOWN_VOCABULARY[short] then
                groups[short] = true
            elseif needed == true then
                refuse("the vocabulary " .. name .. " is not known")
            end
        end
    elseif find(dialect, "^https?://json%-schema%.org/") then
        refuse("the dialect " .. dialect .. " is not known")
    end
    self.dialects[dialect] = groups
    return groups
end

-- ------------------------------------------------------------- documents

-- A document by its URI, as a table: known, given or got by options.resolve; nil.
function registry:document(address)
    local document = metaschema.document(address)
    local options = self.options
    if document == nil and options.schemas then
        document = options.schemas[address]
    end
    if document == nil and options.resolve then
        document = options.resolve(address)
    end
    if type(document) == "string" then
        document = options.decode(document)
    end
    return document
end

local function new_resource(self, address, root, groups)
    local resource = { uri = address, root = root, anchors = {}, dynamic = {}, groups = groups }
    self.resources[address] = resource
    self.list[#self.list + 1] = resource
    return resource
end

local index

local function index_children(self, schema, resource, pointer)
    for _, name in ipairs(ONE) do
        index(self, schema[name], resource, pointer .. "/" .. name)
    end
    for _, name in ipairs(LIST) do
        if type(schema[name]) == "table" then
            for i, each in ipairs(schema[name]) do
                index(self, each, resource, pointer .. "/" .. name .. "/" .. i - 1)
            end
        end
    end
    for _, name in ipairs(MAP) do
        if type(schema[name]) == "table" then
            for key, each in pairs(schema[name]) do
                if type(key) == "string" then
                    index(self, each, resource, pointer .. "/" .. name .. "/" .. uri.escape(key))
                end
            end
        end
    end
end

function index(self, schema, resource, pointer)
    if type(schema) ~= "table" or self.place[schema] then
        return
    end
    local id, dialect = schema["$id"], schema["$schema"]
    if type(id) == "string" and pointer ~= "" then
        local address, fragment = uri.resolve(resource.uri, id)
        if fragment and fragment ~= "" then
            refuse("$id has a fragment: " .. id)
        end
        local groups = type(dialect) == "string" and groups_of(self, dialect) or resource.groups
        resource, pointer = new_resource(self, address, schema, groups), ""
    end
    self.place[schema] = { resource = resource, pointer = pointer }
    if type(schema["$anchor"]) == "string" then
        resource.anchors[schema["$anchor"]] = schema
    end
    if type(schema["$dynamicAnchor"]) == "string" then
        resource.anchors[schema["$dynamicAnchor"]] = schema
        resource.dynamic[schema["$dynamicAnchor"]] = schema
    end
    index_children(self, schema, resource, pointer)
end

-- Adds a document that was got under an address: its root resource.
function registry:add(document, address)
    local base, groups = address, ALL
    if type(document) == "table" then
        if type(document["$schema"]) == "string" then
            groups = groups_of(self, document["$schema"])
        end
        if type(document["$id"]) == "string" then
            base = uri.resolve(address, document["$id"])
        end
    end
    local resource = new_resource(self, base, document, groups)
    self.resources[address] = resource
    index(self, document, resource, "")
    return resource
end

-- ------------------------------------------------------------- references

-- What a JSON Pointer finds in a resource, and the resource that this is in.
local function follow(self, resource, pointer)
    local schema, at = resource.root, ""
    for segment in gmatch(pointer, "/([^/]*)") do
        segment = uri.unescape(segment)
        if type(schema) ~= "table" then
            return nil
        end
        local child = schema[segment]
        if child == nil and find(segment, "^%d+$") then
            child = schema[tonumber(segment) + 1]
        end
        schema, at = child, at .. "/" .. uri.escape(segment)
        local place = type(schema) == "table" and self.place[schema]
        if place then
            resource, at = place.resource, place.pointer
        end
    end
    return schema, resource, at
end

-- The schema that a reference within a resource means: schema, resource, pointer; and its fragment, when
-- that is a name.
function registry:find(from, reference)
    local address, fragment = uri.resolve(from.uri, reference)
    local resource = self.resources[address]
    if not resource then
        local document = self:document(address)
        if document == nil then
            refuse("can't find " .. reference)
        end
        resource = self:add(document, address)
    end
    fragment = fragment and uri.decode(fragment) or ""
    local schema, pointer = nil, ""
    if fragment == "" then
        return resource.root, resource, pointer
    elseif sub(fragment, 1, 1) == "/" then
        schema, resource, pointer = follow(self, resource, fragment)
        if type(schema) == "table" and not self.place[schema] then
            -- Behind a keyword that is not known.
            index(self, schema, resource, pointer)
        end
        fragment = nil
    else
        schema = resource.anchors[fragment]
        pointer = schema and self.place[schema].pointer
    end
    if type(schema) ~= "table" and type(schema) ~= "boolean" then
        refuse("can't find " .. reference)
    end
    return schema, resource, pointer, fragment
end

return _M
