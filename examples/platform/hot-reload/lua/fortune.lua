--- Tells fortunes, and counts them. Change a text below and ask again.
local _M = { told = 0 }

local fortunes = { "You will see the moon.", "The tide turns." }

function _M.tell()
    _M.told = _M.told + 1
    return _M.told .. ": " .. fortunes[_M.told % #fortunes + 1]
end

-- The count survives when this file is changed.
function _M.__reload(old)
    _M.told = old.told
end

return _M
