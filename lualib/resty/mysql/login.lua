-- resty.mysql.login: how a new connection becomes one that takes queries. Private.
--
--     server: greeting    client: [asks for TLS, handshake] login, answer to the scramble
--     server: OK, an error, another plugin, or more data for the plugin; client: an answer; …

local auth = require "resty.mysql.auth"
local packets = require "resty.mysql.packets"
local protocol = require "resty.mysql.protocol"

local band = bit.band
local byte = string.byte
local CLIENT_SSL = protocol.SSL
local next_packet = packets.next_packet
local send_packet = packets.send_packet
local server_error = packets.server_error
local sub = string.sub
local type = type

-- Logging in takes a few packets; a server that never comes to an end is none.
local MAX_LOGIN_PACKETS = 16

local _M = {}

-- Asks for TLS and does its handshake.
local function start_tls(self, opts, head)
    local ok, err = send_packet(self, head, "")
    if not ok then
        return nil, "failed to send ssl request packet: " .. err
    end
    -- What came before TLS is nobody's answer.
    if self.reader:pending() > 0 then
        return nil, "unexpected data before TLS"
    end
    ok, err = self.sock:sslhandshake(false, opts.ssl_server_name, opts.ssl_verify or false)
    if not ok then
        return nil, "failed to do ssl handshake: " .. (err or "")
    end
    return true
end

-- What a packet of the server means while logging in: true when it is done, false when there is
-- more to come, or nil and an error.
local function login_step(self, login, s, first, last)
    local kind = byte(s, first)
    local answer, err
    if kind == 0 then
        return true
    elseif kind == 255 then
        return server_error(self, s, first, last)
    elseif kind == 254 then
        if first == last then
            return nil, "old pre-4.1 authentication protocol is not supported"
        end
        local plugin, scramble = protocol.auth_switch(s, first, last)
        if not plugin then
            return nil, "malformed auth switch packet"
        end
        answer, err = auth.answer(login, plugin, scramble)
    elseif kind == 1 then
        answer, err = auth.more(login, sub(s, first + 1, last))
    else
        return nil, "bad packet type: " .. kind
    end
    if answer == nil then
        return nil, err
    end
    if answer then
        local ok
        ok, err = send_packet(self, answer, "")
        if not ok then
            return nil, "failed to send client authentication packet: " .. err
        end
    end
    return false
end

local function finish_login(self, login)
    for _ = 1, MAX_LOGIN_PACKETS do
        local s, first, last = next_packet(self)
        if not s then
            return nil, first
        end
        local done, err, code, state = login_step(self, login, s, first, last)
        if done == nil then
            return nil, err, code, state
        elseif done then
            return 1
        end
    end
    return nil, "too many packets of the login"
end

-- The server's greeting: what it is and can do.
local function read_greeting(self)
    local s, first, last = next_packet(self)
    if not s then
        return nil, first
    elseif byte(s, first) == 255 then
        return server_error(self, s, first, last)
    end
    local greeting = protocol.greeting(s, first, last)
    if not greeting then
        return nil, "unsupported or malformed handshake packet"
    end
    self._server_ver = greeting.version
    return greeting
end

function _M.log_in(self, opts, user, charset)
    local greeting, err, code, state = read_greeting(self)
    if not greeting then
        return nil, err, code, state
    end
    local database = opts.database ~= "" and opts.database or nil
    local options = { found_rows = opts.found_rows, charset = charset, database = database }
    if opts.ssl then
        if band(greeting.capabilities, CLIENT_SSL) == 0 then
            return nil, "ssl disabled on server"
        end
        options.capabilities = CLIENT_SSL
    end
    local head = protocol.login_head(options)
    if opts.ssl then
        local ok
        ok, err = start_tls(self, opts, head)
        if not ok then
            return nil, err
        end
    end
    local login = {
        password = opts.password or "",
        tls = opts.ssl,
        secure = opts.ssl or not opts.host,
        server_public_key = opts.server_public_key,
    }
    local plugin = auth.first(greeting.plugin)
    local answer
    answer, err = auth.answer(login, plugin, greeting.scramble)
    if not answer then
        return nil, err
    end
    local ok
    ok, err = send_packet(self, protocol.login(head, user, answer, database, plugin), "")
    if not ok then
        return nil, "failed to send client authentication packet: " .. err
    end
    return finish_login(self, login)
end

return _M
