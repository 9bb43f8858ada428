-- Who may log in. A password is never kept, only what PBKDF2 makes of it and of a random salt: it
-- is slow on purpose, so that who steals this table cannot try millions of passwords a second.
local kdf = require "resty.openssl.kdf"
local random = require "resty.random"

local ROUNDS = 20000 -- for this example to start quickly; real servers take 600,000

local users = {}

local function derive(password, salt)
    return assert(kdf.derive {
        type = kdf.PBKDF2, outlen = 32, md = "sha256", pass = password, salt = salt,
        pbkdf2_iter = ROUNDS,
    })
end

local function user(password, role)
    local salt = random.bytes(16, true)
    return { salt = salt, hash = derive(password, salt), role = role }
end

-- A program of yours has this table in a database, and passwords nowhere.
local known = { dewi = user("bunga-7", "reader"), raka = user("ombak-3", "admin") }
local nobody = user("", "none")

-- Looks at every byte, so that the time it takes tells nothing about where they differ.
local function same(a, b)
    local difference = 0
    for i = 1, #a do
        difference = bit.bor(difference, bit.bxor(a:byte(i), b:byte(i)))
    end
    return #a == #b and difference == 0
end

-- The user's role, or nil. A name that nobody has takes as long as a wrong password.
function users.check(name, password)
    local found = known[name] or nobody
    local good = same(derive(password, found.salt), found.hash)
    return good and known[name] and found.role or nil
end

function users.role(name)
    return known[name] and known[name].role
end

return users
