-- resty.sse: streams of events, in whatever pieces they come.
local fuzz = require "fuzz"
local sse = require "resty.sse"

local corpus = {
    "data: a\n\n", "\239\187\191data: a\r\ndata: b\r\n\r\n", "event: x\rid: 7\rretry: 10\rdata: c\r\r", ": comment\n\ndata\n\n", "id: 1\n\ndata:x\n\n",
    "event:\ndata: a:b\n\n", "data: 1\n\n\ndata: 2\r\n\r\ndata: 3\r\r", "id: a\0b\ndata: z\n\n",
}

local function events_of(bytes, cut)
    local parser, all, at = sse.parser(), {}, 1
    while at <= #bytes do
        local size = cut and fuzz.random(cut) or #bytes
        local events, err = parser:feed(bytes:sub(at, at + size - 1))
        assert(events or err == "event too long", err)
        for _, event in ipairs(events or {}) do
            assert(not event.type:find("[\r\n]") and not event.id:find("[%z\r\n]") and not event.data:find("\r"), "a line in a line")
            all[#all + 1] = event
        end
        at = at + size
    end
    all.retry = parser.retry
    return all
end

fuzz.run {
    name = "sse",
    corpus = corpus,
    check = function(bytes)
        fuzz.same(events_of(bytes), events_of(bytes, fuzz.pick { 1, 3, 50 }), "as a whole and in pieces")
    end,
}
