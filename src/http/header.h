/* Header fields, of requests and responses: a list in the order they came, each with a hash of its
 * lower-cased name, and an index of the ones that the server itself looks at. */
#ifndef BL_HTTP_HEADER_H
#define BL_HTTP_HEADER_H

#include "core/pool.h"

/* Fields known by number. The names, in this order, are in header.c. */
typedef enum bl_header_id {
    BL_H_OTHER = 0,
    BL_H_HOST,
    BL_H_CONNECTION,
    BL_H_CONTENT_LENGTH,
    BL_H_TRANSFER_ENCODING,
    BL_H_CONTENT_TYPE,
    BL_H_EXPECT,
    BL_H_UPGRADE,
    BL_H_KEEP_ALIVE,
    BL_H_TE,
    BL_H_USER_AGENT,
    BL_H_REFERER,
    BL_H_COOKIE,
    BL_H_X_FORWARDED_FOR,
    BL_H_AUTHORIZATION,
    BL_H_ACCEPT_ENCODING,
    BL_H_VIA,
    BL_H_RANGE,
    BL_H_IF_RANGE,
    BL_H_IF_MODIFIED_SINCE,
    BL_H_IF_UNMODIFIED_SINCE,
    BL_H_IF_MATCH,
    BL_H_IF_NONE_MATCH,
    BL_H_PRIORITY,
    /* of responses */
    BL_H_SERVER,
    BL_H_DATE,
    BL_H_LAST_MODIFIED,
    BL_H_ETAG,
    BL_H_LOCATION,
    BL_H_CONTENT_ENCODING,
    BL_H_CONTENT_RANGE,
    BL_H_ACCEPT_RANGES,
    BL_H_WWW_AUTHENTICATE,
    BL_H_CACHE_CONTROL,
    BL_H_EXPIRES,
    BL_H_LINK,
    BL_H_REFRESH,
    BL_H_SET_COOKIE,
    BL_H_TRAILER,
    BL_H_VARY,
    BL_H_X_ACCEL_REDIRECT,
    BL_H_X_ACCEL_EXPIRES,
    BL_H_X_ACCEL_LIMIT_RATE,
    BL_H_X_ACCEL_BUFFERING,
    BL_H_X_ACCEL_CHARSET,
    BL_H_PROXY_CONNECTION,
    BL_H_COUNT,
} bl_header_id;

typedef struct bl_header {
    struct bl_header *next;
    bl_str name, value;
    uint32_t hash; /* bl_header_hash of the name */
    uint16_t id;   /* bl_header_id */
    bool struck;   /* taken out again: not sent, not found */
} bl_header;

typedef struct bl_headers {
    bl_header *first;
    bl_header **tail;
    uint32_t count;
    bl_str text; /* the bytes that it was parsed from; p NULL: not in one piece, or changed since */
    uint64_t have; /* bit of each id whose entry in `known` is set */
    bl_header *
        *known; /* [BL_H_COUNT], the first of each, read through bl_headers_known; NULL: no index */
} bl_headers;

_Static_assert(BL_H_COUNT <= 64, "one bit for each known field");

/* `known`: room for the index, [BL_H_COUNT], which need not be cleared; or NULL. */
static inline void bl_headers_init(bl_headers *headers, bl_header **known)
{
    headers->known = known;
    headers->first = NULL;
    headers->tail = &headers->first;
    headers->count = 0;
    headers->text = BL_STR_NONE;
    headers->have = 0;
}

/* The first field of that id, or NULL. */
static inline bl_header *bl_headers_known(const bl_headers *headers, bl_header_id id)
{
    return headers->have >> id & 1 ? headers->known[id] : NULL;
}

/* Eight bytes with the bit of lower case set in each: equal for names that differ in case only. */
static inline uint64_t bl_header_fold(const char *p)
{
    uint64_t word;

    memcpy(&word, p, sizeof word);
    return word | 0x2020202020202020ull;
}

/* The same for names of less than eight. */
static inline uint64_t bl_header_fold_short(const char *p, size_t len)
{
    uint32_t first, last;
    uint64_t word = 0;

    if (len >= 4) {
        memcpy(&first, p, 4);
        memcpy(&last, p + len - 4, 4);
        return (first | (uint64_t)last << 32) | 0x2020202020202020ull;
    }
    for (size_t i = 0; i < len; i++)
        word = word << 8 | (unsigned char)(p[i] | 0x20);
    return word;
}

/* A hash of the name without case: of its length, its first and its last eight bytes. */
static inline uint32_t bl_header_hash(bl_str name)
{
    uint64_t first, last;

    if (BL_LIKELY(name.len >= 8)) {
        first = bl_header_fold(name.p);
        last = bl_header_fold(name.p + name.len - 8);
    } else {
        first = last = bl_header_fold_short(name.p, name.len);
    }
    first = (first ^ (last << 7 | last >> 57) ^ name.len) * 0x9e3779b97f4a7c15ull;
    return (uint32_t)(first >> 32);
}

bl_header_id bl_header_identify(bl_str name, uint32_t hash);

/* Adds a field at the end; the strings are kept as they are. */
bl_header *bl_headers_add(bl_headers *headers, bl_pool *pool, bl_str name, bl_str value);
/* The same when hash and id are known. */
static inline bl_header *bl_headers_add_known(bl_headers *headers, bl_pool *pool, bl_str name,
                                              bl_str value, uint32_t hash, bl_header_id id)
{
    bl_header *h = bl_pool_alloc(pool, sizeof *h);

    *h = (bl_header){.name = name, .value = value, .hash = hash, .id = (uint16_t)id};
    *headers->tail = h;
    headers->tail = &h->next;
    headers->count++;
    headers->text.p = NULL;
    if (id != BL_H_OTHER && headers->known && !(headers->have >> id & 1)) {
        headers->have |= 1ull << id;
        headers->known[id] = h;
    }
    return h;
}
/* Next of that name behind `after` (NULL: from the start). */
bl_header *bl_headers_find(const bl_headers *headers, bl_str name, const bl_header *after);
/* Replaces all fields of that name by one; an empty value strikes them out. */
bl_header *bl_headers_set(bl_headers *headers, bl_pool *pool, bl_str name, bl_str value);
void bl_headers_remove(bl_headers *headers, bl_str name);
void bl_headers_remove_hashed(bl_headers *headers, bl_str name, uint32_t hash);
void bl_header_strike(bl_headers *headers, bl_header *header);

/* The values of all fields of that name, joined; p is NULL when there is none. */
bl_str bl_headers_join(const bl_headers *headers, bl_pool *pool, bl_str name, bl_str separator);

/* for (bl_header *h over fields that are not struck) */
#define BL_HEADERS_EACH(h, headers)                                                                \
    for (bl_header *h = (headers)->first; h; h = h->next)                                          \
        if (!h->struck)

#endif
