-- A session as bytes, for resty.session: packed, encrypted, put into cookies or a storage, and read again.
--
-- What stands in a cookie or a storage is encrypted JSON, { a = { { data, audience, subject }, … }, i = info },
-- compressed when it is long. With a storage the info is behind it, in clear, as JSON. `self` is the session's
-- object.

local config_of = require "resty.session.config"
local cookies_of = require "resty.session.cookies"
local deflate = require "resty.websocket.deflate"
local digest = require "resty.openssl.digest"
local format = require "resty.session.format"
local json = require("cjson.safe").new()

local band = bit.band
local bor = bit.bor
local ipairs = ipairs
local match = string.match
local max = math.max
local min = math.min
local next = next
local ngx = ngx
local select = select
local sub = string.sub
local tostring = tostring
local type = type

local STORED, REMEMBER, DEFLATED, WANTED = format.STORED, format.REMEMBER, format.DEFLATED, format.WANTED
local MAX_PLAIN = 32 * 1024 * 1024

json.decode_array_with_array_mt(true)
json.encode_number_precision(16)

local codec

-- Raw DEFLATE, by the streams that WebSocket connections use.
local function compressor()
    if not codec then
        codec = select(2, deflate.accept("permessage-deflate; server_no_context_takeover; client_no_context_takeover"))
    end
    return codec
end

local function pack_data(self, with_info)
    local list = {}
    for i, entry in ipairs(self.entries) do
        list[i] = { entry.data, entry.audience, entry.subject }
    end
    local text, err = json.encode { a = list, i = with_info and next(self.info.data) and self.info.data or nil }
    if not text then
        return nil, "unable to encode session data: " .. tostring(err)
    end
    local threshold = self.config.compression_threshold
    if threshold > 0 and #text >= threshold then
        local small = compressor():deflate(text, true)
        if small and #small < #text then
            return small, DEFLATED
        end
    end
    return text, 0
end

-- The entries and the info of data; nil: they are none.
local function unpack_data(text, flags)
    if band(flags, DEFLATED) ~= 0 then
        text = compressor():inflate(text, true, MAX_PLAIN)
        if not text then
            codec = nil
            return nil
        end
    end
    local object = json.decode(text)
    if type(object) ~= "table" or type(object.a) ~= "table" then
        return nil
    end
    local entries = {}
    for i, entry in ipairs(object.a) do
        entries[i] = { data = entry[1], audience = entry[2], subject = entry[3] }
    end
    return entries, object.i
end

-- ------------------------------------------------------------- storage

local function storage_key(config, id)
    if config.hash_storage_key then
        id = digest.new("sha256"):final(id)
    end
    return format.encode(id)
end

local function metadata_of(self)
    if not self.config.store_metadata then
        return nil
    end
    local audiences, subjects = {}, {}
    for _, entry in ipairs(self.entries) do
        local subject = entry.subject
        if subject then
            if self.config.hash_subject then
                subject = format.encode(digest.new("sha256"):final(subject))
            end
            audiences[#audiences + 1], subjects[#subjects + 1] = entry.audience, subject
        end
    end
    return audiences[1] and { audiences = audiences, subjects = subjects } or nil
end

-- What is stored: the encrypted data, and the info, which is not encrypted.
local function stored_value(self, secret)
    local text = format.encode(secret)
    if next(self.info.data) then
        return text .. "." .. json.encode(self.info.data)
    end
    return text
end

-- ------------------------------------------------------------- reading

local function left_of(limit, spent)
    return limit > 0 and max(0, limit - max(0, spent)) or nil
end

-- Which timeout is over; nil.
local function check_times(config, meta, is_remember)
    local age = ngx.time() - meta.created
    local since_save = age - meta.rolling
    if is_remember then
        if left_of(config.remember_absolute_timeout, age) == 0 then
            return "session remember absolute timeout exceeded"
        elseif left_of(config.remember_rolling_timeout, since_save) == 0 then
            return "session remember rolling timeout exceeded"
        end
        return nil
    end
    if left_of(config.absolute_timeout, age) == 0 then
        return "session absolute timeout exceeded"
    elseif left_of(config.rolling_timeout, since_save) == 0 then
        return "session rolling timeout exceeded"
    elseif left_of(config.idling_timeout, since_save - meta.idling) == 0 then
        return "session idling timeout exceeded"
    end
end

-- The encrypted data of a session, from its cookies or its storage; and its info.
local function load_data(self, name, meta)
    local config = self.config
    local store = config.store
    if not store then
        local size = format.ENCODED + format.encoded_size(meta.size)
        local text = cookies_of.join(self.cookies, name, size)
        if #text ~= size then
            return nil, "missing session data"
        end
        meta.text = sub(text, format.ENCODED + 1)
        return format.decode(meta.text) or nil, "invalid session data"
    end
    local value, err = store:get(name, storage_key(config, meta.id))
    if not value then
        return nil, err and "unable to load session: " .. err or "missing session data"
    end
    local text, info = match(value, "^([%w_-]*)%.?(.*)$")
    return text and format.decode(text) or nil, "invalid session data", info
end

-- Opens one of the two cookies: its meta, entries and info; nil and an error.
local function read(self, name, is_remember)
    local config, value = self.config, self.cookies[name]
    if not value then
        return nil, "missing session cookie"
    end
    local meta, which = format.parse(sub(value, 1, format.ENCODED), config.keys,
                                     config_of.bound_to(config, name))
    if not meta then
        return nil, which
    end
    if (band(meta.flags, STORED) ~= 0) ~= (config.store ~= nil)
        or (band(meta.flags, REMEMBER) ~= 0) ~= is_remember then
        return nil, "invalid session flags"
    end
    local err = check_times(config, meta, is_remember)
    if err then
        return nil, err
    end
    local secret, info
    secret, err, info = load_data(self, name, meta)
    if not secret then
        return nil, err
    end
    local safety = is_remember and config.remember_safety or nil
    local text = format.decrypt(meta, config.keys[which], safety, secret)
    if not text then
        return nil, "unable to decrypt session data"
    end
    local entries, more = unpack_data(text, meta.flags)
    if not entries then
        return nil, "invalid session data"
    end
    meta.key = which
    if info and info ~= "" then
        more = json.decode(info)
    end
    return meta, entries, more
end

-- ------------------------------------------------------------- writing

local function ttl_of(config, meta, is_remember)
    local age = ngx.time() - meta.created
    local absolute = is_remember and config.remember_absolute_timeout or config.absolute_timeout
    local rolling = is_remember and config.remember_rolling_timeout or config.rolling_timeout
    if absolute > 0 then
        local left = max(1, absolute - age)
        return rolling > 0 and min(rolling, left) or left
    end
    return rolling
end

-- Makes a new session of the same data, in place of `old`: its meta; nil and an error.
local function write(self, name, old, is_remember, data, flags)
    local config = self.config
    local store, now = config.store, ngx.time()
    local id, err = format.new_id()
    if not id then
        return nil, err
    end
    local created = old and old.created or now
    local meta = {
        id = id, created = created, rolling = max(0, now - created), idling = 0, key = 1,
        flags = bor(flags, store and STORED or 0, is_remember and REMEMBER or 0, self.remember and WANTED or 0),
    }
    local safety = is_remember and config.remember_safety or nil
    local secret
    secret, err = format.encrypt(meta, config.keys[1], safety, data)
    if not secret then
        return nil, err
    end
    local header
    header, err = format.header(meta, config.keys[1], config_of.bound_to(config, name))
    if not header then
        return nil, err
    end
    local ttl = ttl_of(config, meta, is_remember)
    if store then
        local ok
        ok, err = store:set(name, storage_key(config, id), stored_value(self, secret), ttl, now,
                            old and storage_key(config, old.id), config.stale_ttl, metadata_of(self))
        if not ok then
            return nil, "unable to store session: " .. tostring(err)
        end
        meta.secret = secret
    else
        meta.text = format.encode(secret)
        header = header .. meta.text
        if not cookies_of.chunks(name, #header) then
            return nil, "session data is too large"
        end
    end
    cookies_of.send(config, self.cookies, name, header, is_remember and ttl > 0 and ttl or nil)
    return meta
end

return {
    left_of = left_of,
    metadata_of = metadata_of,
    pack_data = pack_data,
    read = read,
    storage_key = storage_key,
    stored_value = stored_value,
    ttl_of = ttl_of,
    write = write,
}
