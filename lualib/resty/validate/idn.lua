-- Names of hosts in all scripts, for resty.validate: labels of IDNA 2008 (RFC 5890 to 5893), and Punycode
-- (RFC 3492).

local byte = string.byte
local char = string.char
local concat = table.concat
local find = string.find
local floor = math.floor
local gmatch = string.gmatch
local gsub = string.gsub
local insert = table.insert
local ipairs = ipairs
local lower = string.lower
local match = string.match
local re_find = ngx.re.find
local sub = string.sub

local BASE, TMIN, TMAX, SKEW, DAMP, BIAS, FIRST = 36, 1, 26, 38, 700, 72, 128
local MAX_CODE = 0x10FFFF

local _M = {}

-- ------------------------------------------------------------- UTF-8

local function utf8(code)
    if code < 0x80 then
        return char(code)
    elseif code < 0x800 then
        return char(0xC0 + floor(code / 64), 0x80 + code % 64)
    elseif code < 0x10000 then
        return char(0xE0 + floor(code / 4096), 0x80 + floor(code / 64) % 64, 0x80 + code % 64)
    end
    return char(0xF0 + floor(code / 262144), 0x80 + floor(code / 4096) % 64, 0x80 + floor(code / 64) % 64,
                0x80 + code % 64)
end

local function codes_of(text)
    local codes = {}
    for piece in gmatch(text, "[^\128-\191][\128-\191]*") do
        local first = byte(piece)
        local code = first < 0x80 and first or first < 0xE0 and first - 0xC0 or first < 0xF0 and first - 0xE0
            or first - 0xF0
        for i = 2, #piece do
            code = code * 64 + byte(piece, i) - 0x80
        end
        codes[#codes + 1] = code
    end
    return codes
end

-- ------------------------------------------------------------- Punycode

local function adapt(delta, count, is_first)
    delta = floor(delta / (is_first and DAMP or 2))
    delta = delta + floor(delta / count)
    local k = 0
    while delta > (BASE - TMIN) * TMAX / 2 do
        delta = floor(delta / (BASE - TMIN))
        k = k + BASE
    end
    return k + floor((BASE - TMIN + 1) * delta / (delta + SKEW))
end

local function threshold(k, bias)
    local t = k - bias
    return t < TMIN and TMIN or t > TMAX and TMAX or t
end

local function digit_of(c)
    return c >= 97 and c <= 122 and c - 97 or c >= 48 and c <= 57 and c - 22 or nil
end

-- The code points of a label behind "xn--"; nil: it is no Punycode.
local function decode(text)
    local front, rest = match(text, "^(.*)%-([^-]*)$")
    local codes = {}
    for i = 1, #(front or "") do
        codes[i] = byte(front, i)
    end
    rest = rest or text
    local n, i, bias, at = FIRST, 0, BIAS, 1
    while at <= #rest do
        local before, weight, k = i, 1, BASE
        while true do
            local digit = at <= #rest and digit_of(byte(rest, at))
            if not digit then
                return nil
            end
            at = at + 1
            i = i + digit * weight
            local t = threshold(k, bias)
            if digit < t then
                break
            end
            weight, k = weight * (BASE - t), k + BASE
            if weight > 2 ^ 40 then
                return nil
            end
        end
        bias = adapt(i - before, #codes + 1, before == 0)
        n = n + floor(i / (#codes + 1))
        i = i % (#codes + 1)
        if n > MAX_CODE then
            return nil
        end
        insert(codes, i + 1, n)
        i = i + 1
    end
    return codes
end

local function encode(codes)
    local out = {}
    for _, code in ipairs(codes) do
        if code < FIRST then
            out[#out + 1] = char(code)
        end
    end
    local basic = #out
    local done, n, delta, bias = basic, FIRST, 0, BIAS
    out[1] = basic > 0 and concat(out) .. "-" or ""
    for i = 2, basic do
        out[i] = nil
    end
    while done < #codes do
        local nearest = MAX_CODE + 1
        for _, code in ipairs(codes) do
            if code >= n and code < nearest then
                nearest = code
            end
        end
        delta, n = delta + (nearest - n) * (done + 1), nearest
        for _, code in ipairs(codes) do
            if code < n then
                delta = delta + 1
            elseif code == n then
                local q, k = delta, BASE
                while true do
                    local t = threshold(k, bias)
                    local digit = q < t and q or t + (q - t) % (BASE - t)
                    out[#out + 1] = char(digit < 26 and digit + 97 or digit + 22)
                    if q < t then
                        break
                    end
                    q, k = floor((q - t) / (BASE - t)), k + BASE
                end
                bias = adapt(delta, done + 1, done == basic)
                delta, done = 0, done + 1
            end
        end
        delta, n = delta + 1, n + 1
    end
    return concat(out)
end

-- ------------------------------------------------------------- labels

local VIRAMA = "[\\x{94d}\\x{9cd}\\x{a4d}\\x{acd}\\x{b4d}\\x{bcd}\\x{c4d}\\x{ccd}\\x{d3b}\\x{d3c}\\x{d4d}\\x{dca}\\x{e3a}"
    .. "\\x{eba}\\x{f84}\\x{1039}\\x{103a}\\x{1714}\\x{1734}\\x{17d2}\\x{1a60}\\x{1b44}\\x{1baa}\\x{1bab}\\x{1bf2}"
    .. "\\x{1bf3}\\x{2d7f}\\x{a806}\\x{a82c}\\x{a8c4}\\x{a953}\\x{a9c0}\\x{aaf6}\\x{abed}]"
local JOINING = "[\\p{Arabic}\\p{Syriac}\\p{Nko}\\p{Mongolian}]"

-- What no label may have (RFC 5892, 2.6 and appendix A): the rule of each sign that depends on others.
local REFUSED = {
    "[\\x{640}\\x{7fa}\\x{302e}\\x{302f}\\x{3031}-\\x{3035}\\x{303b}]",
    "\\A\\p{M}",
    "(?<!l)\\x{b7}|\\x{b7}(?!l)",
    "\\x{375}(?!\\p{Greek})",
    "(?<!\\p{Hebrew})[\\x{5f3}\\x{5f4}]",
    "\\A[^\\p{Hiragana}\\p{Katakana}\\p{Han}]*\\x{30fb}[^\\p{Hiragana}\\p{Katakana}\\p{Han}]*\\z",
    "[\\x{660}-\\x{669}].*[\\x{6f0}-\\x{6f9}]|[\\x{6f0}-\\x{6f9}].*[\\x{660}-\\x{669}]",
    "(?<!" .. VIRAMA .. ")\\x{200d}",
    "(?<!" .. VIRAMA .. ")(?:(?<!" .. JOINING .. ")\\x{200c}|\\x{200c}(?!" .. JOINING .. "))",
}

local LABEL = "\\A[\\p{L}\\p{M}\\p{N}\\x{b7}\\x{375}\\x{5f3}\\x{5f4}\\x{6fd}\\x{6fe}\\x{f0b}\\x{30fb}\\x{200c}\\x{200d}-]+\\z"

-- RFC 5893, 2: labels that are read from the right, and those of a name that has such ones.
local RIGHT = "[\\p{bc:R}\\p{bc:AL}\\p{bc:AN}]"
local RIGHT_LABEL = "\\A(?=[\\p{bc:R}\\p{bc:AL}])(?!.*\\p{bc:EN}.*\\p{bc:AN})(?!.*\\p{bc:AN}.*\\p{bc:EN})"
    .. "[\\p{bc:R}\\p{bc:AL}\\p{bc:AN}\\p{bc:EN}\\p{bc:ES}\\p{bc:CS}\\p{bc:ET}\\p{bc:ON}\\p{bc:BN}\\p{bc:NSM}]*"
    .. "[\\p{bc:R}\\p{bc:AL}\\p{bc:EN}\\p{bc:AN}]\\p{bc:NSM}*\\z"
local LEFT_LABEL = "\\A(?=\\p{bc:L})[\\p{bc:L}\\p{bc:EN}\\p{bc:ES}\\p{bc:CS}\\p{bc:ET}\\p{bc:ON}\\p{bc:BN}\\p{bc:NSM}]*"
    .. "[\\p{bc:L}\\p{bc:EN}]\\p{bc:NSM}*\\z"

local function is_plain(label)
    return #label <= 63 and find(label, "^%w[%w-]*$") ~= nil and sub(label, -1) ~= "-"
end

-- A label in its own script. Its form in Punycode has to fit, too.
local function is_unicode(label, puny)
    if not re_find(label, LABEL, "jou") or find(label, "^%-") or find(label, "%-$") or sub(label, 3, 4) == "--" then
        return false
    end
    for _, pattern in ipairs(REFUSED) do
        if re_find(label, pattern, "jou") then
            return false
        end
    end
    return #(puny or encode(codes_of(label))) <= 59
end

-- What a label means: its text; nil: it is none.
local function meaning(label)
    if find(label, "[\128-\255]") then
        return is_unicode(label) and label or nil
    elseif not is_plain(label) then
        return nil
    elseif lower(sub(label, 1, 4)) ~= "xn--" then
        return sub(label, 3, 4) ~= "--" and label or nil
    end
    local puny = lower(sub(label, 5))
    local codes = decode(puny)
    if not codes or encode(codes) ~= puny then
        return nil
    end
    for i, code in ipairs(codes) do
        codes[i] = utf8(code)
    end
    local text = concat(codes)
    return find(text, "[\128-\255]") and is_unicode(text, puny) and text or nil
end

-- Of a name from the right, each label has to keep its direction.
local function keeps_directions(labels)
    if not re_find(concat(labels, "."), RIGHT, "jou") then
        return true
    end
    for _, label in ipairs(labels) do
        if not re_find(label, re_find(label, RIGHT, "jou") and RIGHT_LABEL or LEFT_LABEL, "jou") then
            return false
        end
    end
    return true
end

local function is_name(text)
    local labels, size = {}, 0
    for label in gmatch(text .. ".", "([^.]*)%.") do
        local known = meaning(label)
        if not known then
            return false
        end
        labels[#labels + 1] = known
        size = size + 1 + (find(label, "[\128-\255]") and 4 + #encode(codes_of(label)) or #label)
    end
    return size - 1 <= 253 and keeps_directions(labels)
end

-- RFC 1123, 2.1; labels in Punycode have to mean something.
function _M.is_hostname(text)
    return not find(text, "[\128-\255]") and #text <= 253 and is_name(text)
end

-- The same in any script; other full stops than the ASCII one are one, too (RFC 3490, 3.1).
function _M.is_idn_hostname(text)
    if #text > 253 * 4 then
        return false
    end
    text = gsub(gsub(gsub(text, "\227\128\130", "."), "\239\188\142", "."), "\239\189\161", ".")
    return is_name(text)
end

return _M
