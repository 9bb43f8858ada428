-- Settings: from the environment, since passwords do not belong into files that are copied around.
-- A variable that the server is to see has its line `env NAME;` in conf/nginx.conf.

local random = require "resty.random"
local to_hex = require("resty.string").to_hex

local function setting(name, default)
    local value = os.getenv("NOTES_" .. name)
    if value == nil or value == "" then
        return default
    end
    return value
end

local function number(name, default)
    local value = tonumber(setting(name, default))
    return value or error("NOTES_" .. name .. " has to be a number")
end

-- Who knows it can make himself anybody: 32 bytes or more, the same on every machine that serves notes.
local function secret()
    local value = setting("SECRET")
    if not value then
        ngx.log(ngx.WARN, "NOTES_SECRET is not set: all are logged out when the server starts anew")
        return to_hex(random.bytes(32, true))
    end
    if #value < 32 then
        error("NOTES_SECRET has to have 32 bytes or more: openssl rand -hex 32")
    end
    return value
end

return {
    database = {
        host = setting("DB_HOST", "127.0.0.1"),
        port = number("DB_PORT", 3306),
        database = setting("DB_NAME", "notes"),
        user = setting("DB_USER", "notes"),
        password = setting("DB_PASSWORD", ""),
        charset = "utf8mb4",
    },
    redis = {
        host = setting("REDIS_HOST", "127.0.0.1"),
        port = number("REDIS_PORT", 6379),
    },
    secret = secret(),
    session_seconds = 8 * 3600,
    -- 1: behind TLS, as everywhere but at home. The cookie is sent over TLS only then.
    https = setting("HTTPS") == "1",
    -- Passwords that an address may get wrong in five minutes.
    tries = number("TRIES", 10),
    -- Requests of a user in a minute.
    requests = number("REQUESTS", 300),
}
