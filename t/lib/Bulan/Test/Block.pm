package Bulan::Test::Block;

# The blocks of a test file:
#
#     === TEST 1: name              starts a block; what follows up to the first section is a comment
#     --- section: value            a value on one line, trimmed
#     --- section filter ...        or on the lines below, up to the next section or block
#     value
#
# Blank lines at both ends of a value of several lines go; its last newline stays. Filters work on
# the value from left to right:
#
#     chomp, chop    without the last newline, or the last character
#     lines          a list of the lines, with their newlines
#     eval           what the value gives as Perl code, run in package main
#
# parse() gives the blocks in order, with ONLY, SKIP and LAST already applied.

use strict;
use warnings;

our $AUTOLOAD;

my %filter = (
    chomp => sub { my $text = shift; chomp $text; $text },
    chop  => sub { my $text = shift; chop $text;  $text },
    lines => sub { [ $_[0] =~ /^(.*\n?)/mg ] },
    eval  => \&evaluate,
    trim  => \&trim,
);

sub trim {
    my $text = shift;
    $text =~ s/\A(?:[ \t]*\n)+//;
    return '' if $text !~ /\S/;
    $text =~ s/\n(?:[ \t]*\n)*[ \t]*\z//;
    return "$text\n";
}

sub evaluate {
    my ($code) = @_;
    ## no critic: a test's own code, from its own file
    my @values = eval "package main; no strict; no warnings; $code";
    die "eval of a section failed: $@\n$code\n" if $@;
    return @values > 1 ? \@values : $values[0];
}

# parse(TEXT): the list of blocks of the file.
sub parse {
    my ($class, $text) = @_;

    my @blocks = map { $class->parse_one($_) } grep { /^===/ } split /^(?====)/m, $text;
    die "no blocks in the test file\n" if !@blocks;

    my @only = grep { $_->has('ONLY') } @blocks;
    return $only[0] if @only;

    my @wanted;
    for my $block (@blocks) {
        push @wanted, $block if !$block->has('SKIP');
        last if $block->has('LAST');
    }
    return @wanted;
}

sub parse_one {
    my ($class, $text) = @_;

    my ($name, $rest) = $text =~ /\A===[ \t]*(.*?)[ \t]*\n(.*)\z/s
        or die "a block has no name: $text\n";
    my $self = bless { name => $name, sections => {}, raw => {} }, $class;

    my (undef, @sections) = split /^(---[ \t]+\S[^\n]*\n?)/m, $rest;
    while (my ($head, $body) = splice @sections, 0, 2) {
        $self->add_section($head, defined $body ? $body : '');
    }
    return $self;
}

sub add_section {
    my ($self, $head, $body) = @_;

    $head =~ /\A---[ \t]+(\w+)((?:[ \t]+\w+)*)[ \t]*(?::[ \t]*(.*?)[ \t]*)?\n?\z/
        or die "$self->{name}: not a section: $head";
    my ($name, $filters, $inline) = ($1, $2, $3);
    die "$self->{name}: section $name appears twice\n" if exists $self->{sections}{$name};

    my @filters = split ' ', $filters;
    for (@filters) {
        die "$self->{name}: section $name: unknown filter $_\n" if !$filter{$_};
    }
    $self->{sections}{$name} = defined $inline ? $inline : trim($body);
    $self->{filters}{$name} = \@filters;
}

sub name { $_[0]{name} }

sub has { exists $_[0]{sections}{ $_[1] } }

# get(SECTION): its value after the filters, or undef. Filters run once, when first asked for.
sub get {
    my ($self, $name) = @_;

    return undef if !exists $self->{sections}{$name};
    if (my $filters = delete $self->{filters}{$name}) {
        my $value = $self->{sections}{$name};
        $value = $filter{$_}->($value) for @$filters;
        $self->{sections}{$name} = $value;
        $self->{evaluated}{$name} = 1 if grep { $_ eq 'eval' } @$filters;
    }
    return $self->{sections}{$name};
}

# True when the section's value came out of Perl code, and so is meant to the byte.
sub is_evaluated { $_[0]->get($_[1]); $_[0]{evaluated}{ $_[1] } }

sub set_value {
    my ($self, $name, $value) = @_;
    delete $self->{filters}{$name};
    $self->{sections}{$name} = $value;
}

sub section_names { sort keys %{ $_[0]{sections} } }

# $block->config is $block->get('config').
sub AUTOLOAD {
    my ($self) = @_;
    my ($name) = $AUTOLOAD =~ /(\w+)\z/;
    return if $name eq 'DESTROY';
    die "no such method: $name" if !ref $self;
    return $self->get($name);
}

1;
