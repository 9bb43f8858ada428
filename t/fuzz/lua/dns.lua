-- resty.dns.message: answers. Bytes are an answer to the query, or nil and a message.
local fuzz = require "fuzz"
local message = require "resty.dns.message"

local QUESTION = "\7example\3org\0"

local function answer(qtype, count, records, flags)
    return "\0\7" .. (flags or "\129\128") .. "\0\1\0" .. string.char(count) .. "\0\0\0\0" .. QUESTION .. "\0" .. string.char(qtype) .. "\0\1"
        .. records
end

local function record(qtype, data)
    return "\192\12" .. string.char(math.floor(qtype / 256), qtype % 256) .. "\0\1\0\0\1\44" .. string.char(math.floor(#data / 256), #data % 256)
        .. data
end

local corpus = {
    answer(1, 1, record(1, "\127\0\0\1")), answer(28, 1, record(28, ("\1"):rep(16))), answer(5, 1, record(5, "\3www\192\12")),
    answer(15, 1, record(15, "\0\10\4mail\192\12")), answer(33, 1, record(33, "\0\1\0\2\31\144\1a\192\12")),
    answer(6, 1, record(6, "\2ns\192\12\2hm\192\12" .. ("\1"):rep(20))), answer(16, 1, record(16, "\3abc\2de")),
    answer(35, 1, record(35, "\0\1\0\2\1u\3sip\4!x!!\0")), answer(1, 1, record(257, "\0\5issueca.org")),
    answer(2, 2, record(2, "\2ns\192\12") .. record(1, "\1\2\3\4")), answer(1, 0, "", "\129\131"), answer(1, 0, "", "\131\128"),
}

local TYPES = { 1, 2, 5, 6, 12, 15, 16, 28, 33, 35, 99, 257 }

fuzz.run {
    name = "dns",
    corpus = corpus,
    check = function(bytes)
        local options = {
            qtype = fuzz.pick(TYPES), authority_section = fuzz.random(2) == 1, additional_section = fuzz.random(2) == 1,
        }
        if #bytes > 31 and fuzz.random(4) > 1 then
            options.qtype = bytes:byte(26) * 256 + bytes:byte(27)
        end
        local records, err, kind = message.parse(bytes, 7, "example.org", options, fuzz.random(4) == 1)
        if not records then
            assert(type(err) == "string" and (kind == nil or kind == "other" or kind == "truncated"), "no reason")
            return
        end
        for _, each in ipairs(records) do
            assert(type(each.name) == "string" and #each.name <= 510 and each.type and each.ttl and each.section, "half a record")
        end
        local name = fuzz.bytes(80)
        local query, failure = message.query(7, name, { qtype = 1, edns = 1232 })
        assert(query and #query <= 300 or failure == "bad name")
    end,
}
