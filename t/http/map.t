# map.
use lib 't/lib';
use Bulan::Test;

run_tests();

__DATA__

=== TEST 1: exact keys, patterns, default
--- http_config
map $arg_k $v {
    default   "default $arg_k";
    Moon      exact;
    \~tilde   escaped;
    ~^re(.)$  "pattern $1";
    ~*^RI     caseless;
    var       $arg_other;
}
--- config
location / { return 200 "$v"; }
--- request eval
["GET /?k=moon", "GET /?k=MOON", "GET /?k=~tilde", "GET /?k=reX", "GET /?k=riX", "GET /?k=var&other=o", "GET /?k=zz"]
--- response_body eval
["exact", "exact", "escaped", "pattern X", "caseless", "o", "default zz"]



=== TEST 2: host names
--- http_config
map $arg_k $v {
    hostnames;
    example.com      exact;
    *.example.com    head;
    *.x.example.com  longer;
    example.*        tail;
    .dot.org         dot;
}
--- config
location / { return 200 "$v"; }
--- request eval
["GET /?k=example.com", "GET /?k=example.com.", "GET /?k=a.example.com", "GET /?k=b.x.example.com", "GET /?k=example.net",
 "GET /?k=dot.org", "GET /?k=a.b.dot.org", "GET /?k=adot.org"]
--- response_body eval
["exact", "exact", "head", "longer", "tail", "dot", "dot", ""]



=== TEST 3: a value stays, unless it is volatile
--- http_config
map $x $kept { default $x; }
map $x $asked { volatile; default $x; }
--- config
location / {
    set $x 1;
    set $a "$kept$asked";
    set $x 2;
    return 200 "$a $kept$asked";
}
--- request
GET /
--- response_body chomp
11 12



=== TEST 4: a key twice
--- http_config
map $arg_k $v { a 1; A 2; }
--- config
--- must_die
--- error_log
conflicting parameter "A"
