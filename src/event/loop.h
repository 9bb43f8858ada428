/* The event loop of a process. One turn: wait for the kernel (epoll or kqueue) no longer than the
 * next timer, read the clock, hand out readiness, run timers, run posted work.
 *
 * Readiness is edge-triggered and registered once per descriptor, for both directions: the kernel
 * is told about a descriptor when it is added and never again. So whoever reads or writes must go
 * on until the kernel says EAGAIN, and remember readiness in between: io->readable and io->writable
 * are that memory. They are set by the loop and cleared by whoever met EAGAIN. */
#ifndef BL_EVENT_LOOP_H
#define BL_EVENT_LOOP_H

#include "core/list.h"
#include "event/timer.h"

typedef struct bl_io bl_io;

struct bl_io {
    int fd;
    int slot; /* in the batch of events being handed out; -1: not there */
    bool added;
    bool level; /* level-triggered, reading only (listeners, channels): set before adding */
    bool readable, writable;
    bool hup; /* the peer has shut down its side, or the connection is broken: a read will tell */
    void (*on_read)(bl_io *io);
    void (*on_write)(bl_io *io);
};

/* Work to be done at the end of this turn (or now, if the loop does not run). */
typedef struct bl_work {
    bl_link link;
    void (*run)(struct bl_work *work);
} bl_work;

/* Backends. `use` picks one by name. */
typedef struct bl_event {
    bl_io *io;
    bool readable, writable, hup;
} bl_event;

typedef struct bl_poller {
    const char *name;
    bool (*open)(int max_events);
    void (*close)(void);
    bool (*add)(bl_io *io);
    bool (*remove)(bl_io *io); /* only when the descriptor stays open */
    /* Fills `events`; returns their number, 0 on time-out or signal, -1 on an error. */
    int (*wait)(bl_event *events, int max, int timeout_ms);
} bl_poller;

extern const bl_poller bl_poller_epoll, bl_poller_kqueue;

/* `name` NULL: the system's best. False: could not be opened (errno). */
bool bl_loop_open(const char *name, int max_events);
void bl_loop_close(void);
const char *bl_loop_name(void);

/* Readiness of `fd` from now on. False: the kernel refused (errno). */
bool bl_io_add(bl_io *io, int fd);
/* Forgets it, events of this turn too; the descriptor may stay open. */
void bl_io_remove(bl_io *io);
/* The same right before close(), which takes it out of the kernel's set by itself. */
void bl_io_forget(bl_io *io);

/* The clock is then read only every `ms`, not in each turn; 0: in each. Turns that a deadline has
 * ended read it in any case. */
void bl_loop_resolution(uint64_t ms);

/* One turn; `timeout_ms` -1: as long as timers allow. */
void bl_loop_turn(int timeout_ms);

void bl_work_post(bl_work *work);
void bl_work_cancel(bl_work *work);

#endif
