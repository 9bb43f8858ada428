# The prompt of `bulan run`, on a terminal.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use File::Temp 'tempdir';
use Bulan::Test::Pty;
use Bulan::Test::Server;

my $binary = Bulan::Test::Server::binary();
my $home = tempdir('bulan-repl-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $prompt = qr/\r> \e\[K/; # an empty line that waits for keys

sub start {
    my $pty = Bulan::Test::Pty->new([$binary, 'run', @_], env => { HOME => $home, TERM => 'xterm' });
    $pty->expect($prompt);
    return $pty;
}

# Types a line; true when PATTERN comes, and then the next prompt.
sub answers {
    my ($pty, $keys, $pattern) = @_;
    $pty->type($keys);
    return $pty->expect($pattern) && $pty->expect($prompt);
}

sub leave {
    my ($pty) = @_;
    $pty->type("\cD");
    is $pty->finish, 0, 'ctrl-d ends';
}

subtest 'values' => sub {
    my $pty = start();
    ok answers($pty, "1 + 1\r", qr/\n2\r\n/), 'an expression';
    ok answers($pty, "x = 20\r=x * 2\r", qr/\n40\r\n/), 'a global, and =';
    ok answers($pty, qq(return "a", nil, { 3, { b = true } }\r), qr/\n"a"\tnil\t\{ 3, \{ b = true \} \}\r\n/), 'several values';
    $pty->type("for i = 1, 2 do\r");
    ok $pty->expect(qr/\r>> /), 'more is needed';
    ok answers($pty, "print('n' .. i)\rend\r", qr/\nn1\r\nn2\r\n/), 'it has come';
    ok answers($pty, "local = 1\r", qr/\nstdin:1: '?<name>'? expected/), 'no Lua';
    ok answers($pty, "error('oh')\r", qr/\nstdin:1: oh\r\nstack traceback:/), 'an error';
    ok answers($pty, "error({ code = 7 })\r", qr/\n\{ code = 7 \}\r\nstack traceback:/), 'an error that is a table';
    leave($pty);
};

subtest 'waiting' => sub {
    my $pty = start();
    ok answers($pty, "ngx.sleep(0.01) return ngx.get_phase()\r", qr/\n"timer"\r\n/), 'a call that waits';
    $pty->type("ngx.timer.at(0.01, function() print('tick') end) return 1\r");
    ok $pty->expect(qr/\n1\r\n/), 'a timer is set';
    ok $pty->expect(qr/tick\r?\n/), 'and the timer fires while keys are waited for';
    $pty->type("print('begin') ngx.sleep(1000)\r");
    $pty->expect(qr/\nbegin\r\n/);
    ok answers($pty, "\cC", qr/interrupted\r\n/), 'ctrl-c ends what waits';
    $pty->type("print('begin') while true do end\r");
    $pty->expect(qr/\nbegin\r\n/);
    ok answers($pty, "\cC", qr/interrupted/), 'and what computes';
    ok answers($pty, "6 * 7\r", qr/\n42\r\n/), 'the prompt goes on';
    $pty->type("ngx.exit(3)\r");
    is $pty->finish, 3, 'ngx.exit';
};

subtest 'keys' => sub {
    my $pty = start();
    my %edited = (
        "13\e[D2\r" => 'left', "23\cA1\r" => 'ctrl-a', "2\e[H1\e[F3\r" => 'home and end',
        "12x\c?3\r" => 'backspace', "x123\cA\cD\r" => 'ctrl-d', "junk\cU123\r" => 'ctrl-u',
        "123junk\e[D\e[D\e[D\e[D\cK\r" => 'ctrl-k', "123 + 5\cW\cW\r" => 'ctrl-w',
        "1x23\e[D\e[D\e[D\e[3~\r" => 'delete', "\"\xc3\xbc\e[D\e[C\e[D\cE\c?\c?123\r" => 'UTF-8',
    );
    for my $keys (sort keys %edited) {
        ok answers($pty, $keys, qr/\n123\r\n/), $edited{$keys};
    }
    ok answers($pty, "print('\xc3\xbc\xc3\xb6'\e[D\c?\e[C)\r", qr/\n\xc3\xbc\r\n/), 'a character is deleted, not a byte';
    ok answers($pty, "\cL", qr/\e\[H\e\[2J/), 'ctrl-l';
    $pty->type("1 +\r");
    $pty->expect(qr/\r>> /);
    $pty->type("\cC");
    ok $pty->expect($prompt), 'ctrl-c gives the chunk up';
    leave($pty);
};

subtest 'history' => sub {
    my $pty = start();
    answers($pty, "111\r", qr/\n111\r\n/);
    answers($pty, "222\r", qr/\n222\r\n/);
    ok answers($pty, "draft\e[A\e[A\r", qr/\n111\r\n/), 'up';
    ok answers($pty, "333\e[A\e[B\r", qr/\n333\r\n/), 'down, to what was being written';
    leave($pty);
    like Bulan::Test::Server::slurp("$home/.bulan_history"), qr/^111\n222\n111\n333\n\z/m, 'is kept';
    $pty = start();
    ok answers($pty, "\cP\r", qr/\n333\r\n/), 'for the next time';
    leave($pty);
};

subtest 'the terminal' => sub {
    my $pty = start();
    kill 'TERM', $pty->pid;
    is $pty->finish, 128 + 15, 'SIGTERM ends it';
    $pty = Bulan::Test::Pty->new(['/bin/sh', '-c', "$binary run; stty -a | tr ';' '\\n'; $binary run -e 'os.exit(0)'; echo over"],
        env => { HOME => $home });
    $pty->expect($prompt);
    $pty->type("\cD");
    my $modes = $pty->expect(qr/.*over\r\n/s) || '';
    like $modes, qr/ icanon.* echo /s, 'is as it was';
};

done_testing;
