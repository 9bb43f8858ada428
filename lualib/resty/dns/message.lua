--- Queries and answers as bytes (RFC 1035), for resty.dns.resolver.
--
-- parse() believes nothing: every length is checked against the message, a compressed name can only
-- point backwards (so there are no loops), and a name has at most 255 bytes. Of an answer that is not
-- one to the query it says so, for the resolver to wait for another.

local band = require("bit").band
local byte = string.byte
local char = string.char
local concat = table.concat
local find = string.find
local format = string.format
local gmatch = string.gmatch
local gsub = string.gsub
local ipairs = ipairs
local lower = string.lower
local rshift = require("bit").rshift
local sub = string.sub

local _M = {}

local MAX_LABEL = 63
local MAX_NAME = 255

local errors = { "format error", "server failure", "name error", "not implemented", "refused" }

-- Queries -----------------------------------------------------------------------------------------

local function u16(n)
    return char(rshift(n, 8), band(n, 255))
end

local function write_name(name)
    if name == "." then
        return "\0"
    end
    name = gsub(name, "%.$", "")
    if name == "" or #name > MAX_NAME - 2 or find(name, "..", 1, true) or byte(name) == 46 then
        return nil
    end
    local labels = {}
    for label in gmatch(name, "[^.]+") do
        if #label > MAX_LABEL then
            return nil
        end
        labels[#labels + 1] = char(#label) .. label
    end
    return concat(labels) .. "\0"
end

--- A query's bytes.
---@param id integer
---@param name string
---@param options {qtype: integer, no_recurse: boolean?, edns: integer?}
---@return string? bytes
---@return string? err "bad name"
function _M.query(id, name, options)
    local question = write_name(name)
    if not question then
        return nil, "bad name"
    end
    local flags = options.no_recurse and "\0\0" or "\1\0"
    local counts = options.edns and "\0\1\0\0\0\0\0\1" or "\0\1\0\0\0\0\0\0"
    local query = u16(id) .. flags .. counts .. question .. u16(options.qtype) .. "\0\1"
    if options.edns then -- an OPT record (RFC 6891) with the size of datagrams we take
        query = query .. "\0\0\41" .. u16(options.edns) .. "\0\0\0\0\0\0"
    end
    return query
end

-- Parts of answers --------------------------------------------------------------------------------

local function read16(buf, pos)
    local a, b = byte(buf, pos, pos + 1)
    return b and a * 256 + b
end

local function read32(buf, pos)
    local a, b, c, d = byte(buf, pos, pos + 3)
    return d and ((a * 256 + b) * 256 + c) * 256 + d
end

-- A label's own dots and backslashes are marked, so that no label looks like two.
local function show_label(label)
    return find(label, "[.\\]") and gsub(label, "[.\\]", "\\%0") or label
end

-- The name at `pos`, and where what follows it begins.
local function read_name(buf, pos)
    local labels, size, behind, floor = {}, 1, nil, pos
    while true do
        local length = byte(buf, pos)
        if not length then
            return nil, "truncated"
        elseif length == 0 then
            return concat(labels, "."), behind or pos + 1
        elseif length >= 192 then
            local low = byte(buf, pos + 1)
            local target = low and (length - 192) * 256 + low + 1
            if not target or target >= floor or target <= 12 then
                return nil, "bad compression pointer"
            end
            behind = behind or pos + 2
            pos, floor = target, target
        elseif length > MAX_LABEL then
            return nil, "bad label"
        else
            size = size + length + 1
            if size > MAX_NAME then
                return nil, "too long a name"
            elseif pos + length > #buf then
                return nil, "truncated"
            end
            labels[#labels + 1] = show_label(sub(buf, pos + 1, pos + length))
            pos = pos + length + 1
        end
    end
end

-- Strings with a byte of length in front of each, up to `last`.
local function read_strings(buf, pos, last)
    local list = {}
    while pos <= last do
        local length = byte(buf, pos)
        if pos + length > last then
            return nil
        end
        list[#list + 1] = sub(buf, pos + 1, pos + length)
        pos = pos + length + 1
    end
    return list
end

-- Kinds of records: each puts its fields into `record`. The data has `length` bytes from `pos` on.
-- Returns true, or nil and an error.

local function a(buf, pos, length, record)
    if length ~= 4 then
        return nil, "bad A record value length: " .. length
    end
    record.address = format("%d.%d.%d.%d", byte(buf, pos, pos + 3))
    return true
end

local function aaaa(buf, pos, length, record)
    if length ~= 16 then
        return nil, "bad AAAA record value length: " .. length
    end
    local groups = {}
    for i = 1, 8 do
        groups[i] = format("%x", read16(buf, pos + 2 * i - 2))
    end
    record.address = concat(groups, ":")
    return true
end

-- A record that is `skip` bytes and a name.
local function name_at(buf, pos, skip, length, what)
    local name, behind = read_name(buf, pos + skip)
    if not name then
        return nil, "bad " .. what .. " record: " .. behind
    elseif behind - pos ~= length then
        return nil, format("bad %s record length: %d ~= %d", what, behind - pos, length)
    end
    return name
end

local function one_name(field, what)
    return function(buf, pos, length, record)
        local name, err = name_at(buf, pos, 0, length, what)
        record[field] = name
        return name and true, err
    end
end

local function mx(buf, pos, length, record)
    if length < 3 then
        return nil, "bad MX record value length: " .. length
    end
    local name, err = name_at(buf, pos, 2, length, "MX")
    record.preference, record.exchange = read16(buf, pos), name
    return name and true, err
end

local function srv(buf, pos, length, record)
    if length < 7 then
        return nil, "bad SRV record value length: " .. length
    end
    local name, err = name_at(buf, pos, 6, length, "SRV")
    record.priority, record.weight = read16(buf, pos), read16(buf, pos + 2)
    record.port, record.target = read16(buf, pos + 4), name
    return name and true, err
end

local function soa(buf, pos, length, record)
    local mname, behind = read_name(buf, pos)
    local rname
    if mname then
        rname, behind = read_name(buf, behind)
    end
    if not rname then
        return nil, "bad SOA record: " .. behind
    elseif behind + 20 - pos ~= length then
        return nil, format("bad SOA record length: %d ~= %d", behind + 20 - pos, length)
    end
    record.mname, record.rname = mname, rname
    for i, field in ipairs { "serial", "refresh", "retry", "expire", "minimum" } do
        record[field] = read32(buf, behind + 4 * i - 4)
    end
    return true
end

local function text(field)
    return function(buf, pos, length, record)
        local list = read_strings(buf, pos, pos + length - 1)
        if not list or #list == 0 then
            return nil, "bad TXT record"
        end
        record[field] = #list == 1 and list[1] or list
        return true
    end
end

local function naptr(buf, pos, length, record)
    local last, at = pos + length - 1, pos + 4
    for _, field in ipairs { "flags", "services", "regexp" } do
        local size = at <= last and byte(buf, at)
        if not size or at + size > last then
            return nil, "bad NAPTR record value length: " .. length
        end
        record[field] = sub(buf, at + 1, at + size)
        at = at + size + 1
    end
    record.order, record.preference = read16(buf, pos), read16(buf, pos + 2)
    local name, err = name_at(buf, pos, at - pos, length, "NAPTR")
    record.replacements = name
    return name and true, err
end

local function caa(buf, pos, length, record)
    local size = length >= 2 and byte(buf, pos + 1)
    if not size or size == 0 or size + 2 > length then
        return nil, "bad CAA record value length: " .. length
    end
    record.flags, record.tag = byte(buf, pos), sub(buf, pos + 2, pos + 1 + size)
    record.value = sub(buf, pos + 2 + size, pos + length - 1)
    return true
end

local kinds = {
    [1] = a,
    [2] = one_name("nsdname", "ns"),
    [5] = one_name("cname", "cname"),
    [6] = soa,
    [12] = one_name("ptrdname", "ptr"),
    [15] = mx,
    [16] = text("txt"),
    [28] = aaaa,
    [33] = srv,
    [35] = naptr,
    [99] = text("spf"),
    [257] = caa,
}

local OPT = 41

-- Data whose length is wrong in itself is told before data that is not all there.
local fixed = { [1] = 4, [28] = 16 }

local function read_data(buf, pos, length, record)
    local read = kinds[record.type]
    local whole = pos + length - 1 <= #buf
    if not whole and (fixed[record.type] or length) == length then
        return nil, "truncated"
    elseif not read then
        record.rdata = sub(buf, pos, pos + length - 1)
        return whole or nil, "truncated"
    end
    return read(buf, pos, length, record)
end

-- A record, and where the next one begins. With `skip`, its data is not looked at.
local function read_record(buf, pos, section, skip)
    local name, at = read_name(buf, pos)
    if not name then
        return nil, at
    end
    local length = read16(buf, at + 8)
    if not length then
        return nil, "truncated"
    end
    local record = {
        name = name,
        type = read16(buf, at),
        class = read16(buf, at + 2),
        ttl = read32(buf, at + 4),
        section = section,
    }
    at = at + 10
    if skip or record.type == OPT then
        if at + length - 1 > #buf then
            return nil, "truncated"
        end
        return false, at + length
    end
    local ok, err = read_data(buf, at, length, record)
    if not ok then
        return nil, err
    end
    return record, at + length
end

local function read_records(buf, pos, wanted, answers)
    for section = 1, 3 do
        for _ = 1, read16(buf, 5 + 2 * section) do
            local record, behind = read_record(buf, pos, section, not wanted[section])
            if record == nil then
                return nil, behind
            elseif record then
                answers[#answers + 1] = record
            end
            pos = behind
        end
    end
    return answers
end

-- Whether the question is the one that was asked; where the records begin.
local function check_question(buf, name, qtype, code)
    local count = read16(buf, 5)
    if count == 0 and code ~= 0 then
        return 13 -- a server that did not understand
    elseif count ~= 1 then
        return nil
    end
    local asked, at = read_name(buf, 13)
    local expected = gsub(name, "%.$", "")
    if not asked or lower(asked) ~= lower(expected) then
        return nil
    elseif read16(buf, at) ~= qtype or read16(buf, at + 2) ~= 1 then
        return nil
    end
    return at + 4
end

--- The records of an answer.
---@param buf string
---@param id integer the query's
---@param name string
---@param options {qtype: integer, authority_section: boolean?, additional_section: boolean?}
---@param over_tcp? boolean
---@return table? answers with errcode and errstr when the server reports an error
---@return string? err
---@return string? kind "other": not an answer to this query; "truncated": to be asked over TCP
function _M.parse(buf, id, name, options, over_tcp)
    if #buf < 12 then
        return nil, "truncated", "truncated"
    end
    local got, flags = read16(buf, 1), read16(buf, 3)
    if got ~= id then
        return nil, format("id mismatch in the DNS reply: %d ~= %d", got, id), "other"
    elseif flags < 0x8000 then
        return nil, "bad QR flag in the DNS response"
    end
    local code = band(flags, 15)
    local pos = check_question(buf, name, options.qtype, code)
    if band(flags, 0x0200) ~= 0 and not over_tcp then
        return nil, "truncated", (pos or read16(buf, 5) == 0) and "truncated" or "other"
    elseif not pos then
        return nil, "question mismatch in the DNS reply", "other"
    end
    local answers = {}
    if code ~= 0 then
        answers.errcode, answers.errstr = code, errors[code] or "unknown"
    end
    local wanted = { true, options.authority_section, options.additional_section }
    return read_records(buf, pos, wanted, answers)
end

return _M
