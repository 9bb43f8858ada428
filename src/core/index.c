#include "core/index.h"
#include "core/mem.h"

enum {
    FIRST_SLOTS = 16,
};

void bl_index_init(bl_index *index, bl_pool *pool)
{
    *index = (bl_index){.pool = pool};
}

/* The key's slot, or the free one where it would stand. */
static bl_index_slot *slot_of(const bl_index *index, bl_str key)
{
    uint32_t at = bl_hash(key.p, key.len) & index->mask;

    while (index->slots[at].value && !bl_str_eq(index->slots[at].key, key))
        at = (at + 1) & index->mask;
    return &index->slots[at];
}

void *bl_index_find(const bl_index *index, bl_str key)
{
    return index->slots ? slot_of(index, key)->value : NULL;
}

/* The smaller table stays in the pool: all of them together are no larger than the last. */
static void grow(bl_index *index)
{
    bl_index before = *index;
    uint32_t size = before.slots ? (before.mask + 1) * 2 : FIRST_SLOTS;

    index->slots = BL_NEW_ARRAY(index->pool, bl_index_slot, size);
    index->mask = size - 1;
    for (uint32_t i = 0; before.slots && i <= before.mask; i++) {
        if (before.slots[i].value)
            *slot_of(index, before.slots[i].key) = before.slots[i];
    }
}

void bl_index_add(bl_index *index, bl_str key, void *value)
{
    if (index->slots == NULL || index->count * 2 > index->mask)
        grow(index);
    *slot_of(index, key) = (bl_index_slot){key, value};
    index->count++;
}
