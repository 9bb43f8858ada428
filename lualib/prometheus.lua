-- resty.prometheus under the name that programs know.
return require "resty.prometheus"
