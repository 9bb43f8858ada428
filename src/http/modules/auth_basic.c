/* auth_basic: user name and password (RFC 7617) against a file of NAME:HASH lines.
 *
 * Hashes: crypt(3) in all its forms, $apr1$ (Apache's MD5), {PLAIN}, {SHA}, {SSHA}. Files are kept
 * in memory as long as they do not change on disk: one stat() per request tells. */
#include "http/modules/auth_basic.h"
#include "core/base64.h"
#include "http/core_module.h"
#include "http/credentials.h"
#include "http/escape.h"
#include "http/phases.h"
#include "http/request.h"
#include "http/value.h"

#include <crypt.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FILE_MAX = 4 * 1024 * 1024,
    KEPT_FILES = 16,
};

typedef struct settings {
    bl_value *realm;
    bl_value *file;
} settings;

/* ------------------------------------------------------------- the file */

/* A file's text as it was when `seen` was true of it. */
typedef struct kept_file {
    char *path;
    char *text;
    size_t len;
    struct stat seen;
} kept_file;

static kept_file kept[KEPT_FILES];
static unsigned next_kept;

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

static kept_file *place_for(const char *path)
{
    for (int i = 0; i < KEPT_FILES; i++) {
        if (kept[i].path && strcmp(kept[i].path, path) == 0)
            return &kept[i];
    }
    return &kept[next_kept++ % KEPT_FILES];
}

static bool read_whole(int fd, kept_file *file, size_t size)
{
    size_t len = 0;

    bl_free(file->text);
    file->text = bl_alloc(size + 1);
    while (len < size) {
        ssize_t n = read(fd, file->text + len, size - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    file->len = len;
    return len == size;
}

/* What the file says now. 0, or an errno. */
static int load(const char *path, bl_str *text)
{
    struct stat now;
    kept_file *file = place_for(path);

    if (stat(path, &now) != 0)
        return errno;
    if (file->path && strcmp(file->path, path) == 0 && is_same(&file->seen, &now)) {
        *text = bl_str_of(file->text, file->len);
        return 0;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return errno;
    if (fstat(fd, &now) != 0 || !S_ISREG(now.st_mode) || now.st_size > FILE_MAX) {
        close(fd);
        return EINVAL;
    }
    bl_free(file->path);
    file->path = strdup(path);
    bool whole = read_whole(fd, file, (size_t)now.st_size);
    file->seen = now;
    if (!whole)
        file->seen.st_size = -1; /* it changed meanwhile: read it again next time */
    close(fd);
    *text = bl_str_of(file->text, file->len);
    return 0;
}

bool bl_auth_basic_find(bl_str text, bl_str user, bl_str *hash)
{
    while (text.len) {
        ssize_t end = bl_str_chr(text, '\n');
        bl_str line = end < 0 ? text : bl_str_of(text.p, (size_t)end);
        text = end < 0 ? BL_STR_NONE : bl_str_of(text.p + end + 1, text.len - (size_t)end - 1);
        if (line.len && line.p[line.len - 1] == '\r')
            line.len--;
        if (line.len <= user.len || line.p[user.len] != ':' || line.p[0] == '#' ||
            memcmp(line.p, user.p, user.len) != 0)
            continue;
        *hash = bl_str_of(line.p + user.len + 1, line.len - user.len - 1);
        ssize_t colon = bl_str_chr(*hash, ':');
        if (colon >= 0)
            hash->len = (size_t)colon;
        return true;
    }
    return false;
}

/* ------------------------------------------------------------- hashes */

static bool same_secret(bl_str a, bl_str b)
{
    return a.len == b.len && CRYPTO_memcmp(a.p, b.p, a.len) == 0;
}

static void md5(EVP_MD_CTX *md, unsigned char *digest)
{
    unsigned len;

    EVP_DigestFinal_ex(md, digest, &len);
    EVP_DigestInit_ex(md, EVP_md5(), NULL);
}

/* The thousand rounds of Apache's variant of MD5 crypt. */
static void apr1_digest(bl_str password, bl_str salt, unsigned char *digest)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();

    EVP_DigestInit_ex(md, EVP_md5(), NULL);
    EVP_DigestUpdate(md, password.p, password.len);
    EVP_DigestUpdate(md, salt.p, salt.len);
    EVP_DigestUpdate(md, password.p, password.len);
    md5(md, digest);

    EVP_DigestUpdate(md, password.p, password.len);
    EVP_DigestUpdate(md, "$apr1$", 6);
    EVP_DigestUpdate(md, salt.p, salt.len);
    for (size_t left = password.len; left > 0; left -= BL_MIN(left, 16u))
        EVP_DigestUpdate(md, digest, BL_MIN(left, 16u));
    for (size_t bits = password.len; bits; bits >>= 1)
        EVP_DigestUpdate(md, bits & 1 ? "" : password.p, 1);
    md5(md, digest);

    for (int i = 0; i < 1000; i++) {
        if (i & 1)
            EVP_DigestUpdate(md, password.p, password.len);
        else
            EVP_DigestUpdate(md, digest, 16);
        if (i % 3)
            EVP_DigestUpdate(md, salt.p, salt.len);
        if (i % 7)
            EVP_DigestUpdate(md, password.p, password.len);
        if (i & 1)
            EVP_DigestUpdate(md, digest, 16);
        else
            EVP_DigestUpdate(md, password.p, password.len);
        md5(md, digest);
    }
    EVP_MD_CTX_free(md);
}

static bool matches_apr1(bl_str password, bl_str hash)
{
    static const char digits[] = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    static const unsigned char order[6][3] = {{0, 6, 12}, {1, 7, 13}, {2, 8, 14},
                                              {3, 9, 15}, {4, 10, 5}, {16, 16, 11}};
    bl_str salt = bl_str_of(hash.p + 6, hash.len - 6);
    ssize_t dollar = bl_str_chr(salt, '$');
    unsigned char digest[17] = {0};
    char text[22], *at = text;

    if (dollar < 0)
        return false;
    bl_str sum = bl_str_of(salt.p + dollar + 1, salt.len - (size_t)dollar - 1);
    salt.len = BL_MIN((size_t)dollar, 8u);
    apr1_digest(password, salt, digest);
    digest[16] = 0;
    for (int i = 0; i < 6; i++) {
        uint32_t v = (uint32_t)digest[order[i][0]] << 16 | (uint32_t)digest[order[i][1]] << 8 |
                     digest[order[i][2]];
        for (int n = i == 5 ? 2 : 4; n > 0; n--, v >>= 6)
            *at++ = digits[v & 63];
    }
    return same_secret(sum, bl_str_of(text, 22));
}

/* {SHA} and {SSHA}: SHA-1 over password and salt, with the salt behind it, in base64. */
static bool matches_sha(bl_str password, bl_str encoded, bool salted)
{
    char decoded[512];
    unsigned char digest[SHA_DIGEST_LENGTH];
    unsigned len;

    if (encoded.len > 600)
        return false;
    ssize_t n = bl_base64_decode(decoded, encoded, false, false);
    if (n < SHA_DIGEST_LENGTH || (!salted && n != SHA_DIGEST_LENGTH))
        return false;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    EVP_DigestInit_ex(md, EVP_sha1(), NULL);
    EVP_DigestUpdate(md, password.p, password.len);
    EVP_DigestUpdate(md, decoded + SHA_DIGEST_LENGTH, (size_t)n - SHA_DIGEST_LENGTH);
    EVP_DigestFinal_ex(md, digest, &len);
    EVP_MD_CTX_free(md);
    return CRYPTO_memcmp(digest, decoded, SHA_DIGEST_LENGTH) == 0;
}

static bool matches_crypt(bl_pool *pool, bl_log *log, bl_str password, bl_str hash)
{
    struct crypt_data *data = bl_pool_zalloc(pool, sizeof *data);
    const char *made = crypt_r(bl_pool_cstr(pool, password), bl_pool_cstr(pool, hash), data);

    if (made == NULL || made[0] == '*') {
        bl_log_write(BL_LOG_CRIT, log, errno, "crypt_r() failed");
        return false;
    }
    return same_secret(bl_str_c(made), hash);
}

static bl_str behind(bl_str s, size_t n)
{
    return bl_str_of(s.p + n, s.len - n);
}

bool bl_auth_basic_matches(bl_pool *pool, bl_log *log, bl_str password, bl_str hash)
{
    if (bl_str_starts(hash, BL_STR("$apr1$")))
        return matches_apr1(password, hash);
    if (bl_str_starts(hash, BL_STR("{PLAIN}")))
        return same_secret(password, behind(hash, 7));
    if (bl_str_starts(hash, BL_STR("{SSHA}")))
        return matches_sha(password, behind(hash, 6), true);
    if (bl_str_starts(hash, BL_STR("{SHA}")))
        return matches_sha(password, behind(hash, 5), false);
    return matches_crypt(pool, log, password, hash);
}

/* ------------------------------------------------------------- the handler */

static bl_step challenge(bl_request *r, bl_str realm)
{
    bl_str parts[] = {BL_STR("Basic realm=\""), bl_escape_line(r->pool, realm), BL_STR("\"")};

    bl_headers_set(&r->out.headers, r->pool, BL_STR("WWW-Authenticate"),
                   bl_pool_concat(r->pool, parts, 3));
    return 401;
}

static bl_str file_of(bl_request *r, const settings *s)
{
    bl_str path = bl_value_eval_z(r, s->file);

    if (path.len && path.p[0] == '/')
        return path;
    bl_str parts[] = {r->http->generation->conf_prefix, path};
    return bl_pool_concat(r->pool, parts, 2);
}

static bl_step check(bl_request *r)
{
    const settings *s = BL_LOC_SETTINGS(r, bl_auth_basic_module);
    bl_str realm = bl_value_eval(r, s->realm), user, password, text = BL_STR_NONE, hash;

    if (bl_str_eq(realm, BL_STR("off")))
        return BL_NEXT;
    if (!bl_credentials(r, &user, &password)) {
        bl_log_write(BL_LOG_INFO, r->log, 0,
                     "no user/password was provided for basic authentication");
        return challenge(r, realm);
    }
    bl_str path = file_of(r, s);
    int err = load(path.p, &text);
    if (err) {
        bl_log_write(BL_LOG_ERR, r->log, err, "open() \"%s\" failed", path.p);
        return err == ENOENT ? 403 : 500;
    }
    r->realm_user = user;
    if (!bl_auth_basic_find(text, user, &hash)) {
        bl_log_write(BL_LOG_ERR, r->log, 0, "user \"%.*s\" was not found in \"%s\"",
                     BL_STR_ARG(user), path.p);
        return challenge(r, realm);
    }
    if (!bl_auth_basic_matches(r->pool, r->log, password, hash)) {
        bl_log_write(BL_LOG_ERR, r->log, 0, "user \"%.*s\": password mismatch", BL_STR_ARG(user));
        return challenge(r, realm);
    }
    return BL_SKIP;
}

static const bl_directive directives[] = {
    {"auth_basic", BL_IN_HSL | BL_IN_LIMIT_EXCEPT, BL_TAKE1, &bl_type_value, BL_LOCATION,
     offsetof(settings, realm), "off"},
    {"auth_basic_user_file", BL_IN_HSL | BL_IN_LIMIT_EXCEPT, BL_TAKE1, &bl_type_value, BL_LOCATION,
     offsetof(settings, file)},
    {0},
};

static bool compile(bl_conf *cf, bl_location *loc)
{
    const settings *s = bl_settings_of(&loc->settings, BL_LOCATION, &bl_auth_basic_module);
    bool off = s->realm->constant && bl_str_eq(s->realm->text, BL_STR("off"));

    if (!off && s->file)
        bl_location_handler(cf, loc, BL_PHASE_ACCESS, BL_PLACE_AUTH_BASIC, check);
    return true;
}

static const bl_http_module http = {.compile = compile};

bl_module bl_auth_basic_module = {
    .name = "http_auth_basic",
    .directives = directives,
    .size = {0, 0, sizeof(settings)},
    .http = &http,
};
