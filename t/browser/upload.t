# resty.upload and what Chromium makes of a form.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Bulan::Test::Browser qw(page run_script);
use Bulan::Test::Server;

plan skip_all => 'make check-browser runs this' if !Bulan::Test::Browser::available();

my $server = Bulan::Test::Server->new(
    log_level => 'info',
    files     => { 'upload.html' => page('upload.html') },
    config    => <<'CONFIG')->start;
client_max_body_size 8m;
location = /favicon.ico { return 204; }
location = /upload {
    default_type application/json;
    content_by_lua_block {
        local md5 = require "resty.md5"
        local upload = require "resty.upload"
        local to_hex = require("resty.string").to_hex
        local form = assert(upload:new(8192))
        form:set_timeout(5000)
        local parts, part = {}, nil
        repeat
            local what, data, err = form:read()
            if not what then
                return ngx.log(ngx.ERR, "upload: ", err)
            elseif what == "header" then
                part = part or { size = 0, md5 = md5:new() }
                if data[1] == "Content-Disposition" then
                    part.name, part.filename, part.given = upload.disposition(data[2])
                elseif data[1] == "Content-Type" then
                    part.type = data[2]
                end
            elseif what == "body" then
                part.size = part.size + #data
                part.md5:update(data)
            elseif what == "part_end" then
                part.md5 = to_hex(part.md5:final())
                parts[#parts + 1], part = part, nil
            end
        until what == "eof"
        ngx.say(require("cjson").encode(parts))
    }
}
CONFIG

run_script('upload.js', "http://127.0.0.1:$server->{port}");
$server->stop;

done_testing;
