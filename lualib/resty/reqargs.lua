--- resty.reqargs: the arguments of a request, wherever they are: query, form, multipart form, JSON.
--
--     local reqargs = require "resty.reqargs"
--     local get, post, files = reqargs { max_file_size = 10485760, max_file_uploads = 5 }
--     if not get then
--         ngx.status = 400
--         return ngx.say(post)                              -- why not
--     end
--     ngx.say(get.page, post.title)
--     local photo = files.photo
--     if photo then
--         os.rename(photo.temp, "/srv/photos/" .. id)       -- or copy it, in another file system
--     end
--     reqargs.remove(files)                                 -- what is still there
--
-- `get` has the arguments of the query. `post` has those of the body: of
-- application/x-www-form-urlencoded, the fields of multipart/form-data that are no files, or what
-- application/json (or another type that ends in +json) says. `files` has the files of multipart/form-data:
--
--     { name = "photo", file = "cat.jpg", type = "image/jpeg", size = 123465, temp = "/tmp/upload-x7Bq2e" }
--
-- A name that comes several times has an array. `file` is the client's name for it without folders and
-- without what file systems and shells take amiss ("file" when nothing is left); still, do not take it for
-- the name of a file of yours. Files are written as they come, with a name that nobody can guess, readable
-- only for the worker's user. They stay until the program moves or removes them; when reqargs fails it has
-- removed them. A file input that was left empty is no file.
--
-- A multipart form is read from the connection, so nothing else may have read the body before.
--
-- Each option is also a variable: `set $reqargs_max_file_size 10485760;`. What is given to the function goes
-- first.
--
-- Errors, nil and a message: "too many query arguments", "too many post arguments", "too many files", "file is
-- too large: <field>", "fields are too large", "field without a name", "invalid json: …", "failed to create a
-- file: …", "failed to write a file: …", and those of resty.upload.

local concat = table.concat
local decode_json = require("cjson.safe").decode
local errno = require("ffi").errno
local ffi = require "ffi"
local upload = require "resty.upload"

local C = ffi.C
local find = string.find
local getmetatable = getmetatable
local io_open = io.open
local lower = string.lower
local match = string.match
local ngx = ngx
local pairs = pairs
local setmetatable = setmetatable
local tonumber = tonumber
local type = type
local unlink = os.remove

ffi.cdef [[
int bl_mkostemp(char *template, int flags) __asm__("mkostemp");
long bl_write_fd(int fd, const char *data, size_t n) __asm__("write");
int bl_close_fd(int fd) __asm__("close");
char *bl_strerror(int number) __asm__("strerror");
]]

local O_CLOEXEC = 0x80000
local EINTR = 4

local _M = { _VERSION = "1.4" }

---@class resty.reqargs.options
---@field tmp_dir? string where files go; "/tmp"
---@field timeout? number milliseconds for each read of a multipart form; 1000
---@field chunk_size? integer bytes of a read; 4096
---@field max_get_args? integer 100
---@field max_post_args? integer fields of a form; 100
---@field max_line_size? integer bytes of a line in a part's head; 512
---@field max_post_size? integer bytes of all fields of a multipart form that are no files; 1048576
---@field max_file_size? integer bytes of one file; no limit but client_max_body_size
---@field max_file_uploads? integer no limit

---@class resty.reqargs.file
---@field name string the form's field
---@field file string the client's name for it
---@field type? string its media type, as the client says
---@field size integer bytes
---@field temp string where it is

local DEFAULTS = {
    tmp_dir = "/tmp", timeout = 1000, chunk_size = 4096, max_get_args = 100, max_post_args = 100,
    max_line_size = 512, max_post_size = 1048576, max_file_size = false, max_file_uploads = false,
}

local function settings(options)
    local all = {}
    for name, default in pairs(DEFAULTS) do
        local value = options and options[name]
        if value == nil then
            local text = ngx.var["reqargs_" .. name]
            if text and text ~= "" then
                value = name == "tmp_dir" and text or tonumber(text)
            end
        end
        all[name] = value == nil and default or value
    end
    return all
end

-- ------------------------------------------------------------- files

local function create(folder)
    local template = folder .. "/upload-XXXXXX"
    local path = ffi.new("char[?]", #template + 1, template)
    local fd = C.bl_mkostemp(path, O_CLOEXEC)
    if fd < 0 then
        return nil, "failed to create a file: " .. ffi.string(C.bl_strerror(errno()))
    end
    return fd, ffi.string(path)
end

local function write(fd, data)
    local at, left = ffi.cast("const char *", data), #data
    while left > 0 do
        local n = tonumber(C.bl_write_fd(fd, at, left))
        if n < 0 and errno() ~= EINTR then
            return nil, "failed to write a file: " .. ffi.string(C.bl_strerror(errno()))
        elseif n > 0 then
            at, left = at + n, left - n
        end
    end
    return true
end

-- Adds a value to those of a name.
local function add(to, name, value, is_file)
    local known = to[name]
    if known == nil then
        to[name] = value
    elseif type(known) == "table" and not (is_file and known.temp) then
        known[#known + 1] = value
    else
        to[name] = { known, value }
    end
end

-- ------------------------------------------------------------- multipart forms

-- What is read of a form: settings, the result, and the part that is under way.
local reader = {}
local reader_mt = { __index = reader }

function reader:fail(err)
    self.over = true
    if self.fd then
        C.bl_close_fd(self.fd)
        self.fd = nil
    end
    for _, path in pairs(self.paths) do
        unlink(path)
    end
    return nil, err
end

-- A light thread that is killed in the middle of a form leaves nothing behind either: what it had is
-- cleaned up when the collector finds it.
local function guard(self)
    local proxy = newproxy(true)
    getmetatable(proxy).__gc = function()
        if not self.over then
            self:fail()
        end
    end
    self.guard = proxy
end

function reader:head(res)
    if type(res) ~= "table" then
        return true
    end
    local name = lower(res[1])
    if name == "content-disposition" then
        local given
        self.name, self.file, given = upload.disposition(res[2])
        self.is_file = given ~= nil
        -- What browsers send of an input in which no file was chosen.
        self.is_nothing = given == ""
    elseif name == "content-type" then
        self.type = res[2]
    end
    return true
end

-- The first bytes of a part, or its end: what it is, is known.
function reader:begin()
    if self.begun then
        return true
    end
    self.begun = true
    if not self.name then
        return nil, "field without a name"
    end
    local limits = self.settings
    if not self.is_file then
        self.fields = self.fields + 1
        self.parts = {}
        return self.fields <= limits.max_post_args or nil, "too many post arguments"
    end
    if self.is_nothing then
        return true
    end
    self.count = self.count + 1
    if limits.max_file_uploads and self.count > limits.max_file_uploads then
        return nil, "too many files"
    end
    local fd, path = create(limits.tmp_dir)
    if not fd then
        return nil, path
    end
    self.fd, self.path, self.size = fd, path, 0
    self.paths[#self.paths + 1] = path
    return true
end

function reader:body(data)
    local ok, err = self:begin()
    if not ok then
        return nil, err
    end
    local limits = self.settings
    if not self.is_file then
        self.memory = self.memory + #data
        self.parts[#self.parts + 1] = data
        return self.memory <= limits.max_post_size or nil, "fields are too large"
    elseif self.is_nothing then
        -- It has content without a name: it is passed over.
        return true
    end
    self.size = self.size + #data
    if limits.max_file_size and self.size > limits.max_file_size then
        return nil, "file is too large: " .. self.name
    end
    return write(self.fd, data)
end

function reader:part_end()
    local ok, err = self:begin()
    if not ok then
        return nil, err
    end
    if not self.is_file then
        add(self.post, self.name, concat(self.parts))
    elseif self.fd then
        C.bl_close_fd(self.fd)
        add(self.files, self.name, {
            name = self.name, file = self.file or "file", type = self.type, size = self.size, temp = self.path,
        }, true)
    end
    self.fd, self.name, self.file, self.type, self.is_file, self.begun = nil, nil, nil, nil, false, false
    return true
end

reader.header = reader.head

local function read_form(limits)
    local form, err = upload:new(limits.chunk_size, limits.max_line_size)
    if not form then
        if err == "no body" then
            return {}, {}
        end
        return nil, err
    end
    form:set_timeout(limits.timeout)
    local self = setmetatable({
        settings = limits, post = {}, files = {}, paths = {}, fields = 0, count = 0, memory = 0,
    }, reader_mt)
    guard(self)
    while true do
        local kind, res
        kind, res, err = form:read()
        if not kind then
            return self:fail(err)
        elseif kind == "eof" then
            self.over = true
            return self.post, self.files
        end
        local ok
        ok, err = self[kind](self, res)
        if not ok then
            return self:fail(err)
        end
    end
end

-- ------------------------------------------------------------- other bodies

local function read_text()
    ngx.req.read_body()
    local text = ngx.req.get_body_data()
    local path = not text and ngx.req.get_body_file()
    if not path then
        return text or ""
    end
    local file, err = io_open(path, "rb")
    if not file then
        return nil, err
    end
    text = file:read "*a"
    file:close()
    return text
end

local function read_json()
    local text, err = read_text()
    if not text then
        return nil, err
    elseif text == "" then
        return {}
    end
    local value
    value, err = decode_json(text)
    if value == nil then
        return nil, "invalid json: " .. err
    end
    return value
end

local function read_arguments(limits)
    local text, err = read_text()
    if not text then
        return nil, err
    end
    local post
    post, err = ngx.decode_args(text, limits.max_post_args)
    if err then
        return nil, "too many post arguments"
    end
    return post
end

-- Post and files by the body's type.
local function read_body(limits)
    local kind = lower(match(ngx.var.content_type or "", "^%s*([^;%s]*)"))
    if kind == "multipart/form-data" then
        return read_form(limits)
    elseif kind == "application/json" or find(kind, "^[^/]+/.+%+json$") then
        return read_json()
    elseif kind == "application/x-www-form-urlencoded" then
        return read_arguments(limits)
    end
    return {}
end

-- The module is called itself.
local function reqargs(_, options)
    local limits = settings(options)
    local get, err = ngx.req.get_uri_args(limits.max_get_args)
    if err then
        return nil, "too many query arguments"
    end
    local post, files = read_body(limits)
    if post == nil then
        return nil, files
    end
    return get, post, files or {}
end

--- Reads the arguments; it is called as the module itself, reqargs(options).
---@param options? resty.reqargs.options
---@return table? get
---@return any post a table; of JSON, what it is; or the error
---@return table<string, resty.reqargs.file|resty.reqargs.file[]> files
function _M.read(options)
    return reqargs(nil, options)
end

--- Removes the files that are still where reqargs put them.
---@param files table as reqargs gave it
function _M.remove(files)
    for _, each in pairs(files) do
        if each.temp then
            unlink(each.temp)
        else
            _M.remove(each)
        end
    end
end

return setmetatable(_M, { __call = reqargs })
