--- resty.upload: reads a multipart/form-data body as it comes, in small pieces (RFC 7578).
--
--     local upload = require "resty.upload"
--     local form, err = upload:new(8192)                    -- most bytes of a piece
--     if not form then return ngx.exit(400) end
--     form:set_timeout(1000)                                -- milliseconds
--     while true do
--         local typ, res, err = form:read()
--         if not typ then return ngx.log(ngx.ERR, "failed to read: ", err)
--         elseif typ == "header" then …                     -- {name, value, line}
--         elseif typ == "body" then …                       -- a piece of the field's value
--         elseif typ == "part_end" then …                   -- the field is over
--         elseif typ == "eof" then break end
--     end
--
-- Nothing is kept in memory but the piece. A line of a part's head is limited (512 bytes unless new
-- is told), and so is the number of its lines (100). What may be in a body altogether is the matter
-- of client_max_body_size.
--
-- Errors: "no Content-Type header", "no boundary defined in Content-Type", "no body", "request body
-- already exists"; while reading "line too long: …", "too many header lines", and what the
-- connection reports: "client aborted", "timeout", "closed" for a body without its end.
--
-- upload.disposition(value) takes a Content-Disposition apart and makes the file's name harmless.

local concat = table.concat
local find = string.find
local gsub = string.gsub
local lower = string.lower
local match = string.match
local ngx = ngx
local req_socket = ngx.req.socket
local select = select
local setmetatable = setmetatable
local sub = string.sub
local type = type

local _M = { _VERSION = "0.11" }

---@class resty.upload
local mt = { __index = _M }

local CHUNK_SIZE = 4096
local MAX_LINE_SIZE = 512
local MAX_LINES = 100
-- RFC 2046, 5.1.1.
local MAX_BOUNDARY = 70
local MAX_NAME = 255

local function find_boundary()
    local value = ngx.var.content_type
    if type(value) ~= "string" or value == "" then
        return nil, "no Content-Type header"
    end
    if not find(lower(value), "^%s*multipart/form%-data%s*;") then
        return nil, "no boundary defined in Content-Type"
    end
    local at = select(2, find(lower(value), ";%s*boundary%s*=%s*"))
    local boundary = at and (match(value, '^"([^"]+)"', at + 1) or match(value, '^([^",;%s]+)', at + 1))
    if not boundary or #boundary > MAX_BOUNDARY then
        return nil, "no boundary defined in Content-Type"
    end
    return boundary
end

--- Begins to read the request's body.
---@param chunk_size? integer most bytes of a piece; 4096
---@param max_line_size? integer most bytes of a line in a part's head; 512
---@return resty.upload? form
---@return string? err
function _M.new(_, chunk_size, max_line_size)
    local boundary, err = find_boundary()
    if not boundary then
        return nil, err
    end
    local sock
    sock, err = req_socket()
    if not sock then
        return nil, err
    end
    return setmetatable({
        sock = sock,
        size = chunk_size or CHUNK_SIZE,
        line_size = max_line_size or MAX_LINE_SIZE,
        -- The delimiter belongs to the line end before it; the first one may have none.
        read_preamble = sock:receiveuntil("--" .. boundary),
        read_part = sock:receiveuntil("\r\n--" .. boundary),
        read_line = sock:receiveuntil("\r\n"),
        state = "preamble",
        lines = 0,
    }, mt)
end

--- The limit, in milliseconds, for each later read.
---@param timeout number
---@return integer? ok
---@return string? err
function _M.set_timeout(self, timeout)
    if not self.sock then
        return nil, "not initialized"
    end
    return self.sock:settimeout(timeout)
end

-- Reads with an iterator until its pattern, and forgets what comes.
local function skip(reader, size)
    while true do
        local data, err = reader(size)
        if err then
            return nil, err
        elseif not data then
            return true
        end
    end
end

-- A line of at most line_size bytes, without its end.
local function read_line(self)
    local line, err = self.read_line(self.line_size)
    if not line then
        return not err and "" or nil, err
    end
    local more
    more, err = self.read_line(1)
    if more == "" then
        -- The end came right behind line_size bytes; this call says so.
        more, err = self.read_line(1)
    end
    if err then
        return nil, err
    elseif more then
        return nil, "line too long: " .. line .. more .. "..."
    end
    return line
end

-- What follows a delimiter: "--" at the end of the body, or a line end.
local function after_delimiter(self)
    local data, err = self.sock:receive(2)
    if not data then
        return nil, err
    elseif data == "--" then
        self.state = "eof"
        return true
    elseif data ~= "\r\n" then
        local line
        line, err = read_line(self)
        if not line then
            return nil, err
        end
    end
    self.state, self.lines = "header", 0
    return true
end

-- Behind the end, an epilogue is read and forgotten, so that the connection can go on.
local function drain(self)
    repeat
        local data = self.sock:receive(self.size)
    until not data
end

local function read_body(self)
    local piece, err
    repeat
        piece, err = self.read_part(self.size)
    until piece ~= ""
    if err then
        return nil, nil, err
    elseif piece then
        return "body", piece
    end
    local ok
    ok, err = after_delimiter(self)
    if not ok then
        return nil, nil, err
    end
    if self.state == "eof" then
        drain(self)
    end
    return "part_end"
end

-- Without the bytes of a class at its end. A pattern for that would try each of its places.
local function trim_end(text, class)
    local last = #text
    while last > 0 and find(text, class, last) do
        last = last - 1
    end
    return sub(text, 1, last)
end

-- The next line of a part's head, or, behind it, the beginning of the content.
local function read_header(self)
    local line, err = read_line(self)
    if not line then
        return nil, nil, err
    elseif line == "" then
        self.state = "body"
        return read_body(self)
    end
    self.lines = self.lines + 1
    if self.lines > MAX_LINES then
        return nil, nil, "too many header lines"
    end
    local name, at = match(line, "^([^:%s]+)%s*:%s*()")
    if not name then
        return "header", line
    end
    return "header", { name, trim_end(sub(line, at), "^%s"), line }
end

--- The next piece: "header" and {name, value, line} (or the line, if it is none), "body" and data,
--- "part_end", or "eof"; nil, nil and an error.
---@return string? typ
---@return string|table|nil res
---@return string? err
function _M.read(self)
    if self.state == "preamble" then
        local ok, err = skip(self.read_preamble, self.size)
        if ok then
            ok, err = after_delimiter(self)
        end
        if not ok then
            return nil, nil, err
        end
    end
    if self.state == "header" then
        return read_header(self)
    elseif self.state == "body" then
        return read_body(self)
    end
    return "eof"
end

-- Only the last component of the client's path, without what file systems or shells take amiss.
local function clean_name(name)
    name = gsub(name, "^.*[/\\]", "")
    name = gsub(name, "[%c%z\127]", "")
    name = gsub(name, '[<>:"|?*]', "_")
    name = gsub(name, "^[%s.]+", "")
    name = trim_end(name, "^[%s.]")
    if #name > MAX_NAME then
        local extension = match(name, "%.%w+$") or ""
        extension = #extension <= 16 and extension or ""
        name = sub(name, 1, MAX_NAME - #extension) .. extension
    end
    return name ~= "" and name or nil
end

-- What browsers write for the only bytes that they escape (HTML standard, multipart/form-data encoding).
local ESCAPED = { ["%22"] = '"', ["%0D"] = "\r", ["%0A"] = "\n" }

-- The value of a parameter, which may be quoted.
local function parameter(value, wanted)
    local at = select(2, find(lower(value), ";%s*" .. wanted .. "%s*=%s*"))
    if not at then
        return nil
    end
    if sub(value, at + 1, at + 1) ~= '"' then
        return match(value, "^[^;%s]*", at + 1)
    end
    local parts, i = {}, at + 2
    while i <= #value and sub(value, i, i) ~= '"' do
        local is_escape = sub(value, i, i + 1) == '\\"'
        parts[#parts + 1] = is_escape and '"' or sub(value, i, i)
        i = i + (is_escape and 2 or 1)
    end
    return (gsub(concat(parts), "%%[02][2AD]", ESCAPED))
end

--- Takes the value of a Content-Disposition field apart.
---@param value string
---@return string? name of the form's field
---@return string? filename harmless, without folders; nil when there is none or nothing is left
---@return string? given the file's name as the client has it
function _M.disposition(value)
    local given = parameter(value, "filename")
    return parameter(value, "name"), given and clean_name(given), given
end

return _M
