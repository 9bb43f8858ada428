-- pgmoon.arrays: resty.postgres.arrays under the name that programs know.

return require "resty.postgres.arrays"
