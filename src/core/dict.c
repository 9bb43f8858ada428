#include "core/dict.h"
#include "core/shard.h"

#include <sys/random.h>

enum {
    READ_TRIES = 64,  /* before a reader takes the lock */
    CHAIN_STEPS = 64, /* that a reader goes without the lock */
    FLUSH_SLOTS = 1024,
    KEYS_BUFFER = 2 * (BL_DICT_KEY_MAX + 1),
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

typedef enum store_mode {
    STORE_SET,
    STORE_ADD,
    STORE_REPLACE,
} store_mode;

/* An operation that stores a value. */
typedef struct storing {
    bl_dict *dict;
    bl_shard *shard;
    uint64_t hash;
    bl_str key;
    bl_dict_value value;
    uint64_t expires;
    store_mode mode;
    bl_need need;
} storing;

static size_t value_size(const bl_dict_value *value)
{
    return value->type == BL_DICT_STRING ? value->str.len : 0;
}

static void write_value(const storing *st, bl_entry *entry)
{
    entry->type = (uint8_t)st->value.type;
    entry->flags = st->value.flags;
    entry->number = bl_double_bits(st->value.number);
    entry->size = (uint32_t)value_size(&st->value);
    if (entry->size)
        memcpy(entry->data + st->key.len, st->value.str.p, entry->size);
    bl_shard_set_expiry(st->shard, entry, st->expires);
}

static void overwrite(storing *st, bl_entry *entry)
{
    bl_shard *shard = st->shard;

    bl_shard_write_begin(shard);
    bl_slab_set_tag(entry, BL_SLAB_TORN);
    if (entry->type == BL_DICT_LIST)
        bl_shard_free_list(st->dict, shard, entry);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    write_value(st, entry);
    bl_slab_set_tag(entry, BL_TAG_ENTRY);
    bl_shard_write_end(shard);
    bl_shard_use(shard, entry);
}

static bool holds_entries(const bl_dict *dict)
{
    uint32_t i, count = 0;

    for (i = 0; i < bl_dict_shards(dict); i++)
        count |= __atomic_load_n(&dict->shards[i].count, __ATOMIC_RELAXED);
    return count != 0;
}

/* A chunk for the value, with *old, which it replaces, removed if that is what it takes. */
static bl_entry *obtain(storing *st, bl_entry **old)
{
    size_t size = value_size(&st->value);
    bl_need without = st->need;
    bl_entry *entry;

    if (*old == NULL || !st->need.evict || !st->need.all) {
        st->need.keep = *old;
        return bl_shard_new_entry(st->dict, st->shard, st->key, size, &st->need);
    }
    without.evict = false;
    entry = bl_shard_new_entry(st->dict, st->shard, st->key, size, &without);
    if (entry)
        return entry;
    bl_shard_remove(st->dict, st->shard, *old);
    *old = NULL;
    st->need.keep = NULL;
    return bl_shard_new_entry(st->dict, st->shard, st->key, size, &st->need);
}

static bl_dict_result store_new(storing *st, bl_entry *old)
{
    size_t size = bl_entry_size(st->key.len, value_size(&st->value));
    bl_entry *entry;

    if (size > st->dict->largest) {
        st->need.forcible = st->need.evict && holds_entries(st->dict);
        return BL_DICT_NO_MEMORY;
    }
    if (old && bl_entry_expired(old, st->need.now)) {
        bl_shard_remove(st->dict, st->shard, old);
        old = NULL;
    }
    entry = obtain(st, &old);
    if (!entry)
        return BL_DICT_NO_MEMORY;
    write_value(st, entry);
    if (old)
        bl_shard_remove(st->dict, st->shard, old);
    bl_shard_insert(st->dict, st->shard, entry, st->hash);
    return BL_DICT_OK;
}

static bl_dict_result store_locked(storing *st)
{
    bl_entry *old = bl_shard_find(st->dict, st->shard, st->hash, st->key);
    bool alive = old && !bl_entry_expired(old, st->need.now);

    if (st->mode == STORE_ADD && alive)
        return BL_DICT_EXISTS;
    if (st->mode == STORE_REPLACE && !alive)
        return BL_DICT_NOT_FOUND;
    if (!old ||
        !bl_slab_suits(st->dict->slab, old, bl_entry_size(st->key.len, value_size(&st->value))))
        return store_new(st, old);
    overwrite(st, old);
    return BL_DICT_OK;
}

static void storing_lock(storing *st)
{
    st->need.blocked = false;
    if (st->need.all)
        bl_shard_lock_all(st->dict);
    else
        bl_shard_lock(st->dict, st->shard);
    st->need.all = st->need.all || st->dict->shard_bits == 0;
}

/* Returns whether the operation is to be done again, with all locks. */
static bool storing_unlock(storing *st)
{
    bool again = st->need.blocked;

    if (st->need.all)
        bl_shard_unlock_all(st->dict);
    else
        bl_shard_unlock(st->shard);
    BL_ASSERT(!again || !st->need.all);
    st->need.all = again;
    return again;
}

static uint64_t expiry(uint64_t ttl, uint64_t now)
{
    uint64_t expires = now + ttl;

    if (ttl == 0)
        return 0;
    return expires < now ? UINT64_MAX : expires;
}

static void storing_begin(storing *st, bl_dict *dict, bl_str key, uint64_t ttl, uint64_t now)
{
    st->dict = dict;
    st->key = key;
    st->hash = bl_shard_hash(dict, key);
    st->shard = bl_shard_of(dict, st->hash);
    st->expires = expiry(ttl, now);
    st->need.now = now;
}

static bl_dict_result store(bl_dict *dict, bl_str key, const bl_dict_value *value, uint64_t ttl,
                            uint64_t now, store_mode mode, bool safe, bool *forcible)
{
    storing st = {.value = *value, .mode = mode, .need.evict = !safe};
    bl_dict_result result = bl_dict_check_key(dict, key);

    if (forcible)
        *forcible = false;
    if (result != BL_DICT_OK)
        return result;
    if (value->type == BL_DICT_NIL)
        return mode == STORE_SET ? bl_dict_delete(dict, key) : BL_DICT_NIL_VALUE;
    if (value->type >= BL_DICT_LIST)
        return BL_DICT_BAD_TYPE;
    storing_begin(&st, dict, key, ttl, now);
    do {
        storing_lock(&st);
        result = store_locked(&st);
    } while (storing_unlock(&st));
    if (forcible)
        *forcible = st.need.forcible;
    return result;
}

bl_dict_result bl_dict_set(bl_dict *dict, bl_str key, const bl_dict_value *value, uint64_t ttl,
                           uint64_t now, bool *forcible)
{
    return store(dict, key, value, ttl, now, STORE_SET, false, forcible);
}

bl_dict_result bl_dict_add(bl_dict *dict, bl_str key, const bl_dict_value *value, uint64_t ttl,
                           uint64_t now, bool *forcible)
{
    return store(dict, key, value, ttl, now, STORE_ADD, false, forcible);
}

bl_dict_result bl_dict_replace(bl_dict *dict, bl_str key, const bl_dict_value *value, uint64_t ttl,
                               uint64_t now, bool *forcible)
{
    return store(dict, key, value, ttl, now, STORE_REPLACE, false, forcible);
}

bl_dict_result bl_dict_safe_set(bl_dict *dict, bl_str key, const bl_dict_value *value, uint64_t ttl,
                                uint64_t now)
{
    return store(dict, key, value, ttl, now, STORE_SET, true, NULL);
}

bl_dict_result bl_dict_safe_add(bl_dict *dict, bl_str key, const bl_dict_value *value, uint64_t ttl,
                                uint64_t now)
{
    return store(dict, key, value, ttl, now, STORE_ADD, true, NULL);
}

bl_dict_result bl_dict_delete(bl_dict *dict, bl_str key)
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
    if (entry)
        bl_shard_remove(dict, shard, entry);
    bl_shard_unlock(shard);
    return BL_DICT_OK;
}

/* Adds to a number that is there; readers see the old or the new one. */
static bl_dict_result add_to(bl_shard *shard, bl_entry *entry, double by, double *result)
{
    if (entry->type != BL_DICT_NUMBER)
        return BL_DICT_NOT_NUMBER;
    *result = bl_double_of(entry->number) + by;
    __atomic_store_n(&entry->number, bl_double_bits(*result), __ATOMIC_RELAXED);
    bl_shard_use(shard, entry);
    return BL_DICT_OK;
}

/* The way of incr when there is no number yet. */
static BL_COLD bl_dict_result incr_from(bl_dict *dict, bl_str key, double by, double init,
                                        uint64_t init_ttl, uint64_t now, double *result,
                                        bool *forcible)
{
    storing st = {.value = {.type = BL_DICT_NUMBER, .number = init + by}, .need.evict = true};
    bl_dict_result outcome;
    bl_entry *entry;

    storing_begin(&st, dict, key, init_ttl, now);
    *result = st.value.number;
    do {
        storing_lock(&st);
        entry = bl_shard_find(dict, st.shard, st.hash, key);
        if (entry && !bl_entry_expired(entry, now))
            outcome = add_to(st.shard, entry, by, result);
        else
            outcome = store_locked(&st);
    } while (storing_unlock(&st));
    if (forcible)
        *forcible = st.need.forcible;
    return outcome;
}

bl_dict_result bl_dict_incr(bl_dict *dict, bl_str key, double by, const double *init,
                            uint64_t init_ttl, uint64_t now, double *result, bool *forcible)
{
    bl_dict_result outcome = bl_dict_check_key(dict, key);
    bl_shard *shard;
    bl_entry *entry;
    uint64_t hash;

    if (forcible)
        *forcible = false;
    if (outcome != BL_DICT_OK)
        return outcome;
    hash = bl_shard_hash(dict, key);
    shard = bl_shard_of(dict, hash);
    bl_shard_lock(dict, shard);
    entry = bl_shard_find(dict, shard, hash, key);
    outcome = BL_DICT_NOT_FOUND;
    if (entry && !bl_entry_expired(entry, now))
        outcome = add_to(shard, entry, by, result);
    bl_shard_unlock(shard);
    if (BL_LIKELY(outcome != BL_DICT_NOT_FOUND) || !init)
        return outcome;
    return incr_from(dict, key, by, *init, init_ttl, now, result, forcible);
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

bl_dict_result bl_dict_expire(bl_dict *dict, bl_str key, uint64_t ttl, uint64_t now)
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
    if (!entry || bl_entry_expired(entry, now)) {
        result = BL_DICT_NOT_FOUND;
    } else {
        bl_shard_set_expiry(shard, entry, expiry(ttl, now));
        bl_shard_use(shard, entry);
    }
    bl_shard_unlock(shard);
    return result;
}

static void flush_slots(bl_dict *dict, bl_shard *shard, uint32_t first, uint32_t end)
{
    bl_ref ref;

    for (; first < end; first++)
        for (ref = shard->slots[first]; ref != 0; ref = bl_shard_entry(dict, ref)->next)
            bl_shard_set_expiry(shard, bl_shard_entry(dict, ref), 1);
}

void bl_dict_flush_all(bl_dict *dict)
{
    uint32_t i, slot, slots = dict->slot_mask + 1;

    for (i = 0; i < bl_dict_shards(dict); i++)
        for (slot = 0; slot < slots; slot += FLUSH_SLOTS) {
            bl_shard_lock(dict, &dict->shards[i]);
            flush_slots(dict, &dict->shards[i], slot, BL_MIN(slot + FLUSH_SLOTS, slots));
            bl_shard_unlock(&dict->shards[i]);
        }
}

uint64_t bl_dict_flush_expired(bl_dict *dict, uint64_t max, uint64_t now)
{
    uint32_t i, slot, slots = dict->slot_mask + 1;
    uint64_t flushed = 0;

    if (max == 0)
        max = UINT64_MAX;
    for (i = 0; i < bl_dict_shards(dict); i++)
        for (slot = 0; slot < slots && flushed < max; slot += FLUSH_SLOTS) {
            bl_shard_lock(dict, &dict->shards[i]);
            flushed += bl_shard_sweep(dict, &dict->shards[i], FLUSH_SLOTS, max - flushed, now);
            bl_shard_unlock(&dict->shards[i]);
        }
    return flushed;
}

/* Where a walk over all keys stands, and what it has copied: a size (16 bits) and a key each. */
typedef struct key_walk {
    uint32_t shard;
    uint32_t slot;
    uint32_t skip; /* entries of the slot that were delivered */
    size_t used;
    char buffer[KEYS_BUFFER];
} key_walk;

/* Copies the rest of a chain's keys. A chain that does not fit behind others waits for an empty
 * buffer; one that does not fit even there (a few huge keys) is delivered in parts. */
static bool copy_chain(bl_dict *dict, key_walk *walk, bl_ref ref, uint64_t now)
{
    size_t begin = walk->used;
    uint32_t passed = 0;

    for (; ref != 0; ref = bl_shard_entry(dict, ref)->next, passed++) {
        bl_entry *entry = bl_shard_entry(dict, ref);

        if (passed < walk->skip || bl_entry_expired(entry, now))
            continue;
        if (walk->used + sizeof(uint16_t) + entry->key_size > sizeof(walk->buffer)) {
            walk->used = begin ? begin : walk->used;
            walk->skip = begin ? walk->skip : passed;
            return false;
        }
        memcpy(walk->buffer + walk->used, &entry->key_size, sizeof(uint16_t));
        memcpy(walk->buffer + walk->used + sizeof(uint16_t), entry->data, entry->key_size);
        walk->used += sizeof(uint16_t) + entry->key_size;
    }
    return true;
}

static void gather_keys(bl_dict *dict, key_walk *walk, uint64_t now)
{
    bl_shard *shard = &dict->shards[walk->shard];
    uint32_t slots = dict->slot_mask + 1, end = BL_MIN(walk->slot + FLUSH_SLOTS, slots);

    walk->used = 0;
    bl_shard_lock(dict, shard);
    while (walk->slot < end && copy_chain(dict, walk, shard->slots[walk->slot], now)) {
        walk->slot++;
        walk->skip = 0;
    }
    bl_shard_unlock(shard);
    if (walk->slot == slots) {
        walk->slot = 0;
        walk->shard++;
    }
}

void bl_dict_keys(bl_dict *dict, uint64_t max, uint64_t now, bl_dict_visit *visit, void *arg)
{
    key_walk walk;
    uint64_t visited = 0;
    uint16_t size;
    size_t at;

    walk.shard = walk.slot = walk.skip = 0;
    while (walk.shard < bl_dict_shards(dict)) {
        gather_keys(dict, &walk, now);
        for (at = 0; at < walk.used; at += sizeof(size) + size) {
            memcpy(&size, walk.buffer + at, sizeof(size));
            if (!visit(arg, bl_str_of(walk.buffer + at + sizeof(size), size)))
                return;
            if (++visited == max)
                return;
        }
    }
}

size_t bl_dict_capacity(const bl_dict *dict)
{
    return dict->size;
}

size_t bl_dict_free_space(const bl_dict *dict)
{
    return bl_slab_free_space(dict->slab);
}
