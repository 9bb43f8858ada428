#include "http/file_read.h"
#include "event/thread_pool.h"
#include "http/core_module.h"
#include "http/value.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum {
    WARM_STEP = 64 * 1024, /* bytes on a thread's stack */
};

/* One read. In a thread it touches nothing but this and the memory of `piece`. */
typedef struct bl_file_job {
    bl_thread_task task;
    bl_file_reader *reader; /* NULL: the request is gone */
    bl_buf *piece;          /* where to; without room: only into the page cache */
    int fd;
    off_t at;
    size_t size, skip; /* skip: bytes in front that alignment added */
    ssize_t got;       /* with those; -1: errno is in `err` */
    int err;
} job;

static ssize_t read_all(int fd, char *to, size_t size, off_t at)
{
    ssize_t n;

    do
        n = pread(fd, to, size, at);
    while (n < 0 && errno == EINTR);
    return n;
}

static ssize_t warm(int fd, size_t size, off_t at)
{
    char bytes[WARM_STEP];
    size_t done = 0;

    while (done < size) {
        ssize_t n = read_all(fd, bytes, BL_MIN(size - done, sizeof bytes), at + (off_t)done);
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

static void run(bl_thread_task *task)
{
    job *j = BL_CONTAINER(task, job, task);

    j->got = j->piece->start ? read_all(j->fd, j->piece->pos, j->size, j->at)
                             : warm(j->fd, j->size, j->at);
    j->err = errno;
}

/* ------------------------------------------------------------- what came of it */

static bool understood(const bl_file_reader *reader, job *j)
{
    if (j->got < 0) {
        bl_log_write(BL_LOG_CRIT, reader->r->log, j->err, "pread() \"%.*s\" failed",
                     BL_STR_ARG(reader->path));
        return false;
    }
    if ((size_t)j->got <= j->skip) {
        bl_log_write(BL_LOG_ALERT, reader->r->log, 0,
                     "file \"%.*s\" was truncated while being sent", BL_STR_ARG(reader->path));
        return false;
    }
    return true;
}

/* The piece without what alignment added on both sides. */
static bl_buf *cut(job *j, size_t wanted)
{
    bl_buf *b = j->piece;

    if (b->start == NULL)
        return b;
    b->pos += j->skip;
    b->last = b->pos + BL_MIN((size_t)j->got - j->skip, wanted);
    return b;
}

static void free_piece(bl_buf *b)
{
    bl_free(b);
}

static bl_buf *empty_piece(void)
{
    bl_buf *b = bl_zalloc(sizeof *b);

    b->fd = -1;
    b->release = free_piece;
    return b;
}

/* ------------------------------------------------------------- threads */

typedef struct threaded_job {
    job job;
    size_t wanted;
} threaded_job;

static void arrived(bl_thread_task *task)
{
    threaded_job *t = BL_CONTAINER(task, threaded_job, job.task);
    bl_file_reader *reader = t->job.reader;
    bl_buf *piece = t->job.piece;
    bool ok = reader && understood(reader, &t->job);

    if (ok)
        piece = cut(&t->job, t->wanted);
    else
        bl_buf_done(piece);
    if (reader)
        reader->job = NULL;
    bl_free(t);
    if (reader)
        reader->arrived(reader, ok ? piece : NULL);
}

static void leave(void *data)
{
    bl_file_reader *reader = data;

    if (reader->job)
        reader->job->reader = NULL;
}

static bl_status post(bl_file_reader *reader, const job *j, size_t wanted)
{
    threaded_job *t = bl_alloc(sizeof *t);

    *t = (threaded_job){.job = *j, .wanted = wanted};
    t->job.task = (bl_thread_task){.run = run, .done = arrived};
    t->job.reader = reader;
    if (!bl_thread_pool_post(reader->pool, &t->job.task, reader->r->log)) {
        bl_buf_done(t->job.piece);
        bl_free(t);
        return BL_ERROR;
    }
    reader->job = &t->job;
    return BL_AGAIN;
}

/* ------------------------------------------------------------- */

static bl_status perform(bl_file_reader *reader, job *j, size_t wanted, bl_buf **piece)
{
    if (reader->pool)
        return post(reader, j, wanted);
    run(&j->task);
    if (!understood(reader, j)) {
        bl_buf_done(j->piece);
        return BL_ERROR;
    }
    *piece = cut(j, wanted);
    return BL_OK;
}

bl_status bl_file_reader_read(bl_file_reader *reader, off_t at, size_t size, bl_buf **piece)
{
    size_t alignment = reader->alignment;
    job j = {.fd = reader->fd, .at = at, .size = size};

    if (alignment) {
        j.skip = (size_t)at & (alignment - 1);
        j.at -= (off_t)j.skip;
        j.size = BL_ALIGN(j.skip + size, alignment);
    }
    j.piece = bl_buf_cached(j.size + alignment);
    if (alignment)
        j.piece->pos = (char *)BL_ALIGN((uintptr_t)j.piece->pos, alignment);
    return perform(reader, &j, size, piece);
}

bl_status bl_file_reader_warm(bl_file_reader *reader, off_t at, size_t size, bl_buf **piece)
{
    job j = {.fd = reader->fd, .at = at, .size = size, .piece = empty_piece()};

    return perform(reader, &j, size, piece);
}

/* ------------------------------------------------------------- opening */

static void close_fd(void *fd)
{
    close((int)(intptr_t)fd);
}

/* Another description of the same file, since the flag would be felt by all who share this one. */
static void go_direct(bl_file_reader *reader)
{
    const bl_http_core_location *core = reader->r->loc->core;
    char name[sizeof "/proc/self/fd/" + 3 * sizeof(int)];

    snprintf(name, sizeof name, "/proc/self/fd/%d", reader->fd);
    int fd = open(name, O_RDONLY | O_DIRECT | O_CLOEXEC);
    if (fd < 0) {
        bl_log_write(BL_LOG_ALERT, reader->r->log, errno, "opening \"%.*s\" with O_DIRECT failed",
                     BL_STR_ARG(reader->path));
        return;
    }
    bl_pool_cleanup(reader->r->pool, close_fd, (void *)(intptr_t)fd);
    reader->fd = fd;
    reader->alignment = (size_t)core->directio_alignment;
}

bl_step bl_file_reader_open(bl_file_reader *reader, int fd, off_t size)
{
    bl_request *r = reader->r;
    const bl_http_core_location *core = r->loc->core;
    const bl_aio_setting *aio = core->aio;

    reader->fd = fd;
    if (aio) {
        bl_str name = bl_value_eval(r, aio->name);
        reader->pool =
            aio->pool ? aio->pool : bl_thread_pool_find(r->server->http->generation, name);
        if (reader->pool == NULL) {
            bl_log_write(BL_LOG_ERR, r->log, 0, "thread pool \"%.*s\" not found", BL_STR_ARG(name));
            return 500;
        }
        bl_pool_cleanup(r->pool, leave, reader);
    }
    if (size >= core->directio)
        go_direct(reader);
    else if (core->read_ahead && size > core->read_ahead)
        posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
    return BL_NEXT;
}
