# examples/notes as who uses it sees it.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Bulan::Test::Browser 'run_script';
use Bulan::Test::Notes;

plan skip_all => 'make check-browser runs this' if !Bulan::Test::Browser::available();

my $notes = Bulan::Test::Notes->start;
run_script('notes.js', "http://127.0.0.1:$notes->{server}{port}");
$notes->{server}->stop;

done_testing;
