#include "core/mem.h"

#include <stdio.h>
#include <stdlib.h>

BL_NORETURN BL_COLD static void out_of_memory(size_t size)
{
    fprintf(stderr, "bulan: out of memory allocating %zu bytes\n", size);
    abort();
}

void *bl_alloc(size_t size)
{
    void *memory = malloc(size ? size : 1);

    if (BL_UNLIKELY(memory == NULL))
        out_of_memory(size);
    return memory;
}

void *bl_zalloc(size_t size)
{
    void *memory = calloc(1, size ? size : 1);

    if (BL_UNLIKELY(memory == NULL))
        out_of_memory(size);
    return memory;
}

void *bl_realloc(void *memory, size_t size)
{
    memory = realloc(memory, size ? size : 1);
    if (BL_UNLIKELY(memory == NULL))
        out_of_memory(size);
    return memory;
}

void bl_free(void *memory)
{
    free(memory);
}

void bl_zero(void *memory, size_t size)
{
    memset(memory, 0, size);
}

size_t bl_size_mul(size_t count, size_t size)
{
    size_t product;

    if (BL_UNLIKELY(__builtin_mul_overflow(count, size, &product)))
        out_of_memory(SIZE_MAX);
    return product;
}
