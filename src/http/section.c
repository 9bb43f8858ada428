#include "http/section.h"
#include "core/habit.h"

enum {
    PLACES = 64,
    LEN_MIN = 4,
    LEN_MAX = 4096,
};

/* A field, by places in the text. */
typedef struct outline {
    uint16_t name_at, name_len, value_at, value_len;
    uint32_t hash;
    uint16_t id;
} outline;

typedef struct section {
    uint64_t have; /* as in bl_headers */
    uint32_t count;
    uint32_t len;
    char *text; /* behind the fields */
    outline fields[];
} section;

static struct place {
    section *section; /* NULL: nothing is here */
    bl_habit habit;
} places[PLACES];

static void refill(bl_headers *headers, bl_pool *pool, const section *s, char *text)
{
    bl_header *all = bl_pool_alloc(pool, s->count * sizeof *all);

    /* From the last to the first: the index then tells the first of each. What is not known by
     * number gets into its first place, which nobody looks at. */
    for (uint32_t i = s->count; i-- > 0;) {
        const outline *f = &s->fields[i];
        all[i] = (bl_header){
            .next = &all[i + 1],
            .name = {text + f->name_at, f->name_len},
            .value = {text + f->value_at, f->value_len},
            .hash = f->hash,
            .id = f->id,
        };
        headers->known[f->id] = &all[i];
    }
    all[s->count - 1].next = NULL;
    headers->first = all;
    headers->tail = &all[s->count - 1].next;
    headers->count = s->count;
    headers->have = s->have;
}

static bool is_whole(bl_str rest)
{
    return rest.len >= LEN_MIN && rest.len <= LEN_MAX &&
           memcmp(rest.p + rest.len - 4, "\r\n\r\n", 4) == 0;
}

BL_HOT bool bl_section_recall(bl_headers *headers, bl_pool *pool, bl_str rest)
{
    if (!is_whole(rest))
        return false;
    struct place *place = &places[bl_hash_sample(rest) % PLACES];
    const section *s = place->section;
    if (s == NULL || s->len != rest.len || memcmp(s->text, rest.p, rest.len) != 0)
        return false;
    bl_habit_hit(&place->habit);
    refill(headers, pool, s, rest.p);
    return true;
}

void bl_section_remember(const bl_headers *headers, bl_str text)
{
    if (headers->count == 0 || headers->count > BL_SECTION_FIELDS_MAX || !is_whole(text))
        return;
    uint32_t sample = bl_hash_sample(text);
    struct place *place = &places[sample % PLACES];
    if (!bl_habit_takes(&place->habit, sample))
        return;

    size_t size = sizeof(section) + headers->count * sizeof(outline);
    section *s = bl_alloc(size + text.len);
    *s = (section){headers->have, 0, (uint32_t)text.len, (char *)s + size};
    memcpy(s->text, text.p, text.len);
    BL_HEADERS_EACH(h, headers)
    {
        s->fields[s->count++] = (outline){
            .name_at = (uint16_t)(h->name.p - text.p),
            .name_len = (uint16_t)h->name.len,
            .value_at = (uint16_t)(h->value.p - text.p),
            .value_len = (uint16_t)h->value.len,
            .hash = h->hash,
            .id = h->id,
        };
    }
    bl_free(place->section);
    place->section = s;
}
