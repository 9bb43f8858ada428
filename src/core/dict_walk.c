/* The operations that go over a whole dictionary. They hold a shard's lock for a stretch of its
 * index at a time, so that others wait microseconds, however large the zone is. */
#include "core/dict.h"
#include "core/shard.h"

enum {
    WALK_SLOTS = 1024, /* looked at with one taking of the lock */
    KEYS_BUFFER = 2 * (BL_DICT_KEY_MAX + 1),
};

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
        for (slot = 0; slot < slots; slot += WALK_SLOTS) {
            bl_shard_lock(dict, &dict->shards[i]);
            flush_slots(dict, &dict->shards[i], slot, BL_MIN(slot + WALK_SLOTS, slots));
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
        for (slot = 0; slot < slots && flushed < max; slot += WALK_SLOTS) {
            bl_shard_lock(dict, &dict->shards[i]);
            flushed += bl_shard_sweep(dict, &dict->shards[i], WALK_SLOTS, max - flushed, now);
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
    uint32_t slots = dict->slot_mask + 1, end = BL_MIN(walk->slot + WALK_SLOTS, slots);

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
