--- resty.mysql.statement: prepared statements of resty.mysql.
--
--     local stmt, err = db:prepare("SELECT id FROM goods WHERE name = ? AND price < ?")
--     local rows, err = stmt:execute("tea", 10)
--     stmt:close()
--
-- A statement belongs to the connection that it was prepared on: it ends with set_keepalive() and
-- close() of that. Values in results are the same as those of queries.

local binary = require "resty.mysql.binary"

local encode = binary.execute
local select = select
local setmetatable = setmetatable
local tostring = tostring

---@class resty.mysql.statement
---@field id integer the server's number of it
---@field columns integer how many the result has
---@field parameters integer how many question marks there are
local _M = {}

local mt = {
    __index = _M,
    __tostring = function(self)
        return tostring(self.id)
    end,
}

-- For resty.mysql.
function _M.new(db, id, columns, parameters)
    return setmetatable({ db = db, id = id, columns = columns, parameters = parameters }, mt)
end

--- Executes the statement. Parameters are strings, numbers, booleans, 64-bit integers (12LL), and
--- nil or ngx.null for NULL; what is missing at the end is NULL.
---@param ... any
---@return table[]|resty.mysql.result|nil res as of db:read_result()
---@return string? err "again", with a result: db:read_result() has another one
---@return integer? errcode
---@return string? sqlstate
function _M.execute(self, ...)
    local db = self.db
    if not db.statements[self.id] then
        return nil, "the statement is closed"
    elseif select("#", ...) > self.parameters then
        return nil, "too many parameters: " .. select("#", ...)
    end
    local payload, err = encode(self.id, self.parameters, { ... })
    if not payload then
        return nil, err
    end
    return db:_execute(payload)
end

--- Closes the statement, so that the server forgets it.
---@return boolean? ok
---@return string? err
function _M.close(self)
    local db = self.db
    if not db.statements[self.id] then
        return nil, "the statement is closed"
    end
    return db:_close_statement(self.id)
end

return _M
