#include "core/dict.h"
#include "core/shard.h"

#include <sys/random.h>

enum {
    READ_TRIES = 64,  /* before a reader takes the lock */
    CHAIN_STEPS = 64, /* that a reader goes without the lock */
};

const char *bl_dict_error(bl_dict_result result)
{
    static const char *const words[BL_DICT_RESULTS] = {
        [BL_DICT_OK] = "ok",
        [BL_DICT_NOT_FOUND] = "not found",
        [BL_DICT_EXISTS] = "exists",
        [BL_DICT_NO_MEMORY] = "no memory",
        [BL_DICT_NOT_NUMBER] = "not a number",
        [BL_DICT_NOT_LIST] = "value not a list",
        [BL_DICT_IS_LIST] = "value is a list",
        [BL_DICT_BAD_TYPE] = "bad value type",
        [BL_DICT_NIL_VALUE] = "attempt to add or replace nil values",
        [BL_DICT_EMPTY_KEY] = "empty key",
        [BL_DICT_LONG_KEY] = "key too long",
        [BL_DICT_SMALL_BUFFER] = "buffer too small",
        [BL_DICT_CHANGED] = "changed",
    };

    BL_ASSERT(result < BL_DICT_RESULTS);
    return words[result];
}

/* How a zone is laid out; all in bytes from its start but the counts. */
typedef struct layout {
    uint32_t shard_bits;
    uint32_t slots; /* of a shard */
    uint32_t pages; /* for chunks */
    size_t slab;
    size_t index;
    size_t first_page;
} layout;

static uint32_t shard_bits_for(size_t size)
{
    uint32_t bits = 0;

    while (bits < 4 && size >= (size_t)4 << 20 << bits)
        bits++;
    return bits;
}

static uint32_t power_of_two_above(uint64_t n)
{
    uint32_t power = 1;

    while (power < n)
        power *= 2;
    return power;
}

static layout lay_out(size_t size)
{
    uint32_t total = (uint32_t)(size / BL_SLAB_PAGE);
    layout l = {.shard_bits = shard_bits_for(size)};
    size_t shards = (size_t)1 << l.shard_bits, least = total < 4 ? 1 : 2, index_size;

    l.slots = power_of_two_above((uint64_t)total * (BL_SLAB_PAGE / 128)) >> l.shard_bits;
    index_size = shards * l.slots * sizeof(bl_ref);
    l.slab = BL_ALIGN(sizeof(bl_dict) + shards * sizeof(bl_shard), (size_t)64);
    l.index = BL_ALIGN(l.slab + bl_slab_size(total), (size_t)64);
    l.first_page = BL_ALIGN(l.index + index_size, (size_t)BL_SLAB_PAGE);
    l.first_page = BL_MAX(l.first_page, least * BL_SLAB_PAGE);
    l.pages = total - (uint32_t)(l.first_page / BL_SLAB_PAGE);
    return l;
}

static void init_shard(bl_dict *dict, uint32_t i, bl_ref *slots)
{
    bl_shard *shard = &dict->shards[i];
    bl_entry *ring;

    bl_rlock_init(&shard->lock);
    bl_slab_heap_init(&shard->heap, i);
    shard->slots = slots;
    shard->soonest = shard->swept_soonest = UINT64_MAX;
    ring = bl_slab_alloc(dict->slab, &shard->heap, bl_entry_size(1, 0));
    BL_ASSERT(ring != NULL);
    shard->ring = ring->newer = ring->older = bl_slab_ref(dict->slab, ring);
    bl_slab_set_tag(ring, BL_TAG_RING);
}

bl_dict *bl_dict_create(void *memory, size_t size)
{
    bl_dict *dict = memory;
    char *base = memory;
    uint32_t i;
    layout l;

    if (size < BL_DICT_SIZE_MIN || size > (size_t)32 << 30)
        return NULL;
    l = lay_out(size);
    dict->size = size;
    dict->shard_bits = l.shard_bits;
    dict->slot_mask = l.slots - 1;
    dict->slab = (bl_slab *)(base + l.slab);
    dict->span = l.first_page - l.slab + (uint64_t)l.pages * BL_SLAB_PAGE;
    BL_ASSERT(getrandom(dict->seed, sizeof(dict->seed), 0) == sizeof(dict->seed));
    bl_slab_init(dict->slab, l.pages, (uint32_t)(l.first_page - l.slab), l.shard_bits > 0);
    for (i = 0; i < bl_dict_shards(dict); i++)
        init_shard(dict, i, (bl_ref *)(base + l.index) + (size_t)i * l.slots);
    dict->largest = BL_MAX((size_t)(l.pages - bl_dict_shards(dict)) * BL_SLAB_PAGE,
                           bl_slab_room(dict->slab, bl_shard_entry(dict, dict->shards[0].ring)));
    dict->magic = BL_DICT_MAGIC;
    return dict;
}

/* What a reader saw. */
typedef enum look {
    LOOK_FOUND,
    LOOK_NONE,
    LOOK_LOST, /* the ground moved, or it was too far */
} look;

/* Walks a chain that may change on the way. *found is an entry with this key, all of which, with
 * its value as far as it says, is inside the zone. */
static inline look look_up(bl_dict *dict, bl_shard *shard, uint64_t hash, bl_str key,
                           bl_entry **found)
{
    bl_ref ref = __atomic_load_n(bl_shard_slot(dict, shard, hash), __ATOMIC_ACQUIRE);
    uint64_t last = (dict->span - sizeof(bl_entry)) / BL_SLAB_UNIT, place;
    int steps;

    for (steps = 0; steps < CHAIN_STEPS; steps++) {
        bl_entry *entry = bl_shard_entry(dict, ref);

        if (ref == 0)
            return LOOK_NONE;
        if (BL_UNLIKELY(ref > last))
            return LOOK_LOST;
        place = (uint64_t)ref * BL_SLAB_UNIT;
        if (__atomic_load_n(&entry->mark, __ATOMIC_RELAXED) >> 32 == hash >> 32 &&
            entry->key_size == key.len && place + sizeof(bl_entry) + key.len <= dict->span &&
            memcmp(entry->data, key.p, key.len) == 0) {
            *found = entry;
            return LOOK_FOUND;
        }
        ref = __atomic_load_n(&entry->next, __ATOMIC_RELAXED);
    }
    return LOOK_LOST;
}

/* Copies a string's bytes, if they fit the buffer and are inside the zone. */
static bl_dict_result copy_string(const bl_dict *dict, const bl_entry *entry, size_t key_size,
                                  char *buffer, size_t room, bl_dict_value *value)
{
    uint64_t place = (uint64_t)((const char *)entry->data - (const char *)dict->slab) + key_size;
    uint32_t size = __atomic_load_n(&entry->size, __ATOMIC_RELAXED);

    value->str = bl_str_of(buffer, size);
    if (size > room)
        return BL_DICT_SMALL_BUFFER;
    if (BL_LIKELY(place + size <= dict->span))
        memcpy(buffer, entry->data + key_size, size);
    return BL_DICT_OK;
}

static inline bl_dict_result copy_value(const bl_dict *dict, const bl_entry *entry, size_t key_size,
                                        char *buffer, size_t room, bl_dict_value *value)
{
    value->type = entry->type;
    value->flags = entry->flags;
    if (value->type == BL_DICT_STRING)
        return copy_string(dict, entry, key_size, buffer, room, value);
    if (value->type == BL_DICT_LIST)
        return BL_DICT_IS_LIST;
    value->number = bl_double_of(__atomic_load_n(&entry->number, __ATOMIC_RELAXED));
    return BL_DICT_OK;
}

/* A reader's note of use. Nothing is written while the clock stands still, so that a key that all
 * read does not travel between processors. */
static inline void stamp(bl_dict *dict, bl_shard *shard, bl_entry *entry, uint64_t mark)
{
    uint32_t clock = __atomic_load_n(&shard->clock, __ATOMIC_RELAXED);

    if ((uint32_t)mark == clock)
        return;
    if (dict->shard_bits == 0)
        __atomic_store_n(&shard->clock, ++clock, __ATOMIC_RELAXED);
    __atomic_compare_exchange_n(&entry->mark, &mark, (mark >> 32) << 32 | clock, false,
                                __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

typedef struct reading {
    bl_dict *dict;
    bl_shard *shard;
    uint64_t hash;
    uint64_t now;
    bl_str key;
    char *buffer;
    size_t room;
    bl_dict_value *value;
    bool stale_too;
    bool stale;
} reading;

static inline bl_dict_result read_entry(reading *r, const bl_entry *entry)
{
    r->stale = bl_entry_expired(entry, r->now);
    if (r->stale && !r->stale_too)
        return BL_DICT_NOT_FOUND;
    return copy_value(r->dict, entry, r->key.len, r->buffer, r->room, r->value);
}

static BL_COLD bl_dict_result read_locked(reading *r)
{
    bl_dict_result result = BL_DICT_NOT_FOUND;
    bl_entry *entry;

    bl_shard_lock(r->dict, r->shard);
    entry = bl_shard_find(r->dict, r->shard, r->hash, r->key);
    if (entry) {
        result = read_entry(r, entry);
        bl_shard_use(r->shard, entry);
    }
    bl_shard_unlock(r->shard);
    return result;
}

static inline void pause_a_moment(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

static inline BL_HOT bl_dict_result read_value(reading *r)
{
    bl_shard *shard = r->shard;
    uint64_t mark = 0;
    bl_entry *entry = NULL;
    bl_dict_result result;
    uint32_t seq;
    look seen;
    int tries;

    for (tries = 0; tries < READ_TRIES; tries++) {
        result = BL_DICT_NOT_FOUND;
        seq = __atomic_load_n(&shard->seq, __ATOMIC_ACQUIRE);
        seen = seq % 2 ? LOOK_LOST : look_up(r->dict, shard, r->hash, r->key, &entry);
        if (seen == LOOK_FOUND) {
            mark = __atomic_load_n(&entry->mark, __ATOMIC_RELAXED);
            result = read_entry(r, entry);
        }
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
        if (BL_LIKELY(seen != LOOK_LOST && __atomic_load_n(&shard->seq, __ATOMIC_RELAXED) == seq)) {
            if (seen == LOOK_FOUND)
                stamp(r->dict, shard, entry, mark);
            return result;
        }
        pause_a_moment();
    }
    return read_locked(r);
}

bl_dict_result bl_dict_get(bl_dict *dict, bl_str key, uint64_t now, char *buffer, size_t room,
                           bl_dict_value *value)
{
    bl_dict_result result = bl_dict_check_key(dict, key);
    reading r = {.dict = dict, .now = now, .key = key, .buffer = buffer, .room = room};

    if (result != BL_DICT_OK)
        return result;
    r.hash = bl_shard_hash(dict, key);
    r.shard = bl_shard_of(dict, r.hash);
    r.value = value;
    return read_value(&r);
}

bl_dict_result bl_dict_get_stale(bl_dict *dict, bl_str key, uint64_t now, char *buffer, size_t room,
                                 bl_dict_value *value, bool *stale)
{
    bl_dict_result result = bl_dict_check_key(dict, key);
    reading r = {.dict = dict, .now = now, .key = key, .buffer = buffer, .room = room};

    if (result != BL_DICT_OK)
        return result;
    r.hash = bl_shard_hash(dict, key);
    r.shard = bl_shard_of(dict, r.hash);
    r.value = value;
    r.stale_too = true;
    result = read_value(&r);
    *stale = r.stale;
    return result;
}

bl_dict_result bl_dict_ttl(bl_dict *dict, bl_str key, uint64_t now, uint64_t *ttl)
{
    bl_dict_result result = bl_dict_check_key(dict, key);
    bl_entry *entry;
    bl_shard *shard;
    uint64_t hash;

    if (result != BL_DICT_OK)
        return result;
    hash = bl_shard_hash(dict, key);
    shard = bl_shard_of(dict, hash);
    bl_shard_lock(dict, shard);
    entry = bl_shard_find(dict, shard, hash, key);
    if (!entry || bl_entry_expired(entry, now))
        result = BL_DICT_NOT_FOUND;
    else
        *ttl = entry->expires ? entry->expires - now : 0;
    bl_shard_unlock(shard);
    return result;
}

size_t bl_dict_capacity(const bl_dict *dict)
{
    return dict->size;
}

size_t bl_dict_free_space(const bl_dict *dict)
{
    return bl_slab_free_space(dict->slab);
}
