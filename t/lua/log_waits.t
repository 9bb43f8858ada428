# Log handlers that wait: what they know when the connection is gone.
use lib 't/lib';
use Bulan::Test;

run_tests();

__DATA__

=== TEST 1: the connection's addresses, read before and after a wait
--- server_config
listen 127.0.0.1:$TEST_NGINX_SERVER_PORT proxy_protocol;
--- config
location /t {
    return 200 "$server_addr $proxy_protocol_addr";
    log_by_lua_block {
        local before = ngx.var.server_addr
        ngx.sleep(0.05)
        collectgarbage()
        ngx.log(ngx.WARN, before, " ", ngx.var.server_addr, ":", ngx.var.server_port, " ", ngx.var.remote_addr, " ",
            ngx.var.proxy_protocol_addr, ":", ngx.var.proxy_protocol_server_port, " ", ngx.var.connection_requests)
    }
}
--- perl
for my $fields ("Connection: close\r\n", '') {
    my $client = $server->connect;
    $client->send("PROXY TCP4 192.0.2.1 192.0.2.2 11 22\r\nGET /t HTTP/1.1\r\nHost: x\r\n$fields\r\n");
    is $client->response->{body}, '127.0.0.1 192.0.2.1', 'served';
    $client->close;
}
my $port = $server->port;
my $line = qr/127\.0\.0\.1 127\.0\.0\.1:$port 127\.0\.0\.1 192\.0\.2\.1:22 1/;
ok Bulan::Test::Process::wait_until(5, sub { 2 == (() = $server->log =~ /$line/g) }), 'logged, twice';
