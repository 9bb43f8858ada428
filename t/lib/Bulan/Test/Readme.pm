package Bulan::Test::Readme;

# readme_holds(SERVER, FOLDER): the commands that an example's README shows after "$ ", executed one
# after the other in one shell, say what the README says they do:
#
#     $ curl http://localhost:8080/products
#     [{"id": 1, "name": "Gayo"}]
#
# "…" stands for any text; a line of it alone for any lines. JSON may have its fields in any order.
# Commands run in the current folder, with the server's port in place of localhost:8080; `bin/bulan` is
# the program under test.

use strict;
use warnings;
use utf8;
use Encode ();
use Exporter 'import';
use JSON::PP ();
use Test::More;
use Bulan::Test::Server;

our @EXPORT_OK = 'readme_holds';

my $MARK = '=== that was it ===';
my $JSON = JSON::PP->new->allow_nonref;

# The commands: [command, [lines of output]].
sub commands {
    my ($text) = @_;
    my (@commands, $open);

    for (split /\n/, $text) {
        my ($line) = /^ {4}(.*)/;
        if (!defined $line) {
            $open = undef;
        } elsif ($line =~ s/^\$ //) {
            push @commands, $open = [$line, []];
        } elsif ($open && $open->[0] =~ /\\\z/) {
            $open->[0] .= "\n$line";
        } elsif ($open) {
            push @{ $open->[1] }, $line;
        }
    }
    return @commands;
}

# What they say: a list of lists of lines.
sub run {
    my ($server, @commands) = @_;
    my $binary = Bulan::Test::Server::binary();
    my $script = "curl() { command curl -s -m 10 \"\$@\"; }\n"
        . join '', map { "$_->[0]\necho; echo '$MARK'\n" } @commands;

    $script =~ s/localhost:8080/127.0.0.1:$server->{port}/g;
    $script =~ s{(?<!\S)bin/bulan\b}{$binary}g;
    my $file = $server->write_file('readme.sh', Encode::encode('UTF-8', $script));
    my $said = Encode::decode('UTF-8', scalar `bash $file 2>&1`);
    $said =~ s/\r//g;
    return map { [split /\n/, $_] } split /\n\Q$MARK\E\n/, $said;
}

sub same_text {
    my ($wanted, $got) = @_;
    my $pattern = join '.*?', map { quotemeta } split /…/, $wanted, -1;
    return $got =~ /\A$pattern\z/;
}

sub same_value {
    my ($wanted, $got) = @_;

    return 1 if defined $wanted && $wanted eq '…';
    return 0 if ref $wanted ne ref $got;
    if (ref $wanted eq 'HASH') {
        return keys %$wanted == keys %$got
            && !grep { !exists $got->{$_} || !same_value($wanted->{$_}, $got->{$_}) } keys %$wanted;
    } elsif (ref $wanted eq 'ARRAY') {
        return @$wanted == @$got && !grep { !same_value($wanted->[$_], $got->[$_]) } 0 .. $#$wanted;
    }
    return defined $wanted ? defined $got && same_text($wanted, $got) : !defined $got;
}

sub same_line {
    my ($wanted, $got) = @_;

    return 1 if same_text($wanted, $got);
    return 0 if $wanted !~ /^[\[{]/;
    my ($a, $b) = map { my $text = $_; eval { $JSON->decode($text) } } $wanted, $got;
    return ref $a && ref $b && same_value($a, $b);
}

sub same_lines {
    my ($wanted, $got) = @_;

    return !@$got if !@$wanted;
    my ($first, @rest) = @$wanted;
    if ($first eq '…') {
        for my $skipped (0 .. @$got) {
            return 1 if same_lines(\@rest, [@$got[$skipped .. $#$got]]);
        }
        return 0;
    }
    return @$got && same_line($first, $got->[0]) && same_lines(\@rest, [@$got[1 .. $#$got]]);
}

sub readme_holds {
    my ($server, $folder) = @_;
    my @commands = commands(Encode::decode('UTF-8', Bulan::Test::Server::slurp("$folder/README.md")));
    my @said     = run($server, @commands);

    ok @commands, "$folder/README.md has something to try";
    for my $i (0 .. $#commands) {
        my ($command, $wanted) = @{ $commands[$i] };
        my $got = $said[$i] || [];
        pop @$got while @$got && $got->[-1] eq '';
        ok same_lines($wanted, $got), Encode::encode('UTF-8', "README: $command")
            or diag map { Encode::encode('UTF-8', "$_\n") } 'README says', @$wanted, 'but it was', @$got;
    }
}

1;
