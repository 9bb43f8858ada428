--- Compressed messages for resty.websocket (permessage-deflate, RFC 7692).
--
-- The two ends agree in the handshake, in Sec-WebSocket-Extensions; then the first frame of a compressed
-- message has the bit RSV1, and the payloads of its frames, with 00 00 ff ff behind them, are one DEFLATE
-- stream.
--
-- A stream that remembers earlier messages ("context takeover") costs 300 KB for each connection. So unless
-- the program asks for it, no end remembers: then streams are not a connection's but the worker's, taken for
-- a message and given back after it, and an idle connection holds none.

local crypto = require "resty.openssl.crypto"
local ffi = require "ffi"

local C = ffi.C
local buffer = require "string.buffer"
local concat = table.concat
local ffi_new = ffi.new
local ffi_string = ffi.string
local gmatch = string.gmatch
local ipairs = ipairs
local lower = string.lower
local match = string.match
local owned = crypto.owned
local pairs = pairs
local setmetatable = setmetatable
local sub = string.sub
local tonumber = tonumber
local type = type

ffi.cdef [[
typedef struct bl_z_stream {
    const unsigned char *next_in;
    unsigned int avail_in;
    unsigned long total_in;
    unsigned char *next_out;
    unsigned int avail_out;
    unsigned long total_out;
    const char *msg;
    void *state, *zalloc, *zfree, *opaque;
    int data_type;
    unsigned long adler, reserved;
} bl_z_stream;
const char *bl_zlibVersion(void) __asm__("zlibVersion");
int bl_deflateInit2_(bl_z_stream *s, int level, int method, int window, int memory, int strategy,
                     const char *version, int size) __asm__("deflateInit2_");
int bl_deflate(bl_z_stream *s, int flush) __asm__("deflate");
int bl_deflateReset(bl_z_stream *s) __asm__("deflateReset");
int bl_deflateEnd(bl_z_stream *s) __asm__("deflateEnd");
int bl_inflateInit2_(bl_z_stream *s, int window, const char *version, int size) __asm__("inflateInit2_");
int bl_inflate(bl_z_stream *s, int flush) __asm__("inflate");
int bl_inflateReset(bl_z_stream *s) __asm__("inflateReset");
int bl_inflateEnd(bl_z_stream *s) __asm__("inflateEnd");
]]

local Z_SYNC_FLUSH, Z_OK, Z_STREAM_END, Z_BUF_ERROR = 2, 0, 1, -5
local Z_DEFLATED, RAW = 8, -15
local TAIL = "\0\0\255\255"
local ROOM = 65536
local SPARE = 8

local room = ffi_new("unsigned char[?]", ROOM)
local collected = buffer.new()
local input = {} -- what zlib reads, and nobody else holds any more

local _M = {}

-- ------------------------------------------------------------- streams

local kinds = {
    deflate = {
        run = C.bl_deflate, reset = C.bl_deflateReset, free = C.bl_deflateEnd, spare = {},
        init = function(s, level, window)
            return C.bl_deflateInit2_(s, level, Z_DEFLATED, -window, 8, 0, C.bl_zlibVersion(), ffi.sizeof(s))
        end,
    },
    inflate = {
        run = C.bl_inflate, reset = C.bl_inflateReset, free = C.bl_inflateEnd, spare = {},
        init = function(s)
            return C.bl_inflateInit2_(s, RAW, C.bl_zlibVersion(), ffi.sizeof(s))
        end,
    },
}

local function new_stream(kind, level, window)
    local s = ffi_new("bl_z_stream")
    if kind.init(s, level, window) ~= Z_OK then
        return nil, "no memory"
    end
    return owned(s, kind.free)
end

-- A stream for a message: the connection's, or one of the worker's.
local function take(kind, agreed, level, window)
    if agreed.kept then
        return agreed.kept
    end
    local list = kind.spare[(level or 0) * 100 + (window or 0)]
    local s, err
    if list and list[1] then
        s = table.remove(list)
    else
        s, err = new_stream(kind, level, window)
    end
    if agreed.takeover then
        agreed.kept = s
    end
    return s, err
end

local function give_back(kind, agreed, s, level, window)
    if agreed.takeover then
        return
    end
    local name = (level or 0) * 100 + (window or 0)
    local list = kind.spare[name] or {}
    kind.spare[name] = list
    if #list < SPARE and kind.reset(s) == Z_OK then
        list[#list + 1] = s
    end
end

-- Runs bytes through a stream: what came out, at most `limit` bytes; nil and a message.
local function run(kind, s, bytes, limit)
    s.next_in, s.avail_in = bytes, #bytes
    input[1] = bytes
    collected:reset()
    repeat
        s.next_out, s.avail_out = room, ROOM
        local status = kind.run(s, Z_SYNC_FLUSH)
        if status ~= Z_OK and status ~= Z_BUF_ERROR then
            -- An end within a message is allowed by RFC 7692, 7.2.3.4; nobody sends one.
            return nil, status == Z_STREAM_END and "compressed message ends early" or "bad compressed message"
        end
        collected:put(ffi_string(room, ROOM - s.avail_out))
        if #collected > limit then
            return nil, "exceeding max payload len"
        end
    until s.avail_out > 0
    return collected:get()
end

-- ------------------------------------------------------------- messages

---@class resty.websocket.deflate
local codec = {}
local codec_mt = { __index = codec }

-- Compresses a frame's payload; `fin`: the last of its message. Nil and a message.
function codec:deflate(payload, fin)
    local out = self.out
    local s, err = self.deflating, nil
    if not s then
        s, err = take(kinds.deflate, out, self.level, out.window)
        if not s then
            return nil, err
        end
        self.deflating = s
    end
    local bytes
    bytes, err = run(kinds.deflate, s, payload, 2 ^ 53)
    if not bytes then
        return nil, err
    end
    if not fin then
        return bytes
    end
    self.deflating = nil
    give_back(kinds.deflate, out, s, self.level, out.window)
    -- Nothing comes of nothing behind a flush; an empty block stands for it (RFC 7692, 7.2.3.6).
    return bytes == "" and "\0" or sub(bytes, 1, -5)
end

-- Decompresses a frame's payload, to at most `limit` bytes.
function codec:inflate(payload, fin, limit)
    local s, err = self.inflating, nil
    if not s then
        s, err = take(kinds.inflate, self.into)
        if not s then
            return nil, err
        end
        self.inflating = s
    end
    local bytes
    bytes, err = run(kinds.inflate, s, fin and payload .. TAIL or payload, limit)
    if not bytes then
        return nil, err
    end
    if fin then
        self.inflating = nil
        give_back(kinds.inflate, self.into, s)
    end
    return bytes
end

-- Whether a message that begins with so many bytes is worth it.
function codec:wants(payload)
    return #payload >= self.threshold
end

-- ------------------------------------------------------------- agreeing

local DEFAULTS = { level = 6, threshold = 64, context_takeover = false, window_bits = 15 }

local function setting(options, name)
    local value = type(options) == "table" and options[name]
    if value == nil or value == false and name ~= "context_takeover" then
        return DEFAULTS[name]
    end
    return value
end

-- The parameters of each permessage-deflate in a field: list of name -> value (true: none); a parameter
-- that comes twice makes an offer void.
local function offers(field)
    local list = {}
    for offer in gmatch(field or "", "[^,]+") do
        local name = match(offer, "^%s*([^;%s]+)")
        if name == "permessage-deflate" then
            local parameters, good = {}, true
            for parameter in gmatch(offer, ";%s*([^;]*)") do
                local key, value = match(parameter, '^([%w_]+)%s*=%s*"?(%w+)"?%s*$')
                key = lower(key or match(parameter, "^([%w_]+)%s*$") or "")
                good = good and key ~= "" and parameters[key] == nil
                if good then
                    parameters[key] = value or true
                end
            end
            list[#list + 1] = good and parameters or nil
        end
    end
    return list
end

local KNOWN = {
    server_no_context_takeover = true, client_no_context_takeover = true, server_max_window_bits = true,
    client_max_window_bits = true,
}

local function window(value)
    local bits = tonumber(value)
    return bits and bits >= 8 and bits <= 15 and bits % 1 == 0 and bits or nil
end

local function is_sound(parameters, in_answer)
    for name, value in pairs(parameters) do
        if not KNOWN[name] then
            return false
        end
        if name == "server_max_window_bits" and not window(value)
            or name == "client_max_window_bits" and not window(value) and (in_answer or value ~= true)
            or name:find("takeover", 1, true) and value ~= true then
            return false
        end
    end
    return true
end

local function new_codec(options, out, into)
    return setmetatable({
        level = setting(options, "level"), threshold = setting(options, "threshold"), out = out, into = into,
    }, codec_mt)
end

-- The server: of a client's field, what to answer, and the codec; nil: none of the offers will do.
function _M.accept(field, options)
    local takeover = setting(options, "context_takeover")
    for _, offer in ipairs(offers(field)) do
        -- zlib has no streams of 8 bits.
        local bits = window(offer.server_max_window_bits) or 15
        if is_sound(offer) and bits >= 9 then
            bits = math.max(9, math.min(bits, setting(options, "window_bits")))
            local out_takeover = takeover and not offer.server_no_context_takeover
            local into_takeover = takeover and not offer.client_no_context_takeover
            local answer = { "permessage-deflate" }
            answer[#answer + 1] = not out_takeover and "server_no_context_takeover" or nil
            answer[#answer + 1] = not into_takeover and "client_no_context_takeover" or nil
            answer[#answer + 1] = bits < 15 and "server_max_window_bits=" .. bits or nil
            return concat(answer, "; "), new_codec(options, { takeover = out_takeover, window = bits },
                                                   { takeover = into_takeover })
        end
    end
end

-- The client: what to offer.
function _M.offer(options)
    local offer = "permessage-deflate; client_max_window_bits"
    if not setting(options, "context_takeover") then
        offer = offer .. "; server_no_context_takeover; client_no_context_takeover"
    end
    return offer
end

-- The client: the codec of a server's answer; nil: no compression; false: an answer that it must not give.
function _M.agreed(field, options)
    if not field then
        return nil
    end
    local list = offers(field)
    local answer = list[1]
    if #list ~= 1 or not is_sound(answer, true) or field:find(",", 1, true) then
        return false
    end
    local takeover = setting(options, "context_takeover")
    if not takeover and not answer.server_no_context_takeover then
        return false
    end
    local bits = window(answer.client_max_window_bits) or 15
    if bits < 9 then
        return false
    end
    return new_codec(options, {
        takeover = takeover and not answer.client_no_context_takeover, window = bits,
    }, { takeover = takeover and not answer.server_no_context_takeover })
end

return _M
