#include "event/threads.h"
#include "event/loop.h"
#include "os/signal.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

struct bl_threads {
    bl_str name;
    int64_t max_threads, max_queue;
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t work_came;
    bl_link queue; /* bl_job.link */
    int64_t queued, started, idle;
};

/* Jobs on their way back, of all pools. */
static struct {
    pthread_mutex_t lock;
    bl_link jobs; /* bl_job.link */
    int wake;     /* write end of the pipe */
    bl_io io;
    unsigned busy; /* the loop's own count */
} finished = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = -1};

bl_threads *bl_threads_new(bl_pool *pool, bl_str name, int64_t count, int64_t queue)
{
    bl_threads *threads = BL_NEW(pool, bl_threads);

    threads->name = name;
    threads->max_threads = count;
    threads->max_queue = queue;
    pthread_mutex_init(&threads->lock, NULL);
    pthread_cond_init(&threads->work_came, NULL);
    bl_list_init(&threads->queue);
    return threads;
}

bl_str bl_threads_name(const bl_threads *threads)
{
    return threads->name;
}

unsigned bl_threads_busy(void)
{
    return finished.busy;
}

/* ------------------------------------------------------------- back to the loop */

static void take_finished(bl_io *io)
{
    char bytes[64];
    bl_link jobs;

    while (read(io->fd, bytes, sizeof bytes) == (ssize_t)sizeof bytes)
        ;
    bl_list_init(&jobs);
    pthread_mutex_lock(&finished.lock);
    bl_list_splice(&jobs, &finished.jobs);
    pthread_mutex_unlock(&finished.lock);
    while (!bl_list_empty(&jobs)) {
        bl_job *job = BL_LIST_FIRST(&jobs, bl_job, link);
        bl_list_remove(&job->link);
        finished.busy--;
        job->done(job);
    }
}

static bool open_way_back(void)
{
    int ends[2];

    if (finished.wake >= 0)
        return true;
    if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0)
        return false;
    bl_list_init(&finished.jobs);
    finished.io = (bl_io){.level = true, .on_read = take_finished};
    if (!bl_io_add(&finished.io, ends[0])) {
        close(ends[0]);
        close(ends[1]);
        return false;
    }
    finished.wake = ends[1];
    return true;
}

static void hand_back(bl_job *job)
{
    pthread_mutex_lock(&finished.lock);
    bl_list_push(&finished.jobs, &job->link);
    pthread_mutex_unlock(&finished.lock);
    ssize_t ignored BL_UNUSED = write(finished.wake, "", 1); /* full: it will wake up anyway */
}

/* ------------------------------------------------------------- threads */

static bl_job *next_job(bl_threads *threads)
{
    pthread_mutex_lock(&threads->lock);
    while (bl_list_empty(&threads->queue)) {
        threads->idle++;
        pthread_cond_wait(&threads->work_came, &threads->lock);
        threads->idle--;
    }
    bl_job *job = BL_LIST_FIRST(&threads->queue, bl_job, link);
    bl_list_remove(&job->link);
    threads->queued--;
    pthread_mutex_unlock(&threads->lock);
    return job;
}

static void *thread_main(void *data)
{
    for (;;) {
        bl_job *job = next_job(data);
        job->work(job);
        hand_back(job);
    }
    return NULL;
}

/* Signals are the loop's. */
static bool start_thread(bl_threads *threads)
{
    pthread_t thread;
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&thread, NULL, thread_main, threads);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error) {
        errno = error;
        return false;
    }
    pthread_detach(thread);
    threads->started++;
    return true;
}

bool bl_threads_post(bl_threads *threads, bl_job *job)
{
    if (!open_way_back())
        return false;
    pthread_mutex_lock(&threads->lock);
    bool more = threads->queued >= threads->idle && threads->started < threads->max_threads;
    bool ok = threads->queued < threads->max_queue || threads->idle > 0 || more;
    if (!ok)
        errno = EAGAIN;
    else if (more && !start_thread(threads))
        ok = threads->started > 0;
    if (ok) {
        bl_list_push(&threads->queue, &job->link);
        threads->queued++;
        finished.busy++;
        pthread_cond_signal(&threads->work_came);
    }
    pthread_mutex_unlock(&threads->lock);
    return ok;
}
