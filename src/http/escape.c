#include "http/escape.h"
#include "core/scan.h"

/* Bits of bl_escape_kind: the character must be escaped there. Controls, the space and bytes from
 * 0x7f on are escaped everywhere and are not in the table. */
enum {
    P = 1 << BL_ESCAPE_PATH,
    A = 1 << BL_ESCAPE_ARGS,
    C = 1 << BL_ESCAPE_COMPONENT,
};

static const uint8_t table[128] = {
    ['!'] = C,         ['"'] = P | A | C,  ['#'] = P | A | C, ['$'] = C,         ['%'] = P | A | C,
    ['&'] = A | C,     ['\''] = C,         ['('] = C,         [')'] = C,         ['*'] = C,
    ['+'] = A | C,     [','] = C,          ['/'] = C,         [':'] = C,         [';'] = A | C,
    ['<'] = P | A | C, ['='] = C,          ['>'] = P | A | C, ['?'] = P | A | C, ['@'] = C,
    ['['] = C,         ['\\'] = P | A | C, [']'] = C,         ['^'] = P | A | C, ['`'] = P | A | C,
    ['{'] = P | A | C, ['|'] = P | A | C,  ['}'] = P | A | C,
};

static bool must_escape(unsigned char c, unsigned kind)
{
    return c <= ' ' || c >= 0x7f || (table[c] & kind);
}

bl_str bl_escape_uri(bl_pool *pool, bl_str s, bl_escape_kind kind)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t more = 0;

    for (size_t i = 0; i < s.len; i++)
        more += must_escape((unsigned char)s.p[i], 1u << kind);
    if (more == 0)
        return s;
    char *to = bl_pool_bytes(pool, s.len + 2 * more), *start = to;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (must_escape(c, 1u << kind)) {
            *to++ = '%';
            *to++ = hex[c >> 4];
            *to++ = hex[c & 15];
        } else {
            *to++ = (char)c;
        }
    }
    return bl_str_of(start, (size_t)(to - start));
}

static bl_str entity_of(char c)
{
    switch (c) {
    case '&':
        return BL_STR("&amp;");
    case '<':
        return BL_STR("&lt;");
    case '>':
        return BL_STR("&gt;");
    case '"':
        return BL_STR("&quot;");
    default:
        return BL_STR_NONE;
    }
}

/* What stands behind a line that is folded (CR LF, or LF, and blanks: RFC 9112 section 5.2) at
 * `at`; NULL: it is not. */
static const char *behind_fold(const char *at, const char *end)
{
    if (at < end && *at == '\r')
        at++;
    if (at == end || *at++ != '\n' || at == end || (*at != ' ' && *at != '\t'))
        return NULL;
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    return at;
}

bl_str bl_escape_line(bl_pool *pool, bl_str s)
{
    static const char hex[] = "0123456789ABCDEF";
    const char *end = s.p + s.len;
    size_t count = 0;

    for (const char *at = s.p; (at = bl_scan_line(at, end)) < end; at++)
        count++;
    if (BL_LIKELY(count == 0))
        return s;
    char *to = bl_pool_bytes(pool, s.len + 2 * count), *start = to;
    for (const char *at = s.p, *next; at < end; at = next) {
        if ((next = behind_fold(at, end))) {
            *to++ = ' ';
            continue;
        }
        next = at + 1;
        if (bl_ends_line(*at)) {
            *to++ = '%';
            *to++ = hex[(unsigned char)*at >> 4];
            *to++ = hex[*at & 15];
        } else {
            *to++ = *at;
        }
    }
    return bl_str_of(start, (size_t)(to - start));
}

bl_str bl_escape_html(bl_pool *pool, bl_str s)
{
    size_t more = 0;

    for (size_t i = 0; i < s.len; i++)
        more += entity_of(s.p[i]).len;
    if (more == 0)
        return s;
    char *to = bl_pool_bytes(pool, s.len + more), *start = to;
    for (size_t i = 0; i < s.len; i++) {
        bl_str entity = entity_of(s.p[i]);
        if (entity.p)
            to = bl_str_put(to, entity);
        else
            *to++ = s.p[i];
    }
    return bl_str_of(start, (size_t)(to - start));
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte of a %XX at the front of `s`, or -1. */
static int decoded(bl_str s)
{
    if (s.len < 3 || s.p[0] != '%' || hex_digit(s.p[1]) < 0 || hex_digit(s.p[2]) < 0)
        return -1;
    return hex_digit(s.p[1]) * 16 + hex_digit(s.p[2]);
}

static bl_str undo(bl_pool *pool, bl_str s, bool redirect)
{
    if (bl_str_chr(s, '%') < 0)
        return s;
    char *to = bl_pool_bytes(pool, s.len), *start = to;
    bool done = false;
    while (s.len) {
        int byte = done ? -1 : decoded(s);
        size_t used = 3;
        if (byte < 0 || (redirect && (byte <= '%' || byte >= 0x7f))) {
            byte = (unsigned char)s.p[0];
            used = 1;
        }
        done = redirect && (done || byte == '?');
        *to++ = (char)byte;
        s = bl_str_of(s.p + used, s.len - used);
    }
    return bl_str_of(start, (size_t)(to - start));
}

bl_str bl_escape_undo(bl_pool *pool, bl_str s)
{
    return undo(pool, s, false);
}

bl_str bl_escape_undo_redirect(bl_pool *pool, bl_str s)
{
    return undo(pool, s, true);
}

size_t bl_escape_sql(char *to, bl_str s)
{
    static const char special[] = "\0\n\r\b\t\032\\\"'$", letter[] = "0nrbtZ\\\"'$";
    char *at = to;

    *at++ = '\'';
    for (size_t i = 0; i < s.len; i++) {
        const char *found = memchr(special, s.p[i], sizeof special - 1);
        if (found) {
            *at++ = '\\';
            *at++ = letter[found - special];
        } else {
            *at++ = s.p[i];
        }
    }
    *at++ = '\'';
    return (size_t)(at - to);
}
