# configure, the checks of style, and what make install puts where.
use strict;
use warnings;
use Cwd 'abs_path';
use File::Basename 'dirname';
use File::Copy 'copy';
use File::Path 'make_path';
use File::Temp 'tempdir';
use Test::More;

my $root   = abs_path(dirname(__FILE__) . '/../..');
my $folder = tempdir(CLEANUP => 1);
delete @ENV{qw(MAKEFLAGS MAKELEVEL MFLAGS CC CFLAGS LDFLAGS)};

sub run    { my $output = `$_[0] 2>&1`; return wantarray ? ($output, $? >> 8) : $output }
sub slurp  { open my $in, '<', $_[0] or return ''; local $/; return scalar <$in> }
sub create { my ($file, $text) = @_; make_path(dirname($file)); open my $out, '>', $file or die "$file: $!"; print $out $text }

subtest 'configure' => sub {
    copy("$root/configure", "$folder/configure");
    chmod 0755, "$folder/configure";

    my ($output, $status) = run("$folder/configure --prefix=/opt/moon --user=www --with-debug --pid-path=/run/moon.pid --with-cc-opt='-O2 -DX=1'");
    is $status, 0, 'succeeds' or diag $output;
    my $header = slurp("$folder/build/config.h");
    like $header, qr{BL_PREFIX\s+"/opt/moon"$}m, 'the prefix';
    like $header, qr{BL_PID_PATH\s+"/run/moon\.pid"$}m, 'a path';
    like $header, qr{BL_USER\s+"www"$}m, 'the user';
    like $header, qr{BL_DEBUG\s+1$}m, 'debug';
    like $header, qr{BL_CONFIGURE_ARGS\s+"--prefix=/opt/moon .* '--with-cc-opt=-O2 -DX=1'"$}m, 'the arguments';
    like slurp("$folder/config.mk"), qr{^SBIN_PATH := /opt/moon/sbin/bulan$}m, 'the program goes below the prefix';

    my $time = (stat "$folder/build/config.h")[9] - 100;
    utime $time, $time, "$folder/build/config.h";
    run("$folder/configure --prefix=/opt/moon --user=www --with-debug --pid-path=/run/moon.pid --with-cc-opt='-O2 -DX=1'");
    is +(stat "$folder/build/config.h")[9], $time, 'an unchanged header keeps its date';

    ($output, $status) = run("$folder/configure --no-such-option");
    is $status, 1, 'an unknown option';
    like $output, qr/unknown option "--no-such-option"/, 'is named';

    ($output, $status) = run("$folder/configure --prefix=relative");
    is $status, 1, 'a relative prefix';

    ($output, $status) = run("PKG_CONFIG_LIBDIR=$folder PKG_CONFIG_PATH= CC=no-such-compiler $folder/configure");
    is $status, 1, 'things are missing';
    like $output, qr/apt-get install gcc libc6-dev libluajit2-5\.1-dev libssl-dev libpcre2-dev zlib1g-dev$/m, 'all are named at once';

    like run("$folder/configure --help"), qr/--with-sanitizer/, 'help';
};

subtest 'layers' => sub {
    create("$folder/src/main.c", qq{#include "http/http.h"\n#include "config.h"\n});
    create("$folder/src/core/a.c", qq{#include <stdio.h>\n#include "core/a.h"\n});
    is +(run("$root/tools/layers $folder/src"))[1], 0, 'a house in order';

    create("$folder/src/core/b.c", qq{\n#include "event/loop.h"\n});
    my ($output, $status) = run("$root/tools/layers $folder/src");
    is $status, 1, 'core includes event';
    like $output, qr{src/core/b\.c:2: core must not include "event/loop\.h"}, 'is named';

    create("$folder/src/core/b.c", qq{#include "a.h"\n});
    like run("$root/tools/layers $folder/src"), qr/"a\.h" does not begin with a room/, 'an include without room';
};

subtest 'sizes' => sub {
    plan skip_all => 'no ctags' if run('ctags --version') !~ /Universal/;
    create("$folder/fine.c", "int f(void)\n{\n" . "    f();\n" x 110 . "}\n");
    is +(run("$root/tools/sizes $folder/fine.c"))[1], 0, 'a function that is long enough';
    create("$folder/long.c", "int f(void)\n{\n" . "    f();\n" x 120 . "}\n");
    my ($output, $status) = run("$root/tools/sizes $folder/long.c");
    is $status, 1, 'one that is too long';
    like $output, qr/long\.c:1: f\(\) has 123 lines/, 'is named';
    create("$folder/file.c", "/* */\n" x 1501);
    like run("$root/tools/sizes $folder/file.c"), qr/1501 lines, more than 1500/, 'a file that is too long';
};

subtest 'install' => sub {
    my $binary = $ENV{TEST_NGINX_BINARY} || "$root/bin/bulan";
    plan skip_all => 'not the ordinary build' if !-x $binary || abs_path($binary) ne "$root/bin/bulan";

    my $install = "make -C $root install DESTDIR=$folder/root PREFIX=/moon SBIN_PATH=/moon/sbin/bulan CONF_PATH=conf/nginx.conf";
    my ($output, $status) = run($install);
    is $status, 0, 'succeeds' or diag $output;
    ok -e "$folder/root/moon/$_", $_
        for qw(sbin/bulan conf/nginx.conf conf/nginx.conf.default conf/mime.types html/index.html html/50x.html logs lualib man/man8/bulan.8);

    create("$folder/root/moon/conf/nginx.conf", "mine\n");
    run($install);
    is slurp("$folder/root/moon/conf/nginx.conf"), "mine\n", 'a nginx.conf that is there stays';
};

done_testing;
