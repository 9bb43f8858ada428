-- resty.mysql: the packets of a login, of results as text and as binary, and of prepared statements.
local bit = require "bit"
local fuzz = require "fuzz"
local mysql = require "resty.mysql"

local function packet(number, payload)
    local n = #payload
    return string.char(bit.band(n, 255), bit.band(bit.rshift(n, 8), 255), bit.rshift(n, 16), number % 256) .. payload
end

-- Packets that follow each other, from a number on.
local function packets(number, ...)
    local all = {}
    for i = 1, select("#", ...) do
        all[i] = packet(number + i - 1, (select(i, ...)))
    end
    return table.concat(all)
end

local SCRAMBLE = "abcdefghijklmnopqrst"
local GREETING = "\10" .. "8.4.0\0\7\0\0\0" .. SCRAMBLE:sub(1, 8) .. "\0\255\247\255\2\0\255\223\21" .. ("\0"):rep(10)
    .. SCRAMBLE:sub(9) .. "\0mysql_native_password\0"
local OK, EOF = "\0\1\2\2\0\0\0", "\254\0\0\2\0"
local ERROR = "\255\25\4#42000You have an error"
local LOGIN = packet(0, GREETING) .. packet(2, OK)

local function column(name, kind, flags)
    return "\3def\1d\1t\1t" .. string.char(#name) .. name .. "\1o\12\33\0\255\0\0\0" .. string.char(kind, flags or 0) .. "\0\0\0\0"
end

local ROWS = packets(1, "\2", column("id", 3), column("name", 253), EOF, "\1\0497\3abc", "\251\0", EOF)
local TYPES = { 1, 2, 3, 4, 5, 8, 7, 10, 11, 12, 246, 253, 252 }

local function binary_rows()
    local all = { string.char(#TYPES) }
    for i, kind in ipairs(TYPES) do
        all[#all + 1] = column("c" .. i, kind, 32 * (i % 2))
    end
    all[#all + 1] = EOF
    all[#all + 1] = "\0\0\0" .. "\5" .. "\5\0" .. "\5\0\0\0" .. "\0\0\128\63" .. "\0\0\0\0\0\0\240\63"
        .. "\255\255\255\255\255\255\255\127" .. "\11\234\7\11\22\10\20\30\1\0\0\0" .. "\4\234\7\11\22"
        .. "\12\1\1\0\0\0\10\20\30\1\0\0\0" .. "\7\234\7\11\22\10\20\30" .. "\4" .. "1.50"
        .. "\3abc" .. "\252\4\0blob"
    all[#all + 1] = "\0\255\255"
    all[#all + 1] = EOF
    return packets(1, unpack(all))
end

local PREPARED = packets(1, "\0\1\0\0\0\1\0\1\0\0\0\0", column("?", 253), EOF, column("id", 3), EOF)

local corpus = {
    LOGIN .. ROWS, LOGIN .. packet(1, OK), LOGIN .. packet(1, ERROR), LOGIN .. packet(1, "\0\252\1\1\3\10\0\0\0\5hello"),
    LOGIN .. packets(1, "\0\1\2\10\0\0\0", "\1", column("a", 8), EOF, "\0012", EOF),
    LOGIN .. packets(1, "\1", column("a", 8), "\254\0\0\10\0", "\0012", "\254\0\0\10\0", OK),
    packet(0, GREETING) .. packet(2, "\254caching_sha2_password\0" .. SCRAMBLE .. "\0") .. packet(4, "\1\3") .. packet(5, OK),
    packet(0, GREETING) .. packet(2, ERROR), packet(0, "\255\16\4Too many connections"), LOGIN .. PREPARED .. binary_rows(),
    LOGIN .. PREPARED .. packet(1, OK), LOGIN .. packet(1, "\251/etc/passwd"),
}

-- A text of the corpus with one packet changed, and a head that fits it.
local function reframed(bytes)
    local all, at = {}, 1
    while at + 3 <= #bytes do
        local a, b, c, number = bytes:byte(at, at + 3)
        local size = a + b * 256 + c * 65536
        all[#all + 1] = { number, bytes:sub(at + 4, at + 3 + size) }
        at = at + 4 + size
    end
    local one = fuzz.pick(all)
    one[2] = fuzz.mutate { one[2] }
    for i, each in ipairs(all) do
        all[i] = packet(each[1], each[2])
    end
    return table.concat(all)
end

-- Everything that a program may ask for, one after the other, until it fails.
local function ask(address)
    local db = assert(mysql:new())
    db:set_timeouts(1000, 1000, fuzz.timeout)
    local ok, err, code, state = db:connect {
        path = address, user = "web", password = "secret", pool = "p", max_packet_size = 1048576,
    }
    local results = { ok, err, code, state }
    assert(ok or type(err) == "string", "no reason")
    local fine = ok
    if ok then
        assert(db:get_reused_times() == 0, "what failed before came out of the pool")
        local res
        res, err, code, state = db:query("SELECT 1")
        results[5], results[6], results[7], results[8] = res, err, code, state
        fine = res or code
        for i = 1, 3 do
            if err ~= "again" then
                break
            end
            res, err, code = db:read_result()
            fine = res or code
            results[8 + i] = { res, err, code }
        end
    end
    assert(fine or not db:set_keepalive(1000, 10), "a lost connection was kept")
    db:close()
    return results
end

local function execute(address)
    local db = assert(mysql:new())
    db:set_timeouts(1000, 1000, fuzz.timeout)
    if not db:connect { path = address, user = "web", password = "secret", pool = "p", max_packet_size = 1048576 } then
        return
    end
    local statement, err, code = db:prepare("SELECT ?")
    local results, fine = { statement and true, err, code }, statement or code
    if statement then
        results[4], results[5], results[6] = statement:execute("a")
        fine = results[4] or results[6] or results[5]:find("^too many parameters")
    end
    assert(fine or not db:set_keepalive(1000, 10), "a lost connection was kept")
    db:close()
    return results
end

fuzz.run {
    name = "mysql",
    corpus = corpus,
    check = function(bytes)
        if fuzz.random(2) == 1 then
            bytes = reframed(fuzz.pick(corpus))
        end
        local client = fuzz.random(3) == 1 and execute or ask
        fuzz.exchange(bytes, client)
        fuzz.agreement(bytes, client)
    end,
}
