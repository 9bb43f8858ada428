--- resty.sha384: SHA384 digests (48 bytes). See resty.digest for the methods.
--
--     local sha384 = require("resty.sha384"):new()
--     sha384:update("hello")
--     ngx.say(require("resty.string").to_hex(sha384:final()))
--
-- new() returns nil when OpenSSL does not offer the algorithm.

return require("resty.digest").class("SHA384")
