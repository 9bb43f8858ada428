--- pgmoon: resty.postgres under the name that programs know.

return require "resty.postgres"
