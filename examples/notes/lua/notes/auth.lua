-- Who is it? A signed token (JWT) says so: browsers bring it in a cookie, programs in the field
-- `Authorization: Bearer TOKEN`.
--
-- The cookie is HttpOnly, so no script reads it, and SameSite=Lax, so other sites' forms do not bring
-- it. Still, what a cookie vouches for and changes something has to bring the token's `csrf`, too, in
-- the field X-CSRF-Token: our own page knows it, other sites do not. A Bearer token needs none of
-- this: no browser adds it by itself.
--
-- A token is good until it expires. Logging out ends it before, by a key in Redis that lives as long
-- as the token would.

local cookie = require "resty.cookie"
local jwt = require "resty.jwt"
local limits = require "notes.limits"
local passwords = require "notes.passwords"
local random = require "resty.random"
local redis = require "resty.redis"
local reply = require "notes.reply"
local settings = require "notes.settings"
local store = require "notes.store"
local to_hex = require("resty.string").to_hex

local _M = {}

local COOKIE = "notes_session"
local SAFE = { GET = true, HEAD = true, OPTIONS = true }
local CHECKS = { key = settings.secret, algorithms = { "HS256" }, required = { "exp", "sub", "jti", "csrf" } }

-- One command of Redis, or 503.
local function ask(command, ...)
    local red = redis:new()
    red:set_timeouts(2000, 2000, 2000)
    local ok, err = red:connect(settings.redis.host, settings.redis.port)
    local answer
    if ok then
        answer, err = red[command](red, ...)
    end
    if answer == nil or answer == false then
        red:close()
        return reply.unavailable("Redis", err)
    end
    red:set_keepalive(60000, 20)
    return answer
end

-- Signed in --------------------------------------------------------------------------------------

local function make_token(user)
    local now = ngx.time()
    return jwt:sign(settings.secret, {
        header = { typ = "JWT", alg = "HS256" },
        payload = {
            sub = tostring(user.id),
            name = user.name,
            iat = now,
            exp = now + settings.session_seconds,
            jti = to_hex(random.bytes(16, true)),
            csrf = to_hex(random.bytes(16, true)),
        },
    })
end

local function set_cookie(value, seconds)
    assert(cookie:new():set {
        key = COOKIE, value = value, path = "/", max_age = seconds,
        httponly = true, samesite = "Lax", secure = settings.https,
    })
end

-- A token for the name and the password, or the end of the request.
function _M.log_in(name, password)
    limits.try()
    local user = store.user(name)
    local right, err = passwords.check(password, user and user.password)
    if right == nil then
        return reply.unavailable("passwords", err)
    elseif not right then
        return reply.fail(401, "wrong name or password")
    end
    limits.forgive()
    return make_token(user)
end

function _M.remember(token)
    set_cookie(token, settings.session_seconds)
end

-- The new user's id, or the end of the request.
function _M.register(name, password)
    limits.try() -- hashing is work; who only makes users is stopped as well
    local hash, err = passwords.hash(password)
    if not hash then
        return reply.unavailable("passwords", err)
    end
    return store.add_user(name, hash) or reply.fail(409, "this name is taken")
end

function _M.log_out(session)
    local left = session.claims.exp - ngx.time()
    if left > 0 then
        ask("set", "notes:ended:" .. session.claims.jti, "1", "EX", left)
    end
    set_cookie("", 0)
end

-- Asked for --------------------------------------------------------------------------------------

-- { user, name, csrf, claims, by_cookie } of who asks, or nil.
function _M.session()
    local token = (ngx.var.http_authorization or ""):match("^[Bb]earer +(%S+)$")
    local by_cookie = not token
    token = token or cookie:new():get(COOKIE)
    local claims = token and jwt.check(token, CHECKS)
    if not claims or ask("exists", "notes:ended:" .. claims.jti) == 1 then
        return nil
    end
    return {
        user = tonumber(claims.sub), name = claims.name, csrf = claims.csrf,
        claims = claims, by_cookie = by_cookie,
    }
end

-- Runs before the functions of the API that are somebody's own; they find him in ngx.ctx.session.
function _M.required()
    local session = _M.session()
    if not session then
        ngx.header["WWW-Authenticate"] = "Bearer"
        return reply.fail(401, "please log in")
    end
    if session.by_cookie and not SAFE[ngx.req.get_method()] and ngx.var.http_x_csrf_token ~= session.csrf then
        return reply.fail(403, "the field X-CSRF-Token is missing or wrong")
    end
    limits.request(session.user)
    ngx.ctx.session = session
end

return _M
