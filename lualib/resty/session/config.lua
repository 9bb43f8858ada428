-- The settings of resty.session: defaults, what is given, and what is made of both.

local digest = require "resty.openssl.digest"
local format = require "resty.session.format"
local rand = require "resty.openssl.rand"

local concat = table.concat
local error = error
local find = string.find
local ipairs = ipairs
local ngx = ngx
local pairs = pairs
local tostring = tostring
local type = type

local _M = {}

local DEFAULTS = {
    cookie_name = "session",
    cookie_path = "/",
    cookie_http_only = true,
    cookie_same_site = "Lax",
    remember_safety = "Medium",
    remember_cookie_name = "remember",
    audience = "default",
    stale_ttl = 10,
    idling_timeout = 900,
    rolling_timeout = 3600,
    absolute_timeout = 86400,
    remember_rolling_timeout = 604800,
    remember_absolute_timeout = 2592000,
    touch_threshold = 60,
    compression_threshold = 1024,
}

local OPTIONAL = {
    "secret", "secret_fallbacks", "ikm", "ikm_fallbacks", "cookie_prefix", "cookie_domain", "cookie_secure",
    "cookie_priority", "cookie_same_party", "cookie_partitioned", "remember", "subject",
    "enforce_same_subject", "hash_storage_key", "hash_subject", "store_metadata", "bind", "request_headers",
    "response_headers", "storage",
}

local SAME_SITE = { Lax = "Lax", Strict = "Strict", None = "None", Default = false }
local PRIORITY = { Low = true, Medium = true, High = true }
local PREFIX = { ["__Host-"] = true, ["__Secure-"] = true }
local BIND = { ["ip"] = "remote_addr", ["scheme"] = "scheme", ["user-agent"] = "http_user_agent" }

-- ------------------------------------------------------------- keys

local random_ikm, told

-- Keying material for a server that is told no secret. Made before the workers are, all share it.
local function default_ikm()
    local phase = ngx.get_phase()
    random_ikm = random_ikm or rand.bytes(32, true)
    if phase ~= "init" and not told and ngx.worker.count() > 1 and not _M.shared then
        told = true
        ngx.log(ngx.WARN, "sessions have no secret: a worker knows only its own, until it ends")
    end
    return random_ikm
end

local function hash(secret)
    return digest.new("sha256"):final(secret)
end

-- All keying materials: the first signs, the others are only known.
local function keys_of(config)
    local list = {}
    if config.ikm then
        list[1] = config.ikm
    elseif config.secret then
        list[1] = hash(config.secret)
    else
        list[1] = default_ikm()
    end
    for _, ikm in ipairs(config.ikm_fallbacks or {}) do
        list[#list + 1] = ikm
    end
    for _, secret in ipairs(config.secret_fallbacks or {}) do
        list[#list + 1] = hash(secret)
    end
    for _, ikm in ipairs(list) do
        if type(ikm) ~= "string" or #ikm ~= 32 then
            error("an ikm has 32 bytes", 0)
        end
    end
    return list
end

-- ------------------------------------------------------------- storages

local KNOWN = { redis = "resty.session.redis", shm = "resty.session.shm" }

local function storage_of(config, given)
    local storage = config.storage
    if storage == nil or storage == "cookie" then
        return nil
    elseif type(storage) == "string" then
        return require(KNOWN[storage] or storage).new(given[storage])
    elseif type(storage) ~= "table" or not storage.set or not storage.get then
        error("bad option storage: a name, or a table with set, get and delete", 0)
    end
    return storage
end

-- ------------------------------------------------------------- cookies

local function check_name(option, name)
    if type(name) ~= "string" or name == "" or find(name, '[%c%s=;,"]') then
        error("bad option " .. option, 0)
    end
end

local function attributes_of(config)
    local prefix = config.cookie_prefix
    if prefix ~= nil and not PREFIX[prefix] then
        error('bad option cookie_prefix: "__Host-" or "__Secure-" expected', 0)
    end
    local same_site = config.cookie_same_site
    if same_site and SAME_SITE[same_site] == nil then
        error("bad option cookie_same_site", 0)
    end
    if config.cookie_priority and not PRIORITY[config.cookie_priority] then
        error("bad option cookie_priority", 0)
    end
    for _, option in ipairs { "cookie_path", "cookie_domain" } do
        if config[option] and find(tostring(config[option]), "[%c;]") then
            error("bad option " .. option, 0)
        end
    end
    local is_host = prefix == "__Host-"
    local parts = { "; Path=", is_host and "/" or config.cookie_path }
    local function add(text)
        parts[#parts + 1] = text
    end
    if config.cookie_domain and not is_host and config.cookie_domain ~= "localhost" then
        add("; Domain=" .. config.cookie_domain)
    end
    if same_site and SAME_SITE[same_site] then
        add("; SameSite=" .. same_site)
    end
    if config.cookie_same_party then
        add("; SameParty")
    end
    if config.cookie_partitioned then
        add("; Partitioned")
    end
    if config.cookie_priority then
        add("; Priority=" .. config.cookie_priority)
    end
    if config.cookie_http_only then
        add("; HttpOnly")
    end
    return concat(parts)
end

-- ------------------------------------------------------------- all together

-- What the session is bound to of this request, beside its cookie's name.
local function bound_to(config, name)
    local parts = { name }
    for i, what in ipairs(config.bind or {}) do
        parts[i + 1] = ngx.var[BIND[what]] or ""
    end
    return concat(parts, "\n")
end

_M.bound_to = bound_to

local TIMES = {
    "stale_ttl", "idling_timeout", "rolling_timeout", "absolute_timeout", "remember_rolling_timeout",
    "remember_absolute_timeout", "touch_threshold", "compression_threshold",
}

local function check(config)
    check_name("cookie_name", config.cookie_name)
    check_name("remember_cookie_name", config.remember_cookie_name)
    for _, option in ipairs(TIMES) do
        if type(config[option]) ~= "number" or config[option] < 0 then
            error("bad option " .. option .. ": a number of 0 or more expected", 0)
        end
    end
    for _, what in ipairs(config.bind or {}) do
        if not BIND[what] then
            error("bad option bind: ip, scheme or user-agent expected", 0)
        end
    end
    local safety = config.remember_safety
    if safety ~= "None" and not format.ITERATIONS[safety] then
        error("bad option remember_safety", 0)
    end
end

-- The configuration of a session: of `given`, else of `common`, else the default.
function _M.make(common, given)
    local config = {}
    for name, value in pairs(DEFAULTS) do
        config[name] = value
    end
    for _, source in ipairs { common or {}, given or {} } do
        for name in pairs(DEFAULTS) do
            if source[name] ~= nil then
                config[name] = source[name]
            end
        end
        for _, name in ipairs(OPTIONAL) do
            if source[name] ~= nil then
                config[name] = source[name]
            end
        end
    end
    check(config)
    config.keys = keys_of(config)
    config.store = storage_of(config, given and given[config.storage or ""] and given or common or {})
    config.attributes = attributes_of(config)
    local prefix = config.cookie_prefix or ""
    config.session_name = prefix .. config.cookie_name
    config.remember_name = prefix .. config.remember_cookie_name
    return config
end

-- In the master, before there are workers: they all get this.
function _M.share()
    if ngx.get_phase() == "init" then
        random_ikm = random_ikm or rand.bytes(32, true)
        _M.shared = true
    end
end

return _M
