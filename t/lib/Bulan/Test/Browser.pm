package Bulan::Test::Browser;

# Tests in a real browser: Debian's chromium, without a window, driven by playwright from scripts in t/browser.
#
#     run_script('notes.js', "http://127.0.0.1:$port");
#
# A script prints "ok - NAME" or "not ok - NAME" for each of its tests (t/browser/browser.js does that),
# and each counts here. `make check-browser` brings what the scripts need, and says in BROWSER_MODULES
# where it is.

use strict;
use warnings;
use Exporter 'import';
use Test::More;
use Bulan::Test::Process 'patience';
use Bulan::Test::Server;

our @EXPORT_OK = qw(run_script page);

# Whether the test was started by `make check-browser`.
sub available { return !!$ENV{BROWSER_MODULES} }

sub chromium { return (grep { -x } map { "$_/chromium" } split /:/, $ENV{PATH})[0] || die "no chromium\n" }

# page(NAME): the text of t/browser/pages/NAME.
sub page { return Bulan::Test::Server::slurp("t/browser/pages/$_[0]") }

# run_script(NAME, ADDRESS): runs t/browser/NAME on the pages at ADDRESS.
sub run_script {
    my ($name, $address) = @_;

    local $ENV{NODE_PATH}        = $ENV{BROWSER_MODULES};
    local $ENV{BROWSER_PROGRAM}  = chromium();
    local $ENV{BROWSER_ADDRESS}  = $address;
    local $ENV{BROWSER_PATIENCE} = patience(5);
    local $Test::Builder::Level  = $Test::Builder::Level + 1;
    open my $out, '-|', 'node', "t/browser/$name" or die "node: $!\n";
    while (my $line = <$out>) {
        chomp $line;
        if ($line =~ /^(not )?ok - (.*)/) {
            ok !$1, $2;
        } else {
            diag $line;
        }
    }
    close $out;
    return is $?, 0, "$name came to its end";
}

1;
