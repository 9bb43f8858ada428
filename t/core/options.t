# The command line: what is printed, what is tested, and that testing changes nothing.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use File::Find ();
use IO::Socket::INET;
use Bulan::Test::Server;

my $server = Bulan::Test::Server->new(conf => "daemon off;\nevents {}\n");
my $prefix = $server->prefix;
my $binary = Bulan::Test::Server::binary();

# run(ARGUMENT...): what it wrote on stderr and stdout, and its status.
sub run {
    my $pid = fork;
    die "fork: $!" if !defined $pid;
    if (!$pid) {
        open STDOUT, '>', "$prefix/out" or die;
        open STDERR, '>', "$prefix/err" or die;
        exec $binary, @_ or die;
    }
    waitpid $pid, 0;
    my $status = $? >> 8;
    my ($out, $err) = map { Bulan::Test::Server::slurp("$prefix/$_") } qw(out err);
    unlink "$prefix/out", "$prefix/err";
    return ($err, $out, $status);
}

sub configure {
    my ($text, %more) = @_;
    $server->configure(conf => $text, files => {});
    $server->write_file("conf/$_", $more{$_}) for keys %more;
}

sub files {
    my @found;
    File::Find::find(sub { push @found, $File::Find::name if -f }, $prefix);
    return join ' ', sort @found;
}

subtest 'version' => sub {
    my ($err, $out, $status) = run('-v');
    like $err, qr{^nginx version: nginx/1\.31\.4 \(bulan-[\d.]+\)\n\z}, '-v';
    is $status, 0, 'status';
    ($err) = run('-V');
    like $err, qr{^built by .+\nbuilt with OpenSSL .+\nTLS SNI support enabled\nconfigure arguments:}m, '-V';
    ($err) = run('-h');
    like $err, qr/^Usage: .*bulan run .*bulan test /ms, '-h';
};

subtest 'wrong options' => sub {
    is_deeply [run('-x')], ["bulan: invalid option: \"x\"\n", '', 1], 'a letter';
    is_deeply [run('foo')], ["bulan: invalid option: \"foo\"\n", '', 1], 'a word';
    is_deeply [run('-s', 'foo')], ["bulan: invalid option: \"-s foo\"\n", '', 1], 'a signal';
    is_deeply [run('-p')], ["bulan: option \"-p\" requires directory name\n", '', 1], 'no value';
};

subtest 'test' => sub {
    configure("pid logs/x.pid;\nerror_log logs/x.log;\nevents {}\n");
    my $before = files();
    my ($err, $out, $status) = run('-t', '-p', $prefix);
    is $err, "bulan: the configuration file $prefix/conf/nginx.conf syntax is ok\n"
        . "bulan: configuration file $prefix/conf/nginx.conf test is successful\n", '-t';
    is $status, 0, 'status';
    is_deeply [run('-tq', '-p', $prefix)], ['', '', 0], '-q';
    is files(), $before, 'nothing was written';

    configure("error_log none/x.log;\nevents {}\n");
    ($err, $out, $status) = run('-t', '-p', $prefix);
    like $err, qr{\[emerg\] open\(\) "\Q$prefix\E/none/x.log" failed \(2: No such file}, 'a log that cannot be';
    is $status, 1, 'status';
    ($err, $out, $status) = run('-t', '-p', $prefix, '-c', 'conf/none.conf');
    like $err, qr{\[emerg\] open\(\) ".*/conf/none.conf" failed \(2: .*\n.*none.conf test failed}, 'no file';
};

subtest 'a test opens no port and makes no file' => sub {
    my $taken = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die;
    my $port = $taken->sockport;
    configure("pid logs/x.pid;\nerror_log logs/x.log;\nevents {}\nhttp {\n  access_log logs/a.log;\n  lua_shared_dict d 1m;\n"
        . "  proxy_temp_path ptemp;\n  client_body_temp_path ctemp 1 2;\n  init_by_lua_block { ngx.log(ngx.WARN, 'hi') }\n"
        . "  server {\n listen 127.0.0.1:$port;\n listen unix:$prefix/sock;\n location / { proxy_pass http://127.0.0.1:1; }\n }\n}\n");
    my $before = files();
    my ($err, undef, $status) = run('-t', '-p', $prefix);
    like $err, qr/test is successful/, 'a port in use is no error';
    is $status, 0, 'status';
    is files(), $before, 'nothing was written';
    ok !-e "$prefix/$_", "no $_" for qw(sock ptemp ctemp);
};

subtest 'all errors, with their places' => sub {
    configure("worker_procesess 4;\ninclude more.conf;\nevents { multi_accept x; }\nevents\n",
        'more.conf' => "\nuser;\n");
    my ($err) = run('-t', '-p', $prefix);
    my $conf = "$prefix/conf";
    is $err, <<EOF, 'stderr';
bulan: [emerg] unexpected end of file, expecting ";" or "}" in $conf/nginx.conf:5
the directive "events" begins in line 4
bulan: [emerg] unknown directive "worker_procesess" in $conf/nginx.conf:1
    1 | worker_procesess 4;
      | ^^^^^^^^^^^^^^^^
did you mean "worker_processes"?
bulan: [emerg] invalid number of arguments in "user" directive in $conf/more.conf:2
    2 | user;
      | ^^^^
bulan: [emerg] invalid value "x" in "multi_accept" directive, it must be "on" or "off" in $conf/nginx.conf:3
    3 | events { multi_accept x; }
      |                       ^
bulan: configuration file $conf/nginx.conf test failed
EOF
};

subtest 'includes' => sub {
    configure("include d/*.conf;\ninclude none*.conf;\nevents { include e.conf; }\n",
        'd/b.conf' => "pid b;\n", 'd/a.conf' => "env A;\n", 'e.conf' => "worker_connections 10;\n");
    is((run('-tq', '-p', $prefix))[2], 0, 'masks and blocks');
    configure("include none.conf;\nevents {}\n");
    like((run('-t', '-p', $prefix))[0],
        qr{open\(\) ".*/conf/none.conf" failed \(2: .*\) in .*nginx.conf:1\n}, 'a file that is not there');
    configure("include nginx.conf;\nevents {}\n");
    like((run('-t', '-p', $prefix))[0], qr/includes are nested too deep in/, 'itself');
    configure("include nginx.conf;\ninclude nginx.conf;\nevents {}\n");
    is((run('-t', '-p', $prefix))[2], 1, 'itself, twice');
    configure("include d;\nevents {}\n", 'd/x' => '');
    like((run('-t', '-p', $prefix))[0], qr{".*/conf/d" is not a file in}, 'a folder');
};

subtest 'dump' => sub {
    configure("include a.conf;\ninclude a.conf;\nevents {}\n", 'a.conf' => "env A;\n# end");
    my ($err, $out) = run('-T', '-q', '-p', $prefix);
    is $out, "# configuration file $prefix/conf/nginx.conf:\n"
        . "include a.conf;\ninclude a.conf;\nevents {}\n\n"
        . "# configuration file $prefix/conf/a.conf:\nenv A;\n# end\n", 'each file once';
};

subtest 'globals' => sub {
    configure("events {}\n");
    is((run('-tq', '-p', $prefix, '-g', 'pid a; env B;'))[2], 0, 'good');
    for (
        ['foo;'     => 'unknown directive "foo"'],
        ['foo'      => 'unexpected end of parameter, expecting ";"'],
        ['events {' => 'block directives are not supported in -g option'],
        ['pid a; pid b;' => '"pid" directive is duplicate'],
    ) {
        my ($globals, $message) = @$_;
        like((run('-t', '-p', $prefix, '-g', $globals))[0], qr/^bulan: \[emerg\] \Q$message\E in command line$/m,
            $globals);
    }
};

subtest 'values of the main context' => sub {
    for (
        ['worker_processes 0;'          => 'invalid value "0" in "worker_processes" directive'],
        ['worker_cpu_affinity 012;'     => 'invalid character "2" in "worker_cpu_affinity"'],
        ['worker_priority x;'           => 'invalid value "x" in "worker_priority" directive'],
        ['user nosuchuser;'             => 'getpwnam("nosuchuser") failed', 'root'],
        ['user root nosuchgroup;'       => 'getgrnam("nosuchgroup") failed', 'root'],
        ['load_module foo.so;'          => 'the module "foo.so" is not available'],
        ['error_log logs/e bad;'        => 'invalid log level "bad"'],
        ['error_log memory:3;'          => 'invalid buffer size "3"'],
        ['error_log syslog:;'           => 'unknown syslog parameter ""'],
        ['error_log syslog:tag=a;'      => 'no syslog server specified'],
        ['error_log syslog:server=127.0.0.1:a;' => 'invalid port in syslog server "127.0.0.1:a"'],
        ['error_log syslog:server=127.0.0.1,facility=x;' => 'unknown syslog facility "x"'],
        ['error_log syslog:server=127.0.0.1,tag=a-b;'    => 'syslog "tag" only allows'],
        ['events { debug_connection 300.1.1.1; } env x;' => 'host not found in debug_connection', 0, 1],
        ['ssl_engine foo;'              => 'the SSL engine "foo" is not available'],
        ['thread_pool a threads=0;'     => 'invalid threads value "threads=0"'],
        ['thread_pool a threads=65537;' => 'invalid threads value "threads=65537"'],
        ['http { limit_rate 1t; }'      => 'invalid value "1t" in "limit_rate" directive'],
        ['http { limit_rate_after x; }' => 'invalid value "x" in "limit_rate_after" directive'],
        ['http { proxy_limit_rate -1; }' => 'invalid value "-1" in "proxy_limit_rate" directive'],
        ['http { lua_capture_error_log 2048m; }' => 'invalid value "2048m" in "lua_capture_error_log" directive'],
        ['http { client_header_buffer_size 9223372036854775807; }'
            => 'invalid value "9223372036854775807" in "client_header_buffer_size" directive'],
        ["env A\0B;"                    => 'unexpected zero byte'],
    ) {
        my ($conf, $message, $root, $whole) = @$_;
        next if $root && $>;
        configure($whole ? "$conf\n" : "$conf events {}\n");
        like((run('-t', '-p', $prefix))[0], qr/^bulan: \[emerg\] \Q$message\E.* in .*nginx\.conf:1$/m, $conf);
    }
    configure("load_module modules/ngx_http_lua_module.so;\nworker_cpu_affinity auto;\npcre_jit on;\n"
            . "worker_processes auto; thread_pool a threads=4; lock_file x; timer_resolution 1s;\n"
            . "error_log stderr; error_log memory:32k debug; worker_priority -5; worker_rlimit_core 1g;\n"
            . "events { use epoll; accept_mutex on; accept_mutex_delay 1s; epoll_events 10;\n"
            . "debug_connection 127.0.0.0/8; debug_connection ::1; debug_connection unix:; }\n");
    is_deeply [run('-tq', '-p', $prefix)], ['', '', 0], 'all good';
};

done_testing;
