-- Regular expressions of ECMA-262, with its flag u, as ones of PCRE2, for resty.validate.
--
-- Most is the same. What differs is written in another way: \u escapes, `.`, `$`, \s, empty classes, names of
-- properties, `[` in a class. What ECMA-262 does not know (\A, \Z, possessive quantifiers, verbs, comments,
-- inline flags) is an error.

local byte = string.byte
local concat = table.concat
local find = string.find
local format = string.format
local match = string.match
local re_find = ngx.re.find
local sub = string.sub
local tonumber = tonumber

local OPTIONS = "jou"

local SPACE = [[\x09-\x0d\x20\xa0\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000}\x{feff}]]
local DOT = [[[^\n\r\x{2028}\x{2029}] ]]
DOT = sub(DOT, 1, -2)

local CATEGORIES = {
    Letter = "L", Cased_Letter = "L&", LC = "L&", Uppercase_Letter = "Lu", Lowercase_Letter = "Ll",
    Titlecase_Letter = "Lt", Modifier_Letter = "Lm", Other_Letter = "Lo", Mark = "M",
    Nonspacing_Mark = "Mn", Spacing_Mark = "Mc", Enclosing_Mark = "Me", Number = "N", Decimal_Number = "Nd",
    digit = "Nd", Letter_Number = "Nl", Other_Number = "No", Punctuation = "P", punct = "P",
    Connector_Punctuation = "Pc", Dash_Punctuation = "Pd", Open_Punctuation = "Ps", Close_Punctuation = "Pe",
    Initial_Punctuation = "Pi", Final_Punctuation = "Pf", Other_Punctuation = "Po", Symbol = "S",
    Math_Symbol = "Sm", Currency_Symbol = "Sc", Modifier_Symbol = "Sk", Other_Symbol = "So",
    Separator = "Z", Space_Separator = "Zs", Line_Separator = "Zl", Paragraph_Separator = "Zp", Other = "C",
    Control = "Cc", Format = "Cf", Surrogate = "Cs", Private_Use = "Co", Unassigned = "Cn",
}

local _M = {}

local function property(letter, name)
    local key, value = match(name, "^([%w_]+)=([%w_]+)$")
    if key == "General_Category" or key == "gc" then
        name = value
    elseif key == "Script" or key == "sc" then
        return "\\" .. letter .. "{sc:" .. value .. "}"
    elseif key == "Script_Extensions" or key == "scx" then
        return "\\" .. letter .. "{scx:" .. value .. "}"
    elseif not find(name, "^[%w_]+$") then
        return nil
    end
    return "\\" .. letter .. "{" .. (CATEGORIES[name] or name) .. "}"
end

local function hex(code)
    return format("\\x{%x}", code)
end

-- \uXXXX, a pair of them, \u{X}: what it is, and what is behind it.
local function unicode(text, at)
    local digits = match(text, "^{(%x+)}", at)
    if digits then
        local code = tonumber(digits, 16)
        return code <= 0x10FFFF and hex(code) or nil, at + #digits + 2
    end
    digits = match(text, "^%x%x%x%x", at)
    if not digits then
        return nil
    end
    local code = tonumber(digits, 16)
    local low = code >= 0xD800 and code < 0xDC00 and match(text, "^\\u(%x%x%x%x)", at + 4)
    if low then
        local second = tonumber(low, 16)
        if second >= 0xDC00 and second < 0xE000 then
            return hex(0x10000 + (code - 0xD800) * 0x400 + second - 0xDC00), at + 10
        end
    end
    if code >= 0xD800 and code < 0xE000 then
        return nil
    end
    return hex(code), at + 4
end

-- An escape at its backslash: what it is, and what is behind it; nil: there is none such.
local function escape(text, at, in_class)
    local c = sub(text, at + 1, at + 1)
    if c == "u" then
        return unicode(text, at + 2)
    elseif c == "p" or c == "P" then
        local name = match(text, "^{([^}]*)}", at + 2)
        local known = name and property(c, name)
        return known, known and at + #name + 4
    elseif c == "s" then
        return in_class and SPACE or "[" .. SPACE .. "]", at + 2
    elseif c == "S" and not in_class then
        return "[^" .. SPACE .. "]", at + 2
    elseif c == "c" then
        local letter = match(text, "^%a", at + 2)
        return letter and hex(byte(letter) % 32), at + 3
    elseif c == "x" then
        local digits = match(text, "^%x%x", at + 2)
        return digits and hex(tonumber(digits, 16)), at + 4
    elseif c == "0" then
        return not find(text, "^%d", at + 2) and "\\x00" or nil, at + 2
    elseif c == "v" then
        return "\\x0b", at + 2
    elseif find(c, "^[dDwWSfnrt]$") then
        return "\\" .. c, at + 2
    elseif c == "b" then
        return in_class and "\\x08" or "\\b", at + 2
    elseif find(c, "^[B1-9k]$") then
        return not in_class and "\\" .. c or nil, at + 2
    elseif find(c, "^[%w]?$") then
        return nil
    end
    -- A sign stands for itself.
    return byte(c) < 128 and "\\" .. c or c, at + 2
end

local function class(text, at, out)
    if find(text, "^%[%]", at) then
        out[#out + 1] = "(?!)"
        return at + 2
    elseif find(text, "^%[%^%]", at) then
        out[#out + 1] = "[\\s\\S]"
        return at + 3
    end
    local front = match(text, "^%[%^?", at)
    out[#out + 1], at = front, at + #front
    while at <= #text do
        local c = sub(text, at, at)
        if c == "]" then
            out[#out + 1] = c
            return at + 1
        elseif c == "\\" then
            local piece, after = escape(text, at, true)
            if not piece then
                return nil, "unknown escape"
            end
            out[#out + 1], at = piece, after
        else
            out[#out + 1], at = c == "[" and "\\[" or c, at + 1
        end
    end
    return nil, "a class has no end"
end

local GROUPS = { "^%(%?:", "^%(%?=", "^%(%?!", "^%(%?<=", "^%(%?<!", "^%(%?<[%a_$][%w_$]*>" }

local function group(text, at)
    local next_char = sub(text, at + 1, at + 1)
    if next_char == "*" then
        return nil
    elseif next_char ~= "?" then
        return "("
    end
    for i = 1, #GROUPS do
        local front = match(text, GROUPS[i], at)
        if front then
            return front
        end
    end
end

-- Writes an expression for PCRE2; nil and a message.
function _M.translate(text)
    local out, at = {}, 1
    while at <= #text do
        local c = sub(text, at, at)
        if c == "\\" then
            local piece, after = escape(text, at, false)
            if not piece then
                return nil, "unknown escape"
            end
            out[#out + 1], at = piece, after
        elseif c == "[" then
            local after, err = class(text, at, out)
            if not after then
                return nil, err
            end
            at = after
        elseif c == "(" then
            local front = group(text, at)
            if not front then
                return nil, "unknown group"
            end
            out[#out + 1], at = front, at + #front
        elseif c == "$" then
            -- Not before a line end that is the last character.
            out[#out + 1], at = "\\z", at + 1
        elseif c == "." then
            out[#out + 1], at = DOT, at + 1
        elseif find(c, "[*+?}]") and sub(text, at + 1, at + 1) == "+" then
            return nil, "nothing to repeat"
        else
            out[#out + 1], at = c, at + 1
        end
    end
    return concat(out)
end

-- A function that tells whether a text matches; nil and a message.
function _M.compile(text)
    local pattern, err = _M.translate(text)
    if not pattern then
        return nil, err
    end
    local _, _, bad = re_find("", pattern, OPTIONS)
    if bad then
        return nil, bad
    end
    return function(value)
        local from, _, failed = re_find(value, pattern, OPTIONS)
        return from ~= nil, failed
    end
end

return _M
