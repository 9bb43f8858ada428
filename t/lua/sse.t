# resty.sse: streams to pages and from servers.
use lib 't/lib';
use Bulan::Test;

run_tests();

__DATA__

=== TEST 1: what is sent
--- config
location / {
    content_by_lua_block {
        local stream = assert(require("resty.sse").new { retry = 500, headers = { ["X-A"] = "b" } })
        assert(stream:send("plain"))
        assert(stream:send { event = "chat", id = 7, data = "two\r\nlines\rthree\n" })
        assert(stream:send { id = "only" })
        assert(stream:heartbeat())
        local ok, err = pcall(stream.send, stream, { event = "a\ndata: forged", data = "x" })
        stream:send { data = tostring(ok) .. err:match("event must.*") .. tostring(stream.last_event_id), retry = 9 }
    }
}
--- more_headers
Last-Event-ID: 41
--- request
GET /
--- response_headers
Content-Type: text/event-stream; charset=utf-8
Cache-Control: no-cache
X-Accel-Buffering: no
X-A: b
--- response_body eval
"retry: 500\n\n" . "data: plain\n\n" . "event: chat\nid: 7\ndata: two\ndata: lines\ndata: three\ndata: \n\n" . "id: only\n\n" . ":\n\n"
    . "retry: 9\ndata: falseevent must be one line41\n\n"



=== TEST 2: events reach the client one by one, and a client that goes ends the stream
--- http_config
lua_shared_dict d 1m;
--- config
location /events {
    content_by_lua_block {
        local stream = assert(require("resty.sse").new())
        local n = 0
        while true do
            n = n + 1
            local ok, err = stream:send { data = n }
            if not ok then return ngx.shared.d:set("err", tostring(err)) end
            ngx.sleep(0.005)
        end
    }
}
location /err { content_by_lua_block { ngx.say(ngx.shared.d:get("err")) } }
--- perl
my $client = $server->connect;
$client->send("GET /events HTTP/1.1\r\nHost: x\r\n\r\n");
like $client->take(qr/data: 3\n/, time + 5), qr/data: 1\n\n.*data: 2\n\n/s, 'three events';
$client->close;
ok Bulan::Test::Process::wait_until(5, sub { $server->get('/err')->{body} !~ /nil/ }), 'noticed';
like $server->get('/err')->{body}, qr/^(nginx: )?(client aborted|closed|connection reset|broken pipe)?/i, 'and said';



=== TEST 3: the parser, fed whole and byte by byte
--- config
location / {
    content_by_lua_block {
        local sse = require "resty.sse"
        local text = "\239\187\191: comment\r\ndata: a\r\ndata:b\r\n\r\nevent: e\rid: 1\rdata\r\rdata:  two\n\nid: x\0y\ndata: z\n\nretry: 77\nunknown: q\n\n"
            .. "event: none\n\ndata: last\nid\n\ndata: cut"
        local function show(events, out)
            for _, e in ipairs(events) do out[#out + 1] = e.type .. "(" .. e.id .. ")=" .. e.data:gsub("\n", "|") end
        end
        local whole, bytes = {}, {}
        local p = sse.parser()
        show(assert(p:feed(text)), whole)
        ngx.say(table.concat(whole, "; "), " ", p.retry)
        p = sse.parser()
        for i = 1, #text do show(assert(p:feed(text:sub(i, i))), bytes) end
        ngx.say(table.concat(whole) == table.concat(bytes))
        ngx.say(sse.parser():feed(("x"):rep(2000000)))
        p = sse.parser()
        local events, err
        repeat events, err = p:feed("data: " .. ("y"):rep(1000) .. "\n") until not events
        ngx.say(err)
        p = sse.parser()
        local n = 0
        repeat
            events, err = p:feed(("data\n"):rep(1000))
            n = n + 1
        until not events or n > 2000
        ngx.say(err)
        ngx.say(#sse.parser():feed("data: a\r\r"), " ", #sse.parser():feed("data: a\r\n\r"))
        p = sse.parser()
        p:feed("data: a\r")
        ngx.say(#p:feed("\n"), " ", #p:feed("\n"))
        -- A long line in small pieces takes no longer than its length.
        p = sse.parser()
        local begun = os.clock()
        for _ = 1, 1000000 do assert(p:feed("x")) end
        ngx.say(os.clock() - begun < 30)
    }
}
--- request
GET /
--- response_body
message()=a|b; e(1)=; message(1)= two; message(1)=z; message()=last 77
true
nilevent too long
event too long
event too long
1 1
0 1
true



=== TEST 4: from a server
--- config
location /events {
    content_by_lua_block {
        local stream = assert(require("resty.sse").new { retry = 10 })
        stream:send { data = "from " .. tostring(stream.last_event_id), id = 1 }
        stream:send { event = "x", data = ngx.var.args .. " " .. tostring(ngx.var.http_x_more) }
    }
}
location /text { return 200 "no events"; }
location = / {
    content_by_lua_block {
        local sse = require "resty.sse"
        local base = "http://127.0.0.1:" .. ngx.var.server_port
        local events = assert(sse.connect(base .. "/events?a=b", { last_event_id = "5", headers = { ["X-More"] = "yes" } }))
        local a, b = events:next(), events:next()
        ngx.say(a.type, " ", a.id, " ", a.data, "; ", b.type, " ", b.data, "; ", events.retry)
        ngx.say(events:next())
        events:close()
        ngx.say(sse.connect(base .. "/text"))
        ngx.say(sse.connect(base .. "/none"))
        ngx.say((sse.connect("http://127.0.0.1:1/")))
    }
}
--- request
GET /
--- response_body
message 1 from 5; x a=b yes; 10
nilclosed
nilnot a stream of events: status 200
nilnot a stream of events: status 404
nil
--- error_log
Connection refused



=== TEST 5: a stream that only the end of the connection ends; fields that are there twice
--- config
location = /open {
    content_by_lua_block {
        local sock = assert(ngx.req.socket(true))
        sock:send("HTTP/1.1 200 OK\r\nContent-Type: Text/Event-Stream\r\n\r\ndata: at once\n\n")
        sock:receive("*l")
    }
}
location = /twice {
    content_by_lua_block {
        local sock = assert(ngx.req.socket(true))
        sock:send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Type: text/html\r\n\r\n")
    }
}
location = / {
    content_by_lua_block {
        local sse = require "resty.sse"
        local base = "http://127.0.0.1:" .. ngx.var.server_port
        local events = assert(sse.connect(base .. "/open", { timeout = 5000 }))
        ngx.say(events:next().data)
        events:close()
        ngx.say(sse.connect(base .. "/twice"))
    }
}
--- request
GET /
--- response_body
at once
nilnot a stream of events: status 200
