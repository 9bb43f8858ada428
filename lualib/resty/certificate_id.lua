--- Numbers for client certificates, to tell apart in the name of a pool what connections present.
-- A certificate's address would not do: another may get it later.

local setmetatable = setmetatable

local numbers = setmetatable({}, { __mode = "k" })
local count = 0

return function(cert)
    if not numbers[cert] then
        count = count + 1
        numbers[cert] = count
    end
    return numbers[cert]
end
