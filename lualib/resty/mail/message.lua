--- resty.mail.message: an e-mail as bytes, from its parts.
--
--     local message = require "resty.mail.message"
--     local msg = assert(message.new({ from = "a@example.com", to = { "b@example.com" }, text = "Hello" }))
--     msg:get_body_string()                -- header fields and body, lines ending with CR LF
--     msg:get_from_address()               -- "a@example.com"
--     msg:get_recipient_addresses()        -- { "b@example.com" }: of to, cc and bcc
--
-- Texts are UTF-8. Header fields that are not plain ASCII become encoded words (RFC 2047), bodies are
-- base64. `text` and `html` together are a multipart/alternative, with inline attachments in a
-- multipart/related; attachments make it a multipart/mixed. Bcc is not written.
--
-- What would break a header field (a line break or a zero byte in a name, value or address) is
-- refused: nil and "invalid …".

local random = require "resty.random"

local byte, find, format = string.byte, string.find, string.format
local gsub, lower, match, rep, sub = string.gsub, string.lower, string.match, string.rep, string.sub
local concat, sort = table.concat, table.sort
local encode_base64, time = ngx.encode_base64, ngx.time
local date, ipairs, pairs, setmetatable = os.date, ipairs, pairs, setmetatable
local tostring, type, unpack = tostring, type, unpack

local CRLF = "\r\n"
local WORD_BYTES = 39 -- of UTF-8 in an encoded word: a line of 76 with it has room for a name
local PLAIN_MAX = 900 -- of a line that stays as it is; 998 are allowed
local LINE_OF_BASE64 = rep(".", 76)
local DAYS = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" }
local MONTHS = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" }

local _M = {}
local mt = { __index = _M }

-- ------------------------------------------------------------ header fields

local function token()
    local bytes = random.bytes(16)
    return (gsub(bytes, ".", function(c)
        return format("%02x", byte(c))
    end))
end

local function is_plain(text)
    return not find(text, "[^\32-\126]") and #text <= PLAIN_MAX and not find(text, "=?", 1, true)
end

-- Encoded words, never splitting a character.
local function encode_words(text)
    local words, from = {}, 1
    while from <= #text do
        local to = from + WORD_BYTES - 1
        if to < #text then
            local at = to + 1
            while at > from + WORD_BYTES - 4 and byte(text, at) >= 0x80 and byte(text, at) < 0xc0 do
                at = at - 1
            end
            to = at - 1
        end
        words[#words + 1] = "=?utf-8?B?" .. encode_base64(sub(text, from, to)) .. "?="
        from = to + 1
    end
    return concat(words, CRLF .. " ")
end

local function encode_text(text)
    return is_plain(text) and text or encode_words(text)
end

local function is_unsafe(text)
    return find(text, "[%z\r\n]") ~= nil
end

-- ------------------------------------------------------------ addresses

-- A line of a message has no more bytes (RFC 5322, 2.1.1).
local MAX_ADDRESS = 998

-- "Name <address>" or "address": the address, and the name or nil.
local function parse_address(text)
    if type(text) ~= "string" or #text > MAX_ADDRESS or is_unsafe(text) then
        return nil
    end
    local name, address = match(text, "^%s*(.-)%s*<%s*([^<>]*)%s*>%s*$")
    if not address then
        name, address = nil, match(text, "^%s*(.-)%s*$")
    end
    if address == "" or #address > 320 or find(address, "[%c%s<>,;]") then
        return nil
    end
    if name then
        name = gsub(match(name, '^"(.*)"$') or name, "\\(.)", "%1")
    end
    return address, name ~= "" and name or nil
end

local function format_address(address, name)
    if not name then
        return address
    elseif not is_plain(name) then
        return encode_words(name) .. " <" .. address .. ">"
    elseif find(name, "[^%w%s!#$%%&'*+/=?^_`{|}~-]") then
        name = '"' .. gsub(name, '[\\"]', "\\%0") .. '"'
    end
    return name .. " <" .. address .. ">"
end

-- The addresses of a field as a list of { address, text }; nil and the one that is none.
local function parse_list(list)
    local parsed = {}
    for _, text in ipairs(type(list) == "table" and list or { list }) do
        local address, name = parse_address(text)
        if not address then
            return nil, type(text) == "string" and gsub(text, "%c", "?") or type(text)
        end
        parsed[#parsed + 1] = { address, format_address(address, name) }
    end
    return parsed
end

local function join(list)
    local texts = {}
    for i, each in ipairs(list) do
        texts[i] = each[2]
    end
    return concat(texts, "," .. CRLF .. " ")
end

-- ------------------------------------------------------------ parts

local function base64_lines(data)
    local text = gsub(encode_base64(data), LINE_OF_BASE64, "%0" .. CRLF)
    return sub(text, -2) == CRLF and sub(text, 1, -3) or text
end

local function text_part(kind, text)
    local canonical = gsub(gsub(text, "\r\n", "\n"), "\n", CRLF)
    return "Content-Type: text/" .. kind .. "; charset=utf-8" .. CRLF .. "Content-Transfer-Encoding: base64" .. CRLF
        .. CRLF .. base64_lines(canonical)
end

local function multipart(kind, parts)
    local boundary = token()
    local out = { "Content-Type: multipart/" .. kind .. '; boundary="' .. boundary .. '"' .. CRLF .. CRLF }
    for _, part in ipairs(parts) do
        out[#out + 1] = "--" .. boundary .. CRLF .. part .. CRLF
    end
    out[#out + 1] = "--" .. boundary .. "--"
    return concat(out)
end

-- RFC 2231 for those who know it, encoded words for the others.
local function filename_of(name)
    if is_plain(name) then
        return '; filename="' .. gsub(name, '[\\"]', "\\%0") .. '"'
    end
    local escaped = gsub(name, "[^%w.-]", function(c)
        return format("%%%02X", byte(c))
    end)
    return "; filename=\"" .. encode_words(sub(name, 1, 180)) .. '";' .. CRLF .. " filename*=utf-8''" .. escaped
end

local function attachment_part(a, domain)
    local id = a.content_id or (token() .. "@" .. domain)
    return "Content-Type: " .. (a.content_type or "application/octet-stream") .. CRLF
        .. "Content-Transfer-Encoding: base64" .. CRLF .. "Content-Disposition: " .. (a.disposition or "attachment")
        .. (a.filename and filename_of(a.filename) or "") .. CRLF .. "Content-ID: <" .. id .. ">" .. CRLF .. CRLF
        .. base64_lines(a.content)
end

-- nil, or what is wrong.
local function check_attachment(a)
    if type(a) ~= "table" or type(a.content) ~= "string" then
        return "attachment without content"
    end
    for _, name in ipairs({ "filename", "content_type", "disposition", "content_id" }) do
        local value = a[name]
        if value ~= nil and (type(value) ~= "string" or is_unsafe(value)) then
            return "invalid " .. name .. " of an attachment"
        end
    end
    if a.content_type and find(a.content_type, "[^\32-\126]") then
        return "invalid content_type of an attachment"
    elseif a.disposition and a.disposition ~= "attachment" and a.disposition ~= "inline" then
        return "invalid disposition of an attachment"
    elseif a.content_id and find(a.content_id, "[^\33-\126]") or a.content_id and find(a.content_id, "[<>]") then
        return "invalid content_id of an attachment"
    end
end

local function content_of(data, domain)
    local inline, attached = {}, {}
    for _, a in ipairs(data.attachments or {}) do
        local to = data.html and a.disposition == "inline" and inline or attached
        to[#to + 1] = attachment_part(a, domain)
    end
    local html = data.html and text_part("html", data.html)
    if html and #inline > 0 then
        html = multipart("related", { html, unpack(inline) })
    end
    local content
    if data.text and html then
        content = multipart("alternative", { text_part("plain", data.text), html })
    else
        content = html or (data.text or #attached == 0) and text_part("plain", data.text or "")
    end
    if #attached > 0 then
        content = multipart("mixed", content and { content, unpack(attached) } or attached)
    end
    return content
end

-- ------------------------------------------------------------ the message

-- In English whatever the locale.
local function date_of(now)
    local d = date("!*t", now)
    return format("%s, %02d %s %d %02d:%02d:%02d +0000", DAYS[d.wday], d.day, MONTHS[d.month], d.year, d.hour, d.min, d.sec)
end

-- Fields that are the message's own business.
local RESERVED = { ["content-type"] = true, ["content-transfer-encoding"] = true, ["mime-version"] = true, bcc = true }

local function check_headers(headers)
    for name, value in pairs(headers or {}) do
        if type(name) ~= "string" or not find(name, "^[!-9;-~]+$") or RESERVED[lower(name)] then
            return "invalid header name"
        elseif type(value) == "table" or is_unsafe(tostring(value)) then
            return "invalid value of header " .. name
        end
    end
end

local function check(data)
    if data.subject ~= nil and (type(data.subject) ~= "string" or is_unsafe(data.subject)) then
        return "invalid subject"
    end
    for _, name in ipairs({ "text", "html" }) do
        if data[name] ~= nil and type(data[name]) ~= "string" then
            return "invalid " .. name
        end
    end
    for _, a in ipairs(data.attachments or {}) do
        local err = check_attachment(a)
        if err then
            return err
        end
    end
    return check_headers(data.headers)
end

--- Takes a message's parts, as `resty.mail` has them.
---@param data table? from, reply_to, to, cc, bcc, subject, text, html, headers, attachments
---@param domain string? for the Message-ID, when `from` has none
---@return table? message
---@return string? err "invalid …"
function _M.new(data, domain)
    data = data or {}
    local err = check(data)
    if err then
        return nil, err
    end
    local self = { data = data, domain = domain or "localhost.localdomain", lists = {} }
    for _, name in ipairs({ "from", "reply_to", "to", "cc", "bcc" }) do
        if data[name] ~= nil then
            local list, bad = parse_list(data[name])
            if not list then
                return nil, "invalid address in " .. name .. ": " .. bad
            end
            self.lists[name] = #list > 0 and list or nil
        end
    end
    return setmetatable(self, mt)
end

---@return string? address the sender's
function _M:get_from_address()
    local from = self.lists.from
    return from and from[1][1]
end

---@return table addresses those of to, cc and bcc, each once
function _M:get_recipient_addresses()
    local addresses, seen = {}, {}
    for _, name in ipairs({ "to", "cc", "bcc" }) do
        for _, each in ipairs(self.lists[name] or {}) do
            if not seen[each[1]] then
                seen[each[1]] = true
                addresses[#addresses + 1] = each[1]
            end
        end
    end
    return addresses
end

local function add_own(self, add)
    local lists, data = self.lists, self.data
    local host = match(self:get_from_address() or "", "@([%w.-]+)$")
    add("From", lists.from and join(lists.from))
    add("Reply-To", lists.reply_to and join(lists.reply_to))
    add("To", lists.to and join(lists.to))
    add("Cc", lists.cc and join(lists.cc))
    add("Subject", data.subject and encode_text(data.subject))
    add("Date", date_of(time()))
    add("Message-ID", "<" .. token() .. "@" .. (host and host .. ".mail" or self.domain) .. ">")
end

--- Header fields and body.
---@return string bytes
function _M:get_body_string()
    local data, out, given = self.data, {}, {}
    local names = {}
    for name in pairs(data.headers or {}) do
        given[lower(name)] = true
        names[#names + 1] = name
    end
    sort(names)
    add_own(self, function(name, value)
        if value and not given[lower(name)] then
            out[#out + 1] = name .. ": " .. value .. CRLF
        end
    end)
    for _, name in ipairs(names) do
        out[#out + 1] = name .. ": " .. encode_text(tostring(data.headers[name])) .. CRLF
    end
    out[#out + 1] = "MIME-Version: 1.0" .. CRLF
    out[#out + 1] = content_of(data, self.domain) .. CRLF
    return concat(out)
end

return _M
