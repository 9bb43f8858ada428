--- How resty.http opens a connection: straight or through a proxy, plain or TLS, new or pooled.
--
--     local connect = require "resty.http_connect"
--     local ok, err, session = connect(httpc, { scheme = "https", host = "example.com" })
--
-- resty.http calls it for httpc:connect{…}; programs use that. It fills the fields of the client
-- that describe the connection: host, port, ssl, target (what stands before the path in the
-- request line of a plain proxy) and proxy_authorization.
--
-- The pool's name holds everything that makes two connections different to their users: place,
-- proxy, who the client is to both, and what was verified. So nobody gets a connection from the
-- pool that was not checked as he asks for.

local certificate_id = require "resty.certificate_id"

local find = string.find
local gmatch = string.gmatch
local gsub = string.gsub
local lower = string.lower
local match = string.match
local md5 = ngx.md5
local sub = string.sub
local tonumber = tonumber
local tostring = tostring

local DEFAULT_PORTS = { http = 80, https = 443 }
local MAX_HEAD = 65536

-- Whether the comma-separated list names the host or a domain that it belongs to.
local function is_excluded(list, host)
    host = lower(host)
    for name in gmatch(list or "", "[^,%s]+") do
        name = lower(gsub(name, "^%*?%.", ""))
        if name == "*" or name == host or sub(host, -#name - 1) == "." .. name then
            return true
        end
    end
    return false
end

-- The proxy for this place: {host, port, authorization}; false for none; nil and an error.
local function choose_proxy(self, opts, scheme, host)
    local list = opts.proxy_opts or self.proxy_opts
    local uri = list and list[scheme .. "_proxy"]
    if not uri or find(host, "^unix:") or is_excluded(list.no_proxy, host) then
        return false
    end
    local parsed, err = self:parse_uri(uri, false)
    if not parsed then
        return nil, err
    end
    if parsed[1] ~= "http" then
        return nil, "protocol " .. tostring(parsed[1]) .. " not supported for proxy connections"
    end
    return {
        host = parsed[2],
        port = parsed[3],
        authorization = list[scheme .. "_proxy_authorization"],
    }
end

local function pool_name(opts, place, proxy)
    local name = place.scheme .. ":" .. place.host .. ":" .. tostring(place.port)
    if proxy then
        name = "proxy:" .. proxy.host .. ":" .. proxy.port .. ":" .. md5(proxy.authorization or "")
            .. (place.ssl and ":" .. name or "")
    end
    if not place.ssl then
        return name
    end
    local cert = opts.ssl_client_cert
    return name .. ":" .. tostring(place.server_name) .. ":" .. tostring(place.verify) .. ":"
        .. tostring(opts.ssl_send_status_req) .. (cert and ":" .. certificate_id(cert) or "")
end

-- Asks the proxy for a tunnel (RFC 9110, 9.3.6).
local function open_tunnel(sock, place, proxy)
    local authority = place.host .. ":" .. place.port
    local request = { "CONNECT ", authority, " HTTP/1.1\r\nHost: ", authority, "\r\n" }
    if proxy.authorization then
        request[#request + 1] = "Proxy-Authorization: " .. proxy.authorization .. "\r\n"
    end
    request[#request + 1] = "\r\n"
    local ok, err = sock:send(request)
    if not ok then
        return nil, err
    end
    local head
    head, err = sock:receiveuntil("\r\n\r\n")(MAX_HEAD)
    if not head then
        return nil, err
    end
    local status = match(head, "^HTTP/1%.%d (%d%d%d)")
    if not status or sub(status, 1, 1) ~= "2" then
        return nil, "failed to establish a tunnel through a proxy: " .. (status or "bad response")
    end
    return true
end

local function handshake(sock, opts, place)
    if opts.ssl_client_cert then
        local ok, err = sock:setclientcert(opts.ssl_client_cert, opts.ssl_client_priv_key)
        if not ok then
            return nil, err
        end
    end
    return sock:sslhandshake(opts.ssl_reused_session, place.server_name, place.verify,
        opts.ssl_send_status_req)
end

local function make_place(opts)
    local host = opts.host
    if not host then
        return nil, "no host"
    end
    local scheme = lower(opts.scheme or "http")
    if not DEFAULT_PORTS[scheme] then
        return nil, "scheme must be http or https"
    end
    local is_unix = find(host, "^unix:") ~= nil
    if not is_unix and find(host, "[%c%s]") then
        return nil, "invalid host"
    end
    return {
        scheme = scheme,
        host = host,
        port = not is_unix and (tonumber(opts.port) or DEFAULT_PORTS[scheme]) or nil,
        ssl = scheme == "https",
        server_name = opts.ssl_server_name
            or (not is_unix and gsub(host, "[%[%]]", "") or nil),
        verify = opts.ssl_verify ~= false,
        is_unix = is_unix,
    }
end

local function open(sock, opts, place, proxy)
    local options = {
        pool = opts.pool or pool_name(opts, place, proxy),
        pool_size = opts.pool_size,
        backlog = opts.backlog,
    }
    if place.is_unix then
        return sock:connect(place.host, options)
    end
    local target = proxy or place
    return sock:connect(target.host, target.port, options)
end

-- What a connection fresh from the server needs before its user may have it.
local function set_up(sock, opts, place, proxy)
    if not place.ssl or sock:getreusedtimes() > 0 then
        return true
    end
    if proxy then
        local ok, err = open_tunnel(sock, place, proxy)
        if not ok then
            return nil, err
        end
    end
    return handshake(sock, opts, place)
end

-- The host as the Host field has it: with the port unless it is the scheme's own.
local function authority(place)
    if place.is_unix then
        return "localhost"
    end
    if place.port == DEFAULT_PORTS[place.scheme] then
        return place.host
    end
    return place.host .. ":" .. place.port
end

--- Connects as `options` say (those of httpc:connect).
---@param self resty.http
---@param options resty.http.connect_options
---@return boolean? ok
---@return string? err
---@return any session of a new TLS connection
return function(self, options)
    local place, err = make_place(options)
    if not place then
        return nil, err
    end
    local proxy
    proxy, err = choose_proxy(self, options, place.scheme, place.host)
    if proxy == nil then
        return nil, err
    end
    local sock = self.sock
    local ok
    ok, err = open(sock, options, place, proxy)
    if not ok then
        return nil, err
    end
    local session
    session, err = set_up(sock, options, place, proxy)
    if not session then
        sock:close()
        return nil, err
    end
    local via_plain_proxy = proxy and not place.ssl
    self.host, self.port, self.ssl = place.host, place.port, place.ssl
    self.authority = authority(place)
    self.target = via_plain_proxy and "http://" .. self.authority or ""
    self.proxy_authorization = via_plain_proxy and proxy.authorization or nil
    self.keepalive, self.pending = true, 0
    return true, nil, session ~= true and session or nil
end
