--- ndk.set_var: the directives of set_misc that are functions.

local ngx, setmetatable, rawset, error = ngx, setmetatable, rawset, error

local functions = {
    set_escape_uri = function(text) return ngx.escape_uri(text) end,
    set_unescape_uri = function(text) return ngx.unescape_uri(text) end,
    set_quote_sql_str = function(text) return ngx.quote_sql_str(text) end,
    set_encode_base64 = function(text) return ngx.encode_base64(text) end,
    set_decode_base64 = function(text) return ngx.decode_base64(text) end,
    set_md5 = function(text) return ngx.md5(text) end,
}

ndk = {
    set_var = setmetatable({}, {
        __index = function(directives, name)
            local f = functions[name]
            if not f then
                error('ndk.set_var: directive "' .. name
                      .. '" not found or does not use ndk_set_var_value', 2)
            end
            rawset(directives, name, f)
            return f
        end,
        __newindex = function()
            error("not allowed", 2)
        end,
    }),
}

package.loaded.ndk = ndk
