-- resty.postgres.login: how a new connection becomes one that takes queries. Private.
--
--     client: [asks for TLS, handshake] startup
--     server: requests of authentication, each with an answer of the client; settings; ready

local auth = require "resty.postgres.auth"
local messages = require "resty.postgres.messages"
local protocol = require "resty.postgres.protocol"
local sql_auth = require "resty.sql_auth"

local byte = string.byte
local next_message = messages.next_message
local sub = string.sub
local type = type

-- Messages of the server by their letters.
local AUTHENTICATION, BACKEND_KEY, ERROR, NOTICE, PARAMETER, READY, VERSION = 82, 75, 69, 78, 83, 90, 118

local _M = {}

local function is_given(text)
    return text ~= nil and text ~= ""
end

-- Our own certificate, for servers that want one.
local function set_client_cert(self)
    local cert, key = self.config.cert, self.config.key
    if not cert then
        return true
    end
    local ssl = require "ngx.ssl"
    local err
    if type(cert) == "string" then
        cert, err = ssl.parse_pem_cert(cert)
    end
    if cert and type(key) == "string" then
        key, err = ssl.parse_pem_priv_key(key)
    end
    if not cert or not key then
        return nil, "bad certificate or key: " .. (err or "no key")
    end
    return self.sock:setclientcert(cert, key)
end

-- Asks for TLS; true when there is TLS then, false when the server has none.
local function start_tls(self)
    local config = self.config
    local ok, err = self.sock:send(protocol.SSL_REQUEST)
    if not ok then
        return nil, err
    end
    local answer
    answer, err = self.sock:receive(1)
    if not answer then
        return nil, err
    elseif answer == "N" then
        if config.ssl_required or config.ssl_verify then
            return nil, "the server does not support SSL connections"
        end
        return false
    elseif answer ~= "S" then
        return nil, "unknown response to the SSL request"
    end
    ok, err = set_client_cert(self)
    if not ok then
        return nil, err
    end
    ok, err = self.sock:sslhandshake(false, config.ssl_server_name, config.ssl_verify or false)
    if not ok then
        return nil, "SSL handshake failed: " .. (err or "")
    end
    return true
end

local function send_password(self, answer)
    return self.sock:send(protocol.message("p", answer .. "\0"))
end

-- The mechanisms of a SASL request, as a set.
local function read_mechanisms(s, pos, last)
    local set = {}
    while pos <= last and byte(s, pos) ~= 0 do
        local name
        name, pos = protocol.c_string(s, pos, last)
        if not name then
            break
        end
        set[name] = true
    end
    return set
end

local function begin_scram(self, login, s, first, last)
    local binding
    if login.tls then
        local ssl = self.sock:getsslpointer()
        binding = ssl and sql_auth.server_end_point(ssl)
    end
    local exchange, err = auth.scram_begin(login.password, read_mechanisms(s, first, last), binding)
    if not exchange then
        return nil, err
    end
    login.scram = exchange
    local body = exchange.mechanism .. "\0" .. protocol.be32(#exchange.first) .. exchange.first
    return self.sock:send(protocol.message("p", body))
end

local function continue_scram(self, login, text)
    if not login.scram then
        return nil, "unexpected SASL message"
    end
    local answer, err = auth.scram_continue(login.scram, text)
    if not answer then
        return nil, err
    end
    return self.sock:send(protocol.message("p", answer))
end

-- A server that began to prove itself has to come to the end of it.
local function authenticated(_, login)
    if login.scram and not login.scram.proved then
        return nil, "the server does not know the password"
    end
    login.done = true
    return true
end

local function cleartext(self, login)
    if not (login.secure or self.config.allow_cleartext) then
        return nil, "the server wants the password in cleartext over a connection that is not encrypted"
    end
    return send_password(self, login.password)
end

-- What to do at each kind of authentication request.
local REQUESTS = {
    [0] = authenticated,
    [3] = cleartext,
    [5] = function(self, login, s, first, last)
        if last - first < 3 then
            return nil, "malformed authentication request"
        end
        return send_password(self, auth.md5(self.config.user, login.password, sub(s, first, first + 3)))
    end,
    [10] = begin_scram,
    [11] = function(self, login, s, first, last)
        return continue_scram(self, login, sub(s, first, last))
    end,
    [12] = function(_, login, s, first, last)
        if not login.scram then
            return nil, "unexpected SASL message"
        end
        return auth.scram_finish(login.scram, sub(s, first, last))
    end,
}

local function answer_request(self, login, s, first, last)
    if last - first < 3 then
        return nil, "malformed authentication request"
    end
    local kind = protocol.u32(s, first)
    local answer = REQUESTS[kind]
    if not answer then
        return nil, "don't know how to auth: " .. kind
    elseif not login.password and kind ~= 0 then
        return nil, "missing password, required for connect"
    end
    return answer(self, login, s, first + 4, last)
end

-- Goes on until the server is ready for queries.
local function log_in(self, login)
    local config = self.config
    local ok, err = self.sock:send(protocol.startup(config.user, config.database, config.application_name))
    while ok do
        local kind, s, first, last = next_message(self)
        if not kind then
            return nil, s
        elseif kind == AUTHENTICATION then
            ok, err = answer_request(self, login, s, first, last)
        elseif kind == ERROR then
            return nil, (protocol.report(s, first, last) or "malformed error")
        elseif kind == READY and login.done then
            self.status = sub(s, first, first)
            return true
        elseif kind == BACKEND_KEY or kind == PARAMETER or kind == NOTICE or kind == VERSION then
            ok = true
        else
            return nil, "unexpected message while connecting"
        end
    end
    return nil, err
end

-- Makes a connection that is open ready for queries.
function _M.set_up(self)
    local config = self.config
    local tls, err = false, nil
    if config.ssl then
        tls, err = start_tls(self)
        if tls == nil then
            return nil, err
        end
    end
    local password = is_given(config.password) and config.password or nil
    return log_in(self, { password = password, tls = tls, secure = tls or config.socket_path })
end

return _M
