--- resty.session: sessions, kept in an encrypted cookie, in Redis or in a shared dictionary.
--
--     -- init_by_lua_block
--     require("resty.session").init { secret = os.getenv "SESSION_SECRET", storage = "cookie" }
--
--     -- login
--     local session = require("resty.session").new()
--     session:set_subject("dewi@example.com")
--     session:set("cart", { 1, 2 })
--     local ok, err = session:save()
--
--     -- another request
--     local session, err, exists = require("resty.session").start()
--     if not exists then return ngx.redirect("/login") end
--     ngx.say(session:get_subject())
--     session.data.seen = ngx.time()                        -- the same table that get() and set() work on
--     session:save()
--
--     -- logout
--     require("resty.session").destroy()
--
-- The browser holds a cookie with an id of 32 random bytes, times and a signature; the data are encrypted
-- with AES-256-GCM, with keys that are derived from the secret and the id. They stand behind in the cookie
-- (storage "cookie"), or under the id in a storage. Every save makes a new id, so an id that somebody
-- planted before a login is worth nothing after it; the old one is good for `stale_ttl` seconds more,
-- for requests that are under way. Requests that save at the same time do not wait for each other: the
-- browser keeps the cookie that comes last.
--
-- A cookie can't be called back: who has copied one may use it until its timeouts, also after a logout,
-- when the data are in it. With a storage, logout and destroy end a session for everybody.
--
-- Timeouts, in seconds; 0: none. idling_timeout: since the last request; rolling_timeout: since the last
-- save (refresh() saves when three quarters are over); absolute_timeout: since the session began.
--
-- Secrets rotate: the new one as `secret`, those before it in `secret_fallbacks` until their sessions are
-- over. refresh() saves what an old one has signed. Without any secret, a random one is made when the module
-- is loaded: load it in init_by_lua, or the workers have different ones.
--
-- "Remember me": session:set_remember(true) before save() adds a persistent cookie. When the session is over,
-- open() makes a new one of it. Its key is derived slowly, as `remember_safety` says: "None", "Low" (1,000
-- rounds of PBKDF2), "Medium" (10,000, some milliseconds), "High" (100,000), "Very High" (1,000,000: the
-- worker does nothing else for a second). With `remember = false` such cookies are not taken.
--
-- An audience is an application: several share the cookie, each has its own data and subject.
--
-- Data are JSON: numbers, texts, booleans, arrays, objects. In cookies there is room for some 27,000 bytes,
-- in up to 9 cookies; of more than 8 KB, `large_client_header_buffers` has to be told. More than
-- `compression_threshold` bytes are compressed first.
--
-- open() and start() always give a session, a new one when there is none, and say why: "missing session
-- cookie", "invalid session header", "invalid session message authentication code", "session idling timeout
-- exceeded" (rolling, absolute), "missing session data", "unable to decrypt session data", "missing session
-- audience", "unable to load session: …" (the storage's reason). save(): "unable to encode session data: …",
-- "session data is too large", "unable to store session: …", "headers are sent already". What is wrong in
-- a configuration raises an error.

local config_of = require "resty.session.config"
local cookies_of = require "resty.session.cookies"
local format = require "resty.session.format"
local record = require "resty.session.record"

local band = bit.band
local error = error
local gsub = string.gsub
local ipairs = ipairs
local left_of = record.left_of
local lower = string.lower
local match = string.match
local max = math.max
local min = math.min
local next = next
local ngx = ngx
local select = select
local setmetatable = setmetatable
local sub = string.sub
local tostring = tostring
local type = type

local _M = { _VERSION = "4.1.5" }

---@class resty.session
---@field data table of the current audience
---@field present boolean whether the request had it
local methods = {}
local mt = { __index = methods }

---@class resty.session.options
---@field secret? string any text; keys are derived from its SHA-256
---@field secret_fallbacks? string[] earlier ones that are still taken
---@field ikm? string keying material of exactly 32 bytes, in place of a secret
---@field ikm_fallbacks? string[]
---@field cookie_name? string "session"
---@field cookie_prefix? string "__Host-" or "__Secure-"
---@field cookie_path? string "/"
---@field cookie_domain? string
---@field cookie_http_only? boolean true
---@field cookie_secure? boolean by default whether the request came with TLS
---@field cookie_same_site? string "Lax" (default), "Strict", "None", "Default"
---@field cookie_priority? string "Low", "Medium", "High"
---@field cookie_same_party? boolean
---@field cookie_partitioned? boolean
---@field idling_timeout? number 900
---@field rolling_timeout? number 3600
---@field absolute_timeout? number 86400
---@field stale_ttl? number seconds that a session stays in its storage after it was saved anew; 10
---@field touch_threshold? number refresh() touches after so many seconds; 60
---@field remember? boolean whether sessions have a persistent cookie
---@field remember_safety? string "None", "Low", "Medium" (default), "High", "Very High"
---@field remember_cookie_name? string "remember"
---@field remember_rolling_timeout? number 604800
---@field remember_absolute_timeout? number 2592000
---@field audience? string "default"
---@field subject? string
---@field enforce_same_subject? boolean save() drops the audiences of another subject
---@field hash_storage_key? boolean the storage's key is a hash of the id: it is worth nothing without the cookie
---@field store_metadata? boolean Redis also has the sessions of each subject
---@field hash_subject? boolean with store_metadata: a hash in place of the subject
---@field compression_threshold? number bytes; 1024; 0: never
---@field bind? string[] what must stay the same: "ip", "scheme", "user-agent"
---@field request_headers? string[] what set_headers() tells an upstream: names of get_property()
---@field response_headers? string[] what it tells the client
---@field storage? string|table "cookie" (default), "redis", "shm", a module's name, or an object with set, get, delete
---@field redis? resty.session.redis.options
---@field shm? resty.session.shm.options

-- ------------------------------------------------------------- opening and saving

-- Makes the audience's entry the current one; whether there was one.
local function select_audience(self)
    for _, entry in ipairs(self.entries) do
        if entry.audience == self.audience then
            self.entry, self.data = entry, entry.data
            return true
        end
    end
    local entry = { data = {}, audience = self.audience }
    self.entries[#self.entries + 1] = entry
    self.entry, self.data = entry, entry.data
    return false
end

-- data may have been replaced by the program.
local function keep_data(self)
    if type(self.data) == "table" then
        self.entry.data = self.data
    end
end

local function check_open(self)
    if self.state == "closed" then
        error("the session is closed", 3)
    end
end

local function adopt(self, entries, info)
    self.entries = entries
    self.info.data = type(info) == "table" and info or {}
    self.present = true
end

-- Without the audiences that have nothing, or that another subject has left.
local function drop_entries(self)
    local kept = {}
    for _, entry in ipairs(self.entries) do
        local is_other = self.config.enforce_same_subject and entry.subject ~= self.entry.subject
        if entry == self.entry or next(entry.data) and not is_other
            or entry.subject and not is_other then
            kept[#kept + 1] = entry
        end
    end
    self.entries = kept
end

--- Saves the session: a new id, and its cookie in the response.
---@return boolean? ok
---@return string? err
function methods:save()
    check_open(self)
    if ngx.headers_sent then
        return nil, "headers are sent already"
    end
    keep_data(self)
    drop_entries(self)
    local config = self.config
    local data, flags = record.pack_data(self, not config.store)
    if not data then
        return nil, flags
    end
    local meta, err = record.write(self, config.session_name, self.meta, false, data, flags)
    if not meta then
        return nil, err
    end
    self.meta, self.state = meta, "open"
    if self.remember then
        meta, err = record.write(self, config.remember_name, self.remembered, true, data, flags)
        if not meta then
            return nil, err
        end
        self.remembered = meta
    end
    return true
end

-- A session of the persistent cookie, when there is one.
local function open_remembered(self)
    local config = self.config
    if config.remember == false or not self.cookies[config.remember_name] then
        return nil
    end
    local meta, entries, info = record.read(self, config.remember_name, true)
    if not meta then
        return nil, entries
    end
    adopt(self, entries, info)
    self.remembered, self.remember = meta, true
    local found = select_audience(self)
    if not ngx.headers_sent then
        local ok, err = self:save()
        if not ok then
            return nil, err
        end
    end
    return found or nil, "missing session audience"
end

--- Opens the session that the request's cookie tells of.
---@return boolean? ok
---@return string? err
function methods:open()
    check_open(self)
    self.cookies = cookies_of.of_request()
    local meta, entries, info = record.read(self, self.config.session_name, false)
    if not meta then
        local ok, err = open_remembered(self)
        return ok, not ok and (err or entries) or nil
    end
    adopt(self, entries, info)
    self.meta, self.state = meta, "open"
    if band(meta.flags, format.WANTED) ~= 0 and self.config.remember ~= false then
        self.remember = true
        local name = self.config.remember_name
        if self.cookies[name] then
            -- Only its times and its id are wanted, for the next save: no slow key for that.
            self.remembered = format.parse(sub(self.cookies[name], 1, format.ENCODED), self.config.keys,
                                           config_of.bound_to(self.config, name))
        end
    end
    if not select_audience(self) then
        self.present = false
        return nil, "missing session audience"
    end
    return true
end

--- Tells the browser that the session is in use: the same id, with a later time.
---@return boolean? ok
---@return string? err
function methods:touch()
    check_open(self)
    local meta, config = self.meta, self.config
    if not meta then
        return nil, "unable to touch a session that is not open"
    elseif ngx.headers_sent then
        return nil, "headers are sent already"
    elseif meta.key ~= 1 then
        return self:save()
    end
    meta.idling = max(0, ngx.time() - meta.created - meta.rolling)
    local name = config.session_name
    local header, err = format.header(meta, config.keys[1], config_of.bound_to(config, name))
    if not header then
        return nil, err
    end
    cookies_of.send_first(config, name, header .. (meta.text or ""))
    return true
end

--- Saves the session when three quarters of its rolling timeout are over or its secret is an old one,
--- and touches it when its last time is older than touch_threshold.
---@return boolean? ok
---@return string? err
function methods:refresh()
    check_open(self)
    local meta, config = self.meta, self.config
    if not meta then
        return nil, "unable to refresh a session that is not open"
    end
    local since_save = ngx.time() - meta.created - meta.rolling
    if meta.key ~= 1 or config.rolling_timeout > 0 and since_save >= config.rolling_timeout * 0.75 then
        return self:save()
    elseif config.idling_timeout > 0 and since_save - meta.idling > config.touch_threshold then
        return self:touch()
    end
    return true
end

-- Deletes what the storage has of a meta.
local function forget(self, name, meta)
    local store = self.config.store
    if not store or not meta or not store.delete then
        return true
    end
    local key = record.storage_key(self.config, meta.id)
    local ok, err = store:delete(name, key, ngx.time(), record.metadata_of(self))
    if not ok then
        return nil, "unable to delete session: " .. tostring(err)
    end
    return true
end

--- Ends the session: deletes its data, and has the browser forget its cookies.
---@return boolean? ok
---@return string? err
function methods:destroy()
    check_open(self)
    local config = self.config
    keep_data(self)
    local ok, err = forget(self, config.session_name, self.meta)
    local also, more = forget(self, config.remember_name, self.remembered)
    self.entries, self.meta, self.remembered, self.present = {}, nil, nil, false
    self.info.data, self.state = {}, "new"
    select_audience(self)
    if ngx.headers_sent then
        return nil, "headers are sent already"
    end
    cookies_of.clear(config, self.cookies, config.session_name)
    cookies_of.clear(config, self.cookies, config.remember_name)
    if not ok or not also then
        return nil, err or more
    end
    return true
end

--- Ends the session of the current audience; with the last one, the whole.
---@return boolean? ok
---@return string? err
function methods:logout()
    check_open(self)
    local kept = {}
    for _, entry in ipairs(self.entries) do
        if entry ~= self.entry then
            kept[#kept + 1] = entry
        end
    end
    if not kept[1] then
        return self:destroy()
    end
    self.entries, self.entry = kept, kept[1]
    self.data = kept[1].data
    local ok, err = self:save()
    select_audience(self)
    self.present = false
    return ok, err
end

--- Closes the object: it can't be used any more.
function methods:close()
    self.state = "closed"
end

--- A new id at once, with save(). For programs of older versions.
---@param flush? boolean forget the data, too
---@return boolean? ok
---@return string? err
function methods:regenerate(flush)
    if flush then
        self.data = {}
    end
    return self:save()
end

-- ------------------------------------------------------------- values

--- Replaces the data.
---@param data table
function methods:set_data(data)
    check_open(self)
    if type(data) ~= "table" then
        error("session data are a table", 2)
    end
    self.data, self.entry.data = data, data
end

--- The data of the current audience.
---@return table
function methods:get_data()
    check_open(self)
    return self.data
end

--- Sets one value.
---@param key string
---@param value any nil takes it away
function methods:set(key, value)
    check_open(self)
    self.data[key] = value
end

--- One value.
---@param key string
---@return any
function methods:get(key)
    check_open(self)
    return self.data[key]
end

--- Makes another audience the current one; its data stay in the session.
---@param audience string
function methods:set_audience(audience)
    check_open(self)
    if audience == self.audience then
        return
    end
    keep_data(self)
    self.audience = audience
    -- A new session that has nothing yet just changes its audience.
    if not self.meta and #self.entries == 1 then
        self.entry.audience = audience
        return
    end
    self.present = select_audience(self)
end

--- The current audience.
---@return string
function methods:get_audience()
    check_open(self)
    return self.audience
end

--- Says whose session it is.
---@param subject? string
function methods:set_subject(subject)
    check_open(self)
    self.entry.subject = subject
end

--- Whose session it is.
---@return string?
function methods:get_subject()
    check_open(self)
    return self.entry.subject
end

--- Whether save() makes a persistent cookie, too. false also takes it away again.
---@param value boolean
function methods:set_remember(value)
    check_open(self)
    self.remember = value and true or false
    if not value and self.cookies[self.config.remember_name] and not ngx.headers_sent then
        forget(self, self.config.remember_name, self.remembered)
        self.remembered = nil
        cookies_of.clear(self.config, self.cookies, self.config.remember_name)
    end
end

--- Whether the session has a persistent cookie.
---@return boolean
function methods:get_remember()
    check_open(self)
    return self.remember
end

local function timeouts(self)
    local meta, config = self.meta, self.config
    local age = max(0, ngx.time() - meta.created)
    local since_save = max(0, age - meta.rolling)
    return left_of(config.idling_timeout, since_save - meta.idling), left_of(config.rolling_timeout, since_save),
        left_of(config.absolute_timeout, age)
end

local properties = {
    ["id"] = function(self) return format.encode(self.meta.id) end,
    ["nonce"] = function(self) return self.meta.id end,
    ["idling-timeout"] = function(self) return (timeouts(self)) end,
    ["rolling-timeout"] = function(self) return (select(2, timeouts(self))) end,
    ["absolute-timeout"] = function(self) return (select(3, timeouts(self))) end,
    ["timeout"] = function(self)
        local idling, rolling, absolute = timeouts(self)
        local nearest = min(idling or math.huge, rolling or math.huge, absolute or math.huge)
        return nearest < math.huge and nearest or nil
    end,
}

--- A property of the session: "id" (43 characters), "nonce" (the id's 32 bytes), "audience", "subject",
--- or what is left, in seconds, of "idling-timeout", "rolling-timeout", "absolute-timeout", and of the
--- nearest of them, "timeout".
---@param name string
---@return any value nil: the session is not open, or has no such limit
function methods:get_property(name)
    check_open(self)
    if name == "audience" then
        return self.audience
    elseif name == "subject" then
        return self.entry.subject
    end
    local property = properties[name]
    if not property then
        error("no such property: " .. tostring(name), 2)
    end
    return self.meta and property(self) or nil
end

-- ------------------------------------------------------------- headers

local function field_name(property)
    return "Session-" .. gsub(property, "%f[%w]%l", string.upper)
end

--- Tells an upstream of the session: the field `Session-Id` for "id", and so on.
---@param ... string properties; by default those of `request_headers`
---@return boolean ok
function methods:set_request_headers(...)
    for _, name in ipairs(select("#", ...) > 0 and { ... } or self.config.request_headers or {}) do
        name = lower(name)
        local value = self:get_property(name)
        if value ~= nil then
            ngx.req.set_header(field_name(name), value)
        else
            -- The client may not say it instead.
            ngx.req.clear_header(field_name(name))
        end
    end
    return true
end

--- Tells the client of the session.
---@param ... string properties; by default those of `response_headers`
---@return boolean? ok
---@return string? err
function methods:set_response_headers(...)
    if ngx.headers_sent then
        return nil, "headers are sent already"
    end
    for _, name in ipairs(select("#", ...) > 0 and { ... } or self.config.response_headers or {}) do
        name = lower(name)
        ngx.header[field_name(name)] = self:get_property(name)
    end
    return true
end

--- Tells both: with names the same to each, without those of the configuration.
---@param ... string
---@return boolean? ok
---@return string? err
function methods:set_headers(...)
    self:set_request_headers(...)
    return self:set_response_headers(...)
end

--- Takes the session's cookies out of the request, so that an upstream does not get them.
---@return boolean ok
function methods:clear_request_cookie()
    check_open(self)
    cookies_of.hide { [self.config.session_name] = true, [self.config.remember_name] = true }
    return true
end

methods.hide = methods.clear_request_cookie

-- ------------------------------------------------------------- info

---@class resty.session.info
local info = {}
local info_mt = { __index = info }

--- Sets a value of the session's info: a part of the data that a storage has in clear, and that
--- session.info:save() writes without a new id and a new cookie.
---@param key string
---@param value any
function info:set(key, value)
    self.data[key] = value
end

--- A value of the session's info.
---@param key string
---@return any
function info:get(key)
    return self.data[key]
end

--- Writes the info to the storage. With cookies it is session:save(), as data may never be encrypted twice
--- under one id.
---@return boolean? ok
---@return string? err
function info:save()
    local session = self.session
    local config, meta = session.config, session.meta
    if not config.store or not meta then
        return session:save()
    end
    local name, key = config.session_name, record.storage_key(config, meta.id)
    if not meta.secret then
        local value, err = config.store:get(name, key)
        if not value then
            return nil, err and "unable to load session: " .. err or "missing session data"
        end
        meta.secret = format.decode(match(value, "^[%w_-]*") or "") or ""
    end
    local value, ttl = record.stored_value(session, meta.secret), record.ttl_of(config, meta, false)
    local ok, err = config.store:set(name, key, value, ttl, ngx.time())
    if not ok then
        return nil, "unable to store session: " .. tostring(err)
    end
    return true
end

-- ------------------------------------------------------------- the module

local common, prepared

--- Sets what all sessions have that are not told otherwise. In init_by_lua.
---@param configuration? resty.session.options
function _M.init(configuration)
    -- What is wrong shows here, not at the first request.
    prepared = config_of.make(configuration)
    common = configuration
end

--- Makes a session. The request's cookie is not looked at: see open().
---@param configuration? resty.session.options
---@return resty.session
function _M.new(configuration)
    local config
    if configuration then
        config = config_of.make(common, configuration)
    else
        prepared = prepared or config_of.make(common)
        config = prepared
    end
    local self = setmetatable({
        config = config,
        cookies = cookies_of.of_request(),
        audience = config.audience,
        remember = config.remember or false,
        entries = {},
        present = false,
        state = "new",
    }, mt)
    self.info = setmetatable({ session = self, data = {} }, info_mt)
    select_audience(self)
    self.entry.subject = config.subject
    return self
end

--- Opens the request's session, or makes a new one.
---@param configuration? resty.session.options
---@return resty.session session
---@return string? err why it is a new one
---@return boolean exists
function _M.open(configuration)
    local self = _M.new(configuration)
    local ok, err = self:open()
    return self, err, ok or false
end

--- The same, and refreshes it.
---@param configuration? resty.session.options
---@return resty.session session
---@return string? err
---@return boolean exists
---@return boolean refreshed
function _M.start(configuration)
    local self, err, exists = _M.open(configuration)
    if not exists then
        return self, err, false, false
    end
    local ok
    ok, err = self:refresh()
    return self, err, true, ok or false
end

-- Opens the request's session and ends it.
local function finish(configuration, method)
    local self, err, exists = _M.open(configuration)
    if not exists then
        if not ngx.headers_sent and err ~= "missing session audience" then
            -- Cookies that are good for nothing need not come again.
            self:destroy()
        end
        return nil, err, false, false
    end
    local ok
    ok, err = method(self)
    return ok, err, true, ok or false
end

--- Logs the current audience out of the request's session.
---@param configuration? resty.session.options
---@return boolean? ok
---@return string? err
---@return boolean exists
---@return boolean logged_out
function _M.logout(configuration)
    return finish(configuration, methods.logout)
end

--- Ends the request's session.
---@param configuration? resty.session.options
---@return boolean? ok
---@return string? err
---@return boolean exists
---@return boolean destroyed
function _M.destroy(configuration)
    return finish(configuration, methods.destroy)
end

config_of.share()

return _M
