--- Makes Lua of a template. resty.template calls it; programs use that.
--
--     local code = require("resty.template.parser")("Hello {{name}}!")
--
-- The code is the body of a function whose environment has context, template, blocks, include,
-- escape, output and ___concat. It fills the list ___ (___n long) and returns it as one string.
-- The lines of the code are the lines of the template, so messages of errors tell the place. What
-- stands between {-name-} and {-name-} fills a list of its own inside `do … end`.

local byte = string.byte
local concat = table.concat
local find = string.find
local format = string.format
local gsub = string.gsub
local huge = math.huge
local match = string.match
local sub = string.sub

-- Text is cut before each brace that may begin a tag.
local OPENING = "{[{*%%(%[#-]"

local CLOSING = {
    ["{{"] = "}}",
    ["{*"] = "*}",
    ["{%"] = "%}",
    ["{("] = ")}",
    ["{["] = "]}",
    ["{#"] = "#}",
    ["{-"] = "-}",
}

-- Tags that write nothing: standing alone on a line, they take the line with them.
local SILENT = { ["{%"] = true, ["{#"] = true, ["{-"] = true }

local parse_range

local function emit(out, code)
    out[#out + 1] = code
end

local function emit_text(out, text)
    if text ~= "" then
        emit(out, "___n=___n+1 ___[___n]=" .. format("%q", text) .. " ")
    end
end

local function emit_value(out, code)
    emit(out, "___n=___n+1 ___[___n]=" .. code .. " ")
end

-- The newlines of what leaves no other trace.
local function newlines(text)
    return (gsub(text, "[^\n]+", ""))
end

local function include_file(content)
    local name, context = match(content, "^%s*([^,]-)%s*,(.*)$")
    if not name then
        name, context = match(content, "^%s*(.-)%s*$"), "context"
    end
    return format("include(%q,%s)", name, context)
end

local emitters = {
    ["{{"] = function(out, content)
        emit_value(out, "escape(" .. content .. ")")
    end,
    ["{*"] = function(out, content)
        emit_value(out, "output(" .. content .. ")")
    end,
    ["{%"] = function(out, content)
        emit(out, content .. " ")
    end,
    ["{("] = function(out, content)
        emit_value(out, include_file(content))
    end,
    ["{["] = function(out, content)
        emit_value(out, "include(" .. content .. ")")
    end,
    ["{#"] = function(out, content)
        emit(out, newlines(content))
    end,
}

-- Where the text before a tag ends, and where what follows it begins.
local function bounds(view, tag, first, last)
    if not SILENT[tag] then
        return first - 1, last + 1, ""
    end
    local line_start = first
    while line_start > 1 and find(view, "^[ \t]", line_start - 1) do
        line_start = line_start - 1
    end
    local at_start = line_start == 1 or byte(view, line_start - 1) == 10
    local _, line_end = find(view, "^[ \t]*\r?\n", last + 1)
    if not at_start or not line_end then
        return first - 1, last + 1, ""
    end
    return line_start - 1, line_end + 1, "\n"
end

-- {-name-} … {-name-}. Returns where to go on, or nil when this is no block.
local function parse_block(out, view, first, last, text_from, limit)
    local name = match(sub(view, first, last), "^{%-([%a_][%w_]*)%-}$")
    local closing = name and "{-" .. name .. "-}"
    local close_first, close_last
    if name then
        close_first, close_last = find(view, closing, last + 1, true)
    end
    if not close_first or close_last > limit then
        return nil
    end
    local text_to, inner_from, gone = bounds(view, "{-", first, last)
    local inner_to, after, gone_behind = bounds(view, "{-", close_first, close_last)
    emit_text(out, sub(view, text_from, text_to))
    emit(out, gone)
    if name == "raw" or name == "verbatim" then
        emit_text(out, sub(view, inner_from, inner_to))
    else
        emit(out, "do local ___,___n={},0 ")
        parse_range(out, view, inner_from, inner_to)
        emit(out, format("blocks[%q]=___concat(___) context.blocks=blocks end ", name))
    end
    emit(out, gone_behind)
    return after
end

-- Where the closing of a tag begins, the next one from `from` on; huge: there is none. What was found is
-- remembered, so many tags without a closing take no more than one look at the template.
local function closing_at(out, view, tag, from)
    local known = out.closings[tag]
    if not known or known < from then
        known = find(view, CLOSING[tag], from, true) or huge
        out.closings[tag] = known
    end
    return known
end

-- One tag. Returns where to go on, or nil when the brace is only a brace.
local function parse_tag(out, view, first, text_from, limit)
    local tag = sub(view, first, first + 1)
    local close_first = closing_at(out, view, tag, first + 2)
    local last = close_first + 1
    if last > limit then
        return nil
    end
    if tag == "{-" then
        return parse_block(out, view, first, last, text_from, limit)
    end
    local text_to, after, gone = bounds(view, tag, first, last)
    emit_text(out, sub(view, text_from, text_to))
    emitters[tag](out, sub(view, first + 2, close_first - 1))
    emit(out, gone)
    return after
end

-- How many backslashes stand before the tag: one makes it text, two are one and the tag.
local function backslashes(view, first, text_from)
    if first - 1 < text_from or byte(view, first - 1) ~= 92 then
        return 0
    elseif first - 2 < text_from or byte(view, first - 2) ~= 92 then
        return 1
    end
    return 2
end

local function escaped_end(out, view, first, limit)
    local last = closing_at(out, view, sub(view, first, first + 1), first + 2) + 1
    return last <= limit and last or nil
end

function parse_range(out, view, from, limit)
    local text_from, at = from, from
    while true do
        local first = find(view, OPENING, at)
        if not first or first >= limit then
            break
        end
        local count = backslashes(view, first, text_from)
        if count == 1 then
            local last = escaped_end(out, view, first, limit) or first
            emit_text(out, sub(view, text_from, first - 2) .. sub(view, first, last))
            text_from, at = last + 1, last + 1
        else
            if count == 2 then
                emit_text(out, sub(view, text_from, first - 2))
                text_from = first
            end
            local after = parse_tag(out, view, first, text_from, limit)
            if after then
                text_from, at = after, after
            else
                at = first + 1
            end
        end
    end
    emit_text(out, sub(view, text_from, limit))
end

--- Makes the code of a template.
---@param view string
---@return string code
return function(view)
    local out = { closings = {}, "local ___,___n={},0 local function echo(...) for i=1,select('#',...) do "
        .. "___n=___n+1 ___[___n]=output((select(i,...))) end end " }
    parse_range(out, view, 1, #view)
    emit(out, "return ___concat(___)")
    return concat(out)
end
