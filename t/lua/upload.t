use lib 't/lib';
use Bulan::Test;

# /t tells what it reads; the size of pieces and lines come as arguments.
my $config = <<'CONFIG';
location /t {
    content_by_lua_block {
        local cjson = require "cjson"
        local upload = require "resty.upload"
        local form, err = upload:new(tonumber(ngx.var.arg_size), tonumber(ngx.var.arg_line))
        if not form then return ngx.say("new: ", err) end
        form:set_timeout(5000)
        while true do
            local typ, res, err = form:read()
            if not typ then return ngx.say("error: ", err) end
            ngx.say(typ, " ", res and cjson.encode(res))
            if typ == "eof" then break end
        end
        ngx.say(form:read())
    }
}
CONFIG

add_block_preprocessor(sub {
    my $block = shift;
    $block->set_value(config => $config . ($block->config || ''));
});

sub body { return join "\r\n", @_ }

run_tests();

__DATA__

=== TEST 1: pieces of two fields
--- request eval
"POST /t?size=5\n" . main::body(
    '--xYz', 'Content-Disposition: form-data; name="file1"; filename="a.txt"', 'Content-Type: text/plain', '',
    'Hello, world', '--xYz', 'Content-Disposition: form-data; name="test"', '', 'value', '', '--xYz--', '')
--- more_headers
Content-Type: multipart/form-data; boundary=xYz
--- response_body
header ["Content-Disposition","form-data; name=\"file1\"; filename=\"a.txt\"","Content-Disposition: form-data; name=\"file1\"; filename=\"a.txt\""]
header ["Content-Type","text\/plain","Content-Type: text\/plain"]
body "Hello"
body ", wor"
body "ld"
part_end nil
header ["Content-Disposition","form-data; name=\"test\"","Content-Disposition: form-data; name=\"test\""]
body "value"
body "\r\n"
part_end nil
eof nil
eof



=== TEST 2: preamble, epilogue, quoted boundary, a line that is no field, padding, look-alikes
--- request eval
"POST /t\n" . main::body(
    'preamble', '--a b  ', 'what is this', 'X:y', '', "--a", "-", '--a ', '--a b', '', 'z', '--a b--', 'epilogue')
--- more_headers
Content-Type: Multipart/Form-Data; charset=x; Boundary="a b"
--- response_body
header "what is this"
header ["X","y","X:y"]
body "--a\r\n-\r\n--a "
part_end nil
body "z"
part_end nil
eof nil
eof



=== TEST 3: a field without content
--- request eval
"POST /t\n" . main::body('--b', 'A: 1', '', '', '--b', 'A: 2', '', 'x', '--b--', '')
--- more_headers
Content-Type: multipart/form-data; boundary=b
--- response_body
header ["A","1","A: 1"]
part_end nil
header ["A","2","A: 2"]
body "x"
part_end nil
eof nil
eof



=== TEST 4: what is too much, or not whole
--- request eval
["POST /t?line=10\n" . main::body('--b', 'Abc: 45678', 'Abc: 456789', '', 'x', '--b--', ''),
 "POST /t\n" . main::body('--b', ('A: 1') x 101, '', 'x', '--b--', ''),
 "POST /t\n" . main::body('--b', 'A: 1', '', 'x', ''),
 "POST /t\n" . main::body('--c', 'A: 1', '', 'x', '--c--', ''),
 "GET /t"]
--- more_headers
Content-Type: multipart/form-data; boundary=b
--- response_body eval
[qq(header ["Abc","45678","Abc: 45678"]\nerror: line too long: Abc: 456789...\n),
 qq(header ["A","1","A: 1"]\n) x 100 . "error: too many header lines\n",
 qq(header ["A","1","A: 1"]\nerror: closed\n),
 "error: closed\n",
 "new: no body\n"]



=== TEST 5: no form
--- config
location /other {
    content_by_lua_block {
        local upload = require "resty.upload"
        for _, value in ipairs { "text/plain; boundary=x", "multipart/form-data", "multipart/form-data; boundary=",
            "multipart/form-data; boundary=" .. ("x"):rep(71) } do
            ngx.req.set_header("Content-Type", value)
            ngx.say((select(2, upload:new())))
        end
        ngx.req.clear_header("Content-Type")
        ngx.say((select(2, upload:new())))
    }
}
--- request
POST /other
x
--- response_body
no boundary defined in Content-Type
no boundary defined in Content-Type
no boundary defined in Content-Type
no boundary defined in Content-Type
no Content-Type header



=== TEST 6: a big file in chunks of the protocol, from curl; pieces stay small
--- config
location /sum {
    client_max_body_size 10m;
    content_by_lua_block {
        local form = assert(require("resty.upload"):new(8192))
        local size, most, name = 0, 0
        while true do
            local typ, res, err = form:read()
            if not typ then return ngx.say("error: ", err) end
            if typ == "body" then
                size, most = size + #res, math.max(most, #res)
            elseif typ == "header" and res[1] == "Content-Disposition" then
                name = require("resty.upload").disposition(res[2])
            elseif typ == "eof" then
                break
            end
        end
        ngx.say(name, " ", size, " ", most < 8192 + 100)
    }
}
--- perl
my $file = File::Temp->new;
print $file "line of text\r\n--almost\r\n" x 100_000;
$file->close;
my $url = 'http://127.0.0.1:' . $server->port . '/sum';
is `curl -s -m 20 -F 'upload=\@$file' $url`, "upload 2400000 true\n", 'with a length';
is `curl -s -m 20 -H 'Transfer-Encoding: chunked' -F 'upload=\@$file' $url`, "upload 2400000 true\n", 'in chunks';



=== TEST 7: names of files
--- config
location /names {
    content_by_lua_block {
        local disposition = require("resty.upload").disposition
        for _, name in ipairs { "a.txt", "../../etc/passwd", [[C:\dir\b.doc]], ".htaccess", "..", "a\0b\nc.txt",
            [[q\"uote.txt]], "con:x|y?.txt", "", "of a %22browser%22%0D%0A.txt", "100%2A %41.txt" } do
            local field, filename, given = disposition('form-data; name="f"; filename="' .. name .. '"')
            ngx.say(field, " ", filename, " ", #given)
        end
        ngx.say((select(2, disposition('form-data; filename="' .. ("x"):rep(300) .. '.png"'))):gsub("x+", "x"))
        -- as fast as it is long
        ngx.say((select(2, disposition('form-data; filename="a' .. ("."):rep(300000) .. 'b . ."'))):gsub("%.+", "."))
        ngx.say(disposition("form-data; name=bare; filename=b.txt"))
        ngx.say(disposition("form-data"))
    }
}
--- request
GET /names
--- response_body
f a.txt 5
f passwd 16
f b.doc 12
f htaccess 9
f nil 2
f abc.txt 9
f q_uote.txt 10
f con_x_y_.txt 12
f nil 0
f of a _browser_.txt 20
f 100%2A %41.txt 14
x.png1
a.b1
bareb.txtb.txt
nilnilnil
