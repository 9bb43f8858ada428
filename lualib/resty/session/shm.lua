--- resty.session.shm: keeps the data of sessions in a shared dictionary.
--
--     lua_shared_dict sessions 10m;
--
--     require("resty.session").init { storage = "shm", shm = { zone = "sessions" } }
--
-- All workers of a server share it, and it survives reloads, but not restarts. When it is full, the
-- sessions that were not used for the longest time go, and the log says so.

local log = ngx.log
local setmetatable = setmetatable
local shared = ngx.shared

local WARN = ngx.WARN

local _M = {}

---@class resty.session.shm
local methods = {}
local mt = { __index = methods }

---@class resty.session.shm.options
---@field zone? string the dictionary's name; "sessions"
---@field prefix? string in front of each key
---@field suffix? string behind each key

--- Makes a storage.
---@param options? resty.session.shm.options
---@return resty.session.shm
function _M.new(options)
    options = options or {}
    return setmetatable({
        zone = options.zone or "sessions",
        prefix = options.prefix and options.prefix .. ":" or "",
        suffix = options.suffix and ":" .. options.suffix or "",
    }, mt)
end

local function place(self, name, key)
    local dict = shared[self.zone]
    if not dict then
        return nil, 'there is no lua_shared_dict "' .. self.zone .. '"'
    end
    return dict, self.prefix .. name .. ":" .. key .. self.suffix
end

--- Keeps a session's data.
---@param name string the cookie's
---@param key string
---@param value string
---@param ttl number seconds; 0: for ever
---@param current_time number
---@param old_key? string of the session that this one replaces
---@param stale_ttl? number seconds that the old one stays
---@return boolean? ok
---@return string? err
function methods:set(name, key, value, ttl, current_time, old_key, stale_ttl)
    local dict, full = place(self, name, key)
    if not dict then
        return nil, full
    end
    local ok, err, forcible = dict:set(full, value, ttl)
    if not ok then
        return nil, err
    end
    if forcible then
        log(WARN, 'lua_shared_dict "', self.zone, '" is full: older sessions are forgotten')
    end
    if old_key then
        self:expire(name, old_key, stale_ttl)
    end
    return true
end

-- Lets a session go after some seconds.
function methods:expire(name, key, ttl)
    local dict, full = place(self, name, key)
    if not ttl or ttl <= 0 then
        dict:delete(full)
        return
    end
    local left = dict:ttl(full)
    if left and (left == 0 or left > ttl) then
        dict:expire(full, ttl)
    end
end

--- The data of a session.
---@param name string
---@param key string
---@return string? value nil without an error: there is no such session
---@return string? err
function methods:get(name, key)
    local dict, full = place(self, name, key)
    if not dict then
        return nil, full
    end
    return (dict:get(full))
end

--- Forgets a session.
---@param name string
---@param key string
---@return boolean? ok
---@return string? err
function methods:delete(name, key)
    local dict, full = place(self, name, key)
    if not dict then
        return nil, full
    end
    return dict:delete(full)
end

return _M
