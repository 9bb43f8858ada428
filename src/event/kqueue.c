/* The loop's backend on BSD and macOS: kqueue(2), edge-triggered (EV_CLEAR), both directions
 * registered once in a descriptor's life. The kernel reports each direction by itself; what it says
 * of one descriptor becomes one event of the batch. */
#include "event/loop.h"
#include "config.h"

#if BL_HAVE_KQUEUE

#include "core/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/event.h>
#include <sys/time.h>
#include <unistd.h>

enum {
    FILTERS = 2
};

static int queue_fd = -1;
static struct kevent *ready;
static int room;

static bool kqueue_open(int max_events)
{
    queue_fd = kqueue();
    if (queue_fd < 0)
        return false;
    fcntl(queue_fd, F_SETFD, FD_CLOEXEC);
    room = max_events;
    ready = bl_alloc(bl_size_mul((size_t)room, sizeof *ready));
    return true;
}

static void kqueue_stop(void)
{
    close(queue_fd);
    bl_free(ready);
    queue_fd = -1;
    ready = NULL;
}

/* Adds or deletes the filters of a descriptor: reading, and writing unless it is level-triggered.
 */
static bool change(bl_io *io, unsigned short flags)
{
    struct kevent changes[FILTERS];
    int count = io->level ? 1 : 2;

    EV_SET(&changes[0], io->fd, EVFILT_READ, flags, 0, 0, io);
    EV_SET(&changes[1], io->fd, EVFILT_WRITE, flags, 0, 0, io);
    return kevent(queue_fd, changes, count, NULL, 0, NULL) == 0;
}

static bool kqueue_add(bl_io *io)
{
    return change(io, io->level ? EV_ADD : EV_ADD | EV_CLEAR);
}

static bool kqueue_remove(bl_io *io)
{
    return change(io, EV_DELETE);
}

/* The event of this batch that is for `io`; a new one for the first that is told of it. The place
 * is noted in the io: hand_out, which comes next, says the same. */
static bl_event *event_of(bl_event *events, int *count, bl_io *io)
{
    if (io->slot < 0) {
        io->slot = (*count)++;
        events[io->slot] = (bl_event){.io = io};
    }
    return &events[io->slot];
}

static int kqueue_wait(bl_event *events, int max, int timeout_ms)
{
    struct timespec timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};
    int said =
        kevent(queue_fd, NULL, 0, ready, BL_MIN(max, room), timeout_ms < 0 ? NULL : &timeout);
    int count = 0;

    if (said < 0)
        return errno == EINTR ? 0 : -1;
    for (int i = 0; i < said; i++) {
        bl_event *e = event_of(events, &count, ready[i].udata);
        bool broken = ready[i].flags & EV_ERROR;
        e->readable |= ready[i].filter == EVFILT_READ || broken;
        e->writable |= ready[i].filter == EVFILT_WRITE || broken;
        e->hup |= broken || (ready[i].flags & EV_EOF);
        e->readable |= e->hup;
    }
    return count;
}

const bl_poller bl_poller_kqueue = {
    .name = "kqueue",
    .open = kqueue_open,
    .close = kqueue_stop,
    .add = kqueue_add,
    .remove = kqueue_remove,
    .wait = kqueue_wait,
};

#endif
