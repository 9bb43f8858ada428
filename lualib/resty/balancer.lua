--- resty.balancer: ways to choose among servers, for balancer_by_lua and for programs.
--
--     local balancer = require "resty.balancer"
--     local picker = balancer.roundrobin:new { ["10.0.0.1:8080"] = 2, ["10.0.0.2:8080"] = 1 }
--     local server = picker:find()
--
-- Each is a library of its own, too: resty.chash (the same key, the same server: a ketama ring), resty.roundrobin
-- and resty.swrr (in turn, by weight), resty.balancer.least_conn (who has the least to do). What they do when a
-- server is gone, and their errors, stands there.

return {
    _VERSION = "1.0",
    --- resty.chash
    chash = require "resty.chash",
    --- resty.roundrobin
    roundrobin = require "resty.roundrobin",
    --- resty.swrr
    swrr = require "resty.swrr",
    --- resty.balancer.least_conn
    least_conn = require "resty.balancer.least_conn",
}
