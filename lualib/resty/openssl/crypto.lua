--- What the modules resty.openssl.* share: libcrypto's functions, its errors, and memory for results.
--
-- Every function is declared under a name of our own (bl_…) that the linker's name stands behind, so
-- that a program's own declarations of OpenSSL, with types of its own, never meet these.

local ffi = require "ffi"

local C = ffi.C
local ffi_gc = ffi.gc
local ffi_new = ffi.new
local ffi_string = ffi.string
local gsub = string.gsub
local tonumber = tonumber

local DECLARATIONS = [[
unsigned long ERR_get_error(void);
unsigned long ERR_peek_last_error(void);
void ERR_clear_error(void);
void ERR_error_string_n(unsigned long code, char *to, size_t len);
const char *ERR_reason_error_string(unsigned long code);
void CRYPTO_free(void *p, const char *file, int line);
int CRYPTO_memcmp(const void *a, const void *b, size_t len);
int RAND_bytes(unsigned char *to, int len);
int RAND_priv_bytes(unsigned char *to, int len);
const char *OpenSSL_version(int which);
unsigned long OpenSSL_version_num(void);

void *BIO_new(const void *method);
const void *BIO_s_mem(void);
void *BIO_new_mem_buf(const void *data, int len);
int BIO_free(void *bio);
long BIO_ctrl(void *bio, int command, long larg, void *parg);

const void *EVP_get_digestbyname(const char *name);
void *EVP_MD_fetch(void *libctx, const char *name, const char *properties);
void EVP_MD_free(void *md);
int EVP_MD_get_size(const void *md);
const char *EVP_MD_get0_name(const void *md);
void *EVP_MD_CTX_new(void);
void EVP_MD_CTX_free(void *ctx);
int EVP_MD_CTX_copy_ex(void *to, const void *from);
int EVP_DigestInit_ex(void *ctx, const void *md, void *engine);
int EVP_DigestUpdate(void *ctx, const void *data, size_t len);
int EVP_DigestFinal_ex(void *ctx, unsigned char *to, unsigned int *len);
int EVP_DigestSignInit(void *ctx, void **pctx, const void *md, void *engine, void *pkey);
int EVP_DigestSign(void *ctx, unsigned char *to, size_t *len, const unsigned char *data, size_t n);
int EVP_DigestVerifyInit(void *ctx, void **pctx, const void *md, void *engine, void *pkey);
int EVP_DigestVerify(void *ctx, const unsigned char *sig, size_t len, const unsigned char *data,
                     size_t n);

void *EVP_MAC_fetch(void *libctx, const char *name, const char *properties);
void EVP_MAC_free(void *mac);
void *EVP_MAC_CTX_new(void *mac);
void EVP_MAC_CTX_free(void *ctx);
int EVP_MAC_init(void *ctx, const unsigned char *key, size_t len, const bl_ossl_param *params);
int EVP_MAC_update(void *ctx, const unsigned char *data, size_t len);
int EVP_MAC_final(void *ctx, unsigned char *to, size_t *len, size_t room);

const void *EVP_get_cipherbyname(const char *name);
const char *EVP_CIPHER_get0_name(const void *cipher);
void *EVP_CIPHER_fetch(void *libctx, const char *name, const char *properties);
void EVP_CIPHER_free(void *cipher);
int EVP_CIPHER_get_key_length(const void *cipher);
int EVP_CIPHER_get_iv_length(const void *cipher);
int EVP_CIPHER_get_block_size(const void *cipher);
int EVP_CIPHER_get_mode(const void *cipher);
unsigned long EVP_CIPHER_get_flags(const void *cipher);
void *EVP_CIPHER_CTX_new(void);
void EVP_CIPHER_CTX_free(void *ctx);
int EVP_CIPHER_CTX_ctrl(void *ctx, int type, int arg, void *ptr);
int EVP_CIPHER_CTX_set_padding(void *ctx, int on);
int EVP_CipherInit_ex(void *ctx, const void *cipher, void *engine, const unsigned char *key,
                      const unsigned char *iv, int encrypt);
int EVP_CipherUpdate(void *ctx, unsigned char *to, int *len, const unsigned char *data, int n);
int EVP_CipherFinal_ex(void *ctx, unsigned char *to, int *len);
int EVP_BytesToKey(const void *cipher, const void *md, const unsigned char *salt,
                   const unsigned char *data, int len, int count, unsigned char *key,
                   unsigned char *iv);

void *EVP_KDF_fetch(void *libctx, const char *name, const char *properties);
void EVP_KDF_free(void *kdf);
void *EVP_KDF_CTX_new(void *kdf);
void EVP_KDF_CTX_free(void *ctx);
int EVP_KDF_derive(void *ctx, unsigned char *to, size_t len, const bl_ossl_param *params);

void EVP_PKEY_free(void *pkey);
int EVP_PKEY_get_base_id(const void *pkey);
int EVP_PKEY_get_bits(const void *pkey);
int EVP_PKEY_get_size(const void *pkey);
const char *EVP_PKEY_get0_type_name(const void *pkey);
int EVP_PKEY_eq(const void *a, const void *b);
int EVP_PKEY_get_bn_param(const void *pkey, const char *name, void **bn);
int EVP_PKEY_get_utf8_string_param(const void *pkey, const char *name, char *to, size_t room,
                                   size_t *len);
int EVP_PKEY_get_octet_string_param(const void *pkey, const char *name, unsigned char *to,
                                    size_t room, size_t *len);
int EVP_PKEY_get_raw_private_key(const void *pkey, unsigned char *to, size_t *len);
int EVP_PKEY_get_raw_public_key(const void *pkey, unsigned char *to, size_t *len);
void *EVP_PKEY_new_raw_private_key_ex(void *libctx, const char *type, const char *properties,
                                      const unsigned char *key, size_t len);
void *EVP_PKEY_new_raw_public_key_ex(void *libctx, const char *type, const char *properties,
                                     const unsigned char *key, size_t len);
void *EVP_PKEY_CTX_new(void *pkey, void *engine);
void *EVP_PKEY_CTX_new_from_name(void *libctx, const char *name, const char *properties);
void EVP_PKEY_CTX_free(void *ctx);
int EVP_PKEY_CTX_ctrl_str(void *ctx, const char *name, const char *value);
int EVP_PKEY_keygen_init(void *ctx);
int EVP_PKEY_generate(void *ctx, void **pkey);
int EVP_PKEY_fromdata_init(void *ctx);
int EVP_PKEY_fromdata(void *ctx, void **pkey, int selection, const bl_ossl_param *params);
int EVP_PKEY_encrypt_init(void *ctx);
int EVP_PKEY_encrypt(void *ctx, unsigned char *to, size_t *len, const unsigned char *data, size_t n);
int EVP_PKEY_decrypt_init(void *ctx);
int EVP_PKEY_decrypt(void *ctx, unsigned char *to, size_t *len, const unsigned char *data, size_t n);
int EVP_PKEY_sign_init(void *ctx);
int EVP_PKEY_sign(void *ctx, unsigned char *to, size_t *len, const unsigned char *data, size_t n);
int EVP_PKEY_verify_init(void *ctx);
int EVP_PKEY_verify(void *ctx, const unsigned char *sig, size_t len, const unsigned char *data,
                    size_t n);
int EVP_PKEY_CTX_set_signature_md(void *ctx, const void *md);
int EVP_PKEY_derive_init(void *ctx);
int EVP_PKEY_derive_set_peer(void *ctx, void *peer);
int EVP_PKEY_derive(void *ctx, unsigned char *to, size_t *len);

void *OSSL_DECODER_CTX_new_for_pkey(void **pkey, const char *format, const char *structure,
                                    const char *type, int selection, void *libctx,
                                    const char *properties);
int OSSL_DECODER_CTX_set_passphrase(void *ctx, const unsigned char *phrase, size_t len);
int OSSL_DECODER_from_data(void *ctx, const unsigned char **data, size_t *len);
void OSSL_DECODER_CTX_free(void *ctx);
void *OSSL_ENCODER_CTX_new_for_pkey(const void *pkey, int selection, const char *format,
                                    const char *structure, const char *properties);
int OSSL_ENCODER_CTX_set_cipher(void *ctx, const char *name, const char *properties);
int OSSL_ENCODER_CTX_set_passphrase(void *ctx, const unsigned char *phrase, size_t len);
int OSSL_ENCODER_to_data(void *ctx, unsigned char **data, size_t *len);
void OSSL_ENCODER_CTX_free(void *ctx);

void *OSSL_PARAM_BLD_new(void);
void OSSL_PARAM_BLD_free(void *bld);
int OSSL_PARAM_BLD_push_BN(void *bld, const char *name, const void *bn);
int OSSL_PARAM_BLD_push_int(void *bld, const char *name, int n);
int OSSL_PARAM_BLD_push_uint64(void *bld, const char *name, uint64_t n);
int OSSL_PARAM_BLD_push_utf8_string(void *bld, const char *name, const char *text, size_t len);
int OSSL_PARAM_BLD_push_octet_string(void *bld, const char *name, const void *data, size_t len);
bl_ossl_param *OSSL_PARAM_BLD_to_param(void *bld);
void OSSL_PARAM_free(bl_ossl_param *params);

void *BN_new(void);
void *BN_dup(const void *bn);
void BN_clear_free(void *bn);
void *BN_bin2bn(const unsigned char *data, int len, void *to);
int BN_bn2bin(const void *bn, unsigned char *to);
int BN_bn2binpad(const void *bn, unsigned char *to, int len);
int BN_num_bits(const void *bn);
char *BN_bn2dec(const void *bn);
char *BN_bn2hex(const void *bn);
int BN_dec2bn(void **bn, const char *text);
int BN_hex2bn(void **bn, const char *text);
int BN_cmp(const void *a, const void *b);

void *ECDSA_SIG_new(void);
void ECDSA_SIG_free(void *sig);
void ECDSA_SIG_get0(const void *sig, const void **r, const void **s);
int ECDSA_SIG_set0(void *sig, void *r, void *s);
void *d2i_ECDSA_SIG(void **sig, const unsigned char **data, long len);
int i2d_ECDSA_SIG(const void *sig, unsigned char **to);

void *PEM_read_bio_X509(void *bio, void **x, void *callback, void *arg);
int PEM_write_bio_X509(void *bio, void *x);
void *d2i_X509_bio(void *bio, void **x);
int i2d_X509_bio(void *bio, void *x);
void X509_free(void *x);
int X509_up_ref(void *x);
void *X509_get_subject_name(const void *x);
void *X509_get_issuer_name(const void *x);
void *X509_get_pubkey(void *x);
const void *X509_get0_notBefore(const void *x);
const void *X509_get0_notAfter(const void *x);
const void *X509_get0_serialNumber(const void *x);
long X509_get_version(const void *x);
int X509_get_signature_nid(const void *x);
int X509_digest(const void *x, const void *md, unsigned char *to, unsigned int *len);
int X509_verify(void *x, void *pkey);
int X509_check_private_key(const void *x, const void *pkey);
int X509_check_host(void *x, const char *name, size_t len, unsigned int flags, char **peer);
int X509_check_ip_asc(void *x, const char *address, unsigned int flags);
int X509_check_ca(void *x);
void *X509_get_ext_d2i(const void *x, int nid, int *critical, int *index);
int X509_NAME_entry_count(const void *name);
void *X509_NAME_get_entry(const void *name, int at);
void *X509_NAME_ENTRY_get_object(const void *entry);
void *X509_NAME_ENTRY_get_data(const void *entry);
int X509_NAME_print_ex(void *bio, const void *name, int indent, unsigned long flags);
void *X509_NAME_dup(const void *name);
void X509_NAME_free(void *name);
void *ASN1_TIME_set(void *time, long seconds);
void ASN1_TIME_free(void *time);
int ASN1_TIME_diff(int *days, int *seconds, const void *from, const void *to);
void *ASN1_INTEGER_to_BN(const void *n, void *bn);
int ASN1_STRING_to_UTF8(unsigned char **to, const void *text);
const unsigned char *ASN1_STRING_get0_data(const void *text);
int ASN1_STRING_length(const void *text);
int OBJ_obj2nid(const void *object);
const char *OBJ_nid2sn(int nid);
const char *OBJ_nid2ln(int nid);
int OBJ_obj2txt(char *to, int room, const void *object, int numeric);
void *GENERAL_NAME_get0_value(const void *name, int *type);
void GENERAL_NAMES_free(void *names);
void *OPENSSL_sk_new_null(void);
int OPENSSL_sk_push(void *stack, const void *value);
int OPENSSL_sk_num(const void *stack);
void *OPENSSL_sk_value(const void *stack, int at);
void OPENSSL_sk_free(void *stack);
void *X509_STORE_new(void);
void X509_STORE_free(void *store);
int X509_STORE_add_cert(void *store, void *x);
int X509_STORE_set_default_paths(void *store);
int X509_STORE_load_locations(void *store, const char *file, const char *folder);
int X509_STORE_set_flags(void *store, unsigned long flags);
int X509_STORE_set_purpose(void *store, int purpose);
void *X509_STORE_CTX_new(void);
void X509_STORE_CTX_free(void *ctx);
int X509_STORE_CTX_init(void *ctx, void *store, void *x, void *chain);
int X509_STORE_CTX_get_error(const void *ctx);
int X509_verify_cert(void *ctx);
const char *X509_verify_cert_error_string(long code);
]]

-- OSSL_PARAM, of which arrays are only made and freed by OpenSSL.
ffi.cdef [[
typedef struct bl_ossl_param bl_ossl_param;
]]

local function declare(functions)
    ffi.cdef((gsub(functions, "([%w_]+)(%([^;]*%));", 'bl_%1%2 __asm__("%1");')))
end

declare(DECLARATIONS)

local ERROR_ROOM = 256
local error_text = ffi_new("char[?]", ERROR_ROOM)
local BIO_CTRL_INFO = 3

local _M = {
    -- Declares more of OpenSSL's functions, under such names.
    declare = declare,
    size = ffi_new("size_t[1]"),
    int = ffi_new("int[1]"),
    uint = ffi_new("unsigned int[1]"),
    pointer = ffi_new("void *[1]"),
    bytes_pointer = ffi_new("unsigned char *[1]"),
    -- For the readers of PEM: without it they ask at the terminal for what opens an encrypted text.
    no_passphrase = ffi_new("char[1]"),
}

-- nil and "what: " with the reason that OpenSSL gives last; its queue is empty then.
function _M.failure(what)
    local code = C.bl_ERR_peek_last_error()
    C.bl_ERR_clear_error()
    if code == 0 then
        return nil, what .. ": failed"
    end
    local reason = C.bl_ERR_reason_error_string(code)
    if reason ~= nil then
        return nil, what .. ": " .. ffi_string(reason)
    end
    C.bl_ERR_error_string_n(code, error_text, ERROR_ROOM)
    return nil, what .. ": " .. ffi_string(error_text)
end

-- A pointer with its destructor; nil for NULL.
function _M.owned(pointer, free)
    if pointer ~= nil then
        return ffi_gc(pointer, free)
    end
end

-- A text that OpenSSL has allocated; nil for NULL.
function _M.take(pointer, len)
    if pointer == nil then
        return nil
    end
    local text = len and ffi_string(pointer, len) or ffi_string(pointer)
    C.bl_CRYPTO_free(ffi.cast("void *", pointer), nil, 0)
    return text
end

-- A BIO over a string, which has to live as long.
function _M.reader(text)
    return _M.owned(C.bl_BIO_new_mem_buf(text, #text), C.bl_BIO_free)
end

-- A BIO to write into, and text_of() what was written.
function _M.writer()
    return _M.owned(C.bl_BIO_new(C.bl_BIO_s_mem()), C.bl_BIO_free)
end

function _M.text_of(bio)
    local data = ffi_new("char *[1]")
    local len = C.bl_BIO_ctrl(bio, BIO_CTRL_INFO, 0, data)
    return ffi_string(data[0], tonumber(len))
end

-- What is found by a name is fetched from its provider at once, and kept: OpenSSL would do that again with
-- every use of what the old functions of that kind return.
local function keeper(find, name_of, fetch, free)
    local known = {}
    return function(name)
        local found = known[name]
        if found then
            return found
        end
        found = find(name)
        if found == nil then
            return nil
        end
        found = _M.owned(fetch(nil, name_of(found), nil), free) or found
        C.bl_ERR_clear_error()
        known[name] = found
        return found
    end
end

-- A message digest by OpenSSL's name, "sha256"; nil: there is none.
_M.digest = keeper(C.bl_EVP_get_digestbyname, C.bl_EVP_MD_get0_name, C.bl_EVP_MD_fetch, C.bl_EVP_MD_free)

-- The same for a cipher, "aes-256-gcm".
_M.cipher = keeper(C.bl_EVP_get_cipherbyname, C.bl_EVP_CIPHER_get0_name, C.bl_EVP_CIPHER_fetch,
                   C.bl_EVP_CIPHER_free)

-- Bytes as a big number (a BIGNUM that is wiped when it goes).
function _M.number(bytes)
    return _M.owned(C.bl_BN_bin2bn(bytes, #bytes, nil), C.bl_BN_clear_free)
end

-- The bytes of a big number, at least `len` of them.
function _M.number_bytes(bn, len)
    local n = math.max(math.floor((C.bl_BN_num_bits(bn) + 7) / 8), len or 0)
    local to = ffi_new("unsigned char[?]", n + 1)
    C.bl_BN_bn2binpad(bn, to, n)
    return ffi_string(to, n)
end

-- Parameters from a list of {kind, name, value}: kinds "text", "bytes", "number" (a BIGNUM),
-- "int", "size". Values have to live as long as what this returns.
function _M.params(list)
    local bld = _M.owned(C.bl_OSSL_PARAM_BLD_new(), C.bl_OSSL_PARAM_BLD_free)
    for _, entry in ipairs(list) do
        local kind, name, value = entry[1], entry[2], entry[3]
        if kind == "text" then
            C.bl_OSSL_PARAM_BLD_push_utf8_string(bld, name, value, #value)
        elseif kind == "bytes" then
            C.bl_OSSL_PARAM_BLD_push_octet_string(bld, name, value, #value)
        elseif kind == "number" then
            C.bl_OSSL_PARAM_BLD_push_BN(bld, name, value)
        elseif kind == "size" then
            C.bl_OSSL_PARAM_BLD_push_uint64(bld, name, value)
        else
            C.bl_OSSL_PARAM_BLD_push_int(bld, name, value)
        end
    end
    return _M.owned(C.bl_OSSL_PARAM_BLD_to_param(bld), C.bl_OSSL_PARAM_free)
end

return _M
