-- pgmoon.json: resty.postgres.json under the name that programs know.

return require "resty.postgres.json"
