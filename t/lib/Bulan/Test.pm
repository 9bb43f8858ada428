package Bulan::Test;

# Tests written as blocks, in the form that Test::Nginx users know:
#
#     use lib 't/lib';
#     use Bulan::Test;
#
#     run_tests();
#
#     __DATA__
#
#     === TEST 1: a greeting
#     --- config
#     location /hello { return 200 "hello\n"; }
#     --- request
#     GET /hello
#     --- response_body
#     hello
#
# Every block starts the server afresh with its configuration, sends its requests, checks what it
# expects, and stops the server. It fails, whatever it expects, when the server crashes or does not
# stop, when a sanitizer reports something, and on an [alert] or [emerg] line that its error_log does
# not ask for. Block.pm reads the form, Server.pm runs the server, Client.pm speaks to it, Checks.pm
# holds the expectations. CONTRIBUTING.md lists the sections.

use strict;
use warnings;
use Test::More ();
use Bulan::Test::Backend;
use Bulan::Test::Block;
use Bulan::Test::Checks;
use Bulan::Test::Client;
use Bulan::Test::Port 'free_port';
use Bulan::Test::Process qw(patience wait_until);
use Bulan::Test::Server;

my @FUNCTIONS = qw(
    run_tests repeat_each plan blocks log_level workers worker_connections timeout master_on
    master_process_enabled env_to_nginx add_block_preprocessor html_dir server_root server_port
    no_shuffle no_long_string no_diff no_root_location check_accum_error_log no_check_leak
);
my @MORE = qw(ok is isnt like unlike is_deeply cmp_ok pass fail diag note skip done_testing BAIL_OUT);

my %default = (repeat => 1, log_level => 'debug', workers => 1, timeout => 5, master => 1, worker_connections => 256);
my ($server, @blocks, @preprocessors, %environment);

sub import {
    my ($class, %option) = @_;
    my $caller = caller;

    strict->import;
    warnings->import;
    no strict 'refs';
    *{"${caller}::$_"} = \&{"Test::More::$_"} for @MORE;
    *{"${caller}::$_"} = \&{$_} for @FUNCTIONS;
    Test::More::plan(skip_all => $option{skip_all}) if $option{skip_all};
    prepare_environment();
}

# Evaluated code finds ports and folders in %ENV, so they are there before the first block is read.
sub prepare_environment {
    return if $server;
    $SIG{$_} ||= sub { exit 130 } for qw(INT TERM HUP);
    $server = Bulan::Test::Server->new(prefix => Bulan::Test::Server::new_tree() . '/servroot');

    my $text = Bulan::Test::Server::slurp($0);
    $ENV{TEST_NGINX_SERVER_PORT} = $ENV{TEST_NGINX_PORT} = $server->port;
    $ENV{TEST_NGINX_SERVER_ROOT} = $server->prefix;
    $ENV{TEST_NGINX_HTML_DIR}    = $server->path('html');
    $ENV{"TEST_NGINX_RAND_PORT_$1"} = free_port() while $text =~ /TEST_NGINX_RAND_PORT_(\d+)/g;
    for my $helper (qw(Redis Memcached)) {
        my $name = uc $helper;
        next if $ENV{"TEST_NGINX_${name}_PORT"} || $text !~ /TEST_NGINX_${name}_PORT/;
        require "Bulan/Test/$helper.pm";
        $environment{$helper} = "Bulan::Test::$helper"->start;
    }
}

# ---- what a test file may call ----

sub repeat_each            { $default{repeat} = $_[0] if @_; $default{repeat} }
sub log_level              { $default{log_level} = $_[0] if @_; $default{log_level} }
sub workers                { $default{workers} = $_[0] if @_; $default{workers} }
sub worker_connections     { $default{worker_connections} = $_[0] if @_; $default{worker_connections} }
sub timeout                { $default{timeout} = seconds($_[0]) if @_; $default{timeout} }
sub master_on              { $default{master} = 1 }
sub master_process_enabled { $default{master} = $_[0] if @_; $default{master} }
sub env_to_nginx           { push @{ $default{pass} }, map { split ' ' } @_ }
sub add_block_preprocessor { push @preprocessors, @_ }
sub html_dir               { $server->path('html') }
sub server_root            { $server->prefix }
sub server_port            { $server->port }

# Test files of Test::Nginx say these; there is nothing to switch off here.
sub no_shuffle       { }
sub no_long_string   { }
sub no_diff          { }
sub no_root_location { }
sub check_accum_error_log { }
sub no_check_leak { }

# A number of tests is not counted out here: a block without any fails, and the end is marked.
sub plan {
    my (%option) = @_ == 1 ? () : @_;
    Test::More::plan(skip_all => $option{skip_all}) if $option{skip_all};
}

sub blocks {
    if (!@blocks) {
        my $data = do { no strict 'refs'; local $/; readline *{'main::DATA'} };
        die "$0 has no __DATA__\n" if !defined $data;
        @blocks = Bulan::Test::Block->parse($data);
    }
    return @blocks;
}

sub run_tests {
    for my $block (blocks()) {
        my $before = Test::More->builder->current_test;
        eval { run_block($block); 1 } or do {
            my $error = $@;
            Test::More::fail($block->name . ' - runs');
            Test::More::diag($error);
            eval { $server->stop(quiet => 1) };
        };
        Test::More::fail($block->name . ' - tests something')
            if Test::More->builder->current_test == $before;
    }
    Test::More::done_testing();
}

# ---- one block ----

my %KNOWN = map { $_ => 1 } qw(
    config http_config main_config stream_config stream_server_config server_config user_files
    request raw_request raw_request_middle_delay pipelined_requests more_headers http09 method
    curl curl_options curl_url curl_error
    response_body response_body_like response_body_unlike response_body_filters ignore_response_body
    response_headers response_headers_like raw_response_headers_like raw_response_headers_unlike
    raw_response raw_response_like raw_response_unlike response_trailers
    error_code error_code_like error_log no_error_log grep_error_log grep_error_log_out
    shutdown_error_log no_shutdown_error_log stream_request stream_response stream_response_like
    log_level timeout abort ignore_response wait workers env init perl must_die allow
    tcp_listen tcp_reply tcp_reply_delay tcp_query tcp_query_len tcp_no_close tcp_shutdown
    udp_listen udp_reply udp_reply_delay udp_query
    ONLY SKIP LAST skip_eval skip_nginx repeat_each description
    no_http2 no_http3 no_check_leak no_check_accum_error_log quic_max_idle_timeout
);

sub run_block {
    my ($block) = @_;

    $_->($block) for @preprocessors;
    for ($block->section_names) {
        die "unknown section $_\n" if !$KNOWN{$_} && !/^stap/;
    }
    if (my $why = skip_reason($block)) {
        Test::More->builder->skip($block->name . " - $why");
        return;
    }

    my $failures = failures();
    my $state = { block => $block, server => $server, name => $block->name };
    begin_block($state);
    if ($block->has('must_die')) {
        check_dies($state);
    } else {
        $server->start;
        $state->{startup_end} = length $server->log;
        my $repeat = $block->has('repeat_each') ? $block->get('repeat_each') : $default{repeat};
        for my $run (1 .. $repeat) {
            $state->{run}  = $run;
            $state->{name} = $block->name . ($repeat > 1 ? " (run $run)" : '');
            run_once($state);
        }
        $state->{name} = $block->name;
        end_block($state);
    }
    keep_folder($state) if failures() > $failures;
}

sub failures { scalar grep { !$_ } Test::More->builder->summary }

sub skip_reason {
    my ($block) = @_;

    return 'it looks into nginx with SystemTap' if grep { /^stap/ } $block->section_names;
    if (defined(my $rule = $block->get('skip_eval'))) {
        my ($code) = $rule =~ /^\s*\d+\s*:\s*(.*)/s or die "skip_eval needs 'COUNT: CODE'\n";
        return "skip_eval: $code" if Bulan::Test::Block::evaluate($code);
    }
    if (defined(my $rule = $block->get('skip_nginx'))) {
        my ($operator, $version) = $rule =~ /^\s*\d+\s*:\s*([<>]=?|==)\s*([\d.]+)/
            or die "skip_nginx needs 'COUNT: < VERSION'\n";
        my $order = version_number(nginx_version()) <=> version_number($version);
        my %holds = ('<' => $order < 0, '<=' => $order <= 0, '>' => $order > 0, '>=' => $order >= 0, '==' => $order == 0);
        return "skip_nginx: $rule" if $holds{$operator};
    }
    return '';
}

sub nginx_version {
    my $binary = Bulan::Test::Server::binary();
    my ($version) = `"$binary" -v 2>&1` =~ m{nginx/([\d.]+)};
    return $version || '0';
}

sub version_number { my @part = split /\./, $_[0]; return ($part[0] * 1000 + ($part[1] || 0)) * 1000 + ($part[2] || 0) }

# Sections that configure the server, as Server.pm's options.
sub begin_block {
    my ($state) = @_;
    my $block = $state->{block};

    $state->{folder} = $server->prefix;
    File::Path::remove_tree($server->prefix);
    $server->write_files;
    start_backends($state);
    Bulan::Test::Block::evaluate($block->get('init')) if $block->has('init');

    my $main = defined $block->get('main_config') ? $block->get('main_config') : '';
    $main .= "\nenv $_;" for @{ $default{pass} || [] };
    $server->configure(
        config => defined $block->get('config') ? $block->get('config') : '',
        (map { $_ => $block->get($_) } qw(http_config stream_config stream_server_config server_config)),
        main_config => $main,
        files       => user_files($block),
        log_level   => $block->has('log_level') ? $block->get('log_level') : $default{log_level},
        workers     => $block->has('workers') ? $block->get('workers') : $default{workers},
        env         => { map { /^\s*(\w+)=(.*)/ ? ($1, $2) : () } split /\n/, defined $block->get('env') ? $block->get('env') : '' },
        allow       => [map { patterns($block, $_) } qw(allow error_log shutdown_error_log)],
        master      => $default{master},
        worker_connections => $default{worker_connections},
    );
}

# What stands below html/: an index.html, as Test::Nginx users know it, and the section user_files:
# ">>> name [time]" lines, each followed by the content; or evaluated to a list of
# [name, content].
sub user_files {
    my ($block) = @_;
    my $value = $block->get('user_files');
    my %files = ('index.html' => '<html><head><title>It works!</title></head><body>It works!</body></html>');

    return \%files if !defined $value;
    if (ref $value) {
        my @list = ref $value->[0] ? @$value : $value;
        $files{ $_->[0] } = $_->[1] for @list;
    } else {
        my (undef, @parts) = split /^>>>[ \t]*(\S+)[^\n]*\n/m, $value;
        while (my ($name, $content) = splice @parts, 0, 2) {
            $files{$name} = $server->expand(defined $content ? $content : '');
        }
    }
    return \%files;
}

# A section with one pattern a line, or evaluated to a pattern or a list of them.
sub patterns {
    my ($block, $name) = @_;
    my $value = $block->get($name);

    return () if !defined $value;
    return grep { defined && length } @$value if ref $value eq 'ARRAY';
    return $value if ref $value;
    return grep { length } map { s/^\s+|\s+$//gr } split /\n/, $server->expand($value);
}

sub seconds {
    my ($text) = @_;
    return $1 / 1000 if $text =~ /^\s*([\d.]+)\s*ms\s*$/;
    return $1 if $text =~ /^\s*([\d.]+)\s*s?\s*$/;
    die "not a time: $text\n";
}

# One run: all requests with what they expect, then what the log must say.
sub run_once {
    my ($state) = @_;
    my $block = $state->{block};

    $state->{run_start} = $state->{run} == 1 ? 0 : length whole_log();
    $_->mark for grep { $_ } @$state{qw(tcp udp)};
    if ($block->has('stream_request') || $block->has('stream_response') || $block->has('stream_response_like')) {
        run_stream($state);
    } elsif ($block->has('pipelined_requests')) {
        run_pipelined($state);
    } elsif ($block->has('raw_request') || $block->has('request') || $block->has('curl') || $block->has('curl_options')) {
        run_requests($state);
    } elsif (!$block->has('perl')) {
        die "no request section\n";
    }
    run_perl($state) if $block->has('perl');
    select undef, undef, undef, seconds($block->get('wait')) if $block->has('wait');
    check_backends($state);
    Bulan::Test::Checks::error_log($state);
}

sub whole_log { Bulan::Test::Server::slurp($server->path('logs/error.log')) }

# The code of the section sees $server, the Bulan::Test::Server of the block, and Test::More's
# functions.
sub run_perl {
    my ($state) = @_;
    no strict 'refs';
    no warnings 'once';
    local ${'main::server'} = $server;
    local ${'main::block'}  = $state->{block};
    my $code = $state->{block}->get('perl');
    eval "package main; our (\$server, \$block); $code; 1" or do {
        my $error = $@;
        Test::More::fail("$state->{name} - the perl section runs");
        Test::More::diag($error);
    };
}

sub timeout_of {
    my ($block) = @_;
    return $block->has('timeout') ? seconds($block->get('timeout')) : $default{timeout};
}

# pick(BLOCK, SECTION, N): its value for the Nth request, counted from 0.
sub pick {
    my ($block, $name, $n) = @_;
    my $value = $block->get($name);
    $value = $value->[$n] if ref $value eq 'ARRAY';
    return defined $value && !ref $value ? expand($value) : $value;
}

sub expand {
    my ($text) = @_;
    $text = $server->expand($text) if $text =~ /\$\{?TEST_NGINX_/;
    $text =~ s/\$ServerPort\b/$server->port/ge;
    return $text;
}

sub run_requests {
    my ($state) = @_;
    my $block    = $state->{block};
    my $section  = $block->has('raw_request') ? 'raw_request' : 'request';
    my $requests = $block->get($section);
    my $several  = $section eq 'request' && ref $requests eq 'ARRAY';

    for my $n (0 .. ($several ? $#$requests : 0)) {
        $state->{n} = $n;
        $state->{several}   = $several;
        $state->{log_start} = length whole_log();
        my $request = $several ? $requests->[$n] : $requests;
        my $response = $block->has('curl') || $block->has('curl_options') ? curl($state, $request)
            : $section eq 'raw_request' ? exchange_raw($state, $request)
            : exchange($state, text_of($block, $request));
        Bulan::Test::Checks::response($state, $response);
        Bulan::Test::Checks::grep_error_log($state) if ref $block->get('grep_error_log_out') eq 'ARRAY';
    }
    $state->{n} = 0;
}

# A request of the text form ends where its last line does, not behind it.
sub text_of {
    my ($block, $request) = @_;
    chomp $request if !$block->is_evaluated('request');
    return expand($request);
}

# parse_request("METHOD TARGET [HTTP/VERSION]\nBODY")
sub parse_request {
    my ($text) = @_;
    $text =~ s/\A\s+//;
    my ($line, $body) = split /\r?\n/, $text, 2;
    my ($method, $target, $version) = $line =~ m{^(\S+)[ \t]+(.*?)(?:[ \t]+HTTP/(\d\.\d))?[ \t]*$}
        or die "not a request line: $line\n";
    return ($method, $target, $version || '1.1', defined $body ? $body : '');
}

# "Name: value" lines as a flat list.
sub header_list {
    my ($value) = @_;
    return () if !defined $value;
    return map { /^\s*([^:\s]+)\s*:[ \t]*(.*?)\r?$/ ? ($1, $2) : () } split /\n/, $value;
}

sub exchange {
    my ($state, $text) = @_;
    my $block = $state->{block};
    my ($method, $target, $version, $body) = parse_request($text);
    my $bytes = Bulan::Test::Client->build($method, $target, version => $version, body => $body,
        headers => [header_list(pick($block, 'more_headers', $state->{n}))]);
    $bytes = "$method $target\r\n" if $block->has('http09');
    return converse($state, $method, $bytes);
}

# raw_request may be a list of pieces, sent raw_request_middle_delay seconds apart.
sub exchange_raw {
    my ($state, $raw) = @_;
    my $delay  = $state->{block}->get('raw_request_middle_delay');
    my @pieces = map { expand($_) } ref $raw ? @$raw : $raw;
    my ($method) = $pieces[0] =~ /^(\S+)/;
    return converse($state, $method, @pieces) if !defined $delay;

    my @steps = map { ($_, seconds($delay)) } @pieces;
    pop @steps;
    return converse($state, $method, @steps);
}

# Pieces to send, and between them (where a delay is configured) seconds to wait.
sub converse {
    my ($state, $method, @steps) = @_;
    my $block  = $state->{block};
    my $client = $server->connect;
    my $delay  = $block->has('raw_request_middle_delay');

    while (@steps) {
        $client->send(shift @steps);
        select undef, undef, undef, shift @steps if $delay && @steps;
    }
    my $timeout = timeout_of($block);
    if ($block->has('raw_response') || $block->has('raw_response_like') || $block->has('raw_response_unlike')
        || $block->has('http09')) {
        my ($bytes, $error) = $client->read_all($timeout);
        return { raw => $bytes, body => $bytes, status => 200, headers => {}, interim => [], error => $error || undef, bare => 1 };
    }
    my $response = $client->response(method => $method, timeout => $timeout);
    check_end($client, $response, $timeout) if !$response->{error};
    $client->close;
    return $response;
}

# After a response that says "close" the server closes, and nothing comes in between.
sub check_end {
    my ($client, $response, $timeout) = @_;
    my $connection = lc join ',', @{ $response->{headers}{connection} || [] };

    return if $connection !~ /\bclose\b/ || $response->{status} == 101;
    my ($rest, $error) = $client->read_all($timeout);
    $response->{error} = 'bytes behind the response: ' . substr($rest, 0, 80) if $rest ne '';
    $response->{error} = 'the connection is not closed' if $error;
}

# Requests sent in one go over one connection.
sub run_pipelined {
    my ($state) = @_;
    my $block    = $state->{block};
    my $requests = $block->get('pipelined_requests');
    $requests = [map { "$_\n" } split /\n/, $requests] if !ref $requests;

    my ($bytes, @methods) = ('');
    for my $n (0 .. $#$requests) {
        my ($method, $target, $version, $body) = parse_request(expand($requests->[$n]));
        push @methods, $method;
        $bytes .= Bulan::Test::Client->build($method, $target, version => $version, body => $body,
            connection => $n == $#$requests ? 'close' : 'keep-alive',
            headers    => [header_list(pick($block, 'more_headers', $n))]);
    }
    my $client = $server->connect;
    $state->{log_start} = length whole_log();
    $client->send($bytes);
    $state->{several} = 1;
    for my $n (0 .. $#methods) {
        $state->{n} = $n;
        my $response = $client->response(method => $methods[$n], timeout => timeout_of($block));
        check_end($client, $response, timeout_of($block)) if !$response->{error} && $n == $#methods;
        Bulan::Test::Checks::response($state, $response);
        last if $response->{error};
    }
    $state->{n} = 0;
}

sub run_stream {
    my ($state) = @_;
    my $block  = $state->{block};
    my $client = $server->connect($server->{stream_port});

    $client->send(expand($block->get('stream_request'))) if $block->has('stream_request');
    $client->shutdown if $block->has('stream_request');
    my ($bytes, $error) = $client->read_all(timeout_of($block));
    Bulan::Test::Checks::stream($state, $bytes, $error);
}

# curl_options holds more arguments; the URL is the request's, or curl_url.
sub curl {
    my ($state, $request) = @_;
    my $block = $state->{block};
    my ($method, $target, undef, $body) = defined $request ? parse_request(text_of($block, $request)) : ('GET', '/', '', '');
    my $url     = $block->has('curl_url') ? pick($block, 'curl_url', $state->{n}) : 'http://127.0.0.1:' . $server->port . $target;
    my @headers = header_list(pick($block, 'more_headers', $state->{n}));
    my $options = $block->has('curl_options') ? expand($block->get('curl_options')) : '';
    my @command = (qw(curl -sS -i --max-time), patience(timeout_of($block)), $method eq 'HEAD' ? '-I' : ('-X', $method));

    while (my ($name, $value) = splice @headers, 0, 2) {
        push @command, '-H', "$name: $value";
    }
    push @command, '--data-binary', $body if length $body;
    push @command, map { s/^(['"])(.*)\1\z/$2/sr } $options =~ /("[^"]*"|'[^']*'|\S+)/g;
    return parse_curl(run_command($server->path('curl'), @command, $url));
}

sub run_command {
    my ($file, @command) = @_;
    my $process = Bulan::Test::Process->spawn(sub {
        open STDOUT, '>', "$file.out" or die;
        open STDERR, '>', "$file.err" or die;
        exec @command or die "cannot run $command[0]: $!\n";
    });
    wait_until(60, sub { defined $process->status });
    return (Bulan::Test::Server::slurp("$file.out"), Bulan::Test::Server::slurp("$file.err"), $process->status);
}

sub parse_curl {
    my ($output, $errors, $status) = @_;
    my $response = { headers => {}, body => '', raw => '', interim => [], status => 0, curl_error => $errors };

    while ($output =~ s/\A(HTTP\/[\d.]+ (\d{3})[^\r\n]*\r\n(?:[^\r\n]+\r\n)*\r\n)//) {
        push @{ $response->{interim} }, $response->{raw} if $response->{raw} ne '';
        @$response{qw(raw status)} = ($1, $2 + 0);
        my (undef, @fields) = split /\r\n/, $response->{raw};
        $response->{headers} = Bulan::Test::Client::parse_fields(@fields);
        last if $response->{status} >= 200;
    }
    $response->{body}  = $output;
    $response->{error} = "curl: $errors" if $status;
    return $response;
}

# ---- scripted servers of a block ----

sub start_backends {
    my ($state) = @_;
    my $block = $state->{block};

    delete $state->{$_} for qw(tcp udp);
    for my $kind (qw(tcp udp)) {
        next if !$block->has("${kind}_listen");
        my $where = expand($block->get("${kind}_listen"));
        $where =~ s/\s+//g;
        $where = $server->path("html/$where") if $where !~ m{^(?:/|(?:[\d.]+:)?\d+$)};
        my $code = $kind eq 'tcp' ? tcp_code($block) : udp_code($block);
        $state->{$kind} = Bulan::Test::Backend->$kind($code, where => $where);
    }
}

sub tcp_code {
    my ($block) = @_;
    my $reply  = $block->get('tcp_reply');
    my $length = $block->get('tcp_query_len');
    my $expected = $block->get('tcp_query');
    my $delay  = $block->has('tcp_reply_delay') ? seconds($block->get('tcp_reply_delay')) : 0;
    my ($keep, $shutdown) = ($block->has('tcp_no_close'), $block->get('tcp_shutdown'));

    $length = length $expected if !defined $length && defined $expected && !ref $expected;
    return sub {
        my ($connection) = @_;
        my $end   = Time::HiRes::time() + patience(10);
        my $query = eval { $connection->take(defined $length ? $length : qr/.+/s, $end) };
        select undef, undef, undef, $delay if $delay;
        my $bytes = ref $reply eq 'CODE' ? $reply->($query) : $reply;
        $connection->send($_) for grep { defined } ref $bytes eq 'ARRAY' ? @$bytes : $bytes;
        shutdown $connection->socket, $shutdown if defined $shutdown;
        $connection->read_all(30) if $keep;
    };
}

sub udp_code {
    my ($block) = @_;
    my $reply = $block->get('udp_reply');
    my $delay = $block->has('udp_reply_delay') ? seconds($block->get('udp_reply_delay')) : 0;

    return sub {
        my ($datagram) = @_;
        select undef, undef, undef, $delay if $delay;
        my $bytes = ref $reply eq 'CODE' ? $reply->($datagram) : $reply;
        return grep { defined } ref $bytes eq 'ARRAY' ? @$bytes : $bytes;
    };
}

sub check_backends {
    my ($state) = @_;

    for my $kind (grep { $state->{$_} } qw(tcp udp)) {
        my $expected = $state->{block}->get("${kind}_query");
        next if !defined $expected;
        my $got = $state->{$kind}->received(ref $expected ? $expected : length $expected);
        Bulan::Test::Checks::text($got, $expected, "$state->{name} - ${kind}_query");
    }
}

# ---- the end of a block ----

sub end_block {
    my ($state) = @_;
    my $block = $state->{block};

    my $before   = $state->{log_end} = length whole_log();
    my @problems = $server->finish;
    Bulan::Test::Checks::log_patterns($state, substr(whole_log(), $before), 'shutdown_error_log', 1);
    Bulan::Test::Checks::log_patterns($state, substr(whole_log(), $before), 'no_shutdown_error_log', 0);
    report_problems($state, @problems);
}

sub report_problems {
    my ($state, @problems) = @_;
    delete @$state{qw(tcp udp)};
    return if !@problems;
    Test::More::fail("$state->{name} - the server lives and ends well");
    Test::More::diag($_) for @problems;
}

# must_die: the server refuses to start; its value, if any, is the exit status.
sub check_dies {
    my ($state) = @_;
    my $wanted = $state->{block}->get('must_die');

    $server->{may_die} = 1;
    $server->launch;
    $server->wait_ready;
    my $status = $server->{process}->status;
    Test::More::ok(defined $status && $status >> 8 && !($status & 127), "$state->{name} - does not start");
    Test::More::is($status >> 8, $wanted, "$state->{name} - exit status")
        if defined $status && defined $wanted && $wanted =~ /\S/;
    $state->{run_start} = $state->{startup_end} = 0;
    Bulan::Test::Checks::error_log($state);
    my @problems = $server->finish;
    delete $server->{may_die};
    report_problems($state, grep { !/\[emerg\]/ } @problems);
}

# The next block has the same folder; that of a block that failed is put aside.
sub keep_folder {
    my ($state) = @_;
    my $number = ++$default{kept};
    my $folder = $server->prefix;

    my $log = join '', grep { !/\[debug\]/ } split /^/, substr whole_log(), 0, $state->{log_end} || 1e9;

    Test::More::diag("$state->{name}: the end of error.log, without [debug]:\n" . Bulan::Test::Server::tail($log, 20))
        if $log ne '';
    rename $folder, "$folder-failed-$number" and Test::More::diag("kept: $folder-failed-$number");
}

1;
