-- The formats of JSON Schema, for resty.validate: each a function of a string that tells whether it is one.

local idn = require "resty.validate.idn"
local regex = require "resty.validate.regex"

local byte = string.byte
local find = string.find
local gmatch = string.gmatch
local gsub = string.gsub
local is_hostname = idn.is_hostname
local is_idn_hostname = idn.is_idn_hostname
local match = string.match
local re_find = ngx.re.find
local sub = string.sub
local tonumber = tonumber

local _M = {}

-- ------------------------------------------------------------- times (RFC 3339)

local DAYS = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 }

local function is_date(text)
    local year, month, day = match(text, "^(%d%d%d%d)-(%d%d)-(%d%d)$")
    if not year then
        return false
    end
    year, month, day = tonumber(year), tonumber(month), tonumber(day)
    local days = DAYS[month]
    if month == 2 and year % 4 == 0 and (year % 100 ~= 0 or year % 400 == 0) then
        days = 29
    end
    return days ~= nil and day >= 1 and day <= days
end

local function is_time(text)
    local hour, minute, second, rest = match(text, "^(%d%d):(%d%d):(%d%d)(.*)$")
    if not hour then
        return false
    end
    hour, minute, second = tonumber(hour), tonumber(minute), tonumber(second)
    rest = gsub(rest, "^%.%d+", "")
    local offset = 0
    if rest ~= "Z" and rest ~= "z" then
        local sign, hours, minutes = match(rest, "^([+-])(%d%d):(%d%d)$")
        if not sign or tonumber(hours) > 23 or tonumber(minutes) > 59 then
            return false
        end
        offset = (tonumber(hours) * 60 + tonumber(minutes)) * (sign == "-" and -1 or 1)
    end
    if hour > 23 or minute > 59 or second > 60 then
        return false
    end
    -- A leap second is the last of a day in UTC.
    return second < 60 or (hour * 60 + minute - offset) % 1440 == 1439
end

_M["date"] = is_date
_M["time"] = is_time
_M["date-time"] = function(text)
    return (find(text, "^..........[Tt]")) ~= nil and is_date(sub(text, 1, 10)) and is_time(sub(text, 12))
end

_M["duration"] = function(text)
    return re_find(text, [[\AP(?:\d+W|(?=[\dT])(?:\d+Y(?:\d+M(?:\d+D)?)?|\d+M(?:\d+D)?|\d+D)?]]
                         .. [[(?:T(?:\d+H(?:\d+M(?:\d+S)?)?|\d+M(?:\d+S)?|\d+S))?)\z]], "jo") ~= nil
end

-- ------------------------------------------------------------- addresses

local function is_ipv4(text)
    local count = 0
    for part in gmatch(text .. ".", "([^.]*)%.") do
        count = count + 1
        if count > 4 or not find(part, "^%d%d?%d?$") or #part > 1 and byte(part) == 48
            or tonumber(part) > 255 then
            return false
        end
    end
    return count == 4
end

-- The number of 16-bit groups in a part of an IPv6 address; nil: it is none.
local function groups(text, may_end_with_ipv4)
    if text == "" then
        return 0
    end
    local count = 0
    for part, at in gmatch(text .. ":", "([^:]*):()") do
        if find(part, "^%x%x?%x?%x?$") then
            count = count + 1
        elseif may_end_with_ipv4 and at == #text + 2 and is_ipv4(part) then
            count = count + 2
        else
            return nil
        end
    end
    return count
end

local function is_ipv6(text)
    local front, back = match(text, "^(.-)::(.*)$")
    if not front then
        return groups(text, true) == 8
    end
    local a, b = groups(front, false), groups(back, true)
    return a ~= nil and b ~= nil and a + b <= 7
end

_M["ipv4"] = is_ipv4
_M["ipv6"] = is_ipv6

_M["hostname"] = is_hostname
_M["idn-hostname"] = is_idn_hostname

-- RFC 5321, 4.1.2.
local function is_mailbox(text, atom, host)
    local name, domain = match(text, "^(.*)@([^@]*)$")
    if not name then
        return false
    end
    local is_quoted = find(name, '^".*"$') and #name > 1
    if is_quoted then
        if not re_find(name, [[\A"(?:[^"\\\x00-\x1f\x7f]|\\[\x20-\x7e])*"\z]], "jo") then
            return false
        end
    elseif not re_find(name, [[\A]] .. atom .. [[+(?:\.]] .. atom .. [[+)*\z]], "jou") then
        return false
    end
    local literal = match(domain, "^%[(.*)%]$")
    if literal then
        local address = match(literal, "^[Ii][Pp][Vv]6:(.*)$")
        if address then
            return is_ipv6(address)
        end
        return is_ipv4(literal)
    end
    return host(domain)
end

_M["email"] = function(text)
    return is_mailbox(text, [=[[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]]=], is_hostname)
end

_M["idn-email"] = function(text)
    return is_mailbox(text, [=[[a-zA-Z0-9!#$%&'*+/=?^_`{|}~\x{80}-\x{10ffff}-]]=], is_idn_hostname)
end

-- ------------------------------------------------------------- URIs (RFC 3986, 3987)

local function uri_pattern(more)
    local unreserved = "a-zA-Z0-9._~\\-" .. more
    local delims = "!$&'()*+,;="
    local pchar = "(?:[" .. unreserved .. delims .. ":@]|%[0-9a-fA-F]{2})"
    local authority = "(?:(?:[" .. unreserved .. delims .. ":]|%[0-9a-fA-F]{2})*@)?"
        .. "(?:\\[(?:(?<six>[0-9a-fA-F:.]+)|[vV][0-9a-fA-F]+\\.[" .. unreserved .. delims .. ":]+)\\]"
        .. "|(?:[" .. unreserved .. delims .. "]|%[0-9a-fA-F]{2})*)(?::[0-9]*)?"
    local tail = "(?:\\?(?:" .. pchar .. "|[/?" .. (more ~= "" and "\\x{e000}-\\x{f8ff}\\x{f0000}-\\x{ffffd}\\x{100000}-\\x{10fffd}" or "") .. "])*)?(?:#(?:" .. pchar .. "|[/?])*)?\\z"
    local abempty = "(?:/" .. pchar .. "*)*"
    local absolute = "\\A[a-zA-Z][a-zA-Z0-9+.\\-]*:(?://" .. authority .. abempty
        .. "|/(?:" .. pchar .. "+" .. abempty .. ")?|" .. pchar .. "+" .. abempty .. "|)" .. tail
    local relative = "\\A(?://" .. authority .. abempty .. "|/(?:" .. pchar .. "+" .. abempty .. ")?"
        .. "|" .. pchar .. "+" .. abempty .. "|)" .. tail
    return absolute, relative
end

local OTHER = "\\x{a0}-\\x{d7ff}\\x{f900}-\\x{fdcf}\\x{fdf0}-\\x{ffef}\\x{10000}-\\x{efffd}"
local URI, RELATIVE = uri_pattern("")
local IRI, IRI_RELATIVE = uri_pattern(OTHER)

local function matches_uri(text, pattern, options)
    local found = ngx.re.match(text, pattern, options)
    if not found then
        return false
    end
    return not found.six or is_ipv6(found.six)
end

-- A relative reference's first segment has no colon, or it would be a scheme.
local function is_relative(text, pattern, options)
    local first = match(text, "^[^/?#]*")
    return not find(first, ":", 1, true) and matches_uri(text, pattern, options)
end

_M["uri"] = function(text)
    return matches_uri(text, URI, "jo")
end

_M["uri-reference"] = function(text)
    return matches_uri(text, URI, "jo") or is_relative(text, RELATIVE, "jo")
end

_M["iri"] = function(text)
    return matches_uri(text, IRI, "jou")
end

_M["iri-reference"] = function(text)
    return matches_uri(text, IRI, "jou") or is_relative(text, IRI_RELATIVE, "jou")
end

_M["uri-template"] = function(text)
    local variable = [[(?:[A-Za-z0-9_]|%[0-9A-Fa-f]{2})(?:\.?(?:[A-Za-z0-9_]|%[0-9A-Fa-f]{2}))*(?::[1-9][0-9]{0,3}|\*)?]]
    return re_find(text, [[\A(?:[^\x00-\x20"%<>\\^`{|}\x7f]|%[0-9A-Fa-f]{2}|\{[+#./;?&=,!@|]?]] .. variable .. "(?:,"
                         .. variable .. [[)*\})*\z]], "jou") ~= nil
end

-- ------------------------------------------------------------- others

_M["uuid"] = function(text)
    return #text == 36 and find(text, "^%x%x%x%x%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x+$") ~= nil
end

local function is_pointer(text)
    return (text == "" or byte(text) == 47) and not find(text, "~[^01]") and not find(text, "~$")
end

_M["json-pointer"] = is_pointer
_M["relative-json-pointer"] = function(text)
    local number, rest = match(text, "^(%d+)(.*)$")
    if not number or #number > 1 and byte(number) == 48 then
        return false
    end
    return rest == "#" or is_pointer(rest)
end

_M["regex"] = function(text)
    return regex.compile(text) ~= nil
end

return _M
