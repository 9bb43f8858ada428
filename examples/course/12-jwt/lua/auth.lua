-- Logging in, and what stands in front of protected locations.
local cjson = require "cjson.safe"
local jwt = require "resty.jwt"
local keys = require "keys"
local random = require "resty.random"
local str = require "resty.string"
local users = require "users"

local ISSUER, AUDIENCE = "https://course.example", "course"
local REFRESH_SECONDS = 7 * 86400

local auth = {}

local function answer(status, value)
    ngx.status = status
    ngx.header["Cache-Control"] = "no-store" -- nobody on the way keeps a token
    ngx.say(cjson.encode(value))
    return ngx.exit(status)
end

local function json_body()
    ngx.req.read_body()
    local value = cjson.decode(ngx.req.get_body_data() or "")
    return type(value) == "table" and value or {}
end

-- Two tokens. The access token tells everything by itself (no look at a database) and so cannot be
-- taken back: it lives for minutes. The refresh token is just a random name for an entry here: it
-- lives for days, and is gone as soon as it is used or deleted.
local function tokens(name)
    local kid, secret = keys.current()
    local now = ngx.time()
    local refresh = str.to_hex(random.bytes(32, true))
    ngx.shared.refresh:set("good:" .. refresh, name, REFRESH_SECONDS)
    return {
        access_token = jwt:sign(secret, {
            header = { typ = "JWT", alg = "HS256", kid = kid },
            payload = {
                iss = ISSUER, aud = AUDIENCE, sub = name, role = users.role(name),
                iat = now, exp = now + keys.TOKEN_SECONDS,
            },
        }),
        token_type = "Bearer",
        expires_in = keys.TOKEN_SECONDS,
        refresh_token = refresh,
    }
end

function auth.login()
    local body = json_body()
    local role = type(body.name) == "string" and type(body.password) == "string"
        and users.check(body.name, body.password)
    if not role then
        return answer(401, { error = "name or password is wrong" }) -- and not which of them
    end
    return answer(200, tokens(body.name))
end

function auth.refresh()
    local dict, token = ngx.shared.refresh, json_body().refresh_token
    -- Each kind of key has a beginning of its own: whoever sends "used:..." must not find that entry.
    local name = type(token) == "string" and dict:get("good:" .. token)
    -- add() is for the first one only: who comes second with the same token gets nothing.
    if not name or not dict:add("used:" .. token, true, REFRESH_SECONDS) then
        return answer(401, { error = "log in again" })
    end
    dict:delete("good:" .. token)
    return answer(200, tokens(name))
end

-- For access_by_lua: who has no good token goes no further. 401: who are you? 403: not you.
function auth.require_token(role)
    local token = (ngx.var.http_authorization or ""):match("^[Bb]earer +(%S+)$")
    if not token then
        ngx.header["WWW-Authenticate"] = "Bearer"
        return answer(401, { error = "log in first" })
    end

    -- The algorithm is ours to choose, not the token's.
    local claims, err = jwt.check(token, {
        key = keys.find, algorithms = { "HS256" }, issuer = ISSUER, audience = AUDIENCE,
        required = { "exp", "sub" },
    })
    if not claims then
        ngx.log(ngx.INFO, "token refused: ", err)
        ngx.header["WWW-Authenticate"] = 'Bearer error="invalid_token"'
        return answer(401, { error = "the token is not good (any more)" })
    end
    if role and claims.role ~= role then
        return answer(403, { error = "not with the role " .. tostring(claims.role) })
    end
    ngx.ctx.claims = claims
end

return auth
