--- resty.sha224: SHA224 digests (28 bytes). See resty.digest for the methods.
--
--     local sha224 = require("resty.sha224"):new()
--     sha224:update("hello")
--     ngx.say(require("resty.string").to_hex(sha224:final()))
--
-- new() returns nil when OpenSSL does not offer the algorithm.

return require("resty.digest").class("SHA224")
