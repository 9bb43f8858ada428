--- resty.jit-uuid: resty.uuid under the name that many programs use.
--
--     local uuid = require "resty.jit-uuid"
--     uuid.seed()                 -- not needed, and harmless
--     local id = uuid()           -- v4; also generate_v4(), generate_v3(), generate_v5(), is_valid()

return require "resty.uuid"
