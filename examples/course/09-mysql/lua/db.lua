-- A connection for one piece of work: taken from the pool, and given back to it.
local mysql = require "resty.mysql"

local ADDRESS = {
    host = os.getenv("MYSQL_HOST") or "127.0.0.1",
    port = tonumber(os.getenv("MYSQL_PORT") or 3306),
    database = os.getenv("MYSQL_DATABASE") or "kopi",
    user = os.getenv("MYSQL_USER") or "kopi",
    password = os.getenv("MYSQL_PASSWORD") or "rahasia",
    charset = "utf8mb4",
}

local IDLE, POOL = 10000, 20 -- keep a connection for 10 s; 20 of them in each worker

local db = {}

-- Gives what work(connection, ...) gives: a result, or nil, a status and a message.
function db.with(work, ...)
    local connection = assert(mysql:new())
    connection:set_timeouts(1000, 1000, 2000) -- milliseconds to connect, send, read
    local ok, err = connection:connect(ADDRESS)
    if not ok then
        ngx.log(ngx.ERR, "MySQL: ", err)
        return nil, 503, "the database is not at hand"
    end

    local good, result, status, message = pcall(work, connection, ...)
    if not good then
        -- Who knows what state it is in (half a transaction?): never back into the pool.
        connection:close()
        error(result, 0)
    end
    connection:set_keepalive(IDLE, POOL)
    return result, status, message
end

-- BEGIN, work, COMMIT. When work gives nil or fails, all that it did is undone: ROLLBACK.
function db.transaction(work, ...)
    return db.with(function(connection, ...)
        assert(connection:query("START TRANSACTION"))
        local result, status, message = work(connection, ...)
        assert(connection:query(result and "COMMIT" or "ROLLBACK"))
        return result, status, message
    end, ...)
end

return db
