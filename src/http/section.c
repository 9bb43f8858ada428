#include "http/section.h"

enum {
    PLACES = 64,
    LEN_MIN = 4,
    LEN_MAX = 4096,
    HITS_MAX = 100, /* a section that was found stays for as many that want its place */
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
    uint32_t seen;    /* sample of what was here last, in vain */
    int hits;
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
    place->hits = BL_MIN(place->hits + 1, HITS_MAX);
    refill(headers, pool, s, rest.p);
    return true;
}

static bool gives_way(struct place *place, uint32_t sample)
{
    if (place->seen != sample) {
        place->seen = sample;
        return false;
    }
    if (place->hits > 0) {
        place->hits--;
        return false;
    }
    return true;
}

void bl_section_remember(const bl_headers *headers, bl_str text)
{
    if (headers->count == 0 || headers->count > BL_SECTION_FIELDS_MAX || !is_whole(text))
        return;
    uint32_t sample = bl_hash_sample(text);
    struct place *place = &places[sample % PLACES];
    if (!gives_way(place, sample))
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
