/* The consistency check that tests run after processes have died: with all shards locked, each
 * chunk is looked at once, and every list of the shards is walked and compared with what was seen.
 */
#include "core/shard.h"

typedef struct verification {
    bl_dict *dict;
    const char *wrong;
    uint32_t entries[BL_SHARD_MAX];
    uint32_t rings[BL_SHARD_MAX];
    uint64_t nodes;  /* seen as chunks */
    uint64_t listed; /* reached from lists */
} verification;

static const char *verify_list(verification *v, const bl_shard *shard, const bl_entry *entry)
{
    bl_ref ref, prev = 0;
    uint32_t count = 0;

    for (ref = entry->first; ref != 0; prev = ref, ref = bl_shard_node(v->dict, ref)->next) {
        const bl_node *node = bl_shard_node(v->dict, ref);

        if (!bl_slab_owns(v->dict->slab, &shard->heap, ref) || node->tag != BL_TAG_NODE)
            return "dict: a list leads astray";
        if (node->prev != prev || node->owner != bl_slab_ref(v->dict->slab, entry))
            return "dict: a list's node is linked wrongly";
        if (++count > entry->size)
            return "dict: a list is longer than it says";
    }
    v->listed += count;
    if (count != entry->size || count == 0 || entry->last != prev)
        return "dict: a list is not as it says";
    return NULL;
}

static const char *verify_entry(verification *v, bl_entry *entry)
{
    bl_dict *dict = v->dict;
    bl_str key = bl_str_of(entry->data, entry->key_size);
    uint64_t hash = bl_shard_hash(dict, key);
    bl_shard *shard = bl_shard_of(dict, hash);
    size_t value = entry->type == BL_DICT_STRING ? entry->size : 0;

    v->entries[shard - dict->shards]++;
    if (!bl_slab_owns(dict->slab, &shard->heap, bl_slab_ref(dict->slab, entry)))
        return "dict: an entry is on a page of another shard";
    if (bl_entry_size(key.len, value) > bl_slab_room(dict->slab, entry))
        return "dict: an entry is larger than its chunk";
    if (entry->type == BL_DICT_NIL || entry->type > BL_DICT_LIST)
        return "dict: an entry has no type";
    if (entry->mark >> 32 != hash >> 32 || bl_shard_find(dict, shard, hash, key) != entry)
        return "dict: an entry is not found by its key";
    if (entry->expires != 0 && entry->expires < shard->soonest)
        return "dict: an entry expires before the soonest";
    return entry->type == BL_DICT_LIST ? verify_list(v, shard, entry) : NULL;
}

static void verify_chunk(void *arg, void *chunk)
{
    verification *v = arg;
    const char *wrong = NULL;
    uint32_t page = bl_slab_page_of(v->dict->slab, chunk);

    switch (bl_slab_tag(chunk)) {
    case BL_TAG_ENTRY:
        wrong = verify_entry(v, chunk);
        break;
    case BL_TAG_NODE:
        v->nodes++;
        break;
    case BL_TAG_RING:
        if (page < bl_dict_shards(v->dict))
            v->rings[page]++;
        break;
    default:
        wrong = "dict: a chunk is neither entry nor node";
    }
    if (!v->wrong)
        v->wrong = wrong;
}

static uint32_t count_indexed(const bl_dict *dict, const bl_shard *shard)
{
    uint32_t slot, count = 0;
    bl_ref ref;

    for (slot = 0; slot <= dict->slot_mask; slot++)
        for (ref = shard->slots[slot]; ref != 0; ref = bl_shard_entry(dict, ref)->next)
            if (++count > shard->count)
                return count;
    return count;
}

/* Entries in the ring; UINT32_MAX when its two directions differ. */
static uint32_t count_ring(const bl_dict *dict, const bl_shard *shard)
{
    bl_ref ref = shard->ring;
    uint32_t count = 0;

    do {
        bl_ref newer = bl_shard_entry(dict, ref)->newer;

        if (bl_shard_entry(dict, newer)->older != ref || count > shard->count)
            return UINT32_MAX;
        ref = newer;
        count++;
    } while (ref != shard->ring);
    return count - 1;
}

static const char *verify_shard(const verification *v, uint32_t i)
{
    const bl_shard *shard = &v->dict->shards[i];

    if (shard->seq % 2 != 0)
        return "dict: a shard is being written";
    if (v->rings[i] != 1)
        return "dict: a shard has lost its ring";
    if (v->entries[i] != shard->count)
        return "dict: a shard counts its entries wrongly";
    if (count_indexed(v->dict, shard) != shard->count)
        return "dict: the index is not what the pages hold";
    if (count_ring(v->dict, shard) != shard->count)
        return "dict: the ring is not what the pages hold";
    return NULL;
}

const char *bl_dict_verify(bl_dict *dict)
{
    verification v = {.dict = dict};
    bl_slab_heap *heaps[BL_SHARD_MAX];
    uint32_t i;

    bl_shard_lock_all(dict);
    for (i = 0; i < bl_dict_shards(dict); i++)
        heaps[i] = &dict->shards[i].heap;
    v.wrong = bl_slab_verify(dict->slab, heaps, i);
    if (!v.wrong)
        bl_slab_window_each(dict->slab, 0, dict->slab->pages, verify_chunk, &v);
    if (!v.wrong && v.nodes != v.listed)
        v.wrong = "dict: nodes belong to no list";
    for (i = 0; !v.wrong && i < bl_dict_shards(dict); i++)
        v.wrong = verify_shard(&v, i);
    bl_shard_unlock_all(dict);
    return v.wrong;
}
