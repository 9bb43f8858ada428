-- resty.balancer.least_conn under its short name.
return require "resty.balancer.least_conn"
