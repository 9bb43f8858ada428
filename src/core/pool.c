#include "core/pool.h"
#include "core/mem.h"

#include <stdio.h>

enum {
    BLOCK_SIZE = 4096,
    LARGE = BLOCK_SIZE / 4,
    MAX_CACHED = 1024, /* blocks kept for the next pools: 4 MB */
};

typedef struct bl_pool_block {
    struct bl_pool_block *next;
} block;

typedef struct bl_pool_large {
    struct bl_pool_large *next;
    max_align_t data[];
} large;

static struct {
    block *free;
    unsigned count;
} cache;

static block *block_take(void)
{
    block *b = cache.free;

    if (BL_UNLIKELY(b == NULL))
        return bl_alloc(BLOCK_SIZE);
    cache.free = b->next;
    cache.count--;
    return b;
}

static void block_give(block *b)
{
    if (BL_SANITIZED || cache.count >= MAX_CACHED) {
        bl_free(b);
        return;
    }
    b->next = cache.free;
    cache.free = b;
    cache.count++;
}

bl_pool *bl_pool_new(void)
{
    block *b = block_take();
    bl_pool *pool = (bl_pool *)(b + 1);

    b->next = NULL;
    pool->at = (char *)(pool + 1);
    pool->end = (char *)b + BLOCK_SIZE;
    pool->blocks = b;
    pool->large = NULL;
    pool->cleanups = NULL;
    return pool;
}

static void run_cleanups(bl_pool *pool)
{
    while (pool->cleanups) {
        bl_cleanup *c = pool->cleanups;
        pool->cleanups = c->next;
        if (c->run)
            c->run(c->data);
    }
}

void bl_pool_free(bl_pool *pool)
{
    run_cleanups(pool);
    for (large *l = pool->large, *next; l; l = next) {
        next = l->next;
        bl_free(l);
    }
    /* The pool itself lives in its first block, the last of this list. */
    for (block *b = pool->blocks, *next; b; b = next) {
        next = b->next;
        block_give(b);
    }
}

static void *alloc_large(bl_pool *pool, size_t size)
{
    large *l = bl_alloc(sizeof *l + size);

    l->next = pool->large;
    pool->large = l;
    return l->data;
}

void *bl_pool_alloc_slow(bl_pool *pool, size_t size)
{
    BL_ASSERT(size < SIZE_MAX / 2);
    if (size > LARGE)
        return alloc_large(pool, size);

    block *b = block_take();
    char *at = (char *)BL_ALIGN((uintptr_t)(b + 1), sizeof(max_align_t));
    b->next = pool->blocks;
    pool->blocks = b;
    pool->at = at + size;
    pool->end = (char *)b + BLOCK_SIZE;
    return at;
}

void *bl_pool_zalloc(bl_pool *pool, size_t size)
{
    return memset(bl_pool_alloc(pool, size), 0, size);
}

bl_str bl_pool_str(bl_pool *pool, bl_str s)
{
    char *copy = bl_pool_bytes(pool, s.len + 1);

    if (s.len)
        memcpy(copy, s.p, s.len);
    copy[s.len] = '\0';
    return bl_str_of(copy, s.len);
}

char *bl_pool_cstr(bl_pool *pool, bl_str s)
{
    return bl_pool_str(pool, s).p;
}

bl_str bl_pool_vprintf(bl_pool *pool, const char *format, va_list args)
{
    va_list again;

    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, args);
    BL_ASSERT(len >= 0);
    char *text = bl_pool_bytes(pool, (size_t)len + 1);
    vsnprintf(text, (size_t)len + 1, format, again);
    va_end(again);
    return bl_str_of(text, (size_t)len);
}

bl_str bl_pool_printf(bl_pool *pool, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    bl_str s = bl_pool_vprintf(pool, format, args);
    va_end(args);
    return s;
}

bl_str bl_pool_concat(bl_pool *pool, const bl_str *parts, size_t count)
{
    size_t len = 0;

    for (size_t i = 0; i < count; i++)
        len += parts[i].len;
    char *text = bl_pool_bytes(pool, len + 1), *at = text;
    for (size_t i = 0; i < count; i++) {
        if (parts[i].len)
            at = bl_str_put(at, parts[i]);
    }
    *at = '\0';
    return bl_str_of(text, len);
}

bl_cleanup *bl_pool_cleanup(bl_pool *pool, bl_cleanup_fn run, void *data)
{
    bl_cleanup *c = bl_pool_alloc(pool, sizeof *c);

    *c = (bl_cleanup){.next = pool->cleanups, .run = run, .data = data};
    pool->cleanups = c;
    return c;
}

void bl_pool_forget(bl_cleanup *cleanup)
{
    cleanup->run = NULL;
}
