-- resty.http: answers with their bodies and trailers, URIs, and where redirects lead.
local fuzz = require "fuzz"

ngx.var = { scheme = "http" } -- what a URI without one gets

local http = require "resty.http"
local redirect = require "resty.http_redirect"

local corpus = {
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.0 200 OK\r\n\r\nto the end",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n5\r\nhello\r\n1;a=b\r\n!\r\n0\r\nX: y\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
    "HTTP/1.1 200 OK\r\nConnection: close\r\nSet-Cookie: a=b\r\nset-cookie: c=d\r\nContent-Length: 1\r\n\r\nx",
    "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\nabc",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
}

local uris = {
    "http://example.org/a?b#c", "https://[::1]:8443/x", "http://user:pass@host:80/../a", "/relative?x", "../up/./b", "//other/x", "?q",
    "http://host", "HTTP://host:99999/", "",
}

-- An answer, and that a connection is kept only behind a whole one.
local function ask(address)
    local httpc = assert(http.new())
    httpc:set_timeouts(1000, 1000, fuzz.timeout)
    assert(httpc:connect { scheme = "http", host = address, pool = "p" })
    assert(httpc:get_reused_times() == 0, "what failed before came out of the pool")
    local res, err = httpc:request { path = "/", method = fuzz.method }
    if not res then
        assert(type(err) == "string", "no reason")
        assert(httpc:set_keepalive(1000, 10) ~= 1, "a lost connection was kept")
        return nil, err
    end
    local body, failure = "", nil
    if res.has_body then
        body, failure = res:read_body()
    end
    assert(body or type(failure) == "string", "no reason")
    local headers, trailers = {}, {}
    for name, value in pairs(res.headers) do
        headers[name] = value
    end
    if body then
        for name, value in pairs(res:read_trailers() and res.headers or {}) do
            trailers[name] = value
        end
    else
        assert(httpc:set_keepalive(1000, 10) ~= 1, "a lost connection was kept")
    end
    httpc:close()
    return res.status, res.reason, headers, body, failure, trailers
end

local function check_uris()
    local base, to = fuzz.mutate(uris), fuzz.mutate(uris)
    local parts, err = http:parse_uri(base, false)
    assert(parts or type(err) == "string", "no reason")
    if parts then
        assert(type(parts[2]) == "string" and #parts[2] > 0 and tonumber(parts[3]), "no host or port")
        if redirect.follow then
            local all = { scheme = parts[1], host = parts[2], port = parts[3], path = parts[4], query = parts[5], method = "GET" }
            pcall(redirect.follow, all, { status = 302, headers = { Location = to } })
        end
    end
end

fuzz.run {
    name = "http",
    corpus = corpus,
    check = function(bytes)
        fuzz.method = fuzz.pick { "GET", "GET", "HEAD", "POST" }
        fuzz.exchange(bytes, ask)
        fuzz.agreement(bytes, ask)
        check_uris()
    end,
}
