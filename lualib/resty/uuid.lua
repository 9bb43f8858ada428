--- resty.uuid: universally unique identifiers (RFC 9562).
--
--     local uuid = require "resty.uuid"
--     uuid.v4()      -- 2c5ea4c0-4067-4e9f-8f3c-5d1f0d3e6a10: random
--     uuid.v7()      -- 01936f5c-…: later ones sort behind earlier ones, a good key for a database
--     uuid.v5(uuid.NAMESPACE_URL, "https://example.com/")    -- of a name: always the same
--     uuid()         -- v4
--
-- The random bits are those of OpenSSL's generator; nothing has to be seeded. Those of v7 ascend within a
-- worker, also within a millisecond. No errors: a machine without random bytes raises one.

local crypto = require "resty.openssl.crypto"
local digest = require "resty.openssl.digest"
local ffi = require "ffi"

local C = ffi.C
local band = bit.band
local bor = bit.bor
local char = string.char
local error = error
local ffi_new = ffi.new
local ffi_string = ffi.string
local find = string.find
local floor = math.floor
local gsub = string.gsub
local now = ngx.now
local rshift = bit.rshift
local setmetatable = setmetatable
local sub = string.sub
local tonumber = tonumber
local type = type

local POOL = 4096 -- random bytes are fetched that many at a time
local PATTERN = "^%x%x%x%x%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%-%x%x%x%x%x%x%x%x%x%x%x%x$"

local _M = {
    _VERSION = "1.0",
    NAMESPACE_DNS = "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
    NAMESPACE_URL = "6ba7b811-9dad-11d1-80b4-00c04fd430c8",
    NAMESPACE_OID = "6ba7b812-9dad-11d1-80b4-00c04fd430c8",
    NAMESPACE_X500 = "6ba7b814-9dad-11d1-80b4-00c04fd430c8",
    NIL = "00000000-0000-0000-0000-000000000000",
    MAX = "ffffffff-ffff-ffff-ffff-ffffffffffff",
}

local pool = ffi_new("unsigned char[?]", POOL)
local used, owner = POOL, nil
local id = ffi_new("unsigned char[16]")
local text = ffi_new("char[36]")
local DIGITS = ffi_new("const char[16]", "0123456789abcdef")

-- 16 random bytes into `id`. A process that was forked must not go on with its parent's.
local function draw()
    if used + 16 > POOL or owner ~= ngx.worker.pid() then
        if C.bl_RAND_bytes(pool, POOL) ~= 1 then
            error("no random bytes")
        end
        used, owner = 0, ngx.worker.pid()
    end
    ffi.copy(id, pool + used, 16)
    ffi.fill(pool + used, 16)
    used = used + 16
end

-- `id` as text, with version and variant set.
local function write(version)
    id[6] = bor(band(id[6], 0x0f), version * 16)
    id[8] = bor(band(id[8], 0x3f), 0x80)
    local at = 0
    for i = 0, 15 do
        if i == 4 or i == 6 or i == 8 or i == 10 then
            text[at] = 45
            at = at + 1
        end
        text[at], text[at + 1] = DIGITS[rshift(id[i], 4)], DIGITS[band(id[i], 15)]
        at = at + 2
    end
    return ffi_string(text, 36)
end

--- A random one.
---@return string uuid
function _M.v4()
    draw()
    return write(4)
end

local last_ms, sequence = 0, 0

--- One that begins with the time, in milliseconds; behind it a counter of 12 bits, then random bits.
---@return string uuid
function _M.v7()
    local ms = floor(now() * 1000)
    draw()
    if ms > last_ms then
        last_ms, sequence = ms, band(bor(id[6] * 256, id[7]), 0x7ff)
    else
        sequence = sequence + 1
        if sequence > 0xfff then
            last_ms, sequence = last_ms + 1, 0
        end
    end
    local high, low = floor(last_ms / 4294967296), last_ms % 4294967296
    id[0], id[1] = rshift(high, 8), band(high, 255)
    for i = 0, 3 do
        id[2 + i] = band(rshift(low, 24 - 8 * i), 255)
    end
    id[6], id[7] = rshift(sequence, 8), band(sequence, 255)
    return write(7)
end

--- Whether a text is a UUID.
---@param s any
---@return boolean
function _M.is_valid(s)
    return type(s) == "string" and #s == 36 and find(s, PATTERN) ~= nil
end

local function of_name(version, md, namespace, name)
    if not _M.is_valid(namespace) then
        error("the namespace is not a UUID", 3)
    end
    local bytes = gsub(gsub(namespace, "-", ""), "%x%x", function(pair)
        return char(tonumber(pair, 16))
    end)
    local d = digest.new(md)
    d:update(bytes, name)
    ffi.copy(id, sub(d:final(), 1, 16), 16)
    return write(version)
end

--- The one of a name in a namespace, by SHA-1.
---@param namespace string a UUID: NAMESPACE_DNS, NAMESPACE_URL, …
---@param name string
---@return string uuid
function _M.v5(namespace, name)
    return of_name(5, "sha1", namespace, name)
end

--- The same by MD5.
---@param namespace string
---@param name string
---@return string uuid
function _M.v3(namespace, name)
    return of_name(3, "md5", namespace, name)
end

--- The time in a v7 UUID.
---@param s string
---@return number? seconds since 1970; nil: it is no v7 UUID
function _M.time_of(s)
    if not _M.is_valid(s) or sub(s, 15, 15) ~= "7" then
        return nil
    end
    return tonumber(sub(s, 1, 8) .. sub(s, 10, 13), 16) / 1000
end

--- v4, under the names that other modules have for it.
---@return string uuid
function _M.generate()
    return _M.v4()
end

_M.generate_random = _M.generate
_M.generate_v4 = _M.generate

--- A function that makes v5 UUIDs of names in one namespace.
---@param namespace string a UUID
---@return (fun(name: string): string)? factory
---@return string? err
function _M.factory_v5(namespace)
    if not _M.is_valid(namespace) then
        return nil, "namespace must be a valid UUID"
    end
    return function(name)
        return _M.v5(namespace, name)
    end
end

--- The same for v3.
---@param namespace string
---@return (fun(name: string): string)? factory
---@return string? err
function _M.factory_v3(namespace)
    if not _M.is_valid(namespace) then
        return nil, "namespace must be a valid UUID"
    end
    return function(name)
        return _M.v3(namespace, name)
    end
end

--- v5(), with an error as a result.
---@param namespace string
---@param name string
---@return string? uuid
---@return string? err
function _M.generate_v5(namespace, name)
    local make, err = _M.factory_v5(namespace)
    if not make then
        return nil, err
    end
    return make(name)
end

--- v3(), with an error as a result.
---@param namespace string
---@param name string
---@return string? uuid
---@return string? err
function _M.generate_v3(namespace, name)
    local make, err = _M.factory_v3(namespace)
    if not make then
        return nil, err
    end
    return make(name)
end

--- Nothing to do: the generator seeds itself.
function _M.seed()
end

return setmetatable(_M, { __call = _M.generate })
