--- ndk.set_var: the directives of set_misc that make one text of another, as functions.
--
--     local quoted = ndk.set_var.set_quote_sql_str(name)

local setmetatable, rawset, error = setmetatable, rawset, error
local select = select
local set_misc = package.loaded["bulan.set_misc"]
package.loaded["bulan.set_misc"] = nil

ndk = {
    set_var = setmetatable({}, {
        __index = function(directives, name)
            if select("#", set_misc(name, "0")) == 0 then
                error('ndk.set_var: directive "' .. name
                      .. '" not found or does not use ndk_set_var_value', 2)
            end
            local function f(text)
                local value = set_misc(name, text)
                if value == nil then
                    error("calling directive " .. name .. " failed with code -1", 2)
                end
                return value
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
