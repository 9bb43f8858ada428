#include "lua/embedded.h"

const bl_embedded *bl_embedded_find(bl_str name)
{
    size_t low = 0;
    size_t high = bl_embedded_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const bl_embedded *entry = &bl_embedded_table[middle];
        int order = bl_str_cmp(name, bl_str_c(entry->name));

        if (order == 0)
            return entry;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}
