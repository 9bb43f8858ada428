--- ngx.re: splits texts by a pattern; settings of the engine behind ngx.re.*.
--
--     local parts = require("ngx.re").split("a, b, c", ", *", "jo")     -- {"a", "b", "c"}

local ffi = require "ffi"
local base = require "resty.core.base"
local regex_core = require "resty.core.regex"

local C = ffi.C
local find_regex = regex_core.find_regex
local new_tab = base.new_tab
local sub = string.sub
local type, tostring, error = type, tostring, error

ffi.cdef [[
int bl_lua_regex_jit_stack(size_t size);
]]

local _M = { version = base.version }

local function each_byte(subject, pos, max, res)
    local count, len = 0, #subject
    while pos <= len and not (max > 0 and count == max - 1) do
        count = count + 1
        res[count] = sub(subject, pos, pos)
        pos = pos + 1
    end
    if pos <= len then
        count = count + 1
        res[count] = sub(subject, pos)
    end
    res[count + 1] = nil
    return res
end

--- The parts of a text between the matches of a pattern; the pattern's first group, where it took
--- part, stands between them. Without `max`, empty parts at the end are left out.
---@param subject string
---@param pattern string ""; splits into bytes
---@param options? string as for ngx.re.match
---@param ctx? table `pos`: where to begin
---@param max? integer at most so many parts; 0 or less: all
---@param res? table filled instead of a new one; a nil stands behind the last part
---@return string[]|nil parts
---@return string? err
function _M.split(subject, pattern, options, ctx, max, res)
    if type(subject) ~= "string" then
        subject = tostring(subject)
    end
    if type(pattern) ~= "string" then
        pattern = tostring(pattern)
    end
    local pos = ctx and ctx.pos or 1
    local len, count = #subject, 0
    max = max or 0
    res = res or new_tab(max > 0 and max or 4, 0)
    if pos < 1 then
        pos = 1
    end
    if pos > len then
        res[1] = nil
        return res
    end
    if pattern == "" then
        return each_byte(subject, pos, max, res)
    end
    local re, err = find_regex(pattern, options)
    if not re then
        return nil, err
    end
    local at = re.view.at
    local start, search = pos, pos - 1
    local parts = 0
    while search <= len and not (max > 0 and parts == max - 1) do
        local set = C.bl_lua_regex_match(re.view, subject, len, search)
        if set < 0 then
            return nil, "pcre_exec() failed: " .. set
        end
        if set == 0 then
            break
        end
        local from, to = at[0], at[1]
        if from == to and from >= len then
            break
        end
        if from == to and from == start - 1 then
            search = to + 1
        else
            count = count + 1
            parts = parts + 1
            res[count] = sub(subject, start, from)
            if set > 1 and at[2] >= 0 then
                count = count + 1
                res[count] = sub(subject, at[2] + 1, at[3])
            end
            start = to + 1
            search = from == to and to + 1 or to
        end
    end
    count = count + 1
    res[count] = sub(subject, start)
    while max <= 0 and count > 0 and res[count] == "" do
        count = count - 1
    end
    res[count + 1] = nil
    return res
end

--- Settings of the pattern engine.
---@param option string "jit_stack_size": bytes, for patterns that need much of it; before the first
---     pattern is compiled
---@param value integer
function _M.opt(option, value)
    if option ~= "jit_stack_size" then
        error("unrecognized option name", 2)
    end
    if regex_core.is_cache_used() then
        error("changing jit stack size is not allowed when some regexs have already been compiled "
              .. "and cached", 2)
    end
    if C.bl_lua_regex_jit_stack(value) ~= 0 then
        error("jit stack size must be 32768 or more, and memory for it", 2)
    end
end

return _M
