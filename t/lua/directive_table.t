# Every directive of the Lua module: where it may stand, where not, and in which forms.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Bulan::Test::Command;

# Contexts: h http, s server, i `if` of a server, l location, f `if` of a location, u upstream.
# A name with {} has a form _block and one _file; with {q} a form in quotes, too.
my @TABLE = split /\n/, <<'TABLE';
init_by_lua{q}                          h
init_worker_by_lua{q}                   h
exit_worker_by_lua{}                    h
server_rewrite_by_lua{}                 hs
rewrite_by_lua{q}                       hslf
access_by_lua{q}                        hslf
precontent_by_lua{}                     hslf
content_by_lua{q}                       lf
header_filter_by_lua{q}                 hslf
body_filter_by_lua{q}                   hslf
log_by_lua{q}                           hslf
balancer_by_lua{}                       u
ssl_client_hello_by_lua{}               hs
ssl_certificate_by_lua{}                hs
ssl_session_fetch_by_lua{}              h
ssl_session_store_by_lua{}              h
proxy_ssl_certificate_by_lua{}          lf
proxy_ssl_verify_by_lua{}               lf
set_by_lua $to 'return 1' a b           silf
set_by_lua_file $to set.lua a b         silf
set_by_lua_block $to { return 1 }       silf
balancer_keepalive 10                   u
lua_load_resty_core on                  h
lua_capture_error_log 32k               h
lua_malloc_trim 500                     h
lua_thread_cache_max_entries 100        h
lua_regex_cache_max_entries 100         h
lua_regex_match_limit 10000             h
lua_package_path '$prefix/?.lua;;'      h
lua_package_cpath '${prefix}/?.so;;'    h
lua_shared_dict d 64k                   h
lua_max_pending_timers 10               h
lua_max_running_timers 10               h
lua_sa_restart off                      h
lua_worker_thread_vm_pool_size 5        h
rewrite_by_lua_no_postpone on           h
access_by_lua_no_postpone on            h
precontent_by_lua_no_postpone on        h
lua_use_default_type off                hslf
lua_code_cache off                      hslf
lua_need_request_body on                hslf
lua_http10_buffering off                hslf
lua_transform_underscores_in_response_headers off  hslf
lua_check_client_abort on               hslf
lua_socket_connect_timeout 5s           hslf
lua_socket_send_timeout 5s              hslf
lua_socket_send_lowat 0                 hslf
lua_socket_read_timeout 5s              hslf
lua_socket_buffer_size 8k               hslf
lua_socket_pool_size 5                  hslf
lua_socket_keepalive_timeout 5s         hslf
lua_socket_log_errors off               hslf
lua_ssl_ciphers HIGH                    hsl
lua_ssl_crl crl.pem                     hsl
lua_ssl_protocols TLSv1.2 TLSv1.3       hsl
lua_ssl_certificate a.pem               hsl
lua_ssl_certificate_key a.key           hsl
lua_ssl_trusted_certificate a.pem       hsl
lua_ssl_verify_depth 2                  hsl
lua_ssl_key_log keys.log                hsl
lua_ssl_conf_command Options -Ticket    hsl
lua_upstream_skip_openssl_default_verify on  lf
TABLE

my %FRAME = (
    h => ['http { ', ' }'],
    s => ['http { server { ', ' } }'],
    i => ['http { server { set $to ""; if ($arg_a) { ', ' } } }'],
    l => ['http { server { location / { ', ' } } }'],
    f => ['http { server { location / { if ($arg_a) { ', ' } } } }'],
    u => ['http { upstream u { server 127.0.0.1; ', ' } }'],
);

# Lines of the configuration, each with the contexts where it may stand.
my @lines;
for (@TABLE) {
    my ($text, $where) = /^(.*\S)\s+(\w+)$/ or die "not a row: $_";
    if ($text =~ /^(\w+)\{(q?)\}$/) {
        push @lines, ["$1_block { local x = 1 }", $where], ["$1_file none.lua;", $where];
        push @lines, ["$1 'local x = 1';", $where] if $2;
    } else {
        push @lines, [$text =~ /\}$/ ? $text : "$text;", $where];
    }
}
is @lines, 88, 'all rows';

my $in = Bulan::Test::Command->new;

# What a test of the configuration says about one line in one place.
sub complaint {
    my ($line, $context) = @_;
    my ($before, $behind) = @{ $FRAME{$context} };
    $in->file('bulan.conf', "error_log stderr;\nevents { }\n$before$line$behind\n");
    return $in->run('-t', '-p', $in->path, '-c', $in->path('bulan.conf'))->{err};
}

for my $context (sort keys %FRAME) {
    my (@refused, @taken);
    my ($before, $behind) = @{ $FRAME{$context} };
    for (@lines) {
        my ($line, $where) = @$_;
        my $misplaced = complaint($line, $context) =~ /directive is not allowed here|unknown directive/;
        push @refused, $line if $misplaced && $where =~ /$context/;
        push @taken, $line if !$misplaced && $where !~ /$context/;
    }
    is "@refused", '', "$before: all are known that may stand here";
    is "@taken", '', "$before: no other may";
}

done_testing;
