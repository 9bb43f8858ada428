-- resty.template: any text is a template or raises an error, and text without tags is itself. Templates are
-- programs: what they say is not run.
local fuzz = require "fuzz"
local template = require "resty.template"

local corpus = {
    "hello {{name}}!", "{* raw *}{% for i = 1, 3 do %}{{i}}{% end %}", "{(file.html)}", "{[ 'a' ]}", "{# comment #}", "{-raw-}{{x}}{-raw-}",
    "\\{{no}}", "{-b-}x{-b-}{*blocks.b*}", "{%", "{{", "{*", "}}{{a}", "{(a, {b = 1})}", "{{a .. \"}}\"}}", "line\n{% if x then %}\ny\n{% end %}\n",
}

fuzz.run {
    name = "template",
    corpus = corpus,
    check = function(text)
        local ok, code = pcall(template.parse, text, true)
        assert(type(code) == "string" or not ok, "no code")
        if ok and not text:find("[{}\\]") then
            fuzz.same(template.process(text, {}, "no-cache", true), text, "text without tags")
        end
        local value = fuzz.mutate(corpus)
        local escaped = template.escape(value)
        assert(not escaped:find("[<>\"']"), "not escaped")
        local shown = template.process("[{{value}}|{*value*}]", { value = value }, nil, true)
        fuzz.same(shown, "[" .. escaped .. "|" .. value .. "]", "values")
    end,
}
