# resty.openssl.*, resty.aes, resty.hmac, resty.rsa, resty.uuid, resty.base64: against the openssl command
# and the vectors of RFCs.
use strict;
use warnings;
use lib 't/lib';
use Test::More;
use Bulan::Test::Command;
use Bulan::Test::Server;

my $in = Bulan::Test::Command->new;

$in->file('work/begin.lua', <<'LUA');
digest, hmac, cipher = require "resty.openssl.digest", require "resty.openssl.hmac", require "resty.openssl.cipher"
kdf, pkey, bn = require "resty.openssl.kdf", require "resty.openssl.pkey", require "resty.openssl.bn"
x509, store = require "resty.openssl.x509", require "resty.openssl.x509.store"
hex = require("resty.string").to_hex
function bin(text) return (text:gsub("%s", ""):gsub("%x%x", function(b) return string.char(tonumber(b, 16)) end)) end
function read(name) local f = assert(io.open(name, "rb")) local s = f:read "*a" f:close() return s end
function write(name, text) local f = assert(io.open(name, "wb")) f:write(text) f:close() end
LUA

sub prints { local $Test::Builder::Level = $Test::Builder::Level + 1; $in->prints(@_) }

# The openssl command in the work folder: its output; dies when it fails.
sub openssl {
    my $command = join ' ', map { "'$_'" } 'openssl', @_;
    my $out = `cd '${\$in->path('work')}' && $command 2>/dev/null </dev/null`;
    die "$command: $?" if $?;
    return $out;
}

prints 'print(1)', "1\n", 'the frame';

subtest 'digests' => sub {
    prints <<'LUA', <<'OUT', 'values';
for _, name in ipairs { "md5", "sha256", "sha3-256", "blake2b512" } do
    local d = digest.new(name)
    d:update("a", "b")
    print(hex(d:final("c")):sub(1, 32))
end
LUA
900150983cd24fb0d6963f7d28e17f72
ba7816bf8f01cfea414140de5dae2223
3a985da74fe225b2045c172d6bd390bd
ba80a53f981c4d0d6a2797b69f12f6e9
OUT
    prints 'print(digest.new("sha257")) local d = digest.new() d:update("x") d:reset() print(hex(d:final("abc")))',
        qq{nil digest.new: invalid digest type "sha257"\na9993e364706816aba3e25717850c26c9cd0d89d\n}, 'reset, errors';
    prints <<'LUA', <<'OUT', 'HMAC (RFC 4231, 4.2, 4.3, 4.8), used again, and with an empty key';
local h = hmac.new(("\11"):rep(20), "sha256")
print(hex(h:final("Hi There")))
print(hex(h:final("Hi There")) == hex(h:final("Hi There")))
print(hex(hmac.new("Jefe", "sha224"):final("what do ya want for nothing?")))
print(hex(hmac.new(("\170"):rep(131), "sha512"):final("Test Using Larger Than Block-Size Key - Hash Key First")):sub(1, 32))
print(hex(hmac.new("", "md5"):final("")))
print(hmac.new("k", "none"))
local old = require "resty.hmac"
local o = old:new("key", old.ALGOS.SHA1)
print(o:update("The quick brown fox "), o:final("jumps over the lazy dog", true))
print(o:final("", true) == old:new("key", old.ALGOS.SHA1):final("", true), #o:final("x"))
LUA
b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7
true
a30e01098bc6dbbf45690f3a7e9e6d0f8bbea2a39e6148008fd05e44
80b24263c7c1a3ebb71493c1dd7be8b4
74e6f7298a9c2d168935f58c001bad88
nil hmac.new: invalid digest type "none"
true de7c9b85b8b78aa6bc8a7a36f70a90701c9db4d9
true 20
OUT
};

subtest 'keys from passwords' => sub {
    prints <<'LUA', <<'OUT', 'RFC 6070, 7914, 5869';
print(hex(kdf.derive { type = kdf.PBKDF2, outlen = 25, pass = "passwordPASSWORDpassword",
    salt = "saltSALTsaltSALTsaltSALTsaltSALTsalt", md = "sha1", pbkdf2_iter = 4096 }))
print(hex(kdf.derive { type = kdf.SCRYPT, outlen = 16, pass = "password", salt = "NaCl", scrypt_N = 1024,
    scrypt_r = 8, scrypt_p = 16 }))
print(hex(kdf.derive { type = kdf.HKDF, md = "sha256", outlen = 42, hkdf_key = ("\11"):rep(22),
    salt = bin "000102030405060708090a0b0c", hkdf_info = bin "f0f1f2f3f4f5f6f7f8f9" }))
print(kdf.derive { type = "X", outlen = 1 })
print(kdf.derive { type = kdf.PBKDF2, outlen = 8, md = "none" } == nil)
LUA
3d2eec4fe41c849b80c8d83662c0e44a8b291a964cf2f07038
fdbabe1c9d3472007856e7190d01e9fe
3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865
nil kdf.derive: unknown type
true
OUT
};

subtest 'ciphers' => sub {
    prints <<'LUA', <<'OUT', 'GCM (test case 4 of its specification), ChaCha20-Poly1305 (RFC 8439, 2.8.2)';
local c = cipher.new("aes-128-gcm")
local key, iv = bin "feffe9928665731c6d6a8f9467308308", bin "cafebabefacedbaddecaf888"
local text = bin [[d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b5
    25b16aedf5aa0de657ba637b39]]
local aad = bin "feedfacedeadbeeffeedfacedeadbeefabaddad2"
local secret = c:encrypt(key, iv, text, false, aad)
local tag = c:get_aead_tag()
print(hex(secret):sub(1, 32), hex(tag))
print(c:decrypt(key, iv, secret, false, aad, tag) == text)
print(c:decrypt(key, iv, secret, false, aad, ("x"):rep(16)))
print(c:decrypt(key, iv, secret, false, "other", tag))
print(c:decrypt(key, iv, secret, false, aad, tag:sub(1, 1)))
print(c:decrypt(key, iv, secret, false, aad))
print(c:decrypt(key, iv, secret .. "x", false, aad, tag))
c = cipher.new("chacha20-poly1305")
key, iv = bin "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f", bin "070000004041424344454647"
text = "Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it."
secret = c:encrypt(key, iv, text, false, bin "50515253c0c1c2c3c4c5c6c7")
print(hex(secret):sub(1, 32), hex(c:get_aead_tag()))
LUA
42831ec2217774244b7221b784d0d49c 5bc94fbc3221a5db94fae95ae7121a47
true
nil cipher:final: failed
nil cipher:final: failed
nil cipher:decrypt: a tag of a wrong length
nil cipher:decrypt: an AEAD cipher needs the tag
nil cipher:final: failed
d31a8d34648e60db7b86afbc53ef7ec2 1ae10b594f09e26a7e902ecbd0600691
OUT
    prints <<'LUA', <<'OUT', 'CCM, pieces, sizes';
local c = cipher.new("aes-256-ccm")
local secret = c:encrypt(("k"):rep(32), ("i"):rep(12), "hello", false, "aad")
local tag = c:get_aead_tag()
print(#secret, #tag, c:decrypt(("k"):rep(32), ("i"):rep(12), secret, false, "aad", tag))
print(c:decrypt(("k"):rep(32), ("i"):rep(12), secret, false, "aae", tag))
c = cipher.new("aes-128-cbc")
print(c:init(("k"):rep(16), ("i"):rep(16), { is_encrypt = true }))
local parts = { c:update("0123456789", "0123456789"), c:final("tail") }
print(c:decrypt(("k"):rep(16), ("i"):rep(16), table.concat(parts)))
print(c:init("k", ("i"):rep(16)))
print(c:init(("k"):rep(16), "i"))
print(cipher.new("aes-128-cbc"):update("x"))
print(c:encrypt(("k"):rep(16), ("i"):rep(16), "part", true))
print(c:decrypt(("k"):rep(16), ("i"):rep(16), ("x"):rep(16)))
print(cipher.new("rot13"))
LUA
5 16 hello
nil cipher:update: cipher operation failed
true
01234567890123456789tail
nil cipher:init: incorrect key size, expected 16
nil cipher:init: incorrect iv size, expected 16
nil cipher:update: cipher not initialized, call cipher:init first
nil cipher:final: wrong final block length
nil cipher:final: bad decrypt
nil cipher.new: invalid cipher type "rot13"
OUT
    $in->file('work/plain', 'the text');
    openssl('enc', '-aes-128-cbc', '-md', 'sha256', '-k', 'pass', '-S', '3132333435363738', '-in', 'plain', '-out', 'enc');
    prints <<'LUA', "the text\nnil salt must be 8 characters or nil\nnil bad key length\n", 'resty.aes reads what openssl enc wrote';
local aes = require "resty.aes"
local box = assert(aes:new("pass", "12345678", aes.cipher(128, "cbc"), aes.hash.sha256, 1))
print((box:decrypt((read("enc"):gsub("^Salted__........", "")))))
print(aes:new("pass", "123"))
print(aes:new("short", nil, aes.cipher(256, "cbc"), { iv = ("i"):rep(16) }))
LUA
    prints <<'LUA', "text\nnil cipher:final: failed\ntext\nnil\n", 'resty.aes: GCM, an own method';
local aes = require "resty.aes"
local box = assert(aes:new(("k"):rep(32), nil, aes.cipher(256, "gcm"), { iv = ("i"):rep(12) }))
local secret = box:encrypt("text", "aad")
print((box:decrypt(secret[1], secret[2], "aad")))
print(box:decrypt(secret[1], secret[2], "add"))
box = assert(aes:new("pass", nil, aes.cipher(128, "ctr"), { iv = ("i"):rep(16), method = ngx.md5_bin }))
print(box:decrypt(box:encrypt("text")))
print(aes.cipher(512, "cbc"))
LUA
};

subtest 'keys' => sub {
    openssl('genpkey', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048', '-out', 'rsa.pem');
    openssl('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-384', '-out', 'ec.pem');
    openssl('genpkey', '-algorithm', 'ED25519', '-out', 'ed.pem');
    for my $kind (qw(rsa ec ed)) {
        openssl('pkey', '-in', "$kind.pem", '-pubout', '-out', "$kind.pub");
        openssl('pkey', '-in', "$kind.pem", '-outform', 'DER', '-out', "$kind.der");
    }
    openssl('rsa', '-in', 'rsa.pem', '-traditional', '-aes128', '-passout', 'pass:secret', '-out', 'locked.pem');
    openssl('pkcs8', '-topk8', '-in', 'ec.pem', '-passout', 'pass:secret', '-out', 'locked8.pem');
    $in->file('work/text', 'signed by both');

    prints <<'LUA', "rsa true 2048\nec true 384\ned true 256\n", 'read as PEM, DER and JWK, private and public';
for _, name in ipairs { "rsa", "ec", "ed" } do
    local key = assert(pkey.new(read(name .. ".pem")))
    local same = assert(pkey.new(read(name .. ".der"))) == key
        and assert(pkey.new(read(name .. ".pem"), { format = "PEM", type = "pr" })) == key
        and assert(pkey.new(read(name .. ".pub"))) == key
        and assert(pkey.new(key:tostring("private", "DER"), { format = "DER" })) == key
        and assert(pkey.new(key:tostring("private", "JWK"), { format = "JWK" })):is_private()
        and not assert(pkey.new(key:tostring("public", "JWK"), { format = "JWK" })):is_private()
        and not assert(pkey.new(key:tostring("private", "JWK"), { format = "JWK", type = "pu" })):is_private()
        and key:to_PEM("public") == read(name .. ".pub")
        and not pkey.new(read(name .. ".pub"), { type = "pr" })
    print(name .. " " .. tostring(same) .. " " .. key:get_bits())
end
LUA
    prints <<'LUA', "nil\ntrue true\nnil\ntrue\nnil pkey.new: an EC JWK needs \"x\" and \"y\" of 32 bytes\nnil pkey.new: not a JWK, or of an unknown type\n", 'locked keys, and what is no key';
print((pkey.new(read "locked.pem")))
print(pkey.new(read "locked.pem", { passphrase = "secret" }) == pkey.new(read "rsa.pem"),
    pkey.new(read "locked8.pem", { passphrase = "secret" }) == pkey.new(read "ec.pem"))
print((pkey.new(read "locked8.pem", { passphrase = "wrong" })))
print(select(2, pkey.new("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")):find("^pkey.new: no key could be read") ~= nil)
print(pkey.new('{"kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"}', { format = "JWK" }))
print(pkey.new('{"kty":"oct","k":"AAAA"}', { format = "JWK" }))
LUA
    my $names = <<'LUA';
local text = read "text"
local pss = pkey.PADDINGS.RSA_PKCS1_PSS_PADDING
LUA
    prints $names . <<'LUA', "true\nfalse\n" x 4, 'signatures, checked here';
for _, name in ipairs { "rsa", "ec", "ed" } do
    local key, public = pkey.new(read(name .. ".pem")), pkey.new(read(name .. ".pub"))
    local signature = assert(key:sign(text, "sha384"))
    write(name .. ".sig", signature)
    print((public:verify(signature, text, "sha384")))
    print((public:verify(signature, text .. "!", "sha384")))
end
local key = pkey.new(read "rsa.pem")
write("pss.sig", assert(key:sign(text, "sha256", pss, { pss_saltlen = 32 })))
print((key:verify(read "pss.sig", text, "sha256", pss)))
print((key:verify(read "pss.sig", text, "sha256")))
LUA
    like openssl('dgst', '-sha384', '-verify', "$_.pub", '-signature', "$_.sig", 'text'), qr/OK/, "openssl agrees: $_" for qw(rsa ec);
    like openssl('pkeyutl', '-verify', '-pubin', '-inkey', 'ed.pub', '-rawin', '-in', 'text', '-sigfile', 'ed.sig'),
        qr/Success/, 'openssl agrees: ed';
    like openssl('dgst', '-sha256', '-sigopt', 'rsa_padding_mode:pss', '-verify', 'rsa.pub', '-signature', 'pss.sig', 'text'),
        qr/OK/, 'openssl agrees: PSS';
    openssl('dgst', '-sha256', '-sign', 'ec.pem', '-out', 'theirs.sig', 'text');
    prints $names . <<'LUA', "true\n96 true false false\nnil pkey:sign: this is a public key\ntrue true\nnil pkey:verify: invalid digest type \"md17\"\n", "openssl's, raw ECDSA, digests";
local key = pkey.new(read "ec.pem")
print((key:verify(read "theirs.sig", text, "sha256")))
local raw = key:sign(text, "sha256", nil, { ecdsa_use_raw = true })
print(#raw, (key:verify(raw, text, "sha256", nil, { ecdsa_use_raw = true })),
    (key:verify(raw .. "x", text, "sha256", nil, { ecdsa_use_raw = true })),
    (key:verify(raw:reverse(), text, "sha256", nil, { ecdsa_use_raw = true })))
print(pkey.new(read "ec.pub"):sign(text))
local d = digest.new("sha256")
d:update(text)
local signature = assert(key:sign(d))
d:reset()
d:update(text)
print(key:verify(signature, d) == true, (key:verify(signature, text, "sha256")))
print(key:verify(signature, text, "md17"))
LUA
    prints <<'LUA', "hello\nhello\nnil\ntrue true true\n65537 secp384r1\n32\n", 'encryption, agreement, numbers';
local key, public = pkey.new(read "rsa.pem"), pkey.new(read "rsa.pub")
print((key:decrypt(public:encrypt("hello"))))
local oaep = pkey.PADDINGS.RSA_PKCS1_OAEP_PADDING
print((key:decrypt(public:encrypt("hello", oaep, { oaep_md = "sha256" }), oaep, { oaep_md = "sha256" })))
print((key:decrypt(public:encrypt("hello", oaep, { oaep_md = "sha256" }), oaep)))
local function agree(options)
    local a, b = pkey.new(options), pkey.new(options)
    return a:derive(b) == b:derive(a) and #a:derive(b) > 0
end
print(agree { type = "X25519" }, agree { type = "EC", curve = "secp521r1" }, agree { type = "X448" })
print(key:get_parameters().e:to_dec() .. "\t" .. pkey.new(read "ec.pem"):get_parameters().group)
print(#pkey.new(read "ed.pem"):get_parameters().private)
LUA
    openssl('pkeyutl', '-encrypt', '-pubin', '-inkey', 'rsa.pub', '-in', 'text', '-out', 'text.enc');
    prints <<'LUA', "signed by both\ntrue\nfalse verification failed\ntrue\nnil not inited for encrypt\n", 'resty.rsa';
local rsa = require "resty.rsa"
print((rsa:new { private_key = read "locked.pem", password = "secret" }:decrypt(read "text.enc")))
local public, private = rsa:generate_rsa_keys(2048)
local signature = rsa:new { private_key = private, algorithm = "SHA256" }:sign("a")
print(rsa:new { public_key = public, algorithm = "SHA256" }:verify("a", signature))
print(rsa:new { public_key = public, algorithm = "SHA256" }:verify("b", signature))
local new_public, new_private = rsa:generate_rsa_keys(2048, true)
print(public:find("RSA PUBLIC KEY") and new_public:find("BEGIN PUBLIC KEY") and private:find("RSA PRIVATE")
    and new_private:find("BEGIN PRIVATE") and true)
print(rsa:new { private_key = private }:encrypt("x"))
LUA
    prints 'print(bn.from_hex("ff00"):to_dec(), bn.new(255):to_hex(), #bn.from_dec("1"):to_binary(4), bn.new(2) < bn.new(3), bn.new("10", 16) == bn.new(16)) print(bn.from_hex("xyz"))',
        "65280 FF 4 true true\nnil bn.from_hex: malformed number\n", 'numbers';
};

subtest 'certificates' => sub {
    openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'ca.key', '-out', 'ca.pem',
        '-subj', '/O=Example/CN=The CA', '-days', '10');
    openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'leaf.key', '-out', 'leaf.csr',
        '-subj', '/O=Example/OU=A/OU=B/CN=api.example.com');
    $in->file('work/ext', "subjectAltName=DNS:api.example.com,DNS:*.test.example,IP:127.0.0.1,IP:::1,email:a\@example.com,URI:https://x/\n");
    openssl('x509', '-req', '-in', 'leaf.csr', '-CA', 'ca.pem', '-CAkey', 'ca.key', '-set_serial', '0x1234abcd', '-days', '5',
        '-extfile', 'ext', '-out', 'leaf.pem');
    openssl('x509', '-in', 'leaf.pem', '-outform', 'DER', '-out', 'leaf.der');
    my $print = lc openssl('x509', '-in', 'leaf.pem', '-noout', '-fingerprint', '-sha256') =~ s/.*=|:|\n//gr;

    prints <<'LUA', <<"OUT", 'what stands in one';
local cert = assert(x509.new(read "leaf.pem"))
print(cert:to_PEM() == read "leaf.pem", cert:tostring("DER") == read "leaf.der", x509.new(read "leaf.der"):to_PEM() == read "leaf.pem")
print(cert:get_subject_name():tostring(), cert:get_issuer_name():tostring())
local name = cert:get_subject_name()
local first, at = name:find("OU")
print(first.blob, name:find("2.5.4.11", at).blob, name:find("commonName").blob, name:find("C"), name:all().O.blob)
print(cert:get_serial_number():to_hex(), cert:get_version(), cert:get_signature_name())
print(math.abs(cert:get_not_before() - os.time()) < 600, cert:get_not_after() - cert:get_not_before())
print(hex(cert:digest("sha256")))
for _, n in ipairs(cert:get_subject_alt_names()) do io.write(n[1], ":", n[2], " ") end print()
print(cert:check_host("api.example.com"), cert:check_host("a.test.example"), cert:check_host("a.b.test.example"),
    cert:check_ip("127.0.0.1"), cert:check_ip("127.0.0.2"))
print(cert:get_ca(), x509.new(read "ca.pem"):get_ca())
print(cert:check_private_key(pkey.new(read "leaf.key")), cert:check_private_key(pkey.new(read "ca.key")))
print(cert:get_pubkey() == pkey.new(read "leaf.key"), cert:verify(x509.new(read "ca.pem"):get_pubkey()), cert:verify(cert:get_pubkey()))
print((x509.new("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")), (x509.new("")))
LUA
true true true
CN=api.example.com,OU=B,OU=A,O=Example CN=The CA,O=Example
A B api.example.com nil Example
1234ABCD 3 ecdsa-with-SHA256
true 432000
$print
DNS:api.example.com DNS:*.test.example IP:127.0.0.1 IP:0:0:0:0:0:0:0:1 email:a\@example.com URI:https://x/ 
true true false true false
false true
true false
true true false
nil nil
OUT
    prints <<'LUA', <<'OUT', 'whom to trust';
local s = assert(store.new())
local ca, leaf = x509.new(read "ca.pem"), x509.new(read "leaf.pem")
print(s:verify(leaf))
print(s:add(ca), s:verify(leaf), s:verify(ca))
print(store.new():load_file("ca.pem"), (store.new():load_file("none.pem")))
print(s:set_purpose("sslserver"), s:verify(leaf))
print(s:set_purpose("tea"))
LUA
nil unable to get local issuer certificate
true true true
true nil
true true
nil x509.store:set_purpose: unknown purpose "tea"
OUT
};

subtest 'UUIDs and base64' => sub {
    prints <<'LUA', <<'OUT', 'RFC 9562';
local uuid = require "resty.uuid"
print(uuid.v5(uuid.NAMESPACE_DNS, "www.example.com"), uuid.v3(uuid.NAMESPACE_DNS, "www.example.com"))
local seen, last = {}, ""
for _ = 1, 5000 do
    local v4, v7 = uuid.v4(), uuid.v7()
    assert(not seen[v4] and v7 > last, "twice, or out of order")
    assert(v4:find("^%x+%-%x+%-4%x%x%x%-[89ab]%x%x%x%-%x+$") and v7:find("^%x+%-%x+%-7%x%x%x%-[89ab]%x%x%x%-%x+$"))
    seen[v4], last = true, v7
end
print(math.abs(uuid.time_of(uuid.v7()) - ngx.now()) < 60, uuid.time_of(uuid.v4()))
print(uuid.is_valid(uuid()), uuid.is_valid(uuid() .. "0"), uuid.is_valid("x"), uuid.is_valid(1), uuid.is_valid(uuid.NIL))
print(uuid.generate_v5(uuid.NAMESPACE_DNS, "x") == uuid.v5(uuid.NAMESPACE_DNS, "x"), uuid.factory_v3(uuid.NAMESPACE_URL)("x") == uuid.v3(uuid.NAMESPACE_URL, "x"))
print(uuid.generate_v3("no", "x"))
print(uuid.factory_v5("no"))
print(require("resty.jit-uuid") == uuid, uuid.generate_v4() ~= uuid.generate_v4(), pcall(uuid.v5, "no", "x"))
LUA
2ed6657d-e927-568b-95e1-2665a8aea6a2 5df41881-3aed-3515-88a7-2f4a814cf09e
true nil
true false false false true
true true
nil namespace must be a valid UUID
nil namespace must be a valid UUID
true true false a.lua:15: the namespace is not a UUID
OUT
    prints <<'LUA', "//4= //4 __4 nil nil\ntrue\n", 'base64';
local base64 = require "resty.base64"
print(base64.encode("\255\254"), base64.encode("\255\254", true), base64.encode_url("\255\254"), base64.decode("*"), base64.decode_url("*"))
print(base64.decode("//4=") == "\255\254" and base64.decode_url("__4") == "\255\254" and base64.decode("//4") == "\255\254")
LUA
};

subtest 'encrypted texts' => sub {
    prints <<'LUA', "nil true\nnil bad public key\nnil true\nnil\n", 'nobody is asked for what opens them';
local function encrypted(label)
    return "-----BEGIN " .. label .. "-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,000102030405060708090A0B0C0D0E0F\n\n"
        .. ngx.encode_base64(("x"):rep(32)) .. "\n-----END " .. label .. "-----\n"
end
local cert, err = x509.new(encrypted "CERTIFICATE")
print(cert, err:find("^x509.new: ") ~= nil)
print(require("resty.sql_auth").rsa_oaep(encrypted "PUBLIC KEY", "text"))
local key
key, err = pkey.new(encrypted "RSA PRIVATE KEY")
print(key, err:find("^pkey.new: ") ~= nil)
print((require("ngx.ssl").parse_pem_cert(encrypted "CERTIFICATE")))
LUA
};

subtest 'beside declarations of their own' => sub {
    prints <<'LUA', "true true\n", 'a program may declare OpenSSL as it likes, before or after';
local ffi = require "ffi"
ffi.cdef "typedef struct evp_md_ctx_st EVP_MD_CTX; EVP_MD_CTX *EVP_MD_CTX_new(void); int RAND_bytes(unsigned char *buf, int num);"
local ctx = ffi.C.EVP_MD_CTX_new()
print(ffi.istype("EVP_MD_CTX *", ctx), #require("resty.md5"):new():final() == 16)
LUA
};

done_testing();
