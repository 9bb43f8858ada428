/* What happens when the owner of a shard's lock died: the chunks of the shard's pages are all that
 * is believed. Three walks over them:
 *
 *   1. Entries whose fields or hash make no sense are dropped (none should be: an entry's tag is
 * set after all else). Nodes of lists become "lost".
 *   2. Each entry goes back into the index and the ring. A list is followed from its first node by
 *      `next`, up to the first node that is not a lost one of this entry; what is reached is a node
 *      again, and `prev`, `last` and the length are computed.
 *   3. What is still lost, and what is torn, is free. The heap's lists are made anew.
 *
 * Last, the ring is sorted by the entries' stamps. A process that dies in here leaves nothing that
 * the next walk would not take the same way. Readers wait meanwhile: `seq` is odd. */
#include "core/shard.h"

typedef struct rebuild {
    bl_dict *dict;
    bl_shard *shard;
} rebuild;

static bool entry_whole(const rebuild *rb, const bl_entry *entry)
{
    bl_dict *dict = rb->dict;
    size_t value = entry->type == BL_DICT_STRING ? entry->size : 0;
    uint64_t hash;

    if (entry->key_size == 0 || entry->type == BL_DICT_NIL || entry->type > BL_DICT_LIST ||
        bl_entry_size(entry->key_size, value) > bl_slab_room(dict->slab, entry))
        return false;
    hash = bl_shard_hash(dict, bl_str_of(entry->data, entry->key_size));
    return entry->mark >> 32 == hash >> 32 && bl_shard_of(dict, hash) == rb->shard;
}

static void sift(void *arg, void *chunk)
{
    uint32_t tag = bl_slab_tag(chunk);

    if (tag == BL_TAG_NODE)
        bl_slab_set_tag(chunk, BL_TAG_LOST);
    else if (tag == BL_TAG_ENTRY && !entry_whole(arg, chunk))
        bl_slab_set_tag(chunk, BL_SLAB_TORN);
}

/* The lost node of `entry` at `ref`, or NULL. */
static bl_node *lost_node(const rebuild *rb, const bl_entry *entry, bl_ref ref)
{
    const bl_slab *slab = rb->dict->slab;
    bl_node *node = bl_shard_node(rb->dict, ref);

    if (ref == 0 || !bl_slab_owns(slab, &rb->shard->heap, ref) ||
        bl_slab_tag(node) != BL_TAG_LOST || node->owner != bl_slab_ref(slab, entry) ||
        sizeof(bl_node) + (node->size_type & ~BL_NODE_NUMBER) > bl_slab_room(slab, node))
        return NULL;
    return node;
}

static void relink_list(const rebuild *rb, bl_entry *entry)
{
    bl_ref *link = &entry->first, last = 0;
    bl_node *node;

    entry->size = 0;
    while ((node = lost_node(rb, entry, *link)) != NULL) {
        bl_slab_set_tag(node, BL_TAG_NODE);
        node->prev = last;
        last = *link;
        entry->size++;
        link = &node->next;
    }
    *link = 0;
    entry->last = last;
}

static void restore(void *arg, void *chunk)
{
    rebuild *rb = arg;
    bl_entry *entry = chunk;

    if (bl_slab_tag(chunk) != BL_TAG_ENTRY)
        return;
    if (entry->type == BL_DICT_LIST) {
        relink_list(rb, entry);
        if (entry->size == 0) {
            bl_slab_set_tag(entry, BL_SLAB_TORN);
            return;
        }
    }
    bl_shard_set_expiry(rb->shard, entry, entry->expires);
    bl_shard_index(rb->dict, rb->shard, entry);
    bl_shard_ring_add(rb->dict, rb->shard, entry);
}

static void drop_lost(void *arg BL_UNUSED, void *chunk)
{
    if (bl_slab_tag(chunk) == BL_TAG_LOST)
        bl_slab_set_tag(chunk, BL_SLAB_TORN);
}

/* Takes `count` entries off the chain at *from (by `newer`) and returns them as a chain. */
static bl_ref cut(const bl_dict *dict, bl_ref *from, uint32_t count)
{
    bl_ref first = *from, *end = from;

    while (count-- > 0 && *end != 0)
        end = &bl_shard_entry(dict, *end)->newer;
    *from = *end;
    *end = 0;
    return from == end ? 0 : first;
}

/* Merges two sorted chains onto *tail; returns the new tail. */
static bl_ref *merge(const bl_dict *dict, bl_ref a, bl_ref b, bl_ref *tail)
{
    while (a != 0 || b != 0) {
        bl_entry *x = bl_shard_entry(dict, a), *y = bl_shard_entry(dict, b);
        bool left = b == 0 || (a != 0 && (int32_t)(x->placed - y->placed) <= 0);

        *tail = left ? a : b;
        tail = left ? &x->newer : &y->newer;
        a = left ? x->newer : a;
        b = left ? b : y->newer;
    }
    return tail;
}

/* A merge sort of a chain by `placed`, bottom up. */
static bl_ref sort_chain(const bl_dict *dict, bl_ref chain, uint32_t count)
{
    uint32_t width;

    for (width = 1; width < count; width *= 2) {
        bl_ref sorted = 0, *tail = &sorted;

        while (chain != 0) {
            bl_ref a = cut(dict, &chain, width), b = cut(dict, &chain, width);

            tail = merge(dict, a, b, tail);
        }
        *tail = 0;
        chain = sorted;
    }
    return chain;
}

static void sort_ring(bl_dict *dict, bl_shard *shard)
{
    bl_entry *ring = bl_shard_entry(dict, shard->ring);
    bl_ref ref, next;

    bl_shard_entry(dict, ring->older)->newer = 0;
    ref = sort_chain(dict, ring->newer, shard->count);
    ring->newer = ring->older = shard->ring;
    for (; ref != 0; ref = next) {
        bl_entry *entry = bl_shard_entry(dict, ref);

        next = entry->newer;
        bl_shard_ring_add(dict, shard, entry);
    }
}

static void clear(bl_dict *dict, bl_shard *shard)
{
    bl_entry *ring = bl_shard_entry(dict, shard->ring);

    memset(shard->slots, 0, ((size_t)dict->slot_mask + 1) * sizeof(*shard->slots));
    ring->newer = ring->older = shard->ring;
    shard->count = 0;
    shard->sweep_slot = 0;
    shard->soonest = shard->swept_soonest = UINT64_MAX;
}

void bl_shard_rebuild(bl_dict *dict, bl_shard *shard)
{
    rebuild rb = {dict, shard};

    if (shard->seq % 2 == 0)
        bl_shard_write_begin(shard);
    clear(dict, shard);
    bl_slab_heap_gather(dict->slab, &shard->heap);
    bl_slab_heap_each(dict->slab, &shard->heap, sift, &rb);
    bl_slab_heap_each(dict->slab, &shard->heap, restore, &rb);
    bl_slab_heap_each(dict->slab, &shard->heap, drop_lost, &rb);
    bl_slab_heap_rebuild(dict->slab, &shard->heap);
    if (shard->count > 1)
        sort_ring(dict, shard);
    bl_shard_write_end(shard);
}
