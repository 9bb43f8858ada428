# The client sees every fault in a response's framing.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Bulan::Test::Backend;
use Bulan::Test::Client;

my %answers = (
    good      => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nA: 1\r\na: 2\r\n\r\nhi",
    chunked   => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n1;x=y\r\n!\r\n0\r\nSum: 3\r\n\r\n",
    close     => "HTTP/1.0 200 OK\r\n\r\nuntil the end",
    interim   => "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    head      => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
    short     => "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi",
    no_last   => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
    bad_chunk => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    bad_end   => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi!!",
    both      => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\nhi",
    twice     => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi",
    no_colon  => "HTTP/1.1 200 OK\r\nContent-Length 2\r\n\r\nhi",
    no_http   => "oops\r\n\r\n",
    nothing   => "",
);

my $backend = Bulan::Test::Backend->tcp(sub {
    my $connection = shift;
    my $name = $connection->take(qr/\n/, time + 5);
    chomp $name;
    $connection->send($answers{$name});
    $connection->read_all(5) if $name eq 'silent';
});

sub answer {
    my ($name, %option) = @_;
    my $client = Bulan::Test::Client->connect($backend->port);
    $client->send("$name\n");
    return $client->response(%option);
}

is answer('good')->{body}, 'hi', 'Content-Length';
is_deeply answer('good')->{headers}{a}, [1, 2], 'fields of one name';
my $chunked = answer('chunked');
is $chunked->{body}, 'hi!', 'chunked';
is_deeply $chunked->{trailers}, { sum => [3] }, 'trailers';
is answer('close')->{body}, 'until the end', 'until the end';
my $interim = answer('interim');
is "$interim->{status} @{[scalar @{ $interim->{interim} }]}", '204 1', 'an interim response';
is answer('head', method => 'HEAD')->{error}, undef, 'HEAD has no body';

my %errors = (
    short => qr/^closed/, no_last => qr/^closed/, bad_chunk => qr/^malformed: chunk size/,
    bad_end => qr/^malformed: no line end/, both => qr/^malformed: both/, twice => qr/^malformed: Content-Length/,
    no_colon => qr/^malformed: header line/, no_http => qr/^malformed: status line/, nothing => qr/^closed/,
);
like answer($_)->{error}, $errors{$_}, "$_ is an error" for sort keys %errors;
is answer('short')->{body}, 'hi', 'what came is kept';
$answers{silent} = '';
is answer('silent', timeout => 0.1)->{error}, 'timeout', 'silence is a timeout';

is(Bulan::Test::Client->build('POST', '/x', body => 'abc', headers => ['Host' => 'a', 'X' => 1]),
    "POST /x HTTP/1.1\r\nConnection: close\r\nHost: a\r\nX: 1\r\nContent-Length: 3\r\n\r\nabc", 'build');

done_testing;
