/* A request's head, taken line by line as from a connection: what is cut out of a line lies inside
 * it, holds nothing that ends a line, and fast and simple ways of looking agree.
 */
#include "http/header.h"
#include "http/parse.h"
#include <stdlib.h>

static bool inside(bl_str part, bl_str whole)
{
    return part.p == NULL || (part.p >= whole.p && part.p + part.len <= whole.p + whole.len);
}

static bool has_blank(bl_str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.p[i] <= ' ' || s.p[i] == 0x7f)
            return true;
    return false;
}

/* The contract of bl_parse_line_end, byte by byte. A CR at the end may still belong to an LF. */
static const char *plain_line_end(const char *at, const char *end, bool *bad)
{
    *bad = false;
    for (; at < end; at++) {
        if (*at == '\n')
            return at;
        if (*at == '\0' || (*at == '\r' && at + 1 < end && at[1] != '\n'))
            *bad = true;
    }
    return NULL;
}

static void check_path(bl_str path)
{
    char *to = malloc(path.len);
    bl_str out = BL_STR_NONE, args = BL_STR_NONE;

    if (bl_parse_path(path, true, to, &out, &args)) {
        BL_ASSERT(out.len >= 1 && out.len <= path.len && out.p[0] == '/');
        BL_ASSERT(bl_str_find(out, BL_STR("//")) < 0 && bl_str_find(out, BL_STR("/./")) < 0 &&
                  bl_str_find(out, BL_STR("/../")) < 0 && bl_str_chr(out, '\0') < 0);
        BL_ASSERT(inside(args, path));
    }
    free(to);
}

static void check_request_line(bl_str line)
{
    bl_parsed_line out;

    if (bl_parse_request_line(line, &out) != BL_PARSE_OK)
        return;
    const bl_str parts[] = {out.method, out.target, out.protocol, out.scheme,
                            out.host,   out.path,   out.args};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        BL_ASSERT(inside(parts[i], line) && !has_blank(parts[i]));
    BL_ASSERT(out.method.len > 0 && out.target.len > 0);
    BL_ASSERT(out.version == 9 || out.version == 1000 || out.version == 1001);
    BL_ASSERT((out.version == 9) == (out.protocol.p == NULL));
    BL_ASSERT(inside(out.path, out.target) && inside(out.args, out.target));
    BL_ASSERT(bl_str_chr(out.path, '?') < 0 && bl_str_chr(out.args, '#') < 0);
    if (!out.complex && out.path.len && out.path.p[0] == '/') {
        /* a plain path is what decoding it would give */
        char *to = malloc(out.path.len);
        bl_str decoded = BL_STR_NONE, args = BL_STR_NONE;
        BL_ASSERT(bl_parse_path(out.path, true, to, &decoded, &args));
        BL_ASSERT(bl_str_eq(decoded, out.path) && args.p == NULL);
        free(to);
    }
    check_path(out.path);
}

static void check_field(bl_str line)
{
    bl_parsed_field out;

    if (!bl_parse_field(line, &out))
        return;
    BL_ASSERT(out.name.len > 0 && inside(out.name, line) && inside(out.value, line));
    BL_ASSERT(bl_str_chr(out.name, ':') < 0 && !has_blank(out.name));
    BL_ASSERT(out.hash == bl_header_hash(out.name) && (out.odd || !out.underscore));
    BL_ASSERT(bl_str_eq(bl_str_trim(out.value), out.value) || bl_str_chr(out.value, '\r') >= 0 ||
              bl_str_chr(out.value, '\n') >= 0);
    bool odd = false;
    for (size_t i = 0; i < out.name.len; i++) {
        char c = bl_lower(out.name.p[i]);
        odd |= !((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-');
    }
    BL_ASSERT(odd == out.odd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *at = (const char *)data, *end = at + size, *lf;
    bool bad, plain_bad, first = true;

    check_request_line(bl_str_of(at, size));
    check_field(bl_str_of(at, size));
    for (; at < end; at = lf + 1, first = false) {
        lf = bl_parse_line_end(at, end, &bad);
        BL_ASSERT(lf == plain_line_end(at, end, &plain_bad) && bad == plain_bad);
        if (lf == NULL)
            break;
        bl_str line = bl_str_of(at, (size_t)(lf - at));
        if (line.len && line.p[line.len - 1] == '\r')
            line.len--;
        BL_ASSERT(bad || (bl_str_chr(line, '\r') < 0 && bl_str_chr(line, '\0') < 0));
        (first ? check_request_line : check_field)(line);
    }
    return 0;
}
