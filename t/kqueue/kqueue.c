/* A stand-in for kqueue(2) on top of epoll(7), so that the loop's other backend is compiled and
 * tested on Linux. One queue for a process; what it does not know fails with EINVAL. */
#include <errno.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/event.h>

enum {
    DESCRIPTORS = 65536,
    BATCH = 256,
};

typedef struct watch {
    bool reading, writing, edge;
    void *udata;
} watch;

static watch watches[DESCRIPTORS];

int kqueue(void)
{
    for (int i = 0; i < DESCRIPTORS; i++)
        watches[i] = (watch){0};
    return epoll_create1(0);
}

static int tell_epoll(int queue, int fd, int operation)
{
    const watch *w = &watches[fd];
    struct epoll_event e = {.data.fd = fd};

    e.events = (w->reading ? EPOLLIN | EPOLLRDHUP : 0u) | (w->writing ? EPOLLOUT : 0u) |
               (w->edge ? EPOLLET : 0u);
    return epoll_ctl(queue, operation, fd, &e);
}

static bool *direction_of(watch *w, const struct kevent *change)
{
    return change->filter == EVFILT_READ ? &w->reading : &w->writing;
}

static int add(int queue, const struct kevent *change)
{
    watch *w = &watches[change->ident];
    bool known = w->reading || w->writing;

    *direction_of(w, change) = true;
    w->edge = change->flags & EV_CLEAR;
    w->udata = change->udata;
    if (known && tell_epoll(queue, (int)change->ident, EPOLL_CTL_MOD) == 0)
        return 0;
    /* What was known was another descriptor of that number, which left when it was closed. */
    *w = (watch){.edge = w->edge, .udata = w->udata};
    *direction_of(w, change) = true;
    return tell_epoll(queue, (int)change->ident, EPOLL_CTL_ADD);
}

static int delete (int queue, const struct kevent *change)
{
    watch *w = &watches[change->ident];
    bool *direction = direction_of(w, change);

    if (!*direction) {
        errno = ENOENT;
        return -1;
    }
    *direction = false;
    bool last = !w->reading && !w->writing;
    return tell_epoll(queue, (int)change->ident, last ? EPOLL_CTL_DEL : EPOLL_CTL_MOD);
}

static int apply(int queue, const struct kevent *change)
{
    unsigned flags = change->flags;

    if (change->ident < DESCRIPTORS && (flags == EV_ADD || flags == (EV_ADD | EV_CLEAR)))
        return add(queue, change);
    if (change->ident < DESCRIPTORS && flags == EV_DELETE)
        return delete (queue, change);
    errno = EINVAL;
    return -1;
}

/* Each direction is an event of its own. */
static int report(const struct epoll_event *e, struct kevent *to)
{
    const watch *w = &watches[e->data.fd];
    bool broken = e->events & (EPOLLERR | EPOLLHUP), end = broken || (e->events & EPOLLRDHUP);
    int count = 0;

    if (w->reading && ((e->events & EPOLLIN) || end))
        EV_SET(&to[count++], e->data.fd, EVFILT_READ, end ? EV_EOF : 0, 0, 0, w->udata);
    if (w->writing && ((e->events & EPOLLOUT) || broken))
        EV_SET(&to[count++], e->data.fd, EVFILT_WRITE, broken ? EV_EOF : 0, 0, 0, w->udata);
    return count;
}

int kevent(int queue, const struct kevent *changes, int change_count, struct kevent *events,
           int event_count, const struct timespec *timeout)
{
    struct epoll_event ready[BATCH];
    int ms = timeout ? (int)(timeout->tv_sec * 1000 + timeout->tv_nsec / 1000000) : -1, count = 0;

    for (int i = 0; i < change_count; i++) {
        if (apply(queue, &changes[i]) != 0)
            return -1;
    }
    if (event_count == 0)
        return 0;
    int max = event_count / 2 < BATCH ? event_count / 2 : BATCH;
    int said = epoll_wait(queue, ready, max ? max : 1, ms);
    if (said < 0)
        return -1;
    for (int i = 0; i < said; i++)
        count += report(&ready[i], events + count);
    return count;
}
