# The code of the course (../shared/seed), taken out of its text as it stands: only ports and Redis's
# address are changed. Each block runs on the server and does what the text says it does.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Bulan::Test::Backend;
use Bulan::Test::Port 'free_port';
use Bulan::Test::Redis;
use Bulan::Test::Server;

my ($text_file) = glob '../shared/seed/*.txt';
plan skip_all => 'the course is not beside this checkout (../shared/seed)' if !$text_file;

# The blocks in the order of the text: { language, code }, without the indentation of their fence.
sub blocks {
    my @blocks;
    my $text = Bulan::Test::Server::slurp($text_file);
    while ($text =~ /^( *)```(nginx|lua)\n(.*?)^ *```$/msg) {
        my ($indent, $language, $code) = ($1, $2, $3);
        $code =~ s/^$indent//mg;
        push @blocks, { language => $language, code => $code };
    }
    return @blocks;
}

my @blocks = blocks();
is @blocks, 11, 'the text has the blocks that this test knows';

# block(PATTERN): the one that has it.
sub block {
    my ($pattern) = @_;
    my @found = grep { $_->{code} =~ $pattern } @blocks;
    is @found, 1, "one block has $pattern";
    return $found[0]{code};
}

sub started {
    my (%option) = @_;
    return Bulan::Test::Server->new(log_level => 'info', %option)->start;
}

# A Lua block as the content of a request.
sub run_lua {
    my ($code, %option) = @_;
    my $server = started(%option, config => "location /t { content_by_lua_block {\n$code\n} }");
    return ($server, $server->get('/t'));
}

subtest 'module 1.2: hello' => sub {
    my $port = free_port();
    my $code = block(qr/Halo dari Lua/);
    $code =~ s/listen 8080;/listen 127.0.0.1:$port;/;
    my $server = Bulan::Test::Server->new(conf => "daemon off;\n$code", port => $port)->start;
    my $answer = $server->get('/hello');
    is $answer->{status}, 200, 'status';
    is $answer->{body}, "Halo dari Lua di dalam OpenResty!\n", 'what the text promises';
    like $answer->{headers}{'content-type'}[0], qr{^text/plain}, 'type';
    $server->stop;
};

subtest 'module 1.3: the language' => sub {
    my ($server, $answer) = run_lua(block(qr/local nama = "Budi"/));
    is $answer->{status}, 200, 'variables';
    $server->stop;

    ($server) = run_lua(block(qr/local warna/));
    ok $server->wait_log(qr/\bmerah\b/), 'array';
    ok $server->wait_log(qr/\bSiti\b/), 'dictionary, by dot';
    ok $server->wait_log(qr/\bJakarta\b/), 'dictionary, by brackets';
    $server->stop;

    ($server) = run_lua(block(qr/local function sapa/));
    ok $server->wait_log(qr/Halo, Ani!/), 'function';
    $server->stop;

    ($server) = run_lua(block(qr/local skor/));
    ok $server->wait_log(qr/Lulus dengan baik/), 'if';
    $server->stop;
};

subtest 'module 2.1: upstream' => sub {
    my ($port, @back) = (free_port(), free_port(), free_port());
    my @backends = map {
        Bulan::Test::Server->new(port => $back[$_], config => "location / { return 200 'app $_'; }")->start
    } 0, 1;
    my $code = block(qr/upstream my_app/);
    $code =~ s/listen 80;/listen 127.0.0.1:$port;/;
    $code =~ s/127\.0\.0\.1:3000/127.0.0.1:$back[0]/;
    $code =~ s/127\.0\.0\.1:3001/127.0.0.1:$back[1]/;
    my $server = Bulan::Test::Server->new(
        conf => "daemon off;\nerror_log logs/error.log;\nevents { }\n$code", port => $port)->start;
    my %seen = map { $server->get('/', Host => 'myapi.com')->{body} => 1 } 1 .. 4;
    is_deeply [sort keys %seen], ['app 0', 'app 1'], 'both get their share';
    $_->stop for $server, @backends;
};

subtest 'module 2.2: access and content' => sub {
    my $server = started(config => block(qr{location /api/data}));
    my $answer = $server->get('/api/data');
    is $answer->{status}, 401, 'without a key';
    is $answer->{body}, "API Key tidak valid\n", '… and what it says';
    $answer = $server->get('/api/data', 'X-Api-Key' => 'kunci_rahasia_123');
    is $answer->{status}, 200, 'with the key';
    is $answer->{headers}{'content-type'}[0], 'application/json; charset=utf-8', 'type';
    like $answer->{body}, qr/"product":"Buku OpenResty"/, 'JSON';
    like $answer->{body}, qr/"id":123/, 'JSON number';
    $server->stop;
};

subtest 'module 2.3: log levels, pcall' => sub {
    my @calls = map { "ngx.log(ngx.$_, 'level of $_')" } qw(ERR WARN NOTICE INFO DEBUG);
    my ($server) = run_lua(join("\n", @calls), log_level => 'debug');
    my %word = (ERR => 'error', WARN => 'warn', NOTICE => 'notice', INFO => 'info', DEBUG => 'debug');
    ok $server->wait_log(qr/\[$word{$_}\].*level of $_/), $_ for sort keys %word;
    $server->stop;

    ($server, my $answer) = run_lua(block(qr/pcall\(cjson\.decode/));
    is $answer->{status}, 200, 'the error is caught';
    ok $server->wait_log(qr/\[error\].*Gagal decode JSON: /), 'and logged';
    $server->stop;
};

subtest 'module 3.1: capture' => sub {
    my $port = free_port();
    my $code = block(qr/ngx\.location\.capture/);
    $code =~ s/listen 8080;/listen 127.0.0.1:$port;/;
    my $server = Bulan::Test::Server->new(
        conf => "daemon off;\nerror_log logs/error.log;\nevents { }\nhttp {\n$code\n}\n", port => $port)->start;
    my $answer = $server->get('/get_user_info');
    is $answer->{status}, 200, 'status';
    is $answer->{body}, qq({"id": 123, "nama": "Pengguna dari DB"}\n\n), 'the internal location answers';
    is $server->get('/_get_user_from_db')->{status}, 404, 'but not to the outside';
    $server->stop;
};

subtest 'module 3.2: shared dictionary' => sub {
    my $port = free_port();
    my $code = block(qr/lua_shared_dict my_cache/);
    $code =~ s/listen 8080;/listen 127.0.0.1:$port;/;
    my $server = Bulan::Test::Server->new(
        conf => "daemon off;\nworker_processes 2;\nerror_log logs/error.log info;\nevents { }\n$code",
        port => $port, workers => 2)->start;
    my $value = '{"id":123, "name":"Produk Mahal"}';
    is $server->get('/data')->{body}, "Data dari DATABASE: $value\n", 'first';
    ok $server->wait_log(qr/Data tidak ada di cache/), 'said in the log';
    is $server->get('/data')->{body}, "Data dari CACHE: $value\n", "then $_" for 1 .. 3;
    $server->stop;
};

subtest 'module 3.3: Redis' => sub {
    plan skip_all => 'no redis-server' if !Bulan::Test::Redis::available();
    my $redis = Bulan::Test::Redis->start;
    my $code = block(qr/resty\.redis/);
    my $port = $redis->port;
    $code =~ s/"127\.0\.0\.1", 6379/"127.0.0.1", $port/;
    my ($server, $answer) = run_lua($code);
    is $answer->{body}, "an animal\n", 'set and get';
    is $server->get('/t')->{body}, "an animal\n", 'over the kept connection';
    $redis->stop;
    like $server->get('/t')->{body}, qr/^Gagal konek ke Redis: connection refused/, 'and when it is gone';
    $server->stop;
};

done_testing;
