#include "event/tls_info.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#define GET(name)                                                                                  \
    static bool name(bl_conn *c BL_UNUSED, bl_pool *pool BL_UNUSED, bl_str *value BL_UNUSED)

static const char digits[] = "0123456789abcdef";

static bool text(const char *s, bl_str *value)
{
    if (s == NULL)
        return false;
    *value = bl_str_c(s);
    return true;
}

static bool hex(bl_pool *pool, const unsigned char *bytes, size_t len, bl_str *value)
{
    char *to = bl_pool_bytes(pool, len * 2);

    for (size_t i = 0; i < len; i++) {
        to[2 * i] = digits[bytes[i] >> 4];
        to[2 * i + 1] = digits[bytes[i] & 15];
    }
    *value = bl_str_of(to, len * 2);
    return len != 0;
}

/* What was written into a memory BIO, which is freed. */
static bool drain(bl_pool *pool, BIO *bio, bool ok, bl_str *value)
{
    char *p;
    long len = bio && ok ? BIO_get_mem_data(bio, &p) : 0;

    if (len > 0)
        *value = bl_pool_str(pool, bl_str_of(p, (size_t)len));
    BIO_free(bio);
    ERR_clear_error();
    return len > 0;
}

/* A list of names with a colon between. */
static void add_name(bl_pool *pool, bl_str *list, const char *name)
{
    const bl_str parts[] = {*list, list->len ? BL_STR(":") : BL_STR(""), bl_str_c(name)};

    *list = bl_pool_concat(pool, parts, 3);
}

/* ------------------------------------------------------------- the connection */

GET(get_protocol)
{
    return text(SSL_get_version(c->tls->ssl), value);
}

GET(get_cipher)
{
    return text(SSL_get_cipher_name(c->tls->ssl), value);
}

GET(get_ciphers)
{
    unsigned char *raw;
    size_t each = SSL_get0_raw_cipherlist(c->tls->ssl, NULL);
    size_t len = SSL_get0_raw_cipherlist(c->tls->ssl, &raw);

    *value = BL_STR("");
    for (size_t i = 0; each && i + each <= len; i += each) {
        const SSL_CIPHER *cipher = SSL_CIPHER_find(c->tls->ssl, raw + i);
        bl_str number = bl_pool_printf(pool, "0x%02x%02x", raw[i], raw[i + 1]);
        add_name(pool, value, cipher ? SSL_CIPHER_get_name(cipher) : number.p);
    }
    return value->len != 0;
}

static const char *group_name(bl_pool *pool, int id)
{
    if (id & TLSEXT_nid_unknown)
        return bl_pool_printf(pool, "0x%04x", (unsigned)id & 0xffff).p;
    return OBJ_nid2sn(id);
}

GET(get_curve)
{
    int id = (int)SSL_get_negotiated_group(c->tls->ssl);

    return id != NID_undef && text(group_name(pool, id), value);
}

GET(get_curves)
{
    int count = (int)SSL_get1_groups(c->tls->ssl, NULL);

    if (count <= 0)
        return false;
    int *ids = BL_NEW_ARRAY(pool, int, (size_t)count);
    count = (int)SSL_get1_groups(c->tls->ssl, ids);
    *value = BL_STR("");
    for (int i = 0; i < count; i++)
        add_name(pool, value, group_name(pool, ids[i]));
    return true;
}

/* Signature schemes (RFC 8446 section 4.2.3). */
static const struct {
    int code;
    const char *name;
} schemes[] = {
    {0x0401, "rsa_pkcs1_sha256"},
    {0x0501, "rsa_pkcs1_sha384"},
    {0x0601, "rsa_pkcs1_sha512"},
    {0x0403, "ecdsa_secp256r1_sha256"},
    {0x0503, "ecdsa_secp384r1_sha384"},
    {0x0603, "ecdsa_secp521r1_sha512"},
    {0x0804, "rsa_pss_rsae_sha256"},
    {0x0805, "rsa_pss_rsae_sha384"},
    {0x0806, "rsa_pss_rsae_sha512"},
    {0x0807, "ed25519"},
    {0x0808, "ed448"},
    {0x0809, "rsa_pss_pss_sha256"},
    {0x080a, "rsa_pss_pss_sha384"},
    {0x080b, "rsa_pss_pss_sha512"},
    {0x0201, "rsa_pkcs1_sha1"},
    {0x0203, "ecdsa_sha1"},
    {0x0301, "rsa_pkcs1_sha224"},
    {0x0303, "ecdsa_sha224"},
    {0x0402, "dsa_sha256"},
    {0x0502, "dsa_sha384"},
    {0x0602, "dsa_sha512"},
    {0x0202, "dsa_sha1"},
    {0x0302, "dsa_sha224"},
};

static const char *scheme_name(bl_pool *pool, int code)
{
    for (size_t i = 0; i < BL_COUNTOF(schemes); i++) {
        if (schemes[i].code == code)
            return schemes[i].name;
    }
    return bl_pool_printf(pool, "0x%04x", (unsigned)code).p;
}

/* The scheme of a kind of key and a digest as OpenSSL numbers them. */
static bool scheme_of(bl_pool *pool, int kind, int digest, bl_str *value)
{
    static const int digests[] = {0,          NID_md5,    NID_sha1,  NID_sha224,
                                  NID_sha256, NID_sha384, NID_sha512};
    int hash = 0;

    for (size_t i = 1; i < BL_COUNTOF(digests); i++)
        hash = digests[i] == digest ? (int)i : hash;
    switch (kind) {
    case EVP_PKEY_ED25519:
        return text("ed25519", value);
    case EVP_PKEY_ED448:
        return text("ed448", value);
    case EVP_PKEY_RSA_PSS:
        return hash >= 4 && text(scheme_name(pool, 0x0800 | hash), value);
    case EVP_PKEY_RSA:
        return text(scheme_name(pool, hash << 8 | 1), value);
    case EVP_PKEY_EC:
        return text(scheme_name(pool, hash << 8 | 3), value);
    default:
        return false;
    }
}

GET(get_sigalg)
{
    int kind, digest = NID_undef;

    if (SSL_session_reused(c->tls->ssl) || !SSL_get_signature_type_nid(c->tls->ssl, &kind))
        return false;
    SSL_get_signature_nid(c->tls->ssl, &digest);
    return scheme_of(pool, kind, digest, value);
}

GET(get_client_sigalg)
{
    int kind, digest = NID_undef;

    if (SSL_get0_peer_certificate(c->tls->ssl) == NULL ||
        !SSL_get_peer_signature_type_nid(c->tls->ssl, &kind))
        return false;
    SSL_get_peer_signature_nid(c->tls->ssl, &digest);
    return scheme_of(pool, kind, digest, value);
}

GET(get_sigalgs)
{
    int count = SSL_get_sigalgs(c->tls->ssl, 0, NULL, NULL, NULL, NULL, NULL);
    unsigned char sign, hash;

    *value = BL_STR("");
    for (int i = 0; i < count; i++) {
        SSL_get_sigalgs(c->tls->ssl, i, NULL, NULL, NULL, &sign, &hash);
        add_name(pool, value, scheme_name(pool, hash << 8 | sign));
    }
    return value->len != 0;
}

GET(get_session_id)
{
    SSL_SESSION *session = SSL_get_session(c->tls->ssl);
    unsigned len;

    if (session == NULL)
        return false;
    const unsigned char *id = SSL_SESSION_get_id(session, &len);
    return hex(pool, id, len, value);
}

GET(get_session_reused)
{
    return text(SSL_session_reused(c->tls->ssl) ? "r" : ".", value);
}

GET(get_early_data)
{
    return c->tls->in_early_data && text("1", value);
}

GET(get_server_name)
{
    const char *name = SSL_get_servername(c->tls->ssl, TLSEXT_NAMETYPE_host_name);

    if (name)
        *value = bl_pool_str(pool, bl_str_c(name));
    return name != NULL;
}

GET(get_alpn)
{
    const unsigned char *name;
    unsigned len;

    SSL_get0_alpn_selected(c->tls->ssl, &name, &len);
    *value = bl_str_of((const char *)name, len);
    return len != 0;
}

/* Encrypted client hellos are not in this library. */
GET(get_none)
{
    return false;
}

/* ------------------------------------------------------------- the client's certificate */

static X509 *certificate_of(bl_conn *c)
{
    return SSL_get0_peer_certificate(c->tls->ssl);
}

GET(get_raw_cert)
{
    X509 *certificate = certificate_of(c);
    BIO *bio = certificate ? BIO_new(BIO_s_mem()) : NULL;

    return drain(pool, bio, bio && PEM_write_bio_X509(bio, certificate), value);
}

/* PEM as lines of a header field once were: each but the first behind a tab, the last not ended. */
GET(get_cert)
{
    bl_str pem;
    size_t lines = 0;

    if (!get_raw_cert(c, pool, &pem))
        return false;
    pem.len -= pem.p[pem.len - 1] == '\n';
    for (size_t i = 0; i < pem.len; i++)
        lines += pem.p[i] == '\n';
    char *to = bl_pool_bytes(pool, pem.len + lines), *at = to;
    for (size_t i = 0; i < pem.len; i++) {
        *at++ = pem.p[i];
        if (pem.p[i] == '\n')
            *at++ = '\t';
    }
    *value = bl_str_of(to, (size_t)(at - to));
    return true;
}

static bool stays_in_uri(char ch)
{
    return ((unsigned)(ch | 0x20) - 'a') < 26 || ((unsigned)ch - '0') < 10 || ch == '-' ||
           ch == '.' || ch == '_' || ch == '~';
}

/* PEM, percent-encoded (RFC 3986 section 2.3). */
GET(get_escaped_cert)
{
    bl_str pem;

    if (!get_raw_cert(c, pool, &pem))
        return false;
    char *to = bl_pool_bytes(pool, pem.len * 3), *at = to;
    for (size_t i = 0; i < pem.len; i++) {
        unsigned char ch = (unsigned char)pem.p[i];
        if (stays_in_uri((char)ch)) {
            *at++ = (char)ch;
            continue;
        }
        *at++ = '%';
        *at++ = (char)(digits[ch >> 4] & ~(ch >> 4 > 9 ? 0x20 : 0));
        *at++ = (char)(digits[ch & 15] & ~((ch & 15) > 9 ? 0x20 : 0));
    }
    *value = bl_str_of(to, (size_t)(at - to));
    return true;
}

/* RFC 2253. */
static bool print_name(bl_pool *pool, const X509_NAME *name, bl_str *value)
{
    BIO *bio = name ? BIO_new(BIO_s_mem()) : NULL;

    return drain(pool, bio, bio && X509_NAME_print_ex(bio, name, 0, XN_FLAG_RFC2253) >= 0, value);
}

static bool print_name_legacy(bl_pool *pool, const X509_NAME *name, bl_str *value)
{
    char *line = name ? X509_NAME_oneline(name, NULL, 0) : NULL;

    if (line)
        *value = bl_pool_str(pool, bl_str_c(line));
    OPENSSL_free(line);
    return line != NULL;
}

GET(get_subject)
{
    X509 *certificate = certificate_of(c);

    return certificate && print_name(pool, X509_get_subject_name(certificate), value);
}

GET(get_issuer)
{
    X509 *certificate = certificate_of(c);

    return certificate && print_name(pool, X509_get_issuer_name(certificate), value);
}

GET(get_subject_legacy)
{
    X509 *certificate = certificate_of(c);

    return certificate && print_name_legacy(pool, X509_get_subject_name(certificate), value);
}

GET(get_issuer_legacy)
{
    X509 *certificate = certificate_of(c);

    return certificate && print_name_legacy(pool, X509_get_issuer_name(certificate), value);
}

GET(get_serial)
{
    X509 *certificate = certificate_of(c);
    BIO *bio = certificate ? BIO_new(BIO_s_mem()) : NULL;

    return drain(pool, bio, bio && i2a_ASN1_INTEGER(bio, X509_get0_serialNumber(certificate)) > 0,
                 value);
}

GET(get_fingerprint)
{
    X509 *certificate = certificate_of(c);
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned len;

    return certificate && X509_digest(certificate, EVP_sha1(), sum, &len) &&
           hex(pool, sum, len, value);
}

GET(get_verify)
{
    long result = SSL_get_verify_result(c->tls->ssl);

    if (certificate_of(c) == NULL)
        return text("NONE", value);
    const char *revocation = c->tls->revocation;
    if (result == X509_V_OK && revocation == NULL)
        return text("SUCCESS", value);
    *value =
        bl_pool_printf(pool, "FAILED:%s",
                       result == X509_V_OK ? revocation : X509_verify_cert_error_string(result));
    return true;
}

static bool print_time(bl_pool *pool, const ASN1_TIME *time, bl_str *value)
{
    BIO *bio = BIO_new(BIO_s_mem());

    return drain(pool, bio, bio && ASN1_TIME_print(bio, time), value);
}

GET(get_v_start)
{
    X509 *certificate = certificate_of(c);

    return certificate && print_time(pool, X509_get0_notBefore(certificate), value);
}

GET(get_v_end)
{
    X509 *certificate = certificate_of(c);

    return certificate && print_time(pool, X509_get0_notAfter(certificate), value);
}

/* Days until it expires; 0 when it has. */
GET(get_v_remain)
{
    X509 *certificate = certificate_of(c);
    int days, seconds;

    if (certificate == NULL ||
        !ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(certificate)))
        return false;
    *value = bl_pool_printf(pool, "%d", BL_MAX(days, 0));
    return true;
}

bool bl_tls_info_only_unknown(long result)
{
    return result == X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT ||
           result == X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN ||
           result == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT ||
           result == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY ||
           result == X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE ||
           result == X509_V_ERR_CERT_UNTRUSTED;
}

const bl_tls_info bl_tls_infos[] = {
    {"ssl_protocol", get_protocol},
    {"ssl_cipher", get_cipher},
    {"ssl_ciphers", get_ciphers},
    {"ssl_curve", get_curve},
    {"ssl_curves", get_curves},
    {"ssl_sigalg", get_sigalg},
    {"ssl_sigalgs", get_sigalgs},
    {"ssl_session_id", get_session_id},
    {"ssl_session_reused", get_session_reused},
    {"ssl_early_data", get_early_data},
    {"ssl_server_name", get_server_name},
    {"ssl_alpn_protocol", get_alpn},
    {"ssl_ech_status", get_none},
    {"ssl_ech_outer_server_name", get_none},
    {"ssl_client_cert", get_cert},
    {"ssl_client_raw_cert", get_raw_cert},
    {"ssl_client_escaped_cert", get_escaped_cert},
    {"ssl_client_s_dn", get_subject},
    {"ssl_client_i_dn", get_issuer},
    {"ssl_client_s_dn_legacy", get_subject_legacy},
    {"ssl_client_i_dn_legacy", get_issuer_legacy},
    {"ssl_client_serial", get_serial},
    {"ssl_client_fingerprint", get_fingerprint},
    {"ssl_client_sigalg", get_client_sigalg},
    {"ssl_client_verify", get_verify},
    {"ssl_client_v_start", get_v_start},
    {"ssl_client_v_end", get_v_end},
    {"ssl_client_v_remain", get_v_remain},
    {NULL, NULL},
};
