/* The loop's backend on Linux: epoll(7), edge-triggered, one epoll_ctl in a descriptor's life. */
#include "event/loop.h"
#include "config.h"

#if BL_HAVE_EPOLL

#include "core/mem.h"
#include "os/call.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

static int epoll_fd = -1;
static struct epoll_event *ready;

static bool epoll_open(int max_events)
{
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd < 0)
        return false;
    ready = bl_alloc(bl_size_mul((size_t)max_events, sizeof *ready));
    return true;
}

static void epoll_stop(void)
{
    close(epoll_fd);
    bl_free(ready);
    epoll_fd = -1;
    ready = NULL;
}

static bool epoll_add(bl_io *io)
{
    struct epoll_event e = {.data.ptr = io};

    /* Listeners are level-triggered and exclusive: a new connection wakes one worker. */
    e.events = io->level ? EPOLLIN | EPOLLEXCLUSIVE : EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    return epoll_ctl(epoll_fd, EPOLL_CTL_ADD, io->fd, &e) == 0;
}

static bool epoll_remove(bl_io *io)
{
    return epoll_ctl(epoll_fd, EPOLL_CTL_DEL, io->fd, NULL) == 0;
}

static int epoll_wait_events(bl_event *events, int max, int timeout_ms)
{
    int count = bl_call_epoll_wait(epoll_fd, ready, max, timeout_ms);

    if (count < 0)
        return errno == EINTR ? 0 : -1;
    for (int i = 0; i < count; i++) {
        uint32_t e = ready[i].events;
        bool broken = e & (EPOLLERR | EPOLLHUP);
        events[i] = (bl_event){
            .io = ready[i].data.ptr,
            .readable = (e & EPOLLIN) || broken || (e & EPOLLRDHUP),
            .writable = (e & EPOLLOUT) || broken,
            .hup = broken || (e & EPOLLRDHUP),
        };
    }
    return count;
}

const bl_poller bl_poller_epoll = {
    .name = "epoll",
    .open = epoll_open,
    .close = epoll_stop,
    .add = epoll_add,
    .remove = epoll_remove,
    .wait = epoll_wait_events,
};

#endif
