-- What leads where, and what it does there.
--
--     GET    /                  the page with the notes; without a login, it leads to /login
--     GET    /login             the page to log in and to register
--     POST   /api/register      {name, password} -> 201
--     POST   /api/login         {name, password} -> a cookie, for the page
--     POST   /api/token         {name, password} -> {token}, for programs
--     POST   /api/logout
--     GET    /api/notes         all of one's notes
--     POST   /api/notes         {title, text} -> 201 and the note
--     GET    /api/notes/:id     PUT {title, text}, DELETE
--
-- Bodies are JSON, and so are answers. An error is {"error": "what is wrong"} with a status that says
-- the same: 400 no JSON, 401 not logged in, 403 no CSRF token, 404, 405, 409 a name that is taken, 413,
-- 415 not called JSON, 422 fields that are wrong, 429 too much, 503 a server behind this one is missing.

local auth = require "notes.auth"
local cjson = require "cjson.safe"
local limits = require "notes.limits"
local reply = require "notes.reply"
local router = require("resty.router").new()
local store = require "notes.store"

local _M = {}

-- What comes in ----------------------------------------------------------------------------------

-- The body, decoded. A form of another site can't send this type without asking first (CORS).
local function body()
    if not (ngx.var.content_type or ""):find("^application/json") then
        return reply.fail(415, "the body has to be application/json")
    end
    ngx.req.read_body()
    local value = cjson.decode(ngx.req.get_body_data() or "")
    if type(value) ~= "table" then
        return reply.fail(400, "the body is no JSON object")
    end
    return value
end

-- A field of the body that has to be a text that fits: so many characters, all of them in UTF-8.
local function text_of(value, name, pattern, wanted)
    local text = value[name]
    if type(text) ~= "string" or not ngx.re.find(text, pattern, "ojus") then
        return reply.fail(422, name .. " has to be " .. wanted)
    end
    return text
end

local function credentials()
    local value = body()
    return text_of(value, "name", [[^[a-z][a-z0-9_-]{2,29}\z]], "3 to 30 of a-z, 0-9, _ and -, and begin with a letter"),
        text_of(value, "password", [[^.{8,200}\z]], "8 to 200 characters")
end

local function title_and_text()
    local value = body()
    return text_of(value, "title", [[^.{1,100}\z]], "1 to 100 characters"),
        text_of(value, "text", [[^.{0,10000}\z]], "at most 10000 characters")
end

-- Pages ------------------------------------------------------------------------------------------

router:get("/", function()
    local session = auth.session()
    if not session then
        return ngx.redirect("/login")
    end
    limits.request(session.user)
    reply.page("notes.html", {
        title = "Notes", name = session.name, csrf = session.csrf, notes = store.notes(session.user),
    })
end)

router:get("/login", function()
    reply.page("login.html", { title = "Log in" })
end)

-- Coming and going -------------------------------------------------------------------------------

local api = router:group("/api")

api:post("/register", function()
    local name, password = credentials()
    auth.register(name, password)
    reply.json({ name = name }, 201)
end)

api:post("/login", function()
    local name, password = credentials()
    auth.remember(auth.log_in(name, password))
    reply.json { name = name }
end)

api:post("/token", function()
    local name, password = credentials()
    reply.json { token = auth.log_in(name, password) }
end)

-- One's own --------------------------------------------------------------------------------------

local own = api:group("", auth.required)

local function me()
    return ngx.ctx.session.user
end

local function found(note)
    return note or reply.fail(404, "there is no such note")
end

own:post("/logout", function()
    auth.log_out(ngx.ctx.session)
    ngx.status = 204
end)

own:get("/notes", function()
    reply.json(store.notes(me()))
end)

own:post("/notes", function()
    local note = store.add_note(me(), title_and_text())
    ngx.header.Location = "/api/notes/" .. note.id
    reply.json(note, 201)
end)

-- Another's note is a note that is not there.
own:get([[/notes/:id(\d{1,9})]], function(params)
    reply.json(found(store.note(me(), params.id)))
end)

own:put([[/notes/:id(\d{1,9})]], function(params)
    reply.json(found(store.change_note(me(), params.id, title_and_text())))
end)

own:delete([[/notes/:id(\d{1,9})]], function(params)
    found(store.remove_note(me(), params.id))
    ngx.status = 204
end)

-- conf/nginx.conf calls these ------------------------------------------------------------------

function _M.run()
    router:dispatch()
end

-- What nobody has answered: the router's 404 and 405, a body that is too long, an error in the code.
function _M.failed()
    reply.fail(ngx.status)
end

return _M
