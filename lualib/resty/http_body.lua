--- Bodies of HTTP/1 messages as resty.http reads and writes them (RFC 9112, 6 and 7).
--
-- A reader is a function: reader(max) returns the next piece of at most `max` bytes, nil at the
-- end, nil and an error when the connection fails. Without `max` it returns all of a body of known
-- length, or a chunk. Readers call `on_end` once, when the message has been read entirely: only
-- then may the connection serve another request.

local find = string.find
local format = string.format
local match = string.match
local min = math.min
local sub = string.sub
local tonumber = tonumber
local type = type

local _M = { _VERSION = "0.17" }

local MAX_TRAILERS = 128
-- Of the line before a chunk, with its extensions, and of a trailer.
local MAX_LINE = 16384
-- 13 hexadecimal digits are below 2^53, what a number can count exactly.
local MAX_DIGITS = 13

--- A reader of a body that is not there.
function _M.empty()
    return nil
end

--- A reader of `length` bytes.
---@param sock table
---@param length integer
---@param on_end fun()
---@param default_max? integer
---@return fun(max?: integer): string?, string?
function _M.of_length(sock, length, on_end, default_max)
    local left = length
    if left == 0 then
        on_end()
    end
    return function(max)
        if left == 0 then
            return nil
        end
        local data, err = sock:receive(min(max or default_max or left, left))
        if not data then
            return nil, err
        end
        left = left - #data
        if left == 0 then
            on_end()
        end
        return data
    end
end

--- A reader of a body that ends with the connection. It gives what is there, without waiting for `max`
--- bytes: streams of events end never. With `default_max`, pieces are as long as they may be.
---@param sock table
---@param default_max? integer
---@return fun(max?: integer): string?, string?
function _M.until_closed(sock, default_max)
    local over = false
    return function(max)
        if over then
            return nil
        end
        max = max or default_max
        local data, err, partial
        if max and not default_max then
            data, err = sock:receiveany(max)
            partial = ""
        else
            data, err, partial = sock:receive(max or "*a")
        end
        over = not max or not data
        if not data then
            if err ~= "closed" then
                return nil, err
            end
            data = partial
        end
        return data ~= "" and data or nil
    end
end

-- A line without its end, CRLF, of at most MAX_LINE bytes.
local function read_line(sock)
    local line, err = sock:receiveuntil("\r\n")(MAX_LINE)
    if line and #line >= MAX_LINE then
        return nil, "line too long"
    end
    return line, err
end

local function read_size(sock)
    local line, err = read_line(sock)
    if not line then
        return nil, err
    end
    local digits, rest = match(line, "^0*(%x*)[ \t]*(.*)$")
    if not find(line, "^%x") or find(line, "[%z\r\n]") or #digits > MAX_DIGITS or not (rest == "" or find(rest, "^;")) then
        return nil, "unable to read chunksize"
    end
    return digits == "" and 0 or tonumber(digits, 16)
end

-- The fields behind the last chunk, and the empty line that ends them.
local function read_trailers(sock, trailers)
    for _ = 1, MAX_TRAILERS do
        local line, err = read_line(sock)
        if not line then
            return nil, err
        elseif line == "" then
            return true
        end
        local name, at = match(line, "^([^:%s]+):[ \t]*()")
        if not name or find(line, "[%z\r\n]") then
            return nil, "invalid trailer"
        end
        local last = #line
        while last >= at and find(line, "^[ \t]", last) do
            last = last - 1
        end
        trailers[#trailers + 1] = { name, sub(line, at, last) }
    end
    return nil, "too many trailers"
end

local function next_chunk(sock, state, on_end)
    local size, err = read_size(sock)
    if not size then
        return nil, err
    end
    if size > 0 then
        state.left = size
        return size
    end
    local ok
    ok, err = read_trailers(sock, state.trailers)
    if not ok then
        return nil, err
    end
    state.over = true
    on_end()
    return 0
end

local function read_piece(sock, state, max)
    local data, err = sock:receive(min(max or state.left, state.left))
    if not data then
        return nil, err
    end
    state.left = state.left - #data
    if state.left == 0 then
        local line
        line, err = sock:receive(2)
        if not line then
            return nil, err
        elseif line ~= "\r\n" then
            return nil, "bad chunk"
        end
    end
    return data
end

--- A reader of chunks. Trailers go into `trailers` as {name, value} when the end has been read.
---@param sock table
---@param on_end fun()
---@param trailers table
---@param default_max? integer
---@return fun(max?: integer): string?, string?
function _M.chunked(sock, on_end, trailers, default_max)
    local state = { left = 0, over = false, trailers = trailers }
    local failure
    return function(max)
        if state.over or failure then
            return nil, failure
        end
        local data, err
        if state.left == 0 then
            data, err = next_chunk(sock, state, on_end)
            if data == 0 then
                return nil
            end
        end
        if not err then
            data, err = read_piece(sock, state, max or default_max)
        end
        failure = err
        if err then
            return nil, err
        end
        return data
    end
end

local function send_iterator(sock, body, chunked, length)
    local sent = 0
    while true do
        local piece, err = body()
        if err then
            return nil, err
        elseif piece == nil then
            break
        end
        sent = sent + #piece
        if length and sent > length then
            return nil, "body longer than its content-length"
        end
        if piece ~= "" then
            local frame = chunked and { format("%x\r\n", #piece), piece, "\r\n" } or piece
            local ok
            ok, err = sock:send(frame)
            if not ok then
                return nil, err
            end
        end
    end
    if length and sent < length then
        return nil, "body shorter than its content-length"
    end
    if chunked then
        return sock:send("0\r\n\r\n")
    end
    return true
end

--- Sends a request's body.
---@param sock table
---@param body string|string[]|fun(): string?, string?
---@param chunked boolean in chunks, for a function
---@param length? integer what Content-Length has announced
---@return any ok
---@return string? err
function _M.send(sock, body, chunked, length)
    if type(body) == "function" then
        return send_iterator(sock, body, chunked, length)
    end
    return sock:send(body)
end

return _M
