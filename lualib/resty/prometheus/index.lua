-- Which series there are: a numbered list of them in the shared dictionary, so that nobody has to go
-- through all of its keys.
--
--     "\0n"        how many numbers have been given
--     "\0" .. i    the key of series i; missing when it was deleted
--     "\1" .. key  its number
--
-- A worker reads each number once. One that has no key yet is being written by another worker, and
-- is asked for again for some seconds; or its series was deleted, and it stays empty.

local pairs, setmetatable = pairs, setmetatable
local now = ngx.now

local PATIENCE = 10

local _M = {}
local mt = { __index = _M }

function _M.new(dict)
    return setmetatable({
        dict = dict,
        read = 0,    -- numbers looked at
        empty = {},  -- number -> when it was found empty
        keys = {},   -- key -> number
    }, mt)
end

-- Adds a series with the value 0. False when it was there already; nil, error.
function _M.add(self, key)
    local dict = self.dict
    local ok, err = dict:safe_add(key, 0)
    if not ok then
        if err == "exists" then
            return false
        end
        return nil, err
    end
    local number
    number, err = dict:incr("\0n", 1, 0)
    if number then
        ok, err = dict:safe_set("\0" .. number, key)
        if ok then
            ok, err = dict:safe_set("\1" .. key, number)
        end
    end
    if not number or not ok then
        dict:delete(key)
        if number then
            dict:delete("\0" .. number)
        end
        return nil, err
    end
    return true
end

function _M.remove(self, key)
    local dict = self.dict
    local number = dict:get("\1" .. key)
    if number then
        dict:delete("\0" .. number)
        dict:delete("\1" .. key)
    end
    dict:delete(key)
end

local function take(self, number)
    local key = self.dict:get("\0" .. number)
    if key then
        self.empty[number] = nil
        self.keys[key] = number
        return true
    end
    return false
end

-- All keys; whether some are new since the last time.
function _M.all(self)
    local count = self.dict:get("\0n") or 0
    if count < self.read then -- the dictionary was emptied
        self.read, self.empty, self.keys = 0, {}, {}
    end
    local fresh = false
    for number = self.read + 1, count do
        if take(self, number) then
            fresh = true
        else
            self.empty[number] = now()
        end
    end
    self.read = count
    for number, since in pairs(self.empty) do
        if take(self, number) then
            fresh = true
        elseif now() - since > PATIENCE then
            self.empty[number] = nil
        end
    end
    return self.keys, fresh
end

-- A key whose series is gone.
function _M.forget(self, key)
    self.keys[key] = nil
end

return _M
