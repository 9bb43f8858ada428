-- resty.postgres: the messages of a login, of results, notices and notifications; arrays and hstore.
local arrays = require "resty.postgres.arrays"
local fuzz = require "fuzz"
local hstore = require "resty.postgres.hstore"
local postgres = require "resty.postgres"

local function u32(n)
    return string.char(math.floor(n / 16777216) % 256, math.floor(n / 65536) % 256, math.floor(n / 256) % 256, n % 256)
end

local function message(letter, body)
    return letter .. u32(#body + 4) .. body
end

local function columns(...)
    local all = { "\0" .. string.char(select("#", ...)) }
    for i = 1, select("#", ...) do
        all[#all + 1] = "c" .. i .. "\0" .. u32(0) .. "\0\1" .. u32((select(i, ...))) .. "\0\4" .. u32(0) .. "\0\0"
    end
    return message("T", table.concat(all))
end

local function row(...)
    local all = { "\0" .. string.char(select("#", ...)) }
    for i = 1, select("#", ...) do
        local value = select(i, ...)
        all[#all + 1] = value and u32(#value) .. value or "\255\255\255\255"
    end
    return message("D", table.concat(all))
end

local READY = message("Z", "I")
local LOGIN = message("R", u32(0)) .. message("S", "server_version\00015.1\0") .. message("K", u32(1) .. u32(2)) .. READY
local ERROR = message("E", "SERROR\0VERROR\0C42P01\0Mno such table\0P15\0\0")
local DONE = message("C", "SELECT 2\0")

local corpus = {
    LOGIN .. columns(23, 25) .. row("1", "a") .. row("2", false) .. DONE .. READY,
    LOGIN .. columns(16, 700, 1700, 17, 114, 3802, 1007, 1009) .. row("t", "1.5", "12.50", "\\x00ff", '{"a":[1]}', "[]", "{1,NULL,{2}}",
        '{"a b",c}') .. DONE .. READY,
    LOGIN .. message("I", "") .. READY, LOGIN .. ERROR .. READY, LOGIN .. message("N", "SNOTICE\0Mhello\0\0") .. DONE .. READY,
    LOGIN .. message("A", u32(7) .. "channel\0payload\0") .. message("C", "UPDATE 3\0") .. READY,
    LOGIN .. message("C", "BEGIN\0") .. message("Z", "T"), LOGIN .. message("G", "\0\0\0") .. ERROR .. READY,
    message("R", u32(3)) .. LOGIN .. DONE .. READY, message("R", u32(5) .. "salt") .. LOGIN .. DONE .. READY,
    message("R", u32(10) .. "SCRAM-SHA-256\0\0") .. message("R", u32(11) .. "r=x,s=YWJj,i=4096") .. LOGIN,
    ERROR, LOGIN .. message("1", "") .. message("2", "") .. columns(20) .. row("9") .. DONE .. READY,
}

-- A text of the corpus with one message changed, and a head that fits it.
local function reframed(bytes)
    local all, at = {}, 1
    while at + 4 <= #bytes do
        local letter, a, b, c, d = bytes:byte(at, at + 4)
        local size = ((a * 256 + b) * 256 + c) * 256 + d
        all[#all + 1] = { string.char(letter), bytes:sub(at + 5, at + size) }
        at = at + 1 + size
    end
    local one = fuzz.pick(all)
    one[2] = fuzz.mutate { one[2] }
    for i, each in ipairs(all) do
        all[i] = message(each[1], each[2])
    end
    return table.concat(all)
end

local function ask(address)
    local pg = postgres.new {
        socket_path = address, user = "web", password = "secret", pool = "p", max_message_size = 1048576, convert_null = true,
    }
    pg:settimeout(fuzz.timeout)
    local ok, err = pg:connect()
    local results, fine = { ok, err }, ok
    assert(ok or type(err) == "string", "no reason")
    if ok then
        -- What decodes a value may raise an error, which goes through.
        local call = { pcall(pg.query, pg, "SELECT 1", fuzz.with_parameters and "a" or nil) }
        fine = call[1] and (call[2] or pg.last_error ~= nil)
        assert(not call[1] or call[2] ~= nil or type(call[3]) == "string", "no reason")
        results[3] = fuzz.show(unpack(call, 1, 5))
    end
    assert(fine or not pg:keepalive(1000, 10), "a lost connection was kept")
    pg:disconnect()
    return results
end

local texts = { "{1,2,NULL}", '{"a b",c,{d}}', "{}", '{{1,2},{3,4}}', '"a"=>"1", "b"=>NULL', '"x"=>"\\"q\\\\"', "[0:1]={1,2}" }

-- A round trip through the literals that a query would have.
local function check_texts(corpus_of)
    local text = fuzz.mutate(corpus_of)
    pcall(arrays.decode_array, text)
    pcall(hstore.decode_hstore, text)
end

fuzz.run {
    name = "postgres",
    corpus = corpus,
    check = function(bytes)
        if fuzz.random(2) == 1 then
            bytes = reframed(fuzz.pick(corpus))
        end
        fuzz.with_parameters = fuzz.random(3) == 1
        fuzz.exchange(bytes, ask)
        fuzz.agreement(bytes, ask)
        check_texts(texts)
    end,
}
