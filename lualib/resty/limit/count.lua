--- resty.limit.count: so many requests for a key in a window of time, in a shared dictionary.
--
--     -- lua_shared_dict my_counts 10m;
--     local lim = assert(require("resty.limit.count").new("my_counts", 5000, 3600))
--     local delay, err = lim:incoming(key, true)
--     if not delay then
--         return ngx.exit(err == "rejected" and 503 or 500)
--     end
--     ngx.header["X-RateLimit-Remaining"] = err
--
-- The window begins with a key's first request. Other errors than "rejected" are what the
-- dictionary reports, and "shared dict not found" from new().

local assert = assert
local setmetatable = setmetatable
local shared = ngx.shared

local _M = { _VERSION = "0.09" }

---@class resty.limit.count
local mt = { __index = _M }

--- Makes a limiter. It has no state of its own and may be shared by requests.
---@param dict_name string
---@param limit integer requests
---@param window number seconds
---@return resty.limit.count? lim
---@return string? err
function _M.new(dict_name, limit, window)
    local dict = shared[dict_name]
    if not dict then
        return nil, "shared dict not found"
    end
    assert(limit > 0 and window > 0)
    return setmetatable({ dict = dict, limit = limit, window = window }, mt)
end

local function count(self, key, commit)
    if commit then
        return self.dict:incr(key, -1, self.limit, self.window)
    end
    local remaining, err = self.dict:get(key)
    if err then
        return nil, err
    end
    return (remaining or self.limit) - 1
end

--- Counts a request.
---@param key string
---@param commit? boolean without it, this only asks
---@return integer? delay 0
---@return integer|string remaining requests that may still come; or "rejected" or another error
function _M.incoming(self, key, commit)
    local remaining, err = count(self, key, commit)
    if not remaining then
        return nil, err
    end
    if remaining < 0 then
        if commit then
            self.dict:incr(key, 1)
        end
        return nil, "rejected"
    end
    return 0, remaining
end

--- Takes back what incoming() has counted.
---@param key string
---@return integer? remaining
---@return string? err
function _M.uncommit(self, key)
    local remaining, err = self.dict:incr(key, 1)
    if remaining then
        return remaining
    elseif err == "not found" then
        return self.limit
    end
    return nil, err
end

return _M
