--- resty.cors: lets pages of other origins call an API (the CORS protocol of the Fetch standard).
--
--     local cors = require("resty.cors").new {
--         origins = { "https://app.example.com", "https://*.example.org" },
--         methods = { "GET", "POST", "DELETE" },
--         headers = { "Content-Type", "Authorization" },      -- that requests may have
--         expose = { "X-Total-Count" },                       -- that pages may read
--         credentials = true, max_age = 600,
--     }
--
--     -- access_by_lua_block, or first of all in content_by_lua_block
--     cors:run()
--
-- run() answers a preflight request (204) and ends it; to the answer of another request it adds the
-- fields that its origin is to have. An origin that is not allowed gets none of them, so the browser keeps
-- the answer from the page. `Vary: Origin` is always there, so that caches keep answers apart.
--
-- With credentials, "*" would let every page act for the user: new() raises an error for both together.
--
-- Programs that use one setting for the whole server may also call the module's functions: allow_host(),
-- allow_method(), allow_header(), expose_header(), max_age(), allow_credential(), and then run().

local add_header = require("ngx.resp").add_header
local concat = table.concat
local error = error
local gsub = string.gsub
local ipairs = ipairs
local lower = string.lower
local ngx = ngx
local re_find = ngx.re.find
local setmetatable = setmetatable

local METHODS = { "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE" }

local _M = { _VERSION = "1.0" }

---@class resty.cors
local methods = {}
local mt = { __index = methods }

---@class resty.cors.options
---@field origins string[] "https://app.example.com"; "https://*.example.org": each name below; "*": all
---@field methods? string[] those that are common
---@field headers? string[] none; "*": whichever are asked for
---@field expose? string[] none
---@field credentials? boolean cookies and authorization; false
---@field max_age? integer seconds that browsers remember a preflight; they have their own default

-- Sets of exact origins, and expressions for those with a "*".
local function compile(self, origin)
    if origin == "*" then
        self.anybody = true
    elseif origin:find("*", 1, true) then
        local text = gsub(lower(origin), "[%^%$%(%)%%%.%[%]%+%-%?{}|\\]", "\\%0")
        self.patterns[#self.patterns + 1] = "\\A" .. gsub(text, "%*", "[a-z0-9.-]+") .. "\\z"
    else
        self.exact[lower(origin)] = true
    end
end

--- Makes a policy. Make it once, at the top of a module.
---@param options resty.cors.options
---@return resty.cors policy
function _M.new(options)
    local self = setmetatable({ exact = {}, patterns = {}, anybody = false }, mt)
    for _, origin in ipairs(options.origins) do
        compile(self, origin)
    end
    if self.anybody and options.credentials then
        error('credentials can\'t be allowed to every origin: name them instead of "*"', 2)
    end
    self.methods = concat(options.methods or METHODS, ", ")
    local headers = concat(options.headers or {}, ", ")
    self.any_header = headers == "*"
    self.headers = headers
    self.expose = options.expose and concat(options.expose, ", ")
    self.credentials = options.credentials
    self.max_age = options.max_age
    return self
end

-- Whether pages of an origin may call.
function methods:_allows(origin)
    if self.anybody or self.exact[lower(origin)] then
        return true
    end
    for _, pattern in ipairs(self.patterns) do
        if re_find(origin, pattern, "joi") then
            return true
        end
    end
    return false
end

local function preflight(self)
    local header = ngx.header
    header["Access-Control-Allow-Methods"] = self.methods
    if self.any_header then
        header["Access-Control-Allow-Headers"] = ngx.var.http_access_control_request_headers
    elseif self.headers ~= "" then
        header["Access-Control-Allow-Headers"] = self.headers
    end
    if self.max_age then
        header["Access-Control-Max-Age"] = self.max_age
    end
end

--- Applies the policy to the current request.
---@return boolean? allowed nil: it has no origin; a preflight does not return
function methods:run()
    local origin = ngx.var.http_origin
    add_header("Vary", "Origin")
    if not origin then
        return nil
    end
    local is_preflight = ngx.req.get_method() == "OPTIONS"
        and ngx.var.http_access_control_request_method ~= nil
    local allowed = self:_allows(origin)
    if allowed then
        ngx.header["Access-Control-Allow-Origin"] = self.anybody and "*" or origin
        if self.credentials then
            ngx.header["Access-Control-Allow-Credentials"] = "true"
        end
        if is_preflight then
            preflight(self)
        elseif self.expose then
            ngx.header["Access-Control-Expose-Headers"] = self.expose
        end
    end
    if is_preflight then
        ngx.exit(204)
    end
    return allowed
end

-- ------------------------------------------------------------- one policy for the server

local server = { exact = {}, patterns = {}, anybody = false, methods = "", headers = "" }
local lists = { methods = {}, headers = {}, expose = {} }
setmetatable(server, mt)

local function add(name, value)
    lists[name][#lists[name] + 1] = value
    server[name] = concat(lists[name], ", ")
end

--- Lets in origins whose host matches a regular expression.
---@param pattern string
function _M.allow_host(pattern)
    server.patterns[#server.patterns + 1] = "\\Ahttps?://(?:" .. pattern .. ")(?::[0-9]+)?\\z"
end

--- A method that may be used.
---@param method string
function _M.allow_method(method)
    add("methods", method)
end

--- A field that requests may have.
---@param name string
function _M.allow_header(name)
    add("headers", name)
end

--- A field that pages may read.
---@param name string
function _M.expose_header(name)
    add("expose", name)
end

--- How long browsers remember a preflight.
---@param seconds integer
function _M.max_age(seconds)
    server.max_age = seconds
end

--- Whether cookies and authorization may come along.
---@param yes boolean
function _M.allow_credential(yes)
    server.credentials = yes
end

--- Applies the server's policy to the current request.
---@return boolean? allowed
function _M.run()
    return server:run()
end

return _M
