--- resty.sha256: SHA256 digests (32 bytes). See resty.digest for the methods.
--
--     local sha256 = require("resty.sha256"):new()
--     sha256:update("hello")
--     ngx.say(require("resty.string").to_hex(sha256:final()))
--
-- new() returns nil when OpenSSL does not offer the algorithm.

return require("resty.digest").class("SHA256")
