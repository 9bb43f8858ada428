--- resty.validate: checks data against a JSON Schema (draft 2020-12).
--
--     local validate = require "resty.validate"
--     local validator = assert(validate.compile {            -- or a text; once, at the top of a module
--         type = "object",
--         properties = {
--             name = { type = "string", minLength = 1, maxLength = 80 },
--             tags = { type = "array", items = { type = "string" }, uniqueItems = true },
--         },
--         required = { "name" }, additionalProperties = false,
--     })
--
--     local ok, errors = validator(data)                     -- a Lua value
--     local data, errors = validator:json(text)              -- reads a text, and checks what it has
--     local data = validate.body(validator)                  -- the request's body; else answers 400 or 422
--
-- An error is { instance = "/tags/0", keyword = "type", message = "is not of type string", schema =
-- "#/properties/tags/items/type" }: a JSON Pointer to what is wrong, the keyword that says so, a sentence
-- about it, and where the keyword is. Errors are sorted by their places.
--
-- All keywords of the draft are known, with $dynamicRef, unevaluatedProperties and the vocabularies of a
-- metaschema, and `dependencies` of earlier ones. `format` only tells, as the draft wants it; the option `formats` has it checked: date-time,
-- date, time, duration, email, idn-email, hostname, idn-hostname, ipv4, ipv6, uri, uri-reference, iri,
-- iri-reference, uri-template, uuid, json-pointer, relative-json-pointer, regex. `contentEncoding` and
-- its kin tell, too. Patterns are those of ECMA-262 with its flag u, and run within lua_regex_match_limit.
--
-- Arrays and objects are both tables in Lua. An array is what has the metatable cjson.array_mt or
-- cjson.empty_array_mt, or is cjson.empty_array, or has a [1] (or no other keys than numbers); another
-- table that is not empty is an object. An empty table without a metatable may be both: `type` takes it for
-- either, and other keywords for what `type` says, or for what the schema has keywords for. json() and body()
-- do not guess: they give arrays their metatable, so that [] and {} stay apart (and encode as what they
-- were). For data that somebody else has decoded with decode_array_with_array_mt, the option `tagged` says so.
-- null is cjson.null; nil counts as null. Numbers are doubles: 1.0 is an integer, and two numbers beyond
-- 2^53 that are the same double are equal. multipleOf is exact: 0.3 is a multiple of 0.1.
--
-- $ref to other documents: they are in `schemas`, or the function `resolve` gets them; nothing is fetched
-- by itself, and all happens in compile(). While data are checked, schemas may be nested `max_depth` deep,
-- a $ref and what it means being two of them: data that go deeper are not valid, and json() reads none that
-- are nested deeper.
--
-- compile() returns nil and a message when the schema is none: "bad schema: /properties/a/type: …",
-- "can't find …", "bad regular expression at …", "the dialect … is not known".

local cjson = require "cjson"
local formats = require "resty.validate.formats"
local keywords = require "resty.validate.keywords"
local metaschema = require "resty.validate.metaschema"
local safe = require "cjson.safe"
local schema_of = require "resty.validate.schema"
local uri = require "resty.validate.uri"

local error = error
local find = string.find
local io_open = io.open
local ipairs = ipairs
local lower = string.lower
local match = string.match
local ngx = ngx
local pairs = pairs
local pcall = pcall
local setmetatable = setmetatable
local sort = table.sort
local tonumber = tonumber
local tostring = tostring
local type = type

local MAX_DEPTH = 500
local MAX_ERRORS = 100
local MAX_BODY = 1048576

local _M = { _VERSION = "0.1" }

---@class resty.validate.validator
local validator = {}

---@class resty.validate.options
---@field formats? boolean|table<string, fun(text: string): boolean> true: `format` is checked; a table adds formats of its own
---@field schemas? table<string, table|string> documents by their URI
---@field resolve? fun(uri: string): table|string|nil gives other documents
---@field uri? string of the schema itself, when it has no $id
---@field tagged? boolean every array of the data has the metatable cjson.array_mt
---@field max_depth? integer 500
---@field max_errors? integer 100; after so many no more are collected

---@class resty.validate.error
---@field instance string JSON Pointer to the value
---@field keyword string
---@field message string
---@field schema string URI of the keyword

-- ------------------------------------------------------------- compiling

local reader = safe.new()
reader.decode_array_with_array_mt(true)

local function decode_schema(text)
    local schema, err = reader.decode(text)
    if schema == nil then
        schema_of.refuse("bad schema: " .. tostring(err))
    end
    return schema
end

local compiler = {}
local compiler_mt = { __index = compiler }

-- The function of a schema. It is made once, and before that is done, references get one that waits.
function compiler:node(schema, place)
    if type(schema) == "boolean" then
        return keywords.constant(schema, place)
    elseif type(schema) ~= "table" then
        schema_of.refuse("bad schema: " .. place.pointer .. " is none")
    end
    local known = self.nodes[schema]
    if known then
        return known
    end
    local home = self.registry.place[schema]
    if home then
        place = { uri = home.resource.uri, pointer = home.pointer, resource = home.resource }
    end
    local made
    self.nodes[schema] = function(run, value, seen)
        return made(run, value, seen)
    end
    made = keywords.compile(self, schema, place)
    if place.resource.root == schema then
        made = keywords.within(place.resource, made)
    end
    self.nodes[schema] = made
    return made
end

-- Every schema that a $dynamicRef may come to. Compiling one may bring more of them.
local function compile_dynamic(self)
    local i = 0
    while i < #self.registry.list do
        i = i + 1
        local resource = self.registry.list[i]
        for _, schema in pairs(resource.dynamic) do
            self:node(schema, { uri = resource.uri, pointer = "", resource = resource })
        end
    end
end

local function own_formats(options)
    if type(options.formats) ~= "table" then
        return formats
    end
    local all = {}
    for name, check in pairs(formats) do
        all[name] = check
    end
    for name, check in pairs(options.formats) do
        all[name] = check
    end
    return all
end

local mt

local function build(schema, options)
    local registry = schema_of.new {
        schemas = options.schemas, resolve = options.resolve, decode = decode_schema,
    }
    local self = setmetatable({
        registry = registry, nodes = {}, formats = own_formats(options),
        asserts_formats = options.formats and true or false,
    }, compiler_mt)
    local base = options.uri and uri.resolve("", options.uri) or ""
    local resource = registry:add(schema, base)
    local node = self:node(schema, { uri = resource.uri, pointer = "", resource = resource })
    if self.has_dynamic then
        compile_dynamic(self)
    end
    return setmetatable({
        node = node, tagged = options.tagged, max_depth = options.max_depth or MAX_DEPTH,
        max_errors = options.max_errors or MAX_ERRORS,
    }, mt)
end

local meta

-- Whether a schema of the draft itself is well formed.
local function check_schema(schema)
    meta = meta or build(metaschema.document(metaschema.DIALECT), {})
    local ok, errors = meta(schema)
    if not ok then
        local worst = errors[1]
        schema_of.refuse("bad schema: " .. worst.instance .. ": " .. worst.message)
    end
end

--- Makes a validator of a schema.
---@param schema table|string|boolean a Lua table, or JSON
---@param options? resty.validate.options
---@return resty.validate.validator? validator
---@return string? err
function _M.compile(schema, options)
    local ok, result = pcall(function()
        if type(schema) == "string" then
            schema = decode_schema(schema)
        end
        if type(schema) ~= "table" and type(schema) ~= "boolean" then
            schema_of.refuse("bad schema: it is neither an object nor a boolean")
        end
        local dialect = type(schema) == "table" and schema["$schema"]
        if type(schema) == "table" and (not dialect or dialect == metaschema.DIALECT) then
            check_schema(schema)
        end
        return build(schema, options or {})
    end)
    if ok then
        return result
    elseif type(result) == "table" and result.schema_error then
        return nil, result.schema_error
    end
    error(result, 0)
end

-- ------------------------------------------------------------- checking

local function run_of(self, tagged, errors)
    return {
        tagged = tagged, errors = errors, max_errors = self.max_errors, path = {}, n = 0, scope = {}, depth = 0,
        max_depth = self.max_depth,
    }
end

-- By place, so that the same data always have the same errors.
local function goes_first(a, b)
    if a.instance ~= b.instance then
        return a.instance < b.instance
    end
    return a.schema < b.schema
end

-- First only the answer, which is quick; the errors when there are some.
local function check(self, data, tagged)
    local run = run_of(self, tagged)
    if self.node(run, data) and not run.too_deep then
        return true
    end
    local errors = {}
    self.node(run_of(self, tagged, errors), data)
    if not errors[1] then
        errors[1] = { instance = "", keyword = "$ref", message = "is nested too deeply", schema = "#" }
    end
    sort(errors, goes_first)
    return false, setmetatable(errors, cjson.array_mt)
end

--- Checks a value; validator(data) is the same.
---@param data any
---@return boolean ok
---@return resty.validate.error[]? errors
function validator:check(data)
    return check(self, data, self.tagged)
end

--- Reads JSON, and checks what it has.
---@param text string
---@return any data nil: it is not valid
---@return resty.validate.error[]? errors
function validator:json(text)
    if not self.reader then
        self.reader = safe.new()
        self.reader.decode_array_with_array_mt(true)
        self.reader.decode_max_depth(self.max_depth)
        self.reader.decode_invalid_numbers(false)
    end
    local data, err = self.reader.decode(text)
    if data == nil then
        return nil, setmetatable({ { instance = "", keyword = "", message = "is no JSON: " .. tostring(err), schema = "" } },
                                 cjson.array_mt), true
    end
    local ok, errors = check(self, data, true)
    if not ok then
        return nil, errors
    end
    return data
end

mt = { __index = validator, __call = validator.check }

-- ------------------------------------------------------------- requests

---@class resty.validate.body_options
---@field max_size? integer bytes; 1048576
---@field types? string[] media types; application/json and all that end in +json

local function answer(status, errors)
    ngx.status = status
    ngx.header["Content-Type"] = "application/json"
    ngx.print(cjson.encode(setmetatable(errors, cjson.array_mt)))
    ngx.exit(status)
end

local function refusal(status, keyword, message)
    return answer(status, { { instance = "", keyword = keyword, message = message, schema = "" } })
end

local function is_json(types)
    local given = lower(match(ngx.var.content_type or "", "^%s*([^;%s]*)"))
    if types then
        for _, each in ipairs(types) do
            if lower(each) == given then
                return true
            end
        end
        return false
    end
    return given == "application/json" or find(given, "^[%w!#$&^_.+-]+/[%w!#$&^_.+-]+%+json$") ~= nil
end

local function read_body(limit)
    ngx.req.read_body()
    local text = ngx.req.get_body_data()
    if text then
        return #text <= limit and text or nil
    end
    local path = ngx.req.get_body_file()
    if not path then
        return ""
    end
    local file = io_open(path, "rb")
    if not file then
        return ""
    end
    text = file:read(limit + 1) or ""
    file:close()
    return #text <= limit and text or nil
end

--- Reads the request's body as JSON, and checks it. What is not good is answered, and the request ends: 415
--- for another media type, 413 for too much, 400 for what is no JSON, 422 for what is not valid. The answer is
--- a JSON array of errors.
---@param checker resty.validate.validator
---@param options? resty.validate.body_options
---@return any data
function _M.body(checker, options)
    local limit = options and options.max_size or MAX_BODY
    if not is_json(options and options.types) then
        return refusal(415, "content-type", "is no JSON by its Content-Type")
    end
    local length = tonumber(ngx.var.http_content_length)
    local text = (not length or length <= limit) and read_body(limit) or nil
    if not text then
        return refusal(413, "content-length", "has more than " .. limit .. " bytes")
    end
    local data, errors, is_broken = checker:json(text)
    if errors then
        return answer(is_broken and 400 or 422, errors)
    end
    return data
end

--- The formats by name: functions of a text.
_M.formats = formats

return _M
