#include "event/thread_pool.h"
#include "event/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

enum {
    DEFAULT_THREADS = 32,
    DEFAULT_QUEUE = 65536,
    MAX_THREADS = 65536,
};

typedef struct queue {
    bl_thread_task *first, **tail;
} queue;

struct bl_thread_pool {
    bl_link link; /* in the generation's list */
    bl_str name;
    const bl_conf_node *node;
    int64_t threads, max_queue; /* threads 0: not defined */

    pthread_t *running; /* NULL: not started */
    int64_t started;
    pthread_mutex_t lock;
    pthread_cond_t more;
    queue waiting;
    int64_t count; /* tasks that wait or run, less the threads; below 0: some are idle */
    bool ending;
};

/* What all pools of the process have done, on its way back to the loop. */
static struct {
    pthread_mutex_t lock;
    queue tasks;
    int pipe[2];
    bl_io io;
    unsigned busy; /* the loop's own count: posted and not done */
} finished = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void push(queue *q, bl_thread_task *task)
{
    task->next = NULL;
    *q->tail = task;
    q->tail = &task->next;
}

static bl_thread_task *shift(queue *q)
{
    bl_thread_task *task = q->first;

    if (task && (q->first = task->next) == NULL)
        q->tail = &q->first;
    return task;
}

/* ------------------------------------------------------------- the way back */

/* One byte wakes the loop for all that is there by then. */
static void finish_task(bl_thread_task *task)
{
    pthread_mutex_lock(&finished.lock);
    bool first = finished.tasks.first == NULL;
    push(&finished.tasks, task);
    pthread_mutex_unlock(&finished.lock);
    if (first) {
        ssize_t ignored BL_UNUSED = write(finished.pipe[1], "", 1);
    }
}

static void on_finished(bl_io *io)
{
    char bytes[64];

    while (read(io->fd, bytes, sizeof bytes) > 0)
        ;
    pthread_mutex_lock(&finished.lock);
    bl_thread_task *task = finished.tasks.first;
    finished.tasks.first = NULL;
    finished.tasks.tail = &finished.tasks.first;
    pthread_mutex_unlock(&finished.lock);
    while (task) {
        bl_thread_task *next = task->next;
        finished.busy--;
        task->done(task);
        task = next;
    }
}

static bool watch_finished(void)
{
    if (finished.io.added)
        return true;
    finished.tasks.tail = &finished.tasks.first;
    if (pipe2(finished.pipe, O_NONBLOCK | O_CLOEXEC) != 0)
        return false;
    finished.io = (bl_io){.level = true, .on_read = on_finished};
    if (bl_io_add(&finished.io, finished.pipe[0]))
        return true;
    close(finished.pipe[0]);
    close(finished.pipe[1]);
    return false;
}

/* ------------------------------------------------------------- threads */

static void *serve(void *data)
{
    bl_thread_pool *pool = data;

    bl_clock_alone = true;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (pool->waiting.first == NULL && !pool->ending)
            pthread_cond_wait(&pool->more, &pool->lock);
        bl_thread_task *task = shift(&pool->waiting);
        if (task == NULL)
            break;
        pthread_mutex_unlock(&pool->lock);
        task->run(task);
        pthread_mutex_lock(&pool->lock);
        pool->count--;
        finish_task(task);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* What waits is still done. */
static void stop(void *data)
{
    bl_thread_pool *pool = data;

    if (pool->running == NULL)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->ending = true;
    pthread_cond_broadcast(&pool->more);
    pthread_mutex_unlock(&pool->lock);
    for (int64_t i = 0; i < pool->started; i++)
        pthread_join(pool->running[i], NULL);
    bl_free(pool->running);
}

/* Signals are the loop's: a new thread has all of them blocked. */
static int start_threads(bl_thread_pool *pool)
{
    sigset_t all, before;
    int err = 0;

    pool->running = bl_alloc(bl_size_mul((size_t)pool->threads, sizeof *pool->running));
    pool->started = 0;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (pool->started < pool->threads && err == 0) {
        err = pthread_create(&pool->running[pool->started], NULL, serve, pool);
        pool->started += err == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return pool->started ? 0 : err;
}

static bool start(bl_thread_pool *pool, const bl_log *log)
{
    if (!watch_finished()) {
        bl_log_write(BL_LOG_ALERT, log, errno, "pipe of the thread pools failed");
        return false;
    }
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->more, NULL);
    pool->waiting.tail = &pool->waiting.first;
    int err = start_threads(pool);
    pool->count -= pool->started;
    if (err == 0)
        return true;
    bl_log_write(BL_LOG_ALERT, log, err, "pthread_create() failed");
    bl_free(pool->running);
    pool->running = NULL;
    return false;
}

bool bl_thread_pool_post(bl_thread_pool *pool, bl_thread_task *task, const bl_log *log)
{
    if (pool->running == NULL && !start(pool, log))
        return false;
    pthread_mutex_lock(&pool->lock);
    int64_t waiting = pool->count;
    if (waiting < pool->max_queue) {
        pool->count++;
        push(&pool->waiting, task);
        pthread_cond_signal(&pool->more);
    }
    pthread_mutex_unlock(&pool->lock);
    if (waiting < pool->max_queue) {
        finished.busy++;
        return true;
    }
    bl_log_write(BL_LOG_ERR, log, 0, "thread pool \"%.*s\" queue overflow: %lld tasks waiting",
                 BL_STR_ARG(pool->name), (long long)waiting);
    return false;
}

unsigned bl_thread_pool_busy(void)
{
    return finished.busy;
}

/* ------------------------------------------------------------- configuration */

bl_thread_pool *bl_thread_pool_find(const bl_generation *g, bl_str name)
{
    for (bl_link *at = g->thread_pools.next; at != &g->thread_pools; at = at->next) {
        bl_thread_pool *pool = BL_CONTAINER(at, bl_thread_pool, link);
        if (bl_str_eq(pool->name, name))
            return pool;
    }
    return NULL;
}

bl_thread_pool *bl_thread_pool_named(bl_conf *cf, const bl_conf_node *node, bl_str name)
{
    bl_thread_pool *pool = bl_thread_pool_find(cf->generation, name);

    if (pool)
        return pool;
    pool = BL_NEW(cf->pool, bl_thread_pool);
    pool->name = bl_pool_str(cf->pool, name);
    pool->node = node;
    bl_list_push(&cf->generation->thread_pools, &pool->link);
    bl_pool_cleanup(cf->pool, stop, pool);
    return pool;
}

bool bl_thread_pool_read(bl_conf *cf, const bl_conf_node *node)
{
    bl_thread_pool *pool = bl_thread_pool_named(cf, node, bl_conf_arg(node, 1));

    if (pool->threads)
        return bl_conf_error(cf, node, 1, "duplicate thread pool \"%.*s\"", BL_STR_ARG(pool->name));
    pool->max_queue = DEFAULT_QUEUE;
    for (int i = 2; i < node->count; i++) {
        bl_str word = bl_conf_arg(node, i);
        bool threads = bl_str_starts(word, BL_STR("threads="));
        size_t prefix = strlen(threads ? "threads=" : "max_queue=");
        if (!threads && !bl_str_starts(word, BL_STR("max_queue=")))
            return bl_conf_error(cf, node, i, "invalid parameter \"%.*s\"", BL_STR_ARG(word));
        int64_t n = bl_str_to_int(bl_str_of(word.p + prefix, word.len - prefix));
        if (n < threads || (threads && n > MAX_THREADS))
            return bl_conf_error(cf, node, i, "invalid %s value \"%.*s\"",
                                 threads ? "threads" : "max_queue", BL_STR_ARG(word));
        *(threads ? &pool->threads : &pool->max_queue) = n;
    }
    return pool->threads ||
           bl_conf_error(cf, node, 0, "\"thread_pool\" must have \"threads\" parameter");
}

bool bl_thread_pools_finish(bl_conf *cf)
{
    bl_link *list = &cf->generation->thread_pools;
    bool ok = true;

    bl_thread_pool_named(cf, NULL, BL_STR("default"));
    for (bl_link *at = list->next; at != list; at = at->next) {
        bl_thread_pool *pool = BL_CONTAINER(at, bl_thread_pool, link);
        if (pool->threads)
            continue;
        pool->threads = DEFAULT_THREADS;
        pool->max_queue = DEFAULT_QUEUE;
        if (!bl_str_eq(pool->name, BL_STR("default")))
            ok = bl_conf_error(cf, pool->node, 1, "unknown thread pool \"%.*s\"",
                               BL_STR_ARG(pool->name));
    }
    return ok;
}
