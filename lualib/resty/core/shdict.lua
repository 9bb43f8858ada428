--- ngx.shared.DICT: dictionaries that all workers share (lua_shared_dict).
--
--     local cache = ngx.shared.my_cache
--     local ok, err, forcible = cache:set("key", "value", 60)
--
-- The memory is core/dict.c's: readers do not exclude each other, and a worker that dies in the
-- middle of a write leaves it whole. Errors are nil (or false), message; wrong arguments are raised.

local ffi = require "ffi"
local base = require "resty.core.base"

local C = ffi.C
local ffi_string = ffi.string
local get_string_buf = base.get_string_buf
local get_string_buf_size = base.get_string_buf_size
local type = type
local tostring = tostring
local tonumber = tonumber
local error = error
local setmetatable = setmetatable
local pairs = pairs
local ngx = ngx

ffi.cdef [[
typedef struct bl_dict bl_dict;
typedef struct {
    int type;
    uint32_t flags;
    double number;
    const char *str;
    size_t len;
    bool stale, forcible;
} bl_lua_shdict_value;
int bl_lua_shdict_get(bl_dict *dict, const char *key, size_t key_len, bool stale, char *buffer,
                      size_t room, bl_lua_shdict_value *v);
int bl_lua_shdict_store(bl_dict *dict, int how, const char *key, size_t key_len, double ttl,
                        bl_lua_shdict_value *v);
int bl_lua_shdict_delete(bl_dict *dict, const char *key, size_t key_len);
int bl_lua_shdict_incr(bl_dict *dict, const char *key, size_t key_len, const double *init,
                       double init_ttl, bl_lua_shdict_value *v);
int bl_lua_shdict_incr_ttl(bl_dict *dict, const char *key, size_t key_len, const double *init,
                           double ttl, bl_lua_shdict_value *v);
int bl_lua_shdict_swap(bl_dict *dict, const char *key, size_t key_len, double ttl,
                       const bl_lua_shdict_value *expected, bl_lua_shdict_value *v);
typedef struct { uint64_t entries, expired, used, pages, free; } bl_dict_usage;
void bl_lua_shdict_measure(bl_dict *dict, bl_dict_usage *usage);
int bl_lua_shdict_push(bl_dict *dict, bool left, const char *key, size_t key_len,
                       const bl_lua_shdict_value *v, uint32_t *length);
int bl_lua_shdict_pop(bl_dict *dict, bool left, const char *key, size_t key_len, char *buffer,
                      size_t room, bl_lua_shdict_value *v);
int bl_lua_shdict_llen(bl_dict *dict, const char *key, size_t key_len, uint32_t *length);
int bl_lua_shdict_ttl(bl_dict *dict, const char *key, size_t key_len, double *ttl);
int bl_lua_shdict_expire(bl_dict *dict, const char *key, size_t key_len, double ttl);
double bl_lua_shdict_flush_expired(bl_dict *dict, double max);
void bl_dict_flush_all(bl_dict *dict);
size_t bl_dict_capacity(const bl_dict *dict);
size_t bl_dict_free_space(const bl_dict *dict);
const char *bl_dict_error(int result);
]]

local NIL, BOOLEAN, NUMBER, STRING = 0, 1, 2, 3
local OK, NOT_FOUND, SMALL_BUFFER, CHANGED = 0, 1, 11, 12
local SET, ADD, REPLACE, SAFE_SET, SAFE_ADD = 0, 1, 2, 3, 4

local value = ffi.new("bl_lua_shdict_value")
local expected = ffi.new("bl_lua_shdict_value")
local usage_out = ffi.new("bl_dict_usage")
local length = ffi.new("uint32_t[1]")
local ttl_out = ffi.new("double[1]")
local init_in = ffi.new("double[1]")

local push_keys = ngx.bl_shdict_keys
local push_scan = ngx.bl_shdict_scan
ngx.bl_shdict_keys, ngx.bl_shdict_scan = nil, nil

local _M = {}
_M.__index = _M

-- ---------------------------------------------------------------- arguments

local function dict_of(zone)
    local dict = type(zone) == "table" and zone[1]
    if type(dict) ~= "cdata" then
        error('bad "zone" argument', 3)
    end
    return dict
end

-- The key as a string; nil and why it can't be one.
local function key_of(key)
    if type(key) == "string" then
        if #key == 0 then
            return nil, "empty key"
        end
        if #key > 65535 then
            return nil, "key too long"
        end
        return key
    end
    if key == nil then
        return nil, "nil key"
    end
    return key_of(tostring(key))
end

local function message(result)
    return ffi_string(C.bl_dict_error(result))
end

-- The value that came back, as Lua has it.
local function result_value()
    local kind = value.type
    if kind == STRING then
        return ffi_string(value.str, value.len)
    end
    if kind == NUMBER then
        return value.number
    end
    if kind == BOOLEAN then
        return value.number ~= 0
    end
    return nil
end

-- Fills `value` for storing; false when the type can't be stored.
local function fill(value, v)
    local kind = type(v)
    if kind == "string" then
        value.type = STRING
        value.str = v
        value.len = #v
    elseif kind == "number" then
        value.type = NUMBER
        value.number = v
        value.len = 0
    elseif kind == "boolean" then
        value.type = BOOLEAN
        value.number = v and 1 or 0
        value.len = 0
    elseif v == nil then
        value.type = NIL
        value.len = 0
    else
        return false
    end
    return true
end

local function store_value(v)
    return fill(value, v)
end

-- ---------------------------------------------------------------- reading

local function get(zone, key, stale)
    local dict, err = dict_of(zone), nil
    if type(key) ~= "string" or #key == 0 or #key > 65535 then
        key, err = key_of(key)
        if not key then
            return nil, err
        end
    end
    local size = get_string_buf_size()
    local buffer = get_string_buf(size)
    local result = C.bl_lua_shdict_get(dict, key, #key, stale, buffer, size, value)
    while result == SMALL_BUFFER do
        size = tonumber(value.len)
        buffer = get_string_buf(size)
        result = C.bl_lua_shdict_get(dict, key, #key, stale, buffer, size, value)
    end
    if result == NOT_FOUND then
        return nil
    end
    if result ~= OK then
        return nil, message(result)
    end
    local flags = value.flags
    if stale then
        return result_value(), flags ~= 0 and flags or nil, value.stale
    end
    if flags ~= 0 then
        return result_value(), flags
    end
    return result_value()
end

---@param key string
---@return any value nil: none (or expired)
---@return any flags_or_err
function _M.get(zone, key)
    return get(zone, key, false)
end

---@return any value also one that has expired but is still there
---@return any flags_or_err
---@return boolean? stale
function _M.get_stale(zone, key)
    return get(zone, key, true)
end

--- The values of many keys: a table by key, without those that are not there.
---@param keys string[]
---@return table<string, any>
function _M.get_many(zone, keys)
    dict_of(zone)
    local found = {}
    for i = 1, #keys do
        local key = keys[i]
        local v = get(zone, key, false)
        if v ~= nil then
            found[key] = v
        end
    end
    return found
end

-- ---------------------------------------------------------------- storing

local function store(zone, how, key, v, exptime, flags)
    local dict = dict_of(zone)
    local err
    key, err = key_of(key)
    if not key then
        return nil, err
    end
    if not store_value(v) then
        return nil, "bad value type"
    end
    if exptime == nil then
        exptime = 0
    else
        exptime = tonumber(exptime)
        if not exptime then
            error("bad argument #4 (number expected)", 3)
        end
        if exptime < 0 then
            error('bad "exptime" argument', 3)
        end
    end
    value.flags = flags or 0
    local result = C.bl_lua_shdict_store(dict, how, key, #key, exptime, value)
    if result == OK then
        return true, nil, value.forcible
    end
    return false, message(result), value.forcible
end

---@return boolean|nil ok
---@return string? err
---@return boolean? forcible other entries had to go
function _M.set(zone, key, v, exptime, flags)
    return store(zone, SET, key, v, exptime, flags)
end

function _M.safe_set(zone, key, v, exptime, flags)
    return store(zone, SAFE_SET, key, v, exptime, flags)
end

function _M.add(zone, key, v, exptime, flags)
    return store(zone, ADD, key, v, exptime, flags)
end

function _M.safe_add(zone, key, v, exptime, flags)
    return store(zone, SAFE_ADD, key, v, exptime, flags)
end

function _M.replace(zone, key, v, exptime, flags)
    return store(zone, REPLACE, key, v, exptime, flags)
end

function _M.delete(zone, key)
    return store(zone, SET, key, nil)
end

--- Compare and set: stores `v` only if what is there is `old`. nil stands for nothing in either: it
-- must not be there, or is taken out.
---@param old string|number|boolean|nil
---@param v string|number|boolean|nil
---@return boolean|nil ok
---@return string? err "changed" …
---@return boolean? forcible
function _M.cas(zone, key, old, v, exptime, flags)
    local dict = dict_of(zone)
    local err
    key, err = key_of(key)
    if not key then
        return nil, err
    end
    if not fill(expected, old) or not store_value(v) then
        return nil, "bad value type"
    end
    exptime = exptime or 0
    if type(exptime) ~= "number" or exptime < 0 then
        error('bad "exptime" argument', 2)
    end
    value.flags = flags or 0
    local result = C.bl_lua_shdict_swap(dict, key, #key, exptime, expected, value)
    if result == OK then
        return true, nil, value.forcible
    end
    if result == CHANGED then
        return false, "changed"
    end
    return nil, message(result), value.forcible
end

---@param init number? where the key is missing: stored plus `by`
---@param init_ttl number? seconds
---@param ttl number? seconds that the number lives from now on, each time
---@return number|nil new
---@return string? err
---@return boolean? forcible
function _M.incr(zone, key, by, init, init_ttl, ttl)
    local dict = dict_of(zone)
    local err
    if type(key) ~= "string" or #key == 0 or #key > 65535 then
        key, err = key_of(key)
        if not key then
            return nil, err
        end
    end
    if type(by) ~= "number" then
        by = tonumber(by)
    end
    local init_at
    if init ~= nil then
        local number = tonumber(init)
        if not number then
            error("bad init arg: number expected, got " .. type(init), 2)
        end
        init_in[0] = number
        init_at = init_in
    end
    if init_ttl ~= nil then
        local number = tonumber(init_ttl)
        if not number then
            error("bad init_ttl arg: number expected, got " .. type(init_ttl), 2)
        end
        init_ttl = number
        if init_ttl < 0 then
            error('bad "init_ttl" argument', 2)
        end
        if not init then
            error('must provide "init" when providing "init_ttl"', 2)
        end
    end
    value.number = by
    local result
    if ttl == nil then
        result = C.bl_lua_shdict_incr(dict, key, #key, init_at, init_ttl or 0, value)
    else
        if type(ttl) ~= "number" or ttl < 0 then
            error('bad "ttl" argument', 2)
        end
        result = C.bl_lua_shdict_incr_ttl(dict, key, #key, init_at, ttl, value)
    end
    if result ~= OK then
        return nil, message(result)
    end
    if not init then
        return value.number
    end
    return value.number, nil, value.forcible
end

-- ---------------------------------------------------------------- lists

local function push(zone, left, key, v)
    local dict = dict_of(zone)
    local err
    key, err = key_of(key)
    if not key then
        return nil, err
    end
    local kind = type(v)
    if kind ~= "string" and kind ~= "number" then
        return nil, "bad value type"
    end
    store_value(v)
    value.flags = 0
    local result = C.bl_lua_shdict_push(dict, left, key, #key, value, length)
    if result ~= OK then
        return nil, message(result)
    end
    return length[0]
end

---@return integer|nil length
---@return string? err
function _M.lpush(zone, key, v)
    return push(zone, true, key, v)
end

function _M.rpush(zone, key, v)
    return push(zone, false, key, v)
end

local function pop(zone, left, key)
    local dict = dict_of(zone)
    local err
    key, err = key_of(key)
    if not key then
        return nil, err
    end
    local size = get_string_buf_size()
    local buffer = get_string_buf(size)
    local result = C.bl_lua_shdict_pop(dict, left, key, #key, buffer, size, value)
    while result == SMALL_BUFFER do
        size = tonumber(value.len)
        buffer = get_string_buf(size)
        result = C.bl_lua_shdict_pop(dict, left, key, #key, buffer, size, value)
    end
    if result == NOT_FOUND then
        return nil
    end
    if result ~= OK then
        return nil, message(result)
    end
    return result_value()
end

function _M.lpop(zone, key)
    return pop(zone, true, key)
end

function _M.rpop(zone, key)
    return pop(zone, false, key)
end

function _M.llen(zone, key)
    local dict = dict_of(zone)
    local err
    key, err = key_of(key)
    if not key then
        return nil, err
    end
    local result = C.bl_lua_shdict_llen(dict, key, #key, length)
    if result ~= OK then
        return nil, message(result)
    end
    return length[0]
end

-- ---------------------------------------------------------------- time, the whole

---@return number|nil seconds 0: never expires
---@return string? err
function _M.ttl(zone, key)
    local dict = dict_of(zone)
    local err
    key, err = key_of(key)
    if not key then
        return nil, err
    end
    local result = C.bl_lua_shdict_ttl(dict, key, #key, ttl_out)
    if result ~= OK then
        return nil, message(result)
    end
    return ttl_out[0]
end

function _M.expire(zone, key, exptime)
    local dict = dict_of(zone)
    if not exptime then
        error('bad "exptime" argument', 2)
    end
    local err
    key, err = key_of(key)
    if not key then
        return nil, err
    end
    if exptime < 0 then
        error('bad "exptime" argument', 2)
    end
    local result = C.bl_lua_shdict_expire(dict, key, #key, exptime)
    if result ~= OK then
        return nil, message(result)
    end
    return true
end

function _M.flush_all(zone)
    C.bl_dict_flush_all(dict_of(zone))
end

---@param max integer? at most so many; all without it
---@return integer freed
function _M.flush_expired(zone, max)
    return C.bl_lua_shdict_flush_expired(dict_of(zone), max or 0)
end

---@param max integer? at most so many, 1024 without it, 0: all
---@return string[]
function _M.get_keys(zone, max)
    dict_of(zone)
    return push_keys(zone[2], max or 1024)
end

--- Keys in parts: goes on at `cursor` (0 at first), until the cursor that it returns is 0. No lock is
-- held in between; a key that is there all the while is seen once.
---@param cursor integer
---@param count integer? about so many keys at a time, 100 without it
---@return integer cursor
---@return string[] keys
function _M.scan(zone, cursor, count)
    dict_of(zone)
    return push_scan(zone[2], cursor, count or 100)
end

--- What is in it, counted by going over all of it: `entries` and `expired` ones, bytes `used` by them,
-- `free` ones in all, those in `free_pages`, and `fragmentation`: the part of the pages in use that
-- holds no entry, 0 to 1.
---@return table
function _M.usage(zone)
    C.bl_lua_shdict_measure(dict_of(zone), usage_out)
    local pages, free_pages = tonumber(usage_out.pages), tonumber(usage_out.free)
    local used = tonumber(usage_out.used)
    local in_use = pages - free_pages
    return {
        entries = tonumber(usage_out.entries),
        expired = tonumber(usage_out.expired),
        used = used,
        free = pages - used,
        free_pages = free_pages,
        fragmentation = in_use > 0 and 1 - used / in_use or 0,
    }
end

---@return integer bytes
function _M.capacity(zone)
    return tonumber(C.bl_dict_capacity(dict_of(zone)))
end

---@return integer bytes in pages that are wholly free
function _M.free_space(zone)
    return tonumber(C.bl_dict_free_space(dict_of(zone)))
end

-- A dictionary's object, of a light userdata that points to it.
local function wrap(pointer)
    return setmetatable({ffi.cast("bl_dict *", pointer), pointer}, _M)
end

for name, pointer in pairs(ngx.shared) do
    ngx.shared[name] = wrap(pointer)
end

return {version = base.version, wrap = wrap}
