#include "event/tls_cache.h"
#include "core/mem.h"

enum {
    INACTIVE_DEFAULT = 10 * 1000,
    VALID_DEFAULT = 60 * 1000,
    BUCKETS_MAX = 4096,
};

typedef struct entry {
    bl_link link; /* in cache->used, least recently first */
    struct entry *next;
    uint32_t hash;
    bl_str certificate, key; /* in memory behind */
    bl_tls_pair *pair;
    uint64_t loaded, used; /* mono ms */
} entry;

struct bl_tls_cache {
    bl_link used;
    entry **buckets;
    uint32_t mask, count, max;
    uint64_t inactive, valid;
};

static void drop(bl_tls_cache *cache, entry *e)
{
    entry **at = &cache->buckets[e->hash & cache->mask];

    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
    bl_list_remove(&e->link);
    bl_tls_pair_free(e->pair);
    bl_free(e);
    cache->count--;
}

static void drop_all(void *data)
{
    bl_tls_cache *cache = data;

    while (!bl_list_empty(&cache->used))
        drop(cache, BL_LIST_FIRST(&cache->used, entry, link));
}

bl_tls_cache *bl_tls_cache_new(bl_pool *pool, int64_t max, int64_t inactive, int64_t valid)
{
    bl_tls_cache *cache = BL_NEW(pool, bl_tls_cache);
    uint32_t size = 8;

    cache->max = (uint32_t)BL_MAX(max / 2, 1);
    cache->inactive = (uint64_t)inactive;
    cache->valid = (uint64_t)valid;
    while (size < cache->max && size < BUCKETS_MAX)
        size *= 2;
    cache->buckets = BL_NEW_ARRAY(pool, entry *, size);
    cache->mask = size - 1;
    bl_list_init(&cache->used);
    bl_pool_cleanup(pool, drop_all, cache);
    return cache;
}

static void drop_inactive(bl_tls_cache *cache, uint64_t now)
{
    while (!bl_list_empty(&cache->used)) {
        entry *oldest = BL_LIST_FIRST(&cache->used, entry, link);
        if (now - oldest->used < cache->inactive)
            return;
        drop(cache, oldest);
    }
}

static entry *find(bl_tls_cache *cache, uint32_t hash, bl_str certificate, bl_str key)
{
    for (entry *e = cache->buckets[hash & cache->mask]; e; e = e->next) {
        if (e->hash == hash && bl_str_eq(e->certificate, certificate) && bl_str_eq(e->key, key))
            return e;
    }
    return NULL;
}

static entry *add(bl_tls_cache *cache, uint32_t hash, bl_str certificate, bl_str key)
{
    if (cache->count >= cache->max)
        drop(cache, BL_LIST_FIRST(&cache->used, entry, link));
    entry *e = bl_zalloc(sizeof *e + certificate.len + key.len);
    char *text = (char *)(e + 1);

    memcpy(text, certificate.p, certificate.len);
    memcpy(text + certificate.len, key.p, key.len);
    e->certificate = bl_str_of(text, certificate.len);
    e->key = bl_str_of(text + certificate.len, key.len);
    e->hash = hash;
    e->next = cache->buckets[hash & cache->mask];
    cache->buckets[hash & cache->mask] = e;
    cache->count++;
    bl_list_push(&cache->used, &e->link);
    return e;
}

/* Without a cache the pair lives until the next call of the process. */
static bl_tls_pair *keep_loose(bl_tls_pair *pair)
{
    static bl_tls_pair *loose;

    bl_tls_pair_free(loose);
    return loose = pair;
}

bl_tls_pair *bl_tls_cache_get(bl_tls_cache *cache, bl_str certificate, bl_str key,
                              const bl_array *passwords, const char **error)
{
    if (cache == NULL)
        return keep_loose(bl_tls_pair_load(certificate, key, passwords, error));
    uint64_t now = bl_now_ms();
    uint32_t hash = bl_hash(certificate.p, certificate.len) ^ bl_hash(key.p, key.len);

    drop_inactive(cache, now);
    entry *e = find(cache, hash, certificate, key);
    if (e && now - e->loaded >= cache->valid) {
        drop(cache, e);
        e = NULL;
    }
    if (e == NULL) {
        bl_tls_pair *pair = bl_tls_pair_load(certificate, key, passwords, error);
        if (pair == NULL)
            return NULL;
        if (bl_tls_pair_was_locked(pair))
            return keep_loose(pair); /* who can't name the password must not have it */
        e = add(cache, hash, certificate, key);
        e->pair = pair;
        e->loaded = now;
    }
    e->used = now;
    bl_list_remove(&e->link);
    bl_list_push(&cache->used, &e->link);
    return e->pair;
}

bool bl_tls_cache_read(bl_conf *cf, const bl_conf_node *node, bl_tls_cache **cache)
{
    int64_t max = 0, inactive = INACTIVE_DEFAULT, valid = VALID_DEFAULT, *to;

    *cache = NULL;
    if (node->count == 2 && bl_str_eq(bl_conf_arg(node, 1), BL_STR("off")))
        return true;
    for (int i = 1; i < node->count; i++) {
        bl_str word = bl_conf_arg(node, i);
        ssize_t equals = bl_str_chr(word, '=');
        bl_str value = bl_str_of(word.p + equals + 1, word.len - (size_t)(equals + 1));
        bl_str name = bl_str_of(word.p, equals < 0 ? 0 : (size_t)equals);
        if (bl_str_eq(name, BL_STR("max")))
            to = &max;
        else if (bl_str_eq(name, BL_STR("inactive")))
            to = &inactive;
        else if (bl_str_eq(name, BL_STR("valid")))
            to = &valid;
        else
            return bl_conf_error(cf, node, i, "invalid parameter \"%.*s\"", BL_STR_ARG(word));
        *to = to == &max ? bl_str_to_int(value) : bl_conf_msec(value);
        if (*to < (to == &max))
            return bl_conf_invalid(cf, node, i);
    }
    if (max == 0)
        return bl_conf_error(cf, node, 0, "\"%.*s\" must have the \"max\" parameter",
                             BL_STR_ARG(bl_conf_arg(node, 0)));
    *cache = bl_tls_cache_new(cf->pool, max, inactive, valid);
    return true;
}
