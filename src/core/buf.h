/* A piece of a body, in memory or in a file, and queues of pieces.
 *
 *   memory   start ─── pos ====== last ─── end      pos..last is what is still to be consumed
 *   file     fd, file_pos ====== file_last          sent by sendfile where the transport can
 *
 * A buffer is in one queue at a time. Whoever consumes the last of it calls bl_buf_done, which
 * hands it back to its producer (`release`); so producers recycle their memory, and a slow client
 * is felt by them as buffers that do not come back. A buffer without `release` lives in a pool. */
#ifndef BL_CORE_BUF_H
#define BL_CORE_BUF_H

#include "core/pool.h"

typedef struct bl_buf bl_buf;

struct bl_buf {
    bl_buf *next;
    char *pos, *last;
    char *start, *end;
    off_t file_pos, file_last;
    int fd;             /* of a file piece; -1: memory */
    unsigned flush : 1; /* send what came so far, do not wait for more */
    unsigned eof : 1;   /* the body ends behind this piece */
    unsigned sync : 1;  /* carries no bytes, only its marks */
    void (*release)(bl_buf *b);
    void *owner; /* for release */
};

typedef struct bl_chain {
    bl_buf *first;
    bl_buf **tail; /* where the next piece is hung in */
} bl_chain;

static inline void bl_chain_init(bl_chain *chain)
{
    chain->first = NULL;
    chain->tail = &chain->first;
}

static inline bool bl_chain_empty(const bl_chain *chain)
{
    return chain->first == NULL;
}

static inline void bl_chain_push(bl_chain *chain, bl_buf *b)
{
    b->next = NULL;
    *chain->tail = b;
    chain->tail = &b->next;
}

static inline bl_buf *bl_chain_shift(bl_chain *chain)
{
    bl_buf *b = chain->first;

    if (b && (chain->first = b->next) == NULL)
        chain->tail = &chain->first;
    return b;
}

/* Moves all of `from` behind `to`. */
void bl_chain_append(bl_chain *to, bl_chain *from);

static inline bool bl_buf_in_file(const bl_buf *b)
{
    return b->fd >= 0;
}

static inline off_t bl_buf_len(const bl_buf *b)
{
    return b->fd >= 0 ? b->file_last - b->file_pos : b->last - b->pos;
}

off_t bl_chain_len(const bl_chain *chain);

static inline void bl_buf_done(bl_buf *b)
{
    if (b->release)
        b->release(b);
}

/* Done with every piece; the chain is empty then. */
void bl_chain_done(bl_chain *chain);

/* An empty memory buffer of `size` bytes, a piece that refers to bytes that outlive it, a piece of
 * a file, and a mark without bytes. All in the pool. */
bl_buf *bl_buf_new(bl_pool *pool, size_t size);
bl_buf *bl_buf_ref(bl_pool *pool, bl_str bytes);
bl_buf *bl_buf_file(bl_pool *pool, int fd, off_t from, off_t to);
bl_buf *bl_buf_mark(bl_pool *pool);

/* A memory buffer of at least `size` bytes that goes back to the process's cache when it is done:
 * for bodies that stream through (Lua output, filters). */
bl_buf *bl_buf_cached(size_t size);

/* Strikes `n` bytes off the front; consumed pieces are done. Marks in front of the bytes go too. */
void bl_chain_consume(bl_chain *chain, off_t n);

#endif
