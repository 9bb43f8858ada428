--- Names for passwords, to tell apart in the name of a pool who has logged in with what: without them
-- somebody with a wrong password would get the connection of somebody with the right one.
-- A name says nothing of the password: it is a digest with a key that only this worker (or the process that
-- made it) knows.

local hmac = require "resty.openssl.hmac"
local lrucache = require "resty.lrucache"
local random = require "resty.random"
local to_hex = require("resty.string").to_hex

local error = error
local sub = string.sub
local tostring = tostring

local known = lrucache.new(64)
local mac

return function(secret)
    secret = tostring(secret)
    local name = known:get(secret)
    if not name then
        mac = mac or hmac.new(random.bytes(32, true) or error("no random bytes"), "sha256")
        name = sub(to_hex(mac:final(secret)), 1, 32)
        known:set(secret, name)
    end
    return name
end
