-- URI references (RFC 3986, section 5) and JSON Pointers (RFC 6901), for resty.validate.

local concat = table.concat
local find = string.find
local gmatch = string.gmatch
local gsub = string.gsub
local match = string.match
local sub = string.sub
local tonumber = tonumber

local _M = {}

-- { scheme, authority, path, query, fragment }; what is not there is nil, but the path.
local function parse(text)
    local uri = {}
    local rest, fragment = match(text, "^([^#]*)#(.*)$")
    uri.fragment, text = fragment, rest or text
    local front, query = match(text, "^([^?]*)%?(.*)$")
    uri.query, text = query, front or text
    local scheme, tail = match(text, "^(%a[%w+.-]*):(.*)$")
    uri.scheme, text = scheme, tail or text
    local authority, path = match(text, "^//([^/]*)(.*)$")
    uri.authority, uri.path = authority, path or text
    return uri
end

local function without_dots(path)
    local out = {}
    for segment in gmatch(path, "/?[^/]*") do
        local name = gsub(segment, "^/", "")
        if name == ".." then
            out[#out] = nil
        end
        if name ~= "." and name ~= ".." and segment ~= "" then
            out[#out + 1] = segment
        elseif (name == "." or name == "..") and #segment > #name then
            out.ends = true
        end
    end
    local text = concat(out)
    if find(path, "/%.%.?$") then
        text = text .. "/"
    end
    return text
end

local function merge(base, path)
    if base.authority and base.path == "" then
        return "/" .. path
    end
    return (match(base.path, "^(.*/)") or "") .. path
end

local function compose(uri)
    return (uri.scheme and uri.scheme .. ":" or "") .. (uri.authority and "//" .. uri.authority or "") .. uri.path
        .. (uri.query and "?" .. uri.query or "")
end

-- The absolute URI of a reference, without its fragment, and the fragment.
function _M.resolve(base_text, text)
    local to = parse(text)
    if to.scheme then
        to.path = to.authority and without_dots(to.path) or to.path
        return compose(to), to.fragment
    end
    local base = parse(base_text)
    to.scheme = base.scheme
    if not to.authority then
        to.authority = base.authority
        if to.path == "" then
            to.path = base.path
            to.query = to.query or base.query
        elseif sub(to.path, 1, 1) == "/" then
            to.path = without_dots(to.path)
        else
            to.path = without_dots(merge(base, to.path))
        end
    end
    return compose(to), to.fragment
end

-- Undoes percent coding.
function _M.decode(text)
    return (gsub(text, "%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

-- A segment of a JSON Pointer.
function _M.escape(segment)
    return (gsub(gsub(segment, "~", "~0"), "/", "~1"))
end

function _M.unescape(segment)
    return (gsub(gsub(segment, "~1", "/"), "~0", "~"))
end

return _M
