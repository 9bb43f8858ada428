-- resty.session: the cookie's header and data. What is not, bit for bit, what was made is refused.
local cookies = require "resty.session.cookies"
local format = require "resty.session.format"
local fuzz = require "fuzz"
local record = require "resty.session.record"

local KEYS = { ("k"):rep(32), ("l"):rep(32) }

local function make(data, which)
    local meta = { id = format.new_id(), flags = 0, created = 1700000000, rolling = 5, idling = 7 }
    local secret = assert(format.encrypt(meta, KEYS[which], "Low", data))
    return assert(format.header(meta, KEYS[which], "bound")), secret
end

local HEADER, SECRET = make("some data of a session", 1)
local OTHER = make("", 2)

fuzz.run {
    name = "session",
    corpus = { HEADER, OTHER, HEADER .. "x", "", HEADER:sub(1, -2) },
    check = function(text)
        local meta, which = format.parse(text, KEYS, "bound")
        assert((meta ~= nil) == (text == HEADER or text == OTHER), "a header that nobody made")
        assert(meta or type(which) == "string", "no reason")
        assert(not format.parse(text, KEYS, "elsewhere"), "bound to something else")
        if text == HEADER then
            local secret = fuzz.mutate { SECRET }
            local data, err = format.decrypt(meta, KEYS[which], "Low", secret)
            assert(secret == SECRET and data == "some data of a session" or not data and type(err) == "string", "data that nobody made")
        end
        local data = fuzz.bytes(200)
        local header, secret = make(data, 1)
        local back = assert(format.parse(header, KEYS, "bound"))
        fuzz.same(format.decrypt(back, KEYS[1], "Low", secret), data, "round trip")
        -- Cookies in parts.
        local parts = { s = text:sub(1, 10), s2 = text:sub(11, 20), s3 = text:sub(21) }
        local joined = cookies.join(parts, "s", #text)
        assert(text:sub(1, #joined) == joined)
        assert(type(record) == "table")
    end,
}
