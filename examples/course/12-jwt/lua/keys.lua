-- The keys that tokens are signed with, for all workers. Each has an id (kid) that a token's header
-- names. A new key signs from now on; the old ones still verify until the last token signed with
-- them has expired, so nobody is thrown out.
local random = require "resty.random"
local str = require "resty.string"

local dict = ngx.shared.keys

local keys = { TOKEN_SECONDS = tonumber(os.getenv("TOKEN_SECONDS") or 300) }

-- Makes the next key the one that signs; gives its id.
function keys.rotate()
    local number = dict:incr("last", 1, 0)
    local kid, old = "k" .. number, "k" .. number - 1
    dict:set("key:" .. kid, str.to_hex(random.bytes(32, true))) -- 32 random bytes, for HS256
    dict:set("signs", kid)
    dict:expire("key:" .. old, keys.TOKEN_SECONDS + 60)
    return kid
end

-- The id and the secret to sign with.
function keys.current()
    local kid = dict:get("signs")
    return kid, dict:get("key:" .. kid)
end

-- The secret of an id; nil when there is none, or none any more.
function keys.find(kid)
    return type(kid) == "string" and dict:get("key:" .. kid) or nil
end

return keys
