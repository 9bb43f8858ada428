-- resty.mysql.protocol: the packets of MySQL's client/server protocol, as functions over bytes.
-- Private.
--
-- A parser gets a string and the positions of a packet's first and last byte in it (the packet lies
-- in the buffer with what follows it). It returns what it found, or nil for a packet that is not
-- well formed; it never looks behind the last byte, whatever a length says. Builders return the
-- payload of a packet.

local band = bit.band
local byte = string.byte
local char = string.char
local clone = require "table.clone"
local find = string.find
local gsub = string.gsub
local null = ngx.null
local number_at = require("resty.sql_reader").number_at
local rep = string.rep
local sub = string.sub
local tostring = tostring
local type = type

local _M = {}

-- What the client says that it can do.
_M.capabilities = 0x1 -- LONG_PASSWORD
    + 0x4 -- LONG_FLAG
    + 0x200 -- PROTOCOL_41
    + 0x2000 -- TRANSACTIONS
    + 0x8000 -- SECURE_CONNECTION
    + 0x10000 -- MULTI_STATEMENTS
    + 0x20000 -- MULTI_RESULTS
    + 0x40000 -- PS_MULTI_RESULTS
    + 0x80000 -- PLUGIN_AUTH
    + 0x200000 -- PLUGIN_AUTH_LENENC_CLIENT_DATA

local FOUND_ROWS = 0x2
local CONNECT_WITH_DB = 0x8
local SSL = 0x800

_M.SSL = SSL
_M.MORE_RESULTS = 0x8 -- in a server status

-- The types of columns.
local TINY, SHORT, LONG, FLOAT, DOUBLE, LONGLONG, INT24, YEAR, NEWDECIMAL =
    0x01, 0x02, 0x03, 0x04, 0x05, 0x08, 0x09, 0x0d, 0xf6

-- Whose values are numbers in Lua. LONGLONG is not: a double has room for 53 bits.
local NUMERIC = {
    [TINY] = true,
    [SHORT] = true,
    [LONG] = true,
    [FLOAT] = true,
    [DOUBLE] = true,
    [INT24] = true,
    [YEAR] = true,
    [NEWDECIMAL] = true,
}

_M.types = { LONGLONG = LONGLONG, FLOAT = FLOAT }

-- Integers and strings --------------------------------------------------------------------------

local function u16(s, pos)
    local a, b = byte(s, pos, pos + 1)
    return a + b * 0x100
end

local function u32(s, pos)
    local a, b, c, d = byte(s, pos, pos + 3)
    return a + b * 0x100 + c * 0x10000 + d * 0x1000000
end

_M.u16 = u16
_M.u32 = u32

-- Eight bytes as a number, or in decimal digits where a number has not enough bits.
local function u64(s, pos)
    local low, high = u32(s, pos), u32(s, pos + 4)
    if high < 0x200000 then
        return low + high * 0x100000000
    end
    return (gsub(tostring(high * 0x100000000ULL + low), "ULL$", ""))
end

-- A length-encoded integer, and the position behind it; nil when it is not whole, or NULL's mark.
local function lenenc(s, pos, last)
    if pos > last then
        return nil
    end
    local first = byte(s, pos)
    if first < 251 then
        return first, pos + 1
    elseif first == 252 and pos + 2 <= last then
        return u16(s, pos + 1), pos + 3
    elseif first == 253 and pos + 3 <= last then
        local a, b, c = byte(s, pos + 1, pos + 3)
        return a + b * 0x100 + c * 0x10000, pos + 4
    elseif first == 254 and pos + 8 <= last then
        return u64(s, pos + 1), pos + 9
    end
    return nil
end

_M.lenenc = lenenc

-- The positions of a length-encoded string's first and last byte.
local function lenenc_span(s, pos, last)
    local len, at = lenenc(s, pos, last)
    if not len or type(len) ~= "number" or len > last - at + 1 then
        return nil
    end
    return at, at + len - 1
end

_M.lenenc_span = lenenc_span

local function le16(n)
    return char(band(n, 0xff), n / 0x100 % 0x100)
end

local function le24(n)
    return char(n % 0x100, n / 0x100 % 0x100, n / 0x10000 % 0x100)
end

local function le32(n)
    return char(n % 0x100, n / 0x100 % 0x100, n / 0x10000 % 0x100, n / 0x1000000 % 0x100)
end

_M.le16 = le16
_M.le24 = le24
_M.le32 = le32

-- A string with its length in front.
function _M.lenenc_string(text)
    local n = #text
    if n < 251 then
        return char(n) .. text
    elseif n < 0x10000 then
        return "\252" .. le16(n) .. text
    elseif n < 0x1000000 then
        return "\253" .. le24(n) .. text
    end
    return "\254" .. le32(n % 0x100000000) .. le32(n / 0x100000000) .. text
end

-- A string that ends with NUL, and the position behind it.
local function c_string(s, pos, last)
    local stop = find(s, "\0", pos, true)
    if not stop or stop > last then
        return nil
    end
    return sub(s, pos, stop - 1), stop + 1
end

-- Connecting ------------------------------------------------------------------------------------

-- The server's first packet: {version, capabilities, scramble, plugin}.
function _M.greeting(s, pos, last)
    if pos > last or byte(s, pos) ~= 10 then
        return nil
    end
    local version, at = c_string(s, pos + 1, last)
    -- Thread, first part of the scramble, NUL, capabilities, charset, status.
    if not version or at + 17 > last then
        return nil
    end
    local greeting = { version = version, capabilities = u16(s, at + 13) }
    local scramble = sub(s, at + 4, at + 11)
    at = at + 18
    if at + 12 <= last then
        greeting.capabilities = greeting.capabilities + u16(s, at) * 0x10000
        local length = byte(s, at + 2)
        at = at + 13
        local more = (length > 21 and length or 21) - 8
        scramble = scramble .. sub(s, at, at + more - 1 <= last and at + more - 1 or last)
        greeting.plugin = c_string(s, at + more, last) or sub(s, at + more, last)
    end
    greeting.scramble = sub(scramble, 1, 20)
    return #greeting.scramble == 20 and greeting or nil
end

-- The part of the login that asks for TLS, and with which the login itself begins. `options`:
-- found_rows, charset (a collation's number), database, capabilities (more of them).
function _M.login_head(options)
    local flags = _M.capabilities + (options.capabilities or 0)
    if options.found_rows ~= false then
        flags = flags + FOUND_ROWS
    end
    if options.database then
        flags = flags + CONNECT_WITH_DB
    end
    return le32(flags) .. le32(0x1000000) .. char(options.charset or 0) .. rep("\0", 23)
end

function _M.login(head, user, answer, database, plugin)
    return head .. user .. "\0" .. _M.lenenc_string(answer) .. (database and database .. "\0" or "")
        .. plugin .. "\0"
end

-- The server wants another way to authenticate: its name, and data for it.
function _M.auth_switch(s, pos, last)
    local plugin, at = c_string(s, pos + 1, last)
    if not plugin then
        return nil
    end
    return plugin, (gsub(sub(s, at, last), "%z$", ""))
end

-- Replies ---------------------------------------------------------------------------------------

-- An OK packet as the table that the caller gets.
function _M.ok(s, pos, last)
    local rows, at = lenenc(s, pos + 1, last)
    if not rows then
        return nil
    end
    local id
    id, at = lenenc(s, at, last)
    if not id or at + 3 > last then
        return nil
    end
    local res = {
        affected_rows = rows,
        insert_id = id,
        server_status = u16(s, at),
        warning_count = u16(s, at + 2),
    }
    at = at + 4
    if at <= last then
        local first, stop = lenenc_span(s, at, last)
        if not first then
            first, stop = at, last
        end
        if stop >= first then
            res.message = sub(s, first, stop)
        end
    end
    return res
end

-- An error: message, number, SQL state (nil while the connection is made).
function _M.err(s, pos, last)
    if last - pos < 2 then
        return nil
    end
    local code = u16(s, pos + 1)
    if byte(s, pos + 3) == 35 and pos + 8 <= last then -- #
        return sub(s, pos + 9, last), code, sub(s, pos + 4, pos + 8)
    end
    return sub(s, pos + 3, last), code
end

-- Is it the packet that ends columns or rows? Then warnings and the server's status.
function _M.eof(s, pos, last)
    if last - pos >= 8 or byte(s, pos) ~= 254 then
        return nil
    elseif last - pos < 4 then
        return 0, 0
    end
    return u16(s, pos + 1), u16(s, pos + 3)
end

-- The answer to a prepare: statement's number, columns, parameters.
function _M.prepared(s, pos, last)
    if last - pos < 8 then
        return nil
    end
    return u32(s, pos + 1), u16(s, pos + 5), u16(s, pos + 7)
end

-- Result sets -----------------------------------------------------------------------------------

-- A column's definition: name, type, flags, charset, decimals.
function _M.column(s, pos, last)
    local first, stop
    for i = 1, 5 do -- catalog, schema, table, original table, name
        first, stop = lenenc_span(s, pos, last)
        if not first then
            return nil
        end
        pos = stop + 1
    end
    local name = sub(s, first, stop)
    first, stop = lenenc_span(s, pos, last) -- original name
    if not first or stop + 11 > last then
        return nil
    end
    pos = stop + 2 -- behind the length of what follows
    return name, byte(s, pos + 6), u16(s, pos + 7), u16(s, pos), byte(s, pos + 9)
end

-- What the parsers of rows need to know of the columns, column by column: keys (names, or with
-- compact arrays 1, 2, ...), numeric, types, flags, decimals; and a row to copy.
function _M.columns(count, compact)
    return {
        count = count,
        compact = compact,
        keys = {},
        numeric = {},
        types = {},
        flags = {},
        decimals = {},
        template = {},
    }
end

function _M.add_column(columns, i, name, kind, flags, _, decimals)
    local key = columns.compact and i or name
    columns.keys[i] = key
    columns.numeric[i] = NUMERIC[kind] or false
    columns.types[i] = kind
    columns.flags[i] = flags
    columns.decimals[i] = decimals
    columns.template[key] = false
end

-- A row of a query: every value is text.
function _M.text_row(s, pos, last, columns)
    local keys, numeric = columns.keys, columns.numeric
    local row = clone(columns.template)
    for i = 1, columns.count do
        if pos > last then
            return nil
        end
        local len = byte(s, pos)
        if len == 251 then
            row[keys[i]] = null
            pos = pos + 1
        else
            local stop
            if len < 251 then
                pos = pos + 1
                stop = pos + len - 1
                if stop > last then
                    return nil
                end
            else
                pos, stop = lenenc_span(s, pos, last)
                if not pos then
                    return nil
                end
            end
            row[keys[i]] = numeric[i] and number_at(s, pos, stop) or sub(s, pos, stop)
            pos = stop + 1
        end
    end
    return pos == last + 1 and row or nil
end

return _M
