-- resty.websocket: frames, compressed messages, and what is agreed upon about them.
local connection = require "resty.websocket.connection"
local deflate = require "resty.websocket.deflate"
local fuzz = require "fuzz"
local protocol = require "resty.websocket.protocol"

local function frame(...)
    return assert(protocol.build_frame(...))
end

local OPTIONS = { level = 6, threshold = 0, window_bits = 15, context_takeover = true }
local sender = assert(deflate.agreed("permessage-deflate", OPTIONS))
local COMPRESSED = assert(sender:deflate(("hello "):rep(20), true))

local corpus = {
    frame(true, 1, 5, "hello"), frame(true, 1, 5, "hello", true), frame(false, 1, 2, "he") .. frame(true, 9, 1, "p") .. frame(true, 0, 3, "llo"),
    frame(true, 2, 300, ("x"):rep(300)), frame(true, 8, 4, "\3\232ok"), frame(true, 8, 0, ""), frame(true, 10, 0, ""),
    frame(true, 0x41, #COMPRESSED, COMPRESSED), frame(false, 0x41, 3, COMPRESSED:sub(1, 3)) .. frame(true, 0, #COMPRESSED - 3, COMPRESSED:sub(4)),
    frame(true, 0x41, 2, "\3\0"), frame(true, 2, 70000, ("y"):rep(70000)), frame(true, 8, 1, "x"), "\129\127\255\255\255\255\255\255\255\255",
}

local fields = {
    "permessage-deflate", "permessage-deflate; client_max_window_bits", 'permessage-deflate; server_max_window_bits="10"',
    "permessage-deflate; server_no_context_takeover; client_no_context_takeover, x-other; a=b", ", ;=,",
}

local function listener(sock, compressed, masking)
    local class = connection.class()
    local self = setmetatable(connection.configure({ sock = sock }, { max_payload_len = 100000 }), { __index = class })
    self.force_masking, self.masks = masking, false
    self.deflate = compressed and deflate.agreed("permessage-deflate", OPTIONS) or nil
    return self
end

-- All frames until the stream is lost or over.
local function listen(address)
    local sock = fuzz.connect(address)
    local wb = listener(sock, fuzz.compressed, fuzz.masking)
    local all = {}
    for _ = 1, 50 do
        local data, typ, err = wb:recv_frame()
        all[#all + 1] = { data, typ, err }
        if not data then
            assert(type(err) == "string", "no reason")
            if not wb.fatal then
                assert(err:find("timeout", 1, true), "not fatal: " .. err)
                break
            end
            local again, _, why = wb:recv_frame()
            assert(not again and why == "fatal error already happened")
            break
        end
        assert(#data <= 100000 and type(typ) == "string", "too long, or of no kind")
    end
    sock:close()
    return all
end

-- What is sent arrives.
local function check_round_trip()
    local payload, masking = fuzz.bytes(300), fuzz.random(2) == 1
    local bytes = frame(true, 2, #payload, payload, masking)
    local back, typ, err = fuzz.exchange(bytes, function(address)
        local sock = fuzz.connect(address)
        local data, kind, failure = protocol.recv_frame(sock, 1000, masking)
        sock:close()
        return data, kind, failure
    end)
    fuzz.same(err ~= nil and tostring(err):find("timeout") and payload or back, payload, "round trip")
    assert(typ == "binary" or err)
end

local function check_fields()
    local field = fuzz.mutate(fields)
    local answer, codec = deflate.accept(field, OPTIONS)
    if answer then
        assert(codec and deflate.agreed(answer, OPTIONS) ~= nil, answer)
    end
    deflate.agreed(field, OPTIONS)
end

fuzz.run {
    name = "websocket",
    corpus = corpus,
    check = function(bytes)
        fuzz.compressed, fuzz.masking = fuzz.random(2) == 1, fuzz.random(4) == 1
        fuzz.exchange(bytes, listen)
        fuzz.agreement(bytes, listen)
        check_round_trip()
        check_fields()
    end,
}
