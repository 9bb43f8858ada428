--- resty.websocket.client: the client's end of a WebSocket (RFC 6455), on cosockets.
--
--     local client = require "resty.websocket.client"
--     local wb = client:new { timeout = 5000 }
--     local ok, err = wb:connect("wss://example.com/chat", { ssl_verify = true, protocols = "chat" })
--     if not ok then return ngx.log(ngx.ERR, "failed to connect: ", err) end
--     wb:send_text("hello")
--     local data, typ, err = wb:recv_frame()
--     wb:close()                                            -- or wb:set_keepalive(10000, 10)
--
-- Errors are nil and a message. connect() also returns the head of the server's answer. The
-- methods that both ends have are described in resty.websocket.connection.
--
-- As everywhere in the field, the certificate of a wss:// server is checked only with
-- ssl_verify = true.
--
-- With permessage_deflate = true (or a table, see resty.websocket.server) in the options of new(), messages
-- are compressed when the server agrees. Such connections are not kept in the pool.
--
-- An object belongs to the request that made it: do not keep it in a module's variable.

local certificate_id = require "resty.certificate_id"
local connection = require "resty.websocket.connection"
local deflate = require "resty.websocket.deflate"
local random = require "resty.random"

local concat = table.concat
local encode_base64 = ngx.encode_base64
local error = error
local find = string.find
local gmatch = string.gmatch
local ipairs = ipairs
local lower = string.lower
local match = string.match
local md5 = ngx.md5
local setmetatable = setmetatable
local sha1_bin = ngx.sha1_bin
local sub = string.sub
local tcp = ngx.socket.tcp
local tonumber = tonumber
local tostring = tostring
local type = type

local GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
local MAX_HEAD = 65536

---@class resty.websocket.client
local _M = connection.class()

local mt = { __index = _M }

---@class resty.websocket.client.options
---@field timeout? number milliseconds
---@field max_payload_len? integer most bytes of a frame, both ways; 65535
---@field max_recv_len? integer the same for what is received
---@field max_send_len? integer the same for what is sent
---@field send_unmasked? boolean against the protocol, for tests
---@field permessage_deflate? boolean|table

---@class resty.websocket.client.connect_options
---@field protocols? string|string[]
---@field origin? string
---@field headers? string[] lines "Name: value"
---@field host? string value of the Host field
---@field key? string value of Sec-WebSocket-Key
---@field server_name? string for SNI and the certificate
---@field ssl_verify? boolean
---@field client_cert? ffi.cdata*
---@field client_priv_key? ffi.cdata*
---@field pool? string
---@field pool_size? integer
---@field backlog? integer

--- Makes an object that is not connected yet.
---@param opts? resty.websocket.client.options
---@return resty.websocket.client? wb
---@return string? err
function _M.new(_, opts)
    local sock, err = tcp()
    if not sock then
        return nil, err
    end
    if opts and opts.timeout then
        sock:settimeout(opts.timeout)
    end
    return setmetatable(connection.configure({
        sock = sock,
        masks = not (opts and opts.send_unmasked),
        force_masking = false,
        compression = opts and opts.permessage_deflate or nil,
    }, opts), mt)
end

local function parse_uri(uri)
    local scheme, authority, path = match(uri, "^(wss?)://([^/?]+)(.*)$")
    local host, port
    if scheme then
        host, port = match(authority, "^(%[[%x:.]+%]):?(%d*)$")
        if not host then
            host, port = match(authority, "^([^:%s]+):?(%d*)$")
        end
    end
    if not host or find(path, "[%c%s]") then
        return nil, "bad websocket uri"
    end
    if not find(path, "^/") then
        path = "/" .. path
    end
    port = tonumber(port) or (scheme == "wss" and 443 or 80)
    return { ssl = scheme == "wss", host = host, port = port, authority = authority, path = path }
end

-- Connections with different subprotocols, paths, fields or checks are different connections.
local function pool_name(place, opts, request)
    local name = place.host .. ":" .. place.port .. ":" .. md5(request)
    if place.ssl then
        name = name .. ":tls:" .. tostring(opts.server_name) .. ":" .. tostring(opts.ssl_verify)
            .. (opts.client_cert and ":" .. certificate_id(opts.client_cert) or "")
    end
    return name
end

-- The request without its key; nil and an error.
local function build_request(place, opts, compression)
    local lines = {
        "GET " .. place.path .. " HTTP/1.1",
        "Host: " .. (opts.host or place.authority),
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
    }
    local protocols = opts.protocols
    if protocols then
        protocols = type(protocols) == "table" and concat(protocols, ",") or protocols
        lines[#lines + 1] = "Sec-WebSocket-Protocol: " .. protocols
    end
    if compression then
        lines[#lines + 1] = "Sec-WebSocket-Extensions: " .. deflate.offer(compression)
    end
    if opts.origin then
        lines[#lines + 1] = "Origin: " .. opts.origin
    end
    for _, line in ipairs(opts.headers or {}) do
        lines[#lines + 1] = line
    end
    for _, line in ipairs(lines) do
        if find(line, "[%z\r\n]") then
            return nil, "bad request header"
        end
    end
    return concat(lines, "\r\n") .. "\r\n"
end

local function parse_fields(head)
    local fields = {}
    for name, value in gmatch(head, "\r\n([^:%s]+):[ \t]*([^\r\n]*)") do
        local last = #value
        while last > 0 and find(value, "^[ \t]", last) do
            last = last - 1
        end
        fields[lower(name)] = sub(value, 1, last)
    end
    return fields
end

-- What the server's answer must say (RFC 6455, 4.1). Returns nil when it does.
local function answer_error(head, key)
    if not match(head, "^HTTP/1%.1 101[ \r]") and not match(head, "^HTTP/1%.1 101$") then
        return "bad HTTP response status line: " .. match(head, "^[^\r\n]*")
    end
    local fields = parse_fields(head)
    if lower(fields.upgrade or "") ~= "websocket" then
        return 'bad "upgrade" response header'
    elseif not find(lower(fields.connection or ""), "upgrade", 1, true) then
        return 'bad "connection" response header'
    elseif fields["sec-websocket-accept"] ~= encode_base64(sha1_bin(key .. GUID)) then
        return 'bad "sec-websocket-accept" response header'
    end
    return nil
end

local function shake_hands(sock, request, key)
    local bytes, err = sock:send { request, "Sec-WebSocket-Key: ", key, "\r\n\r\n" }
    if not bytes then
        return nil, "failed to send the handshake request: " .. err
    end
    local head
    head, err = sock:receiveuntil("\r\n\r\n")(MAX_HEAD)
    if not head then
        return nil, "failed to receive response header: " .. err
    end
    err = #head >= MAX_HEAD and "response header too large" or answer_error(head, key)
    if err then
        return nil, err
    end
    return head
end

local function open_tls(sock, place, opts)
    if opts.client_cert then
        local ok, err = sock:setclientcert(opts.client_cert, opts.client_priv_key)
        if not ok then
            return nil, "failed to set TLS client certificate: " .. err
        end
    end
    local ok, err = sock:sslhandshake(false, opts.server_name or place.host, opts.ssl_verify)
    if not ok then
        return nil, "ssl handshake failed: " .. err
    end
    return true
end

local function new_key(opts)
    return opts.key or encode_base64(random.bytes(16, true) or error("no random bytes"))
end

-- TLS and the handshake of a new connection. Returns the head of the answer.
local function set_up(sock, place, opts, request)
    if place.ssl then
        local ok, err = open_tls(sock, place, opts)
        if not ok then
            return nil, err
        end
    end
    return shake_hands(sock, request, new_key(opts))
end

local function give_up(self, err)
    self.sock:close()
    self.closed = true
    return nil, err
end

--- Connects and shakes hands, or takes an idle WebSocket from the pool.
---@param uri string ws:// or wss://
---@param opts? resty.websocket.client.connect_options
---@return integer? ok 1
---@return string? err
---@return string? head of the answer; nil for one from the pool
function _M.connect(self, uri, opts)
    opts = opts or {}
    local place, err = parse_uri(uri)
    if not place then
        return nil, err
    end
    local request
    request, err = build_request(place, opts, self.compression)
    if not request then
        return nil, err
    end
    local sock = self.sock
    local ok
    ok, err = sock:connect(place.host, place.port, {
        pool = opts.pool or pool_name(place, opts, request),
        pool_size = opts.pool_size,
        backlog = opts.backlog,
    })
    if not ok then
        return nil, "failed to connect: " .. err
    end
    self.fatal, self.closed, self.in_message, self.close_sent = false, false, false, false
    self.deflate = nil
    if sock:getreusedtimes() > 0 then
        return 1
    end
    local head
    head, err = set_up(sock, place, opts, request)
    if not head then
        return give_up(self, err)
    end
    local codec = deflate.agreed(parse_fields(head)["sec-websocket-extensions"], self.compression)
    if codec == false or codec and not self.compression then
        return give_up(self, 'bad "sec-websocket-extensions" response header')
    end
    self.deflate = codec
    return 1, nil, head
end

--- Gives the WebSocket to the pool.
---@param max_idle_timeout? integer milliseconds
---@param pool_size? integer
---@return integer? ok 1
---@return string? err
function _M.set_keepalive(self, ...)
    if self.fatal then
        return nil, "fatal error already happened"
    elseif self.closed then
        return nil, "already closed"
    elseif self.close_sent or self.in_message or self.deflate then
        return nil, "connection must be closed"
    end
    local ok, err = self.sock:setkeepalive(...)
    self.closed = true
    return ok, err
end

--- Sends a close frame, if none has been sent, and closes the connection.
---@return integer? ok 1
---@return string? err
function _M.close(self)
    if self.closed then
        return nil, "already closed"
    end
    local err
    if not self.fatal and not self.close_sent then
        local bytes, failure = self:send_close()
        err = not bytes and "failed to send close frame: " .. failure or nil
    end
    self.closed = true
    local ok, failure = self.sock:close()
    if err or not ok then
        return nil, err or failure
    end
    return 1
end

return _M
