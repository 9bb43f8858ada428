# resty.reqargs: arguments from every place, files on disk, limits.
use strict;
use warnings;
use lib 't/lib';
use File::Temp;
use Test::More;
use Bulan::Test::Server;

my $folder = File::Temp->newdir('bulan-reqargs-XXXXXX', TMPDIR => 1);
chmod 0777, "$folder";
my $tmp = "$folder/tmp";
mkdir $tmp;
chmod 0777, $tmp;

my $server = Bulan::Test::Server->new(http_config => <<"HTTP", config => <<'CONFIG');
client_max_body_size 2m;
client_body_buffer_size 4k;
large_client_header_buffers 4 512k;
init_by_lua_block {
    cjson, reqargs = require "cjson", require "resty.reqargs"
    folder = "$tmp"
    local function sorted(value)
        if type(value) ~= "table" then return tostring(value) end
        if value[1] ~= nil then
            local list = {}
            for i, each in ipairs(value) do list[i] = sorted(each) end
            return "[" .. table.concat(list, ",") .. "]"
        end
        local keys = {}
        for key in pairs(value) do keys[#keys + 1] = key end
        table.sort(keys)
        for i, key in ipairs(keys) do keys[i] = key .. "=" .. sorted(value[key]) end
        return "{" .. table.concat(keys, ",") .. "}"
    end
    local function content(files)
        for _, each in pairs(files) do
            if each.temp then
                local f = assert(io.open(each.temp, "rb"))
                local text = f:read "*a"
                f:close()
                each.content = #text <= 20 and text or #text .. " bytes " .. ngx.md5(text)
                each.mode = io.popen("stat -c %a " .. each.temp):read "*l"
                each.safe = each.temp:find("^" .. folder:gsub("%p", "%%%0") .. "/upload%-%w%w%w%w%w%w\$") ~= nil
                each.path, each.temp = each.temp, nil
            else content(each) end
        end
    end
    local function restore(files)
        for _, each in pairs(files) do
            if each.path then each.temp = each.path else restore(each) end
        end
    end
    local function hide(files)
        for _, each in pairs(files) do
            if each.path then each.path = nil else hide(each) end
        end
    end
    function show(options)
        options = options or {}
        options.tmp_dir = folder
        local get, post, files = reqargs(options)
        if not get then return ngx.print("error: ", post) end
        content(files)
        restore(files)
        reqargs.remove(files)
        for _, each in pairs(files) do
            each.temp = nil
            for _, one in ipairs(each) do one.temp = nil end
        end
        hide(files)
        ngx.print(sorted(get), " ", sorted(post), " ", sorted(files))
    end
}
HTTP
location = /t { content_by_lua_block { show() } }
location = /small { content_by_lua_block { show { max_file_size = 10, max_file_uploads = 2, max_post_args = 2, max_get_args = 2, max_post_size = 30, chunk_size = 7 } } }
location = /set {
    set $reqargs_max_file_size 3;
    set $reqargs_max_get_args 1;
    content_by_lua_block { show() }
}
location = /nowhere { content_by_lua_block { ngx.print(select(2, reqargs { tmp_dir = "/nonexistent" })) } }
location = /killed {
    content_by_lua_block {
        local thread = ngx.thread.spawn(function() reqargs { tmp_dir = folder, timeout = 60000 } end)
        local names
        repeat
            ngx.sleep(0.001)
            names = io.popen("ls " .. folder):read "*a"
        until names ~= ""
        ngx.thread.kill(thread)
        ngx.say("a file, killed")
    }
}
location = /descriptors {
    content_by_lua_block {
        collectgarbage()
        collectgarbage()
        local list = io.popen("ls -l /proc/" .. ngx.worker.pid() .. "/fd | grep -c upload-")
        ngx.print(list:read "*a")
        list:close()
    }
}
CONFIG
$server->start;

sub left { my @files = glob "$tmp/*"; return scalar @files }

sub request {
    my ($method, $path, $type, $body) = @_;
    my $client = $server->connect;
    $client->send(Bulan::Test::Client->build($method, $path, headers => [defined $type ? ('Content-Type' => $type) : ()], body => $body));
    my $r = $client->response;
    return $r->{status} == 200 ? $r->{body} : "status $r->{status}";
}

my $form = 'application/x-www-form-urlencoded';
is request('GET', '/t?a=1&b=2&b=3&c'), '{a=1,b=[2,3],c=true} {} {}', 'a query';
is request('POST', '/t?a=1', $form, 'x=%41+b&y=1&y=2'), '{a=1} {x=A b,y=[1,2]} {}', 'a form';
is request('POST', '/t', "$form; charset=utf-8", 'x=1'), '{} {x=1} {}', 'its type with a parameter';
is request('POST', '/t', $form, 'x=' . 'y' x 10000), '{} {x=' . 'y' x 10000 . '} {}', 'a large form';
is request('POST', '/t', 'application/json', '{"a":[1,{"b":"c"}]}'), '{} {a=[1,{b=c}]} {}', 'JSON';
is request('POST', '/t', 'application/vnd.api+json', '5'), '{} 5 {}', 'a type that is JSON, too; a value that is no object';
is request('POST', '/t', 'application/json', '{"a":"' . 'y' x 10000 . '"}'), '{} {a=' . 'y' x 10000 . '} {}', 'much JSON';
is request('POST', '/t', 'a' . '/' x 300_000, '{}'), '{} {} {}', 'what is no type, as fast as it is long';
is request('POST', '/t', 'application/json', 'false'), '{} false {}', 'false is a value';
like request('POST', '/t', 'application/json', '{"a'), qr/^error: invalid json: /, 'no JSON';
is request('POST', '/t', 'application/json', ''), '{} {} {}', 'no body';
is request('POST', '/t', 'text/plain', 'x=1'), '{} {} {}', 'another type';
is request('POST', '/t', 'multipart/form-data', 'x=1'), 'error: no boundary defined in Content-Type', 'no boundary';

is request('GET', '/small?a=1&b=2&c=3'), 'error: too many query arguments', 'too many in the query';
is request('POST', '/small', $form, 'a=1&b=2&c=3'), 'error: too many post arguments', 'too many in a form';
is request('GET', '/set?a=1&b=2'), 'error: too many query arguments', 'a limit that is a variable';

# As browsers send forms: curl does, too.
sub curl {
    my ($path, @arguments) = @_;
    open my $out, '-|', 'curl', '-s', '-m', '10', @arguments, 'http://127.0.0.1:' . $server->port . $path or die;
    local $/;
    my $text = <$out>;
    close $out;
    return $text;
}

sub file {
    my ($name, $text) = @_;
    open my $f, '>', "$folder/$name" or die "$name: $!";
    print $f $text;
    close $f;
    return "$folder/$name";
}

my $small = file('small.txt', "hello\n");
my $big   = file('big.bin', join '', map { chr($_ * 7 % 256) } 1 .. 500_000);
is curl('/t?q=1', '-F', 'title=A cat', '-F', "photo=\@$small;type=image/png"),
    "{q=1} {title=A cat} {photo={content=hello\n,file=small.txt,mode=600,name=photo,safe=true,size=6,type=image/png}}", 'a field and a file';
is left(), 0, 'removed';
use Digest::MD5 'md5_hex';
open my $f, '<:raw', $big or die;
my $bytes = do { local $/; <$f> };
is curl('/t', '-F', "a=\@$big", '-F', "b=\@$small;filename=x;type=text/a", '-F', 't=1', '-F', 't=2', '-F', "b=\@$small;filename=y;type=text/b"),
    '{} {t=[1,2]} {a={content=' . length($bytes) . ' bytes ' . md5_hex($bytes) . ',file=big.bin,mode=600,name=a,safe=true,size=' . length($bytes)
    . ",type=application/octet-stream},b=[{content=hello\n,file=x,mode=600,name=b,safe=true,size=6,type=text/a},"
    . "{content=hello\n,file=y,mode=600,name=b,safe=true,size=6,type=text/b}]}", 'several of a name, a large one';
is curl('/t', '-F', "a=\@/dev/null;filename="), '{} {} {}', 'an input that was left empty';
is curl('/t', '-F', "a=\@/dev/null;filename=none"), '{} {} {a={content=,file=none,mode=600,name=a,safe=true,size=0,type=application/octet-stream}}', 'an empty file';
for ([ '../../etc/passwd', 'passwd' ], [ '/etc/x y', 'x y' ], [ 'C:\\\\a\\\\b.txt', 'b.txt' ], [ '..', 'file' ], [ '.htaccess', 'htaccess' ],
    [ 'a|b;c', 'a_b;c' ], [ "a\tb", 'ab' ], [ 'é.png', 'é.png' ]) {
    my ($given, $clean) = @$_;
    my $got = request('POST', '/t', 'multipart/form-data; boundary=b',
        "--b\r\nContent-Disposition: form-data; name=\"a\"; filename=\"$given\"\r\n\r\nx\r\n--b--\r\n");
    like $got, qr/file=\Q$clean\E,mode/, "the name $given";
}
is left(), 0, 'all removed';

# Limits, and what is not whole: nothing is left behind.
is curl('/small', '-F', "a=\@$small", '-F', "b=\@$small", '-F', 't=12345678901234567890'),
    "{} {t=12345678901234567890} {a={content=hello\n,file=small.txt,mode=600,name=a,safe=true,size=6,type=text/plain},b={content=hello\n,file=small.txt,mode=600,name=b,safe=true,size=6,type=text/plain}}", 'within limits, in small pieces';
is curl('/small', '-F', "a=\@$small", '-F', "big=\@$big"), 'error: file is too large: big', 'a file too large';
is curl('/small', '-F', "a=\@$small", '-F', "b=\@$small", '-F', "c=\@$small"), 'error: too many files', 'too many files';
is curl('/small', map { ('-F', "$_=1") } 1 .. 3), 'error: too many post arguments', 'too many fields';
is curl('/small', '-F', 'a=12345678901234567890', '-F', 'b=12345678901'), 'error: fields are too large', 'too much in fields';
is curl('/set', '-F', "a=\@$small"), 'error: file is too large: a', 'a limit that is a variable';
is curl('/nowhere', '-F', "a=\@$small"), 'failed to create a file: No such file or directory', 'a folder that is not there';
is request('POST', '/t', 'multipart/form-data; boundary=b', "--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n"), 'error: field without a name', 'a field without a name';
is request('POST', '/t', 'multipart/form-data; boundary=b', "--b\r\nContent-Disposition: form-data; name=a; filename=x\r\n\r\nx\r\n"), 'error: closed', 'no end';
like request('POST', '/t', 'multipart/form-data; boundary=b', "--b\r\nContent-Disposition: form-data; name=a; filename=" . 'x' x 600 . "\r\n\r\nx\r\n--b--\r\n"), qr/^error: line too long/, 'a long line';
is left(), 0, 'nothing is left';

my $client = $server->connect;
$client->send("POST /t HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000\r\n\r\n--b\r\nContent-Disposition: form-data; name=a; filename=x\r\n\r\nsome of it");
is $client->response->{body}, 'error: timeout', 'a client that stops sending';
is left(), 0, 'nothing is left';

# A light thread that is killed in the middle.
$client = $server->connect;
$client->send("POST /killed HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: 9000\r\n\r\n--b\r\n"
    . "Content-Disposition: form-data; name=a; filename=x\r\n\r\n" . 'some of it' x 800);
is $client->response->{body}, "a file, killed\n", 'killed';
$client->close;
is $server->get('/descriptors')->{body}, "0\n", 'no descriptor is left';
is left(), 0, 'and no file';
ok $server->stop, 'no crash';
done_testing();
