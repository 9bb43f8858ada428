-- resty.sql_auth: the cryptography that logging in to a database takes, by OpenSSL through the FFI.
-- Private: for resty.mysql and resty.postgres.
--
-- Strings of bytes come in and go out. What can fail gives nil and an error, which never says a
-- secret.

local ffi = require "ffi"

local C = ffi.C
local bxor = bit.bxor
local byte = string.byte
local char = string.char
local concat = table.concat
local crypto = require "resty.openssl.crypto"
local ffi_gc = ffi.gc
local ffi_new = ffi.new
local ffi_string = ffi.string
local format = string.format
local gsub = string.gsub

crypto.declare [[
int EVP_Digest(const void *data, size_t count, unsigned char *md, unsigned int *size,
    const void *type, void *engine);
unsigned char *HMAC(const void *evp_md, const void *key, int key_len, const unsigned char *d, size_t n,
    unsigned char *md, unsigned int *md_len);
int PKCS5_PBKDF2_HMAC(const char *pass, int passlen, const unsigned char *salt, int saltlen, int iter,
    const void *digest, int keylen, unsigned char *out);
void *PEM_read_bio_PUBKEY(void *bio, void **key, void *callback, void *u);
int EVP_PKEY_CTX_set_rsa_padding(void *ctx, int pad);
void *SSL_get1_peer_certificate(const void *ssl);
int OBJ_find_sigid_algs(int signid, int *digest, int *pkey);
]]

local RSA_PKCS1_OAEP_PADDING = 4

local out = ffi_new("unsigned char[64]") -- EVP_MAX_MD_SIZE
local out_len = ffi_new("unsigned int[1]")

local _M = {}

-- Digests ---------------------------------------------------------------------------------------

local function digest_function(name)
    local kind = C.bl_EVP_get_digestbyname(name)
    return function(text)
        C.bl_EVP_Digest(text, #text, out, out_len, kind, nil)
        return ffi_string(out, out_len[0])
    end
end

_M.sha1 = digest_function("SHA1")
_M.sha256 = digest_function("SHA256")
_M.sha512 = digest_function("SHA512")

local md5 = digest_function("MD5")

local function hex_of(char_)
    return format("%02x", byte(char_))
end

function _M.md5_hex(text)
    return (gsub(md5(text), ".", hex_of))
end

local sha256_kind = C.bl_EVP_get_digestbyname("SHA256")

function _M.hmac_sha256(key, text)
    C.bl_HMAC(sha256_kind, key, #key, text, #text, out, out_len)
    return ffi_string(out, out_len[0])
end

-- Takes the CPU for some 0.3 microseconds an iteration: the caller limits them.
function _M.pbkdf2_sha256(password, salt, iterations)
    if C.bl_PKCS5_PBKDF2_HMAC(password, #password, salt, #salt, iterations, sha256_kind, 32, out) ~= 1 then
        C.bl_ERR_clear_error()
        return nil, "key derivation failed"
    end
    return ffi_string(out, 32)
end

function _M.random(count)
    local bytes = ffi_new("unsigned char[?]", count)
    if C.bl_RAND_bytes(bytes, count) ~= 1 then
        C.bl_ERR_clear_error()
        return nil, "no random bytes"
    end
    return ffi_string(bytes, count)
end

-- Each byte of `text` with the byte of `mask` at its place; a short mask repeats.
function _M.xor(text, mask)
    local bytes, n = {}, #mask
    for i = 1, #text do
        bytes[i] = char(bxor(byte(text, i), byte(mask, (i - 1) % n + 1)))
    end
    return concat(bytes)
end

-- RSA -------------------------------------------------------------------------------------------

local function encrypt(ctx, text)
    local size = ffi_new("size_t[1]")
    if C.bl_EVP_PKEY_encrypt_init(ctx) ~= 1
        or C.bl_EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) ~= 1
        or C.bl_EVP_PKEY_encrypt(ctx, nil, size, text, #text) ~= 1
    then
        return nil
    end
    local bytes = ffi_new("unsigned char[?]", size[0])
    if C.bl_EVP_PKEY_encrypt(ctx, bytes, size, text, #text) ~= 1 then
        return nil
    end
    return ffi_string(bytes, size[0])
end

-- Encrypts with a public key in PEM: RSA with OAEP padding (SHA-1).
function _M.rsa_oaep(pem, text)
    local bio = C.bl_BIO_new_mem_buf(pem, #pem)
    local key = bio ~= nil and C.bl_PEM_read_bio_PUBKEY(bio, nil, nil, crypto.no_passphrase) or nil
    if bio ~= nil then
        C.bl_BIO_free(bio)
    end
    if key == nil then
        C.bl_ERR_clear_error()
        return nil, "bad public key"
    end
    local ctx = ffi_gc(C.bl_EVP_PKEY_CTX_new(ffi_gc(key, C.bl_EVP_PKEY_free), nil), C.bl_EVP_PKEY_CTX_free)
    local encrypted = ctx ~= nil and encrypt(ctx, text)
    if not encrypted then
        C.bl_ERR_clear_error()
        return nil, "encryption with the public key failed"
    end
    return encrypted
end

-- TLS -------------------------------------------------------------------------------------------

-- The hash that binds a login to the server's certificate: RFC 5929, 4.1 (tls-server-end-point).
-- `ssl` is what getsslpointer() of a socket gives.
function _M.server_end_point(ssl)
    local cert = C.bl_SSL_get1_peer_certificate(ssl)
    if cert == nil then
        return nil, "no certificate"
    end
    cert = ffi_gc(cert, C.bl_X509_free)
    local digest = ffi_new("int[1]")
    if C.bl_OBJ_find_sigid_algs(C.bl_X509_get_signature_nid(cert), digest, nil) ~= 1 or digest[0] == 0 then
        return nil, "certificate without a hash"
    end
    local name = ffi_string(C.bl_OBJ_nid2sn(digest[0]))
    if name == "MD5" or name == "SHA1" then
        name = "SHA256"
    end
    local kind = C.bl_EVP_get_digestbyname(name)
    if kind == nil or C.bl_X509_digest(cert, kind, out, out_len) ~= 1 then
        return nil, "hash of the certificate failed"
    end
    return ffi_string(out, out_len[0])
end

return _M
