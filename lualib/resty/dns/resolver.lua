--- resty.dns.resolver: a DNS resolver on cosockets, for records of every kind.
--
--     local resolver = require "resty.dns.resolver"
--     local r, err = resolver:new {
--         nameservers = { "192.0.2.1", { "192.0.2.2", 53 } },
--         retrans = 5,                                      -- transmissions
--         timeout = 2000,                                   -- milliseconds for each
--     }
--     local answers, err, tries = r:query("example.com", { qtype = r.TYPE_MX }, {})
--     if not answers then return ngx.say(err, ": ", table.concat(tries, "; ")) end
--     if answers.errcode then return ngx.say(answers.errcode, ": ", answers.errstr) end
--     for _, answer in ipairs(answers) do ngx.say(answer.preference, " ", answer.exchange) end
--
-- An answer is a table {name, type, class, ttl, section} and, by its type, A and AAAA: address; CNAME:
-- cname; NS: nsdname; PTR: ptrdname; MX: preference, exchange; SRV: priority, weight, port, target;
-- TXT: txt, SPF: spf (a string, or a list of them); SOA: mname, rname, serial, refresh, retry, expire,
-- minimum; NAPTR: order, preference, flags, services, regexp, replacements; CAA: flags, tag, value;
-- others: rdata, the bytes. A dot within a label is written "\.".
--
-- Against forged answers, every query has an identifier from OpenSSL's generator and a port of its
-- own; only what comes from the server asked, with the identifier and the question, is an answer, and
-- anything else is not waited for longer than `timeout`. A truncated answer is asked for over TCP.
--
-- Queries to nameservers are not cached. With new{ core = true } instead of nameservers, addresses come
-- from the server's own resolver: its nameservers (the directive `resolver`), its cache, which honours
-- TTLs and is shared by all of a worker, and /etc/hosts. It knows TYPE_A and TYPE_AAAA only, follows
-- aliases without showing them, and takes the directive's times instead of `timeout` and `retrans`.
-- (A socket's connect("name", port) asks it, too, and needs no query.)
--
-- Errors: "bad name"; "failed to receive reply from UDP server <host>:<port>: timeout" and others that
-- name the server; "Operation timed out" from the server's own resolver; what is wrong with an answer ("truncated", "bad compression pointer", …).

local lookup = require "bulan.lookup"
local message = require "resty.dns.message"
local random_bytes = require("resty.random").bytes

local band = require("bit").band
local byte = string.byte
local char = string.char
local concat = table.concat
local find = string.find
local floor = math.floor
local format = string.format
local gmatch = string.gmatch
local ipairs = ipairs
local log = ngx.log
local match = string.match
local max = math.max
local ngx = ngx
local pairs = pairs
local rep = string.rep
local reverse = string.reverse
local rshift = require("bit").rshift
local setmetatable = setmetatable
local sub = string.sub
local tcp = ngx.socket.tcp
local type = type
local udp = ngx.socket.udp

local DEBUG = ngx.DEBUG

-- So many datagrams that are no answer are passed over in one try.
local MAX_STRANGERS = 100

local _M = {
    _VERSION = "0.23",
    TYPE_A = 1,
    TYPE_NS = 2,
    TYPE_CNAME = 5,
    TYPE_SOA = 6,
    TYPE_PTR = 12,
    TYPE_MX = 15,
    TYPE_TXT = 16,
    TYPE_AAAA = 28,
    TYPE_SRV = 33,
    TYPE_NAPTR = 35,
    TYPE_SPF = 99,
    TYPE_ANY = 255,
    TYPE_CAA = 257,
    CLASS_IN = 1,
    SECTION_AN = 1,
    SECTION_NS = 2,
    SECTION_AR = 3,
}

---@class resty.dns.resolver
local mt = { __index = _M }

---@class resty.dns.resolver.options
---@field nameservers? table[]|string[] "address" or { "address", port }
---@field core? boolean ask the server's own resolver; needs no nameservers
---@field retrans? integer transmissions of a query, to one server after another; default 5
---@field timeout? number milliseconds for one of them; default 2000
---@field no_random? boolean begin with the first server, not with any
---@field no_recurse? boolean ask the servers for what they know themselves
---@field edns? integer tells the servers to send datagrams up to this size (RFC 6891), such as 1232

local function random16()
    local bytes = random_bytes(2, true)
    if not bytes then
        return nil
    end
    local high, low = byte(bytes, 1, 2)
    return high * 256 + low
end

local function to_server(entry)
    local host, port = entry, 53
    if type(entry) == "table" then
        host, port = entry[1], entry[2] or 53
    end
    if find(host, ":", 1, true) and byte(host) ~= 91 then
        host = "[" .. host .. "]"
    end
    return { host = host, port = port, name = host .. ":" .. port }
end

--- Makes an object. It belongs to the request that made it.
---@param opts resty.dns.resolver.options
---@return resty.dns.resolver? r
---@return string? err
function _M.new(_, opts)
    if not opts then
        return nil, "no options table specified"
    end
    if opts.core then
        return setmetatable({ core = true }, mt)
    end
    local list = opts.nameservers
    if not list or #list == 0 then
        return nil, "no nameservers specified"
    end
    local servers = {}
    for i, entry in ipairs(list) do
        servers[i] = to_server(entry)
    end
    local start = opts.no_random and 0 or random16()
    if not start then
        return nil, "no random bytes"
    end
    return setmetatable({
        servers = servers,
        next = start % #servers,
        retrans = max(opts.retrans or 5, 1),
        timeout = opts.timeout or 2000,
        no_recurse = opts.no_recurse,
        edns = opts.edns,
    }, mt)
end

--- The limit for one transmission from now on.
---@param timeout number milliseconds
function _M.set_timeout(self, timeout)
    self.timeout = timeout
end

-- The servers take turns.
local function pick_server(self)
    local i = self.next
    self.next = (i + 1) % #self.servers
    return self.servers[i + 1]
end

-- A query: { id =, bytes =, name =, qtype =, …, sockets = by server }.
local function new_query(self, name, options)
    local id = self._id or random16()
    if not id then
        return nil, "no random bytes"
    end
    local query = {
        id = id,
        name = name,
        qtype = options and options.qtype or _M.TYPE_A,
        authority_section = options and options.authority_section,
        additional_section = options and options.additional_section,
        no_recurse = self.no_recurse,
        edns = self.edns,
        sockets = {},
    }
    local bytes, err = message.query(id, name, query)
    if not bytes then
        return nil, err
    end
    query.bytes = bytes
    return query
end

local function fail(server, what, protocol, err)
    return nil, format("failed to %s %s server %s: %s", what, protocol, server.name, err)
end

-- TCP ---------------------------------------------------------------------------------------------

local function exchange(sock, server, query)
    local size = #query.bytes
    local ok, err = sock:send(char(rshift(size, 8), band(size, 255)) .. query.bytes)
    if not ok then
        return fail(server, "send query to", "TCP", err)
    end
    local head, body
    head, err = sock:receive(2)
    if not head then
        return fail(server, "receive the reply length field from", "TCP", err)
    end
    local high, low = byte(head, 1, 2)
    body, err = sock:receive(high * 256 + low)
    if not body then
        return fail(server, "receive the reply message body from", "TCP", err)
    end
    return body
end

local function ask_over_tcp(self, server, query)
    local sock = tcp()
    sock:settimeout(self.timeout)
    local ok, err = sock:connect(server.host, server.port)
    if not ok then
        return fail(server, "connect to", "TCP", err)
    end
    local body
    body, err = exchange(sock, server, query)
    sock:close()
    if not body then
        return nil, err
    end
    local answers
    answers, err = message.parse(body, query.id, query.name, query, true)
    return answers, err
end

-- UDP ---------------------------------------------------------------------------------------------

-- A socket for each server that is asked, with a port of its own, until the query is done: an answer
-- to the first transmission may come after the second.
local function socket_for(server, query)
    local sock = query.sockets[server]
    if sock then
        return sock
    end
    sock = udp()
    local ok, err = sock:setpeername(server.host, server.port)
    if not ok then
        return fail(server, "connect to", "UDP", err)
    end
    query.sockets[server] = sock
    return sock
end

local function close_sockets(query)
    for _, sock in pairs(query.sockets) do
        sock:close()
    end
end

-- Waits for an answer. Returns nil, an error, and whether it is of no use to try again.
local function receive_answer(self, sock, server, query)
    ngx.update_time()
    local deadline = ngx.now() + self.timeout / 1000
    for _ = 1, MAX_STRANGERS do
        sock:settimeout(max((deadline - ngx.now()) * 1000, 1))
        local datagram, err = sock:receive(65535)
        if not datagram then
            return fail(server, "receive reply from", "UDP", err)
        end
        local answers, kind
        answers, err, kind = message.parse(datagram, query.id, query.name, query)
        if answers then
            return answers
        elseif kind == "truncated" then
            log(DEBUG, "query the TCP server due to reply truncation")
            answers, err = ask_over_tcp(self, server, query)
            return answers, err, true
        elseif kind ~= "other" then
            return nil, err, true
        end
        log(DEBUG, err)
        ngx.update_time()
    end
    return fail(server, "receive reply from", "UDP", "too many datagrams that are no answer")
end

local function ask_over_udp(self, server, query)
    local sock, err = socket_for(server, query)
    if not sock then
        return nil, err
    end
    local ok
    ok, err = sock:send(query.bytes)
    if not ok then
        return fail(server, "send request to", "UDP", err)
    end
    return receive_answer(self, sock, server, query)
end

-- A server that can't say is no reason not to ask another: all but "format error" and "name error".
local function may_others_know(self, answers, try)
    local code = answers.errcode
    return code and code ~= 1 and code ~= 3 and try < #self.servers and try < self.retrans
end

local function try_servers(self, query, tries)
    local answers, err, final
    for try = 1, self.retrans do
        local server = pick_server(self)
        answers, err, final = ask_over_udp(self, server, query)
        if answers and not may_others_know(self, answers, try) then
            return answers
        end
        tries[#tries + 1] = err or server.name .. ": " .. answers.errstr
        if final and not answers then
            return nil, err
        end
    end
    return answers, err
end

-- The server's own resolver --------------------------------------------------------------------------

-- Its statuses that are servers' codes; others are failures to get an answer.
local core_errors = { "format error", "server failure", "name error", "not implemented", "refused" }

local function ask_core(name, options)
    local qtype = options and options.qtype or _M.TYPE_A
    if qtype ~= _M.TYPE_A and qtype ~= _M.TYPE_AAAA then
        return nil, "not known to the server's resolver: records of type " .. qtype
    end
    local addresses, ttl, err = lookup(name)
    local answers = {}
    if not addresses then
        if not core_errors[ttl] then
            return nil, err
        end
        answers.errcode, answers.errstr = ttl, core_errors[ttl]
        return answers
    end
    for _, address in ipairs(addresses) do
        local six = find(address, ":", 1, true) ~= nil
        if six == (qtype == _M.TYPE_AAAA) then
            answers[#answers + 1] = {
                name = name,
                type = qtype,
                class = _M.CLASS_IN,
                ttl = floor(ttl),
                section = _M.SECTION_AN,
                address = _M.expand_ipv6_addr(address),
            }
        end
    end
    return answers
end

--- Asks for the records of a name.
---@param name string
---@param options? {qtype: integer?, authority_section: boolean?, additional_section: boolean?}
---@param tries? table gets a text for each try that failed
---@return table? answers a list, perhaps empty, with errcode and errstr when the server reports an error
---@return string? err
---@return table? tries
function _M.query(self, name, options, tries)
    if self.core then
        local answers, err = ask_core(name, options)
        return answers, err, tries
    end
    local query, err = new_query(self, name, options)
    if not query then
        return nil, err, tries
    end
    local answers
    answers, err = try_servers(self, query, tries or {})
    close_sockets(query)
    if answers then
        return answers, nil, tries
    end
    return nil, err, tries
end

--- The same over TCP alone, from one server.
---@param name string
---@param options? table
---@return table? answers
---@return string? err
function _M.tcp_query(self, name, options)
    if self.core then
        return ask_core(name, options)
    end
    local query, err = new_query(self, name, options)
    if not query then
        return nil, err
    end
    return ask_over_tcp(self, pick_server(self), query)
end

-- Addresses ---------------------------------------------------------------------------------------

-- The groups of one side of "::"; the last one may be an IPv4 address.
local function groups_of(text)
    local groups = {}
    for group in gmatch(text, "[^:]+") do
        local a, b, c, d = match(group, "^(%d+)%.(%d+)%.(%d+)%.(%d+)$")
        if a then
            groups[#groups + 1] = format("%x", a * 256 + b)
            groups[#groups + 1] = format("%x", c * 256 + d)
        else
            groups[#groups + 1] = group
        end
    end
    return groups
end

--- Writes all eight groups of an IPv6 address: "FF01::101" is "FF01:0:0:0:0:0:0:101".
---@param address string
---@return string
function _M.expand_ipv6_addr(address)
    local at = find(address, "::", 1, true)
    if not at then
        return address
    end
    local head, tail = groups_of(sub(address, 1, at - 1)), groups_of(sub(address, at + 2))
    for _ = #head + #tail + 1, 8 do
        head[#head + 1] = "0"
    end
    for _, group in ipairs(tail) do
        head[#head + 1] = group
    end
    return concat(head, ":")
end

-- Where the longest run of at least two zero groups is.
local function longest_zeros(groups)
    local best_at, best, at, length = nil, 1, nil, 0
    for i, group in ipairs(groups) do
        if find(group, "^0+$") then
            at, length = at or i, length + 1
            if length > best then
                best_at, best = at, length
            end
        else
            at, length = nil, 0
        end
    end
    return best_at, best
end

--- Shortens an IPv6 address: "FF01:0:0:0:0:0:0:101" is "FF01::101".
---@param address string
---@return string
function _M.compress_ipv6_addr(address)
    if find(address, "::", 1, true) then
        return address
    end
    local groups = groups_of(address)
    local at, length = longest_zeros(groups)
    if not at then
        return address
    end
    return concat(groups, ":", 1, at - 1) .. "::" .. concat(groups, ":", at + length)
end

--- The name under which an address' PTR record is found.
---@param address string IPv4 or IPv6
---@return string
function _M.arpa_str(address)
    if not find(address, ":", 1, true) then
        local a, b, c, d = match(address, "^(%d+)%.(%d+)%.(%d+)%.(%d+)$")
        return a and concat({ d, c, b, a, "in-addr.arpa" }, ".") or address .. ".in-addr.arpa"
    end
    local digits = {}
    for i, group in ipairs(groups_of(_M.expand_ipv6_addr(address))) do
        digits[i] = rep("0", 4 - #group) .. group
    end
    local name = reverse(concat(digits)):gsub(".", "%0.")
    return name .. "ip6.arpa"
end

--- Asks for the names of an address.
---@param address string IPv4 or IPv6
---@return table? answers
---@return string? err
function _M.reverse_query(self, address)
    return self:query(_M.arpa_str(address), { qtype = _M.TYPE_PTR })
end

return _M
