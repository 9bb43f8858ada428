package Bulan::Test::Formatter;

# prove's usual output, closed by a line for machines: "N passed, N failed". A file that dies, or
# whose plan does not fit, counts as one failure even if none of its assertions failed.

use strict;
use warnings;
use parent 'TAP::Formatter::Console';

sub summary {
    my ($self, $aggregate, $interrupted) = @_;

    $self->SUPER::summary($aggregate, $interrupted);

    my $failed = $aggregate->failed;
    for my $parser ($aggregate->parsers) {
        $failed++ if !$parser->failed && $parser->has_problems;
    }
    $failed++ if $interrupted;
    printf "%d passed, %d failed\n", scalar $aggregate->passed, $failed;
}

1;
