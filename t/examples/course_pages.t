# The examples of the course that are pages: each starts as its README says (only its ports are
# others), and answers what its README promises.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Bulan::Test::Example 'start_example';
use Bulan::Test::Process 'wait_until';
use Bulan::Test::Readme 'readme_holds';

my $COURSE = 'examples/course';

subtest 'templates' => sub {
    my $server = start_example("$COURSE/14-template");
    like $server->get('/')->{body}, qr{<h1>Warung Melati</h1>\s+<p>The kitchen is still cold\.</p>}, 'nothing yet';
    readme_holds($server, "$COURSE/14-template");
    my $answer = $server->get('/dishes/1');
    like $answer->{body}, qr{<title>Rawon</title>.*<p>Rp 25000, <b>pedas</b></p>}s, 'a dish';
    is $answer->{headers}{'content-type'}[0], 'text/html; charset=utf-8', 'its type';
    like $server->get('/dishes/2')->{body}, qr{<h1>&lt;script&gt;}, 'text stays text';
    $answer = $server->get('/dishes/9');
    is $answer->{status}, 404, 'no such dish';
    like $answer->{body}, qr/Maybe tomorrow/, 'has a page, too';
    $answer = $server->post('/dishes', 'name=%22%3E&hot=yes');
    is $answer->{status}, 422, 'a form without a price';
    like $answer->{body}, qr/value="&quot;&gt;"/, 'what was written is there again';
    like $answer->{body}, qr/ checked>/, 'and what was ticked';
    is $server->get('/dishes')->{status}, 405, 'GET adds nothing';
    $server->stop;
};

# A browser in the room. What it hears: say(TEXT), hear(PATTERN), frame(): (opcode, payload).
sub enter {
    my ($server, $name, @headers) = @_;
    my $client = $server->connect;
    $client->send(join "\r\n", "GET /chat?name=$name HTTP/1.1", "Host: localhost:$server->{port}",
        'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Version: 13',
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==', @headers, '', '');
    return $client;
}

sub frame {
    my ($client) = @_;
    my ($first, $length) = unpack 'CC', $client->take(2, time + 5);
    $length = unpack 'n', $client->take(2, time + 5) if $length == 126;
    return ($first & 15, $client->take($length, time + 5));
}

sub say { $_[0]->send(pack('CCN', 0x81, 0x80 | length $_[1], 0) . $_[1]) }

sub hears {
    my ($client, $pattern, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $text = '';
    eval {
        ($_, $text) = frame($client) until $text =~ $pattern;
        1;
    } or diag $@;
    like $text, $pattern, $name;
}

subtest 'chat' => sub {
    my $server = start_example("$COURSE/15-websocket-chat");
    $server->wait_workers;
    readme_holds($server, "$COURSE/15-websocket-chat");

    my $page = $server->get('/');
    like $page->{body}, qr/new WebSocket\(/, 'the page';
    is $page->{headers}{'content-type'}[0], 'text/html; charset=utf-8', 'its type';

    my %people = map { $_ => enter($server, $_) } 'a' .. 'h';
    is $_->response->{status}, 101, 'comes in' for values %people;
    # Everybody is in, whatever the order, when everybody has heard from everybody.
    for my $name (sort keys %people) {
        say($people{$name}, "hello from $name");
    }
    my %workers;
    for my $name (sort keys %people) {
        my %heard;
        while (keys %heard < 8) {
            my (undef, $text) = frame($people{$name});
            $heard{$1} = 1 if $text =~ /hello from (\w)/;
            $workers{$1} = 1 if $text =~ /"worker":(\d)/;
        }
        pass "$name has heard all";
    }
    # The kernel may give them all to one worker. Then more come, all at once, until it does not.
    my @more;
    for (1 .. 50) {
        last if keys %workers > 1;
        push @more, map { enter($server, 'more') } 1 .. 8;
        for (1 .. 8) {
            my (undef, $text) = frame($people{a});
            $workers{$1} = 1 if $text =~ /"worker":(\d)/;
        }
    }
    note 'in the workers ', join ' ', sort keys %workers;
    cmp_ok keys %workers, '>', 1, 'people are in several workers';

    say($people{a}, '<b>"quoted" & co</b>');
    hears($people{h}, qr{<b>\\"quoted\\" & co<\\?/b>}, 'text is handed on as text');
    $people{b}->close;
    hears($people{c}, qr/(?=.*"went")(?=.*"name":"b")/, 'who is gone is missed');
    $people{d}->send(pack 'CCN', 0x88, 0x80, 0);
    my ($opcode, $payload);
    ($opcode, $payload) = frame($people{d}) until ($opcode || 0) == 8;
    is unpack('n', $payload), 1000, 'a close is answered';
    enter($server, '%FFname%FF');
    hears($people{c}, qr/"came".*"name":"somebody"|"name":"somebody".*"came"/, 'a name that is no UTF-8 is nobody\'s');
    enter($server, '%C3%A9' x 30);
    hears($people{c}, qr/"name":"(?:\xc3\xa9){24}"/, 'a long name ends with a whole character');
    my $bad = enter($server, 'bad');
    is $bad->response->{status}, 101, 'one who';
    say($bad, "\xff\xfe");
    ($opcode, $payload) = frame($bad) until $opcode == 8 && unpack('n', $payload) == 1007;
    pass '… sends what is no UTF-8 has to go; the others do not hear it';
    is enter($server, 'x', 'Origin: https://elsewhere.example')->response->{status}, 403, 'not from other sites';
    is enter($server, 'x', "Origin: http://localhost:$server->{port}")->response->{status}, 101, 'but from this one';
    $server->stop;
};

subtest 'heartbeat' => sub {
    my $server = start_example("$COURSE/15-websocket-chat", env => { CHAT_HEARTBEAT => 0.2 });
    my $alive = enter($server, 'alive');
    is $alive->response->{status}, 101, 'one who answers';
    my $dead = enter($server, 'dead');
    is $dead->response->{status}, 101, 'and one who does not';
    my ($opcode, $payload, $pings) = (0, '', 0);
    while (1) {
        ($opcode, $payload) = frame($alive);
        if ($opcode == 9) {
            $pings++;
            $alive->send(pack 'CCN', 0x8A, 0x80, 0);
        }
        last if $payload =~ /"went"/;
    }
    cmp_ok $pings, '>', 0, 'is asked';
    like $payload, qr/"name":"dead"/, 'who is silent is gone';
    ($opcode, $payload) = frame($dead) until $opcode == 8;
    is unpack('n', $payload), 1001, '… and told so';
    my $late = enter($server, 'late');
    is $late->response->{status}, 101, 'one who comes before a reload';
    ok $server->reload, 'old workers do not wait for ever';
    ($opcode, $payload) = frame($late) until $opcode == 8 && unpack('n', $payload) == 1012;
    pass 'he is asked to come again';
    is enter($server, 'again')->response->{status}, 101, '… and does';
    $server->stop;
};

# A form with one file.
sub form {
    my ($name, $content, %option) = @_;
    return "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"$name\"\r\n\r\n$content\r\n--x--\r\n";
}

subtest 'upload' => sub {
    my $server = start_example("$COURSE/16-upload");
    my @type = ('Content-Type' => 'multipart/form-data; boundary=x');
    readme_holds($server, "$COURSE/16-upload");
    like $server->get('/')->{body}, qr/enctype="multipart/, 'the page';
    is $server->get('/')->{headers}{'content-type'}[0], 'text/html; charset=utf-8', 'its type';

    my $picture = "\x89PNG\r\n\x1a\n" . join '', map { chr int rand 256 } 1 .. 100_000;
    my $answer = $server->post('/upload', form('moon.png', $picture), @type);
    is $answer->{status}, 201, 'a picture';
    like $answer->{body}, qr/"type":"png"/, 'is one';
    my ($url) = $answer->{body} =~ m{"url":"([^"]+)"};
    $url =~ s{\\/}{/}g;
    $answer = $server->get($url);
    is $answer->{body}, $picture, 'comes back, byte for byte';
    is $answer->{headers}{'content-disposition'}[0], 'attachment', '… as a download';
    is $answer->{headers}{'x-content-type-options'}[0], 'nosniff', '… whatever is in it';

    is $server->post('/upload', form('x.png', "MZ\0\0"), @type)->{status}, 415, 'a program is refused';
    is $server->post('/upload', form('..', 'text'), @type)->{status}, 400, 'and a name that is none';
    is $server->post('/upload', form('a', 'text') =~ s/--x--.*//sr, @type)->{status}, 400, 'half a form';
    is $server->post('/upload', 'a=1')->{status}, 400, 'no form at all';
    is $server->post('/upload', form('a', 'a') x 2 . 'x' x 9_000_000, @type)->{status}, 413, 'more than the server takes';
    is $server->get('/upload')->{status}, 405, 'GET';
    my @many = map { form("$_.txt", 'x') =~ s/--x--\r\n//r } 1 .. 11;
    is $server->post('/upload', join('', @many) . "--x--\r\n", @type)->{status}, 413, 'too many';
    is $server->post('/upload', form('a' x 250, 'text'), @type)->{status}, 400, 'too long a name';
    my $twice = form('a', 'text') =~ s/^(Content-Disposition.*?\r\n)/$1$1/mr;
    is $server->post('/upload', $twice, @type)->{status}, 400, 'two names for one file';
    $answer = $server->post('/upload', form('50% #1.txt', 'half'), @type);
    ($url) = $answer->{body} =~ m{"url":"([^"]+)"};
    is $server->get($url =~ s{\\/}{/}gr)->{body}, 'half', 'a link to a name with signs in it';
    is_deeply [glob $server->path('uploads/.part-*')], [], 'nothing half written is left';
    ok -e $server->path('uploads/.keep'), 'the folder is that of the example';
    is $server->get('/files/.keep')->{status}, 404, '… but what begins with a dot is not to be had';
    $server->stop;
};

done_testing;
