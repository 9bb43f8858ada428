-- What resty.mlcache keeps in the shared dictionary: one string for a value, with its time.
--
--     expires  8 bytes  when, in seconds since the epoch; 0: never
--     kind     1 byte   n nil, b boolean, d number, s string, t table
--     mark     1 byte   S: a stale value whose life was prolonged, else a blank
--     the value: nothing, 1 or 0, 8 bytes, the string, string.buffer's form of the table

local ffi = require "ffi"
local buffer = require "string.buffer"

local cast, ffi_copy, ffi_string = ffi.cast, ffi.copy, ffi.string
local byte, sub = string.byte, string.sub
local encode, decode = buffer.encode, buffer.decode
local pcall, tostring, type = pcall, tostring, type

local HEAD = 10
local KIND, MARK = 9, 10
local STALE = byte("S")

local double = ffi.new("double[1]")
local double_ptr = ffi.typeof("const double *")

local _M = {}

local function pack(number)
    double[0] = number
    return ffi_string(double, 8)
end

local function unpack_at(text, offset)
    ffi_copy(double, cast("const char *", text) + offset, 8)
    return double[0]
end

-- The record of a value; nil and an error when it has a type that can't be kept.
function _M.pack(value, expires, stale)
    local kind = type(value)
    local text
    if kind == "table" then
        local ok, encoded = pcall(encode, value)
        if not ok then
            return nil, "could not encode value: " .. tostring(encoded)
        end
        text = "t" .. (stale and "S" or " ") .. encoded
    elseif kind == "string" then
        text = "s" .. (stale and "S" or " ") .. value
    elseif kind == "number" then
        text = "d" .. (stale and "S" or " ") .. pack(value)
    elseif kind == "boolean" then
        text = "b" .. (stale and "S" or " ") .. (value and "1" or "0")
    elseif kind == "nil" then
        text = "n" .. (stale and "S" or " ")
    else
        return nil, "cannot cache value of type " .. kind
    end
    return pack(expires) .. text
end

local readers = {
    n = function() return nil end,
    b = function(text) return byte(text, HEAD + 1) == 49 end,
    d = function(text) return unpack_at(text, HEAD) end,
    s = function(text) return sub(text, HEAD + 1) end,
    t = function(text) return decode(sub(text, HEAD + 1)) end,
}

-- Whether the record is one, its value, when it expires (0: never), and whether it was prolonged.
function _M.unpack(text)
    if type(text) ~= "string" or #text < HEAD then
        return false
    end
    local reader = readers[sub(text, KIND, KIND)]
    if not reader then
        return false
    end
    local ok, value = pcall(reader, text)
    if not ok then
        return false
    end
    return true, value, cast(double_ptr, text)[0], byte(text, MARK) == STALE
end

return _M
