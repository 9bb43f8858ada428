use lib 't/lib';
use Bulan::Test;

# The config of a block: a stream, and behind ---- a program that reads it. Each runs with buffers of 1, 2, 3
# and 4096 bytes, so that the pattern is cut everywhere.
add_block_preprocessor(sub {
    my $block = shift;
    my ($stream, $program) = split /^----\n/m, $block->config;
    chomp $stream;
    $stream =~ s/\\/\\\\/g;
    $block->set_value(config => join '', map { <<"CONFIG" } 1, 2, 3, 4096);
location /$_ {
    lua_socket_buffer_size $_;
    content_by_lua_block {
        local sock = ngx.socket.tcp()
        sock:connect("127.0.0.1", ngx.var.server_port)
        sock:send("GET /stream HTTP/1.0\\r\\n\\r\\n")
        sock:receiveuntil("\\r\\n\\r\\n")()
        local function say(data, err, partial)
            ngx.say("[", data, "]", err, partial and "(" .. partial .. ")" or "")
        end
        $program
    }
}
CONFIG
    $block->set_value(config => $block->config . "location /stream { return 200 \"$stream\"; }\n");
    $block->set_value(request => [map { "GET /$_" } 1, 2, 3, 4096]);
    $block->set_value(response_body => [($block->response_body) x 4]);
});

run_tests();

__DATA__

=== TEST 1: borders that almost match
--- config
abcabcabd-abcabdabcabdabcabe.aaabaaaab
----
say(sock:receiveuntil("abcabd")())
say(sock:receiveuntil("abcabdabcabe")())
say(sock:receiveuntil("aaaab")())
say(sock:receiveuntil("x")())
--- response_body
[abc]nil
[-abcabd]nil
[.aaab]nil
[nil]closed()



=== TEST 2: in pieces: at least so many bytes, then what is left, then nil once
--- config
hello, world --abctail
----
local read = sock:receiveuntil("--abc")
for i = 1, 5 do
    say(read(4))
end
say(sock:receive("*a"))
--- response_body
[hell]nil
[o, w]nil
[orld]nil
[ ]nil
[nil]nil
[tail]nil



=== TEST 3: between the pieces others read, what began to match included
--- config
----abc----abc-
----
local read = sock:receiveuntil("--abc")
say(read(2))
say(sock:receive(1))
say(read(2))
say(sock:receive(1))
say(read(2))
say(sock:receive(1))
say(read(2))
say(sock:receive(1))
say(read(2))
say(read(2))
--- response_body
[--]nil
[-]nil
[-a]nil
[b]nil
[c-]nil
[-]nil
[]nil
[-]nil
[nil]nil
[nil]closed()



=== TEST 4: two patterns in turn
--- config
------abd----abc
----
local one, two = sock:receiveuntil("--abc"), sock:receiveuntil("-ab")
say(one(2))
say(sock:receive(1))
say(one(1))
say(two(2))
say(two(2))
say(one())
say(one())
--- response_body
[--]nil
[-]nil
[-]nil
[-]nil
[nil]nil
[d--]nil
[nil]closed()



=== TEST 5: a piece longer than asked for, and its rest again
--- config
ab1ab1
----
say(sock:receiveuntil("ab1ab2")(2))
collectgarbage()
say(sock:receive(3))
--- response_body
[ab1]nil
[ab1]nil



=== TEST 6: inclusive; patterns of one byte; none
--- config
one_END_two;three;
----
say(sock:receiveuntil("_END_", { inclusive = true })())
local read = sock:receiveuntil(";", { inclusive = true })
say(read())
say(read(3))
say(read(3))
say(read(3))
say(sock:receiveuntil(""))
say(select(2, pcall(sock.receiveuntil, sock, "x", { inclusive = 1 })))
say(select(2, pcall(sock.receiveuntil, sock)))
--- response_body
[one_END_]nil
[two;]nil
[thr]nil
[ee;]nil
[nil]nil
[nil]pattern is empty
[bad "inclusive" option value type: number]nil
[expecting 2 or 3 arguments (including the object), but got 1]nil
