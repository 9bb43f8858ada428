-- Users and notes in MySQL or MariaDB.
--
-- Values never become part of a statement's text: they are sent beside it, as parameters (`?`). So
-- there is nothing to quote, and nothing to forget to quote. A database that does not answer ends the
-- request with 503 right here; the functions above need not think of it.

local cjson = require "cjson"
local mysql = require "resty.mysql"
local reply = require "notes.reply"
local settings = require "notes.settings"

local _M = {}

local DUPLICATE = 1062 -- MySQL's number for "there is one with this key"

local function connect()
    local db = assert(mysql:new())
    db:set_timeouts(2000, 2000, 5000) -- milliseconds to connect, send, receive
    local ok, err = db:connect(settings.database)
    if not ok then
        return nil, err
    end
    return db
end

-- Executes a statement. Gives the rows or the result, or nil and "duplicate".
local function query(sql, ...)
    local db, err = connect()
    if not db then
        return reply.unavailable("database", err)
    end
    local statement, result, number
    statement, err, number = db:prepare(sql)
    if statement then
        result, err, number = statement:execute(...)
    end
    if not result and not number then
        return reply.unavailable("database", err) -- the connection is closed already
    end
    -- For the next request: 60 seconds, 20 at most. The statement ends here, too.
    db:set_keepalive(60000, 20)
    if number == DUPLICATE then
        return nil, "duplicate"
    end
    return result or error(err)
end

-- Executes the statements of a text; true, or nil and an error. For setup.lua.
function _M.execute_all(text)
    local db, err = connect()
    if not db then
        return nil, err
    end
    local result
    result, err = db:query(text)
    while result and err == "again" do
        result, err = db:read_result()
    end
    db:close()
    return result and true, err
end

-- The new user's id, or nil when there is one with that name.
function _M.add_user(name, password)
    local result = query("INSERT INTO users (name, password) VALUES (?, ?)", name, password)
    return result and result.insert_id
end

-- { id, name, password } or nil.
function _M.user(name)
    return query("SELECT id, name, password FROM users WHERE name = ?", name)[1]
end

-- Every function below asks for the user: nobody reaches another's note.

local COLUMNS = "SELECT id, title, text, changed FROM notes WHERE user_id = ?"

-- The newest first. An empty list is [] in JSON, not {}.
function _M.notes(user)
    local rows = query(COLUMNS .. " ORDER BY id DESC LIMIT 500", user)
    return setmetatable(rows, cjson.array_mt)
end

function _M.note(user, id)
    return query(COLUMNS .. " AND id = ?", user, id)[1]
end

function _M.add_note(user, title, text)
    local result = query("INSERT INTO notes (user_id, title, text) VALUES (?, ?, ?)", user, title, text)
    return _M.note(user, result.insert_id)
end

-- The note as it is now, or nil when there is none.
function _M.change_note(user, id, title, text)
    query("UPDATE notes SET title = ?, text = ? WHERE user_id = ? AND id = ?", title, text, user, id)
    return _M.note(user, id)
end

function _M.remove_note(user, id)
    return query("DELETE FROM notes WHERE user_id = ? AND id = ?", user, id).affected_rows > 0
end

return _M
