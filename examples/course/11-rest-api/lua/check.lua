-- Is it a task? By hand: one look at each field, and all mistakes at once.
local check = {}

-- The task with its own fields only; or nil, and a message for each field that is wrong.
function check.task(value)
    local wrong = {}

    local title = type(value.title) == "string" and value.title:match("^%s*(.-)%s*$")
    if not title or title == "" then
        wrong.title = "is missing"
    elseif #title > 100 then
        wrong.title = "is longer than 100 bytes"
    end

    local done = value.done
    if done == nil then
        done = false
    elseif type(done) ~= "boolean" then
        wrong.done = "is true or false"
    end

    local stars = value.stars
    if stars ~= nil and (type(stars) ~= "number" or stars % 1 ~= 0 or stars < 1 or stars > 5) then
        wrong.stars = "is a number from 1 to 5"
    end

    if next(wrong) then
        return nil, wrong
    end
    -- What was not asked for is not taken over: nobody can bring an "id" or an "owner" along.
    return { title = title, done = done, stars = stars }
end

return check
