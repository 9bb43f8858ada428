--- What the scripts of t/fuzz/lua share: inputs, a server that sends them, and what must hold always.
--
--     local fuzz = require "fuzz"
--     fuzz.run { name = "base64", corpus = { "aGVsbG8=" }, check = function(text) assert(…) end }
--
-- run() takes the texts of the corpus (and the files of t/fuzz/corpus/lua_NAME), first as they are and
-- then changed at random, and calls check(text) with each. A check may draw random numbers, so what it
-- does follows from the seed of its round alone. It fails when it throws, takes seconds, or needs much
-- memory; the script then says how to do that round again, and ends with status 1:
--
--     bin/bulan run -I t/fuzz/lua t/fuzz/lua/NAME.lua 0 SEED
--
-- Of a round that does not come back, the file build-fuzz/lua-NAME.seed has the seed.
--
-- For libraries that read from a connection, exchange(bytes, client) has a task of this process send
-- the bytes in random pieces to what client(path) connects to, and agreement() compares what comes of
-- the bytes as a whole and in pieces.

local bit = require "bit"
local ffi = require "ffi"

local byte = string.byte
local char = string.char
local format = string.format
local rep = string.rep
local sub = string.sub

local _M = {}

local SLOW = 2 -- seconds for one round
local MEMORY = 96 * 1024 -- KB for one round, and that stay
local ROUNDS_BETWEEN_SWEEPS = 500
local PATIENCE = 5000 -- milliseconds

-- Random numbers ----------------------------------------------------------------------------------
-- Our own, for the libraries use math.random, too.

local state = 1

local function seed(number)
    state = bit.bxor(bit.tobit(number), 0x2545f491)
    if state == 0 then
        state = 1
    end
    for _ = 1, 8 do
        _M.random(2)
    end
end

--- A whole number from 1 to `n`.
function _M.random(n)
    state = bit.bxor(state, bit.lshift(state, 13))
    state = bit.bxor(state, bit.rshift(state, 17))
    state = bit.bxor(state, bit.lshift(state, 5))
    return state % 2 ^ 32 % n + 1
end

local random = _M.random

--- One of a list.
function _M.pick(list)
    return list[random(#list)]
end

--- Up to `n` bytes.
function _M.bytes(n)
    local all = {}
    for i = 1, random(n + 1) - 1 do
        all[i] = char(random(256) - 1)
    end
    return table.concat(all)
end

-- Changing texts ----------------------------------------------------------------------------------

local INTERESTING = {
    "\0", "\255", "\127", "\128", "\r\n", "\n", "\r", " ", "\t", "-1", "0", "9", "2147483647", "2147483648", "4294967296",
    "9007199254740993", "18446744073709551616", "1e999", "nan", '"', "'", "\\", "%", "%00", "..", "/", "//", "{", "}", "[",
    "]", "(", ")", "<", ">", "=", ";", ":", ",", "*", "$", "+", "#", "\239\187\191", "\237\160\128", "\0\0\0\0",
    "\255\255\255\255", "\127\255\255\255", "\128\0\0\0", "\254", "\253\255\255", "\252\0\0",
}

local changes = {
    function(text, at) -- a bit
        if at > #text then
            return text
        end
        return sub(text, 1, at - 1) .. char(bit.bxor(byte(text, at), 2 ^ (random(8) - 1))) .. sub(text, at + 1)
    end,
    function(text, at) -- a byte
        return sub(text, 1, at - 1) .. char(random(256) - 1) .. sub(text, at + 1)
    end,
    function(text, at) -- the last or next number
        if at > #text then
            return text
        end
        return sub(text, 1, at - 1) .. char((byte(text, at) + (random(2) == 1 and 1 or 255)) % 256) .. sub(text, at + 1)
    end,
    function(text, at) -- something more
        return sub(text, 1, at - 1) .. _M.pick(INTERESTING) .. sub(text, at)
    end,
    function(text, at) -- something else
        local what = _M.pick(INTERESTING)
        return sub(text, 1, at - 1) .. what .. sub(text, at + #what)
    end,
    function(text, at) -- without a piece
        return sub(text, 1, at - 1) .. sub(text, at + random(8))
    end,
    function(text, at) -- cut off
        return sub(text, 1, at - 1)
    end,
    function(text, at) -- a piece twice
        return sub(text, 1, at - 1) .. sub(text, at, at + random(16)) .. sub(text, at)
    end,
    function(text, at) -- a piece elsewhere
        local from = random(#text + 1)
        return sub(text, 1, at - 1) .. sub(text, from, from + random(16)) .. sub(text, at)
    end,
    function(text, at, corpus) -- the end of another one
        local other = _M.pick(corpus)
        return sub(text, 1, at - 1) .. sub(other, random(#other + 1))
    end,
    function(text, at) -- a run: what takes the square of its length shows
        if random(16) > 1 or #text > 65536 then
            return text
        end
        return sub(text, 1, at - 1) .. rep(sub(text, at, at + random(4) - 1), random(20000)) .. sub(text, at)
    end,
}

--- A text of the corpus, changed in some places.
function _M.mutate(corpus)
    local text = _M.pick(corpus)
    for _ = 1, random(random(8)) do
        text = changes[random(#changes)](text, random(#text + 1), corpus)
    end
    return text
end

-- Comparing ---------------------------------------------------------------------------------------

local function show(value, depth)
    if type(value) == "string" then
        return format("%q", value)
    elseif type(value) ~= "table" or depth > 200 then
        return type(value) == "number" and format("%.17g", value) or
            (type(value) == "cdata" or type(value) == "userdata") and tostring(value) or
            type(value) == "function" and "function" or tostring(value)
    end
    local items = {}
    for key, item in pairs(value) do
        items[#items + 1] = show(key, depth + 1) .. "=" .. show(item, depth + 1)
    end
    table.sort(items)
    return "{" .. table.concat(items, ",") .. "}"
end

--- Values as a text, the same for the same values.
function _M.show(...)
    local all = {}
    for i = 1, select("#", ...) do
        all[i] = show((select(i, ...)), 0)
    end
    return table.concat(all, " | ")
end

--- Raises an error unless both are the same.
function _M.same(a, b, what)
    a, b = _M.show(a), _M.show(b)
    if a ~= b then
        error(format("%s: %s, but %s", what or "not the same", sub(a, 1, 2000), sub(b, 1, 2000)), 2)
    end
end

-- A server ----------------------------------------------------------------------------------------

ffi.cdef [[
struct bl_fuzz_addr { unsigned short family; char path[108]; };
int bl_fuzz_socket(int family, int type, int protocol) __asm__("socket");
int bl_fuzz_bind(int fd, const struct bl_fuzz_addr *addr, unsigned len) __asm__("bind");
int bl_fuzz_listen(int fd, int backlog) __asm__("listen");
int bl_fuzz_accept(int fd, void *addr, void *len, int flags) __asm__("accept4");
long bl_fuzz_send(int fd, const char *data, size_t n, int flags) __asm__("send");
long bl_fuzz_recv(int fd, char *data, size_t n, int flags) __asm__("recv");
int bl_fuzz_shutdown(int fd, int how) __asm__("shutdown");
int bl_fuzz_close(int fd) __asm__("close");
int bl_fuzz_getpid(void) __asm__("getpid");
]]

local C = ffi.C
local AF_UNIX, SOCK_STREAM, NONBLOCK_CLOEXEC, NOSIGNAL, SHUT_WR = 1, 1, 0x80800, 0x4000, 1
local listener, path
local scrap = ffi.new("char[?]", 65536)

local function listen()
    if listener then
        return
    end
    path = format("/tmp/bulan-fuzz-%d.sock", C.bl_fuzz_getpid())
    os.remove(path)
    listener = C.bl_fuzz_socket(AF_UNIX, SOCK_STREAM + NONBLOCK_CLOEXEC, 0)
    local addr = ffi.new("struct bl_fuzz_addr", { AF_UNIX, path })
    assert(C.bl_fuzz_bind(listener, addr, ffi.sizeof(addr)) == 0 and C.bl_fuzz_listen(listener, 64) == 0)
end

-- Lengths of the pieces: nil for the rest at once.
local function cuts_for(size)
    local way = random(4)
    if way == 1 or size == 0 then
        return {}
    elseif way == 2 and size < 200 then
        local all = {}
        for i = 1, size do
            all[i] = 1
        end
        return all
    end
    local all = {}
    for i = 1, random(8) do
        all[i] = random(math.min(size, 2 ^ random(10)))
    end
    return all
end

local function accept()
    return C.bl_fuzz_accept(listener, nil, nil, NONBLOCK_CLOEXEC)
end

-- Sends it all, and says that there is no more.
local function send(exchange, fd, bytes, cuts, stays_open)
    local at, piece = 1, 1
    while at <= #bytes and not exchange.over do
        local size = math.min(cuts[piece] or #bytes, #bytes - at + 1)
        local sent = tonumber(C.bl_fuzz_send(fd, ffi.cast("const char *", bytes) + at - 1, size, NOSIGNAL))
        if sent > 0 then
            at, piece = at + sent, piece + 1
        end
        ngx.sleep(0)
    end
    if not stays_open then
        C.bl_fuzz_shutdown(fd, SHUT_WR)
    end
end

-- `all`: what the first connection gets, the second, …; further ones get the last.
local function serve(exchange, all, cuts, stays_open)
    local fds = {}
    while not exchange.over do
        local fd = accept()
        if fd >= 0 then
            fds[#fds + 1] = fd
            send(exchange, fd, all[#fds] or all[#all], cuts, stays_open)
        end
        for _, each in ipairs(fds) do -- so that the client can send what it likes
            C.bl_fuzz_recv(each, scrap, 65536, 0)
        end
        ngx.sleep(0)
    end
    for _, each in ipairs(fds) do
        C.bl_fuzz_close(each)
    end
end

local function run_exchange(bytes, cuts, stays_open, client)
    listen()
    local exchange = { over = false }
    _M.timeout = stays_open and _M.impatience or PATIENCE
    local server = ngx.thread.spawn(serve, exchange, type(bytes) == "table" and bytes or { bytes }, cuts, stays_open)
    local results = { xpcall(client, debug.traceback, "unix:" .. path) }
    exchange.over = true
    ngx.thread.wait(server)
    local fd = accept()
    while fd >= 0 do -- connections that came late
        C.bl_fuzz_close(fd)
        fd = accept()
    end
    if not results[1] then
        error(results[2], 0)
    end
    return unpack(results, 2, table.maxn(results))
end

--- Has a task send the bytes in random pieces to each connection that client(path) makes, and mostly
-- shut it down behind them. A list has the bytes of one connection after the other. Returns what the
-- client does.
function _M.exchange(bytes, client)
    return run_exchange(bytes, cuts_for(#bytes), random(64) == 1, client)
end

--- Calls client(path) twice, with the bytes as a whole and in pieces: both must return the same.
function _M.agreement(bytes, client)
    local whole = _M.show(run_exchange(bytes, {}, false, client))
    local pieces = _M.show(run_exchange(bytes, cuts_for(#bytes), false, client))
    _M.same(whole, pieces, "as a whole and in pieces")
end

--- The times, in milliseconds, that a client may wait: long, unless the server will stay silent for ever; and
--- always short, for clients of several servers, which ask some that say nothing.
_M.timeout, _M.impatience = PATIENCE, 20

--- A connected socket, for what reads from one.
function _M.connect(address)
    local sock = ngx.socket.tcp()
    sock:settimeouts(1000, 1000, _M.timeout)
    assert(sock:connect(address))
    return sock
end

-- Rounds ------------------------------------------------------------------------------------------

local function read_file(name)
    local file = assert(io.open(name, "rb"))
    local text = file:read "*a"
    file:close()
    return text
end

-- Files that earlier runs have left as examples.
local function add_files(corpus, name)
    local list = io.popen("ls t/fuzz/corpus/lua_" .. name .. "/* 2>/dev/null")
    for file in list:lines() do
        corpus[#corpus + 1] = read_file(file)
    end
    list:close()
end

local function failed(name, number, text, err)
    local file = io.open("build-fuzz/lua-" .. name .. "-crash", "wb")
    if file then
        file:write(text or "")
        file:close()
    end
    print(format("round %d, input of %d bytes: %q: %s", number, #(text or ""), sub(text or "", 1, 300), sub(tostring(err), 1, 3000)))
    print(format("FAILED: again with bin/bulan run -I t/fuzz/lua t/fuzz/lua/%s.lua 0 %d", name, number))
    os.remove(path or "")
    os.exit(1)
end

-- One input: `number` is where it and all that is done with it come from.
local function round(options, corpus, number)
    seed(number)
    local text
    local before, since = collectgarbage "count", os.clock()
    local ok, err = xpcall(function()
        local plain = number % 2 ^ 20 + 1 -- the first rounds take the corpus as it is
        text = plain <= #corpus and corpus[plain] or _M.mutate(corpus)
        options.check(text)
    end, debug.traceback)
    if not ok then
        failed(options.name, number, text, err)
    elseif os.clock() - since > (options.slow or SLOW) then
        failed(options.name, number, text, format("took %.1f s", os.clock() - since))
    elseif collectgarbage "count" - before > (options.memory or MEMORY) then
        failed(options.name, number, text, format("took %.0f KB", collectgarbage "count" - before))
    end
end

--- Runs the script: `arg` has the seconds and, to do one round again, its number.
---@param options table name, corpus (texts), check (function); memory (KB), slow (seconds)
function _M.run(options)
    local seconds, number = tonumber(arg[1]) or 1, tonumber(arg[2])
    local corpus = options.corpus
    add_files(corpus, options.name)
    if number and seconds == 0 then
        round(options, corpus, number)
        print "1 round"
        os.remove(path or "")
        return
    end
    local first = (number or math.floor(ngx.now() * 1000) % 2 ^ 11) * 2 ^ 20
    local note = io.open("build-fuzz/lua-" .. options.name .. ".seed", "wb")
    ngx.update_time()
    local until_time, done, baseline = ngx.now() + seconds, 0, nil
    repeat
        if note then
            note:seek "set"
            note:write(format("%-20d\n", first + done))
            note:flush()
        end
        round(options, corpus, first + done)
        done = done + 1
        if done % ROUNDS_BETWEEN_SWEEPS == 0 then
            collectgarbage()
            baseline = baseline or collectgarbage "count"
            if collectgarbage "count" - baseline > MEMORY then
                failed(options.name, first + done - 1, "", "memory grows from round to round")
            end
        end
        ngx.update_time()
    until ngx.now() > until_time
    print(format("%s: %d rounds, from number %d on", options.name, done, first))
    os.remove(path or "")
end

return _M
