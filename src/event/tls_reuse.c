#include "event/tls_reuse.h"
#include "core/mem.h"
#include "event/tls_ctx.h"

enum {
    BUCKETS = 256,
    SESSIONS_MAX = 1024,
};

typedef struct entry {
    bl_link link; /* in reuse->used, least recently first */
    struct entry *next;
    uint32_t hash;
    SSL_SESSION *session;
    size_t len;
    char key[]; /* the address's bytes, then the name */
} entry;

struct bl_tls_reuse {
    bl_link used;
    int count;
    entry *buckets[BUCKETS];
};

static void drop(bl_tls_reuse *reuse, entry *e)
{
    entry **at = &reuse->buckets[e->hash % BUCKETS];

    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
    bl_list_remove(&e->link);
    SSL_SESSION_free(e->session);
    bl_free(e);
    reuse->count--;
}

static void drop_all(void *data)
{
    bl_tls_reuse *reuse = data;

    while (!bl_list_empty(&reuse->used))
        drop(reuse, BL_LIST_FIRST(&reuse->used, entry, link));
}

bl_tls_reuse *bl_tls_reuse_new(bl_pool *pool)
{
    bl_tls_reuse *reuse = BL_NEW(pool, bl_tls_reuse);

    bl_list_init(&reuse->used);
    bl_pool_cleanup(pool, drop_all, reuse);
    return reuse;
}

static uint32_t hash_of(const bl_addr *addr, bl_str name)
{
    return bl_hash((const char *)&addr->sa, addr->len) ^ bl_hash(name.p, name.len) * 31;
}

static bool is(const entry *e, uint32_t hash, const bl_addr *addr, bl_str name)
{
    return e->hash == hash && e->len == addr->len + name.len &&
           memcmp(e->key, &addr->sa, addr->len) == 0 &&
           (name.len == 0 || memcmp(e->key + addr->len, name.p, name.len) == 0);
}

static entry *find(bl_tls_reuse *reuse, uint32_t hash, const bl_addr *addr, bl_str name)
{
    entry *e = reuse->buckets[hash % BUCKETS];

    while (e && !is(e, hash, addr, name))
        e = e->next;
    if (e == NULL)
        return NULL;
    bl_list_remove(&e->link);
    bl_list_push(&reuse->used, &e->link);
    return e;
}

static entry *add(bl_tls_reuse *reuse, uint32_t hash, const bl_addr *addr, bl_str name)
{
    if (reuse->count >= SESSIONS_MAX)
        drop(reuse, BL_LIST_FIRST(&reuse->used, entry, link));
    entry *e = bl_zalloc(sizeof *e + addr->len + name.len);
    e->hash = hash;
    e->len = addr->len + name.len;
    memcpy(e->key, &addr->sa, addr->len);
    if (name.len)
        memcpy(e->key + addr->len, name.p, name.len);
    e->next = reuse->buckets[hash % BUCKETS];
    reuse->buckets[hash % BUCKETS] = e;
    reuse->count++;
    bl_list_push(&reuse->used, &e->link);
    return e;
}

SSL_SESSION *bl_tls_reuse_get(bl_tls_client *client, const bl_addr *addr, bl_str name)
{
    const entry *e = find(client->reuse, hash_of(addr, name), addr, name);

    return e ? e->session : NULL;
}

void bl_tls_reuse_put(bl_tls_client *client, const bl_addr *addr, bl_str name, SSL_SESSION *session)
{
    uint32_t hash = hash_of(addr, name);
    entry *e = find(client->reuse, hash, addr, name);

    if (e == NULL)
        e = add(client->reuse, hash, addr, name);
    SSL_SESSION_free(e->session);
    e->session = session;
}
