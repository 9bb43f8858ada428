--- Assertions and spies of tests, with luassert's names: words behind `assert`, joined by dots or
-- underscores, are modifiers (is, are, has, was, ...; not, no) and the name of an assertion.
--
--     assert.are.same({ 1 }, list)    assert.is_not_nil(x)    assert.has_error(f, "message")
--
-- A failed one raises an object of type `Failure`, which the runner (bulan/test.lua) knows. An
-- assertion that holds returns its arguments.

local show = require "bulan.show"
local type, tostring, select, unpack, pairs, rawget = type, tostring, select, unpack, pairs, rawget
local pcall, error, setmetatable, getmetatable = pcall, error, setmetatable, getmetatable
local abs = math.abs
local getinfo = debug.getinfo
local lua_assert = assert

local OWN = "@lualib/bulan/" -- what chunks of the tool are called

local _M = {}

local Failure = {}
Failure.__index = Failure

function Failure:__tostring()
    return self.message
end

_M.Failure = Failure

function _M.is_failure(value)
    return getmetatable(value) == Failure
end

-- ------------------------------------------------------------- deep comparison

_M.any = setmetatable({}, { __tostring = function() return "anything" end })

local same

local function child(path, key)
    if type(key) == "string" and key:find("^[%a_][%w_]*$") then
        return path .. "." .. key
    end
    return path .. "[" .. show(key) .. "]"
end

local function same_tables(a, b, path, seen)
    if seen[a] == b then
        return true
    end
    seen[a] = b
    for key, value in next, a do
        local ok, where = same(value, rawget(b, key), child(path, key), seen)
        if not ok then
            return false, where
        end
    end
    for key, value in next, b do
        if rawget(a, key) == nil then
            return same(nil, value, child(path, key), seen)
        end
    end
    return true
end

-- True, or false and where and how they differ.
function same(a, b, path, seen)
    if rawequal(a, b) or rawequal(a, _M.any) or rawequal(b, _M.any) then
        return true
    elseif type(a) == "table" and type(b) == "table" then
        local meta = getmetatable(a)
        if type(meta) == "table" and meta.__eq and a == b then
            return true
        end
        return same_tables(a, b, path, seen)
    elseif a == b then
        return true
    end
    local where = path == "" and "the value" or path
    return false, ("%s: expected %s, got %s"):format(where, show(a), show(b))
end

-- ------------------------------------------------------------- the assertions

-- By name: a function of the arguments (and their number in `n`), that tells whether it holds, what
-- to say when it doesn't, and what to say when it shouldn't.
local tests = {}

local function both(what, expected, actual)
    return ("expected %s:\n%s\ngot:\n%s"):format(what, show(expected), show(actual))
end

function tests.equal(expected, actual)
    return expected == actual, both("value", expected, actual),
        "expected another value than:\n" .. show(expected)
end

function tests.same(expected, actual)
    local ok, where = same(expected, actual, "", {})
    local text = both("value", expected, actual)
    if where and type(expected) == "table" and type(actual) == "table" then
        text = text .. "\nfirst difference at " .. where
    end
    return ok, text, "expected a different value than:\n" .. show(expected)
end

tests["true"] = function(value)
    return value == true, both("value", true, value), "expected anything but true"
end

tests["false"] = function(value)
    return value == false, both("value", false, value), "expected anything but false"
end

tests["nil"] = function(value)
    return value == nil, both("value", nil, value), "expected anything but nil"
end

function tests.truthy(value)
    return value and true or false, "expected a true value, got:\n" .. show(value),
        "expected nil or false, got:\n" .. show(value)
end

function tests.falsy(value)
    return not value, "expected nil or false, got:\n" .. show(value),
        "expected a true value, got:\n" .. show(value)
end

function tests.near(expected, actual, tolerance)
    local ok = type(actual) == "number" and abs(expected - actual) <= tolerance
    return ok, ("expected a number within %s of:\n%s\ngot:\n%s")
        :format(show(tolerance), show(expected), show(actual)),
        ("expected a number not within %s of:\n%s"):format(show(tolerance), show(expected))
end

function tests.matches(pattern, text, init, plain)
    local ok = (type(text) == "string" or type(text) == "number")
        and tostring(text):find(pattern, init, plain) ~= nil
    return ok, ("expected text with the pattern:\n%s\ngot:\n%s"):format(show(pattern), show(text)),
        ("expected text without the pattern:\n%s\ngot:\n%s"):format(show(pattern), show(text))
end

for kind in ("string number boolean table function userdata thread cdata"):gmatch("%a+") do
    tests[kind] = function(value)
        local actual = type(value)
        return actual == kind, ("expected a %s, got a %s:\n%s"):format(kind, actual, show(value)),
            ("expected no %s, got:\n%s"):format(kind, show(value))
    end
end

-- The error without the place in front of it.
local function bare(err)
    return type(err) == "string" and err:gsub("^[^\n]-:%d+: ", "", 1) or err
end

local function fails(what, err, ok)
    if ok then
        return "expected an error" .. what .. ", there was none"
    end
    return "expected an error" .. what .. ", got:\n" .. show(err)
end

function tests.error(f, expected)
    local ok, err = pcall(f)
    local holds = not ok
    if not ok and expected ~= nil then
        holds = same(expected, err, "", {}) or same(expected, bare(err), "", {})
    end
    local what = expected == nil and "" or ":\n" .. show(expected) .. "\n"
    return holds, fails(what, err, ok), "expected no error, got:\n" .. show(err), err
end

function tests.error_matches(f, pattern, init, plain)
    local ok, err = pcall(f)
    local text = type(err) == "table" and tostring(err) or err
    local holds = not ok and type(text) == "string" and text:find(pattern, init, plain) ~= nil
    return holds, fails(" that matches " .. show(pattern), err, ok),
        "expected no error that matches " .. show(pattern) .. ", got:\n" .. show(err)
end

-- ------------------------------------------------------------- spies

local Spy = {}
Spy.__index = Spy
local made = {} -- those that replaced something since the last _M.revert_all

function Spy:__call(...)
    self.calls[#self.calls + 1] = { vals = { n = select("#", ...), ... } }
    return self.callback(...)
end

function Spy:clear()
    self.calls = {}
    return self
end

function Spy:revert()
    if self.target then
        self.target[self.key] = self.original
        self.target = nil
    end
end

local function nothing()
end

-- `returns` and `invokes` are called with a dot: they say what a stub does.
local function new_spy(callback)
    local spy = setmetatable({ calls = {}, callback = callback or nothing }, Spy)
    function spy.invokes(other)
        spy.callback = other
        return spy
    end
    function spy.returns(...)
        local values, count = { ... }, select("#", ...)
        return spy.invokes(function()
            return unpack(values, 1, count)
        end)
    end
    return spy
end

local function replace(target, key, callback)
    local spy = new_spy(callback)
    spy.target, spy.key, spy.original = target, key, target[key]
    target[key] = spy
    made[#made + 1] = spy
    return spy
end

function _M.revert_all()
    for i = #made, 1, -1 do
        made[i]:revert()
        made[i] = nil
    end
end

_M.spy = setmetatable({
    new = new_spy,
    on = function(target, key)
        return replace(target, key, target[key])
    end,
}, { __call = function(_, callback)
    return new_spy(callback)
end })

local function stub(target, key, ...)
    return replace(target, key).returns(...)
end

_M.stub = setmetatable({
    new = function(target, key, ...)
        return target and stub(target, key, ...) or new_spy()
    end,
}, { __call = function(_, ...)
    return stub(...)
end })

local function calls_text(spy)
    local lines = {}
    for i, call in ipairs(spy.calls) do
        local parts = {}
        for k = 1, call.vals.n do
            parts[k] = show(call.vals[k])
        end
        lines[i] = "(" .. table.concat(parts, ", ") .. ")"
    end
    return #lines == 0 and "never called" or table.concat(lines, "\n")
end

local function called_with(spy, ...)
    local wanted = { n = select("#", ...), ... }
    for _, call in ipairs(spy.calls) do
        local ok = call.vals.n == wanted.n
        for i = 1, wanted.n do
            ok = ok and same(wanted[i], call.vals[i], "", {})
        end
        if ok then
            return true
        end
    end
    return false
end

local on_spies = {}

function on_spies.called(spy, times)
    local count = #spy.calls
    local ok = times and count == times or not times and count > 0
    return ok, ("expected %s calls, there were %d"):format(times or "some", count),
        ("expected %s calls, there were %d"):format(times and "not " .. times or "no", count)
end

function on_spies.called_at_least(spy, times)
    local count = #spy.calls
    return count >= times, ("expected at least %d calls, there were %d"):format(times, count),
        ("expected fewer than %d calls, there were %d"):format(times, count)
end

function on_spies.called_at_most(spy, times)
    local count = #spy.calls
    return count <= times, ("expected at most %d calls, there were %d"):format(times, count),
        ("expected more than %d calls, there were %d"):format(times, count)
end

function on_spies.called_with(spy, ...)
    local calls = "; calls:\n" .. calls_text(spy)
    return called_with(spy, ...), "no call had the expected arguments" .. calls,
        "a call had the arguments that none should have" .. calls
end

-- ------------------------------------------------------------- the words behind `assert`

local aliases = {
    equals = "equal", eq = "equal", match = "matches", errors = "error",
    error_match = "error_matches",
}

local fillers = {}
for word in ("is are was were has have had does do be been to a an"):gmatch("%a+") do
    fillers[word] = true
end

-- The line of the test that runs: the nearest that is not ours.
local function place_here()
    for level = 3, 20 do
        local info = getinfo(level, "Sl")
        if not info then
            return nil
        elseif info.currentline > 0 and info.source:sub(1, #OWN) ~= OWN then
            return info.short_src .. ":" .. info.currentline
        end
    end
end

local function fail(message)
    error(setmetatable({ message = message, place = place_here() }, Failure), 0)
end

local function check(chain, ...)
    local holds, message, otherwise, result = chain.test(...)
    if chain.negated then
        holds, message = not holds, otherwise
    end
    if not holds then
        local note = chain.note and tostring(chain.note) .. "\n" or ""
        fail(note .. message)
    elseif chain.name == "error" and not chain.negated then
        return result
    end
    return ...
end

local Chain = {}

-- The words so far: `negated`, and the parts of a name that is not complete.
local function extend(chain, key)
    local negated, name = chain.negated, chain.name
    local source = chain.spy and on_spies or tests
    for word in key:lower():gmatch("[^_]+") do
        if (word == "not" or word == "no") and not name then
            negated = not negated
        elseif name or not fillers[word] then
            name = name and name .. "_" .. word or word
        end
    end
    name = aliases[name] or name
    return setmetatable({
        negated = negated, name = name, test = name and source[name],
        spy = chain.spy, note = chain.note,
    }, Chain)
end

function Chain.__index(chain, key)
    if type(key) ~= "string" then
        return nil
    end
    return extend(chain, key)
end

function Chain.__call(chain, ...)
    local test, spy = rawget(chain, "test"), rawget(chain, "spy")
    if not test then
        error("there is no assertion " .. show(rawget(chain, "name")), 2)
    elseif spy then
        return check({ negated = rawget(chain, "negated"), name = "spy", test = test,
            note = rawget(chain, "note") }, spy, ...)
    end
    return check({ negated = rawget(chain, "negated"), name = rawget(chain, "name"), test = test,
        note = rawget(chain, "note") }, ...)
end

local function new_chain(spy, note)
    return setmetatable({ negated = false, name = false, test = false, spy = spy or false,
        note = note or false }, Chain)
end

_M.assert = setmetatable({
    spy = function(spy)
        return new_chain(spy)
    end,
    stub = function(spy)
        return new_chain(spy)
    end,
    message = function(note)
        return new_chain(nil, note)
    end,
    fail = function(note)
        fail(note or "failed")
    end,
    --- A new assertion, as luassert takes it: callback(state, arguments) returns whether it holds.
    register = function(_, _, name, callback)
        tests[name] = function(...)
            local arguments = { n = select("#", ...), ... }
            local text = ("'%s' of:\n%s"):format(name, show(arguments[1]))
            return callback({}, arguments), "expected " .. text, "expected no " .. text
        end
    end,
}, {
    __index = function(_, key)
        return type(key) == "string" and extend(new_chain(), key) or nil
    end,
    __call = function(_, value, message, ...)
        if not value and (message == nil or type(message) == "string") then
            fail(message or "assertion failed!")
        end
        return lua_assert(value, message, ...)
    end,
})

return _M
