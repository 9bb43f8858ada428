# echo and its relatives.
use lib 't/lib';
use Bulan::Test;

run_tests();

__DATA__

=== TEST 1: texts
--- config
location / {
    echo -n no newline;
    echo -- -n;
    echo;
    echo_duplicate 1_0 ab;
    echo $uri "a  b";
}
--- request
GET /x
--- response_body
no newline-n

abababababababababab/x a  b



=== TEST 2: subrequests stand where they were made
--- config
location / {
    echo begin;
    echo_location_async /slow 1;
    echo middle;
    echo_location /fast 2;
    echo_location_async /slow?3;
    echo end;
}
location /slow { echo_sleep 0.05; echo "slow $args"; }
location /fast { echo "fast $args"; }
--- request
GET /
--- response_body
begin
slow 1
middle
fast 2
slow 3
end



=== TEST 3: methods and bodies
--- config
location / { echo_subrequest POST /body -q a=b -b 'hello'; echo_subrequest_async DELETE /body; }
location /body { echo_read_request_body; echo "$echo_request_method $args [$echo_request_body]"; }
--- request
GET /
--- response_body
POST a=b [hello]
DELETE  []



=== TEST 4: the request's own body and head
--- config
location / {
    echo_duplicate 1 $echo_client_request_headers;
    echo_read_request_body;
    echo_request_body;
}
--- request
POST /x
moon
--- more_headers
X-A: 1
--- response_body_like eval
qr!^POST /x HTTP/1.1\r\n(?:.*\r\n)*X-A: 1\r\n(?:.*\r\n)*moon\n?$!



=== TEST 5: loops, redirects, status, timers
--- config
location /loop { echo_foreach_split , $arg_l; echo "item $echo_it"; echo_end; echo done; }
location /exec { echo_exec /to a=b; }
location /named { echo_exec @to; }
location /to { echo "to $args $uri"; }
location @to { echo "named $uri"; }
location /status { echo_status 404; echo missing; }
location /time { echo_reset_timer; echo_sleep 0.02; echo $echo_timer_elapsed; }
--- request eval
["GET /loop?l=a,b", "GET /loop", "GET /exec", "GET /named", "GET /status", "GET /time"]
--- error_code eval
[200, 200, 200, 200, 404, 200]
--- response_body_like eval
["^item a\nitem b\ndone\n\$", "^done\n\$", "^to a=b /to\n\$", "^named /named\n\$", "^missing\n\$", "^0\\.0[2-9]\\d\n\$"]



=== TEST 6: around a body
--- config
location / { echo_before_body before $uri; echo_after_body -n after; }
--- user_files
>>> a.txt
file
--- request
GET /a.txt
--- response_body chomp
before /a.txt
file
after
