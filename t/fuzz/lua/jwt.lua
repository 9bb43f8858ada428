-- resty.jwt: tokens. None but the one that was signed is verified, and a refusal has a reason.
local cjson = require "cjson.safe"
local fuzz = require "fuzz"
local jwt = require "resty.jwt"
local validators = require "resty.jwt-validators"

local KEY = "a secret of thirty-two bytes, yes"
local function b64(text)
    return (ngx.encode_base64(text, true):gsub("[+/]", { ["+"] = "-", ["/"] = "_" }))
end

local GOOD = jwt:sign(KEY, { header = { typ = "JWT", alg = "HS256" }, payload = { sub = "me", n = 1 } })

local corpus = {
    GOOD, jwt:sign(KEY, { header = { alg = "HS512", kid = "1" }, payload = { exp = 4e9, nbf = 0, aud = { "a", "b" } } }),
    b64('{"alg":"none"}') .. "." .. b64('{"sub":"x"}') .. ".", b64('{"alg":"HS256"}') .. "." .. b64("[]") .. ".AAAA",
    b64("[1,2]") .. ".e30.x", b64('{"alg":["HS256"],"kid":{}}') .. ".e30.e30", "..", "a.b.c",
    jwt:sign(KEY, { header = { alg = "HS256" }, payload = { exp = "soon", iat = -1, aud = 5, iss = {} } }),
}

local documents = { '{"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"1","alg":"HS256"}]}', '{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}', '{"keys":{}}', "[]" }

-- Parts of the signed text, changed, so that the JSON inside is looked at, too.
local function rewritten(token)
    local head, payload, signature = token:match("^([^.]*)%.([^.]*)%.([^.]*)$")
    if not head or fuzz.random(2) == 1 then
        return token
    end
    local json = ngx.decode_base64((payload:gsub("[-_]", { ["-"] = "+", ["_"] = "/" }))) or "{}"
    local changed = b64(fuzz.mutate { json, '{"exp":1e400,"nbf":"x"}', '{"aud":[{}]}' })
    return fuzz.random(3) == 1 and jwt:sign(KEY, { header = { alg = "HS256" }, payload = ngx.decode_base64(changed) or "{}" })
        or head .. "." .. changed .. "." .. signature
end

fuzz.run {
    name = "jwt",
    corpus = corpus,
    check = function(text)
        local token = rewritten(text)
        local object = jwt:load_jwt(token)
        assert(object.valid or type(object.reason) == "string", "no reason")
        object = jwt:verify(KEY, token)
        assert(object.verified or type(object.reason) == "string" or object.reason ~= nil, "no reason")
        jwt:verify(KEY, token, { exp = validators.opt_is_not_expired(), aud = validators.opt_matches("a"), sub = validators.opt_equals("me") })
        local claims, err = jwt.check(token, {
            key = KEY, audience = "a", leeway = 1, max_age = fuzz.random(3) == 1 and 10 or nil, issuer = fuzz.random(3) == 1 and "i" or nil,
        })
        assert(type(claims) == "table" or type(err) == "string", "no reason")
        -- A signature counts for its very text.
        if object.verified then
            local raw = object.raw_header .. "." .. object.raw_payload
            assert(token == raw .. "." .. object.signature, "more than was signed")
            assert(jwt:verify(KEY .. "x", token).verified == false, "another key")
        end
        local set, failure = jwt.jwks(fuzz.mutate(documents))
        assert(set or type(failure) == "string", "no reason")
        if set then
            assert(type(jwt:verify(set, token)) == "table")
        end
        assert(cjson.encode(object.header or {}) ~= false)
    end,
}
