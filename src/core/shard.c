#include "core/shard.h"

enum {
    SWEEP_SLOTS = 32,   /* slots of a large shard looked at when memory is short */
    SWEEP_WHOLE = 1024, /* a shard with so many slots is looked at whole */
    LRU_STEPS = 128,    /* to find a used entry's new place in the ring */
    LRU_MOVES = 64,     /* used entries given a new place before one is evicted all the same */
    EVICT_SOME = 32,    /* entries evicted, and as many for each page wanted, ... */
    EVICT_MOST = 1024,  /* ... but no more than this, before a stretch of pages is cleared */
};

static uint64_t read64(const char *p)
{
    uint64_t n;

    memcpy(&n, p, sizeof(n));
    return n;
}

static uint32_t read32(const char *p)
{
    uint32_t n;

    memcpy(&n, p, sizeof(n));
    return n;
}

static uint64_t fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Folded multiplications, keyed on both sides so that nobody outside can choose keys that collide.
 */
uint64_t bl_shard_hash(const bl_dict *dict, bl_str key)
{
    const char *p = key.p;
    size_t len = key.len;
    uint64_t a, b = 0, h = dict->seed[0] ^ key.len;

    for (; len > 16; len -= 16, p += 16)
        h = fold(read64(p) ^ dict->seed[1], read64(p + 8) ^ h);
    if (len >= 8) {
        a = read64(p);
        b = read64(p + len - 8);
    } else if (len >= 4) {
        a = read32(p);
        b = read32(p + len - 4);
    } else {
        a = (uint64_t)(uint8_t)p[0] << 16 | (uint64_t)(uint8_t)p[len / 2] << 8 |
            (uint8_t)p[len - 1];
    }
    return fold(fold(a ^ dict->seed[1], b ^ h), dict->seed[1]);
}

void bl_shard_lock_all(bl_dict *dict)
{
    uint32_t i;

    for (i = 0; i < bl_dict_shards(dict); i++)
        bl_shard_lock(dict, &dict->shards[i]);
}

void bl_shard_unlock_all(bl_dict *dict)
{
    uint32_t i;

    for (i = bl_dict_shards(dict); i > 0; i--)
        bl_shard_unlock(&dict->shards[i - 1]);
}

static uint32_t stamp_of(const bl_entry *entry)
{
    return (uint32_t)__atomic_load_n(&entry->mark, __ATOMIC_RELAXED);
}

static void ring_insert(bl_dict *dict, bl_entry *entry, bl_entry *older)
{
    bl_ref ref = bl_slab_ref(dict->slab, entry);

    entry->older = bl_slab_ref(dict->slab, older);
    entry->newer = older->newer;
    bl_shard_entry(dict, older->newer)->older = ref;
    older->newer = ref;
}

static void ring_remove(bl_dict *dict, bl_entry *entry)
{
    bl_shard_entry(dict, entry->older)->newer = entry->newer;
    bl_shard_entry(dict, entry->newer)->older = entry->older;
}

void bl_shard_ring_add(bl_dict *dict, bl_shard *shard, bl_entry *entry)
{
    bl_entry *ring = bl_shard_entry(dict, shard->ring);

    entry->placed = stamp_of(entry);
    ring_insert(dict, entry, bl_shard_entry(dict, ring->older));
}

/* Whether a place next to `entry` (or the ring's head) is older than `stamp`; stamps wrap. */
static bool placed_before(const bl_entry *entry, uint32_t stamp)
{
    return (int32_t)(entry->placed - stamp) <= 0;
}

/* Moves an entry that was used to where its stamp belongs, searching from both ends at once. When
 * that is too far from either, it is taken for newer than it is. */
static void ring_move(bl_dict *dict, bl_shard *shard, bl_entry *entry)
{
    bl_entry *ring = bl_shard_entry(dict, shard->ring), *high, *low;
    uint32_t stamp = stamp_of(entry);
    int steps;

    ring_remove(dict, entry);
    entry->placed = stamp;
    high = bl_shard_entry(dict, ring->older);
    low = bl_shard_entry(dict, ring->newer);
    for (steps = 0; steps < LRU_STEPS; steps++) {
        if (high == ring || placed_before(high, stamp))
            break;
        if (low == ring || !placed_before(low, stamp)) {
            high = bl_shard_entry(dict, low->older);
            break;
        }
        high = bl_shard_entry(dict, high->older);
        low = bl_shard_entry(dict, low->newer);
    }
    ring_insert(dict, entry, high);
}

/* The least recently used entry but `keep`; NULL when there is none. */
static bl_entry *oldest(bl_dict *dict, bl_shard *shard, const bl_entry *keep)
{
    bl_entry *ring = bl_shard_entry(dict, shard->ring), *entry;
    int moves;

    for (moves = 0;; moves++) {
        entry = bl_shard_entry(dict, ring->newer);
        if (entry == keep)
            entry = bl_shard_entry(dict, entry->newer);
        if (entry == ring)
            return NULL;
        if (stamp_of(entry) == entry->placed || moves == LRU_MOVES)
            return entry;
        ring_move(dict, shard, entry);
    }
}

void bl_shard_index(bl_dict *dict, bl_shard *shard, bl_entry *entry)
{
    bl_ref *slot = bl_shard_slot(dict, shard, entry->mark);

    entry->next = *slot;
    __atomic_store_n(slot, bl_slab_ref(dict->slab, entry), __ATOMIC_RELEASE);
    shard->count++;
}

void bl_shard_insert(bl_dict *dict, bl_shard *shard, bl_entry *entry, uint64_t hash)
{
    uint32_t clock = __atomic_load_n(&shard->clock, __ATOMIC_RELAXED) + 1;

    __atomic_store_n(&shard->clock, clock, __ATOMIC_RELAXED);
    entry->mark = (hash >> 32) << 32 | clock;
    bl_slab_set_tag(entry, BL_TAG_ENTRY);
    bl_shard_index(dict, shard, entry);
    bl_shard_ring_add(dict, shard, entry);
}

static void unchain(bl_dict *dict, bl_shard *shard, bl_entry *entry)
{
    bl_ref *link = bl_shard_slot(dict, shard, entry->mark), ref = bl_slab_ref(dict->slab, entry);

    while (*link != ref) {
        BL_ASSERT(*link != 0);
        link = &bl_shard_entry(dict, *link)->next;
    }
    __atomic_store_n(link, entry->next, __ATOMIC_RELAXED);
}

void bl_shard_free_list(bl_dict *dict, bl_shard *shard, const bl_entry *entry)
{
    bl_ref ref = entry->first;

    while (ref != 0) {
        bl_node *node = bl_shard_node(dict, ref);

        ref = node->next;
        bl_slab_free(dict->slab, &shard->heap, node);
    }
}

void bl_shard_remove(bl_dict *dict, bl_shard *shard, bl_entry *entry)
{
    bl_shard_write_begin(shard);
    bl_slab_set_tag(entry, BL_SLAB_TORN);
    unchain(dict, shard, entry);
    bl_shard_write_end(shard);
    ring_remove(dict, entry);
    shard->count--;
    if (entry->type == BL_DICT_LIST)
        bl_shard_free_list(dict, shard, entry);
    bl_slab_free(dict->slab, &shard->heap, entry);
}

void bl_shard_set_expiry(bl_shard *shard, bl_entry *entry, uint64_t expires)
{
    if (expires != 0) {
        shard->soonest = BL_MIN(shard->soonest, expires);
        shard->swept_soonest = BL_MIN(shard->swept_soonest, expires);
    }
    __atomic_store_n(&entry->expires, expires, __ATOMIC_RELAXED);
}

static uint64_t sweep_slot(bl_dict *dict, bl_shard *shard, uint64_t max, uint64_t now)
{
    bl_ref ref = shard->slots[shard->sweep_slot];
    uint64_t removed = 0;

    while (ref != 0 && removed < max) {
        bl_entry *entry = bl_shard_entry(dict, ref);

        ref = entry->next;
        if (bl_entry_expired(entry, now)) {
            bl_shard_remove(dict, shard, entry);
            removed++;
        } else if (entry->expires != 0) {
            shard->swept_soonest = BL_MIN(shard->swept_soonest, entry->expires);
        }
    }
    return removed;
}

uint64_t bl_shard_sweep(bl_dict *dict, bl_shard *shard, uint32_t slots, uint64_t max, uint64_t now)
{
    uint64_t removed = 0;

    for (; slots > 0 && now >= shard->soonest; slots--) {
        removed += sweep_slot(dict, shard, max - removed, now);
        if (removed == max)
            break;
        if (shard->sweep_slot++ == dict->slot_mask) {
            shard->sweep_slot = 0;
            shard->soonest = shard->swept_soonest;
            shard->swept_soonest = UINT64_MAX;
        }
    }
    return removed;
}

static void evict(bl_dict *dict, bl_shard *shard, bl_entry *entry, bl_need *need)
{
    if (!bl_entry_expired(entry, need->now))
        need->forcible = true;
    bl_shard_remove(dict, shard, entry);
}

typedef struct eviction {
    bl_dict *dict;
    bl_need *need;
} eviction;

/* The shard that an entry belongs to, when all are locked or it is the caller's. */
static bl_shard *owner_of(bl_dict *dict, const bl_entry *entry)
{
    bl_ref ref = bl_slab_ref(dict->slab, entry);
    uint32_t i;

    for (i = 0; i < bl_dict_shards(dict); i++)
        if (bl_slab_owns(dict->slab, &dict->shards[i].heap, ref))
            return &dict->shards[i];
    BL_ASSERT(!"an entry belongs to a shard");
    return NULL;
}

/* A visitor of the slab: evicts the entry, or the list, that a chunk belongs to. */
static void evict_chunk(void *arg, void *chunk)
{
    eviction *ev = arg;
    bl_entry *entry = chunk;

    if (bl_slab_tag(chunk) == BL_TAG_NODE)
        entry = bl_shard_entry(ev->dict, ((bl_node *)chunk)->owner);
    if (bl_slab_tag(entry) != BL_TAG_ENTRY || entry == ev->need->keep)
        return;
    evict(ev->dict, owner_of(ev->dict, entry), entry, ev->need);
}

/* How many entries to evict by age in the hope of room for `size`. Where shards share the zone, the
 * neighbours of a shard's pages are not its own, so that it would not help to evict many. */
static uint32_t patience(const bl_dict *dict, size_t size, const bl_need *need)
{
    if (dict->shard_bits > 0)
        return need->all ? 0 : EVICT_SOME;
    return BL_MIN(EVICT_SOME * (uint64_t)(1 + bl_slab_run_pages(size)), EVICT_MOST);
}

/* Evicts the least recently used until there is room, up to a limit. */
static void *evict_oldest(bl_dict *dict, bl_shard *shard, size_t size, bl_need *need)
{
    uint32_t left = patience(dict, size, need);
    bl_entry *entry;
    void *chunk;

    while (left-- > 0 && (entry = oldest(dict, shard, need->keep)) != NULL) {
        evict(dict, shard, entry, need);
        chunk = bl_slab_alloc(dict->slab, &shard->heap, size);
        if (chunk)
            return chunk;
    }
    return NULL;
}

/* Empties the page that the least recently used entry stands on. */
static void *evict_page(bl_dict *dict, bl_shard *shard, size_t size, bl_need *need)
{
    bl_entry *entry = oldest(dict, shard, need->keep);

    if (!entry)
        return NULL;
    bl_slab_page_each(dict->slab, entry, evict_chunk, &(eviction){dict, need});
    return bl_slab_alloc(dict->slab, &shard->heap, size);
}

/* Empties as many neighbouring pages as the size takes, whoever's they are. */
static void *evict_window(bl_dict *dict, bl_shard *shard, size_t size, bl_need *need)
{
    uint32_t pages = BL_MAX(bl_slab_run_pages(size), 1), first;

    first = bl_slab_window(dict->slab, pages, bl_dict_shards(dict));
    if (first == UINT32_MAX)
        return NULL;
    bl_slab_window_each(dict->slab, first, pages, evict_chunk, &(eviction){dict, need});
    return bl_slab_alloc(dict->slab, &shard->heap, size);
}

/* Room among expired entries. Without leave to evict, the shard is searched whole, and then all
 * others are, with their locks. */
static void *reclaim(bl_dict *dict, bl_shard *shard, size_t size, bl_need *need)
{
    uint32_t i, slots = dict->slot_mask + 1;
    uint64_t removed;

    if (need->evict && slots > SWEEP_WHOLE)
        slots = SWEEP_SLOTS;
    removed = bl_shard_sweep(dict, shard, slots, UINT64_MAX, need->now);
    for (i = 0; !need->evict && i < bl_dict_shards(dict); i++) {
        bl_shard *other = &dict->shards[i];

        if (need->all)
            removed += bl_shard_sweep(dict, other, slots, UINT64_MAX, need->now);
        else if (__atomic_load_n(&other->soonest, __ATOMIC_RELAXED) <= need->now)
            need->blocked = true;
    }
    return removed ? bl_slab_alloc(dict->slab, &shard->heap, size) : NULL;
}

void *bl_shard_obtain(bl_dict *dict, bl_shard *shard, size_t size, bl_need *need)
{
    void *chunk = bl_slab_alloc(dict->slab, &shard->heap, size);

    if (BL_LIKELY(chunk != NULL))
        return chunk;
    chunk = reclaim(dict, shard, size, need);
    if (!chunk && need->evict)
        chunk = evict_oldest(dict, shard, size, need);
    if (!chunk && need->evict && bl_slab_run_pages(size) == 0)
        chunk = evict_page(dict, shard, size, need);
    if (!chunk && need->evict && need->all)
        chunk = evict_window(dict, shard, size, need);
    if (!chunk && need->evict && !need->all)
        need->blocked = true;
    if (chunk)
        need->blocked = false;
    return chunk;
}

bl_entry *bl_shard_new_entry(bl_dict *dict, bl_shard *shard, bl_str key, size_t value_size,
                             bl_need *need)
{
    bl_entry *entry = bl_shard_obtain(dict, shard, bl_entry_size(key.len, value_size), need);

    if (entry) {
        entry->key_size = (uint16_t)key.len;
        memcpy(entry->data, key.p, key.len);
    }
    return entry;
}
