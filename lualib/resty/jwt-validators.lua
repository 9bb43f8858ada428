--- resty.jwt-validators: what the claims of a token must be, for jwt:verify().
--
--     local v = require "resty.jwt-validators"
--     local object = jwt:verify(key, token, {
--         iss = v.equals("https://id.example.com"),
--         exp = v.is_not_expired(),
--         nbf = v.opt_is_not_before(),
--         roles = v.contains_any_of { "admin", "editor" },
--     })
--
-- A validator is a function(value, claim, object): true; false or nil and perhaps a message; or it raises
-- an error, whose text is the reason then. Each of these has a twin opt_… that also takes a claim that is
-- not there. A plain function of a program's own does as well.

local error = error
local find = ngx.re.find
local format = string.format
local http_time = ngx.http_time
local huge = math.huge
local ipairs = ipairs
local pairs = pairs
local pcall = pcall
local time = ngx.time
local tostring = tostring
local type = type

local _M = { _VERSION = "0.2.3" }

local leeway, clock = 0, time

--- Seconds that clocks may differ, for all checks of time in this worker; 0.
---@param seconds number
function _M.set_system_leeway(seconds)
    leeway = seconds
end

--- What tells the time, in seconds since 1970.
---@param f function
function _M.set_system_clock(f)
    clock = f
end

-- Runs a validator: true, or false and a reason.
function _M._run(validator, value, claim, object)
    if type(validator) ~= "function" then
        return false, format("Claim spec value must be a function - see jwt-validators.lua: '%s'", claim)
    end
    local ran, ok, err = pcall(validator, value, claim, object)
    if not ran then
        return false, (tostring(ok):gsub("^[^:]+:%d+: ", ""))
    end
    if ok == true then
        return true
    end
    return false, err or format("Claim '%s' ('%s') returned failure", claim, tostring(value))
end

-- ------------------------------------------------------------- the checks

local function fail(claim, text, ...)
    error(format("'%s' claim " .. text, claim, ...), 0)
end

local function number_of(value, claim)
    if type(value) ~= "number" or not (value >= 0 and value < huge) then
        fail(claim, "is malformed.  Expected to be a positive numeric value.")
    end
    return value
end

-- Each gets its arguments and gives function(value, claim, object).
local makers = {}

-- All of several validators.
function makers.chain(...)
    local list = { ... }
    return function(value, claim, object)
        for _, validator in ipairs(list) do
            local ok, err = _M._run(validator, value, claim, object)
            if not ok then
                error(err, 0)
            end
        end
        return true
    end
end

function makers.check(value_wanted, compare, name, check_type)
    return function(value, claim)
        if check_type and type(value) ~= check_type then
            fail(claim, "is malformed.  Expected to be a %s.", check_type)
        end
        if not compare(value, value_wanted) then
            fail(claim, "('%s') returned failure", tostring(value), name)
        end
        return true
    end
end

local function comparison(compare, check_type)
    return function(wanted)
        return makers.check(wanted, compare, nil, check_type)
    end
end

makers.equals = comparison(function(a, b) return a == b end)
makers.less_than = comparison(function(a, b) return a < b end, "number")
makers.less_than_or_equal = comparison(function(a, b) return a <= b end, "number")
makers.greater_than = comparison(function(a, b) return a > b end, "number")
makers.greater_than_or_equal = comparison(function(a, b) return a >= b end, "number")
makers.matches = comparison(function(text, pattern) return find(text, pattern, "jo") ~= nil end, "string")

-- One of a list, by a comparison; the claim may be a list itself when `many`.
local function any(compare, many)
    return function(wanted)
        return function(value, claim)
            for _, item in ipairs(many and type(value) == "table" and value or { value }) do
                for _, candidate in ipairs(wanted) do
                    if compare(item, candidate) then
                        return true
                    end
                end
            end
            fail(claim, "('%s') returned failure", tostring(value))
        end
    end
end

local function equal(a, b)
    return a == b
end

makers.equals_any_of = any(equal)
makers.matches_any_of = any(function(text, pattern)
    return type(text) == "string" and find(text, pattern, "jo") ~= nil
end)
makers.contains_any_of = any(equal, true)

function makers.any_of(list, compare)
    return any(compare or equal)(list)
end

function makers.is_not_before()
    return function(value, claim)
        if clock() < number_of(value, claim) - leeway then
            fail(claim, "not valid until %s", http_time(value))
        end
        return true
    end
end

function makers.is_not_expired()
    return function(value, claim)
        if clock() >= number_of(value, claim) + leeway then
            fail(claim, "expired at %s", http_time(value))
        end
        return true
    end
end

function makers.is_at()
    return function(value, claim)
        local now = clock()
        if now < number_of(value, claim) - leeway or now > value + leeway then
            fail(claim, "is only valid at %s", http_time(value))
        end
        return true
    end
end

for name, make in pairs(makers) do
    _M[name] = function(...)
        local validator = make(...)
        return function(value, claim, object)
            if value == nil then
                fail(claim, "is required.")
            end
            return validator(value, claim, object)
        end
    end
    _M["opt_" .. name] = function(...)
        local validator = make(...)
        return function(value, claim, object)
            return value == nil or validator(value, claim, object)
        end
    end
end

--- The claim must be there, whatever it is.
---@param validator? function more that it must be
---@return function
function _M.required(validator)
    return function(value, claim, object)
        if value == nil then
            fail(claim, "is required.")
        end
        return validator == nil or validator(value, claim, object)
    end
end

--- One of several claims must be there; for the claim "__jwt".
---@param names string[]
---@return function
function _M.require_one_of(names)
    return function(object)
        for _, name in ipairs(names) do
            if type(object.payload) == "table" and object.payload[name] ~= nil then
                return true
            end
        end
        error("Missing one of claims - [ " .. table.concat(names, ", ") .. " ].", 0)
    end
end

-- ------------------------------------------------------------- for resty.jwt

-- `exp` or `nbf` with a leeway of its own, only where it is there unless `needed`.
function _M._within(extra, claim, needed)
    return function(value)
        if value == nil then
            if needed then
                fail(claim, "is required.")
            end
            return true
        end
        local now = clock()
        if claim == "exp" and now >= number_of(value, claim) + leeway + extra then
            fail(claim, "expired at %s", http_time(value))
        elseif claim == "nbf" and now < number_of(value, claim) - leeway - extra then
            fail(claim, "not valid until %s", http_time(value))
        end
        return true
    end
end

local function bad_time(value)
    return value ~= nil and (type(value) ~= "number" or not (value > -huge and value < huge))
end

-- What is wrong with the times of claims, as a message; nil.
function _M._time(claims, extra, max_age)
    if bad_time(claims.exp) or bad_time(claims.nbf) or bad_time(claims.iat) then
        return "a time is not a number"
    end
    local now, slack = clock(), leeway + extra
    if claims.exp and now >= claims.exp + slack then
        return "the token has expired"
    end
    if claims.nbf and now < claims.nbf - slack then
        return "the token is not valid yet"
    end
    if max_age and not claims.iat then
        return "missing claim: iat"
    end
    if max_age and now > claims.iat + max_age + slack then
        return "the token is too old"
    end
end

return _M
