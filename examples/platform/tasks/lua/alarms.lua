-- Alarms of this worker: timers by their names.

local _M = {}

local alarms = {}

function _M.set(name, seconds)
    _M.cancel(name)
    alarms[name] = assert(ngx.timer.at(seconds, function()
        ngx.log(ngx.NOTICE, "it is time: ", name)
        alarms[name] = nil
    end)):name("alarm " .. name)
end

-- "off", or why not.
function _M.cancel(name)
    local alarm = alarms[name]
    if not alarm then
        return "there is none of that name"
    end
    alarms[name] = nil
    local ok, err = alarm:cancel()
    return ok and "off" or err
end

function _M.pending()
    local names = {}
    for name, alarm in pairs(alarms) do
        if alarm:pending() then
            names[#names + 1] = name
        end
    end
    table.sort(names)
    return names
end

return _M
