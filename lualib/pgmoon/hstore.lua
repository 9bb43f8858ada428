-- pgmoon.hstore: resty.postgres.hstore under the name that programs know.

return require "resty.postgres.hstore"
