-- resty.upload and resty.reqargs: multipart forms, as they come.
local fuzz = require "fuzz"

-- What a request has, for libraries that a script without one runs.
local content_type, address = "", nil
local variables = setmetatable({}, { __index = function(_, name) return name == "content_type" and content_type or nil end })
ngx.var = variables
ngx.req.socket = function() return fuzz.connect(address) end
ngx.req.get_uri_args = function() return {} end
ngx.req.read_body = function() end
ngx.req.get_body_data = function() return "{}" end

local reqargs = require "resty.reqargs"
local upload = require "resty.upload"

local function part(head, body)
    return "--b\r\n" .. head .. "\r\n\r\n" .. body .. "\r\n"
end

local FIELD = part('Content-Disposition: form-data; name="a"', "value")
local FILE = part('Content-Disposition: form-data; name="f"; filename="x.txt"\r\nContent-Type: text/plain', "text\r\nmore--b")

local corpus = {
    FIELD .. FILE .. "--b--\r\n", "preamble\r\n" .. FIELD .. "--b--", FIELD .. FIELD .. "--b--", "--b--\r\n", "--b  \r\n\r\n\r\n--b--",
    part("Content-Disposition: form-data; name*=UTF-8''a%20b; filename*=utf-8''%e2%82%ac", "x") .. "--b--", part("X", "y") .. "--b--",
    part('content-disposition: form-data; name="a\\"b"; filename="../../etc/passwd"', "") .. "--b--", FIELD .. "--c\r\n--b--",
}

local types = {
    "multipart/form-data; boundary=b", 'multipart/form-data; boundary="b"', "Multipart/Form-Data;x=y; Boundary = b", "multipart/form-data",
    "text/plain", "application/x+json", "a/b;c", 'multipart/form-data; boundary="b;c"',
}

-- All that the reader tells, with the pieces of a body as one.
local function read_all(path)
    address = path
    local form, err = upload:new(fuzz.size, 100)
    if not form then
        return nil, err
    end
    form:set_timeout(fuzz.timeout)
    local all, body = {}, ""
    for _ = 1, 100000 do
        local typ, res, failure = form:read()
        if typ == "body" then
            assert(#res <= fuzz.size + 200, "too long a piece")
            body = body .. res
        else
            all[#all + 1] = { body, typ, res, failure }
            body = ""
        end
        if not typ then
            assert(type(failure or res) == "string", "no reason")
            return all
        elseif typ == "eof" then
            return all
        end
    end
    error "it does not end"
end

local function read_form(path)
    address = path
    local get, post, files = reqargs { timeout = fuzz.timeout, max_file_size = 5000, max_post_args = 10, max_file_uploads = 3 }
    if not get then
        assert(type(post) == "string", "no reason")
        return nil, post
    end
    local names = {}
    for name, file in pairs(files) do
        for _, each in ipairs(file.temp and { file } or file) do
            assert(not each.file:find("[/%z]") and each.file ~= ".." and each.file ~= "" and each.size <= 5000, "a bad file")
            names[#names + 1] = { name, each.file, each.type, each.size }
        end
    end
    reqargs.remove(files)
    return post, names
end

fuzz.run {
    name = "multipart",
    corpus = corpus,
    check = function(bytes)
        content_type = fuzz.random(4) > 1 and types[1] or fuzz.mutate(types)
        fuzz.size = fuzz.pick { 1, 2, 7, 4096 }
        fuzz.exchange(bytes, read_all)
        fuzz.agreement(bytes, fuzz.random(2) == 1 and read_all or read_form)
        local name, file = upload.disposition(fuzz.mutate(corpus))
        assert((name == nil or type(name) == "string") and (file == nil or type(file) == "string" and not file:find("[/%z]")))
    end,
}
