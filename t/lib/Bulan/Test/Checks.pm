package Bulan::Test::Checks;

# The expectations of a block. Each gives one line of TAP, named after the block and the section.

use strict;
use warnings;
use Test::More ();
use Bulan::Test::Process qw(in_vain wait_until);
use Bulan::Test::Server;

# text(GOT, EXPECTED, NAME): equal, or matching when EXPECTED is a pattern. Of long texts the first
# difference is shown.
sub text {
    my ($got, $expected, $name) = @_;

    return Test::More::like($got, $expected, $name) if ref $expected;
    return Test::More::is($got, $expected, $name)
        if !defined $got || length $got < 1000 && length $expected < 1000;
    return 1 if Test::More::ok($got eq $expected, $name);

    my $at = 0;
    ($got ^ $expected) =~ /^(\0*)/ and $at = length $1;
    Test::More::diag(sprintf "%d bytes, %d expected; the first difference is at %d:\n  got      %s\n  expected %s",
        length $got, length $expected, $at, map { excerpt($_, $at) } $got, $expected);
    return 0;
}

sub excerpt {
    my ($text, $at) = @_;
    my $part = $at < length $text ? substr $text, $at, 60 : '(the end)';
    $part =~ s/([^ -~])/sprintf '\x%02x', ord $1/ge;
    return $part;
}

# pattern(VALUE): of a section whose text is a regular expression.
sub pattern {
    my ($value) = @_;
    return ref $value ? $value : qr/$value/ms;
}

sub response {
    my ($state, $response) = @_;
    my $block = $state->{block};
    my $n     = $state->{n};
    my $name  = $state->{name} . ($state->{several} ? ' - request ' . ($n + 1) : '');
    my $pick  = sub { Bulan::Test::pick($block, $_[0], $n) };

    if (defined(my $error = $pick->('curl_error'))) {
        Test::More::like($response->{curl_error}, pattern($error =~ s/\n\z//r), "$name - curl_error");
    } elsif ($response->{error} && !tolerates($block, $response->{error})) {
        Test::More::fail("$name - a complete response");
        Test::More::diag("$response->{error}; received:\n", substr $response->{raw} . $response->{body}, 0, 2000);
    }
    raw_response($block, $response, $name, $pick);
    return if $block->has('ignore_response') || $block->has('curl_error');
    if (!$response->{bare}) {
        status($response, $name, $pick);
        headers($response, $name, $pick);
    }
    body($block, $response, $name, $pick) if !$block->has('ignore_response_body');
}

# A block that gives up early, or does not look at the response, takes what came.
sub tolerates {
    my ($block, $error) = @_;
    return 1 if $block->has('ignore_response');
    return 1 if $block->has('abort') && $error eq 'timeout';
    return 0;
}

sub status {
    my ($response, $name, $pick) = @_;

    if (defined(my $like = $pick->('error_code_like'))) {
        Test::More::like($response->{status}, pattern($like =~ s/\n\z//r), "$name - error_code_like");
        return;
    }
    my $expected = $pick->('error_code');
    $expected = 200 if !defined $expected || $expected eq '';
    $expected =~ s/\s+//g;
    Test::More::is($response->{status}, $expected, "$name - error_code");
}

# Fields of the same name count as one, with ", " between; undef when there is none.
sub field {
    my ($fields, $name) = @_;
    my $values = $fields->{ lc $name };
    return $values ? join ', ', @$values : undef;
}

sub headers {
    my ($response, $name, $pick) = @_;

    fields($response->{headers},  $pick->('response_headers'),  "$name - response_headers");
    fields($response->{trailers}, $pick->('response_trailers'), "$name - response_trailers");
    for (grep { /\S/ } split /\n/, $pick->('response_headers_like') // '') {
        my ($header, $like) = /^\s*([^:\s]+)\s*:[ \t]*(.*?)\s*$/ or die "response_headers_like: $_\n";
        my $got = field($response->{headers}, $header);
        Test::More::like(defined $got ? $got : '', qr/^$like$/s, "$name - response_headers_like: $header");
    }
    my $raw = $response->{raw};
    if (defined(my $like = $pick->('raw_response_headers_like'))) {
        Test::More::like($raw, pattern($like), "$name - raw_response_headers_like");
    }
    if (defined(my $unlike = $pick->('raw_response_headers_unlike'))) {
        Test::More::unlike($raw, pattern($unlike), "$name - raw_response_headers_unlike");
    }
}

# "Name: value" is there with that value, "!Name" is not there.
sub fields {
    my ($fields, $expected, $name) = @_;

    for (grep { /\S/ } split /\n/, defined $expected ? $expected : '') {
        if (/^\s*!\s*(\S+?):?\s*$/) {
            Test::More::is(field($fields, $1), undef, "$name: no $1");
        } elsif (/^\s*([^:\s]+)\s*:[ \t]*(.*?)\s*$/) {
            Test::More::is(field($fields, $1), $2, "$name: $1");
        } else {
            die "$name: $_\n";
        }
    }
}

sub body {
    my ($block, $response, $name, $pick) = @_;
    my $body = $response->{body};

    if (my $filters = $block->get('response_body_filters')) {
        $body = $_->($body) for ref $filters eq 'ARRAY' ? @$filters : $filters;
    }
    if ($block->has('response_body')) {
        my $expected = $pick->('response_body');
        text($body, $expected, "$name - response_body") if defined $expected;
    }
    if (defined(my $like = $pick->('response_body_like'))) {
        Test::More::like($body, pattern($like), "$name - response_body_like");
    }
    if (defined(my $unlike = $pick->('response_body_unlike'))) {
        Test::More::unlike($body, pattern($unlike), "$name - response_body_unlike");
    }
}

sub raw_response {
    my ($block, $response, $name, $pick) = @_;
    return if !$response->{bare};

    text($response->{raw}, $pick->('raw_response'), "$name - raw_response") if $block->has('raw_response');
    Test::More::like($response->{raw}, pattern($pick->('raw_response_like')), "$name - raw_response_like")
        if $block->has('raw_response_like');
    Test::More::unlike($response->{raw}, pattern($pick->('raw_response_unlike')), "$name - raw_response_unlike")
        if $block->has('raw_response_unlike');
}

sub stream {
    my ($state, $bytes, $error) = @_;
    my $block = $state->{block};
    my $pick  = sub { Bulan::Test::pick($block, $_[0], 0) };

    Test::More::is($error, '', "$state->{name} - the connection closes") if $error && !$block->has('abort');
    text($bytes, $pick->('stream_response'), "$state->{name} - stream_response") if $block->has('stream_response');
    Test::More::like($bytes, pattern($pick->('stream_response_like')), "$state->{name} - stream_response_like")
        if $block->has('stream_response_like');
}

# ---- the error log ----

sub whole_log {
    my ($state) = @_;
    my $log = Bulan::Test::Server::slurp($state->{server}->path('logs/error.log'));
    return $log if !$state->{block}->has('must_die');
    return $log . $state->{server}->stderr;
}

# What the log says of this run: the lines of the start and those since the run began.
sub run_log {
    my ($state) = @_;
    my $log = whole_log($state);
    return $log if !$state->{run_start};
    return substr($log, 0, $state->{startup_end}) . substr $log, $state->{run_start};
}

sub has_line {
    my ($log, $pattern) = @_;
    return index($log, $pattern) >= 0 if !ref $pattern;
    return 1 if $log =~ $pattern;
    return scalar grep { $_ =~ $pattern } split /\n/, $log;
}

# Lines are written at the end of a request, perhaps a moment after the response; so what must be
# there is waited for.
sub error_log {
    my ($state) = @_;
    my $block    = $state->{block};
    my @expected = Bulan::Test::patterns($block, 'error_log');

    wait_until(in_vain, sub {
        my $log = run_log($state);
        return !grep { !has_line($log, $_) } @expected;
    }) if @expected;

    my $out = $block->get('grep_error_log_out');
    grep_error_log($state, run_log => 1) if $block->has('grep_error_log') && ref $out ne 'ARRAY';
    log_patterns($state, run_log($state), 'error_log',    1);
    log_patterns($state, run_log($state), 'no_error_log', 0);
}

sub log_patterns {
    my ($state, $log, $section, $wanted) = @_;

    for my $pattern (Bulan::Test::patterns($state->{block}, $section)) {
        my $name = "$state->{name} - $section: $pattern";
        $name =~ s/#/\\#/g;
        next if Test::More::ok(!has_line($log, $pattern) == !$wanted, $name);
        Test::More::diag('the line: ', (grep { has_line($_, $pattern) } split /^/, $log)[0]) if !$wanted;
    }
}

# All that the pattern matches in the log of this request (or run), a match a line.
sub grep_error_log {
    my ($state, %option) = @_;
    my $block   = $state->{block};
    my $value   = $block->get('grep_error_log');
    my $pattern = ref $value ? $value : qr/\Q${\ ($value =~ s{\n\z}{}r)}\E/;
    my $out     = $block->get('grep_error_log_out');

    $out = $out->[ grep_index($state, scalar @$out) ] if ref $out eq 'ARRAY';
    $out = '' if !defined $out;
    my $name = "$state->{name} - grep_error_log_out";
    my $got  = '';
    wait_until(in_vain, sub {
        my $log = $option{run_log} ? run_log($state) : substr whole_log($state), first_line($state);
        $got = join '', map { "$_\n" } matches($log, $pattern);
        return ref $out ? $got =~ $out : $got eq $out;
    });
    text($got, $out, $name);
}

# The first request of the first run has the lines of the start, too.
sub first_line {
    my ($state) = @_;
    return $state->{run} == 1 && !$state->{n} ? 0 : $state->{log_start};
}

sub grep_index {
    my ($state, $count) = @_;
    return $state->{n} if $state->{several} && ($state->{n} || $state->{run} == 1);
    return $state->{several} ? 0 : $state->{run} - 1;
}

sub matches {
    my ($log, $pattern) = @_;
    my @found;
    while ($log =~ /$pattern/g) {
        push @found, substr $log, $-[0], $+[0] - $-[0];
        pos($log) = $+[0] + 1 if $+[0] == $-[0];
    }
    return @found;
}

1;
