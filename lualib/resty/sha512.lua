--- resty.sha512: SHA512 digests (64 bytes). See resty.digest for the methods.
--
--     local sha512 = require("resty.sha512"):new()
--     sha512:update("hello")
--     ngx.say(require("resty.string").to_hex(sha512:final()))
--
-- new() returns nil when OpenSSL does not offer the algorithm.

return require("resty.digest").class("SHA512")
