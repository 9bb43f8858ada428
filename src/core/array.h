/* A growing array of equal items in a pool. Items move when it grows: keep indices, not pointers,
 * while it does. */
#ifndef BL_CORE_ARRAY_H
#define BL_CORE_ARRAY_H

#include "core/pool.h"

typedef struct bl_array {
    void *items;
    uint32_t count, capacity;
    uint32_t size; /* of an item, bytes */
    bl_pool *pool;
} bl_array;

void bl_array_init(bl_array *array, bl_pool *pool, size_t item_size);
bl_array *bl_array_new(bl_pool *pool, size_t item_size);
/* Room for one more item at the end, zeroed. */
void *bl_array_push(bl_array *array);

static inline void *bl_array_at(const bl_array *array, size_t index)
{
    BL_ASSERT(index < array->count);
    return (char *)array->items + index * array->size;
}

static inline void *bl_array_items(const bl_array *array)
{
    return array ? array->items : NULL;
}

static inline uint32_t bl_array_count(const bl_array *array)
{
    return array && array->items ? array->count : 0;
}

/* for (TYPE *it over the items of `array`), which may be NULL */
#define BL_ARRAY_EACH(type, it, array)                                                             \
    for (__typeof__(type) *it = bl_array_items(array),                                             \
                          *it##_end = it ? it + bl_array_count(array) : it;                        \
         it != it##_end; it++)

#endif
