# resty.http against another server: Debian's nginx, where it is installed.
use strict;
use warnings;
use lib 't/lib';
use File::Temp ();
use Test::More;
use Bulan::Test::Command;
use Bulan::Test::Port 'free_port';
use Bulan::Test::Process 'wait_port';
use Bulan::Test::Tls;

my $nginx = '/usr/sbin/nginx';
plan skip_all => "no $nginx" if !-x $nginx;

my $folder = File::Temp->newdir('bulan-other-XXXXXX', TMPDIR => 1);
my ($port, $secure) = (free_port(), free_port());
my $tls  = Bulan::Test::Tls->new;
my $good = $tls->certificate('good.test');
my $ca   = $tls->authority->{cert};

sub write_file {
    my ($name, $text) = @_;
    open my $out, '>', "$folder/$name" or die "$name: $!";
    print $out $text;
    close $out;
}
write_file('big.txt', join '', map { "line $_ of a file that is compressed\n" } 1 .. 20_000);
write_file('empty.txt', '');
write_file('nginx.conf', <<"CONF");
daemon off; master_process off; pid $folder/pid; error_log $folder/error.log;
events {}
http {
    access_log off;
    client_body_temp_path $folder/body; proxy_temp_path $folder/proxy; fastcgi_temp_path $folder/f; uwsgi_temp_path $folder/u; scgi_temp_path $folder/s;
    types { text/plain txt; }
    gzip on; gzip_types text/plain; gzip_http_version 1.0; keepalive_requests 5;
    server {
        listen 127.0.0.1:$port;
        listen 127.0.0.1:$secure ssl;
        ssl_certificate $good->{cert};
        ssl_certificate_key $good->{key};
        root $folder;
        location /say { return 200 "\$request_method \$arg_q \$content_length \$scheme"; }
        location /go { return 302 /say?q=gone; }
        location /none { return 204; }
        location /close { keepalive_timeout 0; return 200 "closed"; }
        location /body { client_max_body_size 10; proxy_pass http://127.0.0.1:$port/say; }
    }
}
CONF
my $process = Bulan::Test::Process->spawn(sub { exec $nginx, '-p', "$folder", '-c', "$folder/nginx.conf", '-e', "$folder/error.log" });
ok wait_port($port, 5), 'nginx serves';

my $in = Bulan::Test::Command->new;
$in->file('work/a.lua', <<'LUA');
local http = require "resty.http"
local base, secure = arg[1], arg[2]
local function get(path, params)
    local res, err = http.new():request_uri(base .. path, params)
    return res or { status = err, headers = {}, body = "" }
end
print(get("/say?q=1").body)
print(get("/say", { method = "POST", body = "12345", query = { q = "x y" } }).body)
print(get("/say", { method = "PUT", body = { "a", "bc" } }).body)
local pieces = coroutine.wrap(function() coroutine.yield("one") coroutine.yield("two") end)
print(get("/say", { method = "POST", body = pieces }).status)
print(get("/go").status, get("/go", { max_redirects = 2 }).body)
print(get("/none").status, #get("/none").body, get("/empty.txt").status, #get("/empty.txt").body)
local head = get("/big.txt", { method = "HEAD" })
print(head.status, head.headers["content-length"], #head.body)
local whole = get("/big.txt")
local zipped = get("/big.txt", { headers = { ["Accept-Encoding"] = "gzip" } })
print(#whole.body, zipped.headers["Content-Encoding"], zipped.headers["Transfer-Encoding"], #zipped.body < #whole.body / 5)
print(get("/big.txt", { headers = { Range = "bytes=0-3" } }).body, get("/big.txt", { headers = { Range = "bytes=0-3" } }).status)
print(get("/big.txt", { headers = { ["If-None-Match"] = whole.headers.ETag } }).status)
print(get("/body", { method = "POST", body = ("x"):rep(100) }).status)
for i = 1, 12 do assert(get("/say?q=" .. i).body == "GET " .. i .. "  http") end -- the server closes after five
print(get("/close").body, get("/close").body)
local client = http.new()
assert(client:connect { scheme = "http", host = "127.0.0.1", port = tonumber(base:match("%d+$")) })
local out = {}
for _, res in ipairs(client:request_pipeline { { path = "/say?q=a" }, { path = "/big.txt" }, { path = "/say?q=b" } }) do
    out[#out + 1] = #res:read_body()
end
print(table.concat(out, " "))
client:close()
local res, err = http.new():request_uri(secure .. "/say?q=tls", { ssl_server_name = "good.test" })
print(res and res.body or err)
res, err = http.new():request_uri(secure .. "/say", { ssl_server_name = "bad.test" })
print(res, (err:gsub("^.-certificate", "certificate")))
LUA
my $r = $in->run('run', '--http-conf', "lua_ssl_trusted_certificate $ca;", '--errlog-level', 'crit', 'a.lua', "http://127.0.0.1:$port", "https://127.0.0.1:$secure");
$r->{out} =~ tr/\t/ /;
my $size = -s "$folder/big.txt";
is $r->{err}, '', 'no error';
is $r->{out}, <<"OUT", 'what it answers';
GET 1  http
POST x%20y 5 http
PUT  3 http
200
302 GET gone  http
204 0 200 0
200 $size 0
$size gzip chunked true
line 206
304
413
closed closed
11 $size 11
GET tls  https
nil certificate host mismatch
OUT
$process->finish('TERM');
done_testing;
