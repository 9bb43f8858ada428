/* Memory by lifetime. A pool is the memory of one thing that ends as a whole: a configuration
 * generation, a connection, a request. Allocation moves a pointer; nothing is freed singly; what
 * must happen at the end (close a file, leave a list) is registered as a cleanup and runs in
 * reverse order.
 *
 *   pool ─ block (4 KB) ─ block ─ …          small allocations, bump pointer
 *        └ large ─ large ─ …                 over a quarter of a block, from malloc
 *
 * Blocks of the standard size are kept by the process for the next pool, so a request's pool costs
 * neither malloc nor free once the server is warm. */
#ifndef BL_CORE_POOL_H
#define BL_CORE_POOL_H

#include "core/mem.h"
#include "core/str.h"

typedef struct bl_pool bl_pool;
typedef void (*bl_cleanup_fn)(void *data);

/* A handle on a registered cleanup, for bl_pool_forget. */
typedef struct bl_cleanup {
    struct bl_cleanup *next;
    bl_cleanup_fn run;
    void *data;
} bl_cleanup;

struct bl_pool {
    char *at;  /* next free byte of the current block */
    char *end; /* end of the current block */
    struct bl_pool_block *blocks;
    struct bl_pool_large *large;
    bl_cleanup *cleanups;
};

bl_pool *bl_pool_new(void);
/* Runs the cleanups, newest first, then gives all memory back. */
void bl_pool_free(bl_pool *pool);

void *bl_pool_alloc_slow(bl_pool *pool, size_t size);

/* `size` bytes aligned for any type; never NULL. */
static inline void *bl_pool_alloc(bl_pool *pool, size_t size)
{
    char *at = (char *)BL_ALIGN((uintptr_t)pool->at, sizeof(void *));

    if (BL_LIKELY(size <= (size_t)(pool->end - at) && at <= pool->end)) {
        pool->at = at + size;
        return at;
    }
    return bl_pool_alloc_slow(pool, size);
}

/* The same without alignment, for bytes. */
static inline char *bl_pool_bytes(bl_pool *pool, size_t size)
{
    if (BL_LIKELY(size <= (size_t)(pool->end - pool->at))) {
        char *at = pool->at;
        pool->at = at + size;
        return at;
    }
    return bl_pool_alloc_slow(pool, size);
}

void *bl_pool_zalloc(bl_pool *pool, size_t size);

#define BL_NEW(pool, type) ((type *)bl_pool_zalloc((pool), sizeof(type)))
#define BL_NEW_ARRAY(pool, type, len)                                                              \
    ((type *)bl_pool_zalloc((pool), bl_size_mul(len, sizeof(type))))

/* A copy with a zero byte behind it (not counted in len). */
bl_str bl_pool_str(bl_pool *pool, bl_str s);
char *bl_pool_cstr(bl_pool *pool, bl_str s);
bl_str bl_pool_printf(bl_pool *pool, const char *format, ...) BL_PRINTF(2, 3);
bl_str bl_pool_vprintf(bl_pool *pool, const char *format, va_list args);
/* The strings one behind the other, zero-terminated. */
bl_str bl_pool_concat(bl_pool *pool, const bl_str *parts, size_t count);

bl_cleanup *bl_pool_cleanup(bl_pool *pool, bl_cleanup_fn run, void *data);
/* The cleanup will not run. */
void bl_pool_forget(bl_cleanup *cleanup);

#endif
