-- zlib: buffers that C fills.
local ffi = require "ffi"

ffi.cdef [[
    unsigned long compressBound(unsigned long size);
    int compress(char *to, unsigned long *to_size, const char *from, unsigned long size);
    int uncompress(char *to, unsigned long *to_size, const char *from, unsigned long size);
    unsigned long crc32(unsigned long crc, const char *from, unsigned int size);
]]

-- A library of its own is loaded by its file name; "libz.so" would need the package for developers.
local zlib = ffi.load "libz.so.1"
local Z_OK = 0

local zip = {}

-- A pointer to a number ("unsigned long *") is an array of one.
local function run(call, text, room)
    local buffer, size = ffi.new("char[?]", room), ffi.new("unsigned long[1]", room)
    local code = call(buffer, size, text, #text)
    if code ~= Z_OK then
        return nil, "zlib says " .. code
    end
    return ffi.string(buffer, size[0]) -- a copy: the buffer is Lua's, and goes when nobody has it
end

function zip.pack(text)
    return run(zlib.compress, text, tonumber(zlib.compressBound(#text)))
end

-- Nobody knows how large it will be; so the caller says how large it may be.
function zip.unpack(packed, most)
    return run(zlib.uncompress, packed, most)
end

function zip.show()
    ngx.req.read_body()
    local text = ngx.req.get_body_data() or ""
    local packed = assert(zip.pack(text))
    assert(zip.unpack(packed, #text + 1) == text)
    ngx.say(#text, " bytes become ", #packed, ", crc32 ",
        bit.tohex(tonumber(zlib.crc32(0, text, #text))))
end

return zip
