--- A line editor for the prompt: keys of a terminal in, a line out.
--
--   left, right, ctrl-b, ctrl-f     by a character         ctrl-k   cuts what follows
--   home, end, ctrl-a, ctrl-e       to an end              ctrl-u   cuts what precedes
--   backspace, delete, ctrl-d       delete                 ctrl-w   cuts the word before
--   up, down, ctrl-p, ctrl-n        history                ctrl-y   puts back what was cut
--   ctrl-l  clears the screen       ctrl-c  gives the line up       ctrl-d (empty line)  ends
--
-- The line is one line of the screen; when it is longer, the part around the cursor is shown.

local io, byte, sub = io, string.byte, string.sub

-- Names of keys, by what the terminal sends behind ESC.
local sequences = {
    ["[A"] = "up", ["[B"] = "down", ["[C"] = "right", ["[D"] = "left", ["[H"] = "home",
    ["[F"] = "end", ["OA"] = "up", ["OB"] = "down", ["OC"] = "right", ["OD"] = "left",
    ["OH"] = "home", ["OF"] = "end", ["[1~"] = "home", ["[7~"] = "home", ["[4~"] = "end",
    ["[8~"] = "end", ["[3~"] = "delete", ["[1;5C"] = "word right", ["[1;5D"] = "word left",
    ["b"] = "word left", ["f"] = "word right",
}

local controls = {
    [1] = "home", [2] = "left", [3] = "give up", [4] = "delete or end", [5] = "end", [6] = "right",
    [8] = "backspace", [9] = "tab", [10] = "enter", [11] = "cut right", [12] = "clear",
    [13] = "enter", [14] = "down", [16] = "up", [21] = "cut left", [23] = "cut word",
    [25] = "paste", [127] = "backspace",
}

-- ------------------------------------------------------------- characters

local function is_inner(b) -- of a character in UTF-8, not its first byte
    return b and b >= 0x80 and b < 0xc0
end

local function next_at(text, at)
    repeat
        at = at + 1
    until not is_inner(byte(text, at + 1))
    return at
end

local function previous_at(text, at)
    repeat
        at = at - 1
    until not is_inner(byte(text, at + 1))
    return at
end

local function width(text)
    local _, inner = text:gsub("[\128-\191]", "")
    return #text - inner
end

-- ------------------------------------------------------------- the line

-- state: text, at (bytes in front of the cursor), place in the history, the text that is being
-- written (`draft`), and what was cut.
local act = {}

local function remove(s, from, to)
    s.text = sub(s.text, 1, from) .. sub(s.text, to + 1)
    s.at = from
end

function act.left(s)
    s.at = s.at > 0 and previous_at(s.text, s.at) or 0
end

function act.right(s)
    s.at = s.at < #s.text and next_at(s.text, s.at) or s.at
end

function act.home(s)
    s.at = 0
end

act["end"] = function(s)
    s.at = #s.text
end

act["word left"] = function(s)
    s.at = #sub(s.text, 1, s.at):gsub("[%w_]*[^%w_]*$", "", 1)
end

act["word right"] = function(s)
    local _, last = s.text:find("^[^%w_]*[%w_]*", s.at + 1)
    s.at = last
end

function act.backspace(s)
    if s.at > 0 then
        remove(s, previous_at(s.text, s.at), s.at)
    end
end

function act.delete(s)
    if s.at < #s.text then
        remove(s, s.at, next_at(s.text, s.at))
    end
end

act["cut right"] = function(s)
    s.cut = sub(s.text, s.at + 1)
    remove(s, s.at, #s.text)
end

act["cut left"] = function(s)
    s.cut = sub(s.text, 1, s.at)
    remove(s, 0, s.at)
end

act["cut word"] = function(s)
    local from = #sub(s.text, 1, s.at):gsub("%S*%s*$", "", 1)
    s.cut = sub(s.text, from + 1, s.at)
    remove(s, from, s.at)
end

local function insert(s, text)
    s.text = sub(s.text, 1, s.at) .. text .. sub(s.text, s.at + 1)
    s.at = s.at + #text
end

function act.paste(s)
    insert(s, s.cut)
end

function act.tab(s)
    insert(s, "    ")
end

function act.clear()
    io.write("\27[H\27[2J")
end

local function recall(s, place)
    local history = s.history
    if place < 1 or place > #history + 1 then
        return
    elseif s.place == #history + 1 then
        s.draft = s.text
    end
    s.place = place
    s.text = history[place] or s.draft
    s.at = #s.text
end

function act.up(s)
    recall(s, s.place - 1)
end

function act.down(s)
    recall(s, s.place + 1)
end

-- ------------------------------------------------------------- the screen

local function draw(s)
    local room = s.columns - #s.prompt - 1
    local from = 0
    while width(sub(s.text, from + 1, s.at)) > room do
        from = next_at(s.text, from)
    end
    local to = #s.text
    while width(sub(s.text, from + 1, to)) > room do
        to = previous_at(s.text, to)
    end
    local column = #s.prompt + width(sub(s.text, from + 1, s.at))
    io.write("\r", s.prompt, sub(s.text, from + 1, to), "\27[K\r")
    if column > 0 then
        io.write("\27[", column, "C")
    end
    io.flush()
end

-- ------------------------------------------------------------- keys

-- Takes a key off what has arrived: its name or its text, and what remains. nil: a part is missing.
local function take_key(bytes)
    local first = byte(bytes)
    if first == 27 then
        local seq = bytes:match("^\27(%[[%d;]*[@-~])") or bytes:match("^\27(O.)")
            or bytes:match("^\27([^%[O])")
        if not seq then
            return nil
        end
        return sequences[seq] or "unknown", nil, sub(bytes, #seq + 2)
    elseif first < 32 or first == 127 then
        return controls[first] or "unknown", nil, sub(bytes, 2)
    end
    local text = bytes:match("^[^%c]+")
    return "text", text, sub(bytes, #text + 1)
end

-- Applies one key. A result and how, when the line is over.
local function apply(s, key, text)
    if key == "text" then
        insert(s, text)
    elseif key == "enter" then
        return s.text
    elseif key == "give up" then
        return "", "interrupted"
    elseif key == "delete or end" and s.text == "" then
        return false
    elseif key == "delete or end" then
        act.delete(s)
    elseif act[key] then
        act[key](s)
    end
end

---@param tool table what src/lua/tool_api.h describes
---@param history string[] grows outside
---@return function read prompt -> line; "", "interrupted"; nil at the end of the input
return function(tool, history)
    local bytes, cut = "", ""

    local function edit(prompt)
        local s = {
            prompt = prompt, text = "", at = 0, history = history, place = #history + 1,
            draft = "", cut = cut, columns = tool.columns(),
        }
        draw(s)
        while true do
            local key, text, rest
            if bytes ~= "" then
                key, text, rest = take_key(bytes)
            end
            if key then
                bytes = rest
                local line, how = apply(s, key, text)
                cut = s.cut
                if line ~= nil then
                    act["end"](s)
                    draw(s)
                    return line or nil, how
                end
                if bytes == "" then
                    draw(s)
                end
            else
                local more = tool.input()
                if not more then
                    return nil
                end
                bytes = bytes .. more
            end
        end
    end

    return function(prompt)
        tool.raw(true)
        local line, how = edit(prompt)
        tool.raw(false)
        io.write("\n")
        io.flush()
        return line, how
    end
end
