--- resty.mail: sends e-mail through an SMTP server; waits without blocking the worker.
--
--     local mail = require "resty.mail"
--     local mailer = assert(mail.new({
--         host = "smtp.example.com", port = 587, starttls = true, username = "me", password = secret,
--     }))
--     local ok, err = mailer:send({
--         from = "Example <noreply@example.com>",
--         to = { "Zoë <zoe@example.com>" },
--         subject = "Ça marche",
--         text = "In plain words.",
--         html = "<p>In <b>bold</b> ones.</p>",
--         attachments = { { filename = "a.pdf", content_type = "application/pdf", content = bytes } },
--     })
--     if not ok then ngx.log(ngx.ERR, "mail: ", err) end
--
-- Encryption: `ssl = true` from the first byte (port 465); `starttls = true` before anything that
-- matters, or not at all. In both the certificate is verified (lua_ssl_trusted_certificate says by
-- what) unless `ssl_verify` is false. Without either, STARTTLS is used where the server offers it,
-- without verification, unless `ssl_verify` is true: better than nothing, but no protection against
-- who sits in between. So ask for it where there is a password.
--
-- Errors are false and "connect failure: …", "sslhandshake error: …", "SMTP response was not
-- successful: 550 …" with the server's words, "failed to read response: timeout" or "… closed",
-- "invalid SMTP response", "message too large", "no sender", "no recipients", "invalid …" for what
-- would break a header field. Passwords are in none of them. A message is sent to all of its
-- recipients, or to none.

local message = require "resty.mail.message"

local find, gsub, match, sub, upper = string.find, string.gsub, string.match, string.sub, string.upper
local concat = table.concat
local encode_base64, tcp = ngx.encode_base64, ngx.socket.tcp
local ipairs, setmetatable, tonumber, type = ipairs, setmetatable, tonumber, type

-- Of an answer.
local LINE_MAX, LINES_MAX = 4096, 128

local _M = { _VERSION = "1.2.0" }
local mt = { __index = _M }

local function is_one_line(text)
    return type(text) == "string" and text ~= "" and not find(text, "[%z\r\n]")
end

--- Says where mail goes and how. Nothing is connected yet.
---@param options table? host ("localhost"), port (25), starttls, ssl, ssl_verify, ssl_host (the name that the certificate must have; `host`), username, password, auth_type ("plain" or "login"), domain ("localhost.localdomain"), timeout_connect, timeout_send, timeout_read (milliseconds)
---@return table? mailer
---@return string? err
function _M.new(options)
    options = options or {}
    local wants_auth = options.username or options.password or options.auth_type
    local domain = options.domain or "localhost.localdomain"
    if wants_auth and not options.username then
        return nil, "authentication requested, but missing username"
    elseif wants_auth and not options.password then
        return nil, "authentication requested, but missing password"
    elseif options.auth_type and options.auth_type ~= "plain" and options.auth_type ~= "login" then
        return nil, "unsupported auth_type"
    elseif not is_one_line(domain) or find(domain, "%s") then
        return nil, "invalid domain"
    end
    return setmetatable({
        host = options.host or "localhost",
        port = options.port or 25,
        domain = domain,
        options = options,
        auth = wants_auth and (options.auth_type or "plain"),
    }, mt)
end

-- ------------------------------------------------------------ a session

-- One line of the server's, however it comes.
local function read_line(session)
    while true do
        local at = find(session.input, "\n", 1, true)
        if (at or #session.input) > LINE_MAX then
            return nil, "invalid SMTP response"
        elseif at then
            local line = sub(session.input, 1, at - 1)
            session.input = sub(session.input, at + 1)
            return (gsub(line, "\r$", ""))
        end
        local data, err = session.sock:receiveany(LINE_MAX)
        if not data then
            return nil, "failed to read response: " .. err
        end
        session.input = session.input .. data
    end
end

-- An answer: its code, and its lines.
local function read_answer(session)
    local lines = {}
    for i = 1, LINES_MAX do
        local line, err = read_line(session)
        if not line then
            return nil, err
        end
        local code, more, text = match(line, "^([2-5]%d%d)([ -]?)(.*)$")
        if not code then
            return nil, "invalid SMTP response"
        end
        lines[i] = text
        if more ~= "-" then
            return tonumber(code), lines
        end
    end
    return nil, "invalid SMTP response"
end

-- What the server said, for a log.
local function describe(code, lines)
    return "SMTP response was not successful: " .. code .. " " .. gsub(concat(lines, " "), "%c", "?")
end

local function is_good(code, wanted)
    return code == wanted or (not wanted and code >= 200 and code < 300)
end

-- Sends a command and reads the answer. Its lines; or nil and an error. `wanted`: the one good code.
local function command(session, line, wanted)
    local bytes, err = session.sock:send(line .. "\r\n")
    if not bytes then
        return nil, "failed to send command: " .. err
    end
    local code, lines = read_answer(session)
    if not code then
        return nil, lines
    elseif not is_good(code, wanted) then
        return nil, describe(code, lines), code
    end
    return lines
end

-- EHLO: what the server can do, by name in capitals.
local function greet(session)
    local lines, err, code = command(session, "EHLO " .. session.domain)
    session.can = {}
    if not lines and code and code >= 500 then
        lines, err = command(session, "HELO " .. session.domain)
    end
    if not lines then
        return nil, err
    end
    for i = 2, #lines do
        local name, rest = match(lines[i], "^(%S+)%s*(.*)$")
        if name then
            session.can[upper(name)] = rest
        end
    end
    return true
end

local function handshake(session, verify)
    local options = session.options
    local ok, err = session.sock:sslhandshake(nil, options.ssl_host or session.host, verify)
    if not ok then
        return nil, "sslhandshake error: " .. err
    end
    session.secure = true
    return true
end

-- What came in clear behind the server's consent must not count as said under encryption.
local function start_tls(session)
    local options = session.options
    local lines, err = command(session, "STARTTLS")
    if not lines then
        return nil, err
    elseif session.input ~= "" then
        return nil, "invalid SMTP response"
    end
    local verify = options.ssl_verify
    if verify == nil then
        verify = options.starttls == true
    end
    local ok
    ok, err = handshake(session, verify)
    if not ok then
        return nil, err
    end
    return greet(session)
end

-- A server may repeat what it was sent: of a refusal, the code alone is told.
local function log_in(session)
    local user, password = session.options.username, session.options.password
    local ok, err, code
    if session.auth == "plain" then
        ok, err, code = command(session, "AUTH PLAIN " .. encode_base64("\0" .. user .. "\0" .. password))
    else
        ok, err, code = command(session, "AUTH LOGIN", 334)
        if ok then
            ok, err, code = command(session, encode_base64(user), 334)
        end
        if ok then
            ok, err, code = command(session, encode_base64(password))
        end
    end
    return ok, code and "SMTP response was not successful: " .. code .. " authentication refused" or err
end

local function open(session)
    local sock, options = session.sock, session.options
    sock:settimeouts(options.timeout_connect, options.timeout_send, options.timeout_read)
    local ok, err = sock:connect(session.host, session.port)
    if not ok then
        return nil, "connect failure: " .. err
    end
    if options.ssl then
        ok, err = handshake(session, options.ssl_verify ~= false)
        if not ok then
            return nil, err
        end
    end
    local code, lines = read_answer(session)
    if code ~= 220 then
        return nil, code and describe(code, lines) or lines
    end
    ok, err = greet(session)
    if ok and not options.ssl and options.starttls ~= false and (options.starttls or session.can.STARTTLS) then
        ok, err = start_tls(session)
    end
    if ok and session.auth then
        ok, err = log_in(session)
    end
    return ok, err
end

-- ------------------------------------------------------------ a message

local function is_ascii(text)
    return not find(text, "[\128-\255]")
end

-- The parameters of MAIL FROM; or nil and an error.
local function parameters(session, msg, size)
    local limit = tonumber(session.can.SIZE)
    local ascii = is_ascii(msg:get_from_address())
    for _, address in ipairs(msg:get_recipient_addresses()) do
        ascii = ascii and is_ascii(address)
    end
    if limit and limit > 0 and size > limit then
        return nil, "message too large"
    elseif not ascii and not session.can.SMTPUTF8 then
        return nil, "the server does not take addresses that are not ASCII"
    end
    return (limit and " SIZE=" .. size or "") .. (ascii and "" or " SMTPUTF8")
end

local function deliver(session, msg)
    -- A dot that begins a line is doubled (RFC 5321, section 4.5.2).
    local body = gsub(gsub(msg:get_body_string(), "\n%.", "\n.."), "^%.", "..")
    local extra, err = parameters(session, msg, #body)
    if not extra then
        return nil, err
    end
    local ok
    ok, err = command(session, "MAIL FROM:<" .. msg:get_from_address() .. ">" .. extra)
    for _, address in ipairs(ok and msg:get_recipient_addresses() or {}) do
        ok, err = command(session, "RCPT TO:<" .. address .. ">")
        if not ok then
            break
        end
    end
    if ok then
        ok, err = command(session, "DATA", 354)
    end
    if ok then
        ok, err = command(session, body .. ".")
    end
    return ok, err
end

--- Sends a message to all of its recipients, or to none.
---@param data table from, reply_to, to, cc, bcc (addresses: "a@example.com" or "Name <a@example.com>"), subject, text, html, headers (names and values), attachments (of filename, content_type, content, disposition, content_id)
---@return boolean ok
---@return string? err
function _M:send(data)
    local msg, err = message.new(data, self.domain)
    if not msg then
        return false, err
    elseif not msg:get_from_address() then
        return false, "no sender"
    elseif #msg:get_recipient_addresses() == 0 then
        return false, "no recipients"
    end
    local session = {
        sock = tcp(), input = "", can = {}, options = self.options,
        host = self.host, port = self.port, domain = self.domain, auth = self.auth,
    }
    local ok
    ok, err = open(session)
    if ok then
        ok, err = deliver(session, msg)
    end
    if ok then
        session.sock:send("QUIT\r\n")
    end
    session.sock:close()
    if not ok then
        return false, err
    end
    return true
end

return _M
