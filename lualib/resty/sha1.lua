--- resty.sha1: SHA1 digests (20 bytes). See resty.digest for the methods.
--
--     local sha1 = require("resty.sha1"):new()
--     sha1:update("hello")
--     ngx.say(require("resty.string").to_hex(sha1:final()))
--
-- new() returns nil when OpenSSL does not offer the algorithm.

return require("resty.digest").class("SHA1")
