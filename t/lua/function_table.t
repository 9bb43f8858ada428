# Every function of the Lua API, called in every phase where it is documented to work: it is there, is
# not refused, and returns what it should. What a call does in detail, other tests say.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Bulan::Test::Port 'free_port';
use Bulan::Test::Process 'wait_until';
use Bulan::Test::Server;
use Bulan::Test::Tls;

my $tls = Bulan::Test::Tls->new;
my $cert = $tls->certificate('a.test');
my $ca = $tls->authority->{cert};
my ($tls_port, $udp_port) = (free_port(), free_port());

# The phases, as letters: I init, W init_worker, S set, V server_rewrite, R rewrite, A access,
# P precontent, C content, H header_filter, B body_filter, L log, T timer, U balancer,
# h ssl_client_hello, c ssl_certificate, f ssl_session_fetch, s ssl_session_store,
# p proxy_ssl_certificate, v proxy_ssl_verify, X exit_worker.
#
# A row: phases, an expression, and a pattern that its values, joined with spaces, match.
my $table = <<'LUA';
local ANY, REQUEST = "IWSVRAPCHBLTUhcfspvX", "SVRAPCHBLU"
local WAITS, LATER = "VRAPCThcfpv", "WSVRAPCHBLTUhcfspv"
local HASHES, DICT = "SVRAPCHBLTUhcfspv", "ISVRAPCHBLTUhcfspv"
local LUA = { I = "init", W = "init_worker", S = "set", V = "server_rewrite", R = "rewrite", A = "access",
    P = "precontent", C = "content", H = "header_filter", B = "body_filter", L = "log", T = "timer",
    U = "balancer", h = "ssl_client_hello", c = "ssl_cert", f = "ssl_session_fetch",
    s = "ssl_session_store", p = "proxy_ssl_cert", v = "proxy_ssl_verify", X = "exit_worker" }

local rows = {
    -- variables, fields of the response, the rest of ngx itself
    { "S", "ngx.arg[1]", "one" },
    { "B", "type(ngx.arg[1]), type(ngx.arg[2])", "string boolean" },
    { REQUEST .. "pv", "ngx.var.request_method, ngx.var.no_such", "GET nil" },
    { ANY, "print('printed')", "" },
    { "WSVRAPCHBLTUpvX", "rawequal(ngx.ctx, ngx.ctx), type(ngx.ctx)", "true table" },
    { "SVRAPCHBL", "ngx.status", "%d+" },
    { "SVRAPCHBL", "ngx.header.x_none", "nil" },
    { "SVRAPCHBLU", "type(ngx.resp.get_headers(10, true))", "table" },
    { "SVRAPC", "ngx.headers_sent", "false" },
    { ANY, "ngx.log(ngx.INFO, 'logged')", "" },
    { "SVRAPCHBL", "ngx.is_subrequest", "false" },
    { ANY, "ngx.get_phase()", function(phase) return LUA[phase] end },
    { "WSVRAPCHBLTUhcfspvX", "ndk.set_var.set_escape_uri('a b')", "a%%20b" },

    -- ngx.req
    { "SVRAPCHBL", "type(ngx.req.is_internal())", "boolean" },
    { "SVRAPCHBL", "ngx.req.start_time() > 1e9", "true" },
    { "SVRAPCHL", "ngx.req.http_version()", "1%.1" },
    { "SVRAPCHL", "ngx.req.raw_header():match('^GET '), ngx.req.raw_header(true):match('^GET')", "GET  nil" },
    { REQUEST, "ngx.req.get_method()", "GET" },
    { "SVRAPCH", "ngx.req.set_method(ngx.HTTP_GET)", "" },
    { "SVRAPCHB", "ngx.req.set_uri(ngx.var.uri)", "" },
    { "SVRAPCHB", "ngx.req.set_uri_args(ngx.var.args)", "" },
    { REQUEST, "ngx.req.get_uri_args(5).a, ngx.req.get_uri_args(5, {}).a", "1 1" },
    { "RAPC", "(function() ngx.req.read_body() return type(ngx.req.get_post_args()) end)()", "table" },
    { "HBL", "type(ngx.req.get_post_args())", "table" },
    { "SVRAPCHBL", "type(ngx.req.get_headers().host), type(ngx.req.get_headers(0, true).Host)", "string string" },
    { "SVRAPCHB", "ngx.req.set_header('X-Row', 'a'), ngx.req.get_headers()['X-Row']", "nil a" },
    { "SVRAPCHB", "ngx.req.clear_header('X-Row'), ngx.req.get_headers()['X-Row']", "nil nil" },
    { "VRAPC", "ngx.req.read_body()", "" },
    { "RAPC", "ngx.req.discard_body()", "" },
    { "RAPCL", "ngx.req.get_body_data(), ngx.req.get_body_data(10)", "%l+ %l+" },
    { "RAPC", "ngx.req.get_body_file()", "nil" },
    { "RAPCU", "ngx.req.set_body_data('abc')", "" },
    { "RAPC", "(function() ngx.req.set_body_data('') ngx.req.init_body(100) ngx.req.append_body('ab') "
        .. "ngx.req.append_body('c') ngx.req.finish_body() return ngx.req.get_body_data() end)()", "abc" },
    { "RAPCU", "type(ngx.req.set_body_file)", "function" },
    { "VRAPC", "type(ngx.req.socket)", "function" },

    -- subrequests, sleeping, output that does not hurt
    { "RAC", "ngx.location.capture('/word', { method = ngx.HTTP_GET, args = {}, ctx = {}, vars = {} }).body", "word" },
    { "RAC", "select('#', ngx.location.capture_multi { { '/word' }, { '/word', {} } })", "2" },
    { WAITS, "ngx.sleep(0.001)", "" },
    { "RAPC", "ngx.on_abort(function() end)", "[1n]i?l? ?.*" },
    { "VRAPCHTUhcfspv", "type(ngx.exit)", "function" },
    { "C", "ngx.send_headers(), ngx.print('a'), ngx.say('b'), ngx.flush(true)", "1 1 1 1" },

    -- encoding, hashing
    { "IWSVRAPCHBLTUhcfspvX", "ngx.escape_uri('a b/'), ngx.escape_uri('a b/', 0)", "a%%20b%%2F a%%20b/" },
    { "IWSVRAPCHBLTUhcpvX", "ngx.unescape_uri('a%20b')", "a b" },
    { HASHES, "ngx.encode_args { a = '1 2', b = true }", ".*a=1%%202.*" },
    { HASHES, "ngx.decode_args('a=1&b', 5).b", "true" },
    { HASHES, "ngx.encode_base64('a'), ngx.encode_base64('a', true)", "YQ== YQ" },
    { HASHES, "ngx.decode_base64('YQ=='), ngx.decode_base64('!')", "a nil" },
    { HASHES, "ngx.decode_base64mime('Y\\nQ==')", "a" },
    { HASHES, "ngx.crc32_short('a'), ngx.crc32_long('a')", "3904355907 3904355907" },
    { HASHES, "#ngx.hmac_sha1('k', 'a'), #ngx.md5_bin('a'), #ngx.sha1_bin('a'), ngx.md5('a')",
        "20 16 20 0cc175b9c0f1b6a831c399e269772661" },
    { HASHES, "ngx.quote_sql_str([[it's]])", "'it\\'s'" },

    -- time
    { ANY, "ngx.today(), ngx.localtime(), ngx.utctime()",
        "%d%d%d%d%-%d%d%-%d%d %d+%-%d%d%-%d%d %d%d:%d%d:%d%d %d+%-%d%d%-%d%d %d%d:%d%d:%d%d" },
    { ANY, "ngx.update_time(), ngx.time() > 1e9, ngx.now() > 1e9", "nil true true" },
    { ANY, "ngx.cookie_time(0), ngx.http_time(0)",
        "Thu, 01%-Jan%-70 00:00:00 GMT Thu, 01 Jan 1970 00:00:00 GMT" },
    { ANY, "ngx.http_time(1/0), ngx.http_time(-1/0), ngx.http_time(9007199254740991), ngx.cookie_time(1e300)",
        "Fri, 31 Dec 9999 23:59:59 GMT Sat, 01 Jan 0000 00:00:00 GMT Fri, 31 Dec 9999 23:59:59 GMT Fri, 31%-Dec%-9999 23:59:59 GMT" },
    { ANY, "ngx.parse_http_time('Thu, 01 Jan 1970 00:00:09 GMT')", "9" },

    -- regular expressions
    { ANY, "ngx.re.match('a1', '([0-9])', 'jo')[1], ngx.re.match('a1', '(?<n>[0-9])', '', { pos = 1 }, {}).n", "1 1" },
    { ANY, "ngx.re.find('abc', 'b'), select(2, ngx.re.find('abc', '(b)c', '', nil, 1))", "2 2" },
    { ANY, "ngx.re.gmatch('ab', '.')()[0]", "a" },
    { ANY, "ngx.re.sub('aa', 'a', '[$0]')", "%[a%]a 1" },
    { ANY, "ngx.re.gsub('aa', 'a', function(m) return m[0] .. '.' end)", "a%.a%. 2" },
    { ANY, "table.concat(require('ngx.re').split('a,b,c', ',', nil, nil, 2), '+')", "a%+b,c" },

    -- shared dictionaries
    { ANY, "ngx.shared.rows ~= nil, ngx.shared.none", "true nil" },
    { DICT, "ngx.shared.rows:set('k', 1, 0, 7)", "true nil false" },
    { HASHES, "ngx.shared.rows:get('k')", "1 7" },
    { HASHES, "ngx.shared.rows:get_stale('k')", "1 7 false" },
    { DICT, "ngx.shared.rows:safe_set('k2', 'x'), ngx.shared.rows:delete('k2'), ngx.shared.rows:safe_add('k2', 1)", "true true true.*" },
    { DICT, "ngx.shared.rows:add('k2', 1)", "false exists false" },
    { DICT, "ngx.shared.rows:replace('k', 1, 0, 7)", "true nil false" },
    { DICT, "ngx.shared.rows:delete('k2')", "true.*" },
    { DICT, "ngx.shared.rows:incr('n', 1, 0, 100) > 0", "true" },
    { DICT, "ngx.shared.rows:lpush('l', 1) > 0, ngx.shared.rows:rpush('l', 2) > 1, ngx.shared.rows:llen('l') > 1", "true true true" },
    { DICT, "ngx.shared.rows:lpop('l'), ngx.shared.rows:rpop('l')", "%d %d" },
    { DICT, "ngx.shared.rows:ttl('k'), ngx.shared.rows:expire('k', 100), ngx.shared.rows:ttl('k') > 90", "%d+ true true" },
    { DICT, "ngx.shared.rows:flush_expired(1), #ngx.shared.rows:get_keys(1)", "0 1" },
    { DICT, "ngx.shared.rows:capacity(), ngx.shared.rows:free_space() > 0", "102400 true" },
    { DICT, "ngx.shared.other:flush_all()", "" },

    -- sockets
    { WAITS, "(function() local s = ngx.socket.tcp() s:settimeouts(1000, 1000, 1000) s:settimeout(2000) "
        .. "assert(s:bind('127.0.0.1')) assert(s:connect('127.0.0.1', PORT, { pool = 'p', pool_size = 2, backlog = 9 })) "
        .. "assert(s:getfd() > 0 and s:getreusedtimes() >= 0) assert(s:setoption('keepalive', true)) "
        .. "assert(s:getoption('keepalive')) "
        .. "assert(s:send { 'GET /word HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n' }) local line = s:receive() "
        .. "local till = s:receiveuntil('\\r\\n\\r\\n') till() local four = s:receive(4) "
        .. "return line, four, s:setkeepalive(1000, 2) end)()", "HTTP/1.1 200 OK word 1" },
    { WAITS, "(function() local s = assert(ngx.socket.connect('127.0.0.1', PORT)) "
        .. "s:send('GET /word HTTP/1.0\\r\\n\\r\\n') return #s:receiveany(5), s:close() end)()", "5 1" },
    { "VRAPCTpv", "(function() local s = ngx.socket.stream() assert(s:connect('127.0.0.1', TLS)) "
        .. "assert(s:setclientcert(nil, nil)) assert(s:settrustedstore(nil)) "
        .. "assert(s:sslhandshake(nil, 'a.test', false)) "
        .. "return type(s:getsslpointer()), type(s:getsslctx()), type(s:getsslsession()), s:close() end)()",
        "cdata cdata %l+ 1" },
    { WAITS, "(function() local s = ngx.socket.udp() s:settimeout(10) assert(s:bind('127.0.0.1')) "
        .. "assert(s:setpeername('127.0.0.1', UDP)) return s:send('x'), select(2, s:receive()), s:close() end)()",
        "1 .+ 1" },

    -- threads, coroutines, timers
    { WAITS, "ngx.thread.wait(ngx.thread.spawn(function(a) ngx.sleep(0) return a end, 5))", "true 5" },
    { WAITS, "ngx.thread.kill(ngx.thread.spawn(function() ngx.sleep(9) end))", "1" },
    { LATER, "ngx.timer.at(0, function() end) and true", "true" },
    { LATER, "type(ngx.timer.every)", "function" },
    { LATER, "ngx.timer.running_count() >= 0, ngx.timer.pending_count() > 0", "true true" },
    { ANY, "coroutine.resume(coroutine.create(function(a) return a end), 4)", "true 4" },
    { ANY, "(function() local f = coroutine.wrap(function() coroutine.yield(1) return 2 end) return f(), f() end)()", "1 2" },
    { ANY, "coroutine.status(coroutine.create(function() end))", "suspended" },
    { "RACThcf", "type(coroutine.running())", "thread" },
    { WAITS, "ngx.run_worker_thread('pool', 'worker', 'twice', 21)", "true 42" },

    -- ngx.config, ngx.worker, processes
    { ANY, "ngx.config.subsystem, type(ngx.config.debug), type(ngx.config.prefix()), ngx.config.nginx_version > 1e6",
        "http boolean string true" },
    { ANY, "type(ngx.config.nginx_configure()), ngx.config.ngx_lua_version", "string 10030" },
    { ANY, "type(ngx.worker.exiting()), ngx.worker.pid() > 1, ngx.worker.count()", "boolean true 1" },
    { "WSVRAPCHBLTUX", "ngx.worker.id()", "0" },
    { "SVRAPCHBLT", "#ngx.worker.pids()", "1" },
    { ANY, "require('ngx.process').type()", "%l+" },
    { ANY, "require('ngx.process').get_master_pid() > 1, type(require('ngx.process').signal_graceful_exit)", "true function" },
    { "I", "type(require('ngx.process').enable_privileged_agent)", "function" },
    { "I", "require('ngx.errlog').set_filter_level(ngx.WARN)", "true" },
    { ANY, "type(require('ngx.errlog').get_logs(1, {})), require('ngx.errlog').get_sys_filter_level()", "table %d" },
    { ANY, "require('ngx.errlog').raw_log(ngx.INFO, 'raw')", "" },
    { "WSVRAPCHBLT", "(function() local s = require('ngx.semaphore').new(1) s:post(2) return s:count() end)()", "3" },
    { WAITS, "require('ngx.semaphore').new(1):wait(1), select(2, require('ngx.semaphore').new():wait(0.001))", "true timeout" },
    { ANY, "require('ngx.base64').encode_base64url('\\255\\254'), require('ngx.base64').decode_base64url('__4')", "__4 \255\254" },
    { ANY, "require('resty.core.time').monotonic_msec() > 0, require('resty.core.time').monotonic_time() > 0", "true true" },
    { "SVRAPCHB", "require('ngx.req').add_header('X-Added', '1'), ngx.req.get_headers()['X-Added'] ~= nil", "nil true" },
    { "SVRAPCH", "require('ngx.resp').add_header('X-Added', '1')", "" },
    { "VRAPC", "require('ngx.resp').set_status(200, 'OK')", "" },
    { "SVRAPCH", "require('ngx.resp').bypass_if_checks()", "" },

    -- balancers
    { "U", "require('ngx.balancer').set_current_peer('127.0.0.1', PORT)", "true" },
    { "U", "require('ngx.balancer').get_last_failure()", "nil" },
    { "U", "require('ngx.balancer').set_more_tries(1)", "true.*" },
    { "U", "require('ngx.balancer').set_timeouts(1, 1, 1)", "true" },
    { "U", "require('ngx.balancer').bind_to_local_addr('127.0.0.1')", "true" },
    { "U", "require('ngx.balancer').enable_keepalive(10, 10)", "true" },
    { "U", "require('ngx.balancer').recreate_request()", "true" },
    { "U", "require('ngx.balancer').set_upstream_tls(false)", "true" },

    -- certificates as data
    { ANY, "type(require('ngx.ssl').parse_pem_cert(CERT)), type(require('ngx.ssl').parse_pem_priv_key(KEY))", "cdata cdata" },
    { ANY, "type(require('ngx.ssl').parse_der_cert(require('ngx.ssl').cert_pem_to_der(CERT))), "
        .. "type(require('ngx.ssl').parse_der_priv_key(require('ngx.ssl').priv_key_pem_to_der(KEY)))", "cdata cdata" },
    { ANY, "require('ngx.ocsp').get_ocsp_responder_from_der_chain('x')", "nil .+" },
    { ANY, "require('ngx.ocsp').create_ocsp_request('x')", "nil .+" },
    { ANY, "require('ngx.ocsp').validate_ocsp_response('x', 'y')", "nil .+" },
    { ANY, "require('ngx.ssl').TLS1_3_VERSION, require('ngx.proxyssl').TLS1_2_VERSION", "772 771" },

    -- the handshake with a client
    { "hcfs", "require('ngx.ssl').server_port(), require('ngx.ssl').raw_server_addr(), require('ngx.ssl').raw_client_addr()",
        "%d+ .+ .+ inet" },
    { "cs", "require('ngx.ssl').server_name()", "a%.test" },
    { "cs", "require('ngx.ssl').get_tls1_version_str(), require('ngx.ssl').get_tls1_version()", "TLSv1.2 771" },
    { "s", "#require('ngx.ssl').export_keying_material(16, 'EXPORTER-x', 'y'), #require('ngx.ssl').get_session_master_key()", "16 48" },
    { "c", "type(require('ngx.ssl').export_keying_material_early)", "function" },
    { "hcfs", "#require('ngx.ssl').get_client_random(), require('ngx.ssl').get_client_random(0)", "32 32" },
    { "cs", "#require('ngx.ssl').get_server_random()", "32" },
    { "hcfs", "type(require('ngx.ssl').get_req_ssl_pointer())", "cdata" },
    { "cs", "require('ngx.ssl').ssl_session_reused(require('ngx.ssl').get_req_ssl_pointer())", "false" },
    { "c", "require('ngx.ssl').get_req_shared_ssl_ciphers()[1] > 0", "true" },
    { "c", "require('ngx.ssl').clear_certs(), require('ngx.ssl').set_cert(require('ngx.ssl').parse_pem_cert(CERT)), "
        .. "require('ngx.ssl').set_priv_key(require('ngx.ssl').parse_pem_priv_key(KEY))", "true true true" },
    { "c", "require('ngx.ssl').set_der_cert(require('ngx.ssl').cert_pem_to_der(CERT)), "
        .. "require('ngx.ssl').set_der_priv_key(require('ngx.ssl').priv_key_pem_to_der(KEY))", "true true" },
    { "c", "require('ngx.ssl').verify_client(require('ngx.ssl').parse_pem_cert(CERT), 1)", "true" },
    { "c", "require('ngx.ocsp').set_ocsp_status_resp('x')", "[tn].*" },
    { "h", "require('ngx.ssl.clienthello').get_client_hello_server_name()", "a%.test" },
    { "h", "type(require('ngx.ssl.clienthello').get_client_hello_ciphers())", "table" },
    { "h", "type(require('ngx.ssl.clienthello').get_client_hello_ext_present())", "table" },
    { "h", "#require('ngx.ssl.clienthello').get_client_hello_ext(0) > 8", "true" },
    { "h", "type(require('ngx.ssl.clienthello').get_supported_versions())", "%l+" },
    { "h", "require('ngx.ssl.clienthello').set_protocols { 'TLSv1.2' }", "true" },
    { "fs", "#require('ngx.ssl.session').get_session_id() >= 32", "true" },
    { "s", "#require('ngx.ssl.session').get_serialized_session() > 50", "true" },
    { "f", "type(require('ngx.ssl.session').set_serialized_session)", "function" },

    -- the handshake with an upstream
    { "pv", "require('ngx.proxyssl').get_tls1_version(), require('ngx.proxyssl').get_tls1_version_str()", "77%d TLSv1%.%d" },
    { "pv", "type(require('ngx.ssl').get_upstream_ssl_pointer())", "cdata" },
    { "p", "require('ngx.ssl.proxysslcert').clear_certs(), "
        .. "require('ngx.ssl.proxysslcert').set_cert(require('ngx.ssl').parse_pem_cert(CERT)), "
        .. "require('ngx.ssl.proxysslcert').set_priv_key(require('ngx.ssl').parse_pem_priv_key(KEY))", "true true true" },
    { "p", "require('ngx.ssl.proxysslcert').set_der_cert(require('ngx.ssl').cert_pem_to_der(CERT)), "
        .. "require('ngx.ssl.proxysslcert').set_der_priv_key(require('ngx.ssl').priv_key_pem_to_der(KEY))", "true true" },
    { "v", "require('ngx.ssl.proxysslverify').get_verify_result(), type(require('ngx.ssl.proxysslverify').get_verify_cert())", "0 cdata" },
    { "v", "require('ngx.ssl.proxysslverify').set_verify_result(0)", "true" },
}
LUA

my $probe = <<'LUA';
-- Calls the rows of a phase, once; what went wrong is the phase's entry in the dictionary "report".
local probe = {}
local rows = require "rows"

local function join(...)
    local values = { ... }
    for i = 1, select("#", ...) do
        values[i] = tostring(values[i])
    end
    return table.concat(values, " ")
end

local known = setmetatable(rows.known, { __index = _G })
local compiled = {}
for i, row in ipairs(rows) do
    compiled[i] = setfenv(assert(loadstring("return " .. row[2], row[2])), known)
end

local function check(i, phase)
    local row = rows[i]
    local want = type(row[3]) == "function" and row[3](phase) or row[3]
    local result = join(pcall(compiled[i]))
    local values = row[3] == "" and "" or " " .. want
    if not result:match("^true" .. values .. "$") then
        return row[2] .. " -> " .. result
    end
end

function probe.run(phase)
    local report = ngx.shared.report
    if not report:add(phase, "did not end") then
        return
    end
    local wrong, count = {}, 0
    for i, row in ipairs(rows) do
        if row[1]:find(phase, 1, true) then
            wrong[#wrong + 1] = check(i, phase)
            count = count + 1
        end
    end
    report:set(phase, count .. " rows\n" .. table.concat(wrong, "\n"))
end

return probe
LUA

sub by_lua { my ($name, $letter, $more) = @_; $more ||= ''; "${name}_by_lua_block { require('probe').run('$letter') $more }\n" }

my $server = Bulan::Test::Server->new(log_level => 'info');
my $port = $server->port;
my $pem = sub { Bulan::Test::Server::slurp($_[0]) };
$server->configure(
    main_config => 'thread_pool pool threads=1;',
    files => {
        'rows.lua'   => "$table\nrows.known = { PORT = $port, TLS = $tls_port, UDP = $udp_port, "
            . "CERT = [[@{[$pem->($cert->{cert})]}]], KEY = [[@{[$pem->($cert->{key})]}]] }\nreturn rows\n",
        'probe.lua'  => $probe,
        'worker.lua' => 'return { twice = function(n) return 2 * n end }',
    },
    http_config => "lua_package_path '\$prefix/html/?.lua;;';\n" . <<'CONF'
lua_shared_dict report 100k;
lua_shared_dict rows 100k;
lua_shared_dict other 100k;
lua_capture_error_log 64k;
lua_socket_log_errors off;
CONF
        . by_lua('init', 'I') . by_lua('init_worker', 'W')
        . "exit_worker_by_lua_block { require('probe').run('X') ngx.log(ngx.WARN, 'at the end: ', ngx.shared.report:get('X')) }\n"
        . by_lua('ssl_session_fetch', 'f') . by_lua('ssl_session_store', 's')
        . <<"CONF",
upstream chosen {
    server 0.0.0.1;
    @{[by_lua('balancer', 'U', 'assert(require("ngx.balancer").set_current_peer("127.0.0.1", tonumber(ngx.var.server_port)))')]}
}
server {
    listen 127.0.0.1:$tls_port ssl;
    server_name a.test;
    ssl_certificate $cert->{cert};
    ssl_certificate_key $cert->{key};
    ssl_protocols TLSv1.2;
    ssl_session_tickets off;
    ssl_verify_client optional_no_ca;
    @{[by_lua('ssl_client_hello', 'h')]}
    @{[by_lua('ssl_certificate', 'c')]}
    location / { return 200 secret; }
}
CONF
    config => <<"CONF",
location /word { return 200 word; }
location /all {
    set_by_lua_block \$unused { return 1 }
    set_by_lua \$set "require('probe').run('S')" one two;
    @{[map { by_lua($$_[0], $$_[1]) } ['rewrite', 'R'], ['access', 'A'], ['precontent', 'P'], ['content', 'C'],
        ['header_filter', 'H'], ['body_filter', 'B'], ['log', 'L']]}
}
location /timer { content_by_lua_block { assert(ngx.timer.at(0, function() require('probe').run('T') end)) } }
location /balancer { proxy_pass http://chosen/word; }
location /secret {
    proxy_pass https://127.0.0.1:$tls_port;
    proxy_ssl_trusted_certificate $ca;
    proxy_ssl_name a.test;
    proxy_ssl_server_name on;
    proxy_ssl_verify on;
    proxy_ssl_session_reuse off;
    @{[by_lua('proxy_ssl_certificate', 'p')]}
    @{[by_lua('proxy_ssl_verify', 'v')]}
}
location /resumed {
    content_by_lua_block {
        local session
        for i = 1, 2 do
            local sock = ngx.socket.tcp()
            assert(sock:connect("127.0.0.1", $tls_port))
            session = assert(sock:sslhandshake(session, "a.test", false))
            sock:send("GET / HTTP/1.0\\r\\nHost: a.test\\r\\n\\r\\n")
            sock:receive("*a")
            sock:close()
        end
        ngx.print("resumed")
    }
}
location /report { content_by_lua_block { ngx.print(ngx.shared.report:get(ngx.var.arg_phase) or "never ran") } }
CONF
    server_config => "listen 127.0.0.1:$port;\n"
        . "server_rewrite_by_lua_block { if ngx.var.uri == '/all' then require('probe').run('V') end }",
);
$server->start;
is $server->get('/all?a=1')->{status}, 200, 'one request through all phases';
$server->get('/timer');
is $server->get('/balancer?a=1')->{body}, 'word', 'through a balancer';
is $server->get('/secret')->{body}, 'secret', 'with TLS to an upstream';
is $server->get('/resumed')->{body}, 'resumed', 'with a session';

for my $phase (split //, 'IWSVRAPCHBLTUhcfspv') {
    my $report;
    wait_until(5, sub { ($report = $server->get("/report?phase=$phase")->{body}) !~ /^did not end/ });
    like $report, qr/^\d\d+ rows\n$/, "phase $phase";
}
$server->stop;
like $server->log, qr{at the end: \d\d rows\n\s*\d{4}/}, 'phase X';
done_testing;
