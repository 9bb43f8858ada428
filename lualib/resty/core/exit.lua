--- ngx.exit is part of the server: programs that load this module have it already.

return { version = require("resty.core.base").version }
