--- resty.router: from a method and a path to the function that answers.
--
--     local router = require("resty.router").new()
--
--     router:get("/notes", list)
--     router:get("/notes/:id(\\d+)", function(params) show(params.id) end)
--     router:add({ "PUT", "PATCH" }, "/notes/:id", change)
--     router:get("/files/:name.json", describe)
--     router:get("/static/*path", serve)              -- the rest, with its slashes
--
--     local api = router:group("/api/v1", authenticate)    -- runs before each of the group's functions
--     api:get("/me", me)
--
--     -- content_by_lua_block
--     router:dispatch()
--
-- Make the router once, at the top of a module, and not for each request. dispatch() answers 404 and 405
-- (with Allow) itself, HEAD with what GET has, and OPTIONS with the methods that there are. match() only
-- looks: router:match("GET", "/notes/7") returns the function and { id = "7" }.
--
-- Of several patterns that match, literal text goes before parameters, a parameter with an expression
-- before one without, and "*" comes last; `priority` in the options goes before all of that. Values are
-- decoded (%20); a slash in a value has to come as %2F. Patterns that make no sense raise an error when
-- they are added.
--
-- How it works: a tree whose edges are segments of paths. Paths without parameters are found in one look
-- at a table; others take a look for each segment, however many routes there are.

local byte = string.byte
local char = string.char
local concat = table.concat
local error = error
local find = string.find
local gsub = string.gsub
local ipairs = ipairs
local match = string.match
local ngx = ngx
local pairs = pairs
local re_find = ngx.re.find
local setmetatable = setmetatable
local sort = table.sort
local sub = string.sub
local type = type
local upper = string.upper

-- In a path, "+" is a plus.
local BYTES = {}
for i = 0, 255 do
    local hex = string.format("%02x", i)
    BYTES[hex], BYTES[upper(hex)] = char(i), char(i)
end
setmetatable(BYTES, { __index = function(_, pair) return BYTES[pair:lower()] end })

local function decode(text)
    if find(text, "%", 1, true) then
        return (gsub(text, "%%(%x%x)", BYTES))
    end
    return text
end

local METHODS = { "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS" }

local _M = { _VERSION = "1.0" }

---@class resty.router
local mt = { __index = _M }

---@class resty.router.options
---@field priority? integer higher ones go first; 0

---@class resty.router.settings
---@field ignore_trailing_slash? boolean "/a/" is "/a"

-- ------------------------------------------------------------- the tree

-- A place that paths may lead to:
--   static  segment -> node
--   edges   parameters: list of {prefix, suffix, expression, node}, the most exact first
--   tail    node of "*": its routes
--   routes  method -> route {handler, names, priority}; "*" any method
local function new_node()
    return { static = {}, edges = {}, routes = {} }
end

--- Makes an empty router.
---@param settings? resty.router.settings
---@return resty.router
function _M.new(settings)
    return setmetatable({
        _root = new_node(),
        _paths = {},          -- path without parameters -> node
        _prioritized = false, -- some route has a priority of its own
        _ignore_slash = settings and settings.ignore_trailing_slash or false,
        _prefix = "",
        _before = {},
    }, mt)
end

local function complain(pattern, what)
    error('bad route "' .. pattern .. '": ' .. what, 4)
end

-- A segment with a parameter as an edge and its name; nil for literal text.
local function parse_segment(pattern, segment)
    local at = find(segment, ":", 1, true)
    if not at then
        return nil
    end
    local name, rest = match(segment, "^([%a_][%w_]*)(.*)$", at + 1)
    if not name then
        complain(pattern, "a parameter needs a name")
    end
    local expression
    if byte(rest) == 40 then -- "("
        local group = match(rest, "^%b()")
        if not group then
            complain(pattern, "a parenthesis is not closed")
        end
        expression, rest = "\\A" .. group .. "\\z", sub(rest, #group + 1)
        local _, _, err = re_find("", expression, "jo")
        if err then
            complain(pattern, err)
        end
    end
    if find(rest, ":", 1, true) then
        complain(pattern, "two parameters in one segment")
    end
    return { prefix = sub(segment, 1, at - 1), suffix = rest, expression = expression }, name
end

-- How exact an edge is, to sort by.
local function weight(edge)
    return #edge.prefix + #edge.suffix + (edge.expression and 0.5 or 0)
end

local function edge_of(node, edge)
    for _, known in ipairs(node.edges) do
        if known.prefix == edge.prefix and known.suffix == edge.suffix
            and known.expression == edge.expression then
            return known.node
        end
    end
    edge.node = new_node()
    edge.order = #node.edges
    node.edges[#node.edges + 1] = edge
    sort(node.edges, function(a, b)
        local wa, wb = weight(a), weight(b)
        return wa > wb or wa == wb and a.order < b.order
    end)
    return edge.node
end

-- Segments: "/a/b" is "a", "b"; "/a/" is "a", "". A slash within an expression is part of it.
local function segments_of(pattern)
    local list, depth, start = {}, 0, 2
    for i = 2, #pattern do
        local c = byte(pattern, i)
        depth = depth + (c == 40 and 1 or c == 41 and -1 or 0)
        if c == 47 and depth == 0 then
            list[#list + 1] = sub(pattern, start, i - 1)
            start = i + 1
        end
    end
    list[#list + 1] = sub(pattern, start)
    return list
end

-- The node of a pattern, the names of its parameters, and whether it has none.
local function grow(self, pattern)
    local node, names = self._root, {}
    local segments = segments_of(pattern)
    local literal = true
    for i, segment in ipairs(segments) do
        local edge, name = parse_segment(pattern, segment)
        if edge then
            node = edge_of(node, edge)
        elseif byte(segment) == 42 then -- "*"
            if i ~= #segments then
                complain(pattern, '"*" must be at the end')
            end
            node.tail = node.tail or new_node()
            node, name = node.tail, sub(segment, 2)
        else
            local next = node.static[segment] or new_node()
            node.static[segment] = next
            node = next
        end
        if name then
            literal = false
            for _, other in ipairs(names) do
                if other == name then
                    complain(pattern, "two parameters of one name")
                end
            end
            names[#names + 1] = name
        end
    end
    return node, names, literal
end

-- One function out of those that run before and the handler. What returns something ends the chain.
local function chain(before, handler)
    if #before == 0 then
        return handler
    end
    return function(params, ...)
        for _, f in ipairs(before) do
            local result = f(params, ...)
            if result ~= nil then
                return result
            end
        end
        return handler(params, ...)
    end
end

--- Adds a route. Of two with the same pattern and method, the later one counts.
---@param methods string|string[] "GET", { "GET", "POST" }; "*" for any
---@param pattern string
---@param handler function|any match() gives it back; dispatch() calls it with the parameters
---@param options? resty.router.options
---@return resty.router self
function _M:add(methods, pattern, handler, options)
    pattern = self._prefix .. pattern
    if byte(pattern) ~= 47 then
        complain(pattern, 'it has to begin with "/"')
    end
    if handler == nil then
        complain(pattern, "there is no function for it")
    end
    local top = self._top or self
    if top._ignore_slash and #pattern > 1 and byte(pattern, -1) == 47 then
        pattern = sub(pattern, 1, -2)
    end
    local node, names, literal = grow(top, pattern)
    local priority = options and options.priority or 0
    top._prioritized = top._prioritized or priority ~= 0
    if literal then
        top._paths[pattern] = node
    end
    if type(handler) == "function" then
        handler = chain(self._before, handler)
    end
    for _, method in ipairs(type(methods) == "table" and methods or { methods }) do
        node.routes[upper(method)] = { handler = handler, names = names, priority = priority }
    end
    return self
end

for _, method in ipairs(METHODS) do
    _M[method:lower()] = function(self, pattern, handler, options)
        return _M.add(self, method, pattern, handler, options)
    end
end

--- The same for every method.
---@param pattern string
---@param handler function|any
---@param options? resty.router.options
---@return resty.router self
function _M:any(pattern, handler, options)
    return self:add("*", pattern, handler, options)
end

--- Routes below a prefix, with functions that run before theirs.
---@param prefix string "/api"
---@param ... function each gets what the route's function gets; what it returns, but nil, ends the request
---@return resty.router group has get(), post(), add(), group(), … ; the routes are this router's
function _M:group(prefix, ...)
    local before = {}
    for _, f in ipairs(self._before) do
        before[#before + 1] = f
    end
    for _, f in ipairs { ... } do
        before[#before + 1] = f
    end
    return setmetatable({
        _top = self._top or self, _prefix = self._prefix .. prefix, _before = before,
    }, mt)
end

-- ------------------------------------------------------------- looking

-- Of the search that runs: values of parameters, the best route and its values, what else there is.
local values = {}
local wanted, best, best_values, allowed
local all -- not only the first

local function route_of(routes)
    return routes[wanted] or wanted == "HEAD" and routes.GET or routes["*"]
end

-- A node that the path leads to. True: the search is over.
local function arrive(node, count)
    local route = route_of(node.routes)
    if not route then
        for method in pairs(node.routes) do
            allowed = allowed or {}
            allowed[method] = true
        end
        return false
    end
    if not best or route.priority > best.priority then
        best = route
        for i = 1, count do
            best_values[i] = values[i]
        end
    end
    return not all
end

-- What an edge makes of a segment: the value, or nil.
local function value_of(edge, segment)
    local prefix, suffix = #edge.prefix, #edge.suffix
    if #segment <= prefix + suffix
        or prefix > 0 and sub(segment, 1, prefix) ~= edge.prefix
        or suffix > 0 and sub(segment, -suffix) ~= edge.suffix then
        return nil
    end
    local value = decode(sub(segment, prefix + 1, #segment - suffix))
    if edge.expression and not re_find(value, edge.expression, "jo") then
        return nil
    end
    return value
end

-- Goes on from a node with the path from `pos` on (behind a slash); #path + 2: there is no more.
local function walk(node, path, pos, count)
    if pos > #path + 1 then
        return arrive(node, count)
    end
    local slash = find(path, "/", pos, true) or #path + 1
    local segment = sub(path, pos, slash - 1)
    local next = node.static[segment]
    if next and walk(next, path, slash + 1, count) then
        return true
    end
    for _, edge in ipairs(node.edges) do
        local value = value_of(edge, segment)
        if value then
            values[count + 1] = value
            if walk(edge.node, path, slash + 1, count + 1) then
                return true
            end
        end
    end
    if node.tail then
        values[count + 1] = decode(sub(path, pos))
        return arrive(node.tail, count + 1)
    end
    return false
end

local function methods_of(set)
    if set.GET then
        set.HEAD = true
    end
    local list = {}
    for method in pairs(set) do
        list[#list + 1] = method
    end
    sort(list)
    return concat(list, ", ")
end

local function params_of(route, given)
    local params = {}
    for i, name in ipairs(route.names) do
        params[name] = given[i]
    end
    return params
end

--- Looks a path up.
---@param method string
---@param path string as it came, without arguments; it begins with "/"
---@return function|any handler nil when there is none
---@return table|string params by name; without a handler "not found" or "method not allowed"
---@return string? allowed with "method not allowed": "GET, HEAD"
function _M:match(method, path)
    if self._ignore_slash and #path > 1 and byte(path, -1) == 47 then
        path = sub(path, 1, -2)
    end
    local node = self._paths[path]
    wanted = method
    if node and not self._prioritized then
        local route = route_of(node.routes)
        if route then
            return route.handler, {}
        end
    end
    best, allowed, all = nil, nil, self._prioritized
    best_values = {}
    walk(self._root, path, 2, 0)
    if best then
        return best.handler, params_of(best, best_values)
    end
    if allowed then
        return nil, "method not allowed", methods_of(allowed)
    end
    return nil, "not found"
end

-- ------------------------------------------------------------- answering

-- The path as it came, so that %2F is no slash; but as the server has it where that is not the same: when
-- it was rewritten, or had "..", "." or "//" in it.
local function path_of_request()
    local uri = ngx.var.uri
    local path = match(ngx.var.request_uri, "^[^?#]*")
    if decode(path) == uri then
        return path
    end
    return (gsub(uri, "%%", "%%25"))
end

--- Answers the current request: calls what match() finds with the parameters and `...`.
---@param ... any
---@return any what the function returned
function _M:dispatch(...)
    local method = ngx.req.get_method()
    local handler, params, methods = self:match(method, path_of_request())
    if handler then
        return handler(params, ...)
    end
    if not methods then
        return ngx.exit(404)
    end
    ngx.header.Allow = methods
    return ngx.exit(method == "OPTIONS" and 204 or 405)
end

return _M
