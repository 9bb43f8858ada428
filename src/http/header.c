#include "http/header.h"

/* In the order of bl_header_id. */
static const bl_str names[BL_H_COUNT] = {
    [BL_H_HOST] = BL_STR_INIT("host"),
    [BL_H_CONNECTION] = BL_STR_INIT("connection"),
    [BL_H_CONTENT_LENGTH] = BL_STR_INIT("content-length"),
    [BL_H_TRANSFER_ENCODING] = BL_STR_INIT("transfer-encoding"),
    [BL_H_CONTENT_TYPE] = BL_STR_INIT("content-type"),
    [BL_H_EXPECT] = BL_STR_INIT("expect"),
    [BL_H_UPGRADE] = BL_STR_INIT("upgrade"),
    [BL_H_KEEP_ALIVE] = BL_STR_INIT("keep-alive"),
    [BL_H_TE] = BL_STR_INIT("te"),
    [BL_H_USER_AGENT] = BL_STR_INIT("user-agent"),
    [BL_H_REFERER] = BL_STR_INIT("referer"),
    [BL_H_COOKIE] = BL_STR_INIT("cookie"),
    [BL_H_X_FORWARDED_FOR] = BL_STR_INIT("x-forwarded-for"),
    [BL_H_AUTHORIZATION] = BL_STR_INIT("authorization"),
    [BL_H_ACCEPT_ENCODING] = BL_STR_INIT("accept-encoding"),
    [BL_H_VIA] = BL_STR_INIT("via"),
    [BL_H_RANGE] = BL_STR_INIT("range"),
    [BL_H_IF_RANGE] = BL_STR_INIT("if-range"),
    [BL_H_IF_MODIFIED_SINCE] = BL_STR_INIT("if-modified-since"),
    [BL_H_IF_UNMODIFIED_SINCE] = BL_STR_INIT("if-unmodified-since"),
    [BL_H_IF_MATCH] = BL_STR_INIT("if-match"),
    [BL_H_IF_NONE_MATCH] = BL_STR_INIT("if-none-match"),
    [BL_H_PRIORITY] = BL_STR_INIT("priority"),
    [BL_H_SERVER] = BL_STR_INIT("server"),
    [BL_H_DATE] = BL_STR_INIT("date"),
    [BL_H_LAST_MODIFIED] = BL_STR_INIT("last-modified"),
    [BL_H_ETAG] = BL_STR_INIT("etag"),
    [BL_H_LOCATION] = BL_STR_INIT("location"),
    [BL_H_CONTENT_ENCODING] = BL_STR_INIT("content-encoding"),
    [BL_H_CONTENT_RANGE] = BL_STR_INIT("content-range"),
    [BL_H_ACCEPT_RANGES] = BL_STR_INIT("accept-ranges"),
    [BL_H_WWW_AUTHENTICATE] = BL_STR_INIT("www-authenticate"),
    [BL_H_CACHE_CONTROL] = BL_STR_INIT("cache-control"),
    [BL_H_EXPIRES] = BL_STR_INIT("expires"),
    [BL_H_LINK] = BL_STR_INIT("link"),
    [BL_H_REFRESH] = BL_STR_INIT("refresh"),
    [BL_H_SET_COOKIE] = BL_STR_INIT("set-cookie"),
    [BL_H_TRAILER] = BL_STR_INIT("trailer"),
    [BL_H_VARY] = BL_STR_INIT("vary"),
    [BL_H_X_ACCEL_REDIRECT] = BL_STR_INIT("x-accel-redirect"),
    [BL_H_X_ACCEL_EXPIRES] = BL_STR_INIT("x-accel-expires"),
    [BL_H_X_ACCEL_LIMIT_RATE] = BL_STR_INIT("x-accel-limit-rate"),
    [BL_H_X_ACCEL_BUFFERING] = BL_STR_INIT("x-accel-buffering"),
    [BL_H_X_ACCEL_CHARSET] = BL_STR_INIT("x-accel-charset"),
    [BL_H_PROXY_CONNECTION] = BL_STR_INIT("proxy-connection"),
};

/* Open addressing: hash → id. Filled on first use. */
enum {
    TABLE = 256
};
static uint8_t table[TABLE];
static uint32_t hashes[BL_H_COUNT];
static struct ends {
    uint64_t first, last; /* bl_header_fold of the first and the last eight bytes */
} ends[BL_H_COUNT];

static inline struct ends ends_of(bl_str name)
{
    if (name.len < 8)
        return (struct ends){bl_header_fold_short(name.p, name.len), 0};
    return (struct ends){bl_header_fold(name.p), bl_header_fold(name.p + name.len - 8)};
}

static void fill_table(void)
{
    for (unsigned id = 1; id < BL_H_COUNT; id++) {
        hashes[id] = bl_header_hash(names[id]);
        ends[id] = ends_of(names[id]);
        unsigned at = hashes[id] % TABLE;
        while (table[at])
            at = (at + 1) % TABLE;
        table[at] = (uint8_t)id;
    }
}

static inline bool is_name(bl_str name, unsigned id)
{
    bl_str lower = names[id];
    struct ends e = ends_of(name);

    if (name.len != lower.len || e.first != ends[id].first || e.last != ends[id].last)
        return false;
    for (size_t i = 8; i + 8 < name.len; i += 8) { /* what is between the ends */
        if (bl_header_fold(name.p + i) != bl_header_fold(lower.p + i))
            return false;
    }
    return true;
}

bl_header_id bl_header_identify(bl_str name, uint32_t hash)
{
    static bool filled;

    if (BL_UNLIKELY(!filled)) {
        fill_table();
        filled = true;
    }
    for (unsigned at = hash % TABLE; table[at]; at = (at + 1) % TABLE) {
        if (hashes[table[at]] == hash && is_name(name, table[at]))
            return table[at];
    }
    return BL_H_OTHER;
}

bl_header *bl_headers_add(bl_headers *headers, bl_pool *pool, bl_str name, bl_str value)
{
    uint32_t hash = bl_header_hash(name);

    return bl_headers_add_known(headers, pool, name, value, hash, bl_header_identify(name, hash));
}

static bl_header *find_hashed(const bl_headers *headers, bl_str name, uint32_t hash,
                              const bl_header *after)
{
    for (bl_header *h = after ? after->next : headers->first; h; h = h->next) {
        if (h->hash == hash && !h->struck && bl_str_ieq(h->name, name))
            return h;
    }
    return NULL;
}

bl_header *bl_headers_find(const bl_headers *headers, bl_str name, const bl_header *after)
{
    return find_hashed(headers, name, bl_header_hash(name), after);
}

void bl_header_strike(bl_headers *headers, bl_header *header)
{
    if (header->struck)
        return;
    header->struck = true;
    headers->count--;
    headers->text.p = NULL;
    if (header->id == BL_H_OTHER || bl_headers_known(headers, header->id) != header)
        return;
    bl_header *next = find_hashed(headers, header->name, header->hash, header);
    if (next)
        headers->known[header->id] = next;
    else
        headers->have &= ~(1ull << header->id);
}

void bl_headers_remove(bl_headers *headers, bl_str name)
{
    bl_headers_remove_hashed(headers, name, bl_header_hash(name));
}

void bl_headers_remove_hashed(bl_headers *headers, bl_str name, uint32_t hash)
{
    for (bl_header *h = NULL; (h = find_hashed(headers, name, hash, h)) != NULL;)
        bl_header_strike(headers, h);
}

bl_header *bl_headers_set(bl_headers *headers, bl_pool *pool, bl_str name, bl_str value)
{
    bl_header *first = bl_headers_find(headers, name, NULL);

    if (value.len == 0) {
        bl_headers_remove(headers, name);
        return NULL;
    }
    if (first == NULL)
        return bl_headers_add(headers, pool, name, value);
    for (bl_header *h = first; (h = bl_headers_find(headers, name, h)) != NULL;)
        bl_header_strike(headers, h);
    first->name = name;
    first->value = value;
    headers->text.p = NULL;
    return first;
}

bl_str bl_headers_join(const bl_headers *headers, bl_pool *pool, bl_str name, bl_str separator)
{
    uint32_t hash = bl_header_hash(name);
    bl_header *first = find_hashed(headers, name, hash, NULL);
    size_t len = 0;

    if (first == NULL)
        return BL_STR_NONE;
    if (find_hashed(headers, name, hash, first) == NULL)
        return first->value.p ? first->value : BL_STR("");
    for (bl_header *h = first; h; h = find_hashed(headers, name, hash, h))
        len += h->value.len + separator.len;

    char *text = bl_pool_bytes(pool, len), *at = text;
    for (bl_header *h = first; h; h = find_hashed(headers, name, hash, h)) {
        if (h != first)
            at = bl_str_put(at, separator);
        at = bl_str_put(at, h->value);
    }
    return bl_str_of(text, (size_t)(at - text));
}
