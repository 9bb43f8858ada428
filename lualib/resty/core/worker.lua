--- ngx.worker: all of it is there already when this is loaded.

return { version = require("resty.core.base").version }
