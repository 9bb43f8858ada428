-- ngx.re: patterns and replacement texts, with all options. Every function tells what is wrong in the same way,
-- and they agree with each other about what matches.
local fuzz = require "fuzz"
local split = require("ngx.re").split

local patterns = { "a", "(a)(b)?", "[^,]+", "(?<n>x+)y", "", "^|$", "\\b", "(?=a)", "(a|ab)(c|bcd)", "\\K", ".*?", "(?i)ä", "\\p{L}+", "(", "a{2,3}+" }
local subjects = { "ab,abc,,x", "xxy", "", "äöü", "aaaa", "a\nb\r\nc", "abcd", "\255\254", "x" }
local templates = { "[$0]", "$1$2", "${1}x", "$$", "no", "$", "$99", "${n}" }
local OPTIONS = { "", "j", "jo", "i", "s", "m", "u", "ju", "jou", "x", "d", "a", "D", "J", "jU", "U" }

fuzz.run {
    name = "regex",
    corpus = patterns,
    slow = 10, -- patterns may be slow, up to PCRE's limit
    check = function(pattern)
        local subject, options = fuzz.mutate(subjects):sub(1, 200), fuzz.pick(OPTIONS)
        if options:find("U") then -- which promises good UTF-8
            subject = subject:gsub("[\128-\255]", "x")
            pattern = pattern:gsub("[\128-\255]", "x")
        end
        local from, to, err = ngx.re.find(subject, pattern, options)
        assert(err == nil or type(err) == "string" and from == nil, "an error and a result")
        assert(not from or from >= 1 and to >= from - 1 and to <= #subject, "out of bounds")
        local match, failure = ngx.re.match(subject, pattern, options)
        fuzz.same(failure ~= nil, err ~= nil, "errors")
        if not err then
            fuzz.same(match and match[0], from and subject:sub(from, to), "find and match")
        end
        local count, rounds = 0, ngx.re.gmatch(subject, pattern, options)
        for each, trouble in rounds or function() end do
            count = count + (each and 1 or 0)
            assert(not trouble and count <= #subject + 1, "too many matches")
        end
        local text, n = ngx.re.gsub(subject, pattern, fuzz.mutate(templates), options)
        assert(type(text) == "string" or type(text) == "nil", "no text")
        text, n = ngx.re.gsub(subject, pattern, "$0", options)
        if text and not pattern:find("\\K", 1, true) then
            fuzz.same(text, subject, "replaced by itself")
            assert(err or n == 0 == (from == nil), "find and gsub")
        end
        local parts = split(subject, pattern, options)
        assert(parts == nil or type(parts) == "table")
    end,
}
