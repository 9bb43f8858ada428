/* Threads for what would make a worker wait: reads of files that may not be in memory (`aio`).
 *
 *   loop ── post ──> [ queue ] ──> threads: task->run ──> [ done ] ── byte through a pipe ──> loop:
 *                                                                                        task->done
 *
 * A pool is named by `thread_pool` and belongs to its generation; its threads are started by the
 * first task of a process. The rest of the server knows nothing of threads: `run` may touch only
 * what its task owns, allocates nothing and logs nothing. A task lives until `done` has been
 * called, which is on the loop again; so who posts one must not free it before. */
#ifndef BL_EVENT_THREAD_POOL_H
#define BL_EVENT_THREAD_POOL_H

#include "conf/generation.h"

typedef struct bl_thread_pool bl_thread_pool;

typedef struct bl_thread_task {
    struct bl_thread_task *next;
    void (*run)(struct bl_thread_task *task);  /* in a thread */
    void (*done)(struct bl_thread_task *task); /* in the loop */
} bl_thread_task;

/* The pool that the configuration calls so; made when it is mentioned before its `thread_pool`.
 * `node` is blamed if there is none in the end. */
bl_thread_pool *bl_thread_pool_named(bl_conf *cf, const bl_conf_node *node, bl_str name);
/* The directive: name, threads=N, max_queue=N. */
bool bl_thread_pool_read(bl_conf *cf, const bl_conf_node *node);
/* When all has been read: "default" needs no `thread_pool`, the others do. */
bool bl_thread_pools_finish(bl_conf *cf);

/* The pool of that name in a running generation, or NULL. */
bl_thread_pool *bl_thread_pool_find(const bl_generation *g, bl_str name);

/* False: not taken (the queue is full, or no thread could be started), which was logged. */
bool bl_thread_pool_post(bl_thread_pool *pool, bl_thread_task *task, const bl_log *log);

/* Tasks of this process that are not done yet: a worker that shuts down waits for them. */
unsigned bl_thread_pool_busy(void);

#endif
