/* Paths, hosts, arguments, cookies and escapes. The input's first byte says how many of the rest
 * are a name to look for.
 */
#include "http/escape.h"
#include "http/parse.h"

#include <stdlib.h>

static bool inside(bl_str part, bl_str whole)
{
    return part.len == 0 || (part.p >= whole.p && part.p + part.len <= whole.p + whole.len);
}

/* A path that was decoded climbs no higher when it is decoded once more, whatever it becomes. */
static void check_path(bl_str path, bool merge)
{
    char *to = malloc(path.len), *again = malloc(path.len);
    bl_str out = BL_STR_NONE, args = BL_STR_NONE, twice = BL_STR_NONE, none = BL_STR_NONE;

    if (bl_parse_path(path, merge, to, &out, &args)) {
        BL_ASSERT(out.len >= 1 && out.len <= path.len && out.p == to && to[0] == '/');
        BL_ASSERT(bl_str_find(out, BL_STR("/../")) < 0);
        BL_ASSERT(bl_str_chr(out, '\0') < 0 || bl_str_chr(path, '\0') >= 0);
        BL_ASSERT(out.len < 3 || memcmp(out.p + out.len - 3, "/..", 3) != 0);
        BL_ASSERT(!merge || bl_str_find(out, BL_STR("//")) < 0);
        BL_ASSERT(inside(args, path));
        if (bl_str_chr(out, '%') < 0 && bl_str_chr(out, '#') < 0 && bl_str_chr(out, '?') < 0) {
            BL_ASSERT(bl_parse_path(out, merge, again, &twice, &none));
            BL_ASSERT(bl_str_eq(out, twice));
        }
    }
    free(to);
    free(again);
}

static void check_host(bl_str value)
{
    char *to = malloc(value.len ? value.len : 1), *again = malloc(value.len ? value.len : 1);
    bl_str host, twice;
    int port, other;

    if (bl_parse_host(value, to, &host, &port)) {
        BL_ASSERT(host.len >= 1 && host.len <= value.len && port >= 0 && port <= 65535);
        for (size_t i = 0; i < host.len; i++) {
            char c = host.p[i];
            BL_ASSERT((unsigned char)c > ' ' && c != 0x7f && c != '/' && c != '\\' && c != '@');
            BL_ASSERT(bl_lower(c) == c);
        }
        BL_ASSERT(bl_str_find(host, BL_STR("..")) < 0);
        if (host.p[host.len - 1] != '.') {
            BL_ASSERT(bl_parse_host(host, again, &twice, &other));
            BL_ASSERT(bl_str_eq(twice, host) && other == 0);
        }
    }
    free(to);
    free(again);
}

static void check_lists(bl_str list, bl_str name)
{
    bl_str value = BL_STR_NONE;

    if (bl_parse_arg(list, name, &value))
        BL_ASSERT(inside(value, list) && bl_str_chr(value, '&') < 0);
    value = BL_STR_NONE;
    if (bl_parse_cookie(list, name, &value))
        BL_ASSERT(inside(value, list) && bl_str_chr(value, ';') < 0 &&
                  bl_str_eq(bl_str_trim(value), value));
    if (bl_parse_has_token(list, name))
        BL_ASSERT(bl_str_ifind(list, name) >= 0);
}

/* What was escaped comes back. */
static void check_escapes(bl_str text)
{
    bl_pool *pool = bl_pool_new();

    for (int kind = 0; kind < BL_ESCAPE_COUNT; kind++) {
        bl_str escaped = bl_escape_uri(pool, text, (bl_escape_kind)kind);
        BL_ASSERT(escaped.len >= text.len && escaped.len <= 3 * text.len);
        BL_ASSERT(bl_str_chr(escaped, ' ') < 0 && bl_str_chr(escaped, '\n') < 0);
        BL_ASSERT(bl_str_eq(bl_escape_undo(pool, escaped), text));
    }
    bl_str html = bl_escape_html(pool, text);
    BL_ASSERT(bl_str_chr(html, '<') < 0 && bl_str_chr(html, '>') < 0 && bl_str_chr(html, '"') < 0);
    BL_ASSERT(bl_escape_undo(pool, text).len <= text.len);
    BL_ASSERT(bl_escape_undo_redirect(pool, text).len <= text.len);
    bl_pool_free(pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    bl_str text = bl_str_of((const char *)data + 1, size - 1);
    bl_str name = bl_str_of(text.p, BL_MIN(text.len, (size_t)data[0] % 16));
    bl_str rest = bl_str_of(text.p + name.len, text.len - name.len);

    check_path(text, true);
    check_path(text, false);
    check_host(text);
    check_lists(rest, name);
    check_escapes(text);
    return 0;
}
