--- resty.template: HTML templates, compiled to Lua and cached.
--
--     local template = require "resty.template"
--     template.render("view.html", { title = "Hello", names = { "James", "Anne" } })
--     local page = template.process("<h1>{{title}}</h1>", { title = "a < b" })   -- a string
--
--     {{expression}}            its value, escaped for HTML
--     {*expression*}            its value as it is
--     {% lua code %}            {% for _, name in ipairs(names) do %} … {% end %}
--     {(file.html)}             another template; {(file.html, {title = "x"})} with its own context
--     {[expression]}            the same, its name or text comes from an expression
--     {-name-} … {-name-}       a block, which the layout writes with {*blocks.name*}
--     {-raw-} … {-raw-}         text in which nothing is a tag (also {-verbatim-})
--     {# comment #}
--     \{{…}}                    text; \\{{…}} a backslash and the value
--
-- Names are looked up in the context, then in this module, then among Lua's globals. Assignments
-- stay within one rendering. {% layout = "layout.html" %} puts the result into that template, as
-- its {*view*}. A tag that writes nothing and stands alone on a line takes the line with it.
-- echo(…) in code writes its arguments; context is the whole context.
--
-- A view is a file's name below template.root, $template_root or the document root, or a path below
-- template.location or $template_location, which is asked with a subrequest; or, if there is no
-- such file, the template itself. The functions …_file and …_string leave no doubt. Never make a
-- view of what a user sends: a template is a program.
--
-- Mistakes in a template are thrown as errors, with the template's name and line.

local ffi = require "ffi"
local parse_view = require "resty.template.parser"

local C = ffi.C
local _G = _G
local concat = table.concat
local error = error
local ffi_string = ffi.string
local find = string.find
local get_phase = ngx.get_phase
local get_string_buf = require("resty.core.base").get_string_buf
local loadstring = loadstring
local ngx = ngx
local null = ngx.null
local open = io.open
local pairs = pairs
local rawget = rawget
local setfenv = setfenv
local setmetatable = setmetatable
local tostring = tostring
local type = type

ffi.cdef [[
size_t bl_lua_escape_html(char *to, const char *s, size_t len, bool braces);
]]

-- Templates in the cache. Beyond, somebody makes ever new ones, and the cache starts anew.
local MAX_CACHED = 10000

---@class resty.template
---@field root? string folder of the files
---@field location? string where to ask for the files, instead
---@field print fun(text: string) what render calls; ngx.print
---@field cache table<string, function>
local _M = { _VERSION = "2.0", cache = {}, print = ngx.print }

local caching, cached_count = true, 0

-- Values ----------------------------------------------------------------------------------------

--- The text of a value: "" for nil and ngx.null; of a function, what it returns.
---@param value any
---@return string
function _M.output(value)
    if type(value) == "string" then
        return value
    elseif value == nil or value == null then
        return ""
    elseif type(value) == "function" then
        return _M.output(value())
    end
    return tostring(value)
end

local output = _M.output

--- The text of a value, escaped for HTML.
---@param value any
---@param braces? boolean escape { and }, too
---@return string
function _M.escape(value, braces)
    value = output(value)
    local buffer = get_string_buf(6 * #value)
    return ffi_string(buffer, C.bl_lua_escape_html(buffer, value, #value, braces == true))
end

-- Files -----------------------------------------------------------------------------------------

local NO_REQUEST = {
    init = true,
    init_worker = true,
    exit_worker = true,
    timer = true,
    ssl_cert = true,
    ssl_client_hello = true,
    ssl_session_fetch = true,
    ssl_session_store = true,
}

local function variable(name)
    local value = not NO_REQUEST[get_phase()] and ngx.var[name]
    return value and value ~= "" and value or nil
end

local function root()
    return _M.root or variable("template_root") or variable("document_root") or "."
end

-- The folder or location that a name belongs to: another one has other files of that name.
local function place()
    return _M.location or variable("template_location") or root()
end

local function read_file(path)
    local file = open(path, "rb")
    if not file then
        return nil
    end
    local text = file:read("*a")
    file:close()
    return text
end

local function load_view(name)
    local location = _M.location or variable("template_location")
    if location then
        local res = ngx.location.capture(location .. "/" .. name)
        if res.status == 200 then
            return res.body
        end
    end
    return read_file(root() .. "/" .. name)
end

--- The text of a template.
---@param view string
---@param plain? boolean true: `view` is it; false: it is a file's, which must be there
---@return string
function _M.load(view, plain)
    if plain == true or (plain == nil and find(view, "[\n{]")) then
        return view
    end
    local text = load_view(view)
    if not text and plain == false then
        error("no such template: " .. view, 0)
    end
    return text or view
end

-- Compiling -------------------------------------------------------------------------------------

--- The Lua code that a template becomes.
---@param view string
---@param plain? boolean
---@return string code
function _M.parse(view, plain)
    return parse_view(_M.load(view, plain))
end

local compile

-- What the code of one rendering sees. Each has its own, so that a rendering may wait for
-- something while others go on.
local function environment(context)
    local env = {
        ___concat = concat,
        blocks = context.blocks or {},
        context = context,
        escape = _M.escape,
        output = output,
        template = _M,
    }
    function env.include(view, inner)
        return compile(view)(inner or context)
    end
    return setmetatable(env, {
        __index = function(_, name)
            local value = context[name]
            if value == nil then
                value = _M[name]
                if value == nil then
                    value = _G[name]
                end
            end
            return value
        end,
    })
end

local function run(factory, context)
    context = context or {}
    local env = environment(context)
    local text = setfenv(factory(), env)()
    local layout = rawget(env, "layout")
    if not layout then
        return text
    end
    return compile(layout)(setmetatable({ view = text, blocks = env.blocks }, { __index = context }))
end

local function make(view, plain)
    local code = parse_view(_M.load(view, plain))
    local name = find(view, "[\n{]") and "=template" or "@" .. view
    local factory, err = loadstring("return function() " .. code .. " end", name)
    if not factory then
        error(err, 0)
    end
    return function(context)
        return run(factory, context)
    end
end

local function remember(key, func)
    cached_count = cached_count + 1
    if cached_count > MAX_CACHED then
        _M.cache, cached_count = {}, 1
    end
    _M.cache[key] = func
end

-- A file's name is a text when there is no such file; so it is another key for who insists.
local function cache_key(view, plain)
    if plain == false then
        return place() .. "\0\0" .. view
    elseif plain == nil and not find(view, "[\n{]") then
        return place() .. "\0" .. view
    end
    return view
end

--- Compiles a template.
---@param view string
---@param key? string its name in the cache; "no-cache" for none
---@param plain? boolean true: `view` is the text; false: a file's name
---@return fun(context?: table): string func
---@return boolean cached it came from the cache
function _M.compile(view, key, plain)
    if not caching or key == "no-cache" then
        return make(view, plain), false
    end
    if not key then
        key = cache_key(view, plain)
    end
    local func = _M.cache[key]
    if func then
        return func, true
    end
    func = make(view, plain)
    remember(key, func)
    return func, false
end

compile = _M.compile

--- Renders a template to a string.
---@param view string
---@param context? table
---@param key? string
---@param plain? boolean
---@return string
function _M.process(view, context, key, plain)
    return compile(view, key, plain)(context)
end

--- Renders a template to the client.
---@param view string
---@param context? table
---@param key? string
---@param plain? boolean
function _M.render(view, context, key, plain)
    return _M.print(_M.process(view, context, key, plain))
end

-- The same functions for what is surely a file, surely a text.
for suffix, plain in pairs { file = false, string = true } do
    _M["load_" .. suffix] = function(view)
        return _M.load(view, plain)
    end
    _M["parse_" .. suffix] = function(view)
        return _M.parse(view, plain)
    end
    _M["compile_" .. suffix] = function(view, key)
        return _M.compile(view, key, plain)
    end
    _M["process_" .. suffix] = function(view, context, key)
        return _M.process(view, context, key, plain)
    end
    _M["render_" .. suffix] = function(view, context, key)
        return _M.render(view, context, key, plain)
    end
end

--- Switches the cache on or off.
---@param enable? boolean without it, only tells
---@return boolean enabled
function _M.caching(enable)
    if enable ~= nil then
        caching = enable == true
    end
    return caching
end

-- Views as objects ------------------------------------------------------------------------------

local function render_view(self, view, layout, context)
    context = context or self
    local text = compile(view)(context)
    if not layout then
        return text
    elseif type(layout) == "table" then
        layout.view, layout.blocks = text, context.blocks or {}
        return tostring(layout)
    end
    context.view = text
    return compile(layout)(context)
end

--- A view that is its own context: set its fields, then call view:render() or tostring(view).
---@param view string
---@param layout? string|table a template, or another such object, that gets the result as `view`
---@return table
function _M.new(view, layout)
    local self = {}
    function self.render(context)
        return _M.print(render_view(self, view, layout, context))
    end
    return setmetatable(self, {
        __tostring = function()
            return render_view(self, view, layout)
        end,
    })
end

return _M
