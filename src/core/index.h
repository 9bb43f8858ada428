/* A hash table from texts to things, in a pool: what a configuration names thousands of times is
 * found without looking at all the others. It only grows.
 *
 *   slots: | key, value | - | key, value | …   open addressing, at most half full
 */
#ifndef BL_CORE_INDEX_H
#define BL_CORE_INDEX_H

#include "core/pool.h"

typedef struct bl_index_slot {
    bl_str key;
    void *value; /* NULL: free */
} bl_index_slot;

typedef struct bl_index {
    bl_pool *pool;
    bl_index_slot *slots; /* NULL: nothing yet */
    uint32_t mask, count;
} bl_index;

void bl_index_init(bl_index *index, bl_pool *pool);
/* NULL: the key is not there. */
void *bl_index_find(const bl_index *index, bl_str key);
/* `key` is not there yet, and its bytes live as long as the pool; `value` is not NULL. */
void bl_index_add(bl_index *index, bl_str key, void *value);

#endif
