# resty.jwt: vectors of the RFCs, keys of every kind, what has to be refused.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Bulan::Test::Command;

my $in = Bulan::Test::Command->new;

$in->file('work/begin.lua', <<'LUA');
jwt, v, pkey, cjson = require "resty.jwt", require "resty.jwt-validators", require "resty.openssl.pkey", require "cjson"
b64 = require("ngx.base64").encode_base64url
function b64d(text) return require("ngx.base64").decode_base64url(text) end
payload = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
function reason(...) local o = jwt:verify(...) return o.verified and "verified" or o.reason end
LUA

sub prints { local $Test::Builder::Level = $Test::Builder::Level + 1; $in->prints(@_) }

prints <<'LUA', "joe true\njoe\njoe\ntrue\n", 'RFC 7515, A.1 (HS256), A.2 (RS256), A.3 (ES256); RFC 8037, A.4 (EdDSA)';
v.set_system_clock(function() return 1300819379 end)
local oct = { kty = "oct", k = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow" }
local claims = assert(jwt.check("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9." .. payload .. ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", { key = oct }))
print(claims.iss, claims["http://example.com/is_root"])
local rsa = { kty = "RSA", e = "AQAB", n = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ" }
print(assert(jwt.check("eyJhbGciOiJSUzI1NiJ9." .. payload .. ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw", { key = rsa })).iss)
local ec = { kty = "EC", crv = "P-256", x = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", y = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0" }
print(assert(jwt.check("eyJhbGciOiJFUzI1NiJ9." .. payload .. ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q", { key = ec })).iss)
local ed = { kty = "OKP", crv = "Ed25519", d = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A", x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" }
print(jwt:sign(ed, { header = { alg = "EdDSA" }, payload = "Example of Ed25519 signing" })
    == "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg")
LUA

prints <<'LUA', join('', map { "$_ verified signature\n" } qw(HS256 HS384 HS512 RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA)), 'every algorithm, made and checked; a changed payload';
local rsa, ed = pkey.new { bits = 2048 }, pkey.new { type = "Ed25519" }
local keys = { RS = rsa, PS = rsa, Ed = ed, ES256 = pkey.new { type = "EC" }, ES384 = pkey.new { type = "EC", curve = "secp384r1" },
    ES512 = pkey.new { type = "EC", curve = "secp521r1" } }
for _, alg in ipairs { "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA" } do
    local key = keys[alg] or keys[alg:sub(1, 2)]
    local token = jwt:sign(key and key:to_PEM("private") or "secret", { header = { alg = alg }, payload = { sub = "dewi" } })
    local public = key and key:to_PEM("public") or "secret"
    local head, _, tail = token:match("^(.*)%.(.*)%.(.*)$")
    print(alg, reason(public, token), reason(public, head .. "." .. b64 '{"sub":"root"}' .. "." .. tail):match("^%w+"))
end
LUA

prints <<'LUA', <<'OUT', 'what an attacker sends';
local rsa = pkey.new { bits = 2048 }
local public = rsa:to_PEM("public")
local forged = jwt:sign({ kty = "oct", k = b64(public) }, { header = { alg = "HS256" }, payload = { admin = true } })
print(reason(public, forged))
local function raw(header, body, signature) return b64(header) .. "." .. b64(body) .. "." .. signature end
print(reason("x", raw('{"alg":"none"}', "{}", "AA")))
print(reason("x", b64 '{"alg":"none"}' .. "." .. b64 "{}" .. "."))
print(reason("x", raw('{"alg":"nOnE"}', "{}", "AA")))
print(reason("x", raw('{}', "{}", "AA")))
print((reason("x", raw([[{"alg":["HS256"]}]], "{}", "AA")):gsub("table.*", "ALG")))
print(reason("x", raw('[1', "{}", "AA")):match("^%w+ %w+"), reason("x", raw('{"alg":"HS256"}', "{", "AA")):match("^%w+ %w+"))
print(reason("x", "a.b"), reason("x", ""), reason("x", nil), reason("x", ("a"):rep(70000) .. ".b.c"))
print(reason(pkey.new { type = "EC" }:to_PEM("public"), jwt:sign(pkey.new { type = "EC", curve = "secp384r1" }, { header = { alg = "ES384" }, payload = {} })))
print(reason(public, raw('{"alg":"RS256","crit":["b64"],"b64":false}', "{}", "AA")))
print(reason("", jwt:sign("x", { header = { alg = "HS256" }, payload = {} })))
print(reason("garbage", jwt:sign(rsa, { header = { alg = "RS256" }, payload = {} })))
local token = jwt:sign("secret", { header = { alg = "HS256" }, payload = {} })
local object = jwt:verify("secret", token)
object.header.alg = "none"
print(reason("secret", token))
LUA
the key is not one for HS256
unsupported alg: none
invalid jwt string
unsupported alg: nOnE
unsupported alg: nil
unsupported alg: ALG
invalid header invalid payload
invalid jwt string invalid jwt string invalid jwt string invalid jwt string
the key is not one for ES384
critical extensions are not supported
the key is not one for HS256
failed to read the key
verified
OUT

prints <<'LUA', <<'OUT', 'what everybody knows is no secret; a signature has one text; times without end; headers with tables';
local rsa = pkey.new { bits = 2048 }
for _, format in ipairs { "JWK", "DER" } do
    local public = rsa:tostring("public", format)
    print(reason(public, jwt:sign({ kty = "oct", k = b64(public) }, { header = { alg = "HS256" }, payload = {} })),
        reason(public, jwt:sign(rsa, { header = { alg = "RS256" }, payload = {} })))
end
print(reason("0123456789", jwt:sign("0123456789", { header = { alg = "HS256" }, payload = {} })))
print(pcall(jwt.sign, jwt, { kty = "oct", k = "" }, { header = { alg = "HS256" }, payload = {} }))
print(#assert(jwt.jwks('{"keys":[{"kty":"RSA","n":NaN,"e":"AQAB"}]}')).entries)
local function made(body) return jwt:sign("secret", { header = { alg = "HS256", x = { 1 } }, payload = body }) end
local token = made "{}"
local last, other = token:sub(-1), nil
for c in ("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"):gmatch "." do
    if c ~= last and b64d(token:match("[^.]+$"):sub(1, -2) .. c) == b64d(token:match "[^.]+$") then other = c end
end
print(reason("secret", token), reason("secret", token:sub(1, -2) .. other):match "^%w+ %w+")
print(reason("secret", made '{"exp":1e400}'))
print(reason("secret", made '{"nbf":1e400}'), select(2, jwt.check(made '{"exp":1e400}', { key = "secret" })))
jwt:load_jwt(token).header.x[1] = "changed"
print(jwt:load_jwt(token).header.x[1])
LUA
the key is not one for HS256 verified
the key is not one for HS256 verified
verified
false an oct JWK needs "k"
0
verified signature mismatch
'exp' claim is malformed.  Expected to be a positive numeric value.
'nbf' claim is malformed.  Expected to be a positive numeric value. a time is not a number
1
OUT

prints <<'LUA', <<'OUT', 'claims, as validators and as options';
local now = ngx.time()
local function made(payload) return jwt:sign("secret", { header = { typ = "JWT", alg = "HS256" }, payload = payload }) end
print(reason("secret", made { exp = now - 10 }):match("^'exp' claim expired at %a+, ") ~= nil, reason("secret", made { exp = now + 60 }))
print(reason("secret", made { nbf = now + 60 }):match("^'nbf' claim not valid until ") ~= nil, reason("secret", made { exp = "soon" }))
print(reason("secret", made { exp = now - 10 }, { lifetime_grace_period = 60 }), reason("secret", made {}, { require_exp_claim = true }))
print(reason("secret", made { iss = "b" }, { valid_issuers = { "a", "b" } }), reason("secret", made { iss = "c" }, { valid_issuers = { "a" } }))
print(reason("secret", made { exp = now - 10 }, {}))
local token = made { iss = "a", roles = { "x", "y" }, n = 5, exp = now - 10 }
print(reason("secret", token, { iss = v.equals("a"), n = v.greater_than(4), exp = v.opt_is_not_before() }))
print(reason("secret", token, { iss = v.equals("b") }))
print(reason("secret", token, { iss = v.matches("^[a-c]$"), roles = v.contains_any_of { "q", "y" } }), reason("secret", token, { roles = v.contains_any_of { "q" } }):match("^'roles'"))
print(reason("secret", token, { sub = v.required() }), reason("secret", token, { sub = v.opt_equals("q") }))
print(reason("secret", token, { __jwt = v.require_one_of { "sub", "iss" } }), reason("secret", token, { __jwt = v.require_one_of { "sub", "jti" } }))
print(reason("secret", token, { iss = function(value) return value == "q" end }), reason("secret", token, { n = function() error("no") end }))
print(reason("secret", token, { n = v.chain(v.greater_than(4), v.less_than(5)) }))
LUA
true verified
true 'exp' claim is malformed.  Expected to be a positive numeric value.
verified 'exp' claim is required.
verified 'iss' claim ('c') returned failure
verified
verified
'iss' claim ('a') returned failure
verified 'roles'
'sub' claim is required. verified
verified Missing one of claims - [ sub, jti ].
Claim 'iss' ('a') returned failure no
'n' claim ('5') returned failure
OUT

prints <<'LUA', <<'OUT', 'check()';
local now = ngx.time()
local function made(payload) return jwt:sign("secret", { header = { typ = "at+jwt", alg = "HS256" }, payload = payload }) end
local function try(payload, options)
    options.key = options.key or "secret"
    local claims, err = jwt.check(made(payload), options)
    print(claims and "good" or (err:gsub("mismatch: .*", "mismatch")))
end
try({ exp = now - 10 }, {})
try({ exp = now - 10 }, { leeway = 30 })
try({ nbf = now + 10 }, {})
try({ exp = "x" }, {})
try({}, { required = { "exp" } })
try({ iss = "a" }, { issuer = "b" })
try({ iss = "a" }, { issuer = { "b", "a" } })
try({ aud = { "x", "y" } }, { audience = "y" })
try({ aud = "x" }, { audience = { "y", "z" } })
try({}, { audience = "y" })
try({ sub = "a" }, { subject = "b" })
try({}, { type = "JWT" })
try({}, { type = "at+jwt", algorithms = { "HS256" } })
try({}, { algorithms = { "RS256" } })
try({ iat = now - 100 }, { max_age = 60 })
try({}, { max_age = 60 })
try({}, { key = "other" })
try(5, {})
print(select(2, jwt.check(made { a = 1 }, { key = "secret" })).typ)
jwt:set_alg_whitelist { RS256 = 1 }
print(reason("secret", made {}))
jwt:set_alg_whitelist()
print(reason(function(kid, header) return kid == nil and header.alg == "HS256" and "secret" end, made {}), reason(function() return nil, "who?" end, made {}))
LUA
the token has expired
good
the token is not valid yet
a time is not a number
missing claim: exp
wrong issuer
good
good
wrong audience
wrong audience
wrong subject
wrong type
good
whitelist unsupported alg: HS256
the token is too old
missing claim: iat
signature mismatch
the payload is no object
at+jwt
whitelist unsupported alg: HS256
verified who?
OUT

prints <<'LUA', <<'OUT', 'sets of keys; keys that sign';
local rsa, ec, other = pkey.new { bits = 2048 }, pkey.new { type = "EC" }, pkey.new { bits = 2048 }
local function public(key, kid, use)
    local jwk = cjson.decode(key:tostring("public", "JWK"))
    jwk.kid, jwk.use = kid, use
    return jwk
end
local document = { keys = { public(rsa, "r1", "sig"), public(ec, "e1"), public(other, "r2", "enc"), { kty = "new" }, 5 } }
local set = assert(jwt.jwks(cjson.encode(document)))
local function made(key, alg, kid) return jwt:sign(key, { header = { alg = alg, kid = kid }, payload = {} }) end
print(reason(set, made(rsa, "RS256", "r1")), reason(set, made(rsa, "PS256")), reason(document, made(ec, "ES256", "e1")))
print(reason(set, made(rsa, "RS256", "e1")), reason(set, made(other, "RS256", "r2")), reason(set, made(other, "RS256")):match("^%w+ %w+"))
print(reason(set, jwt:sign("secret", { header = { alg = "HS256" }, payload = {} })))
print(jwt.jwks("{}"))
for _, try in ipairs { { rsa:to_PEM("public"), "RS256" }, { rsa, "ES256" }, { "secret", "RS256" }, { "secret", "none" }, { rsa:to_PEM("private"), "HS256" } } do
    local ok, err = pcall(made, try[1], try[2])
    print(ok, err.reason, tostring(err) == err.reason)
end
print(select(2, pcall(jwt.sign, jwt, "x", {})).reason, select(2, pcall(jwt.sign, jwt, "x", { header = { alg = "HS256" } })).reason)
LUA
verified verified verified
no key of the set fits no key of the set fits signature mismatch
no key of the set fits
nil a set of keys needs "keys"
false a private key is needed to sign true
false the key is not one for ES256 true
false failed to read the key true
false unsupported alg: none true
false the key is not one for HS256 true
missing header missing payload
OUT

subtest 'certificates' => sub {
    my $folder = $in->path('work');
    system("cd '$folder' && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k -out c -subj /CN=x -days 2 2>/dev/null") == 0 or die;
    prints <<'LUA', "verified\n", 'as the key';
local function read(name) return io.open(name):read("*a") end
print(reason(read "c", jwt:sign(read "k", { header = { alg = "ES256" }, payload = {} })))
LUA
};

done_testing();
