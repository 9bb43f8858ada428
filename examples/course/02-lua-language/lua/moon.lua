-- The phases of the moon, to the nearest night or so.
local floor = math.floor

local moon = {}

-- An array (from 1 on) of records.
moon.phases = {
    { name = "new", last = 3 },
    { name = "waxing", last = 13 },
    { name = "full", last = 17 },
    { name = "waning", last = 29.53 },
}

-- The name of the phase on a day that is counted from new moon, which is day 0.
function moon.phase(day)
    local age = day % 29.53
    for _, phase in ipairs(moon.phases) do
        if age <= phase.last then
            return phase.name
        end
    end
end

-- How many nights of a month have which phase: a dictionary.
function moon.month(days)
    local count = {}
    for day = 1, floor(days) do
        local name = moon.phase(day)
        count[name] = (count[name] or 0) + 1
    end
    return count
end

return moon
