--- Where a redirect leads, for resty.http (RFC 9110, 15.4; RFC 3986, 5.2).

local concat = table.concat
local find = string.find
local gmatch = string.gmatch
local lower = string.lower
local match = string.match
local pairs = pairs
local sub = string.sub
local type = type
local upper = string.upper

local STATUSES = { [301] = true, [302] = true, [303] = true, [307] = true, [308] = true }

-- What another server has no business to know.
local SECRETS = {
    authorization = true, cookie = true, host = true, ["proxy-authorization"] = true, origin = true,
}
-- What describes a body that is not sent any more.
local OF_BODY = {
    ["content-type"] = true, ["content-length"] = true, ["content-encoding"] = true,
    ["transfer-encoding"] = true, expect = true,
}
-- What the new URI says.
local OF_URI = { scheme = true, host = true, port = true, path = true, query = true }

local _M = {}

local function without_dots(path)
    local out = {}
    for segment in gmatch(sub(path, 2) .. "/", "([^/]*)/") do
        if segment == ".." then
            out[#out] = nil
        elseif segment ~= "." then
            out[#out + 1] = segment
        end
    end
    if find(path, "/%.%.?$") then
        out[#out + 1] = ""
    end
    return "/" .. concat(out, "/")
end

-- The absolute form of a reference. `base`: {scheme, authority, path}.
local function resolve(base, reference)
    reference = match(reference, "^[^#]*")
    if find(reference, "^%a[%w+.-]*:") then
        return reference
    end
    if sub(reference, 1, 2) == "//" then
        return base.scheme .. ":" .. reference
    end
    local origin = base.scheme .. "://" .. base.authority
    if reference == "" or sub(reference, 1, 1) == "?" then
        return origin .. base.path .. reference
    end
    local path, query = match(reference, "^([^?]*)(.*)$")
    if sub(path, 1, 1) ~= "/" then
        path = (match(base.path, "^(.*/)") or "/") .. path
    end
    return origin .. without_dots(path) .. query
end

local function filtered(headers, unwanted)
    local kept = {}
    for name, value in pairs(headers or {}) do
        if not unwanted[lower(name)] then
            kept[name] = value
        end
    end
    return kept
end

-- The next request of a chain. `all`: the parameters of the one that was answered by `res`. Nil: the
-- answer is no redirect that can be followed; nil and a message: it leads where nobody should go.
function _M.follow(all, res)
    local location = res.headers["Location"]
    if not STATUSES[res.status] or type(location) ~= "string" then
        return nil
    end
    local method = upper(all.method or "GET")
    local drops_body = res.status == 303 and method ~= "HEAD"
        or method == "POST" and (res.status == 301 or res.status == 302)
    if type(all.body) == "function" and not drops_body then
        return nil
    end
    local port = all.port and ":" .. all.port or ""
    local base = { scheme = all.scheme, authority = all.host .. port, path = all.path }
    local uri = resolve(base, location)
    local scheme, authority = match(uri, "^(https?)://([^/?]+)")
    if not scheme then
        return nil, "redirect to what is no http URI"
    elseif all.scheme == "https" and scheme == "http" then
        return nil, "redirect from https to http"
    end

    local next = {}
    for name, value in pairs(all) do
        if not OF_URI[name] then
            next[name] = value
        end
    end
    if drops_body then
        next.method, next.body = "GET", nil
        next.headers = filtered(next.headers, OF_BODY)
    end
    local default = scheme == "https" and ":443" or ":80"
    local function full(name)
        return lower(find(name, ":%d+$") and name or name .. default)
    end
    if scheme ~= all.scheme or full(authority) ~= full(base.authority) then
        next.headers = filtered(next.headers, SECRETS)
        next.ssl_server_name, next.pool, next.ssl_reused_session = nil, nil, nil
        next.ssl_client_cert, next.ssl_client_priv_key = nil, nil
    end
    return uri, next
end

return _M
