/* Threads for work that would hold up the loop: programs' computations, calls that block. A pool
 * has a name and a limit (thread_pool); its threads are started when there is work for them, in the
 * process that has it.
 *
 *     loop:    job.work = …; job.done = …; bl_threads_post(pool, &job)
 *     thread:                  job.work(job)          nothing of the loop may be touched in it
 *     loop:                                   job.done(job)
 *
 * Finished jobs come back over a queue, and a pipe tells the loop. */
#ifndef BL_EVENT_THREADS_H
#define BL_EVENT_THREADS_H

#include "core/list.h"
#include "core/pool.h"
#include "core/str.h"

typedef struct bl_threads bl_threads;
typedef struct bl_job bl_job;

struct bl_job {
    bl_link link;
    void (*work)(bl_job *job); /* in a thread */
    void (*done)(bl_job *job); /* in the loop; may free the job */
};

/* At most `count` threads and `queue` jobs that wait for one; lives as long as `pool`. */
bl_threads *bl_threads_new(bl_pool *pool, bl_str name, int64_t count, int64_t queue);
bl_str bl_threads_name(const bl_threads *threads);

/* False: the queue is full, or no thread could be started (errno). */
bool bl_threads_post(bl_threads *threads, bl_job *job);

/* Jobs of this process that are not done yet: a worker that shuts down waits for them. */
unsigned bl_threads_busy(void);

#endif
