--- resty.sha: what the SHA modules have in common. Nothing to call; programs that require it get a
--- table with its version. The modules are resty.sha1, resty.sha224, resty.sha256, resty.sha384 and
--- resty.sha512.

return { _VERSION = require("resty.digest")._VERSION }
