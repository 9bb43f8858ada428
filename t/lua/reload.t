# lua_code_cache watch: changed files of Lua are swapped in between requests.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Bulan::Test::Process 'wait_until';
use Bulan::Test::Server;

my $server = Bulan::Test::Server->new(
    workers     => 1,
    log_level   => 'notice',
    http_config => <<'CONF',
lua_package_path "$prefix/html/?.lua;;";
lua_code_cache watch;
lua_shared_dict box 100k;
CONF
    config => <<'CONF',
location = /module { content_by_lua_block { ngx.print(require("app").greet()) } }
location = /counter { content_by_lua_block { ngx.print(require("counter").next()) } }
location = /file { content_by_lua_file html/handler.lua; }
location = /missing { content_by_lua_file html/missing.lua; }
location = /slow {
    access_by_lua_block {
        ngx.shared.box:set("waiting", 1)
        while not ngx.shared.box:get("go") do ngx.sleep(0.005) end
    }
    content_by_lua_file html/slow.lua;
}
location = /waiting { content_by_lua_block { ngx.print(ngx.shared.box:get("waiting") or 0) } }
location = /halt { content_by_lua_block { ngx.shared.box:flush_all() } }
location = /go { content_by_lua_block { ngx.shared.box:set("go", 1) ngx.print(collectgarbage("count")) } }
CONF
    files => {
        'app.lua'     => "local words = require 'words'\nreturn { greet = function() return words.hello end }\n",
        'words.lua'   => "return { hello = 'one' }\n",
        'counter.lua' => counter(1),
        'handler.lua' => "ngx.print('first')\n",
        'slow.lua'    => "ngx.print('old file, ', require('words').hello)\n",
    },
)->start;

# A module with a state that survives; it counts in steps.
sub counter {
    my ($step) = @_;
    return <<"LUA";
local _M = { n = 0 }
function _M.next() _M.n = _M.n + $step return _M.n end
function _M.__reload(old) _M.n = old.n end
return _M
LUA
}

sub edit {
    my ($name, $text) = @_;
    my $path = $server->path("html/$name");
    open my $file, '>', "$path.new" or die $!;
    print $file $text;
    close $file;
    rename "$path.new", $path;
}

sub get { $server->get($_[0])->{body} }

# becomes(PATH, BODY): the answer, which may be the old one for the moment between two looks.
sub becomes {
    my ($path, $body, $name) = @_;
    my $got;
    wait_until(5, sub { ($got = get($path)) eq $body });
    is $got, $body, $name;
}

is get('/module'), 'one', 'a module';
edit('words.lua', "return { hello = 'two' }\n");
becomes('/module', 'two', 'is new for those that required it');

edit('words.lua', "return { hello = = }\n");
ok wait_until(5, sub { get('/module'); $server->log =~ /words\.lua:1: / }), 'a syntax error is told with its place';
like $server->log, qr/\[error\] .*hot reload failed, the old code stays: .*words\.lua:1: unexpected symbol/, 'once';
is get('/module'), 'two', 'and the old code stays';
$server->mark;
get('/module') for 1 .. 20;
unlike $server->log, qr/hot reload/, 'it is not told again';

edit('words.lua', "error('not today')\n");
ok wait_until(5, sub { get('/module'); $server->log =~ /not today/ }), 'an error of its top level is told';
is get('/module'), 'two', 'and the old code stays';
edit('words.lua', "return { hello = 'three' }\n");
becomes('/module', 'three', 'mended');

is get('/counter'), 1, 'a module with a state';
is get('/counter'), 2, 'counts';
edit('counter.lua', counter(100));
ok wait_until(5, sub { get('/counter') > 100 }), 'its state survives in the new code';

is get('/file'), 'first', "a handler's file";
edit('handler.lua', "ngx.print('second')\n");
becomes('/file', 'second', 'is new');
edit('handler.lua', "ngx.print('third'\n");
ok wait_until(5, sub { get('/file'); $server->log =~ /handler\.lua:2: '\)' expected/ }), 'its syntax error is told';
is get('/file'), 'second', 'and the old one stays';
is $server->get('/missing')->{status}, 404, 'a file that is not there';
edit('missing.lua', "ngx.print('here now')\n");
becomes('/missing', 'here now', 'and comes later');

get('/go');
is get('/slow'), 'old file, three', 'a request in two phases';
get('/halt');
my $slow = $server->connect;
$slow->send("GET /slow HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
ok wait_until(5, sub { get('/waiting') == 1 }), 'a request is on its way';
edit('slow.lua',  "ngx.print('new file, ', require('words').hello)\n");
edit('words.lua', "return { hello = 'four' }\n");
becomes('/module', 'four', 'code changes meanwhile');
get('/go');
is $slow->response->{body}, 'old file, three', 'it ends on the code it began with';
becomes('/slow', 'new file, four', 'the next one begins on the new');

edit('words.lua', "ngx.exit(200)\n");
ok wait_until(5, sub { get('/module'); $server->log =~ /hot reload was ended by a module/ }), 'a module that ends all';
is get('/module'), 'four', 'leaves the old code';
edit('words.lua', "return { hello = 'five' }\n");
becomes('/module', 'five', 'and is no end of it');
$server->stop;
done_testing;
