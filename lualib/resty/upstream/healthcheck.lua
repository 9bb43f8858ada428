--- resty.upstream.healthcheck: asks the servers of an upstream group whether they are well, and takes
-- those that are not out of the choice.
--
--     -- lua_shared_dict healthcheck 1m;
--     init_worker_by_lua_block {
--         local hc = require "resty.upstream.healthcheck"
--         local ok, err = hc.spawn_checker {
--             shm = "healthcheck",
--             upstream = "backend",
--             type = "http",
--             http_req = "GET /status HTTP/1.0\r\nHost: backend\r\n\r\n",
--             interval = 2000,
--             timeout = 1000,
--             fall = 3,
--             rise = 2,
--             valid_statuses = { 200, 302 },
--         }
--         if not ok then ngx.log(ngx.ERR, "no health checker: ", err) end
--     }
--     location = /status {
--         content_by_lua_block { ngx.print(require("resty.upstream.healthcheck").status_page()) }
--     }
--
-- Call spawn_checker() in `init_worker_by_lua`, once for each group. In each interval one of the
-- workers asks all peers, primaries and backups. After `fall` failures in a row a peer is down,
-- after `rise` successes in a row it is up again; both are logged (warn). What is known is kept in
-- the dictionary: it holds for all workers, the others hear of a change at once
-- (`ngx.worker.events`), and outlives workers and reloads.
--
-- A failure is: no connection, no TLS or a bad certificate, no status line within `timeout`, or a
-- status that is not in `valid_statuses`.
--
-- Errors of spawn_checker() are nil and a message: which option is missing or bad, "no memory".

local events = require "ngx.worker.events"
local upstream = require "ngx.upstream"

local ngx = ngx
local shared, tcp = ngx.shared, ngx.socket.tcp
local concat = table.concat
local find, format, gsub, match, sub = string.find, string.format, string.gsub, string.match, string.sub
local error, ipairs, pairs, pcall, tonumber, tostring, type =
    error, ipairs, pairs, pcall, tonumber, tostring, type
local min = math.min

local CHANNEL = "resty.upstream.healthcheck"
local STATUS_LINE_MAX = 1024

local _M = { _VERSION = "0.08" }

local checkers = {} -- group -> its checkers in this worker

---@class resty.upstream.healthcheck.options
---@field shm string the name of a lua_shared_dict
---@field upstream string the name of the group
---@field type string "http", "https" or "tcp"
---@field http_req? string the bytes of the request; not for "tcp"
---@field port? integer that is asked instead of the peer's
---@field interval? number milliseconds between two checks; 1000, at least 2
---@field timeout? number milliseconds of each step of a check; 1000
---@field fall? integer failures until a peer is down; 5
---@field rise? integer successes until it is up; 2
---@field valid_statuses? integer[] statuses of those that are well; without it all are
---@field concurrency? integer peers that are asked at a time; 1
---@field ssl_verify? boolean false: any certificate is good
---@field host? string name that TLS asks for, and that the certificate must have

-- ---------------------------------------------------------------- one check

-- The host and port that are asked, of a peer's name.
local function target_of(checker, name)
    if sub(name, 1, 5) == "unix:" then
        return name
    end
    local host, port = match(name, "^(.*):(%d+)$")
    return host, checker.port or tonumber(port)
end

-- What was received up to the first line end; not more than a status line can have.
local function receive_line(sock)
    local got = ""
    while not find(got, "\n", 1, true) do
        if #got >= STATUS_LINE_MAX then
            return nil, "no line"
        end
        local data, err = sock:receiveany(STATUS_LINE_MAX)
        if not data then
            return nil, err
        end
        got = got .. data
    end
    return match(got, "^[^\r\n]*")
end

local function ask(checker, sock)
    if checker.type == "https" then
        local ok, err = sock:sslhandshake(nil, checker.host, checker.ssl_verify)
        if not ok then
            return nil, "failed to do SSL handshake: " .. err
        end
    end
    if checker.type == "tcp" then
        return true
    end
    local sent, err = sock:send(checker.http_req)
    if not sent then
        return nil, "failed to send request: " .. err
    end
    local line
    line, err = receive_line(sock)
    if not line then
        return nil, "failed to receive status line: " .. err
    end
    local status = tonumber(match(line, "^HTTP/%d+%.?%d* (%d%d%d)"))
    if not status then
        return nil, "bad status line"
    elseif checker.statuses and not checker.statuses[status] then
        return nil, "bad status code: " .. status
    end
    return true
end

local function is_well(checker, name)
    local sock = tcp()
    sock:settimeout(checker.timeout)
    local host, port = target_of(checker, name)
    local ok, err
    if port then
        ok, err = sock:connect(host, port)
    else
        ok, err = sock:connect(host)
    end
    if not ok then
        return nil, "failed to connect: " .. err
    end
    ok, err = ask(checker, sock)
    sock:close()
    return ok, err
end

-- ---------------------------------------------------------------- what is known

local function key_of(checker, kind, name)
    return kind .. ":" .. checker.upstream .. (name and ":" .. name or "")
end

-- Calls f(peer, is_backup) for all peers.
local function each_peer(group, f)
    for _, peer in ipairs(upstream.get_primary_peers(group) or {}) do
        f(peer, false)
    end
    for _, peer in ipairs(upstream.get_backup_peers(group) or {}) do
        f(peer, true)
    end
end

-- What the dictionary knows about the peers becomes true in this worker.
local function apply(checker)
    each_peer(checker.upstream, function(peer, is_backup)
        local down = checker.dict:get(key_of(checker, "d", peer.name))
        if down ~= nil then
            upstream.set_peer_down(checker.upstream, is_backup, peer.id, down)
        end
    end)
end

local function apply_news(checker)
    local version = checker.dict:get(key_of(checker, "v")) or 0
    if version ~= checker.version then
        checker.version = version
        apply(checker)
    end
end

local function turn(checker, peer, is_backup, down, times)
    local dict = checker.dict
    local ok, err = dict:set(key_of(checker, "d", peer.name), down)
    if not ok then
        ngx.log(ngx.ERR, "healthcheck: failed to store the state of a peer: ", err)
    end
    ngx.log(ngx.WARN, "healthcheck: peer ", peer.name, " of upstream ", checker.upstream, " is turned ",
        down and "down" or "up", " after ", times, down and " failure(s)" or " success(es)")
    upstream.set_peer_down(checker.upstream, is_backup, peer.id, down)
    checker.version = dict:incr(key_of(checker, "v"), 1, 0)
    pcall(events.publish, CHANNEL, checker.upstream, "others")
end

-- One more result in a row; of the other kind there is none in a row any more.
local function count(checker, kind, other, name)
    checker.dict:delete(key_of(checker, other, name))
    return checker.dict:incr(key_of(checker, kind, name), 1, 0) or 1
end

local function check_peer(checker, peer, is_backup)
    local ok, err = is_well(checker, peer.name)
    if ok then
        local times = count(checker, "ok", "nok", peer.name)
        if peer.down and times >= checker.rise then
            turn(checker, peer, is_backup, false, times)
        end
        return
    end
    local times = count(checker, "nok", "ok", peer.name)
    if not peer.down then
        ngx.log(ngx.ERR, "healthcheck: peer ", peer.name, " of upstream ", checker.upstream, ": ", err)
        if times >= checker.fall then
            turn(checker, peer, is_backup, true, times)
        end
    end
end

-- ---------------------------------------------------------------- all of them, again and again

local function work(checker, open)
    while open.next < #open do
        open.next = open.next + 1
        local each = open[open.next]
        check_peer(checker, each.peer, each.is_backup)
    end
end

local function check_all(checker)
    local open = { next = 0 }
    each_peer(checker.upstream, function(peer, is_backup)
        open[#open + 1] = { peer = peer, is_backup = is_backup }
    end)
    local threads = {}
    for i = 2, min(checker.concurrency, #open) do
        threads[i - 1] = ngx.thread.spawn(work, checker, open)
    end
    work(checker, open)
    for _, thread in ipairs(threads) do
        ngx.thread.wait(thread)
    end
end

-- True for one worker in each interval.
local function is_ours(checker)
    local ok, err = checker.dict:add(key_of(checker, "l"), true, checker.interval - 0.001)
    if not ok and err ~= "exists" then
        ngx.log(ngx.ERR, "healthcheck: failed to add the lock of upstream ", checker.upstream, ": ", err)
    end
    return ok
end

local function tick(premature, checker)
    if premature then
        return
    end
    apply_news(checker)
    if is_ours(checker) then
        local ok, err = pcall(check_all, checker)
        if not ok then
            ngx.log(ngx.ERR, "healthcheck: failed to run a check of upstream ", checker.upstream, ": ", err)
        end
    end
    local ok, err = ngx.timer.at(checker.interval, tick, checker)
    if not ok and err ~= "process exiting" then
        ngx.log(ngx.ERR, "healthcheck: failed to create timer: ", err)
    end
end

-- ---------------------------------------------------------------- public

local function number_of(opts, name, default, least)
    local value = opts[name]
    if value == nil then
        return default
    elseif type(value) ~= "number" or value < least then
        return nil, 'bad "' .. name .. '" option: ' .. tostring(value)
    end
    return value
end

-- Options that are numbers: without them, and at least.
local numbers = {
    interval = { 1000, 2 },
    timeout = { 1000, 1 },
    fall = { 5, 1 },
    rise = { 2, 1 },
    concurrency = { 1, 1 },
}

local function statuses_of(list)
    if list == nil then
        return nil
    end
    local statuses = {}
    for _, status in ipairs(list) do
        statuses[status] = true
    end
    return statuses
end

local function checker_of(opts)
    local kind = opts.type
    if not kind then
        return nil, '"type" option required'
    elseif kind ~= "http" and kind ~= "https" and kind ~= "tcp" then
        return nil, 'only "http", "https" and "tcp" types are supported'
    elseif kind ~= "tcp" and type(opts.http_req) ~= "string" then
        return nil, '"http_req" option required'
    elseif type(opts.shm) ~= "string" then
        return nil, '"shm" option required'
    elseif not shared[opts.shm] then
        return nil, 'shm "' .. opts.shm .. '" not found'
    elseif type(opts.upstream) ~= "string" then
        return nil, 'no upstream specified'
    end
    local port = opts.port
    if port ~= nil and (type(port) ~= "number" or port < 1 or port > 65535) then
        return nil, 'bad "port" option: ' .. tostring(port)
    end
    local checker = {
        type = kind, http_req = opts.http_req, port = port, host = opts.host, upstream = opts.upstream,
        ssl_verify = opts.ssl_verify ~= false, dict = shared[opts.shm],
        statuses = statuses_of(opts.valid_statuses), version = 0,
    }
    for name, row in pairs(numbers) do
        local value, err = number_of(opts, name, row[1], row[2])
        if not value then
            return nil, err
        end
        checker[name] = value
    end
    checker.interval = checker.interval / 1000
    return checker
end

--- Begins to check the peers of a group.
---@param opts resty.upstream.healthcheck.options
---@return boolean? ok
---@return string? err
function _M.spawn_checker(opts)
    if type(opts) ~= "table" then
        error("bad options: a table expected", 2)
    end
    local checker, err = checker_of(opts)
    if not checker then
        return nil, err
    end
    local peers
    peers, err = upstream.get_primary_peers(checker.upstream)
    if not peers then
        return nil, "failed to get primary peers: " .. err
    end
    apply_news(checker)
    local ok
    ok, err = ngx.timer.at(0, tick, checker)
    if not ok then
        return nil, "failed to create timer: " .. err
    end
    events.subscribe(CHANNEL, function(group)
        if group == checker.upstream then
            apply_news(checker)
        end
    end)
    checkers[checker.upstream] = (checkers[checker.upstream] or 0) + 1
    return true
end

local function put_peers(lines, title, peers)
    lines[#lines + 1] = "    " .. title .. " Peers\n"
    for _, peer in ipairs(peers) do
        lines[#lines + 1] = "        " .. peer.name .. (peer.down and " DOWN\n" or " UP\n")
    end
end

--- All groups and their peers, as text for people.
---@return string page
---@return string? err
function _M.status_page()
    local pages = {}
    for i, name in ipairs(upstream.get_upstreams()) do
        local lines = { "Upstream " .. name .. (checkers[name] and "\n" or " (NO checkers)\n") }
        put_peers(lines, "Primary", upstream.get_primary_peers(name))
        put_peers(lines, "Backup", upstream.get_backup_peers(name))
        pages[i] = concat(lines)
    end
    return concat(pages, "\n")
end

local function escape(value)
    return (gsub(value, '[\\"]', "\\%0"))
end

local function put_states(lines, labels, states, now, tail)
    for _, state in ipairs(states) do
        lines[#lines + 1] = format('nginx_upstream_status_info{%s,status="%s"%s} %d\n', labels, state, tail,
            state == now and 1 or 0)
    end
end

local function put_endpoints(lines, name, peers, role)
    local well = false
    for _, peer in ipairs(peers) do
        local labels = format('name="%s",endpoint="%s"', escape(name), escape(peer.name))
        put_states(lines, labels, { "UP", "DOWN" }, peer.down and "DOWN" or "UP", ',role="' .. role .. '"')
        well = well or not peer.down
    end
    return well
end

--- All groups and their peers, in the text format of Prometheus: the gauge
-- `nginx_upstream_status_info` is 1 for the status that a group or a peer has, 0 for the others. A
-- group is UP when one of its peers is, UNKNOWN when it has no checker.
---@return string page
---@return string? err
function _M.prometheus_status_page()
    local lines = {
        "# HELP nginx_upstream_status_info The status of upstream groups and their peers.\n",
        "# TYPE nginx_upstream_status_info gauge\n",
    }
    for _, name in ipairs(upstream.get_upstreams()) do
        local status, own = "UNKNOWN", {}
        if checkers[name] then
            local well = put_endpoints(own, name, upstream.get_primary_peers(name), "PRIMARY")
            well = put_endpoints(own, name, upstream.get_backup_peers(name), "BACKUP") or well
            status = well and "UP" or "DOWN"
        end
        put_states(lines, 'name="' .. escape(name) .. '"', { "UP", "DOWN", "UNKNOWN" }, status, "")
        lines[#lines + 1] = concat(own)
    end
    return concat(lines)
end

return _M
