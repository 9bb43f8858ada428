--- Which part of a cluster a command belongs to, for resty.redis.cluster.
--
-- A key's slot is CRC16 of the key, or of what stands in its first {…} (Redis cluster specification,
-- "Hash tags"), modulo 16384.

local bit = require "bit"
local ffi = require "ffi"

local band = bit.band
local bxor = bit.bxor
local byte = string.byte
local find = string.find
local lshift = bit.lshift
local lower = string.lower
local rshift = bit.rshift
local tonumber = tonumber
local tostring = tostring

local _M = {}

-- CRC16 with the polynomial 0x1021 (XMODEM), a step for each value of a byte.
local steps = ffi.new("uint16_t[256]")
for i = 0, 255 do
    local crc = lshift(i, 8)
    for _ = 1, 8 do
        crc = band(crc, 0x8000) ~= 0 and bxor(lshift(crc, 1), 0x1021) or lshift(crc, 1)
    end
    steps[i] = band(crc, 0xffff)
end

--- The slot of a key.
---@param key string
---@return integer slot 0 to 16383
function _M.of_key(key)
    local from, to = 1, #key
    local open = find(key, "{", 1, true)
    if open then
        local close = find(key, "}", open + 1, true)
        if close and close > open + 1 then
            from, to = open + 1, close - 1
        end
    end
    local crc = 0
    for i = from, to do
        crc = bxor(band(lshift(crc, 8), 0xffff), steps[bxor(rshift(crc, 8), byte(key, i))])
    end
    return band(crc, 16383)
end

local function set_of(names)
    local set = {}
    for name in names:gmatch("%S+") do
        set[name] = true
    end
    return set
end

-- Any node can answer these.
local keyless = set_of [[
    acl auth bgrewriteaof bgsave client cluster command config dbsize debug echo failover
    flushall flushdb function hello info keys lastsave latency lolwut module monitor ping
    psubscribe publish pubsub punsubscribe quit randomkey readonly readwrite replicaof reset role save
    scan script select shutdown slaveof slowlog subscribe swapdb sync time unsubscribe wait waitaof
]]

-- The key is the second argument.
local second = set_of "bitop memory object xgroup xinfo"

-- A number of keys, then the keys: where the number is.
local counted = {
    eval = 2,
    eval_ro = 2,
    evalsha = 2,
    evalsha_ro = 2,
    fcall = 2,
    fcall_ro = 2,
    sintercard = 1,
    zinter = 1,
    zintercard = 1,
    zunion = 1,
    zdiff = 1,
    lmpop = 1,
    zmpop = 1,
    blmpop = 2,
    bzmpop = 2,
}

local function behind_streams(args, n)
    for i = 1, n do
        if lower(tostring(args[i])) == "streams" then
            return args[i + 1]
        end
    end
end

local function key_of(name, args, n)
    if keyless[name] then
        return nil
    elseif second[name] then
        return args[2]
    end
    local at = counted[name]
    if at then
        return (tonumber(args[at]) or 0) > 0 and args[at + 1] or nil
    elseif name == "xread" or name == "xreadgroup" then
        return behind_streams(args, n)
    elseif name == "migrate" then
        return args[3]
    end
    return args[1]
end

--- The slot of a command, by its first key.
---@param name string in lower case
---@param args table
---@param n integer how many
---@return integer? slot nil: it has no key
function _M.of_command(name, args, n)
    local key = key_of(name, args, n)
    if key == nil then
        return nil
    end
    return _M.of_key(tostring(key))
end

--- Commands that change nothing: they may be sent again when a connection fails, and to replicas.
_M.reads = set_of [[
    bitcount bitfield_ro bitpos dbsize dump echo eval_ro evalsha_ro exists expiretime fcall_ro geodist
    geohash geopos georadius_ro georadiusbymember_ro geosearch get getbit getrange hexists hget hgetall
    hkeys hlen hmget hrandfield hscan hstrlen hvals info keys lcs lindex llen lolwut lpos lrange mget
    object pexpiretime pfcount ping pttl randomkey scan scard sdiff sinter sintercard sismember
    smembers smismember sort_ro srandmember sscan strlen substr sunion time touch ttl type xinfo xlen
    xpending xrange xread xrevrange zcard zcount zdiff zinter zintercard zlexcount zmscore zrandmember
    zrange zrangebylex zrangebyscore zrank zrevrange zrevrangebylex zrevrangebyscore zrevrank zscan
    zscore zunion
]]

--- Commands that are about a connection, which a cluster's client does not have, and methods of
--- resty.redis that are no commands.
_M.connected = set_of [[
    asking auth client discard exec hello monitor multi psubscribe punsubscribe quit readonly
    readwrite reset select ssubscribe subscribe sunsubscribe unsubscribe unwatch watch
    add_commands array_to_hash close connect get_attributes get_reused_times read_pipeline read_reply
    register_module_prefix send_pipeline set_keepalive set_timeout set_timeouts
]]

return _M
