# resty.template: whole pages, byte by byte as they stand in t/lua/golden.
use strict;
use warnings;
use lib 't/lib';
use Cwd 'abs_path';
use Test::More;
use Bulan::Test::Command;
use Bulan::Test::Server;

my $folder = abs_path('t/lua/golden');
my $in     = Bulan::Test::Command->new;

$in->file('work/render.lua', <<'LUA');
local folder, name = arg[1], arg[2]
local template = require "resty.template"
template.root = folder
local case = dofile(folder .. "/cases.lua")[name]
for _ = 1, 2 do -- the second time it comes from the cache
    io.write(template.process(case[1], case[2]))
end
LUA

for my $file (sort glob "$folder/*.golden") {
    my ($name) = $file =~ m{([^/]+)\z};
    my $r = $in->run('run', 'render.lua', $folder, $name);
    is $r->{err}, '', "$name: no error";
    is $r->{out}, Bulan::Test::Server::slurp($file) x 2, $name;
}
done_testing();
