--- resty.md5: MD5 digests (16 bytes). See resty.digest for the methods.
--
--     local md5 = require("resty.md5"):new()
--     md5:update("hello")
--     ngx.say(require("resty.string").to_hex(md5:final()))
--
-- new() returns nil when OpenSSL does not offer the algorithm.

return require("resty.digest").class("MD5")
