package Bulan::Test::Command;

# Runs the binary as a command and tells what it said:
#
#     my $in = Bulan::Test::Command->new;               # a folder of its own, gone with the object
#     $in->file('a.lua', 'print(...)');
#     my $r = $in->run('run', 'a.lua', 'x');            # { out, err, status }; -SIGNAL for a status
#     my $r = $in->run({ stdin => 'print(1)', env => { A => 1 } }, 'run');
#     $in->prints('print(1, 2)', "1 2\n", 'a script');   # a test

use strict;
use warnings;
use File::Basename 'dirname';
use File::Path 'make_path';
use File::Temp ();
use POSIX ();
use Test::More ();
use Bulan::Test::Process qw(patience wait_until);
use Bulan::Test::Server;

sub new {
    my ($class) = @_;
    return bless { folder => File::Temp->newdir('bulan-command-XXXXXX', TMPDIR => 1) }, $class;
}

sub path { "$_[0]{folder}" . ($_[1] ? "/$_[1]" : '') }

sub file {
    my ($self, $name, $text) = @_;
    make_path(dirname($self->path($name)));
    open my $file, '>', $self->path($name) or die "$name: $!";
    print $file $text;
    close $file;
}

# start({ stdin, env }, ARGUMENT...): the process's id. In the folder `work` of the folder.
sub start {
    my ($self, @arguments) = @_;
    my $option = ref $arguments[0] ? shift @arguments : {};

    my $binary = Bulan::Test::Server::binary();
    $self->file('stdin', $option->{stdin} // '');
    make_path($self->path('work'));
    unlink $self->path('out'), $self->path('err');
    my $pid = fork;
    die "fork: $!" if !defined $pid;
    return $pid if $pid;
    open STDIN, '<', $self->path('stdin');
    open STDOUT, '>', $self->path('out');
    open STDERR, '>', $self->path('err');
    $ENV{$_} = $option->{env}{$_} for keys %{ $option->{env} || {} };
    chdir $self->path('work');
    { no warnings; exec $binary, @arguments }
    POSIX::_exit(127);
}

sub out { -f $_[0]->path('out') ? Bulan::Test::Server::slurp($_[0]->path('out')) : '' }

# Waits for its end.
sub finish {
    my ($self, $pid) = @_;

    if (!wait_until(20, sub { waitpid($pid, POSIX::WNOHANG()) == $pid })) {
        kill 'KILL', $pid;
        waitpid $pid, 0;
    }
    my $status = $? & 127 ? -($? & 127) : $? >> 8;
    return { out => $self->out, err => Bulan::Test::Server::slurp($self->path('err')), status => $status };
}

sub run {
    my ($self, @arguments) = @_;
    return $self->finish($self->start(@arguments));
}

# prints(TEXT, OUT, NAME): a test. The script TEXT prints OUT, with blanks for tabs, has nothing to say on
# stderr, and ends well. A file work/begin.lua is run before it.
sub prints {
    my ($self, $text, $out, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my @before = -e $self->path('work/begin.lua') ? ('-e', 'dofile "begin.lua"') : ();

    $self->file('work/a.lua', $text);
    my $r = $self->run('run', @before, 'a.lua');
    $r->{out} =~ tr/\t/ /;
    Test::More::is_deeply($r, { out => $out, err => '', status => 0 }, $name);
}

1;
