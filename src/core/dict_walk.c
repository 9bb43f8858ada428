/* The operations that go over a whole dictionary. They hold a shard's lock for a stretch of its
 * index at a time, so that others wait microseconds, however large the zone is. */
#include "core/dict.h"
#include "core/mem.h"
#include "core/shard.h"

#include <stdlib.h>

enum {
    WALK_SLOTS = 1024, /* looked at with one taking of the lock */
    SCAN_SLOTS = 64,   /* the same, where only some keys are asked for */
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

/* The next keys, of at most `stretch` slots. */
static void gather_keys(bl_dict *dict, key_walk *walk, uint32_t stretch, uint64_t now)
{
    bl_shard *shard = &dict->shards[walk->shard];
    uint32_t slots = dict->slot_mask + 1, end = BL_MIN(walk->slot + stretch, slots);

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

/* Hands out what was gathered, at most `max` keys; how many, or UINT64_MAX: it was told to stop. */
static uint64_t hand_out(const key_walk *walk, uint64_t max, bl_dict_visit *visit, void *arg)
{
    uint64_t count = 0;
    uint16_t size;

    for (size_t at = 0; at < walk->used && count < max; at += sizeof(size) + size, count++) {
        memcpy(&size, walk->buffer + at, sizeof(size));
        if (!visit(arg, bl_str_of((char *)walk->buffer + at + sizeof(size), size)))
            return UINT64_MAX;
    }
    return count;
}

void bl_dict_keys(bl_dict *dict, uint64_t max, uint64_t now, bl_dict_visit *visit, void *arg)
{
    uint64_t left = max ? max : UINT64_MAX - 1, count;
    key_walk walk;

    walk.shard = walk.slot = walk.skip = 0;
    while (walk.shard < bl_dict_shards(dict) && left > 0) {
        gather_keys(dict, &walk, WALK_SLOTS, now);
        count = hand_out(&walk, left, visit, arg);
        if (count == UINT64_MAX)
            return;
        left -= count;
    }
}

/* A cursor is the number of a slot, counted through all shards. A slot is never left half seen. */
uint64_t bl_dict_scan(bl_dict *dict, uint64_t cursor, uint64_t max, uint64_t now,
                      bl_dict_visit *visit, void *arg)
{
    uint64_t slots = (uint64_t)dict->slot_mask + 1, seen = 0, count;
    key_walk walk;

    if (cursor >= slots * bl_dict_shards(dict))
        return 0;
    walk.shard = (uint32_t)(cursor / slots);
    walk.slot = (uint32_t)(cursor % slots);
    walk.skip = 0;
    while (walk.shard < bl_dict_shards(dict) && (seen < max || walk.skip > 0)) {
        gather_keys(dict, &walk, SCAN_SLOTS, now);
        count = hand_out(&walk, UINT64_MAX - 1, visit, arg);
        if (count == UINT64_MAX)
            break;
        seen += count;
    }
    return walk.shard < bl_dict_shards(dict) ? walk.shard * slots + walk.slot : 0;
}

/* ------------------------------------------------------------- copying */

static void copy_list(bl_dict *from, bl_entry *entry, bl_dict *to, uint64_t now)
{
    bl_str key = bl_str_of(entry->data, entry->key_size);
    uint32_t length;

    for (bl_ref ref = entry->first; ref != 0; ref = bl_shard_node(from, ref)->next) {
        bl_node *node = bl_shard_node(from, ref);
        size_t size = node->size_type & ~BL_NODE_NUMBER;
        bl_dict_value value = {.type = BL_DICT_STRING, .str = bl_str_of(node->data, size)};
        if (node->size_type & BL_NODE_NUMBER) {
            value.type = BL_DICT_NUMBER;
            memcpy(&value.number, node->data, sizeof(double));
        }
        if (bl_dict_rpush(to, key, &value, now, &length) != BL_DICT_OK) {
            bl_dict_delete(to, key); /* all of a list, or nothing */
            return;
        }
    }
    if (entry->expires)
        bl_dict_expire(to, key, entry->expires - now, now);
}

static void copy_entry(bl_dict *from, bl_entry *entry, bl_dict *to, uint64_t now)
{
    bl_str key = bl_str_of(entry->data, entry->key_size);
    bl_dict_value value = {
        .type = entry->type, .flags = entry->flags, .number = bl_double_of(entry->number)};

    if (entry->type == BL_DICT_LIST) {
        copy_list(from, entry, to, now);
        return;
    }
    if (entry->type == BL_DICT_STRING)
        value.str = bl_str_of(entry->data + entry->key_size, entry->size);
    bl_dict_set(to, key, &value, entry->expires ? entry->expires - now : 0, now, NULL);
}

typedef struct aged {
    uint32_t age; /* by the shard's clock, since its last use */
    uint16_t key_size;
    size_t key_at; /* in the notes' keys */
} aged;

/* What a shard had when it was looked through, a stretch at a time: no lock is held over all of it.
 * Entries that go or change until they are copied are gone, or copied as they are then. */
typedef struct notes {
    aged *list;
    size_t count, room;
    char *keys;
    size_t keys_used, keys_room;
} notes;

static int oldest_first(const void *a, const void *b)
{
    uint32_t x = ((const aged *)a)->age, y = ((const aged *)b)->age;

    return (x < y) - (x > y);
}

static void note(notes *n, const bl_shard *shard, const bl_entry *entry)
{
    if (n->count == n->room) {
        n->room = n->room ? 2 * n->room : WALK_SLOTS;
        n->list = bl_realloc(n->list, bl_size_mul(n->room, sizeof *n->list));
    }
    if (n->keys_room - n->keys_used < entry->key_size) {
        n->keys_room = 2 * n->keys_room + BL_DICT_KEY_MAX + 1;
        n->keys = bl_realloc(n->keys, n->keys_room);
    }
    n->list[n->count++] =
        (aged){shard->clock - (uint32_t)entry->mark, entry->key_size, n->keys_used};
    memcpy(n->keys + n->keys_used, entry->data, entry->key_size);
    n->keys_used += entry->key_size;
}

static void note_slots(bl_dict *from, bl_shard *shard, uint32_t slot, uint64_t now, notes *n)
{
    uint32_t end = BL_MIN(slot + WALK_SLOTS, from->slot_mask + 1);

    bl_shard_lock(from, shard);
    for (; slot < end; slot++) {
        for (bl_ref ref = shard->slots[slot]; ref != 0; ref = bl_shard_entry(from, ref)->next) {
            if (!bl_entry_expired(bl_shard_entry(from, ref), now))
                note(n, shard, bl_shard_entry(from, ref));
        }
    }
    bl_shard_unlock(shard);
}

static void copy_noted(bl_dict *from, bl_shard *shard, bl_str key, bl_dict *to, uint64_t now)
{
    uint64_t hash = bl_shard_hash(from, key);

    bl_shard_lock(from, shard);
    bl_entry *entry = bl_shard_find(from, shard, hash, key);
    if (entry && !bl_entry_expired(entry, now))
        copy_entry(from, entry, to, now);
    bl_shard_unlock(shard);
}

void bl_dict_copy(bl_dict *from, bl_dict *to, uint64_t now)
{
    notes n = {0};

    for (uint32_t i = 0; i < bl_dict_shards(from); i++) {
        bl_shard *shard = &from->shards[i];
        n.count = n.keys_used = 0;
        for (uint32_t slot = 0; slot <= from->slot_mask; slot += WALK_SLOTS)
            note_slots(from, shard, slot, now, &n);
        if (n.count)
            qsort(n.list, n.count, sizeof *n.list, oldest_first);
        for (size_t at = 0; at < n.count; at++)
            copy_noted(from, shard, bl_str_of(n.keys + n.list[at].key_at, n.list[at].key_size), to,
                       now);
    }
    bl_free(n.list);
    bl_free(n.keys);
}

/* ------------------------------------------------------------- measuring */

static void measure_entry(bl_dict *dict, bl_entry *entry, uint64_t now, bl_dict_usage *usage)
{
    bl_ref ref = entry->type == BL_DICT_LIST ? entry->first : 0;

    usage->entries += !bl_entry_expired(entry, now);
    usage->expired += bl_entry_expired(entry, now);
    usage->used += entry->type == BL_DICT_STRING ? bl_entry_size(entry->key_size, entry->size)
                                                 : bl_entry_size(entry->key_size, 0);
    for (; ref != 0; ref = bl_shard_node(dict, ref)->next)
        usage->used += sizeof(bl_node) + (bl_shard_node(dict, ref)->size_type & ~BL_NODE_NUMBER);
}

void bl_dict_measure(bl_dict *dict, uint64_t now, bl_dict_usage *usage)
{
    uint32_t slots = dict->slot_mask + 1;

    *usage = (bl_dict_usage){.free = bl_slab_free_space(dict->slab)};
    usage->pages = (uint64_t)dict->slab->pages * BL_SLAB_PAGE;
    for (uint32_t i = 0; i < bl_dict_shards(dict); i++) {
        for (uint32_t slot = 0; slot < slots; slot += WALK_SLOTS) {
            bl_shard_lock(dict, &dict->shards[i]);
            for (uint32_t at = slot; at < BL_MIN(slot + WALK_SLOTS, slots); at++) {
                bl_ref ref = dict->shards[i].slots[at];
                for (; ref != 0; ref = bl_shard_entry(dict, ref)->next)
                    measure_entry(dict, bl_shard_entry(dict, ref), now, usage);
            }
            bl_shard_unlock(&dict->shards[i]);
        }
    }
}
