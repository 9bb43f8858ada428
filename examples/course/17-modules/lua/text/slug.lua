-- A module is a file that returns something: mostly a table of functions, here just one function.

-- What is local belongs to the file; nobody outside can see it.
local LONGEST = 40

local function trim(text)
    return (text:gsub("^%-+", ""):gsub("%-+$", ""))
end

-- "Nasi Goreng!" becomes "nasi-goreng", to be used in an address.
return function(text)
    text = type(text) == "string" and text:lower() or ""
    return trim(trim(text:gsub("[^%w]+", "-")):sub(1, LONGEST))
end
