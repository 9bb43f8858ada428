--- ngx.upstream: the groups of servers that `upstream` blocks describe, and their peers.
--
--     local upstream = require "ngx.upstream"
--
--     for _, name in ipairs(upstream.get_upstreams()) do
--         for _, peer in ipairs(upstream.get_primary_peers(name)) do
--             ngx.say(name, " ", peer.name, peer.down and " down" or " up")
--         end
--     end
--     local ok, err = upstream.set_peer_down("backend", false, 0, true)
--
-- A server of the configuration has one peer for each of its addresses. Peers are primaries or
-- backups; both are numbered from 0.
--
-- Errors are nil and "upstream not found" or "bad peer id". Arguments of a wrong type are raised.
--
-- A peer that is down is not asked until it is set up again, or the configuration is loaded anew.
-- Where the group has a `zone`, that holds for all workers; without one for the worker that says it
-- (resty.upstream.healthcheck tells the others).

local raw = package.loaded["bulan.upstream"]

local _M = { version = require("resty.core.base").version }

---@class ngx.upstream.server
---@field name string as configured
---@field addr? string|string[] its addresses; nil: not looked up yet
---@field weight integer
---@field max_fails integer
---@field max_conns integer 0: any number
---@field fail_timeout integer seconds
---@field backup? boolean true or nil
---@field down? boolean true or nil, as configured

---@class ngx.upstream.peer
---@field id integer from 0, among the primaries or among the backups
---@field name string address and port
---@field weight integer
---@field current_weight integer of the smooth round robin
---@field effective_weight integer less than `weight` after failures
---@field conns integer connections in use
---@field fails integer failures within `fail_timeout`
---@field max_fails integer
---@field max_conns integer 0: any number
---@field fail_timeout integer seconds
---@field accessed? integer when it was asked last, in seconds since the epoch; nil: never
---@field checked? integer when the period of counting failures began, likewise
---@field down? boolean true or nil

--- The names of all groups that have an `upstream` block.
---@return string[] names
_M.get_upstreams = raw.get_upstreams

--- What the `server` lines of a group say.
---@param upstream_name string
---@return ngx.upstream.server[]? servers
---@return string? err
_M.get_servers = raw.get_servers

--- The peers that are asked first.
---@param upstream_name string
---@return ngx.upstream.peer[]? peers
---@return string? err
_M.get_primary_peers = raw.get_primary_peers

--- The peers that are asked when no primary is left.
---@param upstream_name string
---@return ngx.upstream.peer[]? peers
---@return string? err
_M.get_backup_peers = raw.get_backup_peers

--- Takes a peer out of the choice, or back into it.
---@param upstream_name string
---@param is_backup boolean
---@param peer_id integer from 0, the field `id`
---@param down_value boolean true: it is not asked any more
---@return boolean? ok
---@return string? err
_M.set_peer_down = raw.set_peer_down

--- The group, or the host, that the current request is passed to.
---@return string? name nil when it is not passed on (yet)
_M.current_upstream_name = raw.current_upstream_name

return _M
