package Bulan::Test::Pty;

# A program on a terminal of its own, as a person would use it. Linux's /dev/ptmx, by its ioctls, so
# that Perl's core is enough.
#
#     my $pty = Bulan::Test::Pty->new(['bin/bulan', 'run'], env => { HOME => '/tmp/x' });
#     $pty->type("1 + 1\r");
#     $pty->expect(qr/\b2\r\n/);      # what has come since the last match; undef in vain
#     is $pty->finish, 0;             # its status

use strict;
use warnings;
use Fcntl;
use POSIX ();
use Time::HiRes 'time';
use Bulan::Test::Process qw(patience wait_until);

use constant { TIOCSPTLCK => 0x40045431, TIOCGPTN => 0x80045430, TIOCSCTTY => 0x540e };

# new([PROGRAM, ARGUMENT...], env => {...})
sub new {
    my ($class, $command, %option) = @_;

    sysopen my $master, '/dev/ptmx', O_RDWR | O_NOCTTY or die "/dev/ptmx: $!";
    my ($unlock, $number) = (pack('i', 0), pack('i', 0));
    ioctl($master, TIOCSPTLCK, $unlock) or die "TIOCSPTLCK: $!";
    ioctl($master, TIOCGPTN, $number) or die "TIOCGPTN: $!";
    my $name = '/dev/pts/' . unpack 'i', $number;

    my $pid = fork;
    die "fork: $!" if !defined $pid;
    if (!$pid) {
        POSIX::setsid();
        $ENV{$_} = $option{env}{$_} for keys %{ $option{env} || {} };
        sysopen my $slave, $name, O_RDWR or POSIX::_exit(126);
        ioctl($slave, TIOCSCTTY, my $steal = 0);
        POSIX::dup2(fileno $slave, $_) for 0 .. 2;
        close $master;
        { no warnings; exec @$command }
        POSIX::_exit(127);
    }
    return bless { master => $master, pid => $pid, owner => $$, text => '' }, $class;
}

sub pid { $_[0]{pid} }

sub type {
    my ($self, $keys) = @_;
    syswrite $self->{master}, $keys;
}

# More output into $self->{text}; false when none came within SECONDS.
sub _read {
    my ($self, $seconds) = @_;
    my $bits = '';
    vec($bits, fileno $self->{master}, 1) = 1;
    return 0 if select($bits, undef, undef, $seconds) <= 0;
    my $n = sysread $self->{master}, my $more, 65536;
    return 0 if !$n;
    $self->{text} .= $more;
    return 1;
}

# expect(PATTERN, [SECONDS]): waits for it; what matched, and forgets everything up to its end.
sub expect {
    my ($self, $pattern, $seconds) = @_;
    my $end = time + patience($seconds || 5);

    while ($self->{text} !~ $pattern) {
        my $left = $end - time;
        if ($left <= 0 || !$self->_read($left)) {
            Test::More::diag("no $pattern in: " . $self->{text} =~ s/\e/<esc>/gr);
            return undef;
        }
    }
    $self->{text} =~ $pattern;
    my ($from, $to) = ($-[0], $+[0]);
    my $match = substr $self->{text}, $from, $to - $from;
    substr $self->{text}, 0, $to, '';
    return $match;
}

# finish([SECONDS]): waits for the end; the exit status, -SIGNAL, or undef when it had to be killed.
sub finish {
    my ($self, $seconds) = @_;
    return $self->{status} if defined $self->{status};
    my $done = wait_until($seconds || 5, sub {
        $self->_read(0);
        waitpid($self->{pid}, POSIX::WNOHANG()) == $self->{pid};
    });
    if (!$done) {
        kill 'KILL', $self->{pid};
        waitpid $self->{pid}, 0;
        $self->{status} = -9;
        return undef;
    }
    return $self->{status} = $? & 127 ? -($? & 127) : $? >> 8;
}

sub DESTROY {
    my ($self) = @_;
    local ($?, $@, $!);
    return if defined $self->{status} || $self->{owner} != $$;
    kill 'KILL', $self->{pid};
    waitpid $self->{pid}, 0;
}

1;
