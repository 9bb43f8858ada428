-- Makes the tables: bin/bulan run -I examples/notes/lua examples/notes/setup.lua
local store = require "notes.store"

local folder = arg[0]:match("^(.*)/[^/]*$") or "."
local file = assert(io.open(folder .. "/schema.sql"))
local schema = file:read("*a")
file:close()

local ok, err = store.execute_all(schema)
if not ok then
    io.stderr:write("the tables can't be made: ", err, "\n")
    os.exit(1)
end
print("the tables are there")
