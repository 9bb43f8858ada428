-- pgmoon.init: resty.postgres under another name that programs know.

return require "resty.postgres"
