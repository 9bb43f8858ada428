/* As much of kqueue(2) as the event loop uses, for tests on systems that have none: see kqueue.c.
 */
#ifndef BL_TEST_SYS_EVENT_H
#define BL_TEST_SYS_EVENT_H

#include <stdint.h>
#include <time.h>

enum {
    EVFILT_READ = -1,
    EVFILT_WRITE = -2,
};

enum {
    EV_ADD = 0x0001,
    EV_DELETE = 0x0002,
    EV_CLEAR = 0x0020,
    EV_ERROR = 0x4000,
    EV_EOF = 0x8000,
};

struct kevent {
    uintptr_t ident;
    short filter;
    unsigned short flags;
    unsigned int fflags;
    intptr_t data;
    void *udata;
};

#define EV_SET(event, id, what, how, more, number, pointer)                                        \
    (*(event) = (struct kevent){(uintptr_t)(id), (short)(what), (unsigned short)(how), (more),     \
                                (number), (pointer)})

int kqueue(void);
int kevent(int queue, const struct kevent *changes, int change_count, struct kevent *events,
           int event_count, const struct timespec *timeout);

#endif
