-- resty.redis.cluster and .sentinel: what nodes say of each other. Whatever it is, there is a result or a reason.
local fuzz = require "fuzz"

-- Everything is asked of the one server, whatever the address.
local address
local tcp = ngx.socket.tcp
ngx.socket.tcp = function()
    local sock = tcp()
    return setmetatable({}, { __index = function(_, name)
        return function(_, ...)
            if name == "connect" then
                local host, port = ...
                assert(type(host) == "string" and type(port) == "number", "a bad address")
                if port < 0 or port > 65535 then
                    return nil, "bad port number"
                end
                return sock:connect(address)
            end
            return sock[name](sock, ...)
        end
    end })
end

-- Between tries there is a pause.
local sleep = ngx.sleep
ngx.sleep = function(seconds) return sleep(math.min(seconds, 0.001)) end

local cluster = require "resty.redis.cluster"
local sentinel = require "resty.redis.sentinel"

local NODE = "*3\r\n$9\r\n127.0.0.1\r\n:7000\r\n$1\r\na\r\n"
local SLOTS = "*1\r\n*3\r\n:0\r\n:16383\r\n" .. NODE

-- What one connection gets after the other, with "=" between.
local corpus = {
    SLOTS .. "=$1\r\nv\r\n", "*2\r\n*4\r\n:0\r\n:8000\r\n" .. NODE .. NODE .. "*3\r\n:8001\r\n:16383\r\n" .. NODE .. "=+OK\r\n",
    SLOTS .. "=-MOVED 866 127.0.0.1:7001\r\n=+OK\r\n", SLOTS .. "=-ASK 866 :7001\r\n=+OK\r\n+OK\r\n", SLOTS .. "=-CLUSTERDOWN x\r\n", "*0\r\n",
    "-ERR no\r\n", "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$1\r\n?\r\n:7000\r\n$-1\r\n", "*-1\r\n", ":5\r\n", "+OK\r\n", "%1\r\n+a\r\n,nan\r\n",
    "*2\r\n$9\r\n127.0.0.1\r\n$4\r\n6379\r\n=*3\r\n$6\r\nmaster\r\n:5\r\n*0\r\n", "*2\r\n$9\r\n127.0.0.1\r\n$5\r\n99999\r\n",
    "*1\r\n*6\r\n$2\r\nip\r\n$9\r\n127.0.0.1\r\n$4\r\nport\r\n$4\r\n6380\r\n$5\r\nflags\r\n$5\r\nslave\r\n=*1\r\n$5\r\nslave\r\n",
    "*1\r\n*2\r\n,nan\r\n:1\r\n", SLOTS .. "=-MOVED 99999 127.0.0.1:99999\r\n",
}

local round = 0

local function ask_cluster(path)
    address, round = path, round + 1
    local red = assert(cluster:new {
        name = "fuzz" .. round % 7, serv_list = { { ip = "127.0.0.1", port = 7000 } }, max_redirection = 2, connect_timeout = fuzz.impatience,
        read_timeout = fuzz.impatience, send_timeout = fuzz.impatience, keepalive_timeout = 10, max_connection_attempts = 1,
    })
    local value, err = red:get("key")
    assert(value ~= nil or type(err) == "string", "no reason")
end

local function ask_sentinel(path)
    address = path
    local red, err = sentinel.new {
        sentinels = { { host = "127.0.0.1", port = 26379 } }, master_name = "m" .. fuzz.random(3), role = fuzz.pick { "master", "slave", "any" },
        connect_timeout = fuzz.impatience, read_timeout = fuzz.impatience, send_timeout = fuzz.impatience,
    }
    assert(red, err)
    local connected, why = red:connect()
    assert(connected or type(why) == "string", "no reason")
end

fuzz.run {
    name = "cluster",
    corpus = corpus,
    check = function(bytes)
        local all = {}
        for each in bytes:gmatch("[^=]*") do
            all[#all + 1] = each
        end
        fuzz.exchange(all, fuzz.random(2) == 1 and ask_cluster or ask_sentinel)
    end,
}
