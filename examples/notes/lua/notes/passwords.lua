-- Passwords are stored as what scrypt makes of them: "scrypt$15$8$3$SALT$KEY". Guessing one costs 32 MB
-- and a quarter of a second a try. So does checking one: a thread does it, the worker serves others.

local kdf = require "resty.openssl.kdf"
local random = require "resty.random"

local _M = {}

-- The first is a power of two. Later hashes may have others: each says which are its own.
local COST, BLOCK, LANES = 15, 8, 3

-- Runs in a thread, which has a Lua of its own: it loads this module anew, and has no request.
function _M.derive(password, salt, cost, block, lanes)
    return kdf.derive {
        type = kdf.SCRYPT, outlen = 32, pass = password, salt = salt,
        scrypt_N = 2 ^ cost, scrypt_r = block, scrypt_p = lanes, scrypt_maxmem = 64 * 1024 * 1024,
    }
end

-- The key in base64, or nil and an error: too many passwords wait to be hashed, for instance.
local function in_thread(...)
    local ok, key, err = ngx.run_worker_thread("passwords", "notes.passwords", "derive", ...)
    if not ok or not key then
        return nil, ok and err or key
    end
    return ngx.encode_base64(key)
end

function _M.hash(password)
    local salt = random.bytes(16, true)
    local key, err = in_thread(password, salt, COST, BLOCK, LANES)
    if not key then
        return nil, err
    end
    return ("scrypt$%d$%d$%d$%s$%s"):format(COST, BLOCK, LANES, ngx.encode_base64(salt), key)
end

-- Takes as long as the right one would, for names that nobody has.
local NOBODY = ("scrypt$%d$%d$%d$%s$"):format(COST, BLOCK, LANES, ngx.encode_base64(("x"):rep(16)))

-- Whether the hash (nil: there is no such user) is of this password; nil and an error when that can't be told.
function _M.check(password, hash)
    local cost, block, lanes, salt, expected = (hash or NOBODY):match("^scrypt%$(%d+)%$(%d+)%$(%d+)%$([^$]+)%$(.*)$")
    local key, err = in_thread(password, ngx.decode_base64(salt), tonumber(cost), tonumber(block), tonumber(lanes))
    if not key then
        return nil, err
    end
    return hash ~= nil and key == expected
end

return _M
