-- A chat room over all workers.
--
-- A browser's WebSocket is a request in one of the workers, and lives as long as the page is open.
-- Two light threads serve it: one reads what the browser sends; the other one sleeps until there
-- is something to send, and is the only one that sends. What somebody says is published to all
-- workers, and each of them puts it into the outboxes of its own members:
--
--     browser -> read() -> publish -> every worker: hear() -> outboxes -> write() -> browsers
local cjson = require "cjson.safe"
local events = require "ngx.worker.events"
local semaphore = require "ngx.semaphore"
local server = require "resty.websocket.server"

local HEARTBEAT = tonumber(os.getenv("CHAT_HEARTBEAT") or 20)
local MISSED = 2     -- so many heartbeats without an answer, and somebody is gone
local OUTBOX = 100   -- messages that may wait for a slow browser
local LONGEST = 2000 -- bytes of a message

local members = {} -- this worker's members; the others' are in other workers

local chat = {}

-- Leaves something to send: the name of a method of the socket, and what it gets.
local function post(member, method, payload)
    local outbox = member.outbox
    if #outbox >= OUTBOX then
        member.slow = true -- better one who leaves than memory that grows and grows
    else
        outbox[#outbox + 1] = { method = method, payload = payload }
    end
    member.wake:post()
end

-- Comes to every member in this worker.
local function hear(message)
    local text = cjson.encode(message)
    for member in pairs(members) do
        post(member, "send_text", text)
    end
end

-- For init_worker_by_lua.
function chat.listen()
    events.subscribe("chat", hear)
end

local function say(kind, name, text)
    events.publish("chat", {
        kind = kind, name = name, text = text, worker = ngx.worker.id(),
        people = ngx.shared.chat:get("people"),
    })
end

-- Sends what is in the outbox; ends with the reason why it cannot go on.
local function write(member)
    local socket = member.socket
    while not member.slow do
        member.wake:wait(HEARTBEAT)
        local outbox = member.outbox
        member.outbox = {}
        for _, item in ipairs(outbox) do
            local bytes, err = socket[item.method](socket, item.payload)
            if not bytes then
                return "lost: " .. err
            end
        end
    end
    return "too slow", 1008
end

-- Browsers hang up when they get anything else: one bad word would throw everybody out.
local function is_utf8(text)
    return ngx.re.find(text, "^", "jou") ~= nil
end

-- Reads what the browser sends; ends with the reason why nothing more will come.
local function read(member)
    local socket, missed = member.socket, 0
    while true do
        local data, kind, err = socket:recv_frame()
        if data then
            missed = 0 -- a word, or just a pong: somebody is there
        end
        if socket.fatal then
            return "lost: " .. err
        elseif not data then -- nothing in time
            missed = missed + 1
            if missed > MISSED then
                return "silent", 1001
            elseif ngx.worker.exiting() then
                return "the server reloads", 1012
            end
            post(member, "send_ping")
        elseif kind == "close" then
            return "closed", 1000
        elseif kind == "ping" then
            post(member, "send_pong", data)
        elseif kind == "text" and not is_utf8(data) then
            return "no UTF-8", 1007
        elseif kind == "text" and data ~= "" and err ~= "again" then
            say("text", member.name, data)
        end
    end
end

-- The first 24 characters (not bytes: half a character is no UTF-8).
local function clean(name)
    local text = type(name) == "string" and name:gsub("%c", "") or ""
    local first = ngx.re.match(text, "^.{1,24}", "jou")
    return first and first[0] or "somebody"
end

-- For content_by_lua. A page of another site may not open a WebSocket here in its visitor's name:
-- browsers tell where a page is from.
local function is_foreign()
    local origin = ngx.var.http_origin
    return origin and origin:gsub("^https?://", "") ~= ngx.var.http_host
end

function chat.join()
    if is_foreign() then
        return ngx.exit(403)
    end
    local socket, err = server:new { timeout = HEARTBEAT * 1000, max_payload_len = LONGEST }
    if not socket then
        ngx.log(ngx.INFO, "no WebSocket: ", err)
        ngx.header["Upgrade"] = "websocket"
        return ngx.exit(426) -- this page is for WebSockets only
    end

    local member = {
        name = clean(ngx.req.get_uri_args().name), socket = socket, outbox = {},
        wake = semaphore.new(),
    }
    members[member] = true
    ngx.shared.chat:incr("people", 1, 0)
    say("came", member.name)

    -- When one of the two ends, it is over.
    local writer, reader = ngx.thread.spawn(write, member), ngx.thread.spawn(read, member)
    local _, why, code = ngx.thread.wait(writer, reader)
    ngx.thread.kill(writer)
    ngx.thread.kill(reader)
    members[member] = nil
    if code then
        socket:send_close(code, why)
    end
    ngx.shared.chat:incr("people", -1)
    say("went", member.name)
    ngx.log(ngx.INFO, member.name, " went: ", why)
end

return chat
