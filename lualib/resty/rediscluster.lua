--- resty.rediscluster: another name of resty.redis.cluster, which programs may know.

return require "resty.redis.cluster"
