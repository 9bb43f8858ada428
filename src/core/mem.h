/* The one door to malloc. Memory that can't be had ends the process (the master starts another
 * worker): no caller checks for NULL, so no error path goes untested. Sizes that a client chooses
 * are limited long before they get here. */
#ifndef BL_CORE_MEM_H
#define BL_CORE_MEM_H

#include "core/base.h"

void *bl_alloc(size_t size) __attribute__((malloc, alloc_size(1), returns_nonnull));
void *bl_zalloc(size_t size) __attribute__((malloc, alloc_size(1), returns_nonnull));
void *bl_realloc(void *memory, size_t size) __attribute__((alloc_size(2), returns_nonnull));
void bl_free(void *memory);

/* memset(memory, 0, size), never inlined: for a KB the library's is faster than what a compiler
 * makes of it in place. */
void bl_zero(void *memory, size_t size);

/* count * size, or the end of the process when that overflows. */
size_t bl_size_mul(size_t count, size_t size);

#endif
