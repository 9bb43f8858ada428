# dav_methods: files made, removed, copied and moved.
use lib 't/lib';
use Bulan::Test;

run_tests();

__DATA__

=== TEST 1: a file's life
--- config
location / {
    dav_methods PUT DELETE MKCOL COPY MOVE;
    dav_access user:rw group:r all:r;
}
--- perl
my $root = $server->path('html');
my $ask = sub {
    my ($method, $path, %more) = @_;
    my $body = delete $more{body};
    return $server->send_request($method, $path, $body // '', %more)->{status};
};
is $ask->(PUT => '/a', body => 'one'), 201, 'made';
is $ask->(PUT => '/a', body => 'two'), 204, 'replaced';
is $ask->(PUT => '/empty', body => ''), 201, 'an empty file';
is -s "$root/empty", 0;
is $server->get('/a')->{body}, 'two';
is +(stat "$root/a")[2] & 0777, 0644, 'access';
is $ask->(PUT => '/dated', body => 'x', Date => 'Sun, 09 Sep 2001 01:46:40 GMT'), 201;
is +(stat "$root/dated")[9], 1000000000, 'the time that it has';
is $ask->(PUT => '/no/way', body => 'x'), 409, 'no folder';
is $ask->(PUT => '/b/', body => 'x'), 409, 'a folder is no file';
is $ask->(PUT => '/a', body => 'x', 'Content-Range' => 'bytes 0-0/1'), 501;
is $ask->(MKCOL => '/d/'), 201, 'a folder';
is $ask->(MKCOL => '/d/'), 405, 'is there';
is $ask->(MKCOL => '/d'), 409, 'without slash';
is $ask->(MKCOL => '/x/y/'), 409, 'not on the way';
is $ask->(MKCOL => '/e/', body => 'x'), 415;
is $ask->(COPY => '/a', Destination => '/d/a'), 204;
is $ask->(MOVE => '/a', Destination => 'http://localhost/d/b'), 204;
is $server->get('/a')->{status}, 404;
is $server->get('/d/b')->{body}, 'two';
is $ask->(COPY => '/d/a', Destination => '/d/b', Overwrite => 'F'), 412;
is $ask->(COPY => '/d/', Destination => '/f/'), 201, 'a whole folder';
is $server->get('/f/b')->{body}, 'two';
is $ask->(COPY => '/d/', Destination => '/g/', Depth => 0), 201, 'only the folder';
is $server->get('/g/b')->{status}, 404;
is $ask->(MOVE => '/d/', Destination => '/f/'), 201, 'over another';
is $ask->(MOVE => '/f/', Destination => '/a'), 409, 'a folder becomes no file';
is $ask->(MOVE => '/f/b'), 400, 'no destination';
is $ask->(MOVE => '/f/b', Destination => 'http://elsewhere/x'), 400;
is $ask->(MOVE => '/f/b', Destination => '/../x'), 400;
is $ask->(DELETE => '/f'), 409, 'a folder without slash';
is $ask->(DELETE => '/f/', Depth => 0), 400;
is $ask->(DELETE => '/f/'), 204;
is $ask->(DELETE => '/f/'), 404;
ok !-e "$root/f";
is $ask->(DELETE => '/empty'), 204;



=== TEST 2: only what is allowed, as deep as is allowed; folders on the way are made
--- config
location /put/ {
    dav_methods PUT;
    create_full_put_path on;
}
location /del/ {
    dav_methods DELETE;
    min_delete_depth 3;
}
--- user_files
>>> del/a
x
>>> del/b/c
x
--- request eval
["PUT /put/x/y/z\nhello", 'GET /put/x/y/z', 'DELETE /put/x/y/z', 'DELETE /del/a', 'DELETE /del/b/c']
--- error_code eval
[201, 200, 405, 409, 204]
--- response_body_like eval
[qr/^$/, qr/^hello$/, qr/405/, qr/409/, qr/^$/]



=== TEST 3: destinations that are no place of this location, and those that are the source
--- config
location /d/ { dav_methods PUT COPY MOVE; }
location /files/ { alias $TEST_NGINX_HTML_DIR/deep/down/; dav_methods PUT COPY MOVE; }
--- user_files
>>> deep/down/x
x
>>> deep/up
up
>>> d/a/one
one
>>> d/a/b/two
two
>>> d/f
file
--- perl
my $root = $server->path('html');
my $ask = sub {
    my ($method, $from, $to) = @_;
    return $server->send_request($method, $from, '', Destination => $to)->{status};
};
is $ask->(COPY => '/files/x', '/files/y'), 204, 'a place of the location';
for my $to ('/abcdef../z', '/elsewhere/z', '/q', '/', '/files', '/files/../z', 'http://localhost', 'http://localhost.evil/files/z', '/files/%00') {
    is $ask->(COPY => '/files/x', $to), 400, $to;
}
is $ask->(COPY => '/files/x', 'http://localhost:1234/files/./v/..'), 400, 'a segment that climbs';
is $ask->(COPY => '/files/x', 'http://localhost:1234/files//./w?a'), 204, 'odd, but a place';
is join(' ', sort map { s{.*/}{}r } glob "$root/deep/* $root/deep/down/*"), 'down up w x y', 'nothing else was made, nothing went';

symlink 'a', "$root/d/link" or die;
is $ask->($_->[0], $_->[1], $_->[2]), 403, "@$_" for
    [COPY => '/d/a/', '/d/a/'], [MOVE => '/d/a/', '/d/a/'], [COPY => '/d/a/', '/d/a/c/'], [MOVE => '/d/a/b/', '/d/a/'],
    [COPY => '/d/a/', '/d//./a/'], [COPY => '/d/a/', '/d/link/'], [COPY => '/d/a/', '/d/link/c/'], [COPY => '/d/f', '/d/f'];
is $server->get($_->[0])->{body}, "$_->[1]\n", "$_->[0] is still there" for ['/d/a/one', 'one'], ['/d/a/b/two', 'two'], ['/d/f', 'file'];
ok !-e "$root/d/a/c", 'nothing was made';
