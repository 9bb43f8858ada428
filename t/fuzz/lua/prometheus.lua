-- resty.prometheus: whatever labels and help texts are, each line of the text format is well formed.
local fuzz = require "fuzz"
local text = require "resty.prometheus.text"

local corpus = { "value", 'a"b\\c\nd', "\255\254", "ä\0x", "name_total", "9name", "__x", "le", "{}", "a=\"b\"", "\226\130", "\237\160\128" }

fuzz.run {
    name = "prometheus",
    corpus = corpus,
    check = function(value)
        local labels = text.labels({ "a", "b" }, { value, fuzz.mutate(corpus) })
        -- Two values in quotes: of what is between them nothing ends them.
        local plain = labels:gsub("\\[\\\"n]", "")
        assert(plain:find('^a="[^"\\%c]*",b="[^"\\%c]*"$'), labels)
        local help = text.help(value)
        assert(not help:find("\n"), "a line in a line")
        local err = text.check(value, { fuzz.mutate(corpus) })
        assert(err == nil or type(err) == "string" or type(err) == "boolean")
        local number = text.number(tonumber(value) or fuzz.pick { 0, -1, 1 / 0, -1 / 0, 0 / 0, 1e300, 2 ^ 53 })
        assert(number:find("^[+-]?[%dIN][%dInfNa.e+-]*$"), number)
    end,
}
