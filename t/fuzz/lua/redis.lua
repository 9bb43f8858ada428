-- resty.redis: replies in RESP2 and RESP3.
local fuzz = require "fuzz"
local redis = require "resty.redis"

local corpus = {
    "+OK\r\n", "-ERR no\r\n", ":12\r\n", "$5\r\nhello\r\n", "$-1\r\n", "*-1\r\n", "*3\r\n:1\r\n$1\r\na\r\n*1\r\n+x\r\n",
    "%2\r\n+a\r\n:1\r\n$1\r\nb\r\n#t\r\n", "~2\r\n:1\r\n:2\r\n", ",1.5e3\r\n", ",inf\r\n", "_\r\n", "#f\r\n", "(123456789012345678901234567890\r\n",
    "=8\r\ntxt:text\r\n", "!5\r\nERR x\r\n", "|1\r\n+ttl\r\n:9\r\n$2\r\nab\r\n", ">2\r\n+message\r\n+x\r\n+OK\r\n",
    "*2\r\n-ERR in\r\n:5\r\n", "+a\r\n+b\r\n$1\r\nc\r\n:4\r\n", ("*1\r\n"):rep(70) .. ":1\r\n", "$0\r\n\r\n", "*0\r\n", "%0\r\n",
}

-- What comes of it, and that what failed is not used again.
local function ask(address)
    local red = redis:new()
    red:set_timeouts(1000, 1000, fuzz.timeout)
    assert(red:connect(address, { pool = "p" }))
    assert(red:get_reused_times() == 0, "what failed before came out of the pool")
    local value, err = red:get("key")
    local lost = value == nil
    assert(not lost or type(err) == "string", "no reason")
    red:init_pipeline()
    red:get("a")
    red:get("b")
    local all, failure = red:commit_pipeline()
    assert(all or type(failure) == "string")
    if all then
        assert(not lost, "a lost connection answers")
    end
    local after = not all and red:set_keepalive(1000, 10)
    assert(not after, "a lost connection was kept")
    red:close()
    return value, err, all, failure
end

fuzz.run {
    name = "redis",
    corpus = corpus,
    check = function(bytes)
        fuzz.exchange(bytes, ask)
        fuzz.agreement(bytes, ask)
    end,
}
