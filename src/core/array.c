#include "core/array.h"
#include "core/mem.h"

void bl_array_init(bl_array *array, bl_pool *pool, size_t item_size)
{
    *array = (bl_array){.size = (uint32_t)item_size, .pool = pool};
}

bl_array *bl_array_new(bl_pool *pool, size_t item_size)
{
    bl_array *array = bl_pool_alloc(pool, sizeof *array);

    bl_array_init(array, pool, item_size);
    return array;
}

void *bl_array_push(bl_array *array)
{
    if (array->count == array->capacity) {
        uint32_t capacity = array->capacity ? array->capacity * 2 : 8;
        BL_ASSERT(capacity > array->capacity);
        void *items = bl_pool_alloc(array->pool, bl_size_mul(capacity, array->size));
        if (array->count)
            memcpy(items, array->items, (size_t)array->count * array->size);
        array->items = items;
        array->capacity = capacity;
    }
    void *item = (char *)array->items + (size_t)array->count++ * array->size;
    return memset(item, 0, array->size);
}
