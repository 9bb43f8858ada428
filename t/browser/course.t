# The pages of the course's examples as who uses them sees them.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Bulan::Test::Browser 'run_script';
use Bulan::Test::Example 'start_example';

plan skip_all => 'make check-browser runs this' if !Bulan::Test::Browser::available();

for my $name (qw(14-template 15-websocket-chat 16-upload)) {
    my $server = start_example("examples/course/$name");
    run_script("course/$name.js", "http://127.0.0.1:$server->{port}");
    $server->stop;
}

done_testing;
