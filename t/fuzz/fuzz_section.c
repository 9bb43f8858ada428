/* Header sections that come again: what is recalled is what was cut up, field by field; what is not
 * the same in every byte is not recalled. The input: a section of lines. */
#include "fuzz.h"
#include "http/parse.h"
#include "http/section.h"

/* Cuts plain lines up, as the codec does. False: there is a line that no section has. */
static bool cut(bl_headers *headers, bl_pool *pool, bl_str text)
{
    bl_parsed_field f;

    for (const char *at = text.p, *end = at + text.len; at < end;) {
        const char *lf = memchr(at, '\n', (size_t)(end - at));
        if (lf == NULL || lf == at || lf[-1] != '\r')
            return false;
        bl_str line = bl_str_of(at, (size_t)(lf - at) - 1);
        at = lf + 1;
        if (line.len == 0)
            return at == end;
        if (!bl_parse_field(line, &f) || f.odd)
            return false;
        bl_headers_add(headers, pool, f.name, f.value);
    }
    return false;
}

static void check_same(const bl_headers *a, const bl_headers *b)
{
    const bl_header *y = b->first;

    BL_ASSERT(a->count == b->count && a->have == b->have);
    BL_HEADERS_EACH(x, a)
    {
        BL_ASSERT(y && x->hash == y->hash && x->id == y->id);
        BL_ASSERT(bl_str_eq(x->name, y->name) && bl_str_eq(x->value, y->value));
        y = y->next;
    }
    BL_ASSERT(y == NULL);
    for (int id = 0; id < BL_H_COUNT; id++) {
        const bl_header *x = bl_headers_known(a, (bl_header_id)id);
        y = bl_headers_known(b, (bl_header_id)id);
        BL_ASSERT((x == NULL) == (y == NULL) && (x == NULL || bl_str_eq(x->value, y->value)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    bl_pool *pool = bl_pool_new();
    bl_header *known[BL_H_COUNT], *known_again[BL_H_COUNT];
    bl_headers headers, again;
    bl_str text = fuzz_copy(bl_str_of((const char *)data, size)), copy = fuzz_copy(text);

    bl_headers_init(&headers, known);
    bl_headers_init(&again, known_again);
    if (cut(&headers, pool, text)) {
        if (headers.count) {
            bl_section_remember(&headers, text);
            bl_section_remember(&headers, text);
        }
        if (bl_section_recall(&again, pool, copy))
            check_same(&headers, &again);
    } else {
        BL_ASSERT(!bl_section_recall(&again, pool, copy));
    }
    free(text.p);
    free(copy.p);
    bl_pool_free(pool);
    return 0;
}
