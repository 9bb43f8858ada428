# resty.cors: what pages of which origins get.
use lib 't/lib';
use Bulan::Test;

run_tests();

__DATA__

=== TEST 1: requests of pages
--- http_config
init_by_lua_block {
    policy = require("resty.cors").new {
        origins = { "https://app.example.com", "https://*.example.org" }, methods = { "GET", "DELETE" },
        headers = { "X-A", "X-B" }, expose = { "X-Total" }, credentials = true, max_age = 600,
    }
}
--- config
location / {
    access_by_lua_block { policy:run() }
    content_by_lua_block { ngx.say("hello") }
}
--- perl
my $field = sub { my ($r, $name) = @_; return $r->{headers}{$name} && join '|', @{ $r->{headers}{$name} } };
my %wanted = (
    'https://app.example.com' => 1, 'https://a.b.example.org' => 1, 'HTTPS://A.EXAMPLE.ORG' => 1, 'https://example.org' => 0,
    'https://app.example.com.evil.net' => 0, 'https://evilexample.org' => 0, 'http://app.example.com' => 0, 'null' => 0,
    'https://x/.example.org' => 0,
);
for my $origin (sort keys %wanted) {
    my $client = $server->connect;
    $client->send("GET / HTTP/1.1\r\nHost: x\r\nOrigin: $origin\r\n\r\n");
    my $r = $client->response;
    is $r->{body}, "hello\n", "$origin: served";
    is $field->($r, 'access-control-allow-origin'), $wanted{$origin} ? $origin : undef, "$origin: allowed or not";
    is $field->($r, 'access-control-allow-credentials'), $wanted{$origin} ? 'true' : undef, "$origin: credentials";
    is $field->($r, 'access-control-expose-headers'), $wanted{$origin} ? 'X-Total' : undef, "$origin: fields to read";
    is $field->($r, 'vary'), 'Origin', "$origin: caches keep it apart";
    $client->send("OPTIONS / HTTP/1.1\r\nHost: x\r\nOrigin: $origin\r\nAccess-Control-Request-Method: DELETE\r\n\r\n");
    $r = $client->response;
    is $r->{status}, 204, "$origin: preflight";
    is $field->($r, 'access-control-allow-methods'), $wanted{$origin} ? 'GET, DELETE' : undef, "$origin: methods";
    is $field->($r, 'access-control-allow-headers'), $wanted{$origin} ? 'X-A, X-B' : undef, "$origin: fields";
    is $field->($r, 'access-control-max-age'), $wanted{$origin} ? '600' : undef, "$origin: age";
}
my $client = $server->connect;
$client->send("OPTIONS / HTTP/1.1\r\nHost: x\r\nOrigin: https://app.example.com\r\n\r\n");
is $client->response->{body}, "hello\n", 'OPTIONS that is no preflight';
$client->send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
my $r = $client->response;
ok !exists $r->{headers}{'access-control-allow-origin'} && $field->($r, 'vary') eq 'Origin', 'no page';



=== TEST 2: everybody; whichever fields are asked for; the server's policy; what is refused
--- http_config
init_by_lua_block {
    policy = require("resty.cors").new { origins = { "*" }, headers = { "*" } }
    cors = require "resty.cors"
    cors.allow_host([[.*\.example\.com]])
    cors.allow_method("GET")
    cors.expose_header("X-One")
    cors.expose_header("X-Two")
    cors.max_age(7200)
    cors.allow_credential(false)
    refused = { pcall(cors.new, { origins = { "*" }, credentials = true }) }
}
--- config
location /all { access_by_lua_block { policy:run() } content_by_lua_block { ngx.say(tostring(refused[1]), refused[2]:match("can't be allowed")) } }
location /old { access_by_lua_block { cors.run() } content_by_lua_block { ngx.say("old") } }
--- perl
my $field = sub { my ($r, $name) = @_; return $r->{headers}{$name} && join '|', @{ $r->{headers}{$name} } };
my $client = $server->connect;
$client->send("GET /all HTTP/1.1\r\nHost: x\r\nOrigin: https://any\r\n\r\n");
my $r = $client->response;
is $field->($r, 'access-control-allow-origin'), '*', 'everybody';
is $r->{body}, "falsecan't be allowed\n", 'not with credentials';
$client->send("OPTIONS /all HTTP/1.1\r\nHost: x\r\nOrigin: https://any\r\nAccess-Control-Request-Method: PUT\r\nAccess-Control-Request-Headers: x-q, x-r\r\n\r\n");
is $field->($client->response, 'access-control-allow-headers'), 'x-q, x-r', 'fields';
$client->send("GET /old HTTP/1.1\r\nHost: x\r\nOrigin: http://a.example.com:8080\r\n\r\n");
$r = $client->response;
is $field->($r, 'access-control-allow-origin'), 'http://a.example.com:8080', 'by host';
is $field->($r, 'access-control-expose-headers'), 'X-One, X-Two', 'fields to read';
$client->send("GET /old HTTP/1.1\r\nHost: x\r\nOrigin: http://a.example.com.evil\r\n\r\n");
ok !exists $client->response->{headers}{'access-control-allow-origin'}, 'another host';
