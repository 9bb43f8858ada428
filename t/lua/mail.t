# resty.mail against a small SMTP server that does as it is told.
use strict;
use warnings;
use lib 't/lib';
use IO::Socket::SSL;
use MIME::Base64;
use Test::More;
use Bulan::Test::Backend;
use Bulan::Test::Server;
use Bulan::Test::Tls;

my $tls  = Bulan::Test::Tls->new;
my $cert = $tls->certificate('mail.test');

sub secure {
    my ($c) = @_;
    my $socket = $c->{socket};
    IO::Socket::SSL->start_SSL($socket, SSL_server => 1, SSL_cert_file => $cert->{cert}, SSL_key_file => $cert->{key})
        or die "TLS: $SSL_ERROR\n";
    $c->{socket} = $socket;
}

# An SMTP server. Options: tls ("ssl", "starttls"), can (lines of EHLO's answer), reply { VERB => answer },
# greeting, after (VERB => code run in place of an answer).
sub smtp {
    my (%o) = @_;
    return Bulan::Test::Backend->tcp(sub {
        my ($c) = @_;
        secure($c) if ($o{tls} || '') eq 'ssl';
        $c->send($o{greeting} // "220 mail.test ready\r\n");
        my $auth = 0;
        while (1) {
            my $line = eval { $c->take(qr/\r\n/, time + 5) } // return;
            my ($verb) = uc $line =~ /^(\w+)/ ? uc $1 : '';
            $verb = 'AUTH' if $auth;
            return $o{after}{$verb}->($c) if $o{after}{$verb};
            if (defined $o{reply}{$verb}) { $c->send($o{reply}{$verb}) }
            elsif ($verb eq 'EHLO') {
                my @can = (@{ $o{can} || [] }, ($o{tls} || '') eq 'starttls' ? 'STARTTLS' : ());
                my @lines = ('mail.test', @can);
                $c->send(join '', map { '250' . ($_ == $#lines ? ' ' : '-') . "$lines[$_]\r\n" } 0 .. $#lines);
            } elsif ($verb eq 'STARTTLS') {
                $c->send("220 go on\r\n");
                secure($c);
            } elsif ($verb eq 'AUTH' && $line =~ /LOGIN/) { $auth = 2; $c->send("334 VXNlcm5hbWU6\r\n") }
            elsif ($auth == 2) { $auth = 1; $c->send("334 UGFzc3dvcmQ6\r\n") }
            elsif ($verb eq 'DATA') {
                $c->send("354 go on\r\n");
                $c->take(qr/\r\n\.\r\n/, time + 5);
                $c->send($o{reply}{BODY} // "250 taken\r\n");
            } elsif ($verb eq 'QUIT') { $c->send("221 bye\r\n"); return }
            else { $auth = 0; $c->send("250 fine\r\n") }
        }
    }, parallel => 1);
}

my $server = Bulan::Test::Server->new(
    http_config => "lua_ssl_trusted_certificate " . $tls->authority->{cert} . ";\n" . <<'CONF',
init_by_lua_block {
    mail, message, cjson = require "resty.mail", require "resty.mail.message", require "cjson"
}
CONF
    config => <<'CONF',
client_body_buffer_size 1m;
location = /send {
    content_by_lua_block {
        ngx.req.read_body()
        local given = cjson.decode(ngx.req.get_body_data())
        local mailer, err = mail.new(given.options)
        if not mailer then return ngx.print("new: ", err) end
        local ok, err = mailer:send(given.data)
        ngx.print(tostring(ok), err and " " .. err or "")
    }
}
location = /body {
    content_by_lua_block {
        ngx.req.read_body()
        local msg, err = message.new(cjson.decode(ngx.req.get_body_data()))
        if not msg then return ngx.print("nil ", err) end
        ngx.print(msg:get_body_string())
    }
}
CONF
);
$server->start;

sub json {
    my ($v) = @_;
    return '{' . join(',', map { json($_) . ':' . json($v->{$_}) } sort keys %$v) . '}' if ref $v eq 'HASH';
    return '[' . join(',', map { json($_) } @$v) . ']' if ref $v eq 'ARRAY';
    return $$v ? 'true' : 'false' if ref $v eq 'SCALAR';
    return $v if $v =~ /^\d+$/;
    $v =~ s/(["\\])/\\$1/g;
    $v =~ s/([\x00-\x1f])/sprintf '\\u%04x', ord $1/ge;
    return qq("$v");
}

sub post { return $server->post($_[0], json($_[1]))->{body} }

my %data = (from => 'Me <me@a.test>', to => ['you@b.test'], subject => 'Hello', text => "one\n.\ntwo\n");

sub send_to {
    my ($smtp, $options, %more) = @_;
    return post('/send', { options => { host => '127.0.0.1', port => $smtp->port, %$options }, data => { %data, %more } });
}

# --- the conversation

my $smtp = smtp(can => ['SIZE 100000', '8BITMIME']);
is send_to($smtp, {}, cc => ['Him <him@b.test>', 'you@b.test'], bcc => ['her@c.test']), 'true', 'sent';
my $got = $smtp->received(qr/QUIT\r\n/);
like $got, qr/^EHLO localhost\.localdomain\r\nMAIL FROM:<me\@a\.test> SIZE=\d+\r\nRCPT TO:<you\@b\.test>\r\nRCPT TO:<him\@b\.test>\r\nRCPT TO:<her\@c\.test>\r\nDATA\r\n/,
    'each recipient once, the hidden ones too';
like $got, qr/^From: Me <me\@a\.test>\r\nTo: you\@b\.test\r\nCc: Him <him\@b\.test>,\r\n you\@b\.test\r\nSubject: Hello\r\nDate: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d \+0000\r\nMessage-ID: <\w+\@a\.test\.mail>\r\nMIME-Version: 1\.0\r\n/m,
    'the head';
unlike $got, qr/her\@c\.test.*her\@c\.test/s, 'Bcc is not written';
is decode_base64(($got =~ /base64\r\n\r\n(.*?)\r\n\.\r\n/s)[0]), "one\r\n.\r\ntwo\r\n", 'the text, with line breaks as they should be';
like send_to($smtp, {}, text => 'x' x 100000), qr/^false message too large/, 'the server says how large';
like send_to($smtp, {}, to => ["\xc3\xa9\@b.test"]), qr/^false the server does not take addresses/, 'addresses beyond ASCII';

my $utf8 = smtp(can => ['SMTPUTF8']);
is send_to($utf8, {}, to => ["\xc3\xa9\@b.test"]), 'true', 'where the server takes them';
like $utf8->received(qr/QUIT/), qr/MAIL FROM:<me\@a\.test> SMTPUTF8\r\nRCPT TO:<\xc3\xa9\@b\.test>/, 'and is told';

is send_to($smtp, {}, headers => { 'X-Dot' => '.' }, subject => '.' ), 'true', 'dots';

my $old = smtp(reply => { EHLO => "502 what\r\n" });
is send_to($old, { domain => 'me.test' }), 'true', 'a server that knows HELO only';
like $old->received(qr/QUIT/), qr/^EHLO me\.test\r\nHELO me\.test\r\nMAIL/, 'is greeted so';

# --- authentication

my %login = (username => 'user', password => 'secret word');
my $auth = smtp(can => ['AUTH PLAIN LOGIN']);
is send_to($auth, {%login}), 'true', 'plain';
like $auth->received(qr/QUIT/), qr/AUTH PLAIN \Q@{[encode_base64("\0user\0secret word", '')]}\E\r\n/, 'plain, on the wire';
$auth->mark;
is send_to($auth, { %login, auth_type => 'login' }), 'true', 'login';
like $auth->received(qr/QUIT/), qr/AUTH LOGIN\r\ndXNlcg==\r\nc2VjcmV0IHdvcmQ=\r\nMAIL/, 'login, on the wire';
my $bad = smtp(reply => { AUTH => "535 bad password: secret word c2VjcmV0IHdvcmQ=\r\n" });
is send_to($bad, {%login}), 'false SMTP response was not successful: 535 authentication refused', 'refused: no echo';
is post('/send', { options => { password => 'x' }, data => {} }), 'new: authentication requested, but missing username', 'no username';
is post('/send', { options => { username => 'x' }, data => {} }), 'new: authentication requested, but missing password', 'no password';
is post('/send', { options => { auth_type => 'plain' }, data => {} }), 'new: authentication requested, but missing username', 'neither';

# --- encryption

my $starttls = smtp(tls => 'starttls');
my %named = (ssl_host => 'mail.test');
is send_to($starttls, { starttls => \1, %named }), 'true', 'STARTTLS, verified';
like $starttls->received(qr/QUIT/), qr/^EHLO \S+\r\nSTARTTLS\r\nEHLO/, 'greeted again behind it';
like send_to($starttls, { starttls => \1 }), qr/^false sslhandshake error: /, 'a certificate of another name';
is send_to($starttls, {}), 'true', 'of its own accord, without verification';
like send_to($starttls, { ssl_verify => \1 }), qr/^false sslhandshake error: /, 'unless it is asked for';
my $ssl = smtp(tls => 'ssl');
is send_to($ssl, { ssl => \1, %named }), 'true', 'TLS from the start';
is send_to($ssl, { ssl => \1, ssl_verify => \0 }), 'true', 'without verification';
my $none = smtp(reply => { STARTTLS => "500 Unrecognised command\r\n" });
is send_to($none, { starttls => \1 }), 'false SMTP response was not successful: 500 Unrecognised command', 'not offered';
unlike $none->received, qr/MAIL/, 'nothing in clear then';
my $injects = smtp(tls => 'starttls', reply => { STARTTLS => "220 go on\r\n250 injected\r\n" });
is send_to($injects, { starttls => \1 }), 'false invalid SMTP response', 'words in clear behind the consent';

# --- servers that misbehave

is post('/send', { options => { host => '127.0.0.1', port => Bulan::Test::Port::free_port() }, data => \%data }),
    'false connect failure: connection refused', 'nobody there';
my @cases = (
    [{ greeting => "554 go away\r\n" }, 'SMTP response was not successful: 554 go away'],
    [{ greeting => "hello\r\n" }, 'invalid SMTP response'],
    [{ greeting => 'x' x 10000 }, 'invalid SMTP response'],
    [{ greeting => '220 ' . 'x' x 5000 . "\r\n" }, 'invalid SMTP response'],
    [{ greeting => "220-x\r\n" x 1000 }, 'invalid SMTP response'],
    [{ reply => { MAIL => "550-no\r\n550 never\a\r\n" } }, 'SMTP response was not successful: 550 no never?'],
    [{ reply => { RCPT => "550 unknown\r\n" } }, 'SMTP response was not successful: 550 unknown'],
    [{ reply => { BODY => "554 spam\r\n" } }, 'SMTP response was not successful: 554 spam'],
    [{ reply => { DATA => "250 what\r\n" } }, 'SMTP response was not successful: 250 what'],
    [{ after => { MAIL => sub { $_[0]->send('250-half') } } }, 'failed to read response: closed'],
    [{ after => { EHLO => sub { select undef, undef, undef, 2 } } }, 'failed to read response: timeout'],
);
is send_to(smtp(%{ $_->[0] }), { timeout_read => 300 }), "false $_->[1]", $_->[1] for @cases;

# --- the message

is post('/body', { %data, @$_[0, 1] }), "nil $_->[2]", "refused: $_->[2]" for (
    [subject => "a\r\nBcc: x\@y", 'invalid subject'],
    [to => ["a\@b\r\nX: y"], 'invalid address in to: a@b??X: y'],
    [to => ['a@b> SIZE=1'], 'invalid address in to: a@b> SIZE=1'],
    [from => '', 'invalid address in from: '],
    [headers => { "X\r\n" => 'y' }, 'invalid header name'],
    [headers => { 'X' => "y\nz" }, 'invalid value of header X'],
    [headers => { 'content-type' => 'x' }, 'invalid header name'],
    [attachments => [{ content => 'x', filename => "a\nb" }], 'invalid filename of an attachment'],
    [attachments => [{ content => 'x', disposition => 'y' }], 'invalid disposition of an attachment'],
    [attachments => [{ filename => 'x' }], 'attachment without content'],
);
is send_to($smtp, {}, to => []), 'false no recipients', 'no recipients';

my $text = "\xc3\xa9\xe2\x82\xac" x 40;
my $body = post('/body', { %data, subject => $text, from => "\"J\xc3\xb6rg, \\\"the\\\" man\" <j\@a.test>", to => ['"A, B" <ab@b.test>'],
    reply_to => 'r@a.test', headers => { 'X-B' => 2, Date => 'mine', 'X-A' => "\xc3\xa9" } });
my ($head) = $body =~ /^(.*?\r\n)\r\n/s;
ok !grep({ length > 78 } split /\r\n/, $head), 'no line of the head is long';
my ($subject) = $head =~ /^Subject: (.*?)\r\n(?!\s)/ms;
is join('', map { decode_base64($_) } $subject =~ /=\?utf-8\?B\?([^?]+)\?=/g), $text, 'a subject in encoded words';
ok !grep({ my $w = decode_base64($_); !utf8::decode($w) } $subject =~ /=\?utf-8\?B\?([^?]+)\?=/g), 'each of whole characters';
like $head, qr/^From: =\?utf-8\?B\?\Q@{[encode_base64("J\xc3\xb6rg, \"the\" man", '')]}\E\?= <j\@a\.test>\r$/m, 'a name in encoded words';
like $head, qr/^To: "A, B" <ab\@b\.test>\r$/m, 'a name that needs quotes';
like $head, qr/^Reply-To: r\@a\.test\r$/m, 'reply_to';
like $head, qr/^Date: mine\r\nX-A: =\?utf-8\?B\?w6k=\?=\r\nX-B: 2\r$/m, 'fields of the caller';
unlike $head, qr/^Date: \w{3},/m, 'in place of ours';

$body = post('/body', {
    %data, html => '<img src="cid:pic">',
    attachments => [
        { filename => 'a "b".txt', content_type => 'text/plain', content => 'A' x 100 },
        { filename => "\xc3\xa9.txt", content => 'x' },
        { filename => 'p.png', content_type => 'image/png', content => 'P', disposition => 'inline', content_id => 'pic' },
    ],
});
my ($mixed) = $body =~ m{^Content-Type: multipart/mixed; boundary="(\w+)"\r\n\r\n}m;
my @parts = split /\r\n--\Q$mixed\E(?:--)?\r\n/, "\r\n" . ($body =~ /\r\n\r\n(.*)/s)[0];
is scalar @parts, 4, 'mixed: a text and two attachments';
like $parts[1], qr{^Content-Type: multipart/alternative; boundary="(\w+)"\r\n\r\n--\1\r\nContent-Type: text/plain; charset=utf-8\r\n.*\r\n--\1\r\nContent-Type: multipart/related; boundary="(\w+)"\r\n\r\n--\2\r\nContent-Type: text/html; charset=utf-8\r\n.*\r\n--\2\r\nContent-Type: image/png\r\n.*Content-Disposition: inline; filename="p\.png"\r\nContent-ID: <pic>\r\n\r\nUA==\r\n--\2--\r\n--\1--$}s,
    'alternative: the text, and html with its picture';
like $parts[2], qr{^Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename="a \\"b\\"\.txt"\r\nContent-ID: <\w+\@localhost\.localdomain>\r\n\r\n(?:QUFB){19}\r\n(?:QUFB){14}QQ==$}s,
    'an attachment, in lines of 76';
like $parts[3], qr{Content-Type: application/octet-stream\r\n.*filename="=\?utf-8\?B\?w6kudHh0\?=";\r\n filename\*=utf-8''%C3%A9\.txt\r\n}s,
    'a name beyond ASCII, in both ways';
$body = post('/body', { from => 'a@a.test', html => '<p>' });
like $body, qr{^Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nPHA\+\r\n$}m, 'html alone';

unlike $server->log, qr/secret word|c2VjcmV0IHdvcmQ|AHVzZXIAc2VjcmV0/, 'no password in the log';
$server->stop;
done_testing();
