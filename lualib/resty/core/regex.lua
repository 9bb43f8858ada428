--- ngx.re: regular expressions of PCRE2 on strings of any bytes.
--
--     local m, err = ngx.re.match("hello, 1234", "([0-9]+)", "jo")   -- m[0] == "1234"
--
-- Patterns are compiled once for each set of options when the options have an "o"; the C side is
-- src/lua/api/regex.c. Errors come back as nil, message; wrong arguments are raised.

local ffi = require "ffi"
local bit = require "bit"
local base = require "resty.core.base"

local C = ffi.C
local ffi_string = ffi.string
local new_tab = base.new_tab
local type = type
local tostring = tostring
local error = error
local sub_string = string.sub
local byte = string.byte
local find = string.find
local match = string.match
local concat = table.concat
local max = math.max
local bor = bit.bor
local band = bit.band
local ngx = ngx

ffi.cdef [[
typedef struct {
    int *at;
    int groups;
    int names;
} bl_lua_regex_view;
typedef struct bl_lua_template bl_lua_template;
bl_lua_regex_view *bl_lua_regex_new(const char *pattern, size_t len, uint32_t flags, char *error,
                                    size_t size);
void bl_lua_regex_free(bl_lua_regex_view *regex);
int bl_lua_regex_match(bl_lua_regex_view *regex, const char *subject, size_t len, size_t start);
const char *bl_lua_regex_name(const bl_lua_regex_view *regex, int i, int *group);
bl_lua_template *bl_lua_template_new(const char *text, size_t len);
void bl_lua_template_free(bl_lua_template *t);
int bl_lua_regex_replace(bl_lua_regex_view *regex, const bl_lua_template *t, const char *subject,
                         size_t len, int max, const char **text, size_t *text_len);
int bl_lua_regex_cache_max(void);
]]

local ANCHORED, CASELESS, MULTILINE, DOTALL, EXTENDED = 1, 2, 4, 8, 16
local UTF, NO_UTF_CHECK, DUPNAMES, JAVASCRIPT, DFA = 32, 64, 128, 256, 512

local LETTERS = {
    [byte "a"] = ANCHORED, [byte "i"] = CASELESS, [byte "m"] = MULTILINE, [byte "s"] = DOTALL,
    [byte "x"] = EXTENDED, [byte "u"] = UTF, [byte "U"] = NO_UTF_CHECK, [byte "D"] = DUPNAMES,
    [byte "J"] = JAVASCRIPT, [byte "d"] = DFA, [byte "j"] = 0, [byte "o"] = 0,
}

local ERROR_SIZE = 1024
local error_text = ffi.new("char[?]", ERROR_SIZE)
local group_out = ffi.new("int[1]")
local text_out = ffi.new("const char *[1]")
local len_out = ffi.new("size_t[1]")

-- ---------------------------------------------------------------- options and compiled patterns

-- What an options string means: flags, whether to keep ("o"), and the patterns compiled with it.
local function parse_options(text)
    local flags, once = 0, false
    for i = 1, #text do
        local letter = byte(text, i)
        local flag = LETTERS[letter]
        if not flag then
            error('unknown flag "' .. sub_string(text, i, i) .. '" (flags "' .. text .. '")', 4)
        end
        once = once or letter == 111
        flags = bor(flags, flag)
    end
    return {flags = flags, once = once, patterns = {}}
end

local known_options = {[""] = {flags = 0, once = false, patterns = {}}}

local kept = 0
local warned = false

-- Names of groups as a list of {name, group}, or false.
local function names_of(view)
    if view.names == 0 then
        return false
    end
    local names = new_tab(view.names, 0)
    for i = 0, view.names - 1 do
        local name = ffi_string(C.bl_lua_regex_name(view, i, group_out))
        names[i + 1] = {name, group_out[0]}
    end
    return names
end

local function keep(options, pattern, regex)
    if kept >= C.bl_lua_regex_cache_max() then
        if not warned then
            warned = true
            ngx.log(ngx.WARN, "lua exceeding regex cache max entries (",
                    C.bl_lua_regex_cache_max(), ")")
        end
        return
    end
    kept = kept + 1
    options.patterns[pattern] = regex
end

local function compile(options, pattern)
    local view = C.bl_lua_regex_new(pattern, #pattern, options.flags, error_text, ERROR_SIZE)
    if view == nil then
        return nil, ffi_string(error_text)
    end
    local regex = {
        view = ffi.gc(view, C.bl_lua_regex_free),
        groups = band(options.flags, DFA) ~= 0 and 0 or view.groups,
        names = names_of(view),
        dup = band(options.flags, DUPNAMES) ~= 0,
        templates = {},
    }
    if options.once then
        keep(options, pattern, regex)
    end
    return regex
end

local function find_regex(pattern, opts)
    local options = known_options[opts or ""]
    if not options then
        options = parse_options(opts)
        known_options[opts] = options
    end
    local regex = options.patterns[pattern]
    if regex then
        return regex
    end
    return compile(options, pattern)
end

local function failed(code)
    return "pcre_exec() failed: " .. code
end

-- ---------------------------------------------------------------- match, find

local function add_names(regex, res, at)
    for i = 1, #regex.names do
        local name, group = regex.names[i][1], regex.names[i][2]
        local value = res[group]
        if not regex.dup then
            res[name] = value
        else
            local all = res[name]
            if value then
                if all then
                    all[#all + 1] = value
                else
                    res[name] = {value}
                end
            end
        end
    end
    return at
end

-- Captures of the match just made; `set` pairs of places are valid.
local function captures(regex, subject, set, res)
    local groups = regex.groups
    if not res then
        res = new_tab(groups, regex.names and #regex.names + 1 or 1)
    elseif regex.names then
        for i = 1, #regex.names do
            res[regex.names[i][1]] = nil
        end
    end
    local at = regex.view.at
    for i = 0, groups do
        if i < set and at[2 * i] >= 0 then
            res[i] = sub_string(subject, at[2 * i] + 1, at[2 * i + 1])
        else
            res[i] = false
        end
    end
    if regex.names then
        add_names(regex, res)
    end
    return res
end

local function start_of(ctx)
    return max(ctx.pos or 1, 1) - 1
end

local function text_of(value)
    if type(value) == "string" then
        return value
    end
    return tostring(value)
end

--- The first match from ctx.pos (or the beginning) on.
---@param subj string
---@param regex string
---@param opts? string letters of "adDijJmosuUx"
---@param ctx? table `pos`: where to begin, and where the match ended
---@param res? table filled instead of a new table
---@return table|nil captures [0] is the whole match; false where a group took no part
---@return string|nil err
function ngx.re.match(subj, regex, opts, ctx, res)
    subj, regex = text_of(subj), text_of(regex)
    if res ~= nil and type(res) ~= "table" then
        error("bad argument #5 to 'match' (table expected, got " .. type(res) .. ")", 2)
    end
    local re, err = find_regex(regex, opts)
    if not re then
        return nil, err
    end
    local start = ctx and start_of(ctx) or 0
    local set = C.bl_lua_regex_match(re.view, subj, #subj, start)
    if set == 0 then
        return nil
    end
    if set < 0 then
        return nil, failed(set)
    end
    if ctx then
        ctx.pos = re.view.at[1] + 1
    end
    return captures(re, subj, set, res)
end

--- Where the first match (or its nth group) is.
---@return integer|nil from
---@return integer|nil to
---@return string|nil err
function ngx.re.find(subj, regex, opts, ctx, nth)
    subj, regex = text_of(subj), text_of(regex)
    local re, err = find_regex(regex, opts)
    if not re then
        return nil, nil, err
    end
    local start = ctx and start_of(ctx) or 0
    local set = C.bl_lua_regex_match(re.view, subj, #subj, start)
    if set <= 0 then
        return nil, nil, set < 0 and failed(set) or nil
    end
    nth = nth or 0
    if nth < 0 or nth > re.groups then
        return nil, nil, "nth out of bound"
    end
    local at = re.view.at
    if ctx then
        ctx.pos = at[1] + 1
    end
    if nth >= set or at[2 * nth] < 0 then
        return nil, nil
    end
    return at[2 * nth] + 1, at[2 * nth + 1]
end

-- ---------------------------------------------------------------- gmatch

--- An iterator over all matches.
---@return function|nil iterator returns captures, or nil at the end, or nil, err
---@return string|nil err
function ngx.re.gmatch(subj, regex, opts)
    subj, regex = text_of(subj), text_of(regex)
    local re, err = find_regex(regex, opts)
    if not re then
        return nil, err
    end
    local pos, len = 0, #subj
    return function()
        if pos < 0 or pos > len then
            return nil
        end
        local set = C.bl_lua_regex_match(re.view, subj, len, pos)
        if set <= 0 then
            pos = -1
            if set < 0 then
                return nil, failed(set)
            end
            return nil
        end
        local at = re.view.at
        pos = at[1]
        if at[0] == at[1] then
            pos = pos + 1
        end
        return captures(re, subj, set)
    end
end

-- ---------------------------------------------------------------- sub, gsub

local function replace_by_function(re, subj, func, limit)
    local out, n, count = {}, 0, 0
    local pos, copied, len = 0, 0, #subj
    while pos <= len and (limit == 0 or count < limit) do
        local set = C.bl_lua_regex_match(re.view, subj, len, pos)
        if set < 0 then
            return nil, nil, failed(set)
        end
        if set == 0 then
            break
        end
        local from, to = re.view.at[0], re.view.at[1]
        local text = func(captures(re, subj, set))
        local kind = type(text)
        if kind == "number" then
            text = tostring(text)
        elseif kind ~= "string" then
            error("bad argument #3 to '?' (string or number expected to be returned by the "
                  .. "replace function, got " .. kind .. ")", 3)
        end
        out[n + 1] = sub_string(subj, copied + 1, from)
        out[n + 2] = text
        n = n + 2
        count = count + 1
        copied = to
        pos = from == to and to + 1 or to
        if from == to and to >= len then
            break
        end
    end
    if count == 0 then
        return subj, 0
    end
    out[n + 1] = sub_string(subj, copied + 1)
    return concat(out), count
end

-- What is wrong with a replacement that C does not understand.
local function template_fault(text)
    local pos = 1
    while true do
        local dollar = find(text, "$", pos, true)
        if not dollar then
            break
        end
        local brace, name, close = match(text, "^({?)([%w_]*)(}?)", dollar + 1)
        if name ~= "" and brace == "{" and close == "" then
            return 'the closing bracket in "' .. name .. '" variable is missing'
        end
        if name ~= "" and not find(name, "^%d+") then
            return 'attempt to use named capturing variable "' .. name
                   .. '" (named captures not supported yet)'
        end
        if name == "" and byte(text, dollar + 1) ~= 36 then
            break
        end
        pos = dollar + 2
    end
    return 'lua script: invalid capturing variable name found in "' .. text .. '"'
end

local function template_of(re, text)
    local template = re.templates[text]
    if template == nil then
        template = C.bl_lua_template_new(text, #text)
        if template == nil then
            ngx.log(ngx.ERR, template_fault(text))
            return nil, "failed to compile the replacement template"
        end
        template = ffi.gc(template, C.bl_lua_template_free)
        re.templates[text] = template
    end
    return template
end

local function replace(subj, regex, text, opts, limit)
    subj, regex = text_of(subj), text_of(regex)
    local re, err = find_regex(regex, opts)
    if not re then
        return nil, nil, err
    end
    local kind = type(text)
    if kind == "function" then
        return replace_by_function(re, subj, text, limit)
    end
    if kind == "number" then
        text = tostring(text)
    elseif kind ~= "string" then
        error("bad argument #3 to '?' (string, number, or function expected, got " .. kind .. ")",
              3)
    end
    local template
    template, err = template_of(re, text)
    if not template then
        return nil, nil, err
    end
    local count = C.bl_lua_regex_replace(re.view, template, subj, #subj, limit, text_out, len_out)
    if count < 0 then
        return nil, nil, failed(count)
    end
    if count == 0 then
        return subj, 0
    end
    return ffi_string(text_out[0], len_out[0]), count
end

--- Replaces the first match.
---@param replacement string|function with $0, $1, ${1}, $$; or a function of the captures
---@return string|nil text
---@return integer|nil count
---@return string|nil err
function ngx.re.sub(subj, regex, replacement, opts)
    return replace(subj, regex, replacement, opts, 1)
end

--- Replaces all matches.
---@return string|nil text
---@return integer|nil count
---@return string|nil err
function ngx.re.gsub(subj, regex, replacement, opts)
    return replace(subj, regex, replacement, opts, 0)
end

-- Whether a pattern is kept already.
local function is_cache_used()
    return kept > 0
end

return {version = base.version, find_regex = find_regex, captures = captures,
        is_cache_used = is_cache_used}
