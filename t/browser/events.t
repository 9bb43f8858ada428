# resty.sse and Chromium's EventSource: events, and coming back when the stream ends.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Bulan::Test::Browser qw(page run_script);
use Bulan::Test::Server;

plan skip_all => 'make check-browser runs this' if !Bulan::Test::Browser::available();

my $server = Bulan::Test::Server->new(
    log_level => 'info',
    files     => { 'events.html' => page('events.html') },
    config    => <<'CONFIG')->start;
location = /events {
    content_by_lua_block {
        local came_with = ngx.var.http_last_event_id
        ngx.log(ngx.NOTICE, "came with ", came_with)
        if came_with == "6" then
            return ngx.exit(204) -- do not come back
        end
        local stream = assert(require("resty.sse").new { retry = 10 })
        local last = tonumber(stream.last_event_id) or 0
        stream:heartbeat()
        for id = last + 1, last + 2 do
            stream:send { event = "count", id = id, data = "number " .. id }
        end
        stream:send { id = last + 3, data = "two lines,\nand a ☾" }
    }
}
CONFIG

run_script('events.js', "http://127.0.0.1:$server->{port}");
is_deeply [$server->log =~ /came with (\w+)/g], [qw(nil 3 6)], 'Last-Event-ID says where the page was';
$server->stop;

done_testing;
