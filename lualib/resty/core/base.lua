--- Helpers for Lua code that talks to C through the FFI, under the names that libraries written for
-- lua-resty-core use.

local ffi = require "ffi"
local here = require "resty.core.here"
local new_tab = require "table.new"
local clear_tab = require "table.clear"

local ffi_new = ffi.new
local ffi_cast = ffi.cast
local band = bit.band
local tonumber = tonumber
local ok_values = { http = true }

local FREE = 0
local buf_size = 4096
local buf
local size_ptr = ffi_new("size_t[1]")
local message_ptr = ffi_new("unsigned char *[1]")

local _M = {
    version = "0.1.33",
    new_tab = new_tab,
    clear_tab = clear_tab,
    FFI_OK = 0,
    FFI_ERROR = -1,
    FFI_AGAIN = -2,
    FFI_BUSY = -3,
    FFI_DONE = -4,
    FFI_DECLINED = -5,
    FFI_ABORT = -6,
    FFI_NO_REQ_CTX = -100,
    FFI_BAD_CONTEXT = -101,
}

--- Raises an error unless the module is used in one of the named subsystems.
---@param ... string
function _M.allows_subsystem(...)
    for i = 1, select("#", ...) do
        if ok_values[select(i, ...)] then
            return
        end
    end
    error("unsupported subsystem: http", 3)
end

ffi.cdef[[
    typedef struct ngx_http_request_s ngx_http_request_t;
]]

local request_type = ffi.typeof("ngx_http_request_t *")
local HANDSHAKES = 0x5c00 -- phases of handshakes with clients

--- What C functions of the names that other libraries know take for a request: in handshakes, where
-- there is none yet, something all the same.
---@return cdata? request the current request; nil without one
function _M.get_request()
    local request = here.request
    if request ~= nil then
        return ffi_cast(request_type, request)
    elseif band(here.phase, HANDSHAKES) ~= 0 then
        return ffi_cast(request_type, here.task)
    end
end

---@return cdata pointer to a size_t that everybody shares
function _M.get_size_ptr()
    return size_ptr
end

---@return cdata pointer to an error message that everybody shares
function _M.get_errmsg_ptr()
    return message_ptr
end

---@param size integer bytes
function _M.set_string_buf_size(size)
    buf_size = tonumber(size)
    buf = nil
end

---@return integer bytes
function _M.get_string_buf_size()
    return buf_size
end

--- Memory for the result of one call to C. Larger sizes than usual get memory of their own.
---@param size integer bytes
---@param must_alloc boolean? never the shared memory
---@return cdata
function _M.get_string_buf(size, must_alloc)
    if size > buf_size or must_alloc then
        return ffi_new("unsigned char[?]", size)
    end
    if not buf then
        buf = ffi_new("unsigned char[?]", buf_size)
    end
    return buf
end

--- Stores a value in an array and returns its place; a free list runs through the unused places.
---@param tab table
---@param value any
---@return integer
function _M.ref_in_table(tab, value)
    if value == nil then
        return -1
    end
    local ref = tab[FREE]
    if ref and ref ~= 0 then
        tab[FREE] = tab[ref]
    else
        ref = #tab + 1
    end
    tab[ref] = value
    return ref
end

return _M
