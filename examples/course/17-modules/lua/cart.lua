-- A module that makes objects: the functions are there once, each object has only its own data.
local PRICES = { kopi = 12000, teh = 8000, roti = 15000 }

local cart = {}
cart.__index = cart -- what an object does not have itself is looked up here

function cart.new()
    return setmetatable({ counts = {} }, cart)
end

-- Errors that a user can make are returned: nil and a message. error() is for a programmer's.
function cart:add(name, count)
    if not PRICES[name] then
        return nil, "we have no " .. tostring(name)
    elseif type(count) ~= "number" or count < 1 or count % 1 ~= 0 then
        return nil, "how many " .. name .. "?"
    end
    self.counts[name] = (self.counts[name] or 0) + count
    return true
end

function cart:total()
    local sum = 0
    for name, count in pairs(self.counts) do
        sum = sum + count * PRICES[name]
    end
    return sum
end

return cart
