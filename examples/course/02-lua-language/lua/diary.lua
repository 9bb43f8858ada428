-- A diary of nights: what other languages call a class is a metatable here.
local moon = require "moon"

local Diary = {}
Diary.__index = Diary

function Diary.new(place)
    return setmetatable({ place = place, notes = {} }, Diary)
end

function Diary:note(day, text)
    table.insert(self.notes, string.format("%2d (%s): %s", day, moon.phase(day), text))
end

function Diary:__tostring()
    return self.place .. "\n" .. table.concat(self.notes, "\n")
end

return Diary
