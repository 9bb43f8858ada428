/* The operations of a dictionary that store, change and remove values. Each runs under its shard's
 * lock; one that can't get memory there runs once more with all locks (see bl_shard_obtain). */
#include "core/dict.h"
#include "core/shard.h"

typedef enum store_mode {
    STORE_SET,
    STORE_ADD,
    STORE_REPLACE,
    STORE_SWAP,
} store_mode;

/* An operation that stores a value. */
typedef struct storing {
    bl_dict *dict;
    bl_shard *shard;
    uint64_t hash;
    bl_str key;
    bl_dict_value value;
    const bl_dict_value *expected; /* of STORE_SWAP */
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

static bool equals(const bl_entry *entry, size_t key_size, const bl_dict_value *value)
{
    if (entry == NULL || value->type == BL_DICT_NIL)
        return entry == NULL && value->type == BL_DICT_NIL;
    if (entry->type != value->type)
        return false;
    if (value->type == BL_DICT_STRING)
        return entry->size == value->str.len &&
               memcmp(entry->data + key_size, value->str.p, value->str.len) == 0;
    return bl_double_of(entry->number) == value->number;
}

static bl_dict_result remove_locked(storing *st, bl_entry *entry)
{
    if (entry)
        bl_shard_remove(st->dict, st->shard, entry);
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
    if (st->mode == STORE_SWAP && !equals(alive ? old : NULL, st->key.len, st->expected))
        return BL_DICT_CHANGED;
    if (st->value.type == BL_DICT_NIL)
        return remove_locked(st, old);
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

static bl_dict_result run(storing *st, bl_dict *dict, bl_str key, uint64_t ttl, uint64_t now,
                          bool *forcible)
{
    bl_dict_result result;

    storing_begin(st, dict, key, ttl, now);
    do {
        storing_lock(st);
        result = store_locked(st);
    } while (storing_unlock(st));
    if (forcible)
        *forcible = st->need.forcible;
    return result;
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
    return run(&st, dict, key, ttl, now, forcible);
}

bl_dict_result bl_dict_swap(bl_dict *dict, bl_str key, const bl_dict_value *expected,
                            const bl_dict_value *value, uint64_t ttl, uint64_t now, bool *forcible)
{
    storing st = {.value = *value, .expected = expected, .mode = STORE_SWAP, .need.evict = true};
    bl_dict_result result = bl_dict_check_key(dict, key);

    if (forcible)
        *forcible = false;
    if (result != BL_DICT_OK)
        return result;
    if (value->type >= BL_DICT_LIST || expected->type >= BL_DICT_LIST)
        return BL_DICT_BAD_TYPE;
    return run(&st, dict, key, ttl, now, forcible);
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

/* Adds to a number that is there; readers see the old or the new one. `expires` NULL: as it is. */
static bl_dict_result add_to(bl_shard *shard, bl_entry *entry, double by, const uint64_t *expires,
                             double *result)
{
    if (entry->type != BL_DICT_NUMBER)
        return BL_DICT_NOT_NUMBER;
    *result = bl_double_of(entry->number) + by;
    __atomic_store_n(&entry->number, bl_double_bits(*result), __ATOMIC_RELAXED);
    if (expires)
        bl_shard_set_expiry(shard, entry, *expires);
    bl_shard_use(shard, entry);
    return BL_DICT_OK;
}

/* The way of incr when there is no number yet. */
static BL_COLD bl_dict_result incr_from(bl_dict *dict, bl_str key, double by, double init,
                                        uint64_t init_ttl, const uint64_t *expires, uint64_t now,
                                        double *result, bool *forcible)
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
            outcome = add_to(st.shard, entry, by, expires, result);
        else
            outcome = store_locked(&st);
    } while (storing_unlock(&st));
    if (forcible)
        *forcible = st.need.forcible;
    return outcome;
}

static inline bl_dict_result incr(bl_dict *dict, bl_str key, double by, const double *init,
                                  uint64_t init_ttl, const uint64_t *expires, uint64_t now,
                                  double *result, bool *forcible)
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
        outcome = add_to(shard, entry, by, expires, result);
    bl_shard_unlock(shard);
    if (BL_LIKELY(outcome != BL_DICT_NOT_FOUND) || !init)
        return outcome;
    return incr_from(dict, key, by, *init, init_ttl, expires, now, result, forcible);
}

bl_dict_result bl_dict_incr(bl_dict *dict, bl_str key, double by, const double *init,
                            uint64_t init_ttl, uint64_t now, double *result, bool *forcible)
{
    return incr(dict, key, by, init, init_ttl, NULL, now, result, forcible);
}

bl_dict_result bl_dict_incr_ttl(bl_dict *dict, bl_str key, double by, const double *init,
                                uint64_t ttl, uint64_t now, double *result, bool *forcible)
{
    uint64_t expires = expiry(ttl, now);

    return incr(dict, key, by, init, ttl, &expires, now, result, forcible);
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
