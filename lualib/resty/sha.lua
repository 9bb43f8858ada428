--- resty.sha: what the SHA modules have in common: a version, and nothing to call.
--
-- The modules are resty.sha1, resty.sha224, resty.sha256, resty.sha384 and resty.sha512.

return { _VERSION = require("resty.digest")._VERSION }
