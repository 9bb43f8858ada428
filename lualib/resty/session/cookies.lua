-- The cookies of resty.session: read from the request, written to the response.
--
-- What does not fit into one cookie goes on in others, `session2`, `session3` and so on: browsers keep
-- 4096 bytes of name and value. Of the request's that are not needed any more, the browser is told.

local concat = table.concat
local gmatch = string.gmatch
local ipairs = ipairs
local match = string.match
local min = math.min
local ngx = ngx
local sub = string.sub
local type = type

local MAX_COOKIE = 4096
local MAX_CHUNKS = 9

local _M = {}

-- The request's cookies; of a name that comes twice, the first.
function _M.of_request()
    local cookies = {}
    local text = ngx.var.http_cookie
    if text then
        -- Anchored, so that a text without "=" is not tried from each of its bytes.
        for pair in gmatch(text, "[^;]+") do
            local name, at = match(pair, "^%s*([^=%s]+)%s*=%s*()")
            if name and cookies[name] == nil then
                cookies[name] = match(pair, "^%S*", at)
            end
        end
    end
    return cookies
end

local function chunk_name(name, i)
    return i == 1 and name or name .. i
end

-- The value that is spread over the cookies of a name, so far as it has `size` bytes.
function _M.join(cookies, name, size)
    local value = cookies[name]
    if not value or #value >= size then
        return value
    end
    local parts, have = { value }, #value
    for i = 2, MAX_CHUNKS do
        local part = cookies[name .. i]
        if not part or have >= size then
            break
        end
        parts[i], have = part, have + #part
    end
    return concat(parts)
end

-- A new list for Set-Cookie without those of a name.
local function others(name)
    local field, list = ngx.header["Set-Cookie"], {}
    for _, text in ipairs(type(field) == "table" and field or { field }) do
        if sub(text, 1, #name + 1) ~= name .. "=" then
            list[#list + 1] = text
        end
    end
    return list
end

local function send(name, text)
    local list = others(name)
    list[#list + 1] = name .. "=" .. text
    ngx.header["Set-Cookie"] = list
end

local function attributes(config)
    local secure = config.cookie_secure
    if config.cookie_prefix or secure == nil and ngx.var.scheme == "https" then
        secure = true
    end
    return config.attributes .. (secure and "; Secure" or "")
end

local function lifetime(seconds)
    if not seconds then
        return ""
    end
    return "; Expires=" .. ngx.cookie_time(ngx.time() + seconds) .. "; Max-Age=" .. seconds
end

-- How many cookies a value takes; nil: too many.
function _M.chunks(name, size)
    local room = MAX_COOKIE - #name - 2
    local count = 1 + (size > room and math.ceil((size - room) / room) or 0)
    return count <= MAX_CHUNKS and count or nil
end

-- Sends only the first cookie again.
function _M.send_first(config, name, value, seconds)
    local room = MAX_COOKIE - #name - 2
    send(name, sub(value, 1, min(#value, room)) .. attributes(config) .. lifetime(seconds))
end

-- Makes the browser forget the cookies of a name, from a number on.
function _M.clear(config, cookies, name, from)
    for i = from or 1, MAX_CHUNKS do
        local each = chunk_name(name, i)
        if cookies[each] then
            send(each, attributes(config) .. "; Expires=Thu, 01 Jan 1970 00:00:01 GMT; Max-Age=0")
            cookies[each] = nil
        end
    end
end

-- Sends a value in as many cookies as it takes; `seconds`: how long the browser keeps it, else until it ends.
function _M.send(config, cookies, name, value, seconds)
    local room = MAX_COOKIE - #name - 2
    local tail = attributes(config) .. lifetime(seconds)
    local i = 0
    for at = 1, #value, room do
        i = i + 1
        local each, part = chunk_name(name, i), sub(value, at, at + room - 1)
        send(each, part .. tail)
        cookies[each] = part
    end
    _M.clear(config, cookies, name, i + 1)
end

-- Takes the cookies of some names out of the request.
function _M.hide(names)
    local text = ngx.var.http_cookie
    if not text then
        return
    end
    local rest = {}
    for pair in gmatch(text, "[^;]+") do
        local name = match(pair, "^%s*([^=%s]*)")
        local base = match(name, "^(.-)[2-9]$")
        if not names[name] and not names[base] then
            rest[#rest + 1] = match(pair, "^%s*(.*)$")
        end
    end
    if rest[1] then
        ngx.req.set_header("Cookie", concat(rest, "; "))
    else
        ngx.req.clear_header("Cookie")
    end
end

return _M
