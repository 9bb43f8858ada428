--- resty.websocket.protocol: frames of the WebSocket protocol (RFC 6455, 5) on a cosocket.
--
--     local protocol = require "resty.websocket.protocol"
--     local data, typ, err = protocol.recv_frame(sock, 65535, true)
--     local bytes, err = protocol.send_frame(sock, true, 0x1, "hello", 65535, false)
--
-- resty.websocket.server and .client are made of it. Masks are applied eight bytes at a time, in a
-- buffer that is used again and again; an unmasked payload is sent as it is, without a copy.

local bit = require "bit"
local ffi = require "ffi"
local random = require "resty.random"

local band = bit.band
local bor = bit.bor
local bxor = bit.bxor
local byte = string.byte
local char = string.char
local ffi_cast = ffi.cast
local ffi_copy = ffi.copy
local ffi_new = ffi.new
local ffi_string = ffi.string
local floor = math.floor
local format = string.format
local rshift = bit.rshift
local sub = string.sub
local tostring = tostring
local type = type

local _M = { _VERSION = "0.12" }

-- Above this a payload gets a buffer of its own, which is collected.
local KEPT = 65536
local RANDOM_BYTES = 4096

---@type table<integer, string>
local TYPES = {
    [0x0] = "continuation",
    [0x1] = "text",
    [0x2] = "binary",
    [0x8] = "close",
    [0x9] = "ping",
    [0xa] = "pong",
}

_M.types = TYPES

local u64_ptr = ffi.typeof("uint64_t *")
local u64_array = ffi.typeof("uint64_t [?]")
local kept = ffi_new(u64_array, KEPT / 8)
local mask_words = ffi_new(u64_array, 1)

-- Masks or unmasks (it is the same) with the four bytes of `mask`.
local function apply_mask(payload, mask)
    local size = #payload
    if size == 0 then
        return payload
    end
    local words = floor((size + 7) / 8)
    local buffer = size <= KEPT and kept or ffi_new(u64_array, words)
    ffi_copy(mask_words, mask .. mask, 8)
    ffi_copy(buffer, payload, size)
    local word, to = mask_words[0], ffi_cast(u64_ptr, buffer)
    for i = 0, words - 1 do
        to[i] = bxor(to[i], word)
    end
    return ffi_string(buffer, size)
end

local pool, pool_at = "", 1

-- Four bytes that nobody can foresee (RFC 6455, 10.3).
local function new_mask()
    if pool_at + 3 > #pool then
        pool, pool_at = random.bytes(RANDOM_BYTES, true), 1
        if not pool then
            pool = ""
            return nil
        end
    end
    local mask = sub(pool, pool_at, pool_at + 3)
    pool_at = pool_at + 4
    return mask
end

local function read_error(what, err)
    return nil, nil, "failed to receive the " .. what .. ": " .. err
end

-- The big-endian number in all of `data`.
local function to_number(data)
    local n = 0
    for i = 1, #data do
        n = n * 256 + byte(data, i)
    end
    return n
end

local function read_length(sock, length)
    if length < 126 then
        return length
    end
    local size = length == 126 and 2 or 8
    local data, err = sock:receive(size)
    if not data then
        return nil, format("failed to receive the %d byte payload length: %s", size, err)
    end
    length = to_number(data)
    if length >= 2 ^ 53 then
        return nil, "payload len too large"
    end
    return length
end

-- What the first two bytes must not say. Returns nil when they are good.
local function head_error(first, second, force_masking, may_compress)
    local opcode = band(first, 0x0f)
    local foreign = may_compress and (opcode == 0x1 or opcode == 0x2) and 0x30 or 0x70
    if band(first, foreign) ~= 0 then
        return "bad RSV1, RSV2, or RSV3 bits set"
    elseif opcode >= 0x3 and opcode <= 0x7 then
        return "reserved non-control frames"
    elseif opcode >= 0xb then
        return "reserved control frames"
    elseif force_masking and band(second, 0x80) == 0 then
        return "frame unmasked"
    elseif opcode >= 0x8 and band(second, 0x7f) > 125 then
        return "too long payload for control frame"
    elseif opcode >= 0x8 and band(first, 0x80) == 0 then
        return "fragmented control frame"
    end
    return nil
end

local function read_payload(sock, length, masked)
    local size = length + (masked and 4 or 0)
    if size == 0 then
        return ""
    end
    local data, err = sock:receive(size)
    if not data then
        return nil, "failed to receive the payload: " .. err
    end
    if masked then
        return apply_mask(sub(data, 5), sub(data, 1, 4))
    end
    return data
end

local function split_close(payload)
    if payload == "" then
        return "", "close", nil
    elseif #payload < 2 then
        return nil, nil, "close frame with a body must carry a 2-byte status code"
    end
    return sub(payload, 3), "close", to_number(sub(payload, 1, 2))
end

--- Reads one frame.
---@param sock table
---@param max_payload_len? integer 65535
---@param force_masking? boolean refuse a frame without mask
---@param may_compress? boolean the first frame of a message may have the bit RSV1 (RFC 7692)
---@return string? data the payload; of a close frame, its message
---@return string? typ "text", "binary", "continuation", "close", "ping" or "pong"
---@return string|integer|nil err "again" when fragments follow; of a close frame, the status code;
--- without data, what went wrong
---@return boolean? compressed the frame begins a compressed message
function _M.recv_frame(sock, max_payload_len, force_masking, may_compress)
    local head, err, partial = sock:receive(2)
    if not head then
        return read_error(partial and partial ~= "" and "second byte" or "first 2 bytes", err)
    end
    local first, second = byte(head, 1, 2)
    err = head_error(first, second, force_masking, may_compress)
    if err then
        return nil, nil, err
    end
    local length
    length, err = read_length(sock, band(second, 0x7f))
    if not length then
        return nil, nil, err
    elseif length > (max_payload_len or 65535) then
        return nil, nil, "exceeding max payload len"
    end
    local payload
    payload, err = read_payload(sock, length, band(second, 0x80) ~= 0)
    if not payload then
        return nil, nil, err
    end
    local opcode = band(first, 0x0f)
    if opcode == 0x8 then
        return split_close(payload)
    end
    return payload, TYPES[opcode], band(first, 0x80) == 0 and "again" or nil, band(first, 0x40) ~= 0
end

local function encode_length(length, mask_bit)
    if length <= 125 then
        return char(bor(mask_bit, length))
    elseif length <= 65535 then
        return char(bor(mask_bit, 126), rshift(length, 8), band(length, 0xff))
    end
    local high, low = floor(length / 2 ^ 32), length % 2 ^ 32
    return char(bor(mask_bit, 127),
        rshift(high, 24), band(rshift(high, 16), 0xff), band(rshift(high, 8), 0xff), band(high, 0xff),
        rshift(low, 24), band(rshift(low, 16), 0xff), band(rshift(low, 8), 0xff), band(low, 0xff))
end

-- The two parts of a frame: what stands before the payload, and the payload as it is sent.
local function encode(fin, opcode, payload, masking)
    local head = char(fin and bor(0x80, opcode) or opcode)
    if not masking then
        return head .. encode_length(#payload, 0), payload
    end
    local mask = new_mask()
    if not mask then
        return nil, "no random bytes"
    end
    return head .. encode_length(#payload, 0x80) .. mask, apply_mask(payload, mask)
end

--- Makes the bytes of a frame.
---@param fin boolean the last fragment
---@param opcode integer 0 to 15
---@param payload_len integer how much of the payload
---@param payload string
---@param masking? boolean
---@return string? frame
---@return string? err
function _M.build_frame(fin, opcode, payload_len, payload, masking)
    if payload_len < #payload then
        payload = sub(payload, 1, payload_len)
    end
    local head, body = encode(fin, opcode, payload, masking)
    if not head then
        return nil, body
    end
    return head .. body
end

--- Sends one frame.
---@param sock table
---@param fin boolean
---@param opcode integer
---@param payload? string
---@param max_payload_len? integer 65535
---@param masking? boolean
---@param compressed? boolean sets the bit RSV1
---@return integer? bytes
---@return string? err
function _M.send_frame(sock, fin, opcode, payload, max_payload_len, masking, compressed)
    payload = payload or ""
    if type(payload) ~= "string" then
        payload = tostring(payload)
    end
    if #payload > (max_payload_len or 65535) then
        return nil, "payload too big"
    end
    if opcode >= 0x8 then
        if #payload > 125 then
            return nil, "too much payload for control frame"
        elseif not fin then
            return nil, "fragmented control frame"
        end
    end
    local head, body = encode(fin, compressed and bor(opcode, 0x40) or opcode, payload, masking)
    if not head then
        return nil, "failed to build frame: " .. body
    end
    local bytes, err = sock:send { head, body }
    if not bytes then
        return nil, "failed to send frame: " .. err
    end
    return bytes
end

return _M
