/* secure_link: $secure_link tells whether a link carries the digest of a secret.
 *
 *   secure_link $arg_md5,$arg_expires; secure_link_md5 "TEXT";
 *       "1": MD5 of TEXT in base64url is the one in the link; "0": it is, but time is over; else ""
 *   secure_link_secret WORD;
 *       of /prefix/HEX/link: "link", when HEX is the MD5 of "link" and the word behind it */
#include "http/modules/secure_link.h"
#include "core/base64.h"
#include "core/time.h"
#include "http/value.h"
#include "http/variable.h"

#include <openssl/evp.h>

enum {
    MD5_SIZE = 16,
};

typedef struct settings {
    bl_value *link, *md5;
    bl_str secret;
} settings;

static const settings *settings_of(const bl_request *r)
{
    return BL_LOC_SETTINGS(r, bl_secure_link_module);
}

static bool md5(bl_str text, unsigned char to[MD5_SIZE])
{
    unsigned len;

    return EVP_Digest(text.p, text.len, to, &len, EVP_md5(), NULL) == 1 && len == MD5_SIZE;
}

/* In the same time whatever the digests are. */
static bool same_digest(const unsigned char *a, const unsigned char *b)
{
    unsigned char different = 0;

    for (int i = 0; i < MD5_SIZE; i++)
        different |= a[i] ^ b[i];
    return different == 0;
}

/* ------------------------------------------------------------- the old form */

static bool hex_digest(bl_str hex, unsigned char to[MD5_SIZE])
{
    if (hex.len != 2 * MD5_SIZE)
        return false;
    for (size_t i = 0; i < MD5_SIZE; i++) {
        int64_t byte = bl_str_to_hex(bl_str_of(hex.p + 2 * i, 2));
        if (byte < 0)
            return false;
        to[i] = (unsigned char)byte;
    }
    return true;
}

static bool check_secret(bl_request *r, const settings *s, bl_str *value)
{
    unsigned char sent[MD5_SIZE], wanted[MD5_SIZE];
    bl_str rest = bl_str_of(r->uri.p + 1, r->uri.len - 1); /* prefix/HEX/link */
    ssize_t slash = bl_str_chr(rest, '/');

    if (slash < 0)
        return false;
    rest = bl_str_of(rest.p + slash + 1, rest.len - (size_t)slash - 1);
    slash = bl_str_chr(rest, '/');
    if (slash < 0)
        return false;
    bl_str link = bl_str_of(rest.p + slash + 1, rest.len - (size_t)slash - 1);
    bl_str parts[] = {link, s->secret};
    if (link.len == 0 || !hex_digest(bl_str_of(rest.p, (size_t)slash), sent) ||
        !md5(bl_pool_concat(r->pool, parts, 2), wanted) || !same_digest(sent, wanted))
        return false;
    *value = link;
    return true;
}

/* ------------------------------------------------------------- the new form */

static bool check_link(bl_request *r, const settings *s, bl_str *value)
{
    unsigned char sent[24 / 4 * 3 + 3], wanted[MD5_SIZE];
    bl_str link = bl_value_eval(r, s->link);
    ssize_t comma = bl_str_chr(link, ',');
    int64_t expires = -1;

    if (comma >= 0) {
        expires = bl_str_to_int(bl_str_of(link.p + comma + 1, link.len - (size_t)comma - 1));
        if (expires <= 0)
            return false;
        link.len = (size_t)comma;
    }
    if (link.len > 24 || bl_base64_decode((char *)sent, link, true, false) != MD5_SIZE ||
        !md5(bl_value_eval(r, s->md5), wanted) || !same_digest(sent, wanted))
        return false;
    *value = expires > 0 && expires < bl_clock_now.sec ? BL_STR("0") : BL_STR("1");
    return true;
}

static bool get_link(bl_request *r, const bl_variable *v BL_UNUSED, bl_str name BL_UNUSED,
                     bl_str *value)
{
    const settings *s = settings_of(r);

    if (s->secret.len)
        return check_secret(r, s, value);
    return s->link && s->md5 && check_link(r, s, value);
}

static bool get_expires(bl_request *r, const bl_variable *v BL_UNUSED, bl_str name BL_UNUSED,
                        bl_str *value)
{
    const settings *s = settings_of(r);
    bl_str link = s->link && s->md5 ? bl_value_eval(r, s->link) : BL_STR_NONE;
    ssize_t comma = bl_str_chr(link, ',');

    if (comma < 0)
        return false;
    *value = bl_str_of(link.p + comma + 1, link.len - (size_t)comma - 1);
    return true;
}

static bool variables(bl_conf *cf)
{
    static const bl_variable rows[] = {
        {BL_STR_INIT("secure_link"), get_link},
        {BL_STR_INIT("secure_link_expires"), get_expires},
        {.get = NULL},
    };

    return bl_var_define_all(cf, rows);
}

/* ------------------------------------------------------------- configuration */

#define FIELD(name) BL_LOCATION, offsetof(settings, name)

static const bl_directive directives[] = {
    {"secure_link", BL_IN_HSL, BL_TAKE1, &bl_type_value, FIELD(link)},
    {"secure_link_md5", BL_IN_HSL, BL_TAKE1, &bl_type_value, FIELD(md5)},
    {"secure_link_secret", BL_IN_LOCATION, BL_TAKE1, &bl_type_str, FIELD(secret)},
    {0},
};

/* A level that has one form does not inherit the other. */
static bool merge(bl_conf *cf BL_UNUSED, int level, void *parent, void *child)
{
    const settings *outer = parent;
    settings *s = child;

    if (level != BL_LOCATION || outer == NULL)
        return true;
    if (s->secret.p == outer->secret.p && (s->link != outer->link || s->md5 != outer->md5))
        s->secret = BL_STR_NONE;
    return true;
}

static const bl_http_module http = {.variables = variables};

bl_module bl_secure_link_module = {
    .name = "secure_link",
    .directives = directives,
    .size = {[BL_LOCATION] = sizeof(settings)},
    .merge = merge,
    .http = &http,
};
