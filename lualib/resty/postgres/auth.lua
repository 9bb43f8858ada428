-- resty.postgres.auth: the ways to log in to PostgreSQL: cleartext, MD5, and SCRAM-SHA-256 with and
-- without binding to the TLS connection (RFC 5802, RFC 7677, RFC 5929). Private.
--
-- In SCRAM both sides prove that they know the password: a server that cannot is refused. With
-- binding nobody between the two can pass the proof on. Passwords are taken as they are, without
-- SASLprep.

local sql_auth = require "resty.sql_auth"

local concat = table.concat
local decode_base64 = ngx.decode_base64
local encode_base64 = ngx.encode_base64
local hmac = sql_auth.hmac_sha256
local match = string.match
local sha256 = sql_auth.sha256
local sub = string.sub
local tonumber = tonumber
local xor = sql_auth.xor

-- What the server may ask for; each takes CPU time in which the worker does nothing else.
local MAX_ITERATIONS = 600000

-- Keys that were derived from a password, a salt and iterations, so that later connections do not
-- derive them again.
local MAX_KEYS = 16
local keys, key_count = {}, 0

local _M = {}

function _M.md5(user, password, salt)
    return "md5" .. sql_auth.md5_hex(sql_auth.md5_hex(password .. user) .. salt)
end

local function salted_password(password, salt, iterations)
    local id = concat({ iterations, #salt, salt, password }, ":")
    local key = keys[id]
    if key then
        return key
    end
    local err
    key, err = sql_auth.pbkdf2_sha256(password, salt, iterations)
    if not key then
        return nil, err
    end
    if key_count == MAX_KEYS then
        keys, key_count = {}, 0
    end
    keys[id], key_count = key, key_count + 1
    return key
end

-- The mechanism that both sides have, and its header: whether, and how, the TLS connection counts.
local function choose(mechanisms, binding)
    if binding and mechanisms["SCRAM-SHA-256-PLUS"] then
        return "SCRAM-SHA-256-PLUS", "p=tls-server-end-point,,"
    elseif mechanisms["SCRAM-SHA-256"] then
        return "SCRAM-SHA-256", binding and "y,," or "n,,"
    end
    return nil, "the server has no SASL mechanism in common"
end

-- Begins: an exchange with its mechanism and first message. `mechanisms` is a set; `binding` the
-- hash of the server's certificate, or nil.
function _M.scram_begin(password, mechanisms, binding)
    local mechanism, header = choose(mechanisms, binding)
    if not mechanism then
        return nil, header
    end
    local random, err = sql_auth.random(18)
    if not random then
        return nil, err
    end
    local nonce = encode_base64(random)
    local bare = "n=,r=" .. nonce
    local plus = mechanism == "SCRAM-SHA-256-PLUS"
    return {
        mechanism = mechanism,
        password = password,
        nonce = nonce,
        bare = bare,
        first = header .. bare,
        bound = encode_base64(header .. (plus and binding or "")),
    }
end

-- The client's answer to the server's first message.
function _M.scram_continue(exchange, message)
    local nonce, salt, iterations = match(message, "^r=([^,]+),s=([^,]+),i=(%d+)$")
    salt, iterations = salt and decode_base64(salt), tonumber(iterations)
    if not salt then
        return nil, "malformed SCRAM message"
    elseif exchange.answered or #nonce <= #exchange.nonce or sub(nonce, 1, #exchange.nonce) ~= exchange.nonce then
        return nil, "bad SCRAM nonce"
    elseif iterations < 1 or iterations > MAX_ITERATIONS then
        return nil, "bad number of SCRAM iterations"
    end
    local salted, err = salted_password(exchange.password, salt, iterations)
    if not salted then
        return nil, err
    end
    local without_proof = "c=" .. exchange.bound .. ",r=" .. nonce
    local text = exchange.bare .. "," .. message .. "," .. without_proof
    local client_key = hmac(salted, "Client Key")
    exchange.answered = true
    exchange.signature = hmac(hmac(salted, "Server Key"), text)
    return without_proof .. ",p=" .. encode_base64(xor(client_key, hmac(sha256(client_key), text)))
end

-- Does the server know the password, too?
function _M.scram_finish(exchange, message)
    local signature = match(message, "^v=([^,]+)")
    if not exchange.signature or decode_base64(signature or "") ~= exchange.signature then
        return nil, "the server does not know the password"
    end
    exchange.proved = true
    return true
end

return _M
