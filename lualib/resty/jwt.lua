--- resty.jwt: JSON Web Tokens, signed (RFC 7519, 7515): makes them, and checks them.
--
--     local jwt = require "resty.jwt"
--     local token = jwt:sign("secret of 32 bytes or more ....", {
--         header = { typ = "JWT", alg = "HS256" },
--         payload = { sub = "dewi", exp = ngx.time() + 3600 },
--     })
--
--     local verified = jwt:verify("secret of 32 bytes or more ....", token)
--     if not verified.verified then
--         ngx.log(ngx.WARN, verified.reason)
--         return ngx.exit(401)
--     end
--     ngx.say("hello, ", verified.payload.sub)
--
-- For programs that begin, check() says more clearly what is wanted, and takes whole key sets:
--
--     local keys = assert(jwt.jwks(document))                -- of an identity provider
--     local claims, err = jwt.check(token, {
--         key = keys, algorithms = { "RS256", "ES256" }, issuer = "https://id.example.com",
--         audience = "notes", leeway = 30,
--     })
--
-- Algorithms: HS256 HS384 HS512, RS256 RS384 RS512, PS256 PS384 PS512, ES256 ES384 ES512, EdDSA. "none"
-- is refused, always. A key decides which algorithms it is good for: a token that claims HS256 is never
-- checked with the text of a public key as its secret. Tokens with critical extensions ("crit") are
-- refused. Encrypted tokens (JWE) are not read.
--
-- sign() raises an error, a table with a `reason`, when it can't sign. verify() never does: its result
-- has `verified` (the signature is good and so are the claims), `valid` (it is a token at all), `reason`,
-- `header` and `payload`. check() returns nil and a message.

local cjson = require "cjson.safe"
local hmac = require "resty.openssl.hmac"
local keys = require "resty.jwt.keys"
local lrucache = require "resty.lrucache"
local openssl = require "resty.openssl"
local validators = require "resty.jwt-validators"

local base64url = require "ngx.base64"
local clone = require "table.clone"
local decode_base64url = base64url.decode_base64url
local decode_json = cjson.decode
local encode_base64url = base64url.encode_base64url
local encode_json = cjson.encode
local error = error
local ipairs = ipairs
local match = string.match
local pairs = pairs
local select = select
local setmetatable = setmetatable
local tostring = tostring
local type = type

local TOKEN = "^([%w_-]+)%.([%w_-]+)%.([%w_-]+)$"
local MAX_TOKEN = 65536
local GOOD = "everything is awesome~ :p"

local ALGORITHMS = keys.ALGORITHMS

local _M = { _VERSION = "0.2.3" }

---@class resty.jwt.object
---@field verified boolean signature and claims are good
---@field valid boolean it could be read
---@field reason string why not
---@field header? table
---@field payload? any
---@field signature? string as in the token
---@field raw_header? string
---@field raw_payload? string

-- ------------------------------------------------------------- signatures

-- Contexts of HMAC by algorithm and secret: setting up a key costs more than using it.
local macs = lrucache.new(64)

local function mac_of(secret, alg)
    local name = alg .. secret
    local mac = macs:get(name)
    if not mac then
        mac = hmac.new(secret, ALGORITHMS[alg].md)
        macs:set(name, mac)
    end
    return mac
end

local function sign_text(key, alg, text)
    local algorithm = ALGORITHMS[alg]
    if algorithm.kind == "oct" then
        return mac_of(key, alg):final(text)
    end
    return key:sign(text, algorithm.md, algorithm.padding, algorithm.options)
end

local function is_signed(key, alg, text, signature)
    local algorithm = ALGORITHMS[alg]
    if algorithm.kind == "oct" then
        return openssl.equal(mac_of(key, alg):final(text), signature)
    end
    return key:verify(signature, text, algorithm.md, algorithm.padding, algorithm.options) == true
end

local reason_mt = { __tostring = function(self) return self.reason end }

local function refuse(reason)
    error(setmetatable({ reason = reason }, reason_mt), 3)
end

--- Makes a token.
---@param key any the secret of HS…; PEM, JWK (table or JSON) or resty.openssl.pkey of a private key
---@param object table { header = { alg = …, kid = … }, payload = { … } }
---@return string token
function _M.sign(_, key, object)
    local header = type(object) == "table" and object.header
    if type(header) ~= "table" then
        refuse("missing header")
    end
    if object.payload == nil then
        refuse("missing payload")
    end
    local alg = header.alg
    if not ALGORITHMS[alg] then
        refuse("unsupported alg: " .. tostring(alg))
    end
    local private, err = keys.for_signing(key, alg)
    if not private then
        refuse(err)
    end
    local payload = object.payload
    local text = encode_base64url(encode_json(header)) .. "."
        .. encode_base64url(type(payload) == "string" and payload or encode_json(payload))
    local signature
    signature, err = sign_text(private, alg, text)
    if not signature then
        refuse(err)
    end
    return text .. "." .. encode_base64url(signature)
end

-- ------------------------------------------------------------- reading

local function decode_part(text)
    local bytes = decode_base64url(text)
    return bytes and decode_json(bytes)
end

-- Headers repeat: those of one issuer are the same for each of its tokens.
local headers = lrucache.new(64)

-- A table in it would be one for all tokens.
local function is_flat(header)
    for _, value in pairs(header) do
        if type(value) == "table" then
            return false
        end
    end
    return true
end

local function header_of(text)
    local header = headers:get(text)
    if not header then
        header = decode_part(text)
        if type(header) ~= "table" then
            return nil
        end
        if #text >= 1024 or not is_flat(header) then
            return header
        end
        headers:set(text, header)
    end
    return clone(header) -- the program's own
end

--- Takes a token apart; nothing is checked.
---@param token string
---@return resty.jwt.object object
function _M.load_jwt(_, token)
    local object = { verified = false, valid = false }
    local head, payload, signature
    if type(token) == "string" and #token <= MAX_TOKEN then
        head, payload, signature = match(token, TOKEN)
    end
    if not head then
        object.reason = "invalid jwt string"
        return object
    end
    local header = header_of(head)
    if not header then
        object.reason = "invalid header: " .. head
        return object
    end
    local claims = decode_part(payload)
    if claims == nil then
        object.reason = "invalid payload: " .. payload
        return object
    end
    object.raw_header, object.raw_payload = head, payload
    object.header, object.payload, object.signature = header, claims, signature
    object.valid = true
    return object
end

-- ------------------------------------------------------------- checking

local whitelist

--- The only algorithms that verify() takes from now on, in this worker.
---@param list table<string, any>? { RS256 = 1, … }; nil: all
function _M.set_alg_whitelist(_, list)
    whitelist = list
end

-- Whether the signature is good; false and a reason. `allowed`: a set of algorithms, or nil.
local function check_signature(key, object, allowed)
    local alg = object.header.alg
    if not ALGORITHMS[alg] then
        return false, "unsupported alg: " .. tostring(alg)
    end
    if allowed and not allowed[alg] then
        return false, "whitelist unsupported alg: " .. alg
    end
    if object.header.crit ~= nil then
        return false, "critical extensions are not supported"
    end
    local candidates, err = keys.for_checking(key, alg, object.header)
    if not candidates then
        return false, err
    end
    local text = object.raw_header .. "." .. object.raw_payload
    local signature = decode_base64url(object.signature)
    if signature and encode_base64url(signature) ~= object.signature then
        signature = nil -- bits behind its end: the same signature must not have several texts
    end
    for _, candidate in ipairs(candidates) do
        if signature and is_signed(candidate, alg, text, signature) then
            return true
        end
    end
    return false, "signature mismatch: " .. object.signature
end

-- The options of older programs, as validators.
local function of_options(options)
    local spec = {}
    local leeway = options.lifetime_grace_period or 0
    spec.nbf = validators._within(leeway, "nbf", options.require_nbf_claim)
    spec.exp = validators._within(leeway, "exp", options.require_exp_claim)
    if options.valid_issuers then
        spec.iss = validators.equals_any_of(options.valid_issuers)
    end
    return spec
end

local OPTIONS = {
    lifetime_grace_period = true, require_nbf_claim = true, require_exp_claim = true,
    valid_issuers = true,
}

local function is_options(spec)
    for name in pairs(spec) do
        if OPTIONS[name] then
            return true
        end
    end
    return false
end

local DEFAULT_SPEC = { of_options {} }

local function check_claims(object, specs)
    for _, spec in ipairs(specs) do
        if is_options(spec) then
            spec = of_options(spec)
        end
        for name, validate in pairs(spec) do
            local value
            if name == "__jwt" then
                value = object
            elseif type(object.payload) == "table" then
                value = object.payload[name]
            end
            local ok, err = validators._run(validate, value, name, object)
            if not ok then
                return false, err
            end
        end
    end
    return true
end

--- Checks a token that load_jwt() took apart.
---@param key any as for verify
---@param object resty.jwt.object
---@param ... table claims to check
---@return resty.jwt.object object
function _M.verify_jwt_obj(_, key, object, ...)
    if not object.valid then
        return object
    end
    local ok, err = check_signature(key, object, whitelist)
    if ok then
        ok, err = check_claims(object, select("#", ...) > 0 and { ... } or DEFAULT_SPEC)
    end
    object.verified, object.reason = ok, ok and GOOD or err
    return object
end

--- Checks a token: signature, algorithm, claims.
---@param key any the secret of HS…; PEM of a public key or a certificate, JWK, a key set of jwks(), a
---     resty.openssl.pkey; or a function that gets the header's `kid` (and the header) and returns one
---@param token string
---@param ... table claims to check: { name = a function of resty.jwt-validators }. With none, `exp` and
---     `nbf` are checked where they are there
---@return resty.jwt.object object
function _M.verify(_, key, token, ...)
    return _M.verify_jwt_obj(_M, key, _M.load_jwt(_M, token), ...)
end

---@class resty.jwt.check_options
---@field key any as for verify
---@field algorithms? string[] no others; all that fit the key
---@field issuer? string|string[]
---@field audience? string|string[] one of these must be among the token's
---@field subject? string
---@field type? string the header's `typ`
---@field leeway? number seconds that clocks may differ; 0
---@field required? string[] claims that must be there
---@field max_age? number seconds since `iat`

local function set_of(list)
    local set = {}
    for _, name in ipairs(type(list) == "table" and list or { list }) do
        set[name] = true
    end
    return set
end

local function is_audience(value, wanted)
    for _, name in ipairs(type(value) == "table" and value or { value }) do
        if wanted[name] then
            return true
        end
    end
    return false
end

-- The first thing that is wrong with claims, as a message; nil.
local function complaint(claims, header, options)
    for _, name in ipairs(options.required or {}) do
        if claims[name] == nil then
            return "missing claim: " .. name
        end
    end
    local leeway = options.leeway or 0
    local err = validators._time(claims, leeway, options.max_age)
    if err then
        return err
    end
    if options.issuer and not set_of(options.issuer)[claims.iss or false] then
        return "wrong issuer"
    end
    if options.audience and not is_audience(claims.aud, set_of(options.audience)) then
        return "wrong audience"
    end
    if options.subject and claims.sub ~= options.subject then
        return "wrong subject"
    end
    if options.type and header.typ ~= options.type then
        return "wrong type"
    end
end

--- Checks a token, and gives its claims.
---@param token string
---@param options resty.jwt.check_options
---@return table? claims
---@return string|table err a message; behind claims, the token's header
function _M.check(token, options)
    local object = _M.load_jwt(_M, token)
    if not object.valid then
        return nil, object.reason
    end
    local ok, err = check_signature(options.key, object,
                                    options.algorithms and set_of(options.algorithms))
    if not ok then
        return nil, err
    end
    if type(object.payload) ~= "table" then
        return nil, "the payload is no object"
    end
    err = complaint(object.payload, object.header, options)
    if err then
        return nil, err
    end
    return object.payload, object.header
end

--- Reads a set of keys (RFC 7517, section 5), for verify() and check(). Make it once, and keep it.
---@param document string|table JSON, or that decoded
---@return table? set
---@return string? err
function _M.jwks(document)
    return keys.set(document)
end

return _M
