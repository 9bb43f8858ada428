/* Resumption: session caches and the keys of session tickets.
 *
 * A shared cache is a zone: a page with the ticket keys, and behind it a dictionary from session id
 * to the session in DER. Ticket keys in it are made by whichever worker needs one first, and
 * replaced every ssl_session_timeout; the one before still decrypts.
 *
 *   zone ┬ ticket_page: lock, keys[2]
 *        └ bl_dict
 *
 * Callbacks are those of the SSL_CTX that the connection began with (tls->initial), whatever
 * server was selected by name since. Reference: RFC 5077, RFC 8446 section 4.6.1. */
#include "conf/generation.h"
#include "core/dict.h"
#include "core/rlock.h"
#include "event/tls_ctx.h"
#include "event/tls_error.h"
#include "os/slurp.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

enum {
    PAGE = 4096,
    SESSION_MAX =
        16 * 1024, /* of a session in DER; one with a longer client certificate is not kept */
    NAME_LEN = 16,
    SMALL_FILE = 48, /* name, AES-128 key, HMAC key */
    LARGE_FILE = 80, /* name, HMAC key, AES-256 key */
    BUILTIN_DEFAULT = 20480,
    KEYS = 2,
    TICKET_FAILED = -1,
    TICKET_UNKNOWN = 0,
    TICKET_GOOD = 1,
    TICKET_RENEW = 2,
};

typedef struct ticket_key {
    char name[NAME_LEN];
    unsigned char aes[32], hmac[32];
    uint8_t aes_len, hmac_len;
    uint64_t until; /* mono ms; it encrypts before, and decrypts for as long again */
} ticket_key;

typedef struct ticket_page {
    bl_rlock lock;
    ticket_key keys[KEYS]; /* the newest first; aes_len 0: none */
} ticket_page;

typedef struct bl_tls_sessions {
    ticket_page *page;
    bl_dict *dict;
    uint64_t timeout_ms;
} bl_tls_sessions;

_Static_assert(sizeof(ticket_page) <= PAGE, "the ticket keys have a page");

static const char zone_owner[] = "TLS sessions";

static bl_tls_server *server_of(const SSL *ssl)
{
    return bl_tls_conn(ssl)->tls->initial;
}

/* ------------------------------------------------------------- the shared cache */

static int store_session(SSL *ssl, SSL_SESSION *session)
{
    static unsigned char der[SESSION_MAX];
    const bl_tls_server *server = server_of(ssl);
    const bl_tls_sessions *shared = server->sessions;
    unsigned char *end = der;
    unsigned id_len;
    bool ticket = SSL_version(ssl) == TLS1_3_VERSION && !(SSL_get_options(ssl) & SSL_OP_NO_TICKET);

    if (server->store)
        server->store(bl_tls_conn(ssl), session, server->store_data);
    int len = ticket || server->store || !shared ? 0 : i2d_SSL_SESSION(session, NULL);
    if (len <= 0 || len > SESSION_MAX)
        return 0; /* a ticket holds the whole session */
    i2d_SSL_SESSION(session, &end);
    const unsigned char *id = SSL_SESSION_get_id(session, &id_len);
    bl_dict_value value = {.type = BL_DICT_STRING, .str = bl_str_of((char *)der, (size_t)len)};
    bl_dict_result result =
        bl_dict_set(shared->dict, bl_str_of((const char *)id, id_len), &value,
                    (uint64_t)SSL_SESSION_get_timeout(session) * 1000, bl_now_ms(), NULL);
    if (result != BL_DICT_OK)
        bl_log_write(BL_LOG_ALERT, &bl_tls_conn(ssl)->log, 0,
                     "could not allocate new session in the session cache: %s",
                     bl_dict_error(result));
    return 0;
}

static SSL_SESSION *find_session(SSL *ssl, const unsigned char *id, int id_len, int *copy)
{
    static char der[SESSION_MAX];
    const bl_tls_sessions *shared = server_of(ssl)->sessions;
    bl_tls *tls = bl_tls_conn(ssl)->tls;
    SSL_SESSION *given = tls->given;
    bl_dict_value value;

    *copy = 0;
    tls->given = NULL;
    if (given || shared == NULL)
        return given;
    if (bl_dict_get(shared->dict, bl_str_of((const char *)id, (size_t)id_len), bl_now_ms(), der,
                    sizeof der, &value) != BL_DICT_OK)
        return NULL;
    const unsigned char *p = (const unsigned char *)value.str.p;
    return d2i_SSL_SESSION(NULL, &p, (long)value.str.len);
}

static void remove_session(SSL_CTX *ctx, SSL_SESSION *session)
{
    const bl_tls_server *server = SSL_CTX_get_ex_data(ctx, bl_tls_ctx_server_slot());
    unsigned id_len;
    const unsigned char *id = SSL_SESSION_get_id(session, &id_len);

    if (server && server->sessions && server->sessions->dict && id_len)
        bl_dict_delete(server->sessions->dict, bl_str_of((const char *)id, id_len));
}

void bl_tls_session_callbacks(SSL_CTX *ctx)
{
    SSL_CTX_sess_set_new_cb(ctx, store_session);
    SSL_CTX_sess_set_get_cb(ctx, find_session);
    SSL_CTX_sess_set_remove_cb(ctx, remove_session);
}

static bool init_zone(bl_zone *zone, void *before)
{
    bl_tls_sessions *shared = zone->data;
    ticket_page *page = zone->memory;

    shared->page = page;
    shared->dict = (bl_dict *)((char *)zone->memory + PAGE);
    if (before)
        return true;
    bl_rlock_init(&page->lock);
    if (bl_dict_create((char *)zone->memory + PAGE, zone->size - PAGE))
        return true;
    bl_log_write(BL_LOG_EMERG, &bl_log_process, 0, "session shared cache \"%.*s\" is too small",
                 BL_STR_ARG(zone->name));
    return false;
}

/* ------------------------------------------------------------- ticket keys */

static bool make_key(ticket_key *key, uint64_t until)
{
    *key = (ticket_key){.aes_len = 32, .hmac_len = 32, .until = until};
    return RAND_bytes((unsigned char *)key->name, NAME_LEN) == 1 &&
           RAND_priv_bytes(key->aes, sizeof key->aes) == 1 &&
           RAND_priv_bytes(key->hmac, sizeof key->hmac) == 1;
}

static bool rotate(bl_tls_sessions *shared, ticket_key *keys)
{
    uint64_t now = bl_now_ms();

    if (keys[0].aes_len && now < keys[0].until)
        return true;
    bool fresh = keys[0].aes_len && now < keys[0].until + shared->timeout_ms;
    keys[1] = fresh ? keys[0] : (ticket_key){0};
    return make_key(&keys[0], now + shared->timeout_ms);
}

/* A copy of the shared keys as they are now. False: no random bytes. */
static bool shared_keys(bl_tls_sessions *shared, ticket_key *keys)
{
    ticket_page *page = shared->page;
    bool orphaned = bl_rlock_take(&page->lock) == BL_RLOCK_ORPHANED;

    if (orphaned)
        memset(page->keys, 0, sizeof page->keys); /* the dead one may have left half a key */
    bool ok = rotate(shared, page->keys);
    memcpy(keys, page->keys, sizeof page->keys);
    if (orphaned)
        bl_rlock_heal(&page->lock);
    bl_rlock_drop(&page->lock);
    return ok;
}

static int find_key(const ticket_key *keys, uint32_t count, const unsigned char *name)
{
    for (uint32_t i = 0; i < count; i++) {
        if (keys[i].aes_len && memcmp(keys[i].name, name, NAME_LEN) == 0)
            return (int)i;
    }
    return -1;
}

static bool begin_mac(EVP_MAC_CTX *mac, const ticket_key *key)
{
    OSSL_PARAM parameters[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)key->hmac, key->hmac_len),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
        OSSL_PARAM_construct_end(),
    };

    return EVP_MAC_CTX_set_params(mac, parameters) == 1;
}

static const EVP_CIPHER *cipher_of(const ticket_key *key)
{
    return key->aes_len == 16 ? EVP_aes_128_cbc() : EVP_aes_256_cbc();
}

static int encrypt_ticket(const ticket_key *key, unsigned char *name, unsigned char *iv,
                          EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac)
{
    const EVP_CIPHER *kind = cipher_of(key);

    memcpy(name, key->name, NAME_LEN);
    if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(kind)) != 1 ||
        EVP_EncryptInit_ex(cipher, kind, NULL, key->aes, iv) != 1 || !begin_mac(mac, key))
        return TICKET_FAILED;
    return TICKET_GOOD;
}

/* What OpenSSL asks for each ticket, either way. */
static int use_ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                          EVP_MAC_CTX *mac, int encrypting)
{
    bl_tls_server *server = server_of(ssl);
    ticket_key shared[KEYS];
    const ticket_key *keys = bl_array_items(server->ticket_keys);
    uint32_t count = bl_array_count(server->ticket_keys);

    if (count == 0) {
        if (!shared_keys(server->sessions, shared))
            return TICKET_FAILED;
        keys = shared;
        count = KEYS;
    }
    if (encrypting)
        return encrypt_ticket(&keys[0], name, iv, cipher, mac);
    int i = find_key(keys, count, name);
    if (i < 0)
        return TICKET_UNKNOWN;
    if (!begin_mac(mac, &keys[i]) ||
        EVP_DecryptInit_ex(cipher, cipher_of(&keys[i]), NULL, keys[i].aes, iv) != 1)
        return TICKET_FAILED;
    /* A TLS 1.3 ticket serves once, so a new one is always given. */
    return i > 0 || SSL_version(ssl) == TLS1_3_VERSION ? TICKET_RENEW : TICKET_GOOD;
}

static bool read_key_file(bl_conf *cf, const bl_conf_node *node, bl_str file, ticket_key *key)
{
    bl_str path = bl_conf_path(cf, file, true), text;
    int error = bl_slurp(cf->pool, path.p, LARGE_FILE, &text);

    if (error && error != EFBIG)
        return bl_conf_error(cf, node, 0, "open() \"%.*s\" failed (%d: %s)", BL_STR_ARG(path),
                             error, strerror(error));
    if (error || (text.len != SMALL_FILE && text.len != LARGE_FILE))
        return bl_conf_error(cf, node, 0, "\"%.*s\" must be 48 or 80 bytes", BL_STR_ARG(path));
    size_t len = text.len == SMALL_FILE ? 16 : 32;
    const char *aes = text.p + NAME_LEN + (len == 16 ? 0 : len);
    const char *hmac = text.p + NAME_LEN + (len == 16 ? len : 0);
    memcpy(key->name, text.p, NAME_LEN);
    memcpy(key->aes, aes, len);
    memcpy(key->hmac, hmac, len);
    key->aes_len = key->hmac_len = (uint8_t)len;
    return true;
}

static bool read_key_files(bl_conf *cf, const bl_conf_node *node, bl_tls_server *server,
                           const bl_array *files)
{
    server->ticket_keys = bl_array_new(cf->pool, sizeof(ticket_key));
    for (uint32_t i = 0; i < bl_array_count(files); i++) {
        const bl_str *file = bl_array_at(files, i);
        if (!read_key_file(cf, node, *file, bl_array_push(server->ticket_keys)))
            return false;
    }
    return true;
}

/* ------------------------------------------------------------- set-up */

typedef struct cache_words {
    bool off, none, builtin, shared;
    int64_t builtin_size;
    bl_str name;
    int64_t size;
} cache_words;

static bool read_shared(bl_str word, cache_words *to)
{
    ssize_t colon = bl_str_chr(word, ':');

    if (colon <= 0)
        return false;
    to->shared = true;
    to->name = bl_str_of(word.p, (size_t)colon);
    to->size = bl_conf_size(bl_str_of(word.p + colon + 1, word.len - (size_t)colon - 1));
    return to->size >= PAGE + BL_DICT_SIZE_MIN;
}

static bool read_word(bl_str word, cache_words *to)
{
    if (bl_str_eq(word, BL_STR("off")))
        return to->off = true;
    if (bl_str_eq(word, BL_STR("none")))
        return to->none = true;
    if (bl_str_starts(word, BL_STR("shared:")))
        return read_shared(bl_str_of(word.p + 7, word.len - 7), to);
    if (!bl_str_starts(word, BL_STR("builtin")))
        return false;
    to->builtin = true;
    to->builtin_size = BUILTIN_DEFAULT;
    if (word.len == 7)
        return true;
    to->builtin_size = bl_str_to_int(bl_str_of(word.p + 8, word.len - 8));
    return word.p[7] == ':' && to->builtin_size > 0;
}

static bool read_words(bl_str text, cache_words *to)
{
    if (text.len == 0)
        return to->none = true;
    while (text.len) {
        ssize_t space = bl_str_chr(text, ' ');
        size_t len = space < 0 ? text.len : (size_t)space;
        if (!read_word(bl_str_of(text.p, len), to))
            return false;
        len += space >= 0;
        text = bl_str_of(text.p + len, text.len - len);
    }
    return true;
}

bool bl_tls_session_cache_valid(bl_str word)
{
    cache_words words = {0};

    return read_word(word, &words);
}

static void set_mode(SSL_CTX *ctx, const cache_words *words)
{
    long mode = SSL_SESS_CACHE_SERVER;

    if (words->off)
        mode = SSL_SESS_CACHE_OFF;
    else if (!words->builtin && words->shared)
        mode |= SSL_SESS_CACHE_NO_AUTO_CLEAR | SSL_SESS_CACHE_NO_INTERNAL;
    else if (!words->builtin)
        mode |= SSL_SESS_CACHE_NO_AUTO_CLEAR | SSL_SESS_CACHE_NO_INTERNAL_STORE;
    SSL_CTX_set_session_cache_mode(ctx, mode);
    SSL_CTX_sess_set_cache_size(ctx, words->builtin ? (long)words->builtin_size : 1);
}

static bool share(bl_conf *cf, bl_tls_server *server, const cache_words *words, int64_t timeout)
{
    bl_zone *zone = bl_zone_add(cf, words->name, (size_t)words->size, zone_owner);

    if (zone == NULL)
        return false;
    if (zone->data == NULL) {
        zone->data = BL_NEW(cf->pool, bl_tls_sessions);
        zone->init = init_zone;
    }
    server->sessions = zone->data;
    server->sessions->timeout_ms = BL_MAX(server->sessions->timeout_ms, (uint64_t)timeout * 1000);
    bl_tls_session_callbacks(server->ctx);
    return true;
}

static void add_certificates(EVP_MD_CTX *digest, SSL_CTX *ctx)
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned len;

    for (int more = SSL_CTX_set_current_cert(ctx, SSL_CERT_SET_FIRST); more;
         more = SSL_CTX_set_current_cert(ctx, SSL_CERT_SET_NEXT)) {
        X509 *certificate = SSL_CTX_get0_certificate(ctx);
        if (certificate && X509_digest(certificate, EVP_sha256(), sum, &len))
            EVP_DigestUpdate(digest, sum, len);
    }
    const STACK_OF(X509_NAME) *names = SSL_CTX_get_client_CA_list(ctx);
    for (int i = 0; names && i < sk_X509_NAME_num(names); i++) {
        if (X509_NAME_digest(sk_X509_NAME_value(names, i), EVP_sha256(), sum, &len))
            EVP_DigestUpdate(digest, sum, len);
    }
}

/* A session made by one server must not open another with other certificates or authorities. */
static bool set_context(bl_tls_server *server, const bl_tls_settings *s)
{
    unsigned char id[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    char verify = (char)('0' + s->verify);

    bool ok = digest && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) &&
              EVP_DigestUpdate(digest, s->context.p, s->context.len) &&
              EVP_DigestUpdate(digest, &verify, 1);
    if (ok)
        add_certificates(digest, server->ctx);
    ok = ok && EVP_DigestFinal_ex(digest, id, &len);
    EVP_MD_CTX_free(digest);
    ERR_clear_error();
    return ok && SSL_CTX_set_session_id_context(server->ctx, id,
                                                BL_MIN(len, (unsigned)SSL_MAX_SID_CTX_LENGTH)) == 1;
}

bool bl_tls_session_setup(bl_conf *cf, const bl_conf_node *node, bl_tls_server *server,
                          const bl_tls_settings *s)
{
    cache_words words = {0};
    SSL_CTX *ctx = server->ctx;

    if (!read_words(s->session_cache, &words))
        return bl_conf_error(cf, node, 0, "invalid session cache \"%.*s\"",
                             BL_STR_ARG(s->session_cache));
    set_mode(ctx, &words);
    SSL_CTX_set_timeout(ctx, (long)s->session_timeout);
    if (!set_context(server, s))
        return bl_tls_error_report(cf, node, "SSL_CTX_set_session_id_context() failed");
    if (words.shared && !share(cf, server, &words, s->session_timeout))
        return false;
    if (!s->session_tickets)
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
    if (bl_array_count(s->session_ticket_keys) &&
        !read_key_files(cf, node, server, s->session_ticket_keys))
        return false;
    if (server->ticket_keys || server->sessions)
        SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, use_ticket_key);
    return true;
}
