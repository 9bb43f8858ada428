package Bulan::Test::Process;

# A program started for a test: a real server, or a scripted one that is Perl code. It ends with the
# object or with the test file, whichever comes first. Only the process that started it ends it.

use strict;
use warnings;
use Exporter 'import';
use IO::Socket::INET;
use POSIX ();
use Time::HiRes qw(time sleep);

our @EXPORT_OK = qw(wait_until wait_port patience in_vain);

my %running;

# patience(SECONDS): the time that a busy machine, or a slow build (a sanitizer, valgrind), may take
# for what takes an idle one SECONDS.
sub patience { 3 * $_[0] * ($ENV{TEST_NGINX_SLOW} || ($ENV{TEST_NGINX_USE_VALGRIND} ? 10 : 1)) }

# in_vain(): seconds to wait for what a correct server does at once, such as a line in the log.
sub in_vain { $ENV{TEST_NGINX_LOG_WAIT} || 3 }

# wait_until(SECONDS, CODE): calls CODE until it is true, and returns its value; false when the time
# is over.
sub wait_until {
    my ($seconds, $condition) = @_;
    my $end = time + patience($seconds);
    my $pause = 0.001;

    while (1) {
        my $value = $condition->();
        return $value if $value;
        return 0 if time > $end;
        sleep $pause;
        $pause *= 1.5 if $pause < 0.05;
    }
}

# wait_port(PORT, SECONDS, [HOST]): until something accepts connections there.
sub wait_port {
    my ($port, $seconds, $host) = @_;
    return wait_until($seconds, sub {
        IO::Socket::INET->new(PeerAddr => $host || '127.0.0.1', PeerPort => $port, Proto => 'tcp');
    });
}

# spawn(CODE or [PROGRAM, ARGUMENT...], stderr => FILE, env => {...}): in the background.
sub spawn {
    my ($class, $what, %option) = @_;

    my $pid = fork;
    die "fork: $!" if !defined $pid;
    if (!$pid) {
        %running = ();
        $SIG{$_} = 'DEFAULT' for qw(INT TERM HUP CHLD PIPE);
        $ENV{$_} = $option{env}{$_} for keys %{ $option{env} || {} };
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', '/dev/null' if $option{stderr};
        open STDERR, '>>', $option{stderr} if $option{stderr};
        if (ref $what eq 'ARRAY') {
            { no warnings; exec @$what }
            print STDERR "cannot run $what->[0]: $!\n";
        } else {
            eval { $what->(); 1 } or print STDERR $@;
        }
        POSIX::_exit(127);
    }
    my $self = bless { pid => $pid, owner => $$ }, $class;
    $running{$pid} = $self->{token} = {};
    return $self;
}

sub pid { $_[0]{pid} }

# Wait status when it has ended, else undef.
sub status {
    my ($self) = @_;
    if (!defined $self->{status} && waitpid($self->{pid}, POSIX::WNOHANG()) == $self->{pid}) {
        $self->{status} = $?;
        delete $running{ $self->{pid} };
    }
    return $self->{status};
}

# finish(SIGNAL, SECONDS): sends the signal and waits for the end; 0 when it had to be killed.
sub finish {
    my ($self, $signal, $seconds) = @_;

    return 1 if $self->{owner} != $$ || defined $self->status;
    kill $signal, $self->{pid} if $signal;
    return 1 if wait_until($seconds || 5, sub { defined $self->status });

    kill 'KILL', $self->{pid};
    wait_until(5, sub { defined $self->status });
    return 0;
}

sub DESTROY {
    my ($self) = @_;
    local ($?, $@, $!);
    $self->finish('KILL', 5) if $self->{owner} == $$;
}

my $main = $$;

END {
    if ($$ == $main) {
        local $?;
        kill 'KILL', $_ for keys %running;
    }
}

1;
