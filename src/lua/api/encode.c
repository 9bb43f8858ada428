#include "lua/api/encode.h"
#include "core/base64.h"
#include "core/str.h"
#include "core/time.h"
#include "http/escape.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <zlib.h>

/* ------------------------------------------------------------- URIs */

/* What each kind escapes beside control characters and bytes above 0x7e: a bit for each kind. */
#define KINDS(uri, args, component, html, refresh, memcached)                                      \
    ((uri) | (args) << 1 | (component) << 2 | (html) << 3 | (refresh) << 4 | (memcached) << 5 |    \
     (memcached) << 6)

static const uint8_t escaped[256] = {
    [0 ... 0x1f] = 0x7f,
    [0x7f ... 0xff] = 0x7f,
    [' '] = KINDS(1, 1, 1, 1, 1, 1),
    ['"'] = KINDS(0, 0, 1, 1, 1, 0),
    ['#'] = KINDS(1, 1, 1, 1, 0, 0),
    ['%'] = KINDS(1, 1, 1, 1, 1, 1),
    ['&'] = KINDS(0, 1, 1, 0, 0, 0),
    ['\''] = KINDS(0, 0, 0, 1, 1, 0),
    ['+'] = KINDS(0, 1, 1, 0, 0, 0),
    ['?'] = KINDS(1, 1, 1, 0, 0, 0),
    ['$'] = KINDS(0, 0, 1, 0, 0, 0),
    [','] = KINDS(0, 0, 1, 0, 0, 0),
    ['/'] = KINDS(0, 0, 1, 0, 0, 0),
    [':'] = KINDS(0, 0, 1, 0, 0, 0),
    [';'] = KINDS(0, 0, 1, 0, 0, 0),
    ['<' ... '>'] = KINDS(0, 0, 1, 0, 0, 0),
    ['@'] = KINDS(0, 0, 1, 0, 0, 0),
    ['[' ... '^'] = KINDS(0, 0, 1, 0, 0, 0),
    ['`'] = KINDS(0, 0, 1, 0, 0, 0),
    ['{' ... '}'] = KINDS(0, 0, 1, 0, 0, 0),
};

size_t bl_lua_escape_uri(char *to, const char *s, size_t len, int type)
{
    static const char hex[] = "0123456789ABCDEF";
    unsigned kind = 1u << type;
    char *at = to;

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        if (!(escaped[c] & kind)) {
            *at++ = (char)c;
            continue;
        }
        *at++ = '%';
        *at++ = hex[c >> 4];
        *at++ = hex[c & 15];
    }
    return (size_t)(at - to);
}

static int hex_value(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t bl_lua_unescape_uri(char *to, const char *s, size_t len)
{
    char *at = to;

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        if (c == '+') {
            c = ' ';
        } else if (c == '%' && i + 2 < len) {
            int high = hex_value((unsigned char)s[i + 1]), low = hex_value((unsigned char)s[i + 2]);
            if (high >= 0 && low >= 0) {
                c = (unsigned char)(high << 4 | low);
                i += 2;
            }
        }
        *at++ = (char)c;
    }
    return (size_t)(at - to);
}

/* ------------------------------------------------------------- base64, SQL */

size_t bl_lua_base64_encode(char *to, const char *s, size_t len, bool padding, bool url)
{
    return bl_base64_encode(to, bl_str_of(s, len), padding, url);
}

long bl_lua_base64_decode(char *to, const char *s, size_t len, bool url, bool mime)
{
    return (long)bl_base64_decode(to, bl_str_of(s, len), url, mime);
}

size_t bl_lua_quote_sql(char *to, const char *s, size_t len)
{
    return bl_escape_sql(to, bl_str_of(s, len));
}

size_t bl_lua_escape_html(char *to, const char *s, size_t len, bool braces)
{
    static const bl_str entities[256] = {
        ['&'] = BL_STR_INIT("&amp;"),  ['<'] = BL_STR_INIT("&lt;"),   ['>'] = BL_STR_INIT("&gt;"),
        ['"'] = BL_STR_INIT("&quot;"), ['\''] = BL_STR_INIT("&#39;"), ['/'] = BL_STR_INIT("&#47;"),
        ['{'] = BL_STR_INIT("&#123;"), ['}'] = BL_STR_INIT("&#125;"),
    };
    char *at = to;

    for (size_t i = 0; i < len; i++) {
        const bl_str *entity = &entities[(unsigned char)s[i]];
        if (entity->p == NULL || (!braces && (s[i] == '{' || s[i] == '}')))
            *at++ = s[i];
        else
            at = bl_str_put(at, *entity);
    }
    return (size_t)(at - to);
}

/* ------------------------------------------------------------- digests */

uint32_t bl_lua_crc32(const char *s, size_t len)
{
    return (uint32_t)crc32_z(0, (const Bytef *)s, len);
}

/* Algorithms are looked up once: OpenSSL 3 takes longer for that than for a short digest.
 * Each thread has its own: those of worker threads come here, too. */
static void digest(EVP_MD **md, const char *name, unsigned char *to, const char *s, size_t len)
{
    static _Thread_local EVP_MD_CTX *ctx;

    if (ctx == NULL)
        ctx = EVP_MD_CTX_new();
    if (*md == NULL)
        *md = EVP_MD_fetch(NULL, name, NULL);
    BL_ASSERT(ctx && *md);
    EVP_DigestInit_ex2(ctx, *md, NULL);
    EVP_DigestUpdate(ctx, s, len);
    EVP_DigestFinal_ex(ctx, to, NULL);
}

void bl_lua_md5(unsigned char *to, const char *s, size_t len)
{
    static _Thread_local EVP_MD *md;

    digest(&md, "MD5", to, s, len);
}

void bl_lua_sha1(unsigned char *to, const char *s, size_t len)
{
    static _Thread_local EVP_MD *md;

    digest(&md, "SHA1", to, s, len);
}

void bl_lua_hmac_sha1(unsigned char *to, const char *key, size_t key_len, const char *s, size_t len)
{
    unsigned written;

    HMAC(EVP_sha1(), key, (int)key_len, (const unsigned char *)s, len, to, &written);
}

void bl_lua_hex(char *to, const unsigned char *s, size_t len)
{
    static const char hex[] = "0123456789abcdef";

    for (size_t i = 0; i < len; i++) {
        to[2 * i] = hex[s[i] >> 4];
        to[2 * i + 1] = hex[s[i] & 15];
    }
}

/* ------------------------------------------------------------- time */

double bl_lua_now_seconds(void)
{
    const bl_clock *now = bl_clock_here();

    return (double)now->sec + now->msec / 1000.0;
}

double bl_lua_time_seconds(void)
{
    return (double)bl_clock_here()->sec;
}

double bl_lua_monotonic_ms(void)
{
    return (double)bl_clock_here()->mono_ms;
}

void bl_lua_update_time(void)
{
    bl_clock_update();
}

void bl_lua_local_time(char *to)
{
    struct tm tm;
    char text[32];

    localtime_r(&bl_clock_here()->sec, &tm);
    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm);
    memcpy(to, text, 19);
}

void bl_lua_utc_time(char *to)
{
    struct tm tm;
    char text[32];

    gmtime_r(&bl_clock_here()->sec, &tm);
    strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm);
    memcpy(to, text, 19);
}

/* What no time_t holds is the end of time; dates stop before that. */
static time_t to_time(double t)
{
    return t >= 1e15 ? (time_t)1e15 : t > -1e15 ? (time_t)t : (time_t)-1e15;
}

size_t bl_lua_http_time(char *to, double t)
{
    return (size_t)(bl_time_http(to, to_time(t)) - to);
}

size_t bl_lua_cookie_time(char *to, double t)
{
    return (size_t)(bl_time_cookie(to, to_time(t)) - to);
}

double bl_lua_parse_http_time(const char *s, size_t len)
{
    return (double)bl_time_parse_http(bl_str_of(s, len));
}
