--- resty.http: an HTTP/1.1 client on cosockets; waits without blocking the worker.
--
--     local http = require "resty.http"
--     local res, err = http.new():request_uri("https://example.com/hello", {
--         method = "POST", body = "a=1", headers = { ["Content-Type"] = "text/plain" },
--     })
--     if not res then return ngx.log(ngx.ERR, "request failed: ", err) end
--     ngx.say(res.status, " ", res.headers["Content-Type"], " ", res.body)
--
-- or, a step at a time, with the body as a stream:
--
--     local httpc = http.new()
--     httpc:set_timeouts(1000, 1000, 5000)                         -- milliseconds
--     assert(httpc:connect { scheme = "https", host = "example.com" })
--     local res = assert(httpc:request { path = "/big" })
--     repeat
--         local piece, err = res.body_reader(8192)                 -- at most so many bytes
--         …
--     until not piece
--     httpc:set_keepalive()                                        -- for the next request
--
-- request_uri() with max_redirects = 5 also goes where redirects lead.
--
-- TLS certificates are verified unless ssl_verify is false (lua_ssl_trusted_certificate says by
-- what). Errors are nil and "timeout", "closed", …, and for an answer that is not HTTP "invalid
-- status line", "invalid header line", "invalid Content-Length", "response header too large" or
-- "unable to read chunksize". A connection on which something went wrong, or whose answer was not
-- read to its end, is closed by set_keepalive instead of kept.
--
-- An object belongs to the request that made it: do not keep it in a module's variable.

local http_body = require "resty.http_body"
local http_connect = require "resty.http_connect"
local http_headers = require "resty.http_headers"
local redirect = require "resty.http_redirect"

local byte = string.byte
local concat = table.concat
local encode_args = ngx.encode_args
local error = error
local find = string.find
local format = string.format
local gsub = string.gsub
local ipairs = ipairs
local lower = string.lower
local match = string.match
local ngx = ngx
local pairs = pairs
local rawget = rawget
local setmetatable = setmetatable
local sub = string.sub
local tcp = ngx.socket.tcp
local tonumber = tonumber
local tostring = tostring
local type = type
local upper = string.upper

-- What the status line and the header fields of an answer may take together, in bytes.
local MAX_HEAD = 65536
-- 100 Continue, 103 Early Hints and their like before one answer.
local MAX_INTERIM = 32

local CHUNK = 65536

local _M = { _VERSION = "0.17" }

---@class resty.http
local mt = { __index = _M }

---@class resty.http.connect_options
---@field scheme? string "http" or "https"; http
---@field host string name, address or "unix:/path"
---@field port? integer 80 or 443
---@field pool? string name of the pool; the default one tells apart all that must be apart
---@field pool_size? integer
---@field backlog? integer
---@field proxy_opts? resty.http.proxy_options instead of those of set_proxy_options
---@field ssl_verify? boolean true
---@field ssl_server_name? string for SNI and the certificate; the host
---@field ssl_send_status_req? boolean ask for an OCSP response
---@field ssl_reused_session? any
---@field ssl_client_cert? ffi.cdata*
---@field ssl_client_priv_key? ffi.cdata*

---@class resty.http.proxy_options
---@field http_proxy? string URI of the proxy for http
---@field https_proxy? string URI of the proxy for https
---@field http_proxy_authorization? string value of Proxy-Authorization
---@field https_proxy_authorization? string
---@field no_proxy? string hosts and domains without proxy, separated by commas; or "*"

---@class resty.http.params
---@field version? number 1.1 or 1.0
---@field method? string GET
---@field path? string /
---@field query? string|table
---@field headers? table<string, string|string[]>
---@field body? string|string[]|fun(): string?, string?

---@class resty.http.response
---@field status integer
---@field reason string
---@field headers table<string, string|string[]> names in any case
---@field has_body boolean
---@field body_reader fun(max?: integer): string?, string?
---@field read_body fun(self): string?, string?
---@field read_trailers fun(self)
---@field body? string of request_uri

-- Connections -----------------------------------------------------------------------------------

--- Makes a client that is not connected yet.
---@return resty.http? httpc
---@return string? err
function _M.new(_)
    local sock, err = tcp()
    if not sock then
        return nil, err
    end
    return setmetatable({ sock = sock, keepalive = true, pending = 0, target = "" }, mt)
end

--- The limit, in milliseconds, for each later operation.
---@param timeout number
function _M.set_timeout(self, timeout)
    self.sock:settimeout(timeout)
    return true
end

--- The same for each kind of operation.
---@param connect_timeout? number
---@param send_timeout? number
---@param read_timeout? number
function _M.set_timeouts(self, connect_timeout, send_timeout, read_timeout)
    self.sock:settimeouts(connect_timeout, send_timeout, read_timeout)
    return true
end

--- Proxies for connect{} and request_uri().
---@param opts resty.http.proxy_options
function _M.set_proxy_options(self, opts)
    local copy = {}
    for name, value in pairs(opts) do
        copy[name] = value
    end
    self.proxy_opts = copy
end

local function connect_tcp(self, host, ...)
    local port = ...
    port = type(port) == "number" and port or nil
    self.host, self.port, self.ssl, self.target = host, port, false, ""
    self.authority = find(host, "^unix:") and "localhost"
        or host .. (port and port ~= 80 and ":" .. port or "")
    self.proxy_authorization = nil
    self.keepalive, self.pending = true, 0
    return self.sock:connect(host, ...)
end

--- Connects, or takes an idle connection from the pool; does the handshakes of TLS and of a proxy.
--- The old form connect(host, port, options) does TCP only.
---@param options resty.http.connect_options
---@return boolean? ok
---@return string? err
---@return any session of TLS, when it is new
function _M.connect(self, options, ...)
    if type(options) == "table" then
        return http_connect(self, options)
    end
    return connect_tcp(self, options, ...)
end

--- The TLS handshake on a connection of the old form. Arguments as of tcpsock:sslhandshake.
---@return any session
---@return string? err
function _M.ssl_handshake(self, ...)
    self.ssl = true
    return self.sock:sslhandshake(...)
end

--- Connects through a proxy, for the old form of connect. New programs use connect{proxy_opts=…}.
---@param proxy_uri string
---@param scheme string
---@param host string
---@param port? integer
---@param authorization? string
---@return boolean? ok
---@return string? err
function _M.connect_proxy(self, proxy_uri, scheme, host, port, authorization)
    return http_connect(self, {
        scheme = scheme,
        host = host,
        port = port,
        proxy_opts = {
            [scheme .. "_proxy"] = proxy_uri,
            [scheme .. "_proxy_authorization"] = authorization,
        },
    })
end

--- Gives the connection to the pool, or closes it when it cannot serve another request.
---@param max_idle_timeout? integer milliseconds
---@param pool_size? integer
---@return integer? ok 1 kept, 2 closed
---@return string? err
function _M.set_keepalive(self, ...)
    if self.keepalive and self.pending == 0 then
        return self.sock:setkeepalive(...)
    end
    local ok, err = self.sock:close()
    if not ok then
        return nil, err
    end
    return 2, "connection must be closed"
end

--- How often the connection came from the pool; 0 for a new one.
---@return integer? times
---@return string? err
function _M.get_reused_times(self)
    return self.sock:getreusedtimes()
end

--- Closes the connection.
---@return integer? ok 1
---@return string? err
function _M.close(self)
    return self.sock:close()
end

-- URIs ------------------------------------------------------------------------------------------

local URI_PORTS = { http = 80, https = 443 }

local function split_authority(authority)
    local host, port = match(authority, "^(%[[%x:.]+%]):?(%d*)$")
    if not host then
        host, port = match(authority, "^([^:@%[%]%s]+):?(%d*)$")
    end
    return host, port
end

--- Takes an http or https URI apart: {scheme, host, port, path, query}.
---@param uri string
---@param query_in_path? boolean true: the path ends with "?query", and there is no fifth value
---@return table? parts
---@return string? err
function _M.parse_uri(_, uri, query_in_path)
    local scheme, authority, rest = match(uri, "^([^:/]*):?//([^/?#]*)([^#]*)")
    local host, port
    if scheme then
        scheme = scheme == "" and (ngx.var.scheme or "http") or lower(scheme)
        host, port = split_authority(authority)
    end
    if not host or not URI_PORTS[scheme] then
        return nil, "bad uri: " .. uri
    end
    local path, query = match(rest, "^([^?]*)%??(.*)$")
    path = path == "" and "/" or path
    if query_in_path ~= false and query ~= "" then
        path, query = path .. "?" .. query, ""
    end
    return { scheme, host, tonumber(port) or URI_PORTS[scheme], path, query }
end

-- Requests --------------------------------------------------------------------------------------

-- CR, LF or NUL in a name or value would let data become another field or request.
local function is_clean(text)
    return not find(text, "[%z\r\n]")
end

-- Adds the lines of one field, which may have a list of values.
local function add_field(lines, name, value)
    if type(value) == "table" then
        for _, each in ipairs(value) do
            if not add_field(lines, name, each) then
                return false
            end
        end
        return true
    end
    value = tostring(value)
    lines[#lines + 1] = name .. ": " .. value .. "\r\n"
    return is_clean(value) and is_clean(name) and not find(name, "[%s:]")
end

local FRAMING = {
    length = { ["content-length"] = true }, both = { ["content-length"] = true, ["transfer-encoding"] = true },
}

local function body_length(body)
    if type(body) ~= "table" then
        return #body
    end
    local length = 0
    for _, piece in ipairs(body) do
        length = length + #piece
    end
    return length
end

-- The fields that the caller gave, by lower-case name.
local function given_fields(headers)
    local given = {}
    for name, value in pairs(headers or {}) do
        given[lower(name)] = value
    end
    return given
end

-- Given fields that contradict the body: a length beside chunks, or of something else; chunks that are none.
-- Who passes on what a client sent has them; the server would take the rest of a body for a request, or the
-- next request for the rest of a body.
local function wrong_framing(request, given)
    local body, length = request.body, given["content-length"]
    if type(body) == "function" then
        return given["transfer-encoding"] and length and FRAMING.length or nil
    elseif given["transfer-encoding"] then
        return FRAMING.both
    end
    return length and tonumber(length) ~= body_length(body or "") and FRAMING.length or nil
end

-- Adds what frames the body. Returns how to send it: {chunked, length}; nil and an error.
local function add_framing(lines, request, given, wrong)
    local body = request.body
    if body == nil then
        local method = request.method
        if (not given["content-length"] or wrong) and (method == "POST" or method == "PUT" or method == "PATCH") then
            lines[#lines + 1] = "Content-Length: 0\r\n"
        end
        return {}
    end
    if type(body) ~= "function" then
        if not given["content-length"] or wrong then
            lines[#lines + 1] = "Content-Length: " .. body_length(body) .. "\r\n"
        end
        return {}
    end
    if given["transfer-encoding"] then
        return { chunked = lower(tostring(given["transfer-encoding"])) == "chunked" }
    elseif given["content-length"] then
        return { length = tonumber(given["content-length"]) }
    elseif request.version < 1.1 then
        return nil, "Request body is a function but a length or chunked encoding is not specified"
    end
    lines[#lines + 1] = "Transfer-Encoding: chunked\r\n"
    return { chunked = true }
end

local function request_target(self, request)
    local path = request.path or "/"
    local query = request.query
    if type(query) == "table" then
        query = encode_args(query)
    end
    if query and query ~= "" then
        path = path .. (byte(query) == 63 and "" or "?") .. query
    end
    if find(path, " ", 1, true) then
        path = gsub(path, " ", "%%20") -- a space would end it
    end
    return self.target .. path
end

local function add_defaults(self, lines, given)
    if not given.host then
        lines[#lines + 1] = "Host: " .. (self.authority or "") .. "\r\n"
    end
    if not given["user-agent"] then
        lines[#lines + 1] = "User-Agent: resty.http/" .. _M._VERSION .. "\r\n"
    end
    if self.proxy_authorization and not given["proxy-authorization"] then
        lines[#lines + 1] = "Proxy-Authorization: " .. self.proxy_authorization .. "\r\n"
    end
end

-- The head as a list of strings, and how to send the body.
local function build_head(self, request, given)
    local target = request_target(self, request)
    local method = request.method
    if not is_clean(target) or find(method, "[%c%s]") then
        return nil, "invalid request line"
    end
    local lines = { format("%s %s HTTP/%.1f\r\n", method, target, request.version) }
    add_defaults(self, lines, given)
    local wrong = wrong_framing(request, given)
    for name, value in pairs(request.headers or {}) do
        if not (wrong and wrong[lower(name)]) and not add_field(lines, name, value) then
            return nil, "invalid header field"
        end
    end
    local framing, err = add_framing(lines, request, given, wrong)
    if not framing then
        return nil, err
    end
    lines[#lines + 1] = "\r\n"
    return lines, framing
end

local function append(lines, body)
    if type(body) == "table" then
        for _, piece in ipairs(body) do
            lines[#lines + 1] = piece
        end
    else
        lines[#lines + 1] = body
    end
end

-- Whether a field with a list of words has one.
local function has_token(value, token)
    if value == nil then
        return false
    elseif type(value) == "table" then
        value = concat(value, ",")
    end
    value = lower(value)
    if value == token then
        return true
    end
    return find(value, token, 1, true) ~= nil
        and find("," .. gsub(value, "%s", "") .. ",", "," .. token .. ",", 1, true) ~= nil
end

local function failed(self, err)
    self.keepalive = false
    return nil, err
end

local function normalized(params)
    return {
        version = tonumber(params.version) or 1.1,
        method = upper(params.method or "GET"),
        path = params.path,
        query = params.query,
        headers = params.headers,
        body = params.body,
    }
end

-- Sends the request but, if it asks for 100 Continue, not the body; that is left in request.rest.
local function send_request(self, request)
    local given = given_fields(request.headers)
    local lines, framing = build_head(self, request, given)
    if not lines then
        return nil, framing
    end
    request.keep = not has_token(given.connection, "close")
        and (request.version >= 1.1 or has_token(given.connection, "keep-alive"))
    local body = request.body
    local expects = body ~= nil and request.version >= 1.1 and has_token(given.expect, "100-continue")
    if body ~= nil and not expects and type(body) ~= "function" then
        append(lines, body)
        body = nil
    end
    self.pending = self.pending + 1
    local ok, err = self.sock:send(lines)
    if not ok then
        return failed(self, err)
    end
    request.rest = body and { body, framing.chunked, framing.length } or nil
    request.expects = expects
    if request.rest and not expects then
        ok, err = http_body.send(self.sock, body, framing.chunked, framing.length)
        request.rest = nil
        if not ok then
            return failed(self, err)
        end
    end
    return true
end

-- Responses -------------------------------------------------------------------------------------

-- Names that were found good: servers always send the same ones.
local good_names, good_count = {}, 0

local function is_name(name)
    if good_names[name] then
        return true
    elseif name == "" or find(name, "%s") then
        return false
    end
    if good_count < 1000 and #name < 100 then
        good_names[name], good_count = true, good_count + 1
    end
    return true
end

local function is_blank(head, at)
    local c = byte(head, at)
    return c == 32 or c == 9
end

local function parse_fields(head, at)
    local headers = http_headers.new()
    local add = http_headers.add
    while at <= #head do
        local stop, lf = find(head, "\r", at, true), find(head, "\n", at, true)
        if lf ~= (stop and stop + 1) then
            return nil, "invalid header line" -- one without the other
        end
        stop = stop or #head + 1
        local colon = find(head, ":", at, true) or stop
        local name = sub(head, at, colon - 1)
        if colon >= stop or not is_name(name) then
            return nil, "invalid header line"
        end
        local from, to = colon + 1, stop - 1
        while from <= to and is_blank(head, from) do
            from = from + 1
        end
        while from <= to and is_blank(head, to) do
            to = to - 1
        end
        add(headers, name, sub(head, from, to))
        at = stop + 2
    end
    return headers
end

-- Reads one head: {status, reason, version, headers}.
local function read_head(sock)
    local head, err = sock:receiveuntil("\r\n\r\n")(MAX_HEAD)
    if not head then
        return nil, err
    elseif #head >= MAX_HEAD then
        return nil, "response header too large"
    end
    if find(head, "\0", 1, true) then
        return nil, "invalid header line"
    end
    if find(head, "\n ", 1, true) or find(head, "\n\t", 1, true) then
        head = gsub(head, "\r\n[ \t]+", " ")
    end
    local version, status, reason, at = match(head, "^HTTP/(1%.%d) (%d%d%d) ?([^\r\n]*)()")
    if not version or at <= #head and sub(head, at, at + 1) ~= "\r\n" then
        return nil, "invalid status line"
    end
    local headers
    headers, err = parse_fields(head, at + 2)
    if not headers then
        return nil, err
    end
    return {
        status = tonumber(status),
        reason = reason,
        version = tonumber(version),
        headers = headers,
    }
end

-- The announced length; nil when there is none; false when it makes no sense.
local function content_length(headers)
    local value = headers["Content-Length"]
    if type(value) == "table" then
        for _, other in ipairs(value) do
            if other ~= value[1] then
                return false
            end
        end
        value = value[1]
    end
    if value == nil then
        return nil
    end
    return match(value, "^%d+$") and #value <= 15 and tonumber(value) or false
end

local function is_without_body(method, status)
    return method == "HEAD" or status < 200 or status == 204 or status == 304
end

-- Whether chunks are the last coding, and the only such one: otherwise they end nothing.
local function ends_chunked(codings)
    codings = "," .. lower(gsub(type(codings) == "table" and concat(codings, ",") or codings, "%s", ""))
    local at = find(codings, ",chunked", 1, true)
    return at ~= nil and at + 7 == #codings
end

-- Decides how the body ends (RFC 9112, 6.3). Sets has_body and body_reader.
local function frame_body(self, res, method)
    local function on_end()
        self.pending = self.pending - 1
    end
    local headers, sock = res.headers, self.sock
    res.has_body = not is_without_body(method, res.status)
    if not res.has_body then
        res.body_reader = http_body.empty
        on_end()
        return true
    end
    local length = content_length(headers)
    if length == false then
        return nil, "invalid Content-Length"
    end
    if headers["Transfer-Encoding"] then
        -- With a length beside it, somebody may be lying: that connection is not used again.
        -- Nor is one of HTTP/1.0, which has no chunks.
        self.keepalive = self.keepalive and not length and res.version >= 1.1
        headers["Content-Length"] = nil
        if ends_chunked(headers["Transfer-Encoding"]) then
            res.trailers = {}
            res.body_reader = http_body.chunked(sock, on_end, res.trailers)
            return true
        end
        length = nil
    end
    if length then
        res.body_reader = http_body.of_length(sock, length, on_end)
        return true
    end
    self.keepalive = false
    res.body_reader = http_body.until_closed(sock)
    return true
end

local function read_body(res)
    local pieces, n = {}, 0
    local reader = res.body_reader
    while true do
        local piece, err = reader()
        if err then
            return nil, err
        elseif not piece then
            return n == 1 and pieces[1] or concat(pieces)
        end
        n = n + 1
        pieces[n] = piece
    end
end

local function read_trailers(res)
    for _, field in ipairs(res.trailers or {}) do
        http_headers.add(res.headers, field[1], field[2])
    end
    res.trailers = nil
end

-- The first head that is an answer. After 100 Continue, what is left of the request is sent.
local function read_final_head(self, request)
    for _ = 1, MAX_INTERIM do
        local head, err = read_head(self.sock)
        if not head then
            return nil, err
        end
        if head.status == 101 or head.status >= 200 then
            return head
        end
        if head.status == 100 and request.rest then
            local ok
            ok, err = http_body.send(self.sock, request.rest[1], request.rest[2], request.rest[3])
            if not ok then
                return nil, err
            end
            request.rest = nil
        end
    end
    return nil, "too many interim responses"
end

local function read_response(self, request)
    local res, err = read_final_head(self, request)
    if not res then
        return failed(self, err)
    end
    local connection = res.headers.Connection
    if not request.keep or request.rest or res.status == 101 or has_token(connection, "close")
        or (res.version < 1.1 and not has_token(connection, "keep-alive")) then
        self.keepalive = false
    end
    local ok
    ok, err = frame_body(self, res, request.method)
    if not ok then
        return failed(self, err)
    end
    res.read_body = read_body
    res.read_trailers = read_trailers
    return res
end

--- Sends a request over the connection and reads the head of the answer.
---@param params resty.http.params
---@return resty.http.response? res
---@return string? err
function _M.request(self, params)
    local request = normalized(params)
    local ok, err = send_request(self, request)
    if not ok then
        return nil, err
    end
    return read_response(self, request)
end

-- A response of a pipeline: its head is read when a field of it is asked for.
local pipelined = {
    __index = function(self, name)
        if rawget(self, "asked") then
            return nil
        end
        self.asked = true
        local res, err = read_response(self.client, self.request)
        if not res then
            self.err = err
            return nil
        end
        for key, value in pairs(res) do
            self[key] = value
        end
        return rawget(self, name)
    end,
}

--- Sends several requests at once. Each answer must be read to its end before the next one.
---@param requests resty.http.params[]
---@return resty.http.response[]? responses an answer that could not be read has no status
---@return string? err
function _M.request_pipeline(self, requests)
    local responses = {}
    for i, params in ipairs(requests) do
        local request = normalized(params)
        local ok, err = send_request(self, request)
        if not ok then
            return nil, err
        end
        responses[i] = setmetatable({ client = self, request = request }, pipelined)
    end
    return responses
end

-- The parameters of the caller, with what the URI says where he says nothing.
local function complete(self, uri, params)
    local parts, err = self:parse_uri(uri, false)
    if not parts then
        return nil, err
    end
    local all = {}
    for name, value in pairs(params or {}) do
        all[name] = value
    end
    all.scheme = all.scheme or parts[1]
    all.host = all.host or parts[2]
    all.port = all.port or parts[3]
    all.path = all.path or parts[4]
    if all.query == nil and parts[5] ~= "" then
        all.query = parts[5]
    end
    return all
end

-- Methods that may be sent twice without harm (RFC 9110, 9.2.2).
local IDEMPOTENT = { DELETE = true, GET = true, HEAD = true, OPTIONS = true, PUT = true, TRACE = true }

local GONE = {
    ["broken pipe"] = true,
    ["closed"] = true,
    ["connection reset by peer"] = true,
}

-- Connects and asks. The server may have closed an idle connection just now: then, if it does no
-- harm, the request goes over another one; a new connection is the last try.
local function connect_and_ask(self, params)
    local may_repeat = IDEMPOTENT[upper(params.method or "GET")] and type(params.body) ~= "function"
    while true do
        local ok, err = http_connect(self, params)
        if not ok then
            return nil, err
        end
        local reused = self:get_reused_times() > 0
        local res
        res, err = self:request(params)
        if res then
            return res
        end
        self:close()
        if not (may_repeat and reused and GONE[err]) then
            return nil, err
        end
    end
end

-- One request of request_uri(): the response, and the parameters it was asked for with.
local function exchange(self, uri, params)
    local all, err = complete(self, uri, params)
    if not all then
        return nil, err
    end
    local res
    res, err = connect_and_ask(self, all)
    if not res then
        return nil, err
    end
    res.body, err = res:read_body()
    if not res.body then
        self:close()
        return nil, err
    end
    res:read_trailers()
    if all.keepalive == false then
        self:close()
        return res, all
    end
    local ok
    ok, err = self:set_keepalive(all.keepalive_timeout, all.keepalive_pool)
    if not ok then
        ngx.log(ngx.ERR, "failed to keep the connection: ", err)
    end
    return res, all
end

--- A whole exchange: connects, asks, reads the body, keeps or closes the connection.
--- With max_redirects, it goes where a redirect leads, that many times: as browsers do, with GET instead
--- of POST after 301, 302 and 303, without credentials when it comes to another server, and never from
--- https to http.
---@param uri string
---@param params? table those of connect and request; and keepalive (false: close), keepalive_timeout
--- (milliseconds), keepalive_pool (size), max_redirects (0). What is here wins over the URI.
---@return resty.http.response? res with `body`; `uri` when it was redirected
---@return string? err
function _M.request_uri(self, uri, params)
    local left, first = params and params.max_redirects or 0, uri
    while true do
        local res, all = exchange(self, uri, params)
        if not res then
            return nil, all
        end
        res.uri = uri ~= first and uri or nil
        if left == 0 then
            return res
        end
        local target, next = redirect.follow(all, res)
        if not target then
            if next then
                return nil, next
            end
            return res
        end
        uri, params, left = target, next, left - 1
    end
end

-- Proxying --------------------------------------------------------------------------------------

local function ignore()
end

--- A reader of the client's request body; nil without error when there is none.
---@param chunksize? integer most bytes at a time when the reader is not told; 65536
---@param sock? table a socket to read it from instead
---@return (fun(max?: integer): string?, string?)? reader
---@return string? err
function _M.get_client_body_reader(_, chunksize, sock)
    chunksize = chunksize or CHUNK
    local headers = ngx.req.get_headers()
    if not sock then
        local err
        sock, err = ngx.req.socket()
        if not sock then
            return nil, err ~= "no body" and err or nil
        end
        local length = tonumber(headers["Content-Length"])
        if length and not headers["Transfer-Encoding"] then
            return http_body.of_length(sock, length, ignore, chunksize)
        end
        -- The server has taken the chunks apart.
        return http_body.until_closed(sock, chunksize)
    end
    if has_token(headers["Transfer-Encoding"], "chunked") then
        return http_body.chunked(sock, ignore, {}, chunksize)
    end
    local length = tonumber(headers["Content-Length"])
    return length and http_body.of_length(sock, length, ignore, chunksize) or nil
end

-- Fields that concern one connection only (RFC 9110, 7.6.1).
local HOP_BY_HOP = {
    ["connection"] = true,
    ["keep-alive"] = true,
    ["proxy-authenticate"] = true,
    ["proxy-authorization"] = true,
    ["proxy-connection"] = true,
    ["te"] = true,
    ["trailer"] = true,
    ["trailers"] = true,
    ["transfer-encoding"] = true,
    ["upgrade"] = true,
}

local function percent(char)
    return format("%%%02X", byte(char))
end

--- Sends the client's request to the server that is connected.
---@param chunksize? integer
---@return resty.http.response? res
---@return string? err
function _M.proxy_request(self, chunksize)
    local body, err = self:get_client_body_reader(chunksize)
    if err then
        return nil, err
    end
    local headers = {}
    for name, value in pairs(ngx.req.get_headers(0)) do
        if not HOP_BY_HOP[name] and name ~= "expect" then
            headers[name] = value
        end
    end
    local path = gsub(ngx.var.uri, "[%s%c%%?#]", percent)
    return self:request {
        method = ngx.req.get_method(),
        path = path .. ngx.var.is_args .. (ngx.var.args or ""),
        headers = headers,
        body = body,
    }
end

--- Sends an answer, also its body, to the client.
---@param res resty.http.response
---@param chunksize? integer
function _M.proxy_response(_, res, chunksize)
    if not res then
        error("no response to send", 2)
    end
    ngx.status = res.status
    for name, value in pairs(res.headers) do
        if not HOP_BY_HOP[lower(name)] then
            ngx.header[name] = value
        end
    end
    while true do
        local piece, err = res.body_reader(chunksize or CHUNK)
        if err then
            ngx.log(ngx.ERR, "failed to read the body: ", err)
            return
        elseif not piece then
            return
        end
        local ok
        ok, err = ngx.print(piece)
        if ok then
            ok, err = ngx.flush(true)
        end
        if not ok then
            ngx.log(ngx.ERR, "failed to send the body: ", err)
            return
        end
    end
end

return _M
