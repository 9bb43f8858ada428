-- resty.mysql.binary: values as prepared statements have them, in both directions. Private.
--
-- Results have the same Lua values as those of text queries: dates and times in the same letters,
-- BIGINT as a string, the others of numbers' types as numbers.

local protocol = require "resty.mysql.protocol"

local band = bit.band
local bit_rshift = bit.rshift
local byte = string.byte
local char = string.char
local clone = require "table.clone"
local concat = table.concat
local ffi = require "ffi"
local ffi_cast = ffi.cast
local ffi_copy = ffi.copy
local ffi_new = ffi.new
local ffi_string = ffi.string
local floor = math.floor
local format = string.format
local gsub = string.gsub
local istype = ffi.istype
local lenenc_span = protocol.lenenc_span
local lenenc_string = protocol.lenenc_string
local null = ngx.null
local number_at = require("resty.sql_reader").number_at
local sub = string.sub
local tonumber = tonumber
local tostring = tostring
local type = type
local u16 = protocol.u16
local u32 = protocol.u32

local UNSIGNED = 0x20

local bytes_type = ffi.typeof("const char *")
local int8 = ffi_new("int8_t[1]")
local int16 = ffi_new("int16_t[1]")
local int32 = ffi_new("int32_t[1]")
local int64 = ffi_new("int64_t[1]")
local uint64 = ffi_new("uint64_t[1]")
local float = ffi_new("float[1]")
local double = ffi_new("double[1]")

local _M = {}

-- Parameters ------------------------------------------------------------------------------------

local function eight_bytes(box, value)
    box[0] = value
    return ffi_string(box, 8)
end

-- The type (two bytes) and the bytes of a parameter; nil for one that SQL has no type for.
local function parameter(value)
    local kind = type(value)
    if kind == "string" then
        return "\253\0", lenenc_string(value)
    elseif kind == "number" then
        if value == floor(value) and value > -2 ^ 53 and value < 2 ^ 53 then
            return "\8\0", eight_bytes(int64, value)
        end
        return "\5\0", eight_bytes(double, value)
    elseif kind == "boolean" then
        return "\1\0", value and "\1" or "\0"
    elseif kind == "cdata" and istype("int64_t", value) then
        return "\8\0", eight_bytes(int64, value)
    elseif kind == "cdata" and istype("uint64_t", value) then
        return "\8\128", eight_bytes(uint64, value)
    end
    return nil
end

-- The payload that executes a statement with its parameters; nil and an error.
function _M.execute(id, count, parameters)
    local head = "\23" .. protocol.le32(id) .. "\0\1\0\0\0"
    if count == 0 then
        return head
    end
    local nulls, types, values = {}, {}, {}
    for i = 0, bit_rshift(count + 7, 3) - 1 do
        nulls[i + 1] = 0
    end
    for i = 1, count do
        local value = parameters[i]
        if value == nil or value == null then
            local at = bit_rshift(i - 1, 3) + 1
            nulls[at] = nulls[at] + 2 ^ ((i - 1) % 8)
            types[i], values[i] = "\6\0", ""
        else
            types[i], values[i] = parameter(value)
            if not types[i] then
                return nil, "parameter " .. i .. " is of an unsupported type: " .. type(value)
            end
        end
    end
    for i = 1, #nulls do
        nulls[i] = char(nulls[i])
    end
    return head .. concat(nulls) .. "\1" .. concat(types) .. concat(values)
end

-- Values ----------------------------------------------------------------------------------------

-- A reader gets the string, the position, the packet's last byte, and the column's flags and
-- decimals; it returns the value and the position behind it, or nil.

local function fixed(size, box, unsigned_range)
    return function(s, pos, last, flags)
        if pos + size - 1 > last then
            return nil
        end
        ffi_copy(box, ffi_cast(bytes_type, s) + (pos - 1), size)
        local value = tonumber(box[0])
        if value < 0 and unsigned_range and band(flags, UNSIGNED) ~= 0 then
            value = value + unsigned_range
        end
        return value, pos + size
    end
end

local read_long = fixed(4, int32, 2 ^ 32)

-- A NaN has bits that nobody asks for, and those of a number that comes out of the FFI may be taken for
-- any other value of Lua's. So it is told by its bits, and our own is given instead.
local NAN = 0 / 0

local function is_nan(s, pos, last, infinite)
    local high = band(read_long(s, last - 3, last, 0), 0x7fffffff)
    return high > infinite or high == infinite and last - pos > 3 and read_long(s, pos, last, 0) ~= 0
end

local function read_double(s, pos, last)
    if pos + 7 > last then
        return nil
    elseif is_nan(s, pos, pos + 7, 0x7ff00000) then
        return NAN, pos + 8
    end
    ffi_copy(double, ffi_cast(bytes_type, s) + (pos - 1), 8)
    return double[0], pos + 8
end

-- A float in the least digits that tell it apart from others.
local function read_float(s, pos, last)
    if pos + 3 > last then
        return nil
    elseif is_nan(s, pos, pos + 3, 0x7f800000) then
        return NAN, pos + 4
    end
    ffi_copy(float, ffi_cast(bytes_type, s) + (pos - 1), 4)
    local exact = float[0]
    for digits = 6, 8 do
        local value = tonumber(format("%." .. digits .. "g", exact))
        float[0] = value or 0
        if value and float[0] == exact then
            return value, pos + 4
        end
    end
    return exact, pos + 4
end

local function read_longlong(s, pos, last, flags)
    if pos + 7 > last then
        return nil
    end
    local box = band(flags, UNSIGNED) ~= 0 and uint64 or int64
    ffi_copy(box, ffi_cast(bytes_type, s) + (pos - 1), 8)
    return (gsub(tostring(box[0]), "U?LL$", "")), pos + 8
end

local function fraction(micros, decimals)
    if decimals == 0 or decimals > 6 then
        return micros > 0 and format(".%06d", micros) or ""
    end
    return sub(format(".%06d", micros), 1, decimals + 1)
end

-- The length in front of a date or time, when it is one of those that there are and fits.
local function checked_length(s, pos, last, lengths)
    local len = pos <= last and byte(s, pos)
    return len and lengths[len] and pos + len <= last and len or nil
end

local DATE_LENGTHS = { [0] = true, [4] = true, [7] = true, [11] = true }
local TIME_LENGTHS = { [0] = true, [8] = true, [12] = true }

local function read_date(s, pos, last)
    local len = checked_length(s, pos, last, DATE_LENGTHS)
    if not len then
        return nil
    elseif len == 0 then
        return "0000-00-00", pos + 1
    end
    return format("%04d-%02d-%02d", u16(s, pos + 1), byte(s, pos + 3, pos + 4)), pos + 1 + len
end

local function read_datetime(s, pos, last, _, decimals)
    local len = checked_length(s, pos, last, DATE_LENGTHS)
    if not len then
        return nil
    end
    local year, month, day, hour, minute, second, micros = 0, 0, 0, 0, 0, 0, 0
    if len >= 4 then
        year, month, day = u16(s, pos + 1), byte(s, pos + 3, pos + 4)
    end
    if len >= 7 then
        hour, minute, second = byte(s, pos + 5, pos + 7)
    end
    if len == 11 then
        micros = u32(s, pos + 8)
    end
    return format("%04d-%02d-%02d %02d:%02d:%02d", year, month, day, hour, minute, second)
        .. fraction(micros, decimals), pos + 1 + len
end

local function read_time(s, pos, last, _, decimals)
    local len = checked_length(s, pos, last, TIME_LENGTHS)
    if not len then
        return nil
    elseif len == 0 then
        return "00:00:00" .. fraction(0, decimals), pos + 1
    end
    local sign = byte(s, pos + 1) == 0 and "" or "-"
    local hour, minute, second = byte(s, pos + 6, pos + 8)
    local micros = len == 12 and u32(s, pos + 9) or 0
    return format("%s%02d:%02d:%02d", sign, u32(s, pos + 2) * 24 + hour, minute, second)
        .. fraction(micros, decimals), pos + 1 + len
end

local function read_string(s, pos, last)
    local first, stop = lenenc_span(s, pos, last)
    if not first then
        return nil
    end
    return sub(s, first, stop), stop + 1
end

local function read_decimal(s, pos, last)
    local first, stop = lenenc_span(s, pos, last)
    if not first then
        return nil
    end
    return number_at(s, first, stop), stop + 1
end

local READERS = {
    [0x00] = read_decimal,
    [0x01] = fixed(1, int8, 2 ^ 8),
    [0x02] = fixed(2, int16, 2 ^ 16),
    [0x03] = read_long,
    [0x04] = read_float,
    [0x05] = read_double,
    [0x07] = read_datetime,
    [0x08] = read_longlong,
    [0x09] = read_long, -- INT24
    [0x0a] = read_date,
    [0x0b] = read_time,
    [0x0c] = read_datetime,
    [0x0d] = fixed(2, int16, 2 ^ 16), -- YEAR
    [0x0e] = read_date,
    [0xf6] = read_decimal,
}

-- A row of a prepared statement; nil when it is not well formed.
function _M.row(s, pos, last, columns)
    local count, keys, types = columns.count, columns.keys, columns.types
    local nulls = pos + 1
    pos = nulls + bit_rshift(count + 9, 3)
    if pos > last + 1 or byte(s, nulls - 1) ~= 0 then
        return nil
    end
    local row = clone(columns.template)
    for i = 1, count do
        local at = i + 1 -- the first two bits are spare
        if band(byte(s, nulls + bit_rshift(at, 3)), 2 ^ (at % 8)) ~= 0 then
            row[keys[i]] = null
        else
            local read = READERS[types[i]] or read_string
            local value
            value, pos = read(s, pos, last, columns.flags[i], columns.decimals[i])
            if value == nil then
                return nil
            end
            row[keys[i]] = value
        end
    end
    return pos == last + 1 and row or nil
end

return _M
