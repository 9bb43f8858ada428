--- resty.websocket.server: the server's end of a WebSocket (RFC 6455).
--
--     local server = require "resty.websocket.server"
--     local wb, err = server:new { timeout = 5000, max_payload_len = 65535 }
--     if not wb then return ngx.exit(444) end
--     while true do
--         local data, typ, err = wb:recv_frame()
--         if wb.fatal or typ == "close" then break
--         elseif not data then wb:send_ping()                 -- a timeout: is he still there?
--         elseif typ == "ping" then wb:send_pong(data)
--         elseif typ == "text" then wb:send_text("you said " .. data) end
--     end
--     wb:send_close(1000, "bye")
--
-- new() answers the client's handshake; its errors are nil and a message, for instance "bad http
-- version" or 'bad "upgrade" request header: …'. After them nothing has been sent yet. The methods
-- of the object are described in resty.websocket.connection. Programs answer pings and assemble
-- fragments (err == "again") themselves; the order of fragments is checked.
--
-- With permessage_deflate = true, messages are compressed when the client can (RFC 7692). A table sets
-- more: {level = 6, threshold = 64 (bytes, from which on), context_takeover = false (better compression for
-- 300 KB a connection), window_bits = 15}. A message may not be longer than max_recv_len when it is
-- unpacked. A program sees no difference.
--
-- An object belongs to the request that made it: do not keep it in a module's variable.

local connection = require "resty.websocket.connection"
local deflate = require "resty.websocket.deflate"

local concat = table.concat
local encode_base64 = ngx.encode_base64
local find = string.find
local gsub = string.gsub
local lower = string.lower
local match = string.match
local ngx = ngx
local setmetatable = setmetatable
local sha1_bin = ngx.sha1_bin
local type = type

local GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

---@class resty.websocket.server
local _M = connection.class()

local mt = { __index = _M }

---@class resty.websocket.server.options
---@field timeout? number milliseconds
---@field max_payload_len? integer most bytes of a frame, both ways; 65535
---@field max_recv_len? integer the same for what is received
---@field max_send_len? integer the same for what is sent
---@field send_masked? boolean
---@field permessage_deflate? boolean|table

local function first_value(headers, name)
    local value = headers[name]
    return type(value) == "table" and value[1] or value
end

local function joined(headers, name)
    local value = headers[name]
    return type(value) == "table" and concat(value, ",") or value
end

local function has_token(list, token)
    return find("," .. gsub(lower(list), "%s", "") .. ",", "," .. token .. ",", 1, true) ~= nil
end

-- What is wrong with the client's handshake (RFC 6455, 4.2.1); or nil and its key.
local function check(headers)
    if ngx.req.http_version() ~= 1.1 then
        return "bad http version"
    end
    local upgrade = joined(headers, "upgrade")
    if not upgrade then
        return 'missing "upgrade" request header'
    elseif not has_token(upgrade, "websocket") then
        return 'bad "upgrade" request header: ' .. upgrade
    end
    local wanted = joined(headers, "connection")
    if not wanted or not has_token(wanted, "upgrade") then
        return 'bad "connection" request header'
    end
    local key = first_value(headers, "sec-websocket-key")
    if not key then
        return 'missing "sec-websocket-key" request header'
    elseif not match(key, "^[%w+/]+==$") or #key ~= 24 then
        return 'bad "sec-websocket-key" request header'
    end
    local version = first_value(headers, "sec-websocket-version")
    if version ~= "13" then
        return 'bad "sec-websocket-version" request header value: ' .. (version or "")
    end
    return nil, key
end

local function answer(headers, key, extension)
    local protocols = first_value(headers, "sec-websocket-protocol")
    if protocols and not ngx.header["Sec-WebSocket-Protocol"] then
        ngx.header["Sec-WebSocket-Protocol"] = match(protocols, "^%s*([^,%s]+)")
    end
    ngx.header["Sec-WebSocket-Extensions"] = extension
    ngx.header["Sec-WebSocket-Accept"] = encode_base64(sha1_bin(key .. GUID))
    ngx.header["Upgrade"] = "websocket"
    ngx.header["Content-Type"] = nil
    ngx.status = 101
    local ok, err = ngx.send_headers()
    if not ok then
        return nil, "failed to send response header: " .. err
    end
    ok, err = ngx.flush(true)
    if not ok then
        return nil, "failed to flush response header: " .. err
    end
    return true
end

--- Answers the client's handshake. Of its subprotocols the first one is agreed upon, unless the
--- program has set the response's Sec-WebSocket-Protocol before.
---@param opts? resty.websocket.server.options
---@return resty.websocket.server? wb
---@return string? err
function _M.new(_, opts)
    if ngx.headers_sent then
        return nil, "response header already sent"
    end
    local headers = ngx.req.get_headers()
    local err, key = check(headers)
    if err then
        return nil, err
    end
    local ok, extension, codec
    if opts and opts.permessage_deflate then
        extension, codec = deflate.accept(joined(headers, "sec-websocket-extensions"), opts.permessage_deflate)
    end
    ok, err = answer(headers, key, extension)
    if not ok then
        return nil, err
    end
    local sock
    sock, err = ngx.req.socket(true)
    if not sock then
        return nil, err
    end
    if opts and opts.timeout then
        sock:settimeout(opts.timeout)
    end
    return setmetatable(connection.configure({
        sock = sock,
        masks = opts and opts.send_masked or false,
        force_masking = true,
        deflate = codec,
    }, opts), mt)
end

return _M
