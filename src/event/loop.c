#include "event/loop.h"
#include "config.h"
#include "core/log.h"
#include "core/mem.h"

#include <errno.h>

static struct {
    const bl_poller *poller;
    bl_event *events;
    int max_events;
    int count; /* of the batch being handed out */
    bl_link work;
    uint64_t resolution; /* ms */
} loop;

static void work_lists_ready(void)
{
    if (loop.work.next == NULL)
        bl_list_init(&loop.work);
}

static bool open_poller(const bl_poller *poller, int max_events)
{
    if (!poller->open(max_events))
        return false;
    loop.poller = poller;
    loop.max_events = max_events;
    loop.events = bl_alloc(bl_size_mul((size_t)max_events, sizeof *loop.events));
    work_lists_ready();
    bl_clock_update();
    return true;
}

bool bl_loop_open(const char *name, int max_events)
{
    static const bl_poller *const pollers[] = {
#if BL_HAVE_EPOLL
        &bl_poller_epoll,
#endif
#if BL_HAVE_KQUEUE
        &bl_poller_kqueue,
#endif
    };

    for (size_t i = 0; i < BL_COUNTOF(pollers); i++) {
        if (name == NULL || strcmp(name, pollers[i]->name) == 0)
            return open_poller(pollers[i], max_events);
    }
    errno = ENOSYS;
    return false;
}

void bl_loop_close(void)
{
    if (loop.poller == NULL)
        return;
    loop.poller->close();
    bl_free(loop.events);
    loop.events = NULL;
    loop.poller = NULL;
}

const char *bl_loop_name(void)
{
    return loop.poller ? loop.poller->name : "none";
}

bool bl_io_add(bl_io *io, int fd)
{
    io->fd = fd;
    io->slot = -1;
    io->added = loop.poller->add(io);
    return io->added;
}

void bl_io_forget(bl_io *io)
{
    if (io->slot >= 0)
        loop.events[io->slot].io = NULL;
    io->slot = -1;
    io->added = io->readable = io->writable = false;
}

void bl_io_remove(bl_io *io)
{
    if (!io->added)
        return;
    if (loop.poller)
        loop.poller->remove(io);
    bl_io_forget(io);
}

/* A handler may remove any io, also one that stands further on in the batch: each io knows its
 * place there while the batch lasts, so removing it can strike it out. */
static void hand_out(int count)
{
    for (int i = 0; i < count; i++)
        loop.events[i].io->slot = i;

    for (int i = 0; i < count; i++) {
        bl_event *e = &loop.events[i];
        bl_io *io = e->io;
        if (io == NULL)
            continue;
        io->hup |= e->hup;
        if (e->readable) {
            io->readable = true;
            if (io->on_read)
                io->on_read(io);
        }
        if (e->io != NULL && e->writable) {
            io->writable = true;
            if (io->on_write)
                io->on_write(io);
        }
        if (e->io != NULL)
            io->slot = -1;
    }
}

static void run_work(void)
{
    bl_link now;

    bl_list_init(&now);
    bl_list_splice(&now, &loop.work);
    while (!bl_list_empty(&now)) {
        bl_work *work = BL_LIST_FIRST(&now, bl_work, link);
        bl_list_remove(&work->link);
        work->run(work);
    }
}

void bl_loop_resolution(uint64_t ms)
{
    loop.resolution = ms;
}

/* A clock that costs next to nothing, and is wrong by a tick of the kernel's, tells whether it is
 * time to read the right one. */
static bool clock_is_young(void)
{
#ifdef CLOCK_MONOTONIC_COARSE
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    uint64_t now = (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
    return now < bl_now_ms() + loop.resolution;
#else
    return false;
#endif
}

void bl_loop_turn(int timeout_ms)
{
    int next = bl_list_empty(&loop.work) ? bl_timer_next() : 0;

    if (timeout_ms < 0 || (next >= 0 && next < timeout_ms))
        timeout_ms = next;
    int count = loop.poller->wait(loop.events, loop.max_events, timeout_ms);
    if (BL_LIKELY(loop.resolution == 0) || count <= 0 || !clock_is_young())
        bl_clock_update();
    if (count < 0) {
        bl_log_write(BL_LOG_ALERT, &bl_log_process, errno, "%s failed", loop.poller->name);
        return;
    }
    hand_out(count);
    bl_timer_run();
    if (!bl_list_empty(&loop.work))
        run_work();
}

void bl_work_post(bl_work *work)
{
    work_lists_ready();
    if (!bl_list_linked(&work->link))
        bl_list_push(&loop.work, &work->link);
}

void bl_work_cancel(bl_work *work)
{
    if (bl_list_linked(&work->link))
        bl_list_remove(&work->link);
}
