# resty.session: what it keeps, where, and what it does not take.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Bulan::Test::Redis;
use Bulan::Test::Server;

my $redis = Bulan::Test::Redis->start(requirepass => 'sesame');
my $port  = $redis->port;

# /do runs the Lua code of its body, with `options` and functions for all.
my $server = Bulan::Test::Server->new(
    workers     => 2,
    main_config => 'env TEST_CLOCK;',
    http_config => <<"CONFIG",
large_client_header_buffers 4 64k;
lua_shared_dict sessions 1m;
lua_shared_dict clock 100k;
init_by_lua_block {
    cjson = require "cjson"
    session = require "resty.session"
    local time = ngx.time
    ngx.time = function() return time() + (ngx.shared.clock:get("shift") or 0) end
    session.init { secret = "the first secret" }
    options = {
        cookie = { storage = "cookie" },
        shm = { storage = "shm", shm = { prefix = "p", suffix = "s" } },
        redis = { storage = "redis", redis = { port = $port, password = "sesame", prefix = "p" }, store_metadata = true },
    }
    function with(name, more)
        local all = {}
        for _, source in ipairs { options[name], more or {} } do
            for key, value in pairs(source) do all[key] = value end
        end
        return all
    end
}
CONFIG
    config => <<'CONFIG',
location = /do {
    content_by_lua_block {
        ngx.req.read_body()
        local storage = ngx.var.arg_s or "cookie"
        local run = assert(loadstring(ngx.req.get_body_data()))
        local out = { run(with, storage) }
        for i = 1, table.maxn(out) do out[i] = tostring(out[i]) end
        ngx.print(table.concat(out, " "))
    }
}
location = /echo {
    content_by_lua_block { ngx.print(cjson.encode(ngx.req.get_headers())) }
}
location = /proxy {
    access_by_lua_block {
        local s = session.open { request_headers = { "id", "Subject" }, response_headers = { "timeout", "audience" } }
        s:set_headers()
        s:clear_request_cookie()
    }
    proxy_pass http://127.0.0.1:$server_port/echo;
}
CONFIG
);
$server->start;

# A browser: the last cookies; do(CODE) sends them.
package Browser {
    sub new { bless { cookies => {}, fields => [], storage => $_[1] || 'cookie', headers => [] }, $_[0] }

    sub get {
        my ($self, $path, $body) = @_;
        my $cookies = join '; ', map { "$_=$self->{cookies}{$_}" } sort keys %{ $self->{cookies} };
        my @headers = (@{ $self->{headers} }, length $cookies ? (Cookie => $cookies) : ());
        my $client = $server->connect;
        $client->send(Bulan::Test::Client->build(defined $body ? 'POST' : 'GET', $path, headers => \@headers, body => $body));
        my $r = $client->response;
        $self->{fields} = $r->{headers}{'set-cookie'} || [];
        for (@{ $self->{fields} }) {
            my ($name, $value) = /^([^=]+)=([^;]*)/ or die "bad Set-Cookie: $_";
            if (/; Max-Age=0$/) { delete $self->{cookies}{$name} } else { $self->{cookies}{$name} = $value }
        }
        $self->{response} = $r;
        return $r->{status} == 200 ? $r->{body} : "status $r->{status}";
    }

    sub do { my ($self, $code) = @_; return $self->get("/do?s=$self->{storage}", "local with, storage = ...\n$code") }
}

package main;

my $new   = Browser->new;
my $login = 'local s = session.new(with(storage)) s:set_subject("dewi") s:set("n", 1) return s:save()';
my $show  = 'local s, err, exists = session.open(with(storage)) return exists, s:get_subject(), s:get("n"), err';

sub shift_clock {
    my ($seconds) = @_;
    Browser->new->do("ngx.shared.clock:set('shift', $seconds)");
}

for my $storage (qw(cookie shm redis)) {
    my $b = Browser->new($storage);
    is $b->do($show), 'false nil nil missing session cookie', "$storage: no session";
    is $b->do($login), 'true', "$storage: login";
    is scalar @{ $b->{fields} }, 1, "$storage: one cookie";
    like $b->{fields}[0], qr{^session=[\w-]{110,}; Path=/; SameSite=Lax; HttpOnly$}, "$storage: its form";
    is length($b->{cookies}{session}) > 110, $storage eq 'cookie', "$storage: the data are where they belong";
    is $b->do($show), 'true dewi 1', "$storage: opened";
    is scalar @{ $b->{fields} }, 0, "$storage: opening sends nothing";

    my %old = %{ $b->{cookies} };
    my $id = $b->do('return session.open(with(storage)):get_property("id")');
    like $id, qr/^[\w-]{43}$/, "$storage: an id";
    is $b->do('local s = session.start(with(storage)) s.data.n = { 1, {}, cjson.empty_array, "é", 0.1, true, cjson.null } return s:save()'),
        'true', "$storage: data as a field, saved";
    is $b->do('return cjson.encode(session.open(with(storage)):get("n"))'), '[1,{},[],"é",0.1,true,null]', "$storage: data of all kinds";
    isnt $b->do('return session.open(with(storage)):get_property("id")'), $id, "$storage: a save gives a new id";
    my $late = Browser->new($storage);
    $late->{cookies} = {%old};
    is $late->do($show), 'true dewi 1', "$storage: the one before is stale, and taken for a while";

    # Two requests save at once: both succeed, and each cookie is whole.
    my @both = map { my $each = Browser->new($storage); $each->{cookies} = { %{ $b->{cookies} } }; $each } 1, 2;
    is $_->do('local s = session.open(with(storage)) s:set("n", ngx.now()) ngx.sleep(0) return s:save()'), 'true', "$storage: a save among others" for @both;
    like $_->do($show), qr/^true dewi [\d.]+$/, "$storage: its session" for @both;
    $b->{cookies} = $both[1]{cookies};

    # Audiences.
    is $b->do('local s = session.new(with(storage)) s:open() s:set_audience("shop") s:set_subject("budi") s:set("n", 2) return s:save()'), 'true', "$storage: another audience";
    is $b->do('local s, _, e = session.open(with(storage, { audience = "shop" })) return e, s:get_subject(), s:get("n")'), 'true budi 2', "$storage: its data";
    like $b->do($show), qr/^true dewi /, "$storage: the first is there, too";
    is $b->do('local s, err, e = session.open(with(storage, { audience = "none" })) return e, err, s:get_subject()'), 'false missing session audience', "$storage: an audience that is not there";
    is $b->do('return session.logout(with(storage, { audience = "shop" }))'), 'true nil true true', "$storage: it logs out";
    is $b->do('local s, err, e = session.open(with(storage, { audience = "shop" })) return e, err'), 'false missing session audience', "$storage: gone";
    like $b->do($show), qr/^true dewi /, "$storage: the first is still there";

    # What is destroyed is gone; with a storage for everybody.
    my %before = %{ $b->{cookies} };
    is $b->do('return session.destroy(with(storage))'), 'true nil true true', "$storage: destroyed";
    is_deeply $b->{cookies}, {}, "$storage: the browser forgets";
    is $b->do($show), 'false nil nil missing session cookie', "$storage: and it is gone";
    $b->{cookies} = \%before;
    if ($storage ne 'cookie') {
        is $b->do($show), 'false nil nil missing session data', "$storage: a copy of the cookie is worth nothing";
        is $b->do('return session.destroy(with(storage))'), 'nil missing session data false false', "$storage: there is nothing to destroy";
        is_deeply $b->{cookies}, {}, "$storage: such a cookie is taken away, too";
    }

    # The next logins of one browser replace each other's cookies; two saves of a request send one.
    $b->do($login);
    is $b->do('local s = session.open(with(storage)) s:save() s:set("n", 7) return s:save()'), 'true', "$storage: two saves";
    is scalar @{ $b->{fields} }, 1, "$storage: are one cookie";
    is $b->do($show), 'true dewi 7', "$storage: the last";

    # Many data.
    is $b->do('local s = session.open(with(storage)) s:set("n", string.rep("x", 20000)) return s:save()'), 'true', "$storage: much, that compresses well";
    is $b->do('return #session.open(with(storage)):get("n"), next(ngx.req.get_headers(), nil) ~= nil'), '20000 true', "$storage: is read";
    my $noise = 'local t = {} for i = 1, 6000 do t[i] = math.random(1e9) % 256 end local text = "" for i = 1, 6000 do text = text .. ("%02x"):format(t[i]) end';
    is $b->do("$noise local s = session.open(with(storage)) s:set('n', text) ngx.shared.clock:set('text', text) return s:save()"), 'true', "$storage: much, that does not";
    is scalar(keys %{ $b->{cookies} }), $storage eq 'cookie' ? 3 : 1, "$storage: in so many cookies";
    is $b->do('return session.open(with(storage)):get("n") == ngx.shared.clock:get("text")'), 'true', "$storage: is read";
    ok !(grep { length > 4096 + 60 } @{ $b->{fields} }), "$storage: none too long for browsers";
    if ($storage eq 'cookie') {
        my %all = %{ $b->{cookies} };
        delete $b->{cookies}{session2};
        is $b->do($show), 'false nil nil missing session data', 'cookie: a part is missing';
        $b->{cookies} = {%all};
        $b->{cookies}{session2} = substr($all{session2}, 1) . 'A';
        is $b->do($show), 'false nil nil unable to decrypt session data', 'cookie: a part is changed';
        $b->{cookies} = {%all};
    }
    is $b->do('local s = session.open(with(storage)) s:set("n", 8) return s:save()'), 'true', "$storage: little again";
    is scalar(keys %{ $b->{cookies} }), 1, "$storage: the other cookies are gone";
    is $b->do($show), 'true dewi 8', "$storage: and it is read";

    # Info.
    is $b->do('local s = session.open(with(storage)) s.info:set("seen", "yes") return s.info:save(), s:get_property("id")') =~ s/ .*//r, 'true', "$storage: info";
    is scalar @{ $b->{fields} }, $storage eq 'cookie' ? 1 : 0, "$storage: it sends a cookie only where it must";
    is $b->do('local s = session.open(with(storage)) return s.info:get("seen"), s:get("n")'), 'yes 8', "$storage: is there";
}

is $new->do('local s = session.new() local t = {} for i = 1, 30000 do t[i] = math.random(1e9) end s:set("t", t) return s:save()'),
    'nil session data is too large', 'what no browser keeps';
is $new->do('local s = session.new() s:set("f", print) return (select(2, s:save()))') =~ s/:.*//r, 'unable to encode session data', 'what is no JSON';
is $new->do('ngx.print("") ngx.flush(true) return session.new():save()'), 'nil headers are sent already', 'too late';

# Forgery: no character of the cookie may be another one, nor one more or less.
{
    my $b = Browser->new;
    $b->do($login);
    my $good = $b->{cookies}{session};
    my $bad  = $b->do(<<'LUA' . $show);
local good = ngx.var.cookie_session
local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
local taken, n = 0, 0
local function try(text)
    ngx.req.set_header("Cookie", "session=" .. text)
    local s, err, exists = session.open()
    n = n + 1
    if exists or s:get_subject() then taken = taken + 1 end
end
for i = 1, #good do
    local at = alphabet:find(good:sub(i, i), 1, true) - 1
    for _, other in ipairs { bit.bxor(at, 1), bit.bxor(at, 2), bit.bxor(at, 32) } do
        try(good:sub(1, i - 1) .. alphabet:sub(other + 1, other + 1) .. good:sub(i + 1))
    end
    try(good:sub(1, i - 1) .. "\255" .. good:sub(i + 1))
    try(good:sub(1, i - 1) .. good:sub(i + 1))
end
try(good .. "=")
try("")
ngx.print(n > 700, " ", taken, " ")
ngx.req.set_header("Cookie", "session=" .. good)
LUA
    is $bad, 'true 0 true dewi 1', 'each character of the cookie changed, or left out';

    # A header with the data of another session.
    my $c = Browser->new;
    $c->do($login);
    $c->{cookies}{session} = substr($good, 0, 110) . substr($c->{cookies}{session}, 110);
    is $c->do($show), 'false nil nil unable to decrypt session data', 'data of another session';

    # The cookie under another name, or for a storage.
    $c->{cookies} = { admin => $good };
    is $c->do('local s, err, e = session.open { cookie_name = "admin" } return e, err'), 'false invalid session message authentication code', 'a cookie under another name';
    $c->{cookies} = { session => $good };
    $c->{storage} = 'shm';
    is $c->do($show), 'false nil nil invalid session flags', 'a cookie with data where a storage has them';
}

# Secrets.
{
    my $b = Browser->new;
    $b->do($login);
    is $b->do('local s, err, e = session.open { secret = "another" } return e, err'), 'false invalid session message authentication code', 'another secret';
    is $b->do('local s, err, e = session.open { secret = "another", secret_fallbacks = { "x", "the first secret" } } return e, s:get("n")'), 'true 1', 'one of the earlier secrets';
    is $b->do('local s, err, e, refreshed = session.start { secret = "another", secret_fallbacks = { "the first secret" } } return e, refreshed'), 'true true', 'start() signs with the new one';
    is $b->do('local s, err, e = session.open { secret = "another" } return e, s:get("n")'), 'true 1', 'which is enough from then on';
    is $b->do('local ikm = ("k"):rep(32) local s = session.new { ikm = ikm } s:set("n", 5) return s:save()'), 'true', 'keying material';
    is $b->do('local s, err, e = session.open { ikm = ("j"):rep(32), ikm_fallbacks = { ("k"):rep(32) } } return e, s:get("n")'), 'true 5', 'and earlier one';
    is $b->do('local f, k = require "resty.session.format", require "resty.openssl.kdf" local id = ("i"):rep(32)
        local meta = { id = id, created = 1, rolling = 2, idling = 3, flags = 4 } local ikm = ("k"):rep(32)
        local secret = f.encrypt(meta, ikm, nil, "text")
        local key = k.derive { type = k.HKDF, outlen = 44, md = "sha256", hkdf_key = ikm, salt = "", hkdf_info = "encryption:" .. id }
        return require("resty.openssl.cipher").new("aes-256-gcm"):decrypt(key:sub(1, 32), key:sub(33), secret, false, meta.authentic, meta.tag)'),
        'text', 'the keys are those of HKDF';
}

# Times. The clock goes where the test wants it.
for my $storage (qw(cookie shm)) {
    my $b = Browser->new($storage);
    my $error = 'local s, err, e = session.open(with(storage)) return e, err';
    $b->do($login);
    shift_clock(850);
    is $b->do($error), 'true', "$storage: nearly idle for too long";
    shift_clock(901);
    is $b->do($error), 'false session idling timeout exceeded', "$storage: idle for too long";
    shift_clock(800);
    is $b->do('return session.start(with(storage)):get_property("idling-timeout")') >= 898, 1, "$storage: start() touches";
    is length($b->{fields}[0] // '') > 0, 1, "$storage: with a cookie";
    shift_clock(801);
    is $b->do('return session.start(with(storage)):get_property("idling-timeout")') >= 898, 1, "$storage: not each time";
    is scalar @{ $b->{fields} }, 0, "$storage: no cookie";
    shift_clock(1600);
    is $b->do($error), 'true', "$storage: so it lives";
    my $timeouts = 'local s = session.start(with(storage)) return math.ceil(s:get_property("timeout") / 100), math.ceil(s:get_property("rolling-timeout") / 100), math.ceil(s:get_property("absolute-timeout") / 100)';
    is $b->do($timeouts), '9 20 848', "$storage: what is left";
    shift_clock(2400);
    $b->do('return session.start(with(storage))');
    shift_clock(2800);
    is $b->do($timeouts), '9 36 836', "$storage: after three quarters it is saved";
    is $b->do('local s, err, e = session.open(with(storage, { absolute_timeout = 1000 })) return e, err'), 'false session absolute timeout exceeded', "$storage: too old altogether";
    shift_clock(2800 + 3601);
    is $b->do('local s, err, e = session.open(with(storage, { idling_timeout = 0 })) return e, err'), "false session rolling timeout exceeded", "$storage: not saved for too long";
    shift_clock(0);
}

# Remember me.
for my $storage (qw(cookie shm redis)) {
    my $b = Browser->new($storage);
    is $b->do('local s = session.new(with(storage, { remember_safety = "Low" })) s:set_remember(true) s:set_subject("dewi") s:set("n", 3) return s:save()'), 'true', "$storage: to be remembered";
    my ($field) = grep { /^remember=/ } @{ $b->{fields} };
    like $field, qr{; Path=/; SameSite=Lax; HttpOnly; Expires=\w{3}, [\w-]+ [\d:]+ GMT; Max-Age=604800$}, "$storage: a cookie that stays";
    my $safe = 'with(storage, { remember_safety = "Low" })';
    my $remember = $b->{cookies}{remember};
    $b->{cookies} = { session => $remember };
    is $b->do("local s, err, e = session.open($safe) return e, err"), 'false invalid session message authentication code', "$storage: it is no session's cookie";
    $b->{cookies} = { remember => $remember };
    is $b->do("local s, err, e = session.open(with(storage, { remember = false })) return e, err"), 'false missing session cookie', "$storage: who does not want it";
    is $b->do("local s, err, e = session.open($safe) return e, s:get('n'), s:get_subject(), s:get_remember(), s.present"), 'true 3 dewi true true', "$storage: the browser began anew";
    is join(' ', sort keys %{ $b->{cookies} }), 'remember session', "$storage: it has a session again";
    isnt $b->{cookies}{remember}, $remember, "$storage: and another cookie that stays";
    is $b->do("local s, err, e = session.open($safe) return e, s:get('n'), s:get_remember()"), 'true 3 true', "$storage: which is known";
    is $b->do("local s = session.open($safe) s:set_remember(false) return s:save()"), 'true', "$storage: not any more";
    is join(' ', sort keys %{ $b->{cookies} }), 'session', "$storage: the cookie is gone";
    is $b->do("local s = session.open($safe) s:set_remember(true) s:save() return s:destroy()"), 'true', "$storage: destroyed";
    is_deeply $b->{cookies}, {}, "$storage: with all its cookies";
}

# Attributes, binding, headers.
{
    my $b = Browser->new;
    my $field = sub { $b->do("local s = session.new($_[0]) return s:save()"); return $b->{fields}[0] =~ s/=[^;]*/=V/r };
    is $field->('{ cookie_name = "a", cookie_path = "/x", cookie_domain = "example.com", cookie_secure = true, cookie_http_only = false, cookie_same_site = "None", cookie_partitioned = true, cookie_priority = "High", cookie_same_party = true }'),
        'a=V; Path=/x; Domain=example.com; SameSite=None; SameParty; Partitioned; Priority=High; Secure', 'all attributes';
    is $field->('{ cookie_prefix = "__Host-", cookie_path = "/x", cookie_domain = "example.com", cookie_same_site = "Default" }'),
        '__Host-session=V; Path=/; HttpOnly; Secure', 'what __Host- wants';
    for my $options ('cookie_name = "a b"', 'cookie_path = "/;x"', 'cookie_prefix = "x"', 'ikm = "short"', 'bind = { "moon" }', 'stale_ttl = -1',
        'cookie_same_site = "x"', 'remember_safety = "x"', 'storage = {}', 'cookie_priority = "x"', 'idling_timeout = "1"') {
        is $b->do("return (pcall(session.new, { $options }))"), 'false', "refused: $options";
    }
    my $bound = '{ bind = { "user-agent", "scheme", "ip" } }';
    $b->{headers} = ['User-Agent' => 'a'];
    $b->do("local s = session.new $bound s:set('n', 1) s:save()");
    is $b->do("return session.open($bound):get('n')"), '1', 'the same browser';
    $b->{headers} = ['User-Agent' => 'b'];
    is $b->do("local s, err = session.open($bound) return err"), 'invalid session message authentication code', 'another one';

    $b = Browser->new;
    $b->do($login);
    $b->{cookies} = { %{ $b->{cookies} }, other => 'x', session2 => 'y', sessions => 'z' };
    $b->{headers} = ['Session-Subject' => 'forged'];
    my $sent = $b->get('/proxy');
    like $sent, qr/"cookie":"other=x; sessions=z"/, 'an upstream gets only the other cookies';
    like $sent, qr/"session-subject":"dewi"/, 'and is told of the session';
    like $sent, qr/"session-id":"[\w-]{43}"/, 'its id';
    is $b->{response}{headers}{'session-timeout'}[0] > 800, 1, 'the client is told, too';
    is $b->{response}{headers}{'session-audience'}[0], 'default', 'of the audience';
    $b->{cookies} = {};
    unlike $b->get('/proxy'), qr/forged|"cookie"/, 'what a client says itself does not pass';
}

# What Redis has; and Redis' end.
{
    my $b = Browser->new('redis');
    my $red = 'local red = require("resty.redis"):new() red:connect("127.0.0.1", ' . $port . ', { password = "sesame" }) ';
    $b->do("$red red:flushall()");
    $b->do($login);
    is $b->do("$red return #red:keys('*'), red:zcard('p:session:default:dewi'), red:ttl(red:keys('p:session:*')[1]) > 3500"), '2 1 true', 'a key, and the subject\'s';
    $b->do('local s = session.open(with(storage, { stale_ttl = 0 })) s:save()');
    is $b->do("$red return #red:keys('*'), red:zcard('p:session:default:dewi')"), '2 1', 'the old one is gone';
    $b->do('local s = session.new(with(storage, { hash_storage_key = true })) s:set("n", 4) s:save()');
    is $b->do("$red local s = session.open(with(storage, { hash_storage_key = true })) return red:exists('p:session:' .. s:get_property('id')), s:get('n')"), '0 4', 'hashed keys do not tell the id';
    $b->do($login);
    $b->do("$red for _, key in ipairs(red:keys('p:session:*')) do if red:type(key) == 'string' then red:set(key, 'garbage!') end end");
    like $b->do($show), qr/^false nil nil (session data have another size|invalid session data|unable to decrypt)/, 'another has written there';

    $b->do($login);
    my %cookies = %{ $b->{cookies} };
    $redis->stop;
    like $b->do($show), qr/^false nil nil unable to load session: (connection refused|closed)/, 'Redis is down: no session, and why';
    is_deeply $b->{cookies}, \%cookies, 'the cookie stays';
    like $b->do($login), qr/^nil unable to store session: connection refused/, 'nothing is saved';
    is_deeply $b->{cookies}, \%cookies, 'and no cookie sent for it';
    like $b->do('return session.destroy(with(storage))'), qr/^nil unable to load session: connection refused false false/, 'nor destroyed';
    is_deeply $b->{cookies}, {}, 'but the browser forgets';
}

my $log = $server->log;
unlike $log, qr/the first secret|sesame|=[\w-]{110}/, 'no secret in the log';
ok $server->stop, 'no crash';
done_testing();
