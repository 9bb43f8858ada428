/* Connections of a worker that are kept for later, by name ("host:port", or as the program says).
 *
 *   pools ─> pool "127.0.0.1:6379" ─┬ idle:    newest … oldest      at most `size`, LRU
 *                                   ├ active:  counted ones in use
 *                                   └ waiting: connects that the backlog holds back
 *
 * A pool is there from the first connect to its name, so that every connection is counted; its size
 * is fixed by the first connect that gives pool_size or backlog, or by the first setkeepalive. It
 * is gone with its last connection. An idle connection has no buffer; what it receives means that
 * it is of no use any more, and it is closed. */
#ifndef BL_LUA_API_SOCKET_POOL_H
#define BL_LUA_API_SOCKET_POOL_H

#include "event/conn.h"

struct bl_socket;

typedef struct bl_sockpool {
    bl_link link; /* in its bucket */
    uint32_t hash;
    int64_t size;    /* 0: not fixed yet */
    int64_t backlog; /* -1: no limit to active ones */
    int64_t active, idle_count, waiting_count;
    bl_link idle;    /* newest first */
    bl_link waiting; /* bl_socket.queue, first come first */
    bl_work work;    /* lets the first of them go on */
    size_t len;
    char name[];
} bl_sockpool;

/* The pool of that name, made when there is none. It lives while somebody is counted in it: call
 * bl_sockpool_settle when that may have changed. */
bl_sockpool *bl_sockpool_of(bl_str name);
void bl_sockpool_settle(bl_sockpool *pool);

/* The size, once. */
void bl_sockpool_fix(bl_sockpool *pool, int64_t size, int64_t backlog);

/* A connection in use begins or ceases to count. Ceasing lets the next in the queue go on, and the
 * pool may be gone afterwards. */
void bl_sockpool_enter(bl_sockpool *pool);
void bl_sockpool_leave(bl_sockpool *pool);

static inline bool bl_sockpool_full(const bl_sockpool *pool)
{
    return pool->backlog >= 0 && pool->active >= pool->size;
}

/* The newest idle connection, or NULL; *reused: how often it has been taken out, this time too. */
bl_conn *bl_sockpool_take(bl_sockpool *pool, uint32_t *reused);
/* Puts one in. `ms` 0: for ever. */
void bl_sockpool_put(bl_sockpool *pool, bl_conn *c, uint32_t reused, int64_t ms);

#endif
