-- resty.mysql.auth: the ways to prove that one knows a password. Private.
--
-- A plugin has a function that answers the server's scramble (20 random bytes), and, when more is
-- exchanged, one that answers the server's further data. `login` is what is known of this login:
--
--     password            "" when there is none
--     secure              nobody listens: TLS, or a socket of the same machine
--     tls
--     server_public_key   PEM, or nil: then the server is asked for it
--     scramble, requested (the key was asked for)
--
-- Answers are payloads; nil and an error end the login; false means that nothing is to be sent.

local ed25519 = require "resty.mysql.ed25519"
local sql_auth = require "resty.sql_auth"

local byte = string.byte
local rsa_oaep = sql_auth.rsa_oaep
local sha1 = sql_auth.sha1
local sha256 = sql_auth.sha256
local sub = string.sub
local xor = sql_auth.xor

-- First bytes of caching_sha2_password's data.
local FAST_OK, FULL = 3, 4

local function native(login)
    if login.password == "" then
        return ""
    end
    local stage = sha1(login.password)
    return xor(stage, sha1(login.scramble .. sha1(stage)))
end

-- The password for the server's eyes only.
local function encrypted(login, pem)
    return rsa_oaep(pem, xor(login.password .. "\0", login.scramble))
end

-- The whole password, which the server has not in its cache or never caches. `request` asks for
-- the server's key.
local function full(login, request)
    if login.secure then
        return login.password .. "\0"
    elseif login.server_public_key then
        return encrypted(login, login.server_public_key)
    end
    login.requested = true
    return request
end

local function caching_sha2(login)
    if login.password == "" then
        return ""
    end
    local stage = sha256(login.password)
    return xor(stage, sha256(sha256(stage) .. login.scramble))
end

local function caching_sha2_more(login, data)
    if login.requested then
        login.requested = false
        return encrypted(login, data)
    elseif #data == 1 and byte(data) == FAST_OK then
        return false
    elseif #data == 1 and byte(data) == FULL then
        return full(login, "\2")
    end
    return nil, "unexpected data of caching_sha2_password"
end

local function sha256_password(login)
    if login.password == "" then
        return "\0"
    end
    return full(login, "\1")
end

local function sha256_more(login, data)
    if not login.requested then
        return nil, "unexpected data of sha256_password"
    end
    login.requested = false
    return encrypted(login, data)
end

local function client_ed25519(login)
    if #login.scramble < 32 then
        return nil, "scramble of client_ed25519 is too short"
    end
    return ed25519.sign(login.password, sub(login.scramble, 1, 32))
end

local function clear_password(login)
    if not login.tls then
        return nil, "auth plugin mysql_clear_password is for TLS only"
    end
    return login.password .. "\0"
end

local PLUGINS = {
    mysql_native_password = { answer = native },
    caching_sha2_password = { answer = caching_sha2, more = caching_sha2_more },
    sha256_password = { answer = sha256_password, more = sha256_more },
    client_ed25519 = { answer = client_ed25519 },
    mysql_clear_password = { answer = clear_password },
}

local _M = {}

-- Which plugin the login begins with, when the server names one in its greeting. One that would
-- give the password away at once has to be asked for.
function _M.first(name)
    return (name == "caching_sha2_password" or name == "sha256_password") and name or "mysql_native_password"
end

function _M.answer(login, name, scramble)
    local plugin = PLUGINS[name]
    if not plugin then
        return nil, "auth plugin " .. name .. " is not supported"
    end
    login.plugin, login.requested = plugin, false
    login.scramble = name == "client_ed25519" and scramble or sub(scramble, 1, 20)
    return plugin.answer(login)
end

function _M.more(login, data)
    local more = login.plugin.more
    if not more then
        return nil, "unexpected data from the server"
    end
    return more(login, data)
end

return _M
