# resty.websocket.server and Chromium's WebSocket.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Bulan::Test::Browser qw(page run_script);
use Bulan::Test::Server;

plan skip_all => 'make check-browser runs this' if !Bulan::Test::Browser::available();

my $server = Bulan::Test::Server->new(
    log_level => 'info',
    files     => { 'websocket.html' => page('websocket.html') },
    config    => <<'CONFIG')->start;
location = /talk {
    log_by_lua_block {
        ngx.log(ngx.NOTICE, "talk ", ngx.var.arg_name, " sent ", ngx.var.bytes_sent, " got ", ngx.var.request_length)
    }
    content_by_lua_block {
        local server = require "resty.websocket.server"
        local deflate = {
            plain = false, takeover = { context_takeover = true }, window = { window_bits = 10 },
        }
        local wb = assert(server:new {
            timeout = 20000, max_payload_len = 2 ^ 22,
            permessage_deflate = deflate[ngx.var.arg_name] == nil or deflate[ngx.var.arg_name],
        })
        local commands = {
            fragments = function()
                wb:send_frame(false, 1, ("one, "):rep(1000))
                wb:send_ping("between")
                wb:send_frame(false, 0, "two, ")
                wb:send_frame(true, 0, "three")
            end,
            ping = function() wb:send_ping("are you there?") end,
            bye = function() wb:send_close(4000, "that was all") end,
        }
        local kind, parts
        while true do
            local data, typ, err = wb:recv_frame()
            if not data then
                return ngx.log(ngx.ERR, "talk failed: ", err)
            elseif typ == "close" then
                ngx.log(ngx.NOTICE, "talk ", ngx.var.arg_name, " closed: ", err, " ", data)
                return wb:send_close(err, data)
            elseif typ == "pong" then
                wb:send_text("pong: " .. data)
            else
                if typ ~= "continuation" then
                    kind, parts = typ, {}
                end
                parts[#parts + 1] = data
                if err ~= "again" then
                    local message = table.concat(parts)
                    if commands[message] then
                        commands[message]()
                    else
                        wb["send_" .. kind](wb, message)
                    end
                end
            end
        end
    }
}
CONFIG

run_script('websocket.js', "http://127.0.0.1:$server->{port}");

# What went over the wire, in bytes, when a megabyte of one letter came and went.
sub bytes { return $server->wait_log(qr/talk $_[0] sent/) =~ / sent (\d+)/ ? $1 : -1 }
cmp_ok bytes('deflate'), '<', 20_000, 'with permessage-deflate a megabyte of one letter is little';
cmp_ok bytes('plain'), '>', 1_000_000, '… and a megabyte without';
cmp_ok bytes('repeated'), '>', 10 * 8_000, 'ten times the same noise is ten times as much';
cmp_ok bytes('takeover'), '<', 2 * 8_000, '… but not when each message remembers those before';

ok $server->wait_log(qr/talk $_/), "the server heard: $_" for 'code closed: 3001 I have to go', 'none closed:';
unlike $server->log, qr/talk failed/, 'no conversation failed';
$server->stop;

done_testing;
