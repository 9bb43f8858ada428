# examples/notes over a real MariaDB and a real Redis: what its README promises, and what happens to
# those who try more than that.
use strict;
use warnings;
use lib 't/lib';
use MIME::Base64 qw(decode_base64 encode_base64);
use Test::More;
use Time::HiRes 'time';
use Bulan::Test::Notes;
use Bulan::Test::Process 'wait_until';
use Bulan::Test::Server;

plan skip_all => 'no MariaDB or no Redis' if !Bulan::Test::Notes::available();

my $TRIES    = 4;
my $REQUESTS = 60;
my $notes    = Bulan::Test::Notes->start(NOTES_TRIES => $TRIES, NOTES_REQUESTS => $REQUESTS);
my $server   = $notes->{server};
my @secrets  = ('correct horse', 'battery staple', 'secret', 'the moon is a mirror');

# call(METHOD, PATH, BODY or undef, HEADER => VALUE, ...)
sub call {
    my ($method, $path, $body, @headers) = @_;
    push @headers, 'Content-Type' => 'application/json' if defined $body;
    return $server->send_request($method, $path, $body // '', @headers);
}

sub header { my ($answer, $name) = @_; return ($answer->{headers}{$name} || [''])->[0] }

# A call that must fail: its status, and that the answer is JSON which says so.
sub refused {
    my ($status, $text, $name, @call) = @_;
    my $answer = call(@call);
    is $answer->{status}, $status, $name;
    like $answer->{body}, qr/\A\{"error":"$text"\}\n\z/, '… in JSON';
    return $answer;
}

sub user { my ($name, $password) = @_; return qq({"name":"$name","password":"$password"}) }

sub bearer {
    my ($token) = call(POST => '/api/token', user(@_))->{body} =~ /"token":"([^"]+)"/;
    push @secrets, $token;
    return (Authorization => "Bearer $token");
}

my $readme = Bulan::Test::Server::slurp("$Bulan::Test::Notes::FOLDER/README.md");
my (@dewi, @budi);

subtest 'register' => sub {
    is $notes->set_up->{out}, "the tables are there\n", 'setup.lua may run again';
    my $answer = call(POST => '/api/register', user('dewi', 'correct horse'));
    is $answer->{status}, 201, 'a new user';
    is $answer->{body}, qq({"name":"dewi"}\n), '… and nothing else is told';
    call(POST => '/api/register', user('budi', 'battery staple'));
    refused(409, 'this name is taken', 'a name twice', POST => '/api/register', user('dewi', 'battery staple'));
    refused(422, 'name has to be .*', 'a name that is none', POST => '/api/register', user('De wi', 'correct horse'));
    refused(422, 'password has to be .*', 'a short password', POST => '/api/register', user('agus', 'short'));
};

subtest 'without Redis' => sub {
    $notes->{redis}->stop;
    my $began = time;
    my $answer = refused(503, 'this is not at hand.*', 'nobody logs in', POST => '/api/token', user('dewi', 'correct horse'));
    is header($answer, 'retry-after'), 5, '… for a while';
    cmp_ok time - $began, '<', 5, '… and is told at once';
    like $server->wait_log(qr/\[error\].*Redis: /), qr/refused/, 'the log has the reason';
    $notes->{redis}->launch;
};

subtest 'log in' => sub {
    refused(401, 'wrong name or password', 'a wrong password', POST => '/api/token', user('dewi', 'battery staple'));
    refused(401, 'wrong name or password', 'nobody', POST => '/api/token', user('nobody', 'battery staple'));
    refused(415, '.*application\\\\/json', 'a form', POST => '/api/token', undef, 'Content-Type' => 'application/x-www-form-urlencoded');
    refused(400, '.*no JSON object', "the body $_", POST => '/api/token', $_) for '{"name"', '7 ';
    @dewi = bearer('dewi', 'correct horse');
    @budi = bearer('budi', 'battery staple');
    like $dewi[1], qr/^Bearer [\w-]+\.[\w-]+\.[\w-]+$/, 'a token';
};

my $id;

subtest 'notes' => sub {
    refused(401, 'please log in', 'without a token', GET => '/api/notes');
    is call(GET => '/api/notes', undef, @dewi)->{body}, "[]\n", 'none';
    my $answer = call(POST => '/api/notes', '{"title":"Tea","text":"two sugars"}', @dewi);
    is $answer->{status}, 201, 'a note';
    ($id) = $answer->{body} =~ /"id":(\d+)/;
    is header($answer, 'location'), "/api/notes/$id", '… and where it is';
    $answer = call(PUT => "/api/notes/$id", '{"title":"Tea","text":"no sugar \u2615"}', @dewi);
    is $answer->{status}, 200, 'changed';
    like call(GET => "/api/notes/$id", undef, @dewi)->{body}, qr/"text":"no sugar \xe2\x98\x95"/, '… as it can be read';
    is call(PUT => "/api/notes/$id", '{"title":"Tea","text":"no sugar \u2615"}', @dewi)->{status}, 200, 'to what it is';
    refused(422, "$_->[0] has to be .*", $_->[1], POST => '/api/notes', $_->[2], @dewi) for
        ['title', 'no title', '{"text":"x"}'], ['title', 'an empty title', '{"title":"","text":"x"}'],
        ['text', 'a text that is none', '{"title":"x","text":[]}'], ['title', 'no UTF-8', qq({"title":"\xff","text":""})];
    refused(404, 'there is no such thing here', 'another path', GET => '/api/note', undef, @dewi);
    my $refused = refused(405, '.*', 'another method', PATCH => "/api/notes/$id", undef, @dewi);
    like header($refused, 'allow'), qr/^DELETE, GET, HEAD, PUT$/, '… and which there are';
    refused(413, '.*', 'a body without end', POST => '/api/notes', ' ' x 70_000, @dewi);
};

subtest "another's note" => sub {
    refused(404, 'there is no such note', $_->[0], $_->[0], "/api/notes/$id", $_->[1], @budi) for
        ['GET'], ['PUT', '{"title":"Mine","text":""}'], ['DELETE'];
    is call(GET => '/api/notes', undef, @budi)->{body}, "[]\n", 'is not in the list';
    like call(GET => "/api/notes/$id", undef, @dewi)->{body}, qr/"title":"Tea"/, '… and is there still';
};

subtest 'tokens that are none' => sub {
    my ($head, $claims, $signature) = split /\./, substr $dewi[1], length 'Bearer ';
    my $forged = encode_base64(decode_base64($claims =~ tr{-_}{+/}r) =~ s/"sub":"\d+"/"sub":"2"/r, '') =~ tr{+/=}{-_}dr;
    my $none   = encode_base64('{"alg":"none","typ":"JWT"}', '') =~ tr{+/=}{-_}dr;
    my %token  = ('with other claims' => "$head.$forged.$signature", 'unsigned' => "$none.$forged.",
        'cut' => "$head.$claims", 'of nothing' => 'x');
    for (sort keys %token) {
        my $answer = refused(401, 'please log in', $_, GET => '/api/notes', undef, Authorization => "Bearer $token{$_}");
        is header($answer, 'www-authenticate'), 'Bearer', '… and what to bring';
    }
};

subtest 'text that would be code' => sub {
    my $sql = q{x'); DROP TABLE notes; -- \\\\' OR 1=1};
    my $answer = call(POST => '/api/notes', qq({"title":"$sql","text":"$sql"}), @budi);
    is $answer->{status}, 201, 'SQL is taken';
    like $answer->{body}, qr/"title":"\Q$sql\E"/, '… as it is';
    call(POST => '/api/notes', '{"title":"<script>alert(1)</script>","text":"{{name}} \" onload=\'x\'"}', @budi);
    my ($cookie) = header(call(POST => '/api/login', user('budi', 'battery staple')), 'set-cookie') =~ /^([^;]+)/;
    push @secrets, $cookie;
    my $page = $server->get('/', Cookie => $cookie);
    is $page->{status}, 200, 'the page';
    unlike $page->{body}, qr/<script>/, 'has no script of the note';
    like $page->{body}, qr{&lt;script&gt;alert\(1\)&lt;&#47;script&gt;}, '… but its text';
    like $page->{body}, qr{<p class="text">\{\{name\}\} &quot; onload=&#39;x&#39;</p>}, 'no tag of a template either';
    like header($page, 'content-security-policy'), qr/default-src 'self'/, 'and the browser is told to run none';
};

subtest 'cookie' => sub {
    my $page = $server->get('/');
    is $page->{status}, 302, 'without a login';
    like header($page, 'location'), qr{/login$}, '… one is led to the form';
    is $server->get('/login')->{status}, 200, 'which is there';
    my $login = header(call(POST => '/api/login', user('dewi', 'correct horse')), 'set-cookie');
    like $login, qr/^notes_session=[^;]+; Max-Age=28800; Path=\/; HttpOnly; SameSite=Lax$/, 'the cookie';
    my @cookie = (Cookie => $login =~ /^([^;]+)/);
    push @secrets, $cookie[1];
    is call(GET => '/api/notes', undef, @cookie)->{status}, 200, 'is enough to read';
    my ($csrf) = $server->get('/', @cookie)->{body} =~ /name="csrf-token" content="([^"]+)"/;
    my @write = (POST => '/api/notes', '{"title":"x","text":""}', @cookie);
    refused(403, '.*X-CSRF-Token.*', 'not to write', @write);
    refused(403, '.*X-CSRF-Token.*', 'nor with another token', @write, 'X-CSRF-Token' => 'f' x 32);
    is call(@write, 'X-CSRF-Token' => $csrf)->{status}, 201, 'with that of the page it is';
    my $out = call(POST => '/api/logout', undef, @cookie, 'X-CSRF-Token' => $csrf);
    is $out->{status}, 204, 'logged out';
    like header($out, 'set-cookie'), qr/^notes_session=; Max-Age=0;/, '… the cookie goes';
    refused(401, 'please log in', '… and a copy of it is worth nothing', GET => '/api/notes', undef, @cookie);
};

subtest 'pages that fail' => sub {
    my $page = $server->get('/nowhere');
    is $page->{status}, 404, 'no such page';
    like header($page, 'content-type'), qr{^text/html}, '… is told in a page';
    like $page->{body}, qr/there is no such thing here/, '… with the reason';
    is $server->get("/$_")->{status}, 404, "$_ is not for the world" for qw(lua/notes/app.lua views/login.html static/../schema.sql);
    is $server->get('/static/../../schema.sql')->{status}, 400, 'nor is what is above';
    like header($server->get('/static/notes.js'), 'content-type'), qr{^text/javascript}, 'the script';
};

subtest 'without the database' => sub {
    $notes->{db}->stop;
    my $began = time;
    refused(503, 'this is not at hand.*', 'the API', GET => '/api/notes', undef, @dewi);
    cmp_ok time - $began, '<', 5, '… says so at once';
    like $server->wait_log(qr/\[error\].*database: /), qr/database: /, '… and the log, why';
    $notes->{db}->launch;
    like call(GET => "/api/notes/$id", undef, @dewi)->{body}, qr/no sugar/, 'when it is back, all is there';
};

subtest 'the calls of the README' => sub {
    my @calls = $readme =~ /^    (.*curl .*)$/mg;
    my $shell = join "\n", map { s/localhost:8080/127.0.0.1:$server->{port}/gr =~ s/curl /curl -sS -m 20 /gr =~ s/dewi/sari/gr } @calls;
    my ($own) = call(POST => '/api/notes', '{"title":"x","text":""}', @dewi)->{body} =~ /"id":(\d+)/;
    $own++; # that of the next note, which the README calls 1
    my @said = split /\n/, `$shell` =~ s/"changed":"[^"]*",?//gr if $shell =~ s{notes/1$}{notes/$own}mg;
    is scalar @calls, 6, 'curl is called six times';
    is $said[0], '{"name":"sari"}', 'register';
    like $said[1], qr/^\{.*"text":"kopi, gula"/, 'a note';
    like $said[2], qr/^\[\{.*"text":"kopi, gula".*\}\]$/, 'all notes';
    like $said[3], qr/^\{.*"text":"teh"/, 'changed';
    is scalar @said, 4, 'deleted';
};

subtest 'delete' => sub {
    is call(DELETE => "/api/notes/$id", undef, @dewi)->{status}, 204, 'gone';
    refused(404, 'there is no such note', 'it is', GET => "/api/notes/$id", undef, @dewi);
    refused(404, 'there is no such note', 'once', DELETE => "/api/notes/$id", undef, @dewi);
};

subtest 'limits' => sub {
    my ($answer, $asked);
    for (1 .. $REQUESTS + 1) {
        $asked++;
        $answer = call(GET => '/api/notes', undef, @budi);
        last if $answer->{status} != 200;
    }
    is $answer->{status}, 429, "$asked requests more are too many";
    like header($answer, 'retry-after'), qr/^[1-5]?\d$|^60$/, '… for a minute';
    is call(GET => '/api/notes', undef, @dewi)->{status}, 200, '… of one user';
    is call(GET => '/', undef, @budi)->{status}, 429, '… and the page counts, too';

    for (1 .. $TRIES + 1) {
        $answer = call(POST => '/api/token', user('dewi', 'wrong horse'));
        last if $answer->{status} != 401;
    }
    is $answer->{status}, 429, 'passwords are not tried for long';
    refused(429, 'too many tries.*', 'nor is the right one then', POST => '/api/token', user('dewi', 'correct horse'));
};

unlike $server->log, qr/held the event loop/, 'no password held up a worker';
$server->stop;
my $logs = join '', map { Bulan::Test::Server::slurp($server->path("logs/$_")) } qw(error.log access.log);
ok index($logs, $_) < 0, 'no credentials in the logs' for @secrets;

like $readme, qr{bin/bulan -p \$PWD/examples/notes -c conf/nginx\.conf}, 'the README says how to start it';
like $readme, qr/^## $_$/m, "… in $_" for 'Indonesia', 'English';

done_testing;
