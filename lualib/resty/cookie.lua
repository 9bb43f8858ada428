--- resty.cookie: the cookies of a request and of its response (RFC 6265).
--
--     local cookie, err = require("resty.cookie"):new()
--     local lang, err = cookie:get("lang")
--     local all, err = cookie:get_all()                      -- {name = value, …}
--     local ok, err = cookie:set {
--         key = "id", value = "42", path = "/", max_age = 3600,
--         secure = true, httponly = true, samesite = "Lax",
--     }
--
-- Errors are nil and "no cookie found in the current request", 'no cookie named "…"', "missing key
-- or value" or "bad cookie …": what would break out of the field is refused.
-- Of a name that comes twice, the first value counts, as with $cookie_name.

local concat = table.concat
local find = string.find
local gmatch = string.gmatch
local ipairs = ipairs
local match = string.match
local ngx = ngx
local setmetatable = setmetatable
local sub = string.sub
local tostring = tostring
local type = type

local _M = { _VERSION = "0.4.1" }

---@class resty.cookie
local mt = { __index = _M }

---@class resty.cookie.cookie
---@field key string
---@field value string
---@field expires? string a date
---@field max_age? integer seconds
---@field domain? string
---@field path? string
---@field secure? boolean
---@field httponly? boolean
---@field samesite? "Strict"|"Lax"|"None"
---@field extension? string

--- Takes the Cookie field of the request. A request without cookies has an object, too.
---@return resty.cookie? cookie
---@return string? err
function _M.new(_)
    local text = ngx.var.http_cookie
    return setmetatable({ _cookie = text }, mt)
end

local function unquote(value)
    if #value >= 2 and sub(value, 1, 1) == '"' and sub(value, -1) == '"' then
        return sub(value, 2, -2)
    end
    return value
end

-- A pair from `at` on, without the white space at its end. A pattern for that would try each of its places.
local function without_end(pair, at)
    local last = #pair
    while last >= at and find(pair, "^%s", last) do
        last = last - 1
    end
    return sub(pair, at, last)
end

local function parse(text)
    local cookies = {}
    for pair in gmatch(text, "[^;]+") do
        local name, at = match(pair, "^%s*([^=%s]+)%s*=%s*()")
        if name and cookies[name] == nil then
            cookies[name] = unquote(without_end(pair, at))
        end
    end
    return cookies
end

--- All cookies of the request by name.
---@return table<string, string>? cookies
---@return string? err
function _M.get_all(self)
    if not self._cookie then
        return nil, "no cookie found in the current request"
    end
    if not self.cookie_table then
        self.cookie_table = parse(self._cookie)
    end
    return self.cookie_table
end

--- One cookie of the request.
---@param name string
---@return string? value
---@return string? err
function _M.get(self, name)
    local cookies, err = self:get_all()
    if not cookies then
        return nil, err
    end
    local value = cookies[name]
    if value == nil then
        return nil, 'no cookie named "' .. tostring(name) .. '"'
    end
    return value
end

-- The attributes in the order in which they are written.
local ATTRIBUTES = {
    { "expires", "Expires" },
    { "max_age", "Max-Age" },
    { "domain", "Domain" },
    { "path", "Path" },
    { "secure", "Secure", true },
    { "httponly", "HttpOnly", true },
    { "samesite", "SameSite" },
}

local SAMESITE = { Strict = true, Lax = true, None = true }

-- Returns the Set-Cookie value, or nil and an error.
local function bake(cookie)
    local key, value = cookie.key, cookie.value
    if not key or value == nil then
        return nil, "missing key or value"
    end
    key, value = tostring(key), tostring(value)
    if key == "" or find(key, '[%c%s=;,"]') then
        return nil, "bad cookie key"
    elseif find(value, "[%c;]") then
        return nil, "bad cookie value"
    elseif cookie.samesite and not SAMESITE[cookie.samesite] then
        return nil, "bad cookie samesite"
    end
    local parts = { key .. "=" .. value }
    for _, attribute in ipairs(ATTRIBUTES) do
        local field, name, is_flag = attribute[1], attribute[2], attribute[3]
        local given = cookie[field]
        if given then
            if find(tostring(given), "[%c;]") then
                return nil, "bad cookie " .. field
            end
            parts[#parts + 1] = is_flag and name or name .. "=" .. tostring(given)
        end
    end
    if cookie.extension then
        if find(cookie.extension, "%c") then
            return nil, "bad cookie extension"
        end
        parts[#parts + 1] = cookie.extension
    end
    return concat(parts, "; ")
end

local function as_list(value)
    if type(value) == "table" then
        local copy = {}
        for i, each in ipairs(value) do
            copy[i] = each
        end
        return copy
    end
    return { value }
end

--- Adds a Set-Cookie field to the response, unless it has the very same one.
---@param cookie resty.cookie.cookie
---@return boolean? ok
---@return string? err
function _M.set(_, cookie)
    local text, err = bake(cookie)
    if not text then
        return nil, err
    end
    local list = as_list(ngx.header["Set-Cookie"])
    for _, known in ipairs(list) do
        if known == text then
            return true
        end
    end
    list[#list + 1] = text
    ngx.header["Set-Cookie"] = list
    return true
end

--- The text of a cookie, as Set-Cookie has it.
---@param cookie resty.cookie.cookie
---@return string? text
---@return string? err
function _M.get_cookie_string(cookie)
    return bake(cookie)
end

return _M
