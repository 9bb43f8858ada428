--- resty.openssl.x509.name: the names in a certificate, as lists of attributes.
--
--     local name = cert:get_subject_name()
--     ngx.say(name:tostring())                  -- CN=dewi,O=Example (RFC 2253)
--     ngx.say(name:find("CN").blob)             -- dewi
--     for attribute, entry in name:each() do ngx.say(attribute, " ", entry.blob) end

local crypto = require "resty.openssl.crypto"
local ffi = require "ffi"

local C = ffi.C
local ffi_new = ffi.new
local ffi_string = ffi.string
local ipairs = ipairs
local setmetatable = setmetatable

local RFC2253 = 0x1110317

local _M = { _VERSION = "1.0" }

---@class resty.openssl.x509.name
local mt = { __index = _M }

---@class resty.openssl.x509.name.entry
---@field sn string "CN"
---@field ln string "commonName"
---@field id string "2.5.4.3"
---@field nid integer OpenSSL's number for it
---@field blob string the value, in UTF-8

-- A copy of an X509_NAME.
function _M.dup(ctx)
    return setmetatable({ ctx = crypto.owned(C.bl_X509_NAME_dup(ctx), C.bl_X509_NAME_free) }, mt)
end

local function entry_at(ctx, i)
    local entry = C.bl_X509_NAME_get_entry(ctx, i)
    local object, data = C.bl_X509_NAME_ENTRY_get_object(entry), C.bl_X509_NAME_ENTRY_get_data(entry)
    local nid = C.bl_OBJ_obj2nid(object)
    local id, bytes = ffi_new("char[128]"), ffi_new("unsigned char *[1]")
    C.bl_OBJ_obj2txt(id, 128, object, 1)
    local len = C.bl_ASN1_STRING_to_UTF8(bytes, data)
    local oid = ffi_string(id)
    return {
        sn = nid ~= 0 and ffi_string(C.bl_OBJ_nid2sn(nid)) or oid,
        ln = nid ~= 0 and ffi_string(C.bl_OBJ_nid2ln(nid)) or oid,
        id = oid,
        nid = nid,
        blob = len >= 0 and crypto.take(bytes[0], len) or "",
    }
end

local function entries(self)
    local list = {}
    for i = 0, C.bl_X509_NAME_entry_count(self.ctx) - 1 do
        list[i + 1] = entry_at(self.ctx, i)
    end
    return list
end

--- The first attribute of a kind behind another one.
---@param what string "CN", "commonName" or "2.5.4.3"
---@param last_pos? integer
---@return resty.openssl.x509.name.entry? entry
---@return integer? pos
function _M:find(what, last_pos)
    for i, entry in ipairs(entries(self)) do
        if i > (last_pos or 0) and (entry.sn == what or entry.ln == what or entry.id == what) then
            return entry, i
        end
    end
end

--- Goes over the attributes: for sn, entry in name:each() do … end.
---@return function iterator
function _M:each()
    local list, i = entries(self), 0
    return function()
        i = i + 1
        if list[i] then
            return list[i].sn, list[i]
        end
    end
end

--- All attributes by their short names; of those that come more than once, the last.
---@return table<string, resty.openssl.x509.name.entry>
function _M:all()
    local all = {}
    for _, entry in ipairs(entries(self)) do
        all[entry.sn] = entry
    end
    return all
end

--- The name as text (RFC 2253).
---@return string
function _M:tostring()
    local bio = crypto.writer()
    C.bl_X509_NAME_print_ex(bio, self.ctx, 0, RFC2253)
    return crypto.text_of(bio)
end

mt.__tostring = _M.tostring

mt.__len = function(self)
    return C.bl_X509_NAME_entry_count(self.ctx)
end

return _M
