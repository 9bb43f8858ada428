-- Encoders and their decoders: ngx.*, resty.base64, resty.uuid, resty.digest, cjson. What is encoded comes back.
local base64 = require "resty.base64"
local cjson = require "cjson.safe"
local digest = require "resty.digest"
local fuzz = require "fuzz"
local uuid = require "resty.uuid"

local corpus = {
    "", "a", "ab", "abc", "aGVsbG8=", "_-8", "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "6BA7B810-9DAD-71D1-80B4-00C04FD430C8", "a=1&b=2&a=%20+",
    '{"a":[1,2.5,null,true,"\\u00e4\\ud83d\\ude00"]}', "[[[]]]", "1e5", "Sun, 06 Nov 1994 08:49:37 GMT", "\0\255", "$1 ${0} $$",
}

local function value_of(depth)
    local kind = fuzz.random(depth > 4 and 4 or 6)
    if kind == 1 then
        return fuzz.bytes(12)
    elseif kind == 2 then
        return fuzz.random(2 ^ 31) - 2 ^ 30
    elseif kind == 3 then
        return fuzz.random(2) == 1
    elseif kind == 4 then
        return cjson.null
    end
    local all = {}
    for i = 1, fuzz.random(4) do
        all[kind == 5 and i or fuzz.bytes(4) .. "k"] = value_of(depth + 1)
    end
    return all
end

local MD5 = digest.class("MD5")

fuzz.run {
    name = "codecs",
    corpus = corpus,
    check = function(text)
        fuzz.same(ngx.decode_base64(ngx.encode_base64(text)), text, "base64")
        fuzz.same(base64.decode(base64.encode(text, fuzz.random(2) == 1)), text, "resty.base64")
        fuzz.same(base64.decode_url(base64.encode_url(text)), text, "base64url")
        fuzz.same(ngx.unescape_uri(ngx.escape_uri(text)), text, "escape_uri")
        for _, decode in ipairs { ngx.decode_base64, base64.decode, base64.decode_url } do
            local bytes = decode(text)
            assert(bytes == nil or #bytes <= #text, "longer")
        end
        local args = ngx.decode_args(text, 0)
        fuzz.same(ngx.decode_args(ngx.encode_args(args), 0), args, "args")
        local md5 = MD5:new()
        local at = fuzz.random(#text + 1)
        assert(md5:update(text:sub(1, at - 1)) and md5:update(text:sub(at)))
        fuzz.same(md5:final(), ngx.md5_bin(text), "digest")
        if uuid.is_valid(text) then
            assert(uuid.is_valid(uuid.v5(text, "x")))
            uuid.time_of(text)
        else
            assert(uuid.generate_v5(text, "x") == nil and uuid.time_of(text) == nil)
        end
        local time = ngx.parse_http_time(text)
        assert(time == nil or ngx.parse_http_time(ngx.http_time(time)) == time, "http_time")
        local value, err = cjson.decode(text)
        assert(value ~= nil or type(err) == "string", "no reason")
        value = value_of(1)
        fuzz.same(cjson.decode((assert(cjson.encode(value)))), value, "cjson")
    end,
}
