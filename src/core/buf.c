#include "core/buf.h"
#include "core/mem.h"

enum {
    CACHED_SIZE = 4096,
    MAX_CACHED = 256,
};

/* A cached buffer and its memory in one allocation. */
typedef struct cached_buf {
    bl_buf buf;
    char bytes[];
} cached_buf;

static struct {
    bl_buf *free;
    unsigned count;
} cache;

void bl_chain_append(bl_chain *to, bl_chain *from)
{
    if (bl_chain_empty(from))
        return;
    *to->tail = from->first;
    to->tail = from->tail;
    bl_chain_init(from);
}

off_t bl_chain_len(const bl_chain *chain)
{
    off_t len = 0;

    for (const bl_buf *b = chain->first; b; b = b->next)
        len += bl_buf_len(b);
    return len;
}

void bl_chain_done(bl_chain *chain)
{
    bl_buf *b;

    while ((b = bl_chain_shift(chain)) != NULL)
        bl_buf_done(b);
}

bl_buf *bl_buf_mark(bl_pool *pool)
{
    bl_buf *b = bl_pool_zalloc(pool, sizeof *b);

    b->fd = -1;
    b->sync = 1;
    return b;
}

bl_buf *bl_buf_new(bl_pool *pool, size_t size)
{
    bl_buf *b = bl_pool_zalloc(pool, sizeof *b);

    b->fd = -1;
    b->start = b->pos = b->last = bl_pool_bytes(pool, size);
    b->end = b->start + size;
    return b;
}

bl_buf *bl_buf_ref(bl_pool *pool, bl_str bytes)
{
    bl_buf *b = bl_pool_zalloc(pool, sizeof *b);

    b->fd = -1;
    b->start = b->pos = bytes.p;
    b->end = b->last = bytes.p + bytes.len;
    return b;
}

bl_buf *bl_buf_file(bl_pool *pool, int fd, off_t from, off_t to)
{
    bl_buf *b = bl_pool_zalloc(pool, sizeof *b);

    b->fd = fd;
    b->file_pos = from;
    b->file_last = to;
    return b;
}

static void cached_release(bl_buf *b)
{
    if (b->end - b->start != CACHED_SIZE || BL_SANITIZED || cache.count >= MAX_CACHED) {
        bl_free(b);
        return;
    }
    b->next = cache.free;
    cache.free = b;
    cache.count++;
}

bl_buf *bl_buf_cached(size_t size)
{
    cached_buf *c;

    if (size <= CACHED_SIZE && cache.free) {
        c = BL_CONTAINER(cache.free, cached_buf, buf);
        cache.free = c->buf.next;
        cache.count--;
        size = CACHED_SIZE;
    } else {
        size = BL_MAX(size, (size_t)CACHED_SIZE);
        c = bl_alloc(sizeof *c + size);
    }
    c->buf = (bl_buf){.fd = -1, .release = cached_release};
    c->buf.start = c->buf.pos = c->buf.last = c->bytes;
    c->buf.end = c->bytes + size;
    return &c->buf;
}

void bl_chain_consume(bl_chain *chain, off_t n)
{
    bl_buf *b;

    while ((b = chain->first) != NULL) {
        off_t len = bl_buf_len(b);
        if (len > n) {
            if (bl_buf_in_file(b))
                b->file_pos += n;
            else
                b->pos += n;
            return;
        }
        n -= len;
        bl_buf_done(bl_chain_shift(chain));
    }
    BL_ASSERT(n == 0);
}
