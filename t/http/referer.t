# valid_referers and $invalid_referer.
use lib 't/lib';
use Bulan::Test;

run_tests();

__DATA__

=== TEST 1: hosts, wildcards, paths, expressions, words
--- config
valid_referers none blocked server_names *.one.org two.* three.org/a/ ~\.four\.;
location / { return 200 "[$invalid_referer]"; }
location /t {
    content_by_lua_block {
        for _, from in ipairs { "", "nonsense", "http://localhost/x", "http://www.one.org/x",
                                "https://one.org", "http://two.com:80/", "http://Three.ORG/a/b",
                                "http://three.org/b", "http://x.four.y", "http://five.org" } do
            ngx.req.set_header("Referer", from ~= "" and from or nil)
            ngx.say(from, " ", ngx.location.capture("/x").body)
        end
    }
}
--- request
GET /t
--- response_body
 []
nonsense []
http://localhost/x []
http://www.one.org/x []
https://one.org [1]
http://two.com:80/ []
http://Three.ORG/a/b []
http://three.org/b [1]
http://x.four.y []
http://five.org [1]



=== TEST 2: without the directive everybody is welcome; a list of one's own replaces the outer one
--- config
location /open { return 200 "[$invalid_referer]"; }
location /outer {
    valid_referers none a.org;
    location /outer/same { return 200 "[$invalid_referer]"; }
    location /outer/own {
        valid_referers b.org;
        return 200 "[$invalid_referer]";
    }
}
--- request eval
['GET /open', 'GET /outer/same', 'GET /outer/own', 'GET /outer/own', 'GET /outer/same']
--- more_headers eval
['Referer: http://x/', '', '', 'Referer: http://b.org', 'Referer: http://b.org']
--- response_body eval
['[]', '[]', '[1]', '[]', '[1]']



=== TEST 3: a wildcard in the middle
--- config
location / { valid_referers a.*.org; }
--- must_die
--- error_log
invalid host name or wildcard "a.*.org"
