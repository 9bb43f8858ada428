-- One line into the room, from the command line: bulan run talk.lua HOST:PORT NAME TEXT
local cjson = require "cjson"
local client = require "resty.websocket.client"

local where, name, text = arg[1], arg[2], arg[3]
local socket = client:new { timeout = 5000 }
assert(socket:connect("ws://" .. where .. "/chat?name=" .. ngx.escape_uri(name)))
assert(socket:send_text(text))

-- Prints what is said until the own words come back.
repeat
    local data, kind, err = socket:recv_frame()
    assert(data, err)
    local message = kind == "text" and cjson.decode(data) or {}
    if message.kind == "text" then
        print(message.name .. ": " .. message.text)
    elseif message.kind then
        print(message.name .. " " .. message.kind .. ", " .. message.people .. " here")
    end
until message.kind == "text" and message.name == name and message.text == text
socket:send_close(1000)
