-- What a session's cookie is made of, for resty.session.
--
-- A header of fixed size, and the data behind it unless a storage has them:
--
--     type  flags  id  created  rolling  size  tag  idling  mac
--     1     2      32  5        4        3     16   3       16     bytes, numbers little endian
--
-- created is a time; rolling counts seconds from it to the last save, and idling from then to the last
-- touch. The tag is of AES-256-GCM over the data, with everything before it as associated data; the mac
-- is of HMAC-SHA256 over everything before it, and what the session is bound to.
--
-- Keys come from the keying material by HKDF-SHA256 (RFC 5869), with the id in the expansion: each id has
-- keys and an iv of its own, and is used for one encryption, so an iv is never used twice with a key.

local base64 = require "ngx.base64"
local bit = require "bit"
local cipher = require "resty.openssl.cipher"
local hmac = require "resty.openssl.hmac"
local kdf = require "resty.openssl.kdf"
local lrucache = require "resty.lrucache"
local openssl = require "resty.openssl"
local rand = require "resty.openssl.rand"

local band = bit.band
local byte = string.byte
local char = string.char
local decode_base64url = base64.decode_base64url
local encode_base64url = base64.encode_base64url
local equal = openssl.equal
local floor = math.floor
local rshift = bit.rshift
local sub = string.sub

local TYPE = 1
local SIZE = 82
local ENCODED = 110
local AUTHENTIC = 47 -- of AES-GCM
local SIGNED = 66    -- of the mac
local MAX_DATA = 0xFFFFFF
local MAX_OFFSET = 0x7FFFFFFF
local MAX_IDLING = 0xFFFFFF

local ITERATIONS = { ["Low"] = 1000, ["Medium"] = 10000, ["High"] = 100000, ["Very High"] = 1000000 }

local _M = {
    ENCODED = ENCODED,
    MAX_DATA = MAX_DATA,
    ITERATIONS = ITERATIONS,
    STORED = 0x01,   -- the data are in a storage
    REMEMBER = 0x02, -- a persistent session
    WANTED = 0x04,   -- it has a persistent session beside it
    DEFLATED = 0x10,
}

-- ------------------------------------------------------------- keys

-- HMAC contexts with a key that HKDF extracted, by keying material.
local extracted = lrucache.new(64)

local function key_of(ikm)
    local known = extracted:get(ikm)
    if not known then
        local key, err = kdf.derive {
            type = kdf.HKDF, outlen = 32, md = "sha256", hkdf_key = ikm, salt = "",
            hkdf_mode = kdf.HKDEF_MODE_EXTRACT_ONLY,
        }
        if not key then
            return nil, err
        end
        known = { bytes = key, mac = hmac.new(key, "sha256") }
        extracted:set(ikm, known)
    end
    return known
end

-- The expansion of RFC 5869, 2.3, by hand: the extracted key is set up once, not for each cookie.
local function expand(key, info, size)
    local mac = key.mac
    local block = mac:final(info .. "\1")
    if size <= 32 then
        return block
    end
    return block .. sub(mac:final(block .. info .. "\2"), 1, size - 32)
end

local function encryption_keys(ikm, id, safety)
    local key, err = key_of(ikm)
    if not key then
        return nil, err
    end
    local info = "encryption:" .. id
    local bytes
    if ITERATIONS[safety] then
        bytes, err = kdf.derive {
            type = kdf.PBKDF2, outlen = 44, md = "sha256", pass = key.bytes, salt = info,
            pbkdf2_iter = ITERATIONS[safety],
        }
        if not bytes then
            return nil, err
        end
    else
        bytes = expand(key, info, 44)
    end
    return sub(bytes, 1, 32), sub(bytes, 33)
end

local function mac_of(ikm, id, text)
    local key, err = key_of(ikm)
    if not key then
        return nil, err
    end
    return sub(hmac.new(expand(key, "authentication:" .. id, 32), "sha256"):final(text), 1, 16)
end

-- ------------------------------------------------------------- numbers

local function pack(number, size)
    local low, high = number % 0x1000000, floor(number / 0x1000000)
    local bytes = char(band(low, 255), band(rshift(low, 8), 255), rshift(low, 16))
    if size == 2 then
        return sub(bytes, 1, 2)
    elseif size == 3 then
        return bytes
    elseif size == 4 then
        return bytes .. char(high % 256)
    end
    return bytes .. char(high % 256, floor(high / 256) % 256)
end

local function unpack_number(text, at, size)
    local number, scale = 0, 1
    for i = at, at + size - 1 do
        number, scale = number + byte(text, i) * scale, scale * 256
    end
    return number
end

-- ------------------------------------------------------------- cookies

-- Base64 without its freedoms: of the many texts that decode to the same bytes only one is taken.
local function decode(text)
    local bytes = decode_base64url(text)
    if bytes and encode_base64url(bytes) == text then
        return bytes
    end
end

-- A new id.
function _M.new_id()
    return rand.bytes(32, true)
end

local cipher_object

local function gcm()
    cipher_object = cipher_object or cipher.new("aes-256-gcm")
    return cipher_object
end

-- Encrypts data for a meta { id, created, rolling, flags }, and puts tag and size into it.
function _M.encrypt(meta, ikm, safety, data)
    if #data > MAX_DATA then
        return nil, "session data is too large"
    end
    if meta.rolling > MAX_OFFSET then
        return nil, "session is too old"
    end
    local key, iv = encryption_keys(ikm, meta.id, safety)
    if not key then
        return nil, iv
    end
    meta.authentic = char(TYPE) .. pack(meta.flags, 2) .. meta.id .. pack(meta.created, 5)
        .. pack(meta.rolling, 4) .. pack(#data, 3)
    local object = gcm()
    local secret, err = object:encrypt(key, iv, data, false, meta.authentic)
    if not secret then
        return nil, err
    end
    meta.tag, meta.size = object:get_aead_tag(), #data
    return secret
end

-- The data of a meta that parse() gave.
function _M.decrypt(meta, ikm, safety, secret)
    if #secret ~= meta.size then
        return nil, "session data have another size"
    end
    local key, iv = encryption_keys(ikm, meta.id, safety)
    if not key then
        return nil, iv
    end
    return gcm():decrypt(key, iv, secret, false, meta.authentic, meta.tag)
end

-- The header as text. `bound`: what the session is bound to, or "".
function _M.header(meta, ikm, bound)
    local idling = meta.idling < MAX_IDLING and meta.idling or MAX_IDLING
    local signed = meta.authentic .. meta.tag .. pack(idling, 3)
    local mac, err = mac_of(ikm, meta.id, signed .. bound)
    if not mac then
        return nil, err
    end
    return encode_base64url(signed .. mac)
end

-- Takes a header apart, when one of `ikms` signed it: the meta, and which did.
function _M.parse(text, ikms, bound)
    local bytes = #text == ENCODED and decode(text)
    if not bytes or #bytes ~= SIZE or byte(bytes) ~= TYPE then
        return nil, "invalid session header"
    end
    local id, signed, mac = sub(bytes, 4, 35), sub(bytes, 1, SIGNED), sub(bytes, SIGNED + 1)
    for i = 1, #ikms do
        local wanted, err = mac_of(ikms[i], id, signed .. bound)
        if not wanted then
            return nil, err
        elseif equal(wanted, mac) then
            return {
                id = id,
                flags = unpack_number(bytes, 2, 2),
                created = unpack_number(bytes, 36, 5),
                rolling = unpack_number(bytes, 41, 4),
                size = unpack_number(bytes, 45, 3),
                idling = unpack_number(bytes, 64, 3),
                authentic = sub(bytes, 1, AUTHENTIC),
                tag = sub(bytes, AUTHENTIC + 1, AUTHENTIC + 16),
            }, i
        end
    end
    return nil, "invalid session message authentication code"
end

-- How long a text of the data is, in base64.
function _M.encoded_size(size)
    return floor((size * 8 + 5) / 6)
end

_M.decode = decode
_M.encode = encode_base64url

return _M
